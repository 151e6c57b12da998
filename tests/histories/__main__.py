"""`python -m tests.histories --rounds N`: play histories of real processes and say which broke the promise."""

from __future__ import annotations

import argparse
import multiprocessing
import sys
import tempfile
import time
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

from tests.histories.history import Play


@dataclass(frozen=True, slots=True)
class Summary:
    seed: int
    faults: tuple[str, ...]
    commands: int
    kills: int
    pauses: int
    batches: int
    rows: int
    twice: int
    counted: int


def summary_of(seed: int) -> Summary:
    with tempfile.TemporaryDirectory(prefix=f"runner-history-{seed}-") as folder:
        history = Play(seed, Path(folder) / "play").play()
        batches = history.ledger.batches.values()
        answers = sum(len(batch.answers) for batch in batches)
    counts = (history.commands, history.kills, history.pauses, len(batches), answers)
    return Summary(seed, tuple(history.faults), *counts, history.twice, history.counted)


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.histories")
    parser.add_argument("--rounds", type=int, default=20, help="how many histories")
    parser.add_argument("--first", type=int, default=0, help="the seed of the first of them")
    parser.add_argument("--seed", type=int, help="one, with its whole log")
    parser.add_argument("--jobs", type=int, default=2, help="histories at a time")
    given = parser.parse_args()
    if given.seed is not None:
        return _tell(given.seed)
    began = time.monotonic()
    done: list[Summary] = []
    with multiprocessing.Pool(given.jobs) as pool:
        for summary in pool.imap_unordered(summary_of, range(given.first, given.first + given.rounds)):
            done.append(summary)
            for fault in summary.faults[:3]:
                print(f"seed {summary.seed}: {' '.join(fault.split())[:300]}", flush=True)
            if len(done) % 20 == 0 and len(done) < given.rounds:
                print(_figures(done, time.monotonic() - began).partition("\n")[0], flush=True)
    print(_figures(done, time.monotonic() - began))
    return any(summary.faults for summary in done)


def _figures(done: list[Summary], took: float) -> str:
    def total(name: str) -> str:
        return f"{sum(getattr(summary, name) for summary in done):,}"

    kinds = Counter(kind for one in done for kind in {fault.partition(":")[0] for fault in one.faults})
    broken = sum(bool(summary.faults) for summary in done)
    return (
        f"{len(done):,} rounds in {took:.0f} s: {total('commands')} commands, {total('kills')} kills, "
        f"{total('pauses')} pauses, {total('batches')} batches, {total('rows')} answers; {total('twice')} requests "
        f"answered twice, {total('counted')} of them counted; {broken} rounds with faults"
        + "".join(f"\n  {kind}: {number}" for kind, number in kinds.most_common())
    )


def _tell(seed: int) -> int:
    with tempfile.TemporaryDirectory(prefix=f"runner-history-{seed}-") as folder:
        history = Play(seed, Path(folder) / "play").play()
        for line in history.log():
            print(line)
    for fault in history.faults:
        print(f"BROKEN {fault}")
    print(f"seed {seed}: {history.twice} answered twice, {history.counted} of them counted")
    return bool(history.faults)


if __name__ == "__main__":
    sys.exit(main())
