"""Rows are worked on in runs of some hundreds: nobody can tell from what comes out, and from what is refused where."""

from __future__ import annotations

import io
import random
from pathlib import Path
from typing import Any

import pytest

from runner.compile.compile import compile_job, preview
from runner.compile.faults import RowsFailed
from runner.compile.program import Requests, program_of
from runner.data.block import Block
from runner.data.rows import open_blocks
from runner.errors import DataError, Mark
from runner.job.project import Job
from runner.remotes.openai import lines as openai
from tests.compile.made import job_of, write_rows

OPENAI = openai.LINES
ROWS: list[dict[str, Any]] = [
    {"n": n, "t": "x" * (n % 300), "q": 'a "b": c :' * (n % 2), "in": {"deep": [n]}} for n in range(3000)
]
JOBS: dict[str, Any] = {
    "one text": {},
    "two texts": {"user": [("system", "{{ t }}"), ("user", "{{ n }} %")]},
    "joined": {"user": [("system", "Same"), ("user", "{{ n }}")], "model": {"endpoint": "/v1/embeddings"}},
    "same for all": {"user": [("system", "Same")]},
    "id": {"dataset": {"id": "n"}},
    "id template": {"dataset": {"id": "é{{ n }}{{ t }}"}},
    "where": {"dataset": {"where": "{{ t }}"}},
    "sample": {"dataset": {"sample_rows": 77, "id": "n"}},
    "general": {"user": "{{ n + 1 }}", "dataset": {"where": "{{ n % 3 }}", "id": "{{ n }}"}},
}


def job(name: str) -> Job:
    return job_of(**{"user": "{{ n }}: {{ t }} {{ q }}"} | JOBS[name])


def by_row(root: Path, made: Job) -> tuple[bytes, list[tuple[str, bytes]]]:
    """(all request lines, ids and bodies), every row read and rendered as if it were the only one."""
    ready = program_of(made, OPENAI, Path())
    lines: list[bytes] = []
    seen: list[tuple[str, bytes]] = []
    for block in open_blocks(made.dataset, root):
        for at, _ in enumerate(block):
            alone = Block(block.file, block.lines[at : at + 1], block.numbers[at : at + 1], [block.values[at]])
            for some in ready.requests([alone]):
                lines += [b"".join(line) for line in ready.lines(some, b"\n")[1]]
                assert isinstance(some, Requests)
                seen += list(zip(some.ids, some.bodies, strict=True))
    return b"".join(lines), seen


@pytest.mark.parametrize("name", [name for name in JOBS if name != "sample"])
def test_runs_give_what_rows_alone_give(tmp_path: Path, name: str) -> None:
    write_rows(tmp_path, ROWS[: 300 if name == "general" else 3000])
    made = job(name)
    compiled = compile_job(made, tmp_path, OPENAI)
    lines, seen = by_row(tmp_path, made)
    out = io.BytesIO()
    assert (
        compiled.write_lines(range(len(compiled.wanted)), out) == len(lines) == sum(compiled.wanted.sizes) + len(seen)
    )
    assert out.getvalue() == lines
    assert [row.custom_id for row in compiled.rows()] == [row_id for row_id, _ in seen]


@pytest.mark.parametrize("name", JOBS)
def test_lines_written_are_the_lines(tmp_path: Path, name: str) -> None:
    write_rows(tmp_path, ROWS)
    compiled = compile_job(job(name), tmp_path, OPENAI)
    every = range(len(compiled.wanted))
    for ordinals in (every, [], sorted(random.Random(1).sample(every, 40)), [every[-1]]):
        out = io.BytesIO()
        assert compiled.write_lines(iter(ordinals), out) == len(out.getvalue())
        lines = list(compiled.lines(ordinals))
        assert out.getvalue() == b"".join(line.data + b"\n" for line in lines)
        assert b"".join(line.key for line in lines) == compiled.wanted.keys_at(ordinals)


def test_a_line_longer_than_one_read_and_every_kind_of_blank(tmp_path: Path) -> None:
    lines = [b'{"n": 0}', b"", b' \t{"n":\r1} \r', b"\r", b'{"n":2,"t":"' + b"y" * 200_000 + b'"}', b"  ", b'{"n":3}']
    (tmp_path / "a.jsonl").write_bytes(b"\xef\xbb\xbf" + b"\n".join(lines))
    compiled = compile_job(job_of("{{ n }}", dataset={"id": "n"}), tmp_path, OPENAI)
    rows = list(compiled.rows())
    assert [row.custom_id for row in rows] == ["0", "1", "2", "3"]
    assert [row.row_json for row in rows] == [b'{"n": 0}', b'{"n":1}', lines[4], lines[6]]
    blocks = list(open_blocks(compiled.job.dataset, tmp_path))
    assert [str(row.mark) for block in blocks for row in block] == [f"a.jsonl:{n}" for n in (1, 3, 5, 7)]
    assert [line for block in blocks for line in block.jsons()] == [row.row_json for row in rows]


@pytest.mark.parametrize("bad", [b'{"n":', b"[]", b'{"n":1,"n":2}', b'{"n":1,"m":{"m":1,"m":2}}'])
@pytest.mark.parametrize("at", [0, 1, 1999, 2500])
def test_rows_before_a_broken_line_come_first(tmp_path: Path, bad: bytes, at: int) -> None:
    lines = [(b'{"n" : %d}', b'{"n":%d,"t":"a\\":"}')[n % 2] % n for n in range(3000)]
    lines[at] = bad
    (tmp_path / "a.jsonl").write_bytes(b"\n".join(lines))
    lines_before = preview(job_of("{{ n }}"), tmp_path, OPENAI)
    for _ in range(at):
        next(lines_before)
    with pytest.raises(DataError) as caught:
        next(lines_before)
    assert caught.value.mark == Mark("a.jsonl", at + 1)


def test_a_row_that_fails_is_found_among_those_that_do_not(tmp_path: Path) -> None:
    rows = [{"n": n, "id": str(n)} for n in range(1500)]
    rows[700], rows[900], rows[1400] = {"id": "a"}, {"n": 1, "id": " "}, {"n": "x" * 1_000_001, "id": "b"}
    write_rows(tmp_path, rows)
    with pytest.raises(RowsFailed) as caught:
        compile_job(job_of("{{ n }}", dataset={"id": "id"}), tmp_path, OPENAI)
    assert [problem.mark.line for problem in caught.value.problems] == [701, 901, 1401]


def test_a_dataset_cut_while_its_results_are_written_is_noticed(tmp_path: Path) -> None:
    write_rows(tmp_path, ROWS)
    compiled = compile_job(job_of("{{ n }}"), tmp_path, OPENAI)
    rows, out = compiled.rows(), io.BytesIO()
    next(rows)
    (tmp_path / "a.jsonl").write_bytes(b'{"n":0}\n')
    with pytest.raises(DataError, match="changed while it was read"):
        list(rows)
    with pytest.raises(DataError, match="changed while it was read"):
        compiled.write_lines(range(3), out)
    assert out.getvalue() == b""


def test_a_line_over_the_limit_is_refused(tmp_path: Path) -> None:
    with open(tmp_path / "a.jsonl", "wb") as file:
        file.write(b'{"n":1}\n')
        for _ in range(70):
            file.write(b"n" * (1 << 20))  # and no newline
    with pytest.raises(DataError, match="over 64 MiB") as caught:
        compile_job(job_of("{{ n }}"), tmp_path, OPENAI)
    assert caught.value.mark == Mark("a.jsonl", 2)
