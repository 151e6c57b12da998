"""A batch that ended is settled by what it left: the files there are, the lines in them, and the time since we saw it.

What a remote says of its end may be wrong in every part: no output, wrong counts, no time, a file named later.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from tests.journeys.lab import Lab
from tests.journeys.lookalike import SPEC, LookAlike, Raw, lab_at, looking_alike, record_of

ALL_DONE = {"total": 2, "completed": 2, "failed": 0}
QUICK = ", late_s: 0.1, absence_s: 0.1"
Start = Callable[..., Lab]


@pytest.fixture
def remote() -> Iterator[LookAlike]:
    with looking_alike() as made:
        made.life = made.completed
        yield made


@pytest.fixture
def start(tmp_path: Path, remote: LookAlike) -> Start:
    def started(more: str = "", spec: str = SPEC) -> Lab:
        return lab_at(tmp_path, remote, spec=spec, more=more)

    return started


def ended(**more: Any) -> dict[str, Any]:
    return {"status": "completed", "output_file_id": None, "completed_at": None, "request_counts": ALL_DONE, **more}


def test_errors_for_all_rows_settle_it_whatever_the_counts(remote: LookAlike, start: Start) -> None:
    """All rows failed, counted as completed, and no time of its end: nothing is owed that a line does not tell."""
    remote.life = lambda batch, polls: ended(error_file_id=remote.failed(batch, "bad_request", 400))
    lab = start()
    done = lab.apply("-y", "--wait", "30s", code=4)
    assert "Still running" not in done.stderr
    assert [row["error"]["message"] for row in lab.results()] == ["refused by batch_1"] * 2
    assert len(remote.created) == 1


def test_errors_for_some_rows_leave_the_rest_without_a_result(remote: LookAlike, start: Start) -> None:
    def life(batch: Raw, polls: int) -> Mapping[str, Any]:
        if batch["id"] == "batch_1":
            return ended(error_file_id=remote.failed(batch, "bad_request", 400, skip=1))
        return remote.completed(batch)

    remote.life = life
    lab = start(QUICK)
    done = lab.apply("-y", "--wait", "60s", code=4)
    assert "1 of its rows are in no file; the remote counts 2 completed and 0 failed of 2" in done.stderr
    assert [(row["answer"], bool(row["error"])) for row in lab.results()] == [("from batch_2", False), (None, True)]
    assert remote.sent == [["r0", "r1"], ["r0"]]
    lab.apply("-y", code=4)
    assert len(remote.created) == 2


def test_no_file_at_all_is_waited_for_and_then_no_result(remote: LookAlike, start: Start) -> None:
    """Attempts are counted: it ends, with a reason, and never reads as running."""
    remote.life = lambda batch, polls: ended()
    lab = start(QUICK)
    once = lab.apply("-y", "--no-wait", code=3)
    once = lab.apply("-y", "--no-wait", code=3)
    assert "What was sent has ended" in once.stderr
    assert "Still running" not in once.stderr
    lab.apply("-y", "--wait", "60s", code=4)
    assert {row["error"]["code"] for row in lab.results()} == {"no_result"}
    assert len(remote.created) == 3  # `max_attempts`
    assert "4 possible duplicates" in lab.run("status", "specs/").stdout  # the remote says that it answered them


def test_an_output_named_after_all_counts(remote: LookAlike, start: Start) -> None:
    """Even after it was given up: nothing of it is asked again while it is there."""
    remote.life = lambda batch, polls: ended()
    spec = SPEC.replace("model: m,", "model: m, max_attempts: 1,")
    lab = start(QUICK, spec)
    lab.apply("-y", "--wait", "60s", code=4)
    remote.life = remote.completed
    lab.apply("-y")
    assert [row["answer"] for row in lab.results()] == ["from batch_1"] * 2
    assert len(remote.created) == 1


def test_a_file_of_errors_named_later_is_waited_for(remote: LookAlike, start: Start) -> None:
    """The row whose reason is still to come is not asked again, and its reason is the remote's."""

    def life(batch: Raw, polls: int) -> Mapping[str, Any]:
        counts = {"total": 2, "completed": 1, "failed": 1}
        errors = remote.failed(batch, "bad_request", 400, skip=1) if polls >= 6 else None
        return ended(output_file_id=remote.answered(batch, only=1), error_file_id=errors, request_counts=counts)

    remote.life, remote.lists = life, False
    lab = start()
    lab.apply("-y", "--wait", "30s", code=4)
    first, second = lab.results()
    assert (first["answer"], second["error"]["message"]) == ("from batch_1", "refused by batch_1")
    assert len(remote.created) == 1


# -- two clocks


@pytest.mark.parametrize("days", [-1, 1])
def test_a_day_between_the_clocks_changes_nothing(remote: LookAlike, start: Start, days: int) -> None:
    """Nothing is given up early, everything listed is found, and what was sent is not sent again."""
    remote.skew = timedelta(days=days)
    remote.on["GET /files/batch_1-output/content"] = some_404s(remote, 6)
    remote.life = lambda batch, polls: ended(completed_at=remote.now()) if polls < 4 else remote.completed(batch)
    remote.lists = False
    lab = start()
    lab.apply("-y", "--wait", "30s")
    assert [row["answer"] for row in lab.results()] == ["from batch_1"] * 2
    remote.lists = True
    lab.forget()
    (lab.root / "results" / "answers.jsonl").unlink()
    lab.apply("-y", "--wait", "30s")
    assert len(remote.created) == 1


@pytest.mark.parametrize("days", [-1, 1])
def test_an_unanswered_create_is_found_under_another_clock(remote: LookAlike, start: Start, days: int) -> None:
    """The list is long and dated a day off, and it is read as far back as the create, by the remote's time."""
    remote.skew = timedelta(days=days)
    lab = start()
    create = remote._create

    def unanswered(request: Any) -> bytes:
        import json

        create(json.loads(request.body))
        del remote.on["POST /batches"]
        return remote.reply(504, {"error": {"message": "no answer in time"}})

    remote.on["POST /batches"] = unanswered
    lab.apply("-y", "--wait", "30s")
    assert len(remote.created) == 1


def test_a_pause_taken_under_a_wrong_clock_ends(remote: LookAlike, start: Start) -> None:
    """A record says "not before tomorrow" of a pause of a second: our clock was a day ahead when it was written."""
    from runner.state.disk import DiskStore

    lab = start(", defer_s: 1")
    remote.on["POST /batches"] = remote.refuse(429, "queue is full")
    lab.apply("-y", "--wait", "2s", code=3)
    (record,) = record_of(lab.root)
    assert record["stage"] == "deferred"
    store = DiskStore(lab.root / ".runner" / "state")
    ((key, document),) = store.read().below("batch/")
    store.write({key: {**document, "not_before": "2099-01-01T00:00:00+00:00"}}, store.read().serial)
    store.close()
    remote.on.clear()
    lab.apply("-y", "--wait", "30s")
    assert [row["answer"] for row in lab.results()] == ["from batch_1"] * 2


def some_404s(remote: LookAlike, times: int) -> Callable[[Any], bytes | None]:
    left = [None] * times
    return lambda request: remote.reply(404, {"error": {"message": "not yet"}}) if left and not left.pop() else None


# -- words


@pytest.mark.parametrize("word", ["queued", "Pending", "processing", "in-progress"])
def test_usual_words_are_known(remote: LookAlike, start: Start, word: str) -> None:
    remote.life = lambda batch, polls: (
        {"status": word} if polls < 3 else {**remote.completed(batch), "status": "success"}
    )
    remote.lists = False
    done = start().apply("-y", "--wait", "30s")
    assert word not in done.stderr
    assert "unknown" not in done.stderr


def test_how_a_batch_stands_is_told(remote: LookAlike, start: Start) -> None:
    """Overdue, being cancelled, a word nobody told us, and what the remote says beside it."""
    lives: list[Mapping[str, Any]] = [
        {"status": "in_progress", "expires_at": remote.now() - 3600},
        {"status": "cancelling"},
        {"status": "hibernating", "status_details": "no capacity until Monday"},
    ]
    remote.life = lambda batch, polls: lives[0]
    lab = start()
    lab.apply("-y", "--no-wait", code=3)
    told = []
    while lives:
        told.append(lab.apply("-y", "--no-wait", code=3).stderr)
        told[-1] += lab.run("plan", "specs/").stdout
        lives.pop(0) if len(lives) > 1 else lives.clear()
        if not lives:
            break
    overdue, cancelling, odd = told
    assert "answers  overdue" in overdue
    assert "answers  cancelling" in cancelling
    assert "being cancelled" in cancelling
    assert "answers  hibernating" in odd
    assert "no capacity until Monday" in odd
