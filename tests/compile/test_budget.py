"""All rows of a command together: each keeps to its bounds, and so do they."""

from __future__ import annotations

import time
from pathlib import Path

import pytest

from runner.compile import pool
from runner.compile.budget import RowBudget
from runner.compile.compile import compile_job
from runner.errors import DataError
from runner.remotes.openai import lines as openai
from tests.compile.made import job_of, write_rows

SLOW = "{% for a in range(300) %}{% for b in range(100) %}{{ a * b }}{% endfor %}{% endfor %}{{ n }}"


def rows_of(root: Path, count: int) -> None:
    write_rows(root, [{"n": number} for number in range(count)])


def test_rows_are_counted_over_all_jobs_also_those_that_nobody_wants(tmp_path: Path) -> None:
    rows_of(tmp_path, 60)
    budget = RowBudget(rows=150)
    compile_job(job_of("{{ n }}"), tmp_path, openai.LINES, budget)
    compile_job(job_of("{{ n }}", dataset={"where": "{{ n < 3 }}"}), tmp_path, openai.LINES, budget)
    with pytest.raises(DataError, match="more than 150 rows") as raised:
        compile_job(job_of("{{ n }}"), tmp_path, openai.LINES, budget)
    assert raised.value.mark is not None and raised.value.hint


def test_bytes_are_counted_over_all_jobs(tmp_path: Path) -> None:
    rows_of(tmp_path, 20)
    budget = RowBudget(size_bytes=30_000)
    compile_job(job_of("x" * 1000 + "{{ n }}"), tmp_path, openai.LINES, budget)
    with pytest.raises(DataError, match="larger than 30,000 bytes in all"):
        compile_job(job_of("y" * 1000 + "{{ n }}"), tmp_path, openai.LINES, budget)


def test_rows_that_each_keep_to_their_time_end_together(tmp_path: Path) -> None:
    rows_of(tmp_path, 5000)
    pool.close()
    pool.give_back(pool.Worker(cpu_seconds=2))
    began = time.process_time()
    with pytest.raises(DataError, match="minutes of processor time in all") as raised:
        compile_job(job_of(SLOW), tmp_path, openai.LINES)
    assert raised.value.mark is not None and raised.value.hint
    assert time.process_time() - began < 5
    pool.close()
