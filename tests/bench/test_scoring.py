"""What it costs to hold a line of results to three checks, beside `json.loads` of the same line. Figures, printed:

pytest -n0 -m bench -s tests/bench/test_scoring.py
"""

from __future__ import annotations

import io
import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from runner.checks import score as kinds
from runner.checks.choice import Classes
from runner.checks.program import Program
from runner.compile.compiled import RowView
from runner.errors import Mark
from runner.job.checks import ANSWER, Check, Ignore, Kind, Reference
from runner.job.observed import Phase
from runner.job.project import Evals
from runner.job.source import Source
from runner.results import columns
from runner.results.export import writer_for
from runner.results.index import build_index
from runner.results.locate import OutcomeSource, locate
from runner.results.merge import merge
from runner.results.scorer import Scorer
from runner.results.scores import ScoresWriter
from tests.bench.test_writers import ABOUT, ROWS, cpu_of
from tests.results import made

CLASSES = ("refund", "return", "complaint", "question")


def said(n: int) -> str:
    return f"Intent: {CLASSES[n % 4]}. The customer of order {n} asks about it, and\nwants an answer soon."


def row_of(n: int) -> RowView:
    cells = {"topic": "a topic that takes some room", "note": "x"}
    return made.row(n, n=n, intent=CLASSES[n * 7 % 4], order=f"order {n}", **cells)


def source(text: str) -> Source:
    return Source(text, Mark("specs/a.yaml", 1), "a template")


def evals() -> Evals:
    """A class, a text that has to occur, a text that it has to be: references are columns, and no pattern is run."""

    def check(kind: Kind, reference: str, **more: object) -> Check:
        templates = Reference((source(reference),))
        return Check(name=kind.value, kind=kind, text=source(ANSWER), reference=templates, **more)  # type: ignore[arg-type]

    folded = (Ignore.CASE, Ignore.SPACE)
    return Evals(
        (
            check(Kind.CHOICE, "{{ intent }}", ignore=folded, classes=CLASSES),
            check(Kind.CONTAINS, "{{ order }}"),
            check(Kind.EQUALS, "{{ topic }}"),
        )
    )


class Lines:
    """Results of so many rows, as they lie after a run."""

    def __init__(self, folder: Path, rows: int = ROWS) -> None:
        self.rows = rows
        names = range(rows)
        raw = folder / "raw"
        with open(raw, "wb") as out:
            for start in range(0, rows, 10_000):
                part = made.raw(folder / "part", *(made.ok(n, said(n)) for n in names[start : start + 10_000]))
                out.write(part.read_bytes())
        index = build_index([raw], made.expected(*names), ended=Phase.COMPLETED).index
        self.source = OutcomeSource(index, 0, "batch_1", made.ORIGIN, (raw,))
        self.shown = locate(made.keys(*names), [self.source])

    def views(self) -> Iterator[RowView]:
        return map(row_of, range(self.rows))

    def score(self, out: io.BufferedWriter | io.BytesIO, rows: list[RowView] | Iterator[RowView]) -> Scorer:
        program = Program(evals())
        scorer = Scorer(program, ScoresWriter(out, [held.name for held in program.checks]))
        merge(rows, self.shown, [self.source], scorer)
        scorer.finish()
        scorer.close()
        return scorer


@pytest.mark.bench
@pytest.mark.timeout(900)
def test_scoring_beside_reading_the_same_lines(tmp_path: Path) -> None:
    lines = Lines(tmp_path)
    rows = list(lines.views())
    with writer_for(tmp_path / "out.jsonl", tmp_path, columns.table(".jsonl", ABOUT)) as writer:
        merge(rows, lines.shown, [lines.source], writer)
    written = (tmp_path / "out.jsonl").read_bytes().splitlines()

    def load() -> None:
        for line in written:
            json.loads(line)

    texts = [(said(n), (CLASSES[n * 7 % 4],), (f"order {n}",), ("a topic that takes some room",)) for n in range(ROWS)]
    judges = (
        kinds.choice(Classes(CLASSES, (Ignore.CASE, Ignore.SPACE))),
        kinds.contains(()),
        kinds.equals(()),
    )

    def judge() -> None:
        for text, *references in texts:
            for one, expected in zip(judges, references, strict=True):
                one(text, expected)

    loads, floor = cpu_of(load), cpu_of(judge)
    cost = cpu_of(lambda: lines.score(io.BytesIO(), rows))
    print(f"\njson.loads {loads:.2f} us a row, the checks alone {floor:.2f}, scoring {cost:.2f}: ", end="")
    print(f"{(cost - floor) / loads:.2f} times json.loads and the checks")
    assert cost <= 2 * loads + floor


@pytest.mark.bench
@pytest.mark.timeout(1800)
def test_memory_does_not_grow_with_the_rows(tmp_path: Path) -> None:
    """Beside what places take: 16 bytes of key, 9 of place a row, and its entry of the index."""
    used = {}
    for rows in (100_000, 1_000_000):
        done = subprocess.run(
            [sys.executable, "-m", "tests.bench.test_scoring", str(tmp_path), str(rows)],
            capture_output=True,
            text=True,
            check=True,
        )
        used[rows] = [int(word) for word in done.stdout.split()]
    before, after = zip(*used.values(), strict=True)
    print(f"\nMB before and after scoring: {used}")
    assert after[1] - before[1] <= after[0] - before[0] + 10


def main(folder: Path, rows: int) -> None:
    """Prints the most memory in MB before and after scoring."""
    lines = Lines(folder, rows)
    before = _memory("VmRSS")
    Path("/proc/self/clear_refs").write_text("5")  # the high-water mark begins anew
    with open(folder / "scores", "wb") as out:
        sheet = lines.score(out, lines.views()).sheet
    assert sheet.wanted == rows
    print(before, _memory("VmHWM"))


def _memory(name: str) -> int:
    """In MB."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith(f"{name}:")) // 1024


if __name__ == "__main__":
    main(Path(sys.argv[1]), int(sys.argv[2]))
