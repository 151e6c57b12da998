"""Every file in judged/ is one answer of a remote after others, and what must be done about it; anybody can add one."""

from __future__ import annotations

from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import yaml

from runner.job.observed import Counts, Observed, Phase, ResultFile
from runner.plan.decide import decide, judged
from tests.plan.making import NOW, batch, card

CASES = sorted((Path(__file__).parent / "judged").glob("*.yaml"))


@pytest.mark.parametrize("path", CASES, ids=lambda path: path.stem)
def test_case(path: Path) -> None:
    case: dict[str, Any] = yaml.safe_load(path.read_text())
    before, answer = case.get("before", {}), case["answer"]
    known = batch("b", ["x", "y"]).batch.but(
        phase=Phase(before.get("phase", "validating")),
        misses=before.get("misses", 0),
        missed_at=_ago(before, "missed"),
        end_seen_at=_ago(before, "end_seen"),
    )
    change = decide(known, judged(known, None if answer == 404 else _seen(answer), NOW, card()))
    assert {"action": change.action.value, "reason": change.reason.value} == case["expect"]


def _seen(answer: dict[str, Any]) -> Observed:
    return Observed(
        "b",
        Phase(answer["phase"]),
        answer["phase"],
        Counts(2, answer.get("completed", 0), 0),
        ended_at=_ago(answer, "ended"),
        expires_at=_ago(answer, "expires"),
        result_files=tuple(ResultFile(kind, kind) for kind in answer.get("files", ())),
        results_are_final=not answer.get("owes"),
    )


def _ago(words: dict[str, Any], what: str) -> datetime | None:
    seconds = words.get(f"{what}_seconds_ago")
    return None if seconds is None else NOW - timedelta(seconds=seconds)
