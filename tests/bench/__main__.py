"""What changes cost beside the bare loops, as a table. Figures: CPU of whole processes, but for what says wall.

python -m tests.bench --rows 200000
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from runner.files import size_below
from tests.bench import compiling
from tests.bench.test_client import EDITS, FLOOR, Cost, apply, cost_of, edit, environ, project
from tests.journeys.audio.lab import AudioLab, sound
from tests.journeys.lab import KEY, RUNNER, Lab, Server, serving

PASS = Path(__file__).with_name("edited.py")
REWRITE = Path(__file__).with_name("rewritten.py")
LOOK = "import os; [os.stat(e.path) for d in os.scandir('calls') for e in os.scandir(d.path)]"
CONTENTS = 100  # of all recordings: what they hold is not looked at again, however much it is


def row(name: str, floor: float, cost: Cost) -> None:
    print(f"| {name} | {floor:.2f} | {cost.cpu:.2f} | {cost.cpu / floor:.1f} | {cost.mib:.0f} |", flush=True)


def compiled(folder: Path, rows: int) -> None:
    """The pass over a dataset alone, in processes of their own: the floor's and ours in turns, the least of three.
    Where two work on it, the floor is one of them."""
    path = folder / "compiled.jsonl"
    compiling.write_rows(path, rows)
    for kind, name in (("names", "text and names"), ("rich", "filters, loops, conditions")):
        floor, ours = _least_in_turns(path, kind, "floor", "runner")
        print(f"| compile {rows:,} rows, {name} | {floor:.2f} | {ours:.2f} | {ours / floor:.2f} | |", flush=True)
    for kind, name in (("names", "text and names"), ("rich", "filters, loops, conditions")):
        alone, two = _least_in_turns(path, kind, "alone", "together")
        print(f"| the same, {name}, two processes, wall | {alone:.2f} | {two:.2f} | {two / alone:.2f} | |", flush=True)


def _least_in_turns(path: Path, kind: str, *who: str) -> list[float]:
    found: dict[str, list[float]] = {one: [] for one in who}
    for _ in range(3):
        for one, seconds in found.items():
            command = [sys.executable, "-m", "tests.bench.compiling", str(path), kind, one]
            seconds.append(float(subprocess.run(command, check=True, capture_output=True).stdout))
    return [min(seconds) for seconds in found.values()]


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
    compiled(scratch, rows)
    first = apply(lab)
    floor = [sys.executable, str(FLOOR), dataset, f"{lab.server.url}/v1/", KEY, str(scratch)]
    row(f"end to end, {rows:,} rows", least(floor), first)
    size = size_below(lab.root / ".runner") / rows
    (lab.root / "results/answers.jsonl").unlink()
    again = [sys.executable, str(REWRITE), dataset, "output.jsonl", "rewritten.jsonl"]
    row("results written again", least(again), apply(lab))
    edit(Path(dataset), rows)
    row(f"plan after {EDITS} edits", one_pass, plan())
    row("apply of them", one_pass, apply(lab))
    for _ in range(2):  # what was written just now is looked at once more before it is believed
        time.sleep(0.2)
        plan()
    row("plan of nothing", begun, plan())
    print(f"\n`.runner/`: {size:.0f} bytes a row after the first apply")


def recordings(server: Server, root: Path, number: int) -> None:
    """A job of recordings that is done. The floor is one look at the stat of each."""
    (root / "calls").mkdir(parents=True)
    lab = AudioLab(root, server)
    lab.spec()
    held = [sound(str(content), seconds=0.01) for content in range(CONTENTS)]
    for n in range(number):
        (root / f"calls/{n // 1000:03}").mkdir(exist_ok=True)
        (root / f"calls/{n // 1000:03}/{n:06}.wav").write_bytes(held[n % CONTENTS])
    lab.first("-q")
    for words in (["plan"], ["apply", "-y"]):
        for _ in range(2):
            time.sleep(0.2)
            lab.run(*words)
        looks = min(cost_of([sys.executable, "-c", LOOK], root, environ(lab)).cpu for _ in range(3))
        cost = min(cost_of([*RUNNER, *words], root, environ(lab)) for _ in range(3))
        row(f"{words[0]} of nothing, {number:,} recordings", looks, cost)
        print(f"\n{words[0]}: {cost.cpu / number * 1e6:.1f} us of CPU a recording\n", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m tests.bench", description=__doc__)
    parser.add_argument("--rows", type=int, default=50_000)
    parser.add_argument("--recordings", type=int, default=100_000)
    asked = parser.parse_args()
    rows = asked.rows
    with tempfile.TemporaryDirectory() as folder, serving(Path(folder) / "server") as server:
        table(project(server, Path(folder) / "bench", rows), Path(folder) / "floor", rows)
        recordings(server, Path(folder) / "recordings", asked.recordings)


if __name__ == "__main__":
    main()
