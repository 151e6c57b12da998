"""What makes two requests the same. The golden digests stay as they are for ever: a new scheme gets a new tag."""

from __future__ import annotations

import base64
import hashlib
import re
import tempfile
from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from runner.compile import digest
from runner.compile.compile import CompiledJob, compile_job
from runner.compile.shard import identity_of
from runner.errors import SpecError
from runner.job.project import Job
from runner.job.wireid import custom_id_of, key_of
from runner.remotes.fireworks import lines as fireworks
from runner.remotes.openai import lines as openai
from runner.remotes.vendor import Lines
from runner.spec.load import load
from tests.compile.made import COUNTRIES, job_of, write_rows

SCHEMA = {
    "type": "json_schema",
    "json_schema": {"name": "c", "schema": {"type": "object", "properties": {"b": {}, "a": {}}}, "strict": True},
}
CHAT = job_of(
    [("system", "You are a géographe."), ("user", "Capital of {{ country }}? \u2028")],
    model={"params": {"temperature": 0.0, "max_tokens": 64.0, "stop": ["\n", "é"], "top_p": 0.5}},
)


def compiled(root: Path, job: Job, lines: Lines = openai.LINES) -> CompiledJob:
    return compile_job(job, root, lines)


def body_of(root: Path, job: Job, lines: Lines = openai.LINES) -> bytes:
    (line,) = compiled(root, job, lines).lines([0])
    return line.data.partition(b'"body":')[2][:-1]


def by_hand(job: Job, body: bytes, model: str = "") -> str:
    """The rule of identity, written a second time."""
    whole = hashlib.sha256(b"runner-request/1\n")
    parts = [job.model.provider, job.model.endpoint, str(job.replicate), model]
    if "precision" in job.model.options:
        parts.append(f"precision={job.model.options['precision']}")
    for part in (*(part.encode() for part in parts), body):
        whole.update(len(part).to_bytes(8, "big") + part)
    return whole.hexdigest()


def endpoint(path: str, **more: Any) -> Job:
    return replace(CHAT, model=replace(CHAT.model, endpoint=path, **more))


GOLDEN = {
    "chat": (
        CHAT,
        openai.LINES,
        (
            '{"model":"gpt-x","max_tokens":64,"stop":["\\n","é"],"temperature":0,"top_p":0.5,"messages":['
            '{"role":"system","content":"You are a géographe."},{"role":"user","content":"Capital of Perú? \u2028"}]}'
        ),
        "a379dbeb74514f418cf2150669d96b0c636741c61b6383ab861564311e4b947f",
    ),
    "fireworks": (
        CHAT,
        fireworks.LINES,
        (
            '{"max_tokens":64,"stop":["\\n","é"],"temperature":0,"top_p":0.5,"messages":['
            '{"role":"system","content":"You are a géographe."},{"role":"user","content":"Capital of Perú? \u2028"}]}'
        ),
        "d251c4d68381ccb9c07487b3a84879fba431cfa823c55d2519678849ab6022f4",
    ),
    "fireworks with a precision": (
        replace(CHAT, model=replace(CHAT.model, options={"precision": "FP8", "placement": {"region": "US"}})),
        fireworks.LINES,
        (
            '{"max_tokens":64,"stop":["\\n","é"],"temperature":0,"top_p":0.5,"messages":['
            '{"role":"system","content":"You are a géographe."},{"role":"user","content":"Capital of Perú? \u2028"}]}'
        ),
        "964783c70cabb1629d6d675e039505816396c1c2b73ab47a3c2a036c469ae640",
    ),
    "schema": (
        replace(CHAT, prompt=replace(CHAT.prompt, response_format=SCHEMA, tools=({"z": 1, "a": 2.0},))),
        openai.LINES,
        (
            '{"model":"gpt-x","max_tokens":64,"stop":["\\n","é"],"temperature":0,"top_p":0.5,"response_format":'
            '{"type":"json_schema","json_schema":{"name":"c","schema":{"type":"object","properties":{"b":{},"a":{}}},'
            '"strict":true}},"tools":[{"z":1,"a":2.0}],"messages":['
            '{"role":"system","content":"You are a géographe."},{"role":"user","content":"Capital of Perú? \u2028"}]}'
        ),
        "36cf5e715bbe8a39717ef51f150d6285c5749fe0ab35206f5e5f634eddf91b63",
    ),
    "responses": (
        replace(endpoint("/v1/responses"), prompt=replace(CHAT.prompt, response_format=SCHEMA)),
        openai.LINES,
        (
            '{"model":"gpt-x","max_tokens":64,"stop":["\\n","é"],"temperature":0,"top_p":0.5,"text":{"format":'
            '{"type":"json_schema","name":"c","schema":{"type":"object","properties":{"b":{},"a":{}}},"strict":true}},'
            '"input":[{"role":"system","content":"You are a géographe."},'
            '{"role":"user","content":"Capital of Perú? \u2028"}]}'
        ),
        "c2e132ab8b44c8c6c5032bb9f7be16212fa8dda48cb4f1834dec573ab0d7d1d3",
    ),
    "embeddings": (
        endpoint("/v1/embeddings", params={"dimensions": 256.0}),
        openai.LINES,
        '{"model":"gpt-x","dimensions":256,"input":"You are a géographe.\\n\\nCapital of Perú? \u2028"}',
        "d56d72c116a18773a57ce650ca4174944623e452c983a51555d8eb4ac2ee14c5",
    ),
    "completions": (
        endpoint("/v1/completions", params={}),
        openai.LINES,
        '{"model":"gpt-x","prompt":"You are a géographe.\\n\\nCapital of Perú? \u2028"}',
        "0f5b435e832b6d1dac5080af1f0c3b7501448cb2ee4e7340a996c692ff8ee3d8",
    ),
}


@pytest.mark.parametrize("name", sorted(GOLDEN))
def test_golden_bodies_and_digests(tmp_path: Path, name: str) -> None:
    job, lines, body, expected = GOLDEN[name]
    write_rows(tmp_path, COUNTRIES[:1])
    assert body_of(tmp_path, job, lines).decode() == body
    (row,) = compiled(tmp_path, job, lines).rows()
    model = "gpt-x" if lines is fireworks.LINES else ""
    assert row.digest.hex() == by_hand(job, body.encode(), model) == expected


def test_lines_of_both_envelopes(tmp_path: Path) -> None:
    write_rows(tmp_path, COUNTRIES[:1])
    job = job_of(dataset={"id": "code"})
    for lines, between in (
        (openai.LINES, '"method":"POST","url":"/v1/chat/completions",'),
        (fireworks.LINES, ""),
    ):
        one = compiled(tmp_path, job, lines)
        (line,) = one.lines([0])
        assert line.data.startswith(f'{{"custom_id":"{custom_id_of("PE", line.key)}",{between}"body":{{'.encode())
        assert msgspec.json.decode(line.data)["body"]["messages"][0]["content"] == "What is the capital of Perú?"
        assert list(one.wanted.sizes) == [len(line.data)]
        assert bytes(one.wanted.keys) == line.key


ROWS = st.lists(st.fixed_dictionaries({"country": st.text(max_size=5), "n": st.integers()}), min_size=1, max_size=6)


@given(ROWS, st.randoms(use_true_random=False))
def test_digests_do_not_depend_on_order_and_names_of_files(rows: list[dict[str, Any]], random: Any) -> None:
    shuffled = list(rows)
    random.shuffle(shuffled)
    with tempfile.TemporaryDirectory() as name:
        root = Path(name)
        write_rows(root, rows)
        write_rows(root, shuffled, "other.jsonl")
        one = compiled(root, job_of("{{ country }} {{ n }}"))
        two = compiled(root, job_of("{{ country }} {{ n }}", files=("other.jsonl",)))
        assert sorted(row.digest for row in one.rows()) == sorted(row.digest for row in two.rows())
        assert one.wanted.tokens == two.wanted.tokens


PARAMS = st.dictionaries(
    st.sampled_from(["temperature", "top_p", "seed", "logit_bias", "stop", "zeta"]),
    st.recursive(
        st.integers(-5, 5) | st.floats(-2, 2) | st.booleans() | st.none() | st.text(max_size=3),
        lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=2), inner, max_size=3),
        max_leaves=6,
    ),
)


def reordered(value: Any) -> Any:
    """The same params as somebody else would write them: keys backwards, integers as floats."""
    if isinstance(value, dict):
        return {key: reordered(value[key]) for key in reversed(value)}
    if isinstance(value, list):
        return [reordered(item) for item in value]
    return float(value) if type(value) is int else value


@given(PARAMS)
def test_params_have_one_spelling(params: dict[str, Any]) -> None:
    with tempfile.TemporaryDirectory() as name:
        write_rows(Path(name), COUNTRIES[:1])
        bodies = {body_of(Path(name), job_of(model={"params": p})) for p in (params, reordered(params))}
        assert len(bodies) == 1


def test_the_authors_order_counts_inside_schemas(tmp_path: Path) -> None:
    write_rows(tmp_path, COUNTRIES[:1])
    for key in ("response_format", "tools"):
        value: Any = {"b": {"y": 1, "x": 2}, "a": 3}
        swapped: Any = {"a": 3, "b": {"x": 2, "y": 1}}
        as_tools = [(v,) if key == "tools" else v for v in (value, swapped)]
        assert len({body_of(tmp_path, job_of(prompt={key: v})) for v in as_tools}) == 2
        assert len({body_of(tmp_path, job_of(model={"params": {key: v}})) for v in (value, swapped)}) == 2


def test_every_part_of_identity_changes_the_digest(tmp_path: Path) -> None:
    write_rows(tmp_path, COUNTRIES[:1])
    jobs = [
        job_of(),
        job_of(replicate=2),
        job_of("What is the capital of {{ country }}? "),
        job_of([("system", "x"), ("user", "What is the capital of {{ country }}?")]),
        job_of(model={"name": "gpt-y"}),
        job_of(model={"provider": "azure"}),
        job_of(model={"endpoint": "/v1/completions"}),
        job_of(model={"params": {"seed": 1}}),
        job_of(prompt={"response_format": {"type": "text"}}),
    ]
    assert len({bytes(compiled(tmp_path, job).wanted.keys) for job in jobs}) == len(jobs)


def test_nothing_else_changes_the_digest(tmp_path: Path) -> None:
    write_rows(tmp_path, COUNTRIES[:1])
    job = job_of()
    others = [
        replace(job, address="k", name="k", window_hours=48, output="x.csv", budget=1.0),
        replace(job, prompt=replace(job.prompt, key="q")),
        replace(job, model=replace(job.model, key="n", options={"poll": 3})),
        job_of(dataset={"id": "code"}),
    ]
    assert {bytes(compiled(tmp_path, other).wanted.keys) for other in others} == {
        bytes(compiled(tmp_path, job).wanted.keys)
    }


def test_the_model_outside_the_body_is_part_of_the_digest(tmp_path: Path) -> None:
    write_rows(tmp_path, COUNTRIES[:1])
    one, two = (compiled(tmp_path, job_of(model={"name": n}), fireworks.LINES) for n in ("a", "b"))
    assert one.wanted.keys != two.wanted.keys


def test_precision_makes_another_request_and_placement_does_not(tmp_path: Path) -> None:
    write_rows(tmp_path, COUNTRIES[:1])
    options: list[dict[str, Any]] = [{}, {"precision": "FP8"}, {"precision": "BF16"}]
    jobs = [job_of(model={"options": chosen}) for chosen in options]
    placed = [job_of(model={"options": {**chosen, "placement": {"region": "US"}}}) for chosen in options]
    keys = [bytes(compiled(tmp_path, job, fireworks.LINES).wanted.keys) for job in (*jobs, *placed)]
    assert len(set(keys[:3])) == 3
    assert keys[:3] == keys[3:]
    shards = [identity_of(job, fireworks.LINES) for job in (*jobs, *placed)]
    assert len(set(shards[:3])) == 3
    assert shards[:3] == shards[3:]


@given(
    st.text(max_size=8), st.text(max_size=8), st.integers(1, 9), st.text(max_size=8), st.binary(max_size=200), st.data()
)
def test_a_prefix_hashed_before_gives_the_same_digest(
    provider: str, endpoint: str, replicate: int, model: str, body: bytes, data: st.DataObject
) -> None:
    prefix = body[: data.draw(st.integers(0, len(body)))]
    digester = digest.digester(provider, endpoint, replicate, model, prefix=prefix)
    assert digester(body) == digester(body) == digest.of(provider, endpoint, replicate, model, body=body)


@pytest.mark.parametrize(
    "params", [{"x": float("nan")}, {"x": [{"y": float("inf")}]}, {"model": "m"}, {"messages": []}]
)
def test_params_that_cannot_be_sent_are_refused(tmp_path: Path, params: dict[str, Any]) -> None:
    write_rows(tmp_path, COUNTRIES)
    with pytest.raises(SpecError) as caught:
        compiled(tmp_path, job_of(model={"params": params}))
    assert str(caught.value.problems[0].mark) == "s.yaml:5"


@given(st.text(max_size=60), st.binary(min_size=16, max_size=16))
def test_custom_ids_round_trip(readable: str, key: bytes) -> None:
    custom_id = custom_id_of(readable, key)
    assert re.fullmatch(r"[A-Za-z0-9_-]{24,63}", custom_id)
    assert key_of(custom_id) == key
    assert base64.urlsafe_b64encode(key).rstrip(b"=").decode() == custom_id[-22:]


@given(st.text(max_size=70))
def test_ids_of_others_are_not_ours(text: str) -> None:
    key = key_of(text)
    assert key is None or custom_id_of("", key)[-22:] == text[-22:]


def test_an_id_has_one_spelling() -> None:
    ours = custom_id_of("PE", bytes(16))
    assert key_of(ours) == bytes(16)
    for other in (ours[:-1] + "B", ours[3:], ours + "=", "PE_" + ours[3:], "", "request-1", ours[:-1] + "é"):
        assert key_of(other) is None, other


def test_what_answers_are_held_to_is_in_no_digest_and_in_no_compiled_job(tmp_path: Path) -> None:
    """Every key that specs have for it: a check that is edited must never ask a question again."""
    everything = (Path(__file__).parents[1] / "spec/valid/everything.yaml").read_text()
    (tmp_path / "specs").mkdir()
    (tmp_path / "specs/all.yaml").write_text(everything)
    vectors = next(job for job in load(["specs"], tmp_path).jobs if job.name == "vectors")
    evals = vectors.evals
    assert evals.checks and evals.slices and evals.cluster and evals.references and evals.expect
    write_rows(tmp_path, COUNTRIES[:1])
    bare, held = CHAT, replace(CHAT, evals=evals)
    assert identity_of(held, openai.LINES) == identity_of(bare, openai.LINES)
    assert compiled(tmp_path, held).wanted.keys == compiled(tmp_path, bare).wanted.keys
    assert body_of(tmp_path, held) == body_of(tmp_path, bare)
