"""Conversations, tools, whole bodies and typed params: what a row says is what is sent, or its row is named."""

from __future__ import annotations

import csv
import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import msgspec
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from runner.compile.compile import compile_job, preview
from runner.errors import DataError, SpecError
from runner.job.params import certain_params
from runner.job.project import Job
from runner.remotes.registry import lines_of
from runner.spec.load import load

MODEL = "provider: embedded, name: echo"
TURNS = [
    {"role": "user", "content": "Weather in Lima?"},
    {
        "role": "assistant",
        "content": None,
        "tool_calls": [
            {"id": "c1", "type": "function", "function": {"name": "weather", "arguments": '{"city":"Lima"}'}}
        ],
    },
    {"role": "tool", "tool_call_id": "c1", "content": "sunny"},
    {"content": "Sunny.", "role": "assistant", "name": "bot"},
]
TOOLS = [{"type": "function", "function": {"name": "weather", "parameters": {"b": 1, "a": 2}}}]


def job_in(root: Path, prompt: str = "", job: str = "prompt: p", model: str = MODEL, file: str = "d.jsonl") -> Job:
    (root / "specs").mkdir(exist_ok=True)
    (root / "specs" / "s.yaml").write_text(
        f"models:\n  m: {{{model}}}\n"
        f"datasets:\n  d: {{files: {file}}}\n"
        + (f"prompts:\n  p: {prompt}\n" if prompt else "")
        + f"jobs:\n  j: {{dataset: d, model: m, {job}, output: results/j.jsonl}}\n",
        encoding="utf-8",
    )
    project = load(["specs"], root)
    (found,) = project.jobs
    assert isinstance(found, Job)
    return found


def lines(root: Path, job: Job) -> list[bytes]:
    provider = load(["specs"], root).providers[job.model.provider]
    return [line.data for line in preview(job, root, lines_of(provider))]


def bodies(root: Path, job: Job) -> list[str]:
    return [line.partition(b'"body":')[2][:-1].decode() for line in lines(root, job)]


def write(root: Path, rows: Iterable[Mapping[str, Any]], name: str = "d.jsonl") -> None:
    (root / name).write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")


def compact(value: Any) -> str:
    return msgspec.json.encode(value).decode()


def why(root: Path, job: Job) -> str:
    with pytest.raises(DataError) as caught:
        lines(root, job)
    return f"{caught.value.mark}: {caught.value.message}" + (f" ({caught.value.hint})" if caught.value.hint else "")


# --- conversations ------------------------------------------------------------------------------------------------

TEXT = st.text(st.characters(codec="utf-8"), max_size=6)
SAID = st.one_of(
    st.fixed_dictionaries({"role": st.sampled_from(["system", "user", "assistant", "developer"]), "content": TEXT}),
    st.fixed_dictionaries({"role": st.just("tool"), "content": TEXT, "tool_call_id": TEXT}, optional={"name": TEXT}),
    st.fixed_dictionaries(
        {"content": st.lists(st.fixed_dictionaries({"type": st.just("text"), "text": TEXT}), min_size=1, max_size=2)},
        optional={"x": st.floats(allow_nan=False, allow_infinity=False) | st.integers() | st.none()},
    ).map(lambda part: {**part, "role": "user"}),
)
HISTORY = st.lists(SAID, max_size=4)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=60)
@given(st.lists(HISTORY, min_size=1, max_size=4), TEXT)
def test_what_a_row_holds_stands_between_fixed_messages(tmp_path: Path, histories: list[Any], who: str) -> None:
    job = job_in(
        tmp_path,
        "{messages: [{role: system, content: 'Help {{ who }}.'}, {from: history}, {role: user, content: Go on.}]}",
    )
    write(tmp_path, [{"who": who, "history": history} for history in histories])
    first, last = {"role": "system", "content": f"Help {who}."}, {"role": "user", "content": "Go on."}
    assert bodies(tmp_path, job) == [
        compact({"model": "echo", "messages": [first, *history, last]}) for history in histories
    ]


@pytest.mark.parametrize(
    ("messages", "expected"),
    [
        ("{from: h}", TURNS),
        ("[{from: h}, {from: h}]", TURNS * 2),
        ("[{from: e}, {from: h}]", TURNS),
        ("[{from: e}, {role: user, content: x}]", [{"role": "user", "content": "x"}]),
        ("[{role: user, content: x}, {from: e}]", [{"role": "user", "content": "x"}]),
        ("[{from: e}, {from: h}, {role: user, content: x}]", [*TURNS, {"role": "user", "content": "x"}]),
    ],
)
def test_columns_alone_and_beside_each_other(tmp_path: Path, messages: str, expected: list[Any]) -> None:
    write(tmp_path, [{"h": TURNS, "e": []}])
    (body,) = bodies(tmp_path, job_in(tmp_path, f"{{messages: {messages}}}"))
    assert body == compact({"model": "echo", "messages": expected})


def test_the_same_conversation_is_the_same_request_in_every_format(tmp_path: Path) -> None:
    (tmp_path / "a.jsonl").write_text(json.dumps({"h": TURNS}, indent=None, separators=(" , ", " : ")) + "\n")
    with (tmp_path / "b.csv").open("w", newline="") as file:
        csv.writer(file).writerows([["h"], [json.dumps(TURNS, indent=2)]])
    turn = pa.struct([("role", pa.string()), ("content", pa.string())])
    plain = [TURNS[0], {"role": "assistant", "content": "Sunny."}]
    pq.write_table(pa.table({"h": pa.array([plain], pa.list_(turn))}), tmp_path / "c.parquet")
    (tmp_path / "d.jsonl").write_text(json.dumps({"h": json.dumps(plain)}))
    found = {}
    for name in ("a.jsonl", "b.csv", "c.parquet", "d.jsonl"):
        job = job_in(tmp_path, "{messages: {from: h}}", file=name)
        provider = load(["specs"], tmp_path).providers["embedded"]
        found[name] = bytes(compile_job(job, tmp_path, lines_of(provider)).wanted.keys)
    assert found["a.jsonl"] == found["b.csv"] != found["c.parquet"] == found["d.jsonl"]


FIXED = """
    messages:
      - {role: user, content: "Weather in {{ city }}?"}
      - role: assistant
        tool_calls:
          - {id: "{{ id }}", type: function, function: {name: weather, arguments: '{"city":{{ city | tojson }}}'}}
      - {role: tool, tool_call_id: "{{ id }}", content: "{{ sky }}"}
      - {role: assistant, name: bot, content: Fine.}
"""


def test_fixed_turns_of_tools_are_sent_as_chat_has_them(tmp_path: Path) -> None:
    write(tmp_path, [{"city": 'L"ima', "id": "c1", "sky": "sunny"}])
    (body,) = bodies(tmp_path, job_in(tmp_path, FIXED))
    function = {"name": "weather", "arguments": '{"city":"L\\"ima"}'}
    assert json.loads(body)["messages"] == [
        {"role": "user", "content": 'Weather in L"ima?'},
        {"role": "assistant", "tool_calls": [{"id": "c1", "type": "function", "function": function}]},
        {"role": "tool", "content": "sunny", "tool_call_id": "c1"},
        {"role": "assistant", "content": "Fine.", "name": "bot"},
    ]


def test_responses_has_them_as_items(tmp_path: Path) -> None:
    parts = [
        {"type": "text", "text": "look"},
        {"type": "image_url", "image_url": {"url": "https://x/y", "detail": "low"}},
    ]
    own = {"type": "reasoning", "id": "r1", "summary": []}
    write(
        tmp_path, [{"h": [*TURNS, own, {"role": "user", "content": parts}], "city": "Lima", "id": "c1", "sky": "sunny"}]
    )
    model = MODEL + ", endpoint: responses"
    (body,) = bodies(tmp_path, job_in(tmp_path, "{messages: {from: h}}", model=model))
    call = {"type": "function_call", "call_id": "c1", "name": "weather", "arguments": '{"city":"Lima"}'}
    image = {"type": "input_image", "image_url": "https://x/y", "detail": "low"}
    assert json.loads(body)["input"] == [
        TURNS[0],
        call,
        {"type": "function_call_output", "call_id": "c1", "output": "sunny"},
        TURNS[3],
        own,
        {"role": "user", "content": [{"type": "input_text", "text": "look"}, image]},
    ]
    (fixed,) = bodies(tmp_path, job_in(tmp_path, FIXED, model=model))
    assert json.loads(fixed)["input"][1:3] == [
        call,
        {"type": "function_call_output", "call_id": "c1", "output": "sunny"},
    ]


WRONG: list[tuple[Any, str]] = [
    ({"role": "user"}, "`h` is an object and must be a list of messages"),
    (None, "`messages` of prompt `p` (specs/s.yaml:6) fails: `h`: it is null"),
    ("[1", "`messages` of prompt `p` (specs/s.yaml:6) fails: `h`: its text is not JSON"),
    ([], "`h` has no messages (a request needs one; leave such rows out with `where`)"),
    ([TURNS[0], 7], "message 2 of `h` is `7`, and must be an object with `role` and `content`"),
    ([{"content": "x"}], "message 1 of `h` has no `role` (one of `system`, "),
    ([{"role": "bot", "content": "x"}], "message 1 of `h` has the role `bot` (it must be one of `system`, "),
    ([{"role": ["user"], "content": "x"}], "message 1 of `h` has the role a list (it must be one of `system`, "),
    ([TURNS[0], {"role": "user"}], "message 2 of `h` has no `content`"),
    ([{"role": "user", "content": 3}], "the `content` of message 1 of `h` is `3` and must be text or a list of parts"),
    ([{"role": "user", "content": []}], "the `content` of message 1 of `h` is an empty list"),
    (
        [{"role": "user", "content": ["x"]}],
        "part 1 of the `content` of message 1 of `h` has no `type` (such as `text`)",
    ),
    (
        [{"role": "assistant"}],
        "message 1 of `h` has no `content` (an assistant may do without where it has `tool_calls`)",
    ),
    ([{"role": "tool", "content": "x"}], "message 1 of `h` has no `tool_call_id`"),
    ([{**TURNS[1], "role": "user", "content": "x"}], "message 1 of `h` has `tool_calls`, and its role is `user`"),
    ([{"role": "assistant", "tool_calls": [{"type": "function"}]}], "call 1 of message 1 of `h` has no `id`"),
    (
        [{"role": "assistant", "tool_calls": [{"id": "a", "function": {"name": "f", "arguments": {"a": 1}}}]}],
        "`arguments` of the function of call 1 of message 1 of `h` is an object, and must be text (write it",
    ),
    (
        [{"role": "user", "content": "x" * 1_000_001}],
        "message 1 of `h` has 1,000,001 characters, and its provider takes",
    ),
]


def test_a_message_that_is_none_is_named_with_its_row(tmp_path: Path) -> None:
    job = job_in(tmp_path, "{messages: {from: h}}")
    for value, words in WRONG:
        write(tmp_path, [{"h": TURNS}, {"h": value}])
        assert why(tmp_path, job).startswith(f"d.jsonl:2: {words}"), value


def test_roles_are_those_that_the_provider_takes(tmp_path: Path) -> None:
    write(tmp_path, [{"h": [{"role": "developer", "content": "x"}]}])
    job = job_in(tmp_path, "{messages: {from: h}}", model="provider: fireworks, name: accounts/f/models/m")
    assert why(tmp_path, job).startswith("d.jsonl:1: message 1 of `h` has the role `developer` (it must be one of")


# --- tools --------------------------------------------------------------------------------------------------------


def test_each_row_brings_its_tools_or_none(tmp_path: Path) -> None:
    job = job_in(tmp_path, "{user: x, tools: {from: t}}")
    write(tmp_path, [{"t": TOOLS}, {"t": json.dumps(TOOLS)}, {"t": []}])
    said = [{"role": "user", "content": "x"}]
    whole = compact({"model": "echo", "tools": TOOLS, "messages": said})
    assert bodies(tmp_path, job) == [whole, whole, compact({"model": "echo", "messages": said})]
    write(tmp_path, [{"t": [*TOOLS, {"type": "function", "name": "flat"}]}])
    assert why(tmp_path, job) == (
        "d.jsonl:1: tool 2 of `t` has no `function` (write `{type: function, function: {name: ...}}`)"
    )
    responses = job_in(tmp_path, "{user: x, tools: {from: t}}", model=MODEL + ", endpoint: responses")
    write(tmp_path, [{"t": TOOLS}])
    assert "tool 1 of `t` has a `function` around its fields" in why(tmp_path, responses)


# --- params -------------------------------------------------------------------------------------------------------

TYPED = (
    'params: {max_tokens: "{{ n }}", temperature: "{{ t }}", stop: "{{ s }}", user: "u-{{ n }}", logprobs: "{{ l }}"}'
)


def test_params_keep_the_type_of_their_value(tmp_path: Path) -> None:
    job = job_in(tmp_path, "x", model=f"{MODEL}, {TYPED}")
    write(tmp_path, [{"n": 5, "t": 1.0, "s": ["a", "b"], "l": True}, {"n": 7, "t": None, "s": "x", "l": False}])
    said = [{"role": "user", "content": "x"}]
    expected = [
        {"logprobs": True, "max_tokens": 5, "stop": ["a", "b"], "temperature": 1, "user": "u-5", "messages": said},
        {"logprobs": False, "max_tokens": 7, "stop": "x", "temperature": None, "user": "u-7", "messages": said},
    ]
    assert bodies(tmp_path, job) == [compact({"model": "echo", **one}) for one in expected]


def test_text_of_csv_is_a_number_where_the_field_is_one(tmp_path: Path) -> None:
    (tmp_path / "d.csv").write_text("n,t,s,l\n5,0.25,x,TRUE\n 6 ,1e-1,7,false\n")
    job = job_in(tmp_path, "x", model=f"{MODEL}, {TYPED}", file="d.csv")
    found = [json.loads(body) for body in bodies(tmp_path, job)]
    assert [[one[name] for name in ("max_tokens", "temperature", "stop", "logprobs")] for one in found] == [
        [5, 0.25, "x", True],
        [6, 0.1, "7", False],
    ]


def test_a_value_of_another_type_is_named_with_its_row(tmp_path: Path) -> None:
    job = job_in(tmp_path, "x", model=f'{MODEL}, params: {{temperature: "{{{{ t }}}}"}}')
    for value, told in (("hot", 'the text `"hot"`'), (True, "`true`"), ([1], "a list"), ("1_0", 'the text `"1_0"`')):
        write(tmp_path, [{"t": 1}, {"t": value}])
        assert why(tmp_path, job) == (
            f"d.jsonl:2: `params.temperature` of model `m` is {told} here, and should be a number from 0 to 2"
            " (put the row right, or leave it out with `where`)"
        )


def test_a_param_of_each_row_is_the_same_request_as_a_fixed_one(tmp_path: Path) -> None:
    write(tmp_path, [{"t": 1.0, "q": 1}])
    found = []
    for params in ("temperature: 1", 'temperature: "{{ t }}"', 'temperature: "{{ q }}"', 'temperature: "{{ row.t }}"'):
        found += lines(tmp_path, job_in(tmp_path, "x", model=f"{MODEL}, params: {{{params}}}"))
    assert len(set(found)) == 1


# --- whole bodies -------------------------------------------------------------------------------------------------

VALUE = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | TEXT,
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(TEXT, inner, max_size=2),
    max_leaves=4,
)
FIELDS = st.dictionaries(TEXT.filter(lambda name: name not in ("stream", "model", "messages")), VALUE, max_size=3)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=60)
@given(st.lists(st.tuples(FIELDS, HISTORY.filter(len), st.booleans()), min_size=1, max_size=3))
def test_a_column_of_bodies_is_sent_with_our_model_and_params(tmp_path: Path, made: list[Any]) -> None:
    found = [{**fields, "messages": turns, **({"model": "echo"} if says else {})} for fields, turns, says in made]
    write(tmp_path, [{"b": body} for body in found])
    job = job_in(tmp_path, job="body: {from: b}", model=MODEL + ", params: {top_p: 0.5}")
    ours = {"model": "echo", "top_p": 0.5}
    expected = [{**{n: v for n, v in ours.items() if n not in body}, **body} for body in found]
    assert bodies(tmp_path, job) == list(map(compact, expected))


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=60)
@given(st.lists(VALUE, min_size=1, max_size=3))
def test_a_mapping_keeps_the_types_of_its_values(tmp_path: Path, values: list[Any]) -> None:
    write(tmp_path, [{"v": value, "n": 1} for value in values])
    body = '{x: "{{ v }}", deep: [{y: "{{ row.v }}"}, "n={{ n }}"], messages: [{role: user, content: hi}]}'
    job = job_in(tmp_path, job=f"body: {body}")
    assert bodies(tmp_path, job) == [
        compact(
            {
                "model": "echo",
                "x": value,
                "deep": [{"y": value}, "n=1"],
                "messages": [{"role": "user", "content": "hi"}],
            }
        )
        for value in values
    ]


def test_a_body_of_another_model_is_named_with_its_row(tmp_path: Path) -> None:
    good = {"messages": TURNS}
    column, mapped = job_in(tmp_path, job="body: {from: b}"), 'body: {model: "{{ m }}", messages: "{{ h }}"}'
    write(tmp_path, [{"b": good}, {"b": {"model": "gpt-x", **good}}])
    words = "names the model `gpt-x`, and `echo` is asked (a job asks one model: give the others a job of their own)"
    assert why(tmp_path, column) == f"d.jsonl:2: `b` {words}"
    for value, expected in (
        ([], "`b` is a list and must be an object, the body of a request"),
        ({}, "`b` has no `messages`, which `/v1/chat/completions` needs"),
        ({**good, "stream": True}, "`b` sets `stream` (a batch cannot stream: remove it)"),
        ({"messages": [{"role": "user"}]}, "message 1 of `b` has no `content`"),
        ({"messages": []}, "`messages` of `b` is an empty list"),
    ):
        write(tmp_path, [{"b": good}, {"b": value}])
        assert why(tmp_path, column) == f"d.jsonl:2: {expected}"
    job = job_in(tmp_path, job=mapped)
    write(tmp_path, [{"m": "echo", "h": TURNS}, {"m": "gpt-x", "h": TURNS}])
    assert why(tmp_path, job) == f"d.jsonl:2: `body` of job `j` {words}"
    write(tmp_path, [{"m": "echo", "h": [{"role": "user"}]}])
    assert why(tmp_path, job) == "d.jsonl:1: message 1 of `messages` has no `content`"


@pytest.mark.parametrize(
    ("asked", "certain"),
    [
        ("prompt: p", {"max_tokens": 40, "top_p": 0.5}),
        ('body: {max_tokens: 4000, n: 2, messages: "{{ h }}"}', {"max_tokens": 4000, "top_p": 0.5, "n": 2}),
        ('body: {max_tokens: "{{ m }}", messages: "{{ h }}"}', {"top_p": 0.5}),
        ("body: {from: b}", {}),
    ],
)
def test_what_a_row_may_change_is_counted_on_by_nobody(tmp_path: Path, asked: str, certain: Mapping[str, Any]) -> None:
    """Neither by what it may cost at most, nor by a remote that is told of a batch as a whole."""
    more = ', temperature: "{{ t }}"' if asked.startswith("prompt") else ""
    own = f"{{max_tokens: 40, top_p: 0.5{more}}}"
    job = job_in(tmp_path, "x", asked, f"{MODEL}, params: {own}")
    assert certain_params(job) == certain


def test_fields_of_a_mapping_are_looked_at_as_params_are(tmp_path: Path) -> None:
    job_in(tmp_path, job='body: {messages: "{{ h }}", tempature: 1, top_p: "{{ p }}", max_tokens: many}')
    unknown, many = (one.partition(": ")[2] for one in load(["specs"], tmp_path).warnings)
    assert unknown.startswith("`body.tempature` of job `j` is not known to `/v1/chat/completions`, and is sent as it")
    assert unknown.endswith("did you mean `temperature`?")
    assert many.startswith('`body.max_tokens` of job `j` is `"many"`, a text, and is sent as it stands; it should be')
    with pytest.raises(SpecError) as caught:
        job_in(tmp_path, job='body: {messages: "{{ h }}", response_format: {type: json_shema}}')
    assert caught.value.problems[0].message.startswith("`body.response_format` of job `j` has the unknown type")


def test_where_the_batch_names_the_model_no_body_does(tmp_path: Path) -> None:
    write(tmp_path, [{"b": {"model": "accounts/f/models/m", "messages": TURNS, "top_p": 0.5}}])
    job = job_in(tmp_path, job="body: {from: b}", model="provider: fireworks, name: accounts/f/models/m")
    assert bodies(tmp_path, job) == [compact({"messages": TURNS, "top_p": 0.5})]


def test_other_endpoints_take_bodies_too(tmp_path: Path) -> None:
    write(tmp_path, [{"b": {"input": "x", "dimensions": 4}}])
    for endpoint in ("embeddings", "responses"):
        job = job_in(tmp_path, job="body: {from: b}", model=f"{MODEL}, endpoint: {endpoint}")
        assert bodies(tmp_path, job) == [compact({"model": "echo", "input": "x", "dimensions": 4})]
    job = job_in(tmp_path, job="body: {from: b}", model=f"{MODEL}, endpoint: completions")
    assert why(tmp_path, job) == "d.jsonl:1: `b` has no `prompt`, which `/v1/completions` needs"


# --- identity -----------------------------------------------------------------------------------------------------


def test_another_layout_of_the_specs_is_the_same_request(tmp_path: Path) -> None:
    write(tmp_path, [{"n": 1, "h": TURNS}])
    short = "{messages: [{role: system, content: Hi}, {from: h}, {role: tool, content: x, tool_call_id: 'c{{ n }}'}]}"
    long = """
    messages:
      - content: Hi
        role: system
      - from: h   # all of it
      - tool_call_id: "c{{ n }}"
        content: |-
          x
        role: tool
"""
    other = short.replace("Hi", "Ha")
    one, two, three = (lines(tmp_path, job_in(tmp_path, prompt)) for prompt in (short, long, other))
    assert one == two != three


def test_every_byte_of_a_body_counts(tmp_path: Path) -> None:
    job = job_in(tmp_path, job="body: {from: b}")
    body = {"messages": [{"role": "user", "content": "a"}], "seed": 1}
    swapped = dict(reversed(body.items()))
    found = []
    for one in (body, swapped, {**body, "seed": 2}, {**body, "seed": 1.5}, {**body, "user": ""}):
        write(tmp_path, [{"b": one}])
        found += lines(tmp_path, job)
    assert len(set(found)) == len(found)


def test_a_column_that_is_not_there_is_told_before_anything_is_sent(tmp_path: Path) -> None:
    from runner.compile.check import problems_of

    write(tmp_path, [{"history": TURNS, "n": 1}])
    job_in(
        tmp_path,
        "{messages: [{from: histroy}, {role: user, content: x, name: '{{ who }}'}], tools: {from: tool}}",
        model=MODEL + ', params: {seed: "{{ m }}"}',
    )
    assert [str(problem.message) for problem in problems_of(load(["specs"], tmp_path))] == [
        "`params.seed` of model `m` uses `m`, which is not a column",
        "`messages` of prompt `p` uses `histroy`, which is not a column",
        "`name` of the user message of prompt `p` uses `who`, which is not a column",
        "`tools` of prompt `p` uses `tool`, which is not a column",
    ]


def test_params_of_recordings_are_no_templates(tmp_path: Path) -> None:
    (tmp_path / "specs").mkdir()
    (tmp_path / "specs" / "s.yaml").write_text(
        'models: {w: {provider: embedded, name: echo, params: {language: "{{ l }}"}}}\n'
        "jobs: {j: {audio: a/*.wav, model: w, output: out/}}\n"
    )
    with pytest.raises(SpecError) as caught:
        load(["specs"], tmp_path)
    assert [problem.message for problem in caught.value.problems] == [
        "`params` of model `w` holds `{{ l }}`, and no template is filled in there"
    ]
