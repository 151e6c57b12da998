"""What is read, checked and written many lines at once is, byte for byte, what it is line by line."""

from __future__ import annotations

import io
import os
import random
import tracemalloc
from collections import Counter
from contextlib import closing
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from runner import rawfile
from runner.job.finish import FLAWS
from runner.job.observed import Phase
from runner.job.outcomes import Outcome, Unsettled
from runner.remotes.reading.lines import COMMON, plain
from runner.remotes.reading.verdict import Expected
from runner.results.columns import About, table
from runner.results.export import JsonlWriter, writer_on
from runner.results.index import build_index
from runner.results.lines import RawLines, scan
from runner.results.locate import OutcomeSource, locate
from runner.results.merge import BlockWriter, merge
from runner.results.splice import Merged, Splicer, usual_line, usual_of

from . import made

NAMES = [f"n{number}" for number in range(12)]
TEXTS = st.one_of(
    st.text(max_size=12), st.sampled_from(['"', "\\", "\u2028\u0085", "é\U0001f600", "", '{"a": 1}', "[1"])
)


def cut(name: str, text: str) -> bytes:
    body = made.chat(text)
    body["choices"][0]["finish_reason"] = "length"
    return made.line(name, response={"status_code": 200, "body": body})


def spaced(name: str, text: str) -> bytes:
    """As `json.dumps` writes it, with its keys in another order."""
    whole = msgspec.json.decode(made.ok(name, text))
    return msgspec.json.format(msgspec.json.encode(dict(reversed(whole.items()))), indent=0).replace(b"\n", b" ")


def calling(name: str, text: str, calls: Any = ({"id": "1"},)) -> bytes:
    body = made.chat(text)
    body["choices"][0]["message"]["tool_calls"] = calls
    return made.line(name, response={"status_code": 200, "body": body})


KINDS: dict[str, Any] = {
    "ok": made.ok,
    "spaced": spaced,
    "cut": cut,
    "calling": calling,
    "calling nobody": lambda name, text: calling(name, text, ()),
    "bare": made.bare,
    "nothing": lambda name, text: made.ok(name, None),
    "broken": lambda name, text: made.ok(name, "x@y").replace(b"@", b"\xff\xed\xa0\x80"),
    "no number": lambda name, text: made.ok(name, text).replace(b'"total_tokens":43', b'"total_tokens":NaN'),
    "refused": lambda name, text: made.refused(name),
    "never ran": lambda name, text: made.never_ran(name),
}
LINE = st.tuples(st.sampled_from(list(KINDS)), TEXTS)


@settings(max_examples=50, deadline=None)
@given(
    st.lists(st.dictionaries(st.sampled_from(NAMES), LINE, min_size=1), min_size=1, max_size=3),
    st.lists(st.sampled_from(NAMES), max_size=30),
    st.dictionaries(st.sampled_from(NAMES), st.sampled_from(Unsettled)),
    st.sampled_from([Expected(), Expected(is_json=True)]),
    st.booleans(),
    st.fixed_dictionaries({"is_strict": st.booleans(), "retries_invalid": st.booleans()}),
    st.integers(0, 2**32),
)
def test_blocks_are_written_as_their_lines_are(
    batches: list[dict[str, tuple[str, str]]],
    rows: list[str],
    states: dict[str, Unsettled],
    wanted: Expected,
    is_packed: bool,
    strictness: dict[str, bool],
    seed: int,
) -> None:
    with TemporaryDirectory() as folder:
        sources = []
        for number, asked in enumerate(batches):
            lines = [KINDS[kind](name, text) for name, (kind, text) in asked.items()]
            random.Random(seed).shuffle(lines)
            file = made.raw(Path(folder, f"{number}.jsonl"), *lines)
            report = build_index([file], made.expected(*asked), ended=Phase.COMPLETED)
            if is_packed:
                rawfile.pack(file)
            sources.append(OutcomeSource(report.index, 0, f"batch-{number}", made.ORIGIN, (file,)))
        shown = locate(made.keys(*rows), sources)
        standing = bytes(states.get(name, 0) for name in rows)
        usual = table(".jsonl", About())
        out, one_by_one = io.BytesIO(), io.BytesIO()
        told: Counter[tuple[str | None, bytes]] = Counter()

        def unusual(number: int, count: int, line: Merged, is_repaired: bool) -> None:
            told[line.finish, line.error] += count

        how: Any = {"states": standing, "wanted": wanted, "unusual": unusual, **strictness}
        with writer_on(out, ".jsonl", usual) as writer:
            assert isinstance(writer, BlockWriter)
            counts = merge(map(made.row, rows), shown, sources, writer, **how)
        told_of_blocks, told = told, Counter()
        plainly = JsonlWriter(one_by_one, usual.columns)
        assert not isinstance(plainly, BlockWriter)
        assert merge(map(made.row, rows), shown, sources, plainly, **how) == counts
        assert out.getvalue() == one_by_one.getvalue()
        assert told == told_of_blocks
        written = out.getvalue().splitlines()
        with closing(Splicer(sources, wanted=wanted)) as splicer:
            for number, (row, place, owner) in enumerate(
                zip(map(made.row, rows), shown.places, shown.sources, strict=True)
            ):
                if place >> 60 == Outcome.OK:
                    line = splicer.line(owner, place, row)
                    is_error = not standing[number] if how["retries_invalid"] else how["is_strict"]
                    if line.finish is not None and line.finish in FLAWS and is_error:
                        error = {"code": line.finish, "message": FLAWS[line.finish].message}
                        line = line._replace(error=msgspec.json.encode({**error, "status": None, "retryable": False}))
                    assert written[number] + b"\n" == plainly.line(line)
                if place >> 60 == Outcome.OK and (found := splicer.usual(owner, [place], [row])[0]) is not None:
                    about = usual_of(sources[owner], found[2])
                    assert usual_line(about, row, found) == splicer.line(owner, place, row)
        assert out.getvalue().count(b"\n") == len(rows) == counts.wanted


@settings(max_examples=200)
@given(st.lists(st.one_of(st.tuples(st.sampled_from(list(KINDS)), TEXTS), st.binary(max_size=20)), max_size=12))
def test_many_lines_are_read_as_one_is(lines: list[Any]) -> None:
    given = [line if isinstance(line, bytes) else KINDS[line[0]]("n", line[1]) for line in lines]
    assert list(COMMON.plains(given)) == [plain(line) for line in given]


@pytest.mark.parametrize("is_packed", [False, True])
def test_lines_in_any_order_of_files_that_are_held(tmp_path: Path, is_packed: bool) -> None:
    files, places = [], []
    for number in range(3):
        size = random.Random(number).randint(2_400, 3_600)
        lines = [f"{number} {line} ".encode() + b"x" * (line * 7 % 2 * size) for line in range(9_000)]
        file = made.raw(tmp_path / f"{number}.jsonl", *lines)
        if number == 1:  # its last line has no newline
            file.write_bytes(file.read_bytes()[:-1])
        places += [(number, offset, line) for offset, line in scan(file)]
        if is_packed:
            rawfile.pack(file)
        files.append(file)
    random.Random(7).shuffle(places)
    places.sort(key=lambda place: place[0] if place[1] % 3 else 3)  # each file by itself, then all of them mixed
    with RawLines() as raw:
        held = set()
        for number, offset, line in places:
            assert raw.at(files[number], offset) == line
            if raw.whole(files[number]):
                held.add(number)
        assert held == {0, 1, 2}
        assert 0 < sum(len(raw.whole(file)) for file in files) <= 32 << 20


@pytest.mark.parametrize("is_packed", [False, True])
@pytest.mark.parametrize(("expected", "read"), [(0, 100), (20, 100), (2_000, 3)])
def test_a_file_of_which_much_is_expected_is_held_at_once(
    tmp_path: Path, expected: int, read: int, is_packed: bool
) -> None:
    file = made.raw(tmp_path / "0.jsonl", *[f"{line} ".encode() + b"x" * 10_000 for line in range(1_000)])
    places = [*scan(file)]
    random.Random(7).shuffle(places)
    if is_packed:
        rawfile.pack(file)
    with RawLines() as raw:
        raw.expect(file, expected)
        for offset, line in places[:read]:
            assert raw.at(file, offset) == line
        assert bool(raw.whole(file)) == (expected == 2_000)


def test_what_is_held_at_once_is_bounded(tmp_path: Path) -> None:
    names = [f"n{number}" for number in range(200)]
    file = made.raw(tmp_path / "0.jsonl", *[made.ok(name, name + "x" * 100_000) for name in reversed(names)])
    report = build_index([file], made.expected(*names), ended=Phase.COMPLETED)
    source = OutcomeSource(report.index, 0, "batch", made.ORIGIN, (file,))
    shown = locate(made.keys(*names), [source])
    tracemalloc.start()
    with open(os.devnull, "wb") as out, writer_on(out, ".jsonl", table(".jsonl", About())) as writer:
        assert merge(map(made.row, names), shown, [source], writer).ok == len(names)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 8 << 20
