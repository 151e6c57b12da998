"""Result files with random faults on top of each other, and chains that overlap, against a reader that shares no code.

What the simple reader can read has to be recorded, under the request it names; nothing else may be.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from runner.job.observed import Phase
from runner.results.index import IndexReport, build_index
from runner.results.locate import OutcomeSource, locate
from runner.results.merge import merge
from tests.hardening.reading import Reading, read, whole_number
from tests.hardening.spoiling import ERROR, FAULTS, OUTPUT, Fault, whole

from . import made

NAMES = [f"n{number}" for number in range(10)]
WIRE = {name: made.wire_id(name) for name in NAMES}
RAW = [  # bytes anywhere in a file, on top of the faults
    b"\n", b"\r", b"\0", b'"', b"\\", b"{", b"}", b"[", b"\xff", b"\xed\xa0\x80", b"\\ud800", b"\xef\xbb\xbf",
    b"NaN", b"1e400",
]  # fmt: skip


def good(name: str, kind: str, style: str, tag: str) -> bytes:
    """A line as a remote writes it, in one of the two styles."""
    text = f"echo: {name} {tag}"
    match kind, style:
        case "ok", "openai":
            return made.ok(name, text)
        case "ok", _:
            return made.bare(name, text)
        case _, "openai":
            return made.refused(name).replace(b'"no"', b'"This row fails"')
        case _:
            return made.line(name, error={"code": 400, "message": "This row fails"})


@dataclass
class Made:
    """The raw files of one batch."""

    names: list[str]
    files: list[bytes]

    @property
    def reading(self) -> Reading:
        return read(self.files, {WIRE[name] for name in self.names})


def applied(lines: Sequence[bytes], others: Sequence[bytes], faults: Sequence[Fault]) -> bytes:
    """The faults one after the other; one that cannot make sense of what the others left is passed over."""
    data = whole(lines)
    for fault in faults:
        try:
            data = fault.spoil([line for line in data.split(b"\n") if line], others) or b""
        except (ValueError, LookupError, TypeError, AttributeError, StopIteration, RecursionError):
            continue
    return data


@st.composite
def batches(draw: st.DrawFn, tag: str = "0") -> Made:
    names = draw(st.lists(st.sampled_from(NAMES), unique=True, min_size=2))
    style = draw(st.sampled_from(["openai", "fireworks"]))
    kinds = {name: draw(st.sampled_from(["ok", "ok", "ok", "error", "silent"])) for name in names}
    lines = {
        kind: [good(name, kind, style, tag) for name in draw(st.permutations(names)) if kinds[name] == kind]
        for kind in ("ok", "error")
    }
    files = []
    for kind, of in (("ok", OUTPUT), ("error", ERROR)):
        suited = [fault for fault in FAULTS.values() if of in fault.kinds]
        faults = draw(st.lists(st.sampled_from(suited), max_size=3))
        data = applied(lines[kind], lines["error" if kind == "ok" else "ok"], faults)
        for raw in draw(st.lists(st.sampled_from(RAW), max_size=2)):
            at = draw(st.integers(0, len(data)))
            data = data[:at] + raw + data[at:]
        files.append(data)
    return Made(names, files)


def indexed(folder: Path, number: int, batch: Made) -> tuple[IndexReport, OutcomeSource]:
    paths = []
    for at, data in enumerate(batch.files):
        paths.append(folder / str(number) / f"{at}.jsonl")
        paths[-1].parent.mkdir(exist_ok=True)
        paths[-1].write_bytes(data)
    report = build_index(paths, made.expected(*batch.names), ended=Phase.COMPLETED)
    return report, OutcomeSource(report.index, 0, f"batch-{number}", made.ORIGIN, tuple(paths))


def merged(folder: Path, names: Sequence[str], sources: Sequence[OutcomeSource]) -> dict[str, Any]:
    """The output, as strict JSON, by row."""
    output = folder / "out.jsonl"
    with made.writer(output, folder) as writer:
        counts = merge(map(made.row, names), locate(made.keys(*names), sources), sources, writer)
    assert counts.ok + counts.error + counts.missing == counts.wanted == len(names)
    lines = output.read_bytes().removesuffix(b"\n").split(b"\n")
    rows = [json.loads(line, parse_int=whole_number) for line in lines]
    assert [row["custom_id"] for row in rows] == list(names)
    assert counts.ok == sum(row["error"] is None for row in rows)
    return {row["custom_id"]: row for row in rows}


@settings(max_examples=100, derandomize=True)
@given(batches())
def test_random_faults_lose_nothing_that_can_be_read(batch: Made) -> None:
    reading = batch.reading
    with TemporaryDirectory() as name:
        report, source = indexed(Path(name), 0, batch)
        rows = merged(Path(name), batch.names, [source])
    assert (report.ok, report.final) == (len(reading.ok), len(reading.error))
    assert report.retry == len(batch.names) - report.ok - report.final
    assert (report.lines, report.foreign, report.unreadable) == (
        reading.lines,
        reading.foreign,
        len(reading.unreadable),
    )
    places = [example.partition(": ")[0] for example in report.unreadable_examples]
    assert places == reading.unreadable[:5]
    assert sum(report.told) == report.lines - report.foreign - report.unreadable - report.requests
    for one in batch.names:
        row = rows[one]
        if WIRE[one] in reading.ok:
            assert (row["answer"], row["error"]) == (reading.ok[WIRE[one]], None)
        else:
            assert row["answer"] is None
            assert row["error"]["retryable"] == (WIRE[one] not in reading.error)


@settings(max_examples=50, derandomize=True)
@given(st.tuples(batches("0"), batches("1"), batches("2")))
def test_of_links_that_overlap_the_first_answer_is_shown(chain: tuple[Made, ...]) -> None:
    readings = [batch.reading for batch in chain]
    with TemporaryDirectory() as name:
        sources = [indexed(Path(name), number, batch)[1] for number, batch in enumerate(chain)]
        rows = merged(Path(name), NAMES, sources)
    for one in NAMES:
        answers = [
            (f"batch-{number}", reading.ok[WIRE[one]])
            for number, reading in enumerate(readings)
            if WIRE[one] in reading.ok
        ]
        if answers:
            assert (rows[one]["batch"], rows[one]["answer"]) == answers[0]
        else:
            assert rows[one]["answer"] is None
            asked = [f"batch-{number}" for number, batch in enumerate(chain) if one in batch.names]
            assert rows[one]["batch"] == (asked[-1] if asked else None)
            assert rows[one]["error"]["code"] == "missing" or asked
