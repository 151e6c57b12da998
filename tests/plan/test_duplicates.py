"""Every file in duplicates/ is a batch on record and another of the same create, and which of the two stays."""

from __future__ import annotations

from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import yaml

from runner.job.observed import Failure, FailureKind, Observed, Phase
from runner.plan import duplicates
from tests.plan.making import NOW, batch

CASES = sorted((Path(__file__).parent / "duplicates").glob("*.yaml"))


def seen(remote_id: str, about: dict[str, Any]) -> Observed:
    created_at = NOW - timedelta(hours=about["hours"])
    return Observed(remote_id, Phase(about.get("phase", "running")), "", created_at=created_at)


@pytest.mark.parametrize("path", CASES, ids=lambda path: path.stem)
def test_case(path: Path) -> None:
    case: dict[str, Any] = yaml.safe_load(path.read_text())
    rows = {"x": "ok"} if case.get("is_home") else ["x"]
    record = batch("b", rows, phase=Phase(case.get("recorded", "running"))).batch
    ours = seen("b", case["ours"]) if "ours" in case else None
    assert duplicates.judge(record, ours, seen("a", case["other"])).value == case["expect"]


def found(remote_id: str, hours: int, kind: FailureKind | None = None) -> Observed:
    failure = None if kind is None else Failure(kind, "code", "no")
    phase = Phase.RUNNING if kind is None else Phase.FAILED
    return Observed(remote_id, phase, "", failure=failure, created_at=NOW - timedelta(hours=hours))


@pytest.mark.parametrize(
    ("one", "other", "together"),
    [((5, 3), (4, 2), True), ((5, None), (1, None), True), ((5, 4), (3, None), False), ((3, None), (5, 4), False)],
)
def test_what_is_asked_again_is_no_overlap(
    one: tuple[int, int | None], other: tuple[int, int | None], together: bool
) -> None:
    def lived(remote_id: str, hours: tuple[int, int | None]) -> Observed:
        born, over = hours
        ended_at = None if over is None else NOW - timedelta(hours=over)
        phase = Phase.RUNNING if over is None else Phase.COMPLETED
        return Observed(remote_id, phase, "", created_at=NOW - timedelta(hours=born), ended_at=ended_at)

    assert duplicates.were_together(lived("a", one), lived("b", other)) is together


@pytest.mark.parametrize(
    ("ended", "created", "epoch", "again"),
    [(3, 2, 2, True), (3, 2, 1, False), (3, 2, 0, False), (3, 4, 2, False), (None, 2, 2, False), (3, None, 2, False)],
)
def test_what_a_person_wanted_anew_comes_after_an_answer_and_in_a_later_epoch(
    ended: int | None, created: int | None, epoch: int, again: bool
) -> None:
    def ago(hours: int | None) -> datetime | None:
        return None if hours is None else NOW - timedelta(hours=hours)

    ours = batch("b", {"x": "ok"}, generation=1).batch.but(ended_at=ago(ended))
    assert duplicates.is_asked_again(ours, ago(created), epoch) is again


def ids(*of: Observed) -> tuple[str, list[str]]:
    first, others = duplicates.preferred(of)
    return first.remote_id, [other.remote_id for other in others]


def test_the_oldest_goes_on_and_the_others_do_not() -> None:
    assert ids(found("b", 1), found("a", 2)) == ("a", ["b"])


@pytest.mark.parametrize("kind", FailureKind)
def test_one_that_goes_on_is_not_given_up_for_an_older_refusal(kind: FailureKind) -> None:
    assert ids(found("refused", 2, kind), found("runs", 1)) == ("runs", [])


def test_a_refusal_that_stands_comes_before_one_that_was_put_off() -> None:
    assert ids(found("put off", 2, FailureKind.QUOTA), found("refused", 1, FailureKind.BAD_INPUT)) == ("refused", [])
