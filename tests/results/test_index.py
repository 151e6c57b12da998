from __future__ import annotations

import random
import tempfile
import time
import tracemalloc
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from runner.job.observed import Phase
from runner.job.outcomes import NO_LINE, IndexEntry, Outcome, entries
from runner.results import lines
from runner.results.index import build_index, refused_index

from . import made

OK, FINAL, RETRY, LOST, REJECTED, UNPAID, *_ = Outcome
ENDED = {Phase.COMPLETED: RETRY, Phase.EXPIRED: RETRY, Phase.CANCELLED: LOST, Phase.FAILED: RETRY}


def outcomes(index: bytes) -> dict[bytes, Outcome]:
    found = entries(index)
    assert [entry.key for entry in found] == sorted(entry.key for entry in found)
    return {entry.key: entry.outcome for entry in found}


@pytest.mark.parametrize("phase", ENDED)
def test_every_expected_key_has_one_entry(tmp_path: Path, phase: Phase) -> None:
    file = made.raw(tmp_path / "o", made.ok("a"), made.refused("b"), made.never_ran("c"), made.refused("d", 503))
    report = build_index([file], made.expected(*"abcde"), ended=phase)
    wanted = {"a": OK, "b": FINAL, "c": RETRY, "d": RETRY, "e": ENDED[phase]}
    assert outcomes(report.index) == {made.key(name): outcome for name, outcome in wanted.items()}
    assert report.missing == 1 and report.ok == 1 and report.final == 1
    assert report.ok + report.final + report.retry + report.lost + report.rejected == 5
    assert (report.input_tokens, report.output_tokens) == (40, 3)


def test_a_failed_batch_that_answered_nothing_was_refused(tmp_path: Path) -> None:
    file = made.raw(tmp_path / "o", made.refused("b"))
    report = build_index([file], made.expected(*"ab"), ended=Phase.FAILED)
    assert outcomes(report.index) == {made.key("a"): REJECTED, made.key("b"): FINAL}


@pytest.mark.parametrize("phase", [Phase.RUNNING, Phase.UNKNOWN, Phase.CANCELLING])
def test_a_running_batch_has_no_index(phase: Phase) -> None:
    with pytest.raises(ValueError, match="no index yet"):
        build_index([], made.expected("a"), ended=phase)


def test_no_files_and_no_rows() -> None:
    assert build_index([], b"", ended=Phase.COMPLETED).index == b""
    assert outcomes(build_index([], made.expected("a"), ended=Phase.CANCELLED).index) == {made.key("a"): LOST}
    refused = refused_index(made.expected("a"), Outcome.REJECTED)
    assert entries(refused) == [IndexEntry(made.key("a"), REJECTED, 0, NO_LINE)]


def test_offsets_lead_back_to_the_lines(tmp_path: Path) -> None:
    names = list(range(500))
    random.Random(5).shuffle(names)
    files = [made.raw(tmp_path / f"{n}", *[made.ok(name, "é" * name) for name in names[n::3]]) for n in range(3)]
    report = build_index(files, made.expected(*names), ended=Phase.COMPLETED)
    with lines.RawLines() as raw:
        for entry in entries(report.index):
            line = raw.at(files[entry.file], entry.offset)
            assert line in {made.ok(name, "é" * name) for name in names if made.key(name) == entry.key}


@pytest.mark.parametrize("across", [False, True])
@pytest.mark.parametrize(
    ("order", "stays", "duplicates"),
    [
        (["ok1", "error"], 0, 1),
        (["error", "ok1"], 1, 1),
        (["ok1", "ok2"], 0, 1),
        (["error", "ok1", "ok2", "error"], 1, 3),
        (["error", "expired"], 1, 1),
        (["expired", "error", "error"], 2, 2),
    ],
)
def test_the_first_success_stays_else_the_last_error(
    tmp_path: Path, across: bool, order: list[str], stays: int, duplicates: int
) -> None:
    kinds = {
        "ok1": made.ok("a", "first"),
        "ok2": made.ok("a", "second"),
        "error": made.refused("a"),
        "expired": made.never_ran("a"),
    }
    given = [kinds[kind] for kind in order]
    if across:
        files = [made.raw(tmp_path / str(n), one) for n, one in enumerate(given)]
    else:
        files = [made.raw(tmp_path / "o", *given)]
    report = build_index(files, made.expected("a"), ended=Phase.COMPLETED)
    (entry,) = entries(report.index)
    assert (entry.file, entry.offset) == (stays, 0) if across else (0, sum(len(one) + 1 for one in given[:stays]))
    assert report.duplicates == duplicates
    assert report.lines == len(order)


def test_foreign_lines_are_counted_and_named(tmp_path: Path) -> None:
    strangers = [made.ok(f"s{n}") for n in range(9)]
    hostile = b'{"custom_id":"\\u001b[2J../../x","response":{"status_code":200}}'
    files = [made.raw(tmp_path / "o", hostile, made.ok("a"), *strangers[:4]), made.raw(tmp_path / "p", *strangers[4:])]
    report = build_index(files, made.expected("a"), ended=Phase.COMPLETED)
    assert report.foreign == 10
    ids = tuple(f"o:{n + 3} ({made.wire_id(f's{n}')})" for n in range(4))
    assert report.foreign_examples == ("o:1 (\\x1b[2J../../x)", *ids)
    assert report.told == (1, 0)
    assert outcomes(report.index) == {made.key("a"): OK}


def test_lines_about_one_request_are_counted_and_named(tmp_path: Path) -> None:
    given = [made.ok("a"), made.ok("b", "x" * 600_000), made.refused("a")]
    files = [made.raw(tmp_path / "0", *given, made.ok("b")), made.raw(tmp_path / "1", *[made.ok("a")] * 5)]
    report = build_index(files, made.expected("a", "b"), ended=Phase.COMPLETED)
    places = ("0:3", "a"), ("0:4", "b"), ("1:1", "a"), ("1:2", "a"), ("1:3", "a")
    assert report.duplicate_examples == tuple(f"{place} ({made.wire_id(name)})" for place, name in places)
    assert (report.duplicates, report.told) == (7, (4, 5))


@given(st.lists(st.sampled_from(["ok", "other", "refused", "never", "stranger"]), max_size=30), st.integers(1, 5))
def test_many_rows_are_settled_like_few(kinds: list[str], names: int) -> None:
    """The same lines before those of three thousand more rows come to the same, line for line."""
    makes = {
        "ok": made.ok,
        "other": lambda name: made.ok(name, "another"),
        "refused": made.refused,
        "never": made.never_ran,
        "stranger": lambda name: made.ok(f"stranger {name}"),
    }
    lines_of = [makes[kind](number % names) for number, kind in enumerate(kinds)]
    more = range(1000, 4000)
    with tempfile.TemporaryDirectory() as folder:
        few = build_index(
            [made.raw(Path(folder) / "0", *lines_of)], made.expected(*range(names)), ended=Phase.COMPLETED
        )
        path = made.raw(Path(folder) / "0", *lines_of, *_MORE)
        many = build_index([path], made.expected(*range(names), *more), ended=Phase.COMPLETED)
    added = {made.key(name) for name in more}
    assert [entry for entry in entries(many.index) if entry.key not in added] == entries(few.index)
    told = ("duplicates", "duplicate_examples", "foreign", "foreign_examples", "missing", "retry", "final")
    assert [getattr(many, name) for name in told] == [getattr(few, name) for name in told]
    assert (many.ok, many.told[0], many.lines) == (few.ok + 3000, few.told[0] + 3000, few.lines + 3000)


_MORE = [made.ok(name) for name in range(1000, 4000)]


def test_unreadable_lines_are_counted_and_named(tmp_path: Path) -> None:
    bad = [b"<html>", b"{}", b"[1]", b"\xff\xfe", b'{"custom_id":7}', b"{", b"["]
    file = made.raw(tmp_path / "output.jsonl", b"", made.ok("a"), b"  ", *bad, b"\r")
    report = build_index([file], made.expected("a", "b"), ended=Phase.COMPLETED)
    assert report.unreadable == 7
    assert report.unreadable_examples[:2] == ("output.jsonl:4: not JSON", "output.jsonl:5: no `custom_id`")
    assert len(report.unreadable_examples) == 5
    assert report.lines == 8 and report.ok == 1 and report.missing == 1
    assert not report.half_last_line


def test_request_lines_are_not_results(tmp_path: Path) -> None:
    asked = b'{"custom_id":"%b","body":{"messages":[]}}' % made.wire_id("a").encode()
    report = build_index([made.raw(tmp_path / "o", asked)], made.expected("a"), ended=Phase.COMPLETED)
    assert (report.requests, report.missing, report.foreign) == (1, 1, 0)


def test_every_cut_of_a_file_is_noticed(tmp_path: Path) -> None:
    whole = made.ok("a") + b"\n" + made.ok("b", "x\u2028y")
    file = tmp_path / "o"
    for cut in range(len(whole) + 1):
        file.write_bytes(whole[:cut])
        report = build_index([file], made.expected("a", "b"), ended=Phase.COMPLETED)
        first, second = len(made.ok("a")), len(whole)
        assert report.ok == (cut >= first) + (cut == second), cut
        assert report.half_last_line == (cut not in (0, first, first + 1, second)), cut


def test_line_ends_of_windows_and_marks(tmp_path: Path) -> None:
    file = tmp_path / "o"
    file.write_bytes(b"\xef\xbb\xbf" + made.ok("a") + b"\r\n" + made.bare("b") + b"\r\n\r\n\x00\x00\n")
    report = build_index([file], made.expected("a", "b"), ended=Phase.COMPLETED)
    assert (report.ok, report.repaired, report.unreadable) == (2, 1, 1)


def test_long_lines(tmp_path: Path) -> None:
    file = made.raw(tmp_path / "o", made.ok("a", "x" * 20_000_000), made.ok("b"))
    report = build_index([file], made.expected("a", "b"), ended=Phase.COMPLETED)
    assert report.ok == 2


def test_a_line_too_long_to_hold_is_a_stump(tmp_path: Path) -> None:
    given = [made.ok("a", "x" * (5 << 20)), made.ok("b"), made.ok("c", "x" * 3_000_000), made.ok("d", "x" * 1_900_000)]
    file = made.raw(tmp_path / "o", *given)
    found = list(lines.scan(file, longest_bytes=1 << 21))
    assert [line for _, line in found] == [given[0][:1024], given[1], given[2][:1024], given[3]]
    whole = file.read_bytes()
    assert [whole[offset:].partition(b"\n")[0] for offset, _ in found] == given


@pytest.mark.parametrize("junk", [b"x", b'"', b"\0", b"\\", b"[", made.ok("b")[:-9] + b"x"])
def test_a_long_line_of_nothing_costs_no_time(tmp_path: Path, junk: bytes) -> None:
    """The first two took a second a megabyte, and a gigabyte of memory."""
    file = made.raw(tmp_path / "o", made.ok("a"), junk + junk[-1:] * (8 << 20), made.ok("c"))
    began = time.process_time()
    report = build_index([file], made.expected("a", "b", "c"), ended=Phase.COMPLETED)
    assert time.process_time() - began < 4
    assert (report.ok, report.unreadable) == (2, 1)


def test_too_many_files(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="255"):
        build_index([tmp_path / "o"] * 256, b"", ended=Phase.COMPLETED)


def test_memory_is_a_few_tens_of_bytes_a_row(tmp_path: Path) -> None:
    def peak(rows: int) -> int:
        file = made.raw(tmp_path / f"{rows}", *[made.bare(n) for n in range(rows)])
        wanted = made.expected(*range(rows))
        tracemalloc.start()
        build_index([file], wanted, ended=Phase.COMPLETED)
        size = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        return size

    assert peak(40_000) - peak(2_000) < 38_000 * 100
