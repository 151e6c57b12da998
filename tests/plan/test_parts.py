"""What the requests of a job are made of, and which parts of it differ."""

from __future__ import annotations

from typing import Any

import pytest
from msgspec.structs import replace

from runner.errors import Mark
from runner.job import asked
from runner.job.project import AudioJob, Chain, Dataset, Evals, Job, Message, Model, Prompt
from runner.plan.parts import Altered, Line, altered, first_line, parts_of

MODEL = Model("m", "lab", "echo", params={"temperature": 0, "stop": ["a"]}, mark=Mark("s.yaml", 3))
PROMPT = Prompt(
    "p", (Message("system", "Be kind.", Mark("s.yaml", 8)), Message("user", "Say {{ w }}", Mark("p.j2", 1)))
)
JOB = Job(
    address="j:model=m",
    name="j",
    cell={"model": "m"},
    model=MODEL,
    window_hours=24,
    output="r.jsonl",
    dataset=Dataset("d", ("d.csv",), where="{{ a }}"),
    prompt=PROMPT,
    mark=Mark("s.yaml", 12),
)
SOUND = AudioJob(
    address="a", name="a", cell={}, model=MODEL, window_hours=24, output="a/", patterns=("*.flac",), path="/v1/audio",
    fields=(("language", "en"),), mark=Mark("s.yaml", 20),
)  # fmt: skip


def told(changes: tuple[Altered, ...]) -> dict[str, tuple[str | None, str | None]]:
    return {
        one.what: (one.before.value if one.before else None, one.after.value if one.after else None) for one in changes
    }


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({"model": replace(MODEL, params={"temperature": 0.7, "stop": ["a"]})}, {"params.temperature": ("0", "0.7")}),
        ({"model": replace(MODEL, params={"temperature": 0, "seed": 1})},
         {"params.seed": (None, "1"), "params.stop": ('["a"]', None)}),
        ({"model": replace(MODEL, name="other", provider="b")}, {"provider": ("lab", "b"), "model": ("echo", "other")}),
        ({"model": replace(MODEL, key="renamed", price=None)}, {}),
        ({"replicate": 2}, {"replicate": ("1", "2")}),
        ({"prompt": replace(PROMPT, key="q", messages=PROMPT.messages[1:])}, {"prompt.system": ("Be kind.", None)}),
        ({"prompt": replace(PROMPT, messages=(*PROMPT.messages, PROMPT.messages[1]))},
         {"prompt.user.2": (None, "Say {{ w }}")}),
        ({"prompt": replace(PROMPT, tools=({"a": 1},))}, {"prompt.tools": (None, '[\n  {\n    "a": 1\n  }\n]')}),
        ({"dataset": replace(JOB.dataset, where=None, sample_rows=5)},
         {"dataset.sample": (None, "5 rows, seed 0"), "dataset.where": ("{{ a }}", None)}),
        ({"dataset": replace(JOB.dataset, key="e", files=("e.csv",), id="id")}, {}),
        ({"output": "other.csv", "window_hours": 48, "budget": 1.0, "mark": Mark("t.yaml", 1)}, {}),
    ],
)  # fmt: skip
def test_what_differs(changes: dict[str, Any], expected: dict[str, Any]) -> None:
    assert told(altered(parts_of(JOB), parts_of(replace(JOB, **changes)))) == expected


def test_content_is_told_by_its_digest_alone() -> None:
    (one,) = altered(parts_of(JOB, "a" * 64), parts_of(JOB, "b" * 64))
    assert one.after is not None and (one.what, one.after.is_hidden) == ("dataset", True)
    assert told(altered(parts_of(SOUND), parts_of(replace(SOUND, fields=(), endpoint_id="x")))) == {
        "options.endpoint_id": (None, "x"),
        "params.language": ("en", None),
    }


@pytest.mark.parametrize(
    ("before", "after", "line"),
    [
        ("a\nb\nc", "a\nB\nc", Line(1, "b", "B", 0)),
        ("a\nb", "a\nnew\nb", Line(1, None, "new", 0)),
        ("a\nb\nc", "a\nc", Line(1, "b", None, 0)),
        ("a\nb\nc", "a", Line(0, "b", None, 1)),
        ("a\nb\nc\nd", "A\nb\nC\nD", Line(0, "a", "A", 2)),
        ("a\n", "a", Line(0, "a", "a", 0)),
        ("", "a", Line(0, None, "a", 0)),
        ("a", "", Line(0, "a", None, 0)),
    ],
)
def test_the_first_line_that_differs(before: str, after: str, line: Line) -> None:
    assert first_line(before, after) == line


def test_what_was_declared_is_read_back_without_what_is_no_part_of_a_request() -> None:
    chained = replace(JOB, address="c", dataset=replace(JOB.dataset, files=("/tmp/x",), chain=Chain(("j:model=m",))))
    jobs = {"j:model=m": (JOB, "ab"), "a": (SOUND, ""), "c": (chained, "")}
    data = asked.encode(jobs)
    found = asked.decode(data)
    assert data == asked.encode(dict(reversed(jobs.items())))
    assert found["j:model=m"].content == "ab" and found["c"].job.dataset.files == ()  # type: ignore[union-attr]
    for address, (job, content) in jobs.items():
        assert not altered(parts_of(job, content), parts_of(found[address].job, found[address].content))
        assert found[address].job.evals == Evals()


@pytest.mark.parametrize("data", [b"", b"no", asked.encode({})[:-4], asked.encode({"j": (JOB, "")})[:40]])
def test_what_cannot_be_read_is_not_there(data: bytes) -> None:
    assert asked.decode(data) == {}
