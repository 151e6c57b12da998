"""The matrix as a table: `python -m tests.proxy [--storm] [--column WORDS] [--fault WORDS] [--jobs 2]`."""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
import time
from collections import Counter
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

from tests.proxy.cells import Outcome, bench
from tests.proxy.columns import COLUMNS, met_by
from tests.proxy.faults import FAULTS, STORMS

SLICE = 30  # cells on one server: lists of batches grow with each


def chosen(column: str, word: str, *, storm: bool) -> list[str]:
    """The faults that a column meets, by name."""
    meets = met_by(COLUMNS[column])
    names = STORMS if storm else tuple(FAULTS)
    return [name for name in names if word in name and meets(FAULTS[name])]


def play(column: str, faults: list[str], storm: bool) -> list[Outcome]:
    """Some cells of a column, on a server of their own."""
    with tempfile.TemporaryDirectory() as folder, bench(Path(folder)) as here:
        return [here.run(COLUMNS[column], FAULTS[name], storm=storm) for name in faults]


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.proxy", description=__doc__)
    parser.add_argument("--storm", action="store_true", help="faults that go on until the apply has ended")
    parser.add_argument("--column", default="", help="endpoints whose name holds this")
    parser.add_argument("--fault", default="", help="faults whose name holds this")
    parser.add_argument("--jobs", type=int, default=os.cpu_count() or 1)
    parser.add_argument("--words", action="store_true", help="show what each cell said")
    given = parser.parse_args()
    started = time.monotonic()
    work = []
    for column in COLUMNS:
        if given.column in column:
            faults = chosen(column, given.fault, storm=given.storm)
            work += [(column, faults[at : at + SLICE]) for at in range(0, len(faults), SLICE)]
    outcomes: list[Outcome] = []
    with ProcessPoolExecutor(given.jobs) as pool:
        futures = [pool.submit(play, column, faults, given.storm) for column, faults in work]
        for future in futures:
            outcomes += future.result()
            print(f"{len(outcomes)} cells, {time.monotonic() - started:.0f} s", file=sys.stderr, flush=True)
    _draw(outcomes)
    for outcome in outcomes:
        if outcome.blames or given.words:
            _tell(outcome)
    _sum_up(outcomes)
    broken = sum(bool(outcome.blames) for outcome in outcomes)
    slowest = max(outcomes, key=lambda outcome: outcome.seconds)
    print(
        f"\n{len(outcomes)} cells, {broken} broken, {time.monotonic() - started:.0f} s; "
        f"the slowest took {slowest.seconds:.0f} s ({slowest.column}, {slowest.fault})"
    )
    return 1 if broken else 0


def _draw(outcomes: list[Outcome]) -> None:
    """A line a fault, a cell an endpoint: how the applies ended, and how often it was asked under the fault."""
    columns = list(dict.fromkeys(outcome.column for outcome in outcomes))
    faults = list(dict.fromkeys(outcome.fault for outcome in outcomes))
    found = {(outcome.column, outcome.fault): str(outcome) for outcome in outcomes}
    for number, column in enumerate(columns, 1):
        print(f"{number:>2} {column}")
    wide = max(len(fault) for fault in faults)
    cells = [[found.get((column, fault), "") for column in columns] for fault in faults]
    widths = [max(len(row[at]) for row in [*cells, [str(len(columns))] * len(columns)]) for at in range(len(columns))]
    print()
    print(" " * wide, *(f"{number:^{width}}" for number, width in enumerate(widths, 1)), sep=" | ")
    for fault, row in zip(faults, cells, strict=True):
        print(f"{fault:<{wide}}", *(f"{cell:<{width}}" for cell, width in zip(row, widths, strict=True)), sep=" | ")


def _sum_up(outcomes: list[Outcome]) -> None:
    """How many cells ended in which way, and what the dearest of them cost."""
    ways = Counter(str(outcome).partition(" /")[0] for outcome in outcomes)
    print("\n" + ", ".join(f"{number:,} {way}" for way, number in ways.most_common()))
    blames = [blame for outcome in outcomes for blame in outcome.blames]
    hangs = sum("did not end" in blame or blame.startswith("it took") for blame in blames)
    dearest = max(outcomes, key=lambda outcome: outcome.asked)
    print(
        f"{hangs} hangs, {sum('Traceback' in blame or 'traceback' in blame for blame in blames)} tracebacks; "
        f"at most {dearest.asked} requests ({dearest.column}, {dearest.fault})"
    )


def _tell(outcome: Outcome) -> None:
    print(f"\n== {outcome.column} / {outcome.fault} / {outcome.seconds:.1f} s")
    for blame in outcome.blames:
        print(f"   {blame}")
    print("   | " + outcome.words.strip().replace("\n", "\n   | "))


if __name__ == "__main__":
    sys.exit(main())
