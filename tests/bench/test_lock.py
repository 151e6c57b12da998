"""What `runner lock` and `runner verify` cost, beside `json.loads` of each line of results and scores. Printed:

pytest -n0 -m bench -s tests/bench/test_lock.py
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from pathlib import Path
from typing import NamedTuple

import pytest

from runner.apply.reporter import Silent
from runner.checks.program import Program
from runner.cli.main import Settings
from runner.cli.opening import opened
from runner.remotes.reading.verdict import NULL
from runner.results import columns
from runner.results.export import writer_for
from runner.results.scorer import Scorer
from runner.results.scores import ScoresWriter
from runner.results.splice import Merged
from tests.journeys.lab import RUNNER

SPEC = """\
project: bench
models:
  echo: {provider: lab, name: echo, params: {max_tokens: 16}, price: {input: 1, output: 10}}
datasets:
  rows: {files: data/rows.jsonl, id: id}
prompts:
  ask: {user: "What does the customer of {{ order }} want? {{ note }}"}
jobs:
  answers:
    dataset: rows
    prompt: ask
    model: echo
    output: results/answers.jsonl
    checks:
      intent: {choice: "{{ intent }}", classes: [refund, return, complaint, question]}
      order: {contains: "{{ order }}"}
providers:
  lab: {kind: openai, base_url: "http://127.0.0.1:9/v1"}
"""
CLASSES = ("refund", "return", "complaint", "question")


def made(root: Path, rows: int) -> None:
    """A project with results and scores of so many rows, as a clone has it."""
    for name in ("specs", "data", "results"):
        (root / name).mkdir(parents=True)
    (root / "specs/bench.yaml").write_text(SPEC)
    with open(root / "data/rows.jsonl", "w") as data:
        for n in range(rows):
            row = {
                "id": f"row-{n}",
                "order": f"order {n}",
                "intent": CLASSES[n * 7 % 4],
                "note": "a note of some length",
            }
            data.write(json.dumps(row) + "\n")
    with opened(Settings(root, 0), ["specs"], Silent(), writes=False) as session:
        evals = session.project.jobs[0].evals
        program = Program(evals)
        table = columns.table(".jsonl", columns.About())
        with (
            open(root / "results/answers.scores.jsonl", "wb") as out,
            writer_for(root / "results/answers.jsonl", root, table) as results,
        ):
            scorer = Scorer(program, ScoresWriter(out, [held.name for held in program.checks], list(program.slices)))
            for n, view in enumerate(session.compiled["answers"].rows()):
                answer = f"{CLASSES[n % 4]}: the customer of order {n} asks about it, and wants an answer soon."
                choice = {"index": 0, "message": {"role": "assistant", "content": answer}, "finish_reason": "stop"}
                usage = {"prompt_tokens": 21, "completion_tokens": 17, "total_tokens": 38}
                body = {"id": f"chatcmpl-{n}", "object": "chat.completion", "created": 1790000000, "model": "echo-1"}
                response = json.dumps({**body, "choices": [choice], "usage": usage}, separators=(",", ":")).encode()
                whose = ("batch_1", view.digest.hex(), "lab@127.0.0.1:9", "stop")
                line = Merged(view.custom_id, view.row_json, json.dumps(answer).encode(), response, NULL, *whose)
                results.write(line)
                scorer.write(line)
            scorer.finish()
            scorer.close()


class Cost(NamedTuple):
    seconds: float  # of processor time
    megabytes: int  # at most


def cost_of(root: Path, *words: str) -> Cost:
    process = subprocess.Popen([*RUNNER, *words], cwd=root, stdout=subprocess.DEVNULL)
    _, status, used = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    assert process.returncode == 0
    return Cost(used.ru_utime + used.ru_stime, used.ru_maxrss // 1024)


def floor(root: Path) -> float:
    """Seconds that it takes to read results and scores, and `json.loads` each line."""
    before = time.process_time()
    for path in (root / "results").iterdir():
        with path.open("rb") as lines:
            for line in lines:
                json.loads(line)
    return time.process_time() - before


INDEX_MB = 32 * 1_000_000 >> 20  # what stays in memory of a row: its key, the size and the place of its line
MOST = {"lock": 4, "verify": 6, "verify --deep": 6}  # times the floor; a fresh clone compiles, which is in it


@pytest.mark.bench
@pytest.mark.timeout(1800)
def test_memory_is_flat_and_time_is_near_the_floor(tmp_path: Path) -> None:
    used: dict[str, list[int]] = {name: [] for name in MOST}
    for rows in (100_000, 1_000_000):
        root = tmp_path / f"{rows}"
        subprocess.run([sys.executable, "-m", "tests.bench.test_lock", str(root), str(rows)], check=True)
        least, empty = floor(root), cost_of(root, "schema")
        print(f"\n{rows:,} rows: json.loads of results and scores {least:.1f} s", end="")
        for name, most in MOST.items():
            cost = cost_of(root, *name.split())
            times = (cost.seconds - empty.seconds) / least
            print(f"; {name} {times:.1f} times that, {cost.megabytes} MB", end="")
            assert times <= most
            used[name].append(cost.megabytes)
    for before, after in used.values():
        assert after - before <= INDEX_MB


if __name__ == "__main__":
    made(Path(sys.argv[1]), int(sys.argv[2]))
