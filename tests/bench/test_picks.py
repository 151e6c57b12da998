"""What it costs to hold answers to a schema, and to pick values out of them, beside writing the same answers.

Figures, printed; run with `pytest -n0 -m bench -s tests/bench/test_picks.py`
"""

from __future__ import annotations

from pathlib import Path

import pytest

from runner.job.observed import Phase
from runner.job.project import Pick
from runner.remotes.reading.verdict import Expected
from runner.results import columns, kinds
from runner.results.export import writer_for
from runner.results.index import build_index
from runner.results.locate import OutcomeSource, locate
from runner.results.merge import merge
from runner.results.picked import Picked
from runner.schemas import AnswerSchema
from tests.bench.test_writers import ABOUT, ROWS, cpu_of
from tests.results import made

SCHEMA = {
    "type": "object",
    "properties": {
        "city": {"type": "string"},
        "people": {"type": "integer"},
        "scores": {"type": "array", "items": {"type": "number"}},
        "why": {"type": "string"},
    },
    "required": ["city", "people", "scores", "why"],
}
PICKS = (
    Pick("city", ("city",), "answer.city"),
    Pick("people", ("people",), "answer.people"),
    Pick("best", ("scores", 0), "answer.scores[0]"),
)


@pytest.mark.bench
@pytest.mark.timeout(900)
@pytest.mark.parametrize("suffix", [".jsonl", ".csv", ".parquet"])
def test_a_schema_and_picks_beside_the_same_without(tmp_path: Path, suffix: str) -> None:
    why = "Because it is large, and lies at a river that many people know of."
    answers = (f'{{"city": "City {n}", "people": {n}, "scores": [0.5, {n}], "why": "{why}"}}' for n in range(ROWS))
    raw = made.raw(tmp_path / "raw", *(made.ok(n, answer) for n, answer in enumerate(answers)))
    rows = [made.row(n, n=n, topic="a topic that takes some room") for n in range(ROWS)]
    index = build_index([raw], made.expected(*range(ROWS)), ended=Phase.COMPLETED).index
    source = OutcomeSource(index, 0, "batch_1", made.ORIGIN, (raw,))
    shown = locate(made.keys(*range(ROWS)), [source])
    about = ABOUT._replace(answer=kinds.of_schema(SCHEMA))

    def write(*, holds: bool, picks: bool) -> None:
        wanted = Expected(True, True, AnswerSchema(SCHEMA) if holds else None)
        steps = [Picked(PICKS, about.answer)] if picks else []
        jsons = () if suffix == ".jsonl" else (row.row_json for row in rows)
        given = columns.input_of(jsons, typed=suffix == ".parquet")
        out = tmp_path / f"out{suffix}"
        out.unlink(missing_ok=True)
        with writer_for(out, tmp_path, columns.table(suffix, about, given, steps=steps)) as writer:
            merge(rows, shown, [source], writer, wanted=wanted)

    plain, held, picked = (
        cpu_of(lambda holds=holds, picks=picks: write(holds=holds, picks=picks))
        for holds, picks in ((False, False), (True, False), (True, True))
    )
    print(f"\n{suffix}: {plain:.2f} us a row; held to a schema {held / plain:.2f}, with 3 picks {picked / plain:.2f}")
    assert held / plain < 2.0 and picked / plain < 3.0
