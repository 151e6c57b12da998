"""What a record tells that takes the place of another, as one event of the log."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from typing import Any

import msgspec
import pytest

from runner.job import lifecycle
from runner.job.cost import Price, Used
from runner.job.events import MOST_OF_WHY, Event, What, cancelled, told_by
from runner.job.observed import Counts, Failure, FailureKind, Observed, Phase
from runner.job.recorded import REMOTE, Batch, JobRecord, ProjectRecord, Retry, Stage, Tally
from tests.apply.test_lineage import batch
from tests.plan.making import NOW

ROW_WORDS = "line 3: {'prompt': 'my secret'}"
REFUSED = Failure(FailureKind.BAD_INPUT, "invalid_file", ROW_WORDS)
RUNNING = Observed("b-1", Phase.RUNNING, "in_progress", Counts(3, 1, 0))
ENDED = Observed("b-1", Phase.EXPIRED, "expired", Counts(3, 2, 0), ended_at=NOW)
MINUTE = timedelta(minutes=1)
PRICED = Price(per_million=(1.0, 2.0))

CASES: dict[str, tuple[Stage, dict[str, Any], Callable[[Batch], Batch], dict[str, Any] | None]] = {
    "a create is about to be sent": (Stage.INTENT, {}, lambda one: lifecycle.sending(one, NOW), None),
    "a receipt": (
        Stage.INTENT,
        {"reason": "never asked", "estimated_usd": 1.5},
        lambda one: lifecycle.submitted(one, RUNNING, NOW),
        {"event": "batch.submitted", "remote_id": "b-1", "why": "never asked", "estimated_usd": 1.5},
    ),
    "found at its remote": (
        Stage.DROPPED,
        {"found_in": REMOTE},
        lambda one: lifecycle.submitted(one, RUNNING, NOW),
        {"event": "batch.adopted", "remote_id": "b-1"},
    ),
    "a person says it is there": (
        Stage.HELD,
        {},
        lambda one: lifecycle.decided(one, remote_id="b-1", now=NOW),
        {"event": "batch.adopted", "remote_id": "b-1"},
    ),
    "a full queue": (
        Stage.INTENT,
        {},
        lambda one: lifecycle.deferred(one, Failure(FailureKind.QUOTA, "", ROW_WORDS), NOW, MINUTE),
        {"event": "batch.deferred", "why": FailureKind.QUOTA.value},
    ),
    "nobody knows": (
        Stage.INTENT,
        {},
        lambda one: lifecycle.unknown(one, "aa", "no answer"),
        {"event": "batch.held", "why": "no answer"},
    ),
    "dropped": (
        Stage.INTENT,
        {},
        lambda one: lifecycle.dropped(one, f"no\n{'x' * 999}"),
        {"event": "batch.dropped", "why": f"no {'x' * (MOST_OF_WHY - 4)}…"},
    ),
    "seen": (Stage.SUBMITTED, {}, lambda one: lifecycle.seen(one, RUNNING, NOW), None),
    "seen to have ended": (
        Stage.SUBMITTED,
        {},
        lambda one: lifecycle.seen(one, ENDED, NOW),
        {"event": "batch.ended", "state": "expired"},
    ),
    "seen again, ended": (Stage.SUBMITTED, {"end_seen_at": NOW}, lambda one: lifecycle.seen(one, ENDED, NOW), None),
    "collected": (
        Stage.SUBMITTED,
        {"price": PRICED, "estimated_usd": 3.0},
        lambda one: lifecycle.collected(one, ENDED, "aa", Tally(ok=2), NOW, used=Used(2, 0, 10**6, 10**6)),
        {
            "event": "batch.collected",
            "ok": 2,
            "failed": 1,
            "input_tokens": 10**6,
            "output_tokens": 10**6,
            "usd": 3.0,
            "estimated_usd": 3.0,
            "state": "expired",
        },
    ),
    "collected at an unknown price": (
        Stage.SUBMITTED,
        {},
        lambda one: lifecycle.collected(one, ENDED, "aa", Tally(ok=2), NOW, used=Used(2, 0, 5, 6)),
        {
            "event": "batch.collected",
            "ok": 2,
            "failed": 1,
            "input_tokens": 5,
            "output_tokens": 6,
            "unpriced": 2,
            "state": "expired",
        },
    ),
    "refused": (
        Stage.SUBMITTED,
        {},
        lambda one: lifecycle.collected(
            one, Observed("b-1", Phase.FAILED, "failed", failure=REFUSED), "aa", Tally(rejected=3), NOW
        ),
        {
            "event": "batch.collected",
            "ok": 0,
            "failed": 3,
            "input_tokens": 0,
            "output_tokens": 0,
            "state": "failed",
            "why": f"{FailureKind.BAD_INPUT.value} (invalid_file)",
        },
    ),
    "read back": (
        Stage.INTENT,
        {"found_in": "results/a.jsonl", "price": PRICED},
        lambda one: lifecycle.read_back(one, "aa", Tally(ok=3), NOW, (), Used(3, 0, 0, 0)),
        {
            "event": "batch.read_back",
            "ok": 3,
            "failed": 0,
            "input_tokens": 0,
            "output_tokens": 0,
            "usd": 0.0,
            "state": "completed",
            "path": "results/a.jsonl",
        },
    ),
    "given up, and there": (
        Stage.COLLECTED,
        {"remote_id": "b-1"},
        lambda one: lifecycle.found_again(one, RUNNING, NOW),
        {"event": "batch.reopened"},
    ),
    "somebody else's": (
        Stage.SUBMITTED,
        {"remote_id": "b-2"},
        lifecycle.released,
        {"event": "batch.released", "why": "`b-2` is somebody else's"},
    ),
    "a duplicate": (
        Stage.SUBMITTED,
        {"duplicates": ("b-2",)},
        lambda one: one.but(duplicates=("b-2", "b-3")),
        {"event": "batch.duplicated", "why": "b-3"},
    ),
}


@pytest.mark.parametrize("name", CASES)
def test_what_became_of_a_batch(name: str) -> None:
    stage, fields, step, expected = CASES[name]
    before = batch(1, stage=stage, rows=3).but(**fields)
    after = step(before)
    told = [msgspec.to_builtins(event) for event in told_by(before, after)]
    about = {"job": before.owner, "batch": before.key, "provider": before.origin.provider, "rows": before.rows}
    about |= {"model": before.model} if before.model else {}
    if expected is not None and after.remote_id:
        about["remote_id"] = after.remote_id
    assert told == ([] if expected is None else [about | expected])
    assert ROW_WORDS not in str(told)


def test_a_batch_found_that_was_never_on_record_is_adopted() -> None:
    [event] = told_by(None, lifecycle.submitted(batch(1, stage=Stage.INTENT).but(found_in=REMOTE), RUNNING, NOW))
    assert event.event is What.ADOPTED
    assert list(told_by(None, batch(1, stage=Stage.INTENT))) == []


def test_what_became_of_a_job_and_what_a_person_said() -> None:
    job = JobRecord("a", "specs/a.yaml", "lab", "sets/0", 3, output="results/a.jsonl", ok=2, error=1)
    written = msgspec.structs.replace(job, written_sha256="1" * 64, written_at=NOW)
    [event] = told_by(job, written)
    assert (event.event, event.job, event.ok, event.failed, event.path) == (What.WRITTEN, "a", 2, 1, "results/a.jsonl")
    assert list(told_by(None, job)) == list(told_by(written, msgspec.structs.replace(written, ok=3))) == []
    [event] = told_by(None, Retry(1, "a", "sets/0", 3, True, NOW))
    assert (event.event, event.rows, event.why) == (What.RETRIED, 3, "what was answered too")
    project = ProjectRecord("p", NOW)
    [event] = told_by(project, msgspec.structs.replace(project, accepted_origins={"lab": ["lab@old"]}))
    assert (event.event, event.provider, event.why) == (What.ACCEPTED, "lab", "lab@old")
    assert list(told_by(None, project)) == []


def test_one_that_was_stopped_by_a_person() -> None:
    event = cancelled(batch(1, stage=Stage.SUBMITTED).but(phase=Phase.CANCELLING), "as a person asked")
    assert (event.event, event.state, event.why) == (What.CANCELLED, "cancelling", "as a person asked")


def test_each_kind_of_event_says_of_what_it_is() -> None:
    assert all(what.value.split(".")[0] in ("batch", "job", "remote", "origin", "state", "command") for what in What)
    assert Event.__struct_config__.omit_defaults
