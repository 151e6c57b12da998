"""What changes cost beside the bare loops, as a table. Figures: CPU of whole processes.

python -m tests.bench --rows 200000
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from pathlib import Path

from runner.files import size_below
from tests.bench.test_client import FLOOR, Cost, apply, cost_of, environ, project
from tests.journeys.lab import KEY, RUNNER, Lab, serving

PASS = Path(__file__).with_name("edited.py")
EDITS = 10
LARGEST_BATCH = 50_000  # rows: the bare loop makes one batch


def edit(path: Path, rows: int) -> None:
    """Change ten rows far from each other, line by line: what this process holds counts as its children's."""
    every = rows // EDITS
    beside = path.with_name("edited.jsonl")
    with open(path, "rb") as before, open(beside, "wb") as after:
        for number, line in enumerate(before):
            after.write(line.replace(b"word ", b"other word ", 1) if number % every == every // 2 else line)
    beside.replace(path)


def row(name: str, floor: float, cost: Cost) -> None:
    print(f"| {name} | {floor:.2f} | {cost.cpu:.2f} | {cost.cpu / floor:.1f} | {cost.mib:.0f} |", flush=True)


def table(lab: Lab, scratch: Path, rows: int) -> None:
    """Everything of one project: applied, edited, planned and applied again."""
    dataset = str(lab.root / "data/rows.jsonl")

    def least(command: list[str]) -> float:
        return min(cost_of(command, scratch, environ(lab)).cpu for _ in range(2))

    def plan() -> Cost:
        return cost_of([*RUNNER, "plan", "specs/"], lab.root, environ(lab))

    scratch.mkdir()
    begun = least([sys.executable, "-c", "pass"])
    one_pass = least([sys.executable, str(PASS), dataset, "sent.jsonl"])
    print("| path | floor s | runner s | ratio | MiB |\n|---|---|---|---|---|")
    first = apply(lab)
    if rows <= LARGEST_BATCH:
        floor = [sys.executable, str(FLOOR), dataset, f"{lab.server.url}/v1/", KEY, str(scratch)]
        row(f"end to end, {rows:,} rows", least(floor), first)
    else:
        print(f"| end to end, {rows:,} rows | | {first.cpu:.2f} | | {first.mib:.0f} |", flush=True)
    size = size_below(lab.root / ".runner") / rows
    edit(Path(dataset), rows)
    row(f"plan after {EDITS} edits", one_pass, plan())
    row("apply of them", one_pass, apply(lab))
    for _ in range(2):  # what was written just now is looked at once more before it is believed
        time.sleep(0.2)
        plan()
    row("plan of nothing", begun, plan())
    print(f"\n`.runner/`: {size:.0f} bytes a row after the first apply")


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m tests.bench", description=__doc__)
    parser.add_argument("--rows", type=int, default=50_000)
    rows = parser.parse_args().rows
    with tempfile.TemporaryDirectory() as folder, serving(Path(folder) / "server") as server:
        table(project(server, Path(folder) / "bench", rows), Path(folder) / "floor", rows)


if __name__ == "__main__":
    main()
