"""What the client costs beside the bare loop, and how its memory grows with the rows. Figures, printed; run with

pytest -n0 -m bench -s tests/bench
"""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.journeys.lab import KEY, RUNNER, SPEC, Lab, Server, serving

FLOOR = Path(__file__).with_name("floor.py")
BENCH = SPEC.replace("data/rows.csv, id: id", "data/rows.jsonl").replace(
    "Say {{{{ word }}}}", "Say {{{{ word }}}} of {{{{ topic }}}}"
)

EDITS = 10
_MOST_BYTES_A_ROW = {"apply": 38, "plan of edits": 8, "apply of edits": 32}
_MOST_MIB = {"apply": 109, "plan of edits": 56, "apply of edits": 91}


@dataclass(frozen=True, slots=True, order=True)
class Cost:
    """Of one whole process: user and system seconds, and the largest resident size in MiB."""

    cpu: float
    mib: float


def cost_of(command: list[str], cwd: Path, environ: dict[str, str]) -> Cost:
    process = subprocess.Popen(command, cwd=cwd, env=environ, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
    assert process.stderr is not None
    words = process.stderr.read()
    _, status, used = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    process.stderr.close()
    assert process.returncode == 0, words.decode()[-2000:]
    return Cost(used.ru_utime + used.ru_stime, used.ru_maxrss / 1024)


def environ(lab: Lab) -> dict[str, str]:
    """As a user has it: with compiled modules."""
    around = {**lab.environ(), "PYTHONWARNINGS": "default"}
    return {name: value for name, value in around.items() if name != "PYTHONDONTWRITEBYTECODE"}


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    with serving(tmp_path_factory.mktemp("bench") / "server") as running:
        yield running


def project(server: Server, root: Path, rows: int) -> Lab:
    """A project of its own requests, so that nothing was asked before."""
    root.mkdir()
    lab = Lab(root, server)
    lab.spec(BENCH.replace("project: lab", f"project: {root.name}"))
    (root / "data").mkdir()
    with open(root / "data/rows.jsonl", "w") as out:
        for n in range(rows):
            out.write(f'{{"word": "word {n} of {root.name}", "topic": "a topic that takes some room", "n": {n}}}\n')
    return lab


def apply(lab: Lab) -> Cost:
    return cost_of([*RUNNER, "apply", "specs/", "-y", "--poll", "0.5", "-q"], lab.root, environ(lab))


@pytest.mark.bench
@pytest.mark.timeout(900)
def test_cpu_beside_the_bare_loop(server: Server, tmp_path: Path) -> None:
    rows, runs = 50_000, 3
    floors, clients = [], []
    for run in range(runs):
        lab = project(server, tmp_path / f"cpu{run}", rows)
        scratch = tmp_path / f"floor{run}"
        scratch.mkdir()
        floor = [sys.executable, str(FLOOR), str(lab.root / "data/rows.jsonl"), f"{server.url}/v1/", KEY, str(scratch)]
        floors.append(cost_of(floor, scratch, environ(lab)).cpu)
        clients.append(apply(lab).cpu)
    floor_cpu, client_cpu = min(floors), min(clients)
    ratio = client_cpu / floor_cpu
    print(f"\n{rows:,} rows, the least of {runs} runs: bare loop {floor_cpu:.2f} s ({rows / floor_cpu:,.0f} rows/s),")
    print(f"runner apply {client_cpu:.2f} s ({rows / client_cpu:,.0f} rows/s), ratio {ratio:.2f}")
    assert ratio <= 3


@pytest.mark.bench
@pytest.mark.timeout(900)
def test_memory_is_flat(server: Server, tmp_path: Path) -> None:
    """What a row costs: of a first apply, and where ten rows are edited, of a plan and an apply."""
    few, many = 100_000, 300_000  # of both, raw files are held as a whole, and no more of them
    small, large = (_peaks(project(server, tmp_path / f"of{rows}", rows), rows) for rows in (few, many))
    grown = {name: (large[name] - small[name]) * 2**20 / (many - few) for name in small}
    print()
    for name, a_row in grown.items():
        print(f"{name}: {small[name]:.0f} MiB at {few:,} rows, {large[name]:.0f} at {many:,}: {a_row:.0f} bytes a row")
    assert all(grown[name] <= most for name, most in _MOST_BYTES_A_ROW.items())
    assert all(large[name] <= most for name, most in _MOST_MIB.items())


def _peaks(lab: Lab, rows: int) -> dict[str, float]:
    found = {"apply": apply(lab).mib}
    edit(lab.root / "data/rows.jsonl", rows)
    found["plan of edits"] = cost_of([*RUNNER, "plan", "specs/"], lab.root, environ(lab)).mib
    return found | {"apply of edits": apply(lab).mib}


def edit(path: Path, rows: int) -> None:
    """Change ten rows far from each other, line by line: what this process holds counts as its children's."""
    every = rows // EDITS
    beside = path.with_name("edited.jsonl")
    with open(path, "rb") as before, open(beside, "wb") as after:
        for number, line in enumerate(before):
            after.write(line.replace(b"word ", b"other word ", 1) if number % every == every // 2 else line)
    beside.replace(path)
