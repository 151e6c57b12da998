"""Lines of a batch file: their bodies go as they stand, byte for byte, and each is held to what the first one asks."""

from __future__ import annotations

import gzip
import json
import time
from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from runner.compile import shard
from runner.compile.compile import CompiledJob, compile_job
from runner.compile.faults import RowsFailed
from runner.errors import DataError, SpecError
from runner.job.project import Job
from runner.remotes.registry import lines_of
from runner.spec import memo
from runner.spec.load import load
from tests.compile.test_conversations import TEXT, TURNS, VALUE

# The lines that the vendors' own pages show.
OPENAI = (
    '{"custom_id":"req-1","method":"POST","url":"/v1/responses","body":{"model":"gpt-4.1","input":"Say hi in one'
    ' sentence."}}\n'
    '{"custom_id":"req-2","method":"POST","url":"/v1/responses","body":{"model":"gpt-4.1","input":"What is 2+2?"}}\n'
)
FIREWORKS = (
    '{"custom_id": "request-1", "body": {"messages": [{"role": "system", "content": "You are a helpful assistant."}, '
    '{"role": "user", "content": "What is the capital of France?"}], "max_tokens": 100}}\n'
    '{"custom_id": "request-2", "body": {"messages": [{"role": "user", "content": "Explain quantum computing"}],'
    ' "temperature": 0.7}}\n'
    '{"custom_id": "request-3", "body": {"messages": [{"role": "user", "content": "Tell me a joke"}]}}\n'
)


def job_of(root: Path, asked: str = "provider: embedded", requests: str = "b.jsonl", models: str = "") -> Job:
    (root / "specs").mkdir(exist_ok=True)
    (root / "specs" / "s.yaml").write_text(
        f"{models}jobs:\n  j:\n    requests: {requests}\n    {asked}\n    output: results/j.jsonl\n"
    )
    (job,) = load(["specs"], root).jobs
    assert isinstance(job, Job)
    return job


def compiled(root: Path, job: Job) -> CompiledJob:
    provider = load(["specs"], root).providers[job.model.provider]
    return compile_job(job, root, lines_of(provider))


def sent(root: Path, job: Job) -> list[bytes]:
    found = compiled(root, job)
    return [line.data.partition(b'"body":')[2][:-1] for line in found.lines(range(len(found.wanted)))]


def line_of(number: int, body: Any, **more: Any) -> str:
    return json.dumps({"custom_id": f"r{number}", "method": "POST", "url": "/v1/chat/completions", "body": body} | more)


def bodies_in(text: str) -> list[bytes]:
    decode = msgspec.json.Decoder(dict[str, msgspec.Raw]).decode
    return [bytes(decode(line)["body"]) for line in text.splitlines()]


def test_lines_of_openai_are_sent_byte_for_byte(tmp_path: Path) -> None:
    (tmp_path / "b.jsonl").write_text(OPENAI)
    job = job_of(tmp_path, "provider: openai")
    assert (job.model.name, job.model.endpoint, job.model.provider) == ("gpt-4.1", "/v1/responses", "openai")
    assert sent(tmp_path, job) == bodies_in(OPENAI)
    found = compiled(tmp_path, job)
    assert [row.custom_id for row in found.rows()] == ["req-1", "req-2"]
    assert [row.row_json.decode() for row in found.rows()] == OPENAI.splitlines()
    (first, _) = found.lines([0, 1])
    assert json.loads(first.data)["url"] == "/v1/responses"
    assert json.loads(first.data)["custom_id"].startswith("req-1-")


def test_lines_of_fireworks_name_no_model(tmp_path: Path) -> None:
    (tmp_path / "b.jsonl").write_text(FIREWORKS)
    models = "models: {m: {provider: fireworks, name: accounts/a/models/m}}\n"
    assert sent(tmp_path, job_of(tmp_path, "model: m", models=models)) == bodies_in(FIREWORKS)
    # a remote whose lines name their model gets it in front
    models = "models: {m: {provider: embedded, name: echo}}\n"
    expected = [b'{"model":"echo",' + body[1:] for body in bodies_in(FIREWORKS)]
    assert sent(tmp_path, job_of(tmp_path, "model: m", models=models)) == expected
    with pytest.raises(SpecError) as caught:
        job_of(tmp_path, "provider: fireworks")
    (problem,) = caught.value.problems
    assert problem.message == "the first line of job `j`, at `b.jsonl:1`, names no model"
    assert problem.hint == "declare one under `models`, and name it: `model: NAME` instead of `provider`"


def test_where_the_batch_names_the_model_it_is_taken_out(tmp_path: Path) -> None:
    body = '{"temperature": 1.0, "model": "accounts/a/models/m", "messages": [{"role": "user", "content": "\\u00e9"}]}'
    (tmp_path / "b.jsonl").write_text('{"custom_id": "a", "body": ' + body + "}")
    expected = b'{"temperature":1.0,"messages":[{"role": "user", "content": "\\u00e9"}]}'
    assert sent(tmp_path, job_of(tmp_path, "provider: fireworks")) == [expected]


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=40)
@given(
    st.lists(st.tuples(st.dictionaries(TEXT, VALUE, max_size=2), st.booleans(), TEXT), min_size=1, max_size=5),
    st.sampled_from([(",", ":"), (", ", ": "), (" , ", " : ")]),
    st.booleans(),
)
def test_every_body_goes_as_it_stands(tmp_path: Path, made: list[Any], blanks: tuple[str, str], ascii: bool) -> None:
    rows = [
        {**more, "messages": TURNS if with_tools else [{"role": "user", "content": said}], "model": "echo"}
        for more, with_tools, said in made
    ]
    for row in rows:
        row.pop("stream", None)
    text = "".join(
        json.dumps({"body": row, "custom_id": f"r{n}"}, separators=blanks, ensure_ascii=ascii) + "\n"
        for n, row in enumerate(rows)
    )
    (tmp_path / "b.jsonl").write_text(text, encoding="utf-8")
    expected = [json.dumps(row, separators=blanks, ensure_ascii=ascii).encode() for row in rows]
    assert sent(tmp_path, job_of(tmp_path)) == expected


def test_every_byte_of_a_body_counts_and_nothing_else(tmp_path: Path) -> None:
    body = '{"model": "echo", "messages": [{"role": "user", "content": "a"}]}'
    keys = []
    for head, said, tail in (
        ('{"custom_id": "a", "body": ', body, "}"),
        ('{"body": ', body, ', "custom_id": "b", "method": "POST", "url": "/v1/chat/completions"}'),
        ('  {"custom_id": "c", "url": "chat/completions", "body":', body, "}\r"),
        ('{"custom_id": "a", "body": ', body.replace(": ", ":"), "}"),
        ('{"custom_id": "a", "body": ', body.replace('"a"', '"b"'), "}"),
    ):
        (tmp_path / "b.jsonl").write_text(f"{head}{said}{tail}\n")
        keys.append(bytes(compiled(tmp_path, job_of(tmp_path)).wanted.keys))
    assert keys[0] == keys[1] == keys[2]
    assert len(set(keys)) == 3


def test_files_by_globs_lists_and_packed(tmp_path: Path) -> None:
    body = {"model": "echo", "messages": TURNS}
    (tmp_path / "in").mkdir()
    (tmp_path / "in" / "a.jsonl").write_text(line_of(1, body) + "\n\n" + line_of(2, body))
    (tmp_path / "in" / "b.jsonl.gz").write_bytes(gzip.compress(line_of(3, body).encode()))
    for requests in ("in/*.jsonl*", "[in/a.jsonl, in/b.jsonl.gz]"):
        found = compiled(tmp_path, job_of(tmp_path, requests=requests))
        assert [row.custom_id for row in found.rows()] == ["r1", "r2", "r3"]


GOOD: dict[str, Any] = {"model": "echo", "messages": [{"role": "user", "content": "x"}]}
WRONG = [
    (line_of(2, GOOD, url="/v1/embeddings"), "the line asks `/v1/embeddings`, and the first one, at `b.jsonl:1`, asks"),
    (line_of(2, {**GOOD, "model": "b"}), "`body` names the model `b`, and the first line, at `b.jsonl:1`, `echo`"),
    (line_of(2, {**GOOD, "model": None}), "`body` names the model null, and the first line, at `b.jsonl:1`, `echo`"),
    (line_of(2, GOOD, method="GET"), "`method` is `GET`, and a batch takes `POST` alone"),
    (line_of(2, GOOD, custom_id=7), "`custom_id` is `7`, and must be a text that is not empty"),
    (line_of(2, GOOD, custom_id=" "), '`custom_id` is the text `" "`, and must be a text that is not empty'),
    ('{"body": {}}', "the line has no `custom_id`"),
    ('{"custom_id": "a"}', "the line has no `body`"),
    (line_of(2, [1]), "`body` is a list, not an object"),
    (line_of(2, {"model": "echo"}), "`body` has no `messages`, which `/v1/chat/completions` needs"),
    (line_of(2, {**GOOD, "stream": True}), "`body` sets `stream`"),
    (line_of(2, {**GOOD, "messages": [{"role": "bot", "content": "x"}]}), "message 1 of `body` has the role `bot`"),
    (line_of(2, {**GOOD, "messages": [{"role": "tool", "content": "x"}]}), "message 1 of `body` has no `tool_call_id`"),
    (line_of(2, {**GOOD, "messages": []}), "`messages` of `body` is an empty list"),
    ("[1]", "the line is a list, and must be an object"),
    ('{"custom_id": "a", "body": {', "the line is not JSON: "),
    ('{"custom_id": "a", "body": {"x": NaN}}', "`body` holds NaN or infinity, which cannot be sent"),
    (b'{"custom_id": "a", "body": {"x": "\xff"}}', "the line is not JSON: "),
]


@pytest.mark.parametrize(("line", "words"), WRONG, ids=[words[:40] for _, words in WRONG])
def test_a_line_that_is_none_is_named(tmp_path: Path, line: str | bytes, words: str) -> None:
    raw = line.encode() if isinstance(line, str) else line
    (tmp_path / "b.jsonl").write_bytes(line_of(1, GOOD).encode() + b"\n" + raw + b"\n" + line_of(3, GOOD).encode())
    job = job_of(tmp_path)
    with pytest.raises((RowsFailed, DataError)) as caught:
        compiled(tmp_path, job)
    problems = caught.value.problems if isinstance(caught.value, RowsFailed) else [caught.value]
    (problem,) = problems
    assert str(problem.mark) == "b.jsonl:2"
    assert problem.message.startswith(words)


def test_the_same_id_twice_names_both_lines(tmp_path: Path) -> None:
    (tmp_path / "b.jsonl").write_text("\n".join(line_of(n, GOOD) for n in (1, 2, 1)))
    job = job_of(tmp_path)
    with pytest.raises(DataError) as caught:
        compiled(tmp_path, job)
    assert caught.value.message == "the id `r1` is there twice: at `b.jsonl:1` and at `b.jsonl:3`"
    assert caught.value.hint == "give each line a `custom_id` of its own"


def test_a_named_model_is_held_to(tmp_path: Path) -> None:
    (tmp_path / "b.jsonl").write_text(line_of(1, {**GOOD, "model": "gpt-x"}))
    models = "models: {m: {provider: embedded, name: echo}}\n"
    with pytest.raises(RowsFailed) as caught:
        compiled(tmp_path, job_of(tmp_path, "model: m", models=models))
    assert caught.value.problems[0].message == "`body` names the model `gpt-x`, and `echo` is asked"
    (tmp_path / "b.jsonl").write_text(line_of(1, {"model": "echo", "input": "x"}, url="/v1/embeddings"))
    with pytest.raises(RowsFailed) as caught:
        compiled(tmp_path, job_of(tmp_path, "model: m", models=models))
    problem = caught.value.problems[0]
    assert problem.message == "the line asks `/v1/embeddings`, and the job's model is asked at `/v1/chat/completions`"
    assert problem.hint == "give the model `endpoint: /v1/embeddings`"


def test_the_longest_answer_is_the_largest_bound_of_all_lines(tmp_path: Path) -> None:
    for limits, longest in (
        ([{"max_tokens": 5}, {"max_completion_tokens": 70}, {"max_output_tokens": 9}], 70),
        ([{"max_tokens": 5}, {}], None),
        ([{"max_tokens": 5}, {"max_tokens": "many"}], None),
    ):
        lines = [line_of(n, {**GOOD, **limit}) for n, limit in enumerate(limits)]
        (tmp_path / "b.jsonl").write_text("\n".join(lines))
        job = job_of(tmp_path)
        assert compiled(tmp_path, job).wanted.longest_answer == longest


def test_no_file_outside_of_the_project_is_read(tmp_path: Path) -> None:
    (tmp_path / "secret.jsonl").write_text(line_of(1, {**GOOD, "model": "canary"}))
    root = tmp_path / "root"
    root.mkdir()
    (root / "b.jsonl").symlink_to(tmp_path / "secret.jsonl")
    (root / ".env.jsonl").write_text(line_of(1, {**GOOD, "model": "canary"}))
    for requests, words in (("b.jsonl", "leads out of the project"), (".env.jsonl", "is hidden")):
        with pytest.raises(SpecError) as caught:
            job_of(root, requests=requests)
        (problem,) = caught.value.problems
        assert words in problem.message
        assert "canary" not in problem.message


def test_an_edited_first_line_is_another_model_at_once(tmp_path: Path) -> None:
    """What was checked is read back while no file it was made of has changed: the first line is one of these."""
    (tmp_path / "b.jsonl").write_text(line_of(1, GOOD))
    job_of(tmp_path)
    names = []
    for name in ("echo", "other"):
        (tmp_path / "b.jsonl").write_text(line_of(1, {**GOOD, "model": name}))
        for _ in range(2):
            time.sleep(0.06)  # what changed just now is not trusted
            (job,) = memo.load(["specs"], tmp_path, tmp_path / ".runner", keeps=True).jobs
            names.append(job.model.name)
    assert names == ["echo", "echo", "other", "other"]


def test_what_is_taken_over_of_a_file_keeps_its_bound(tmp_path: Path) -> None:
    lines = [line_of(n, {**GOOD, "max_tokens": 50}) for n in range(3000)]
    path, cache = tmp_path / "b.jsonl", tmp_path / "j.bin"
    path.write_text("\n".join(lines))
    job = job_of(tmp_path)
    style = lines_of(load(["specs"], tmp_path).providers["embedded"])
    compile_job(job, tmp_path, style).save(cache)
    for limit, longest in ((7, 50), (900, 900)):
        path.write_text("\n".join([*lines[:1500], line_of(1500, {**GOOD, "max_tokens": limit}), *lines[1501:]]))
        before = shard.before_of(cache, job, style)
        assert before is not None
        with before.packed.rest:
            found = compile_job(job, tmp_path, style, before=before)
        assert found.wanted.longest_answer == longest
        assert found.wanted.keys == compile_job(job, tmp_path, style).wanted.keys
