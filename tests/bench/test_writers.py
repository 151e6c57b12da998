"""What a line of results costs in each format beside a bare loop over the same files. Figures, printed; run with

pytest -n0 -m bench -s tests/bench/test_writers.py
"""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
import pytest

from runner.compile.compiled import RowView
from runner.job.observed import Phase
from runner.results import columns
from runner.results.export import writer_for
from runner.results.index import build_index
from runner.results.locate import OutcomeSource, locate
from runner.results.merge import merge
from tests.results import made

ROWS, RUNS = 50_000, 3
ABOUT = columns.About("job", "model", usd_per_million=(1.0, 2.0))


def cpu_of(work: Callable[[], Any]) -> float:
    """The least processor time of some runs, in microseconds a row."""
    found = []
    for _ in range(RUNS):
        before = time.process_time()
        work()
        found.append(time.process_time() - before)
    return min(found) / ROWS * 1e6


def bare(raw: Path, rows: list[RowView], out: Path) -> None:
    """Read, decode, encode, write: no index, no order, no check."""
    decode, encode = msgspec.json.decode, msgspec.json.encode
    with open(raw, "rb") as lines, open(out, "wb") as results:
        for line, row in zip(lines, rows, strict=True):
            body = decode(line)["response"]["body"]
            answer = body["choices"][0]["message"]["content"]
            told = {"custom_id": row.custom_id, "row": decode(row.row_json), "answer": answer, "response": body}
            results.write(encode(told) + b"\n")


@pytest.mark.bench
@pytest.mark.timeout(900)
@pytest.mark.parametrize(("suffix", "most"), [(".jsonl", 2.0), (".csv", 4.0), (".parquet", 4.5)])
def test_a_line_beside_the_bare_loop(tmp_path: Path, suffix: str, most: float) -> None:
    names = range(ROWS)
    raw = made.raw(tmp_path / "raw", *(made.ok(n, f'The capital, of "row" {n} is a city\nwith text.') for n in names))
    cells = {"topic": "a topic that takes some room", "note": "x"}
    rows = [made.row(n, n=n, city=f"City {n}", share=n / 7, **cells) for n in names]
    index = build_index([raw], made.expected(*names), ended=Phase.COMPLETED).index
    source = OutcomeSource(index, 0, "batch_1", made.ORIGIN, (raw,))
    shown = locate(made.keys(*names), [source])
    seen: list[int] = []

    def write() -> None:
        jsons = () if suffix == ".jsonl" else (row.row_json for row in rows)
        table = columns.table(suffix, ABOUT, columns.input_of(jsons, typed=suffix == ".parquet"))
        seen.append(len(table.columns))
        out = tmp_path / f"out{suffix}"
        out.unlink(missing_ok=True)
        with writer_for(out, tmp_path, table) as writer:
            merge(rows, shown, [source], writer)

    floor, cost = cpu_of(lambda: bare(raw, rows, tmp_path / "bare")), cpu_of(write)
    print(f"\n{suffix}: bare loop {floor:.2f} us a row, results with {seen[0]} columns {cost:.2f}: {cost / floor:.2f}")
    assert cost / floor <= most
