"""A dataset that is compiled by several processes is sent as one process would send it."""

from __future__ import annotations

import os
import subprocess

import msgspec
import pytest

from tests.compile.test_ranges import children_of
from tests.journeys.lab import RUNNER, SPEC, Lab

ROWS = 40
LARGE = SPEC.replace("data/rows.csv", "data/rows.jsonl").replace(
    "    output:", "    columns: [id, word, answer]\n    output:"
)


def test_a_large_dataset_is_compiled_on_both_cores(lab: Lab) -> None:
    if len(os.sched_getaffinity(0)) < 2:
        pytest.skip("on one core one process does it")
    lab.spec(LARGE)
    rows = [{"id": f"r{n}", "word": f"word {n}", "more": "x" * (1 << 20)} for n in range(ROWS)]
    (lab.root / "data/rows.jsonl").write_bytes(b"\n".join(map(msgspec.json.encode, rows)))
    command = [*RUNNER, "apply", "specs/", "-y", "-q", "--poll", "0.1"]
    apply = subprocess.Popen(command, cwd=lab.root, env=lab.environ())
    seen: set[int] = set()
    while apply.poll() is None:
        seen.update(children_of(apply.pid))
    assert (apply.returncode, len(seen) > 0) == (0, True)
    assert [(row["id"], row["word"]) for row in lab.results()] == [(row["id"], row["word"]) for row in rows]
    assert lab.server.sent() == [[str(row["id"]) for row in rows]]
    assert not list((lab.root / ".runner/tmp").iterdir())
