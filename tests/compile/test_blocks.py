"""A dataset that changed is compiled by what did not change of it: nobody can tell from what comes out."""

from __future__ import annotations

import csv
import gzip
import io
from array import array
from pathlib import Path
from typing import Any, NamedTuple

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from runner.compile import shard
from runner.compile.compile import compile_job
from runner.compile.job import CompiledJob, load
from runner.data import segments
from runner.data.rows import open_rows
from runner.data.segments import Walk
from runner.data.sparse import blocks_at
from runner.errors import DataError
from runner.job.project import Job
from runner.remotes.openai import lines as openai
from tests.compile.made import job_of

OPENAI = openai.LINES
JOBS: dict[str, dict[str, Any]] = {
    "numbered": {},
    "id": {"dataset": {"id": "id"}},
    "id template": {"dataset": {"id": "x {{ id }}"}},
    "where": {"dataset": {"where": "{{ keep }}"}},
    "where, id": {"dataset": {"where": "{{ keep }}", "id": "id"}},
    "sample": {"dataset": {"sample_rows": 5}},
    "in the worker": {"user": "{{ text | upper }}", "dataset": {"where": "{{ keep }}"}},
    "bad rows": {"dataset": {"skip_bad": True}},
    "bad rows, where": {"dataset": {"skip_bad": True, "where": "{{ keep }}"}},
}
LONG = "y" * 400  # a segment has some 80 rows of it


class Row(NamedTuple):
    id: int
    keep: bool = True
    text: str = "t"
    is_bad: bool = False


class Edit(NamedTuple):
    at: float  # of the rows
    verb: str
    to: float = 0.0


class Found(NamedTuple):
    """All that a compiled job is."""

    keys: bytes
    sizes: array[int]
    tokens: int
    distinct: bytes
    positions: list[int] | None
    rest: bytes
    bad: int
    notes: tuple[str, ...]
    lines: bytes
    shown: list[tuple[str, bytes, bytes]]


def found(compiled: CompiledJob) -> Found:
    parts, wanted = compiled.parts, compiled.wanted
    parts.rest.seek(parts.rest_at)
    out = io.BytesIO()
    compiled.write_lines(range(len(wanted)), out)
    positions = None if parts.positions is None else list(parts.positions)
    rest = parts.rest.read()
    shown = [tuple(row) for row in compiled.rows()]
    _look_at_some(compiled, shown, out.getvalue().split(b"\n"))
    return Found(
        bytes(wanted.keys),
        wanted.sizes,
        wanted.tokens,
        wanted.distinct_keys(),
        positions,
        rest,
        parts.bad,
        parts.notes,
        out.getvalue(),
        shown,
    )


def _look_at_some(compiled: CompiledJob, shown: list[tuple[str, bytes, bytes]], lines: list[bytes]) -> None:
    """Rows far from each other are what they are among all."""
    for some in ([len(shown) - 1], [0, 1, len(shown) // 2], range(3, len(shown), 97)):
        ordinals = sorted({n for n in some if 0 <= n < len(shown)})
        assert [tuple(row) for row in compiled.rows_at(ordinals)] == [shown[n] for n in ordinals]
        assert [line.data for line in compiled.lines(ordinals)] == [lines[n] for n in ordinals]
        places = compiled.positions or range(len(shown))
        rows = [next(open_rows(compiled.job.dataset, compiled.root, [places[n]])) for n in ordinals]
        assert list(map(compiled.place_of, ordinals)) == [row.mark for row in rows]


def write(root: Path, rows: list[Row], form: str) -> Path:
    if ".csv" in form:
        text = io.StringIO(newline="")
        writer = csv.writer(text)
        writer.writerow((*Row._fields[:3], "long"))
        writer.writerows(
            [row.id, "yes" if row.keep else "false", f'{row.text}\n"quoted"\n' * (1 + row.id % 2), LONG] for row in rows
        )
        data = text.getvalue().encode()
    else:
        lines = [
            b"{not json"
            if row.is_bad and row.id % 2
            else msgspec.json.encode(
                {"id": row.id, "keep": row.keep, "long": LONG, **({} if row.is_bad else {"text": row.text})}
            )
            for row in rows
        ]
        data = b"\n".join(lines) + b"\n" * (len(rows) % 2)
    path = root / f"a{form}"
    path.write_bytes(gzip.compress(data, 1) if form.endswith(".gz") else data)
    return path


def plain(job: Job, root: Path) -> Found | str:
    try:
        return found(compile_job(job, root, OPENAI))
    except DataError as error:
        return str(error)


def by_blocks(job: Job, root: Path, memo: Path) -> Found | str:
    """What a command does that finds a memo of the dataset as it was."""
    compiled = load(memo, job, root, OPENAI)
    if compiled is not None:
        return found(compiled)
    before = shard.before_of(memo, job, OPENAI)
    try:
        compiled = compile_job(job, root, OPENAI, before=before)
    except DataError as error:
        return str(error)
    finally:
        if before is not None:
            before.packed.rest.close()
    compiled.save(memo)
    read = load(memo, job, root, OPENAI)
    this = found(compiled)
    assert read is not None and found(read) == this
    return this


def edited(rows: list[Row], edits: list[Edit], free: int) -> list[Row]:
    rows = list(rows)
    for number, edit in enumerate(edits, free):
        at = int(edit.at * len(rows))
        match edit.verb:
            case "insert":
                rows.insert(at, Row(number))
            case "insert many":
                rows[at:at] = [Row(number * 1000 + n, n % 2 == 0) for n in range(150)]
            case "delete" if rows:
                del rows[min(at, len(rows) - 1)]
            case "delete many":
                del rows[at : at + 100]
            case "change" if rows:
                at = min(at, len(rows) - 1)
                rows[at] = rows[at]._replace(text=f"changed {number}", keep=number % 2 == 0)
            case "spoil" if rows:
                at = min(at, len(rows) - 1)
                rows[at] = rows[at]._replace(is_bad=not rows[at].is_bad)
            case "move":
                some = rows[at : at + 120]
                del rows[at : at + 120]
                to = int(edit.to * len(rows))
                rows[to:to] = some
            case "double":
                rows[at:at] = rows[at : at + 90]
            case _:
                pass
    return rows


PLACES = st.one_of(st.sampled_from([0.0, 1.0, 0.5]), st.floats(0, 1))
VERBS = ["insert", "insert many", "delete", "delete many", "change", "spoil", "move", "double"]
EDITS = st.lists(st.builds(Edit, PLACES, st.sampled_from(VERBS), PLACES), max_size=3)


@pytest.mark.parametrize("name", JOBS)
@settings(max_examples=max(6, settings().max_examples // 12))
@given(data=st.data())
def test_what_comes_out_is_what_the_plain_way_gives(
    tmp_path_factory: pytest.TempPathFactory, name: str, data: st.DataObject
) -> None:
    root = tmp_path_factory.mktemp("project")
    form = data.draw(st.sampled_from([".jsonl", ".csv", ".jsonl.gz"]), "form")
    skips = JOBS[name].get("dataset", {}).get("skip_bad", False)
    job = job_of(**{"user": "{{ text }} {{ long }}", "files": (f"a{form}",), **JOBS[name]})
    rows = [Row(n, n % 3 > 0, is_bad=skips and n % 97 == 5) for n in range(data.draw(st.integers(1, 300), "rows"))]
    for edits in [[], *data.draw(st.lists(EDITS, min_size=1, max_size=3), "edits")]:
        rows = edited(rows, edits, 10_000 + 7 * len(rows))
        write(root, rows, form)
        assert by_blocks(job, root, root / "memo") == plain(job, root)


def read_of(root: Path, job: Job, known: list[segments.Segment]) -> tuple[int, list[segments.Segment]]:
    """How many rows a walk hands out, and its segments."""
    walk = Walk(job.dataset, root, known)
    return sum(map(len, walk.blocks())), walk.segments


@pytest.mark.parametrize("form", [".jsonl", ".csv"])
def test_only_segments_that_changed_are_read(tmp_path: Path, form: str) -> None:
    job = job_of("{{ text }}", files=(f"a{form}",))
    rows = [Row(n) for n in range(2000)]
    write(tmp_path, rows, form)
    read, known = read_of(tmp_path, job, [])
    assert read == 2000 and len(known) > 20
    most = max(segment.rows for segment in known)
    assert read_of(tmp_path, job, known)[0] == 0
    for verb in ("insert", "delete", "change"):
        write(tmp_path, edited(rows, [Edit(0.3, verb)], 9000), form)
        assert 0 < read_of(tmp_path, job, known)[0] <= 2 * most + 1
    first = known[0].rows
    write(tmp_path, rows[first:] + rows[:first], form)  # what moved is found where it went
    assert read_of(tmp_path, job, known)[0] <= 2 * most


@pytest.mark.parametrize("form", [".jsonl", ".csv"])
def test_a_few_rows_cost_their_segments_alone(tmp_path: Path, form: str) -> None:
    """What lies between them may have become anything: it is not looked at."""
    job = job_of("{{ text }}", files=(f"a{form}",), dataset={"id": "id"})
    path = write(tmp_path, [Row(n) for n in range(2000)], form)
    compiled = compile_job(job, tmp_path, OPENAI)
    data = bytearray(path.read_bytes())
    middle = len(data) // 2
    data[middle : middle + 20_000] = b"\xff" * 20_000
    with path.open("r+b") as file:
        file.write(data)
    blocks = blocks_at(job.dataset, tmp_path, compiled.parts.pieces.segments, [3, 1990])  # type: ignore[union-attr]
    assert [int(row.row["id"]) for block in blocks for row in block] == [3, 1990]


def test_a_header_is_part_of_what_the_rows_below_it_are(tmp_path: Path) -> None:
    job = job_of("{{ text }}", files=("a.csv",))
    path = write(tmp_path, [Row(n) for n in range(2000)], ".csv")
    _, known = read_of(tmp_path, job, [])
    path.write_bytes(path.read_bytes().replace(b"id,keep,text", b"text,keep,id", 1))
    assert read_of(tmp_path, job, known)[0] == 2000


def test_many_small_segments_are_read_anew_together(tmp_path: Path) -> None:
    job = job_of("{{ id }}", files=("a.jsonl",))
    lines = [b'{"id": %d}\n' % n for n in range(100)]
    (tmp_path / "a.jsonl").write_bytes(b"".join(lines))
    small = [segments.Segment(0, len(line), b"x" * 16, 0, 1, 1) for line in lines]
    assert read_of(tmp_path, job, small)[0] == 100


def test_rows_that_begin_alike_cost_no_more_than_reading_them(tmp_path: Path) -> None:
    """Every line may begin every segment, and none is there: it is given up, and the rows are read."""
    job = job_of("{{ id }}", files=("a.jsonl",))
    path = tmp_path / "a.jsonl"
    path.write_bytes(b'{"id": 1, "t": "%s"}\n' % (b"x" * 60) * 20_000)
    _, known = read_of(tmp_path, job, [])
    forged = [msgspec.structs.replace(segment, digest=bytes([n % 251] * 16)) for n, segment in enumerate(known)]
    assert read_of(tmp_path, job, forged)[0] == 20_000
