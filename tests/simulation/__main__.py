"""`python -m tests.simulation --seeds N`: play many histories on all cores and say which broke the promise."""

from __future__ import annotations

import argparse
import multiprocessing
import os
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path

from tests.simulation.running import Kind, Summary, digest_of, folder_of, kind_of, play, summary_of


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.simulation")
    parser.add_argument("--seeds", type=int, default=300, help="how many; most of them brief, an eighth of all whole")
    parser.add_argument("--first", type=int, default=0, help="the first of them")
    parser.add_argument("--only", choices=[kind.name.lower() for kind in Kind], help="of one kind")
    parser.add_argument("--seed", type=int, help="one, with its whole history")
    parser.add_argument("--processes", type=int, default=os.cpu_count() or 1)
    given = parser.parse_args()
    if given.seed is not None:
        return _tell(given.seed)
    seeds = [_seed(number, given.only) for number in range(given.first, given.first + given.seeds)]
    began = time.monotonic()
    failed: list[Summary] = []
    passes = 0
    with multiprocessing.Pool(given.processes) as pool:
        for summary in pool.imap_unordered(summary_of, seeds, chunksize=16):
            passes += summary.applies
            if summary.faults:
                failed.append(summary)
                print(f"seed {summary.seed}: {summary.faults[0].splitlines()[0][:180]}", file=sys.stderr, flush=True)
    took = time.monotonic() - began
    print(f"{given.seeds:,} seeds, {passes:,} applies in {took:.1f} s: {given.seeds / took * 60:,.0f} seeds a minute")
    kinds = Counter(kind for summary in failed for kind in {fault.partition(":")[0] for fault in summary.faults})
    for kind, count in kinds.most_common():
        examples = [
            s for s in sorted(failed, key=lambda s: (s.events, s.seed)) if any(f.startswith(kind) for f in s.faults)
        ]
        print(f"{kind}: {count}")
        for summary in examples[:6]:
            fault = next(fault for fault in summary.faults if fault.startswith(kind))
            print(f"  seed {summary.seed} ({summary.events} events, {summary.kind}): {fault.splitlines()[0][:180]}")
    return bool(failed)


def _seed(number: int, only: str | None) -> int:
    return (Kind[only.upper()] if only else kind_of(number)).seed(number)


def _tell(seed: int) -> int:
    with tempfile.TemporaryDirectory(dir=folder_of()) as folder:
        history = play(seed, Path(folder) / "play")
    for line in history.world.told():
        print(line)
    print(f"seed {seed}, event log {digest_of(history)}")
    for fault in history.faults:
        print(f"BROKEN {fault}")
    return bool(history.faults)


if __name__ == "__main__":
    sys.exit(main())
