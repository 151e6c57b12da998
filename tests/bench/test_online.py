"""Rows asked one by one, beside a bare loop of threads with as many connections, in one run. Figures, printed; run with

pytest -n0 -m bench -s tests/bench/test_online.py
"""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROWS, CONNECTIONS, LATENCY = 2_000, 32, 0.1


def _seconds(kind: str, url: str, folder: Path) -> tuple[float, float]:
    """Of the clock, and of the processor."""
    folder.mkdir()
    words = [sys.executable, "-m", "tests.bench.online", kind, url, str(ROWS), str(CONNECTIONS), str(folder)]
    env = {**os.environ, "HOME": str(folder), "RUNNER_HOME": str(folder / "home"), "PYTHONPATH": str(Path.cwd())}
    told = subprocess.run(words, env=env, check=True, capture_output=True, text=True, timeout=300).stdout
    wall, cpu = map(float, told.split())
    return wall, cpu


@pytest.mark.bench
def test_as_quick_as_a_bare_loop(tmp_path: Path) -> None:
    """Two fsyncs a group of rows instead of a row, and connections that are kept: the remote is what is waited for."""
    command = [sys.executable, "-m", "tests.online", str(LATENCY)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as server:
        assert server.stdout is not None and server.stdin is not None
        url = server.stdout.readline().strip()
        bare, ours = [], []
        for n in range(2):  # in turns: the machine may be busy for a while
            bare.append(_seconds("bare", url, tmp_path / f"bare-{n}"))
            ours.append(_seconds("ours", url, tmp_path / f"ours-{n}"))
        server.stdin.close()
    (floor, floor_cpu), (wall, cpu) = min(bare), min(ours)
    print(
        f"\n{ROWS:,} rows, {CONNECTIONS} connections, {LATENCY * 1000:.0f} ms each: bare {ROWS / floor:.0f} rows/s, "
        f"{floor_cpu / ROWS * 1000:.2f} ms CPU a row; ours {ROWS / wall:.0f} rows/s, {cpu / ROWS * 1000:.2f} ms; "
        f"throughput {floor / wall:.2f}x, CPU {cpu / floor_cpu:.2f}x"
    )
    assert floor / wall >= 0.9
    assert cpu / floor_cpu <= 2.0
