"""What a command takes that has nothing to do, beside a Python that does nothing. Figures, printed; run with

pytest -n0 -m bench -s tests/bench/test_start.py
"""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.bench.test_client import BENCH, cost_of, environ
from tests.journeys.lab import RUNNER, Lab, Server, serving

RUNS = 7
CALM = 0.1  # seconds in which nothing is written: only then stats tell
MANY = """\
project: many
models: {{echo: {{provider: lab, name: echo, params: {{max_tokens: 16}}}}}}
datasets:
{datasets}
prompts:
{prompts}
jobs:
{jobs}
providers:
  lab: {{kind: openai, base_url: {url}, api_key_env: LAB_KEY, overrides: {{settle_s: 0.1, min_poll_s: 0.05}}}}
"""


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    with serving(tmp_path_factory.mktemp("start") / "server") as running:
        yield running


def cpu(lab: Lab, *words: str) -> float:
    """The least seconds of some runs."""
    return min(cost_of([sys.executable, *words], lab.root, environ(lab)).cpu for _ in range(RUNS))


def no_ops(lab: Lab, what: str) -> float:
    """The dearest of a plan and an apply without work, as a multiple of a Python that does nothing."""
    floor = cpu(lab, "-c", "pass")
    ratios = []
    for words in (["plan"], ["apply", "-y"]):
        time.sleep(CALM)
        plain = cost_of([*RUNNER, *words], lab.root, environ(lab)).cpu
        found = cpu(lab, "-m", "runner", *words)
        ratios.append(found / floor)
        told = f"{found * 1000:.1f} ms, ratio {found / floor:.1f}; worked out, {plain * 1000:.0f} ms"
        print(f"\n{what}, {words[0]}: {told} (`python -c pass`: {floor * 1000:.1f} ms)", end="")
    return max(ratios)


@pytest.mark.bench
@pytest.mark.timeout(900)
@pytest.mark.parametrize("rows", [10, 200_000, 1_000_000])
def test_nothing_to_do(server: Server, tmp_path: Path, rows: int) -> None:
    lab = Lab(tmp_path, server)
    lab.spec(BENCH.replace("project: lab", f"project: rows{rows}"))
    (tmp_path / "data").mkdir()
    with open(tmp_path / "data/rows.jsonl", "w") as out:
        out.writelines(f'{{"word": "word {n}", "topic": "a topic that takes some room"}}\n' for n in range(rows))
    cost_of([*RUNNER, "apply", "-y", "-q", "--poll", "0.5"], tmp_path, environ(lab))
    assert no_ops(lab, f"{rows:,} rows") <= 5


@pytest.mark.bench
@pytest.mark.timeout(900)
def test_nothing_to_do_for_many_jobs(server: Server, tmp_path: Path) -> None:
    lab = Lab(tmp_path, server)
    (tmp_path / "data").mkdir()
    for number in range(100):
        (tmp_path / f"data/d{number}.csv").write_text(f"word\nof {number}\n")
    names = [(data, prompt) for data in range(100) for prompt in range(10)]
    job = "  j{0}-{1}: {{dataset: d{0}, prompt: p{1}, model: echo, output: results/j{0}-{1}.jsonl}}"
    lab.spec(
        MANY,
        datasets="\n".join(f"  d{number}: {{files: data/d{number}.csv}}" for number in range(100)),
        prompts="\n".join(f"  p{number}: 'Say {number} {{{{ word }}}}'" for number in range(10)),
        jobs="\n".join(job.format(*name) for name in names),
    )
    cost_of([*RUNNER, "apply", "-y", "-q", "--poll", "1"], tmp_path, environ(lab))
    assert no_ops(lab, "1,000 jobs, 100 datasets") <= 8


@pytest.mark.bench
def test_help(server: Server, tmp_path: Path) -> None:
    lab = Lab(tmp_path, server)
    cost_of([*RUNNER, "--help"], tmp_path, environ(lab))
    found = cpu(lab, "-m", "runner", "--help")
    print(f"\n`runner --help`: {found * 1000:.1f} ms of CPU", end="")
    assert found < 0.1
