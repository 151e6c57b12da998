"""Figures of the results path, each a ratio to a pass-through of the same run: decode the id, write the line."""

from __future__ import annotations

import random
import time
from array import array
from collections.abc import Callable
from pathlib import Path

import msgspec
import pytest

from runner.compile.compiled import RowView
from runner.job.observed import Phase
from runner.results.index import build_index
from runner.results.locate import OutcomeSource, locate
from runner.results.merge import merge
from runner.results.readback import read_back

from . import made

ROWS = 100_000
FILES = 4


class Id(msgspec.Struct):
    custom_id: str


def cpu(work: Callable[[], object], rounds: int = 2) -> float:
    """The least CPU seconds of a few rounds."""
    best = float("inf")
    for _ in range(rounds):
        start = time.process_time()
        work()
        best = min(best, time.process_time() - start)
    return best


@pytest.mark.bench
@pytest.mark.parametrize("order", ["shuffled", "input order"])
@pytest.mark.parametrize("shape", ["wrapped", "bare"])
def test_figures(tmp_path: Path, shape: str, order: str) -> None:
    text = "The parcel was held at customs; nobody told the driver, and the shop did not know. " * 3
    numbers = list(range(ROWS))
    if order == "shuffled":
        random.Random(1).shuffle(numbers)
    line = made.ok if shape == "wrapped" else made.bare
    split = [numbers[n::FILES] for n in range(FILES)] if order == "shuffled" else [numbers]
    files = [made.raw(tmp_path / f"{n}", *[line(name, text) for name in part]) for n, part in enumerate(split)]
    keys, expected = made.keys(*range(ROWS)), made.expected(*range(ROWS))
    rows = [RowView(f"row-{n}", b'{"id":%d,"text":"some words of the row"}' % n, made.digest(n)) for n in range(ROWS)]

    def floor() -> None:
        decode = msgspec.json.Decoder(Id).decode
        with (tmp_path / "floor").open("wb", buffering=1 << 20) as out:
            for file in files:
                with file.open("rb", buffering=1 << 20) as lines:
                    for one in lines:
                        decode(one)
                        out.write(one)

    report = build_index(files, expected, ended=Phase.COMPLETED)
    assert report.ok == ROWS
    one = OutcomeSource(report.index, 0, "batch-1", made.ORIGIN, tuple(files))
    shown = locate(keys, [one])
    assert shown.sources == array("I", bytes(4 * ROWS))

    def merged(suffix: str) -> None:
        with made.writer(tmp_path / f"out{suffix}", tmp_path, rows=rows[:1]) as writer:
            assert merge(rows, shown, [one], writer).ok == ROWS

    base = cpu(floor)
    print(f"\n{shape}, {order}, {ROWS:,} rows of {files[0].stat().st_size * FILES // ROWS:,} B (over {FILES} files)")
    cases: dict[str, Callable[[], object]] = {
        "floor: decode id, write": floor,
        "build_index": lambda: build_index(files, expected, ended=Phase.COMPLETED),
        "locate": lambda: locate(keys, [one]),
        "merge to .jsonl": lambda: merged(".jsonl"),
        "merge to .csv": lambda: merged(".csv"),
        "merge to .parquet": lambda: merged(".parquet"),
        "adopt .jsonl": lambda: read_back(tmp_path / "out.jsonl", tmp_path / "objects"),
    }
    for name, work in cases.items():
        seconds = cpu(work)
        print(f"  {name:<26}{seconds / ROWS * 1e6:7.2f} us/row {seconds / base:6.2f} x floor")
