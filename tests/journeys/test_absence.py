"""A batch we have a receipt for is there, whatever one answer says; given up and found again, it is not paid twice."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

import pytest

from runner.state.disk import DiskStore
from tests.journeys.lab import Lab
from tests.journeys.lookalike import LookAlike, Raw, lab_at, looking_alike, record_of
from tests.remotes.loopback import Request

QUICK = ", absence_s: 0.1, late_s: 0.2"


@pytest.fixture
def remote() -> Iterator[LookAlike]:
    """A remote whose list shows nothing, and whose batches are done when they are looked at."""
    with looking_alike(lists=False) as made:
        made.life = made.completed
        yield made


@pytest.fixture
def start(tmp_path: Path, remote: LookAlike) -> Callable[..., Lab]:
    def started(more: str = "") -> Lab:
        return lab_at(tmp_path, remote, more=more)

    return started


Start = Callable[..., Lab]


def some(remote: LookAlike, times: int, first: int = 0) -> Callable[[Request], bytes | None]:
    """Refuse with 404 so many times, after the first few that are answered."""
    asked = 0

    def answer(request: Request) -> bytes | None:
        nonlocal asked
        asked += 1
        is_refused = first < asked <= first + times
        return remote.reply(404, {"error": {"message": "no such thing"}}) if is_refused else None

    return answer


def lost(remote: LookAlike, lab: Lab) -> None:
    """A batch that was given up."""
    remote.on["GET /batches/batch_1"] = remote.refuse(404)
    done = lab.apply("-y", "--wait", "60s", code=5)
    assert "the remote no longer has `batch_1`" in done.stderr
    assert "runner retry answers" in done.stdout
    assert [one["stage"] for one in record_of(lab.root)] == ["collected"]


def answers(lab: Lab) -> list[object]:
    return [row["answer"] for row in lab.results()]


@pytest.mark.parametrize("first", [0, 3], ids=["after its create", "while it runs"])
def test_a_few_404s_are_no_absence(remote: LookAlike, start: Start, first: int) -> None:
    remote.life = lambda batch, polls: remote.completed(batch) if polls >= 4 else {"status": "in_progress"}
    remote.on["GET /batches/batch_1"] = some(remote, 6, first)
    lab = start()
    done = lab.apply("-y", "--wait", "60s")
    assert "is not there; it is asked again before that is believed" in done.stderr
    assert answers(lab) == ["from batch_1"] * 2
    assert len(remote.created) == 1


def test_what_is_not_there_is_kept_across_commands(remote: LookAlike, start: Start) -> None:
    """Single passes, as cron makes them, count together; nobody is asked to decide before it is believed."""
    remote.on["GET /batches/batch_1"] = remote.refuse(404)
    lab = start()
    for _ in range(2):
        lab.apply("-y", "--no-wait", code=3)
    lab.apply("-y", "--no-wait", code=3)
    (record,) = record_of(lab.root)
    assert (record["stage"], record["misses"]) == ("submitted", 2)
    assert record["missed_at"]
    assert "not shown by the remote" in lab.run("status", "specs/").stdout


def test_one_that_ran_is_missed_for_longer(remote: LookAlike, start: Start) -> None:
    remote.life = lambda batch, polls: {"status": "in_progress"}
    lab = start(QUICK.replace("0.1", "2"))
    lab.apply("-y", "--wait", "2s", code=3)
    remote.on["GET /batches/batch_1"] = remote.refuse(404)
    lab.apply("-y", "--wait", "4s", code=3)  # one that was not seen to run would have been given up
    remote.on.clear()
    remote.life = remote.completed
    lab.apply("-y")
    assert len(remote.created) == 1


def test_given_up_and_found_again_its_answers_count(remote: LookAlike, start: Start) -> None:
    lab = start(QUICK)
    lost(remote, lab)
    lab.apply("-y", code=5)
    remote.on.clear()
    done = lab.apply("-y")
    assert "`batch_1` is there again" in done.stderr
    assert answers(lab) == ["from batch_1"] * 2
    assert len(remote.created) == 1


def test_what_is_to_replace_answers_is_looked_for_too(remote: LookAlike, start: Start) -> None:
    """Its rows have answers, which a person does not want any more: that is no reason to leave it alone."""
    lab = start(QUICK)
    lab.apply("-y")
    lab.run("retry", "answers", "--replace")
    remote.on["GET /batches/batch_2"] = remote.refuse(404)
    lab.apply("-y", "--wait", "60s", "--confirm-repay", code=5)
    lab.apply("-y", code=5)
    remote.on.clear()
    lab.apply("-y")
    assert answers(lab) == ["from batch_2"] * 2
    assert len(remote.created) == 2


def test_given_up_and_running_again_it_is_waited_for(remote: LookAlike, start: Start) -> None:
    lab = start(QUICK)
    lost(remote, lab)
    remote.on.clear()
    remote.life = lambda batch, polls: remote.completed(batch) if polls >= 5 else {"status": "in_progress"}
    lab.apply("-y", "--wait", "60s")
    assert answers(lab) == ["from batch_1"] * 2
    assert len(remote.created) == 1


def test_given_up_and_found_refused_its_rows_are_free(remote: LookAlike, start: Start) -> None:
    """Its queue was full, and that was not shown for hours: nobody has to decide about what was never asked."""
    lab = start(QUICK)
    lost(remote, lab)
    remote.on.clear()
    full = {"code": "token_limit_exceeded", "message": "Enqueued token limit reached"}
    refused = {"status": "failed", "errors": {"data": [full]}}
    remote.life = lambda batch, polls: refused if batch["id"] == "batch_1" else remote.completed(batch)
    done = lab.apply("-y", "--wait", "60s")
    assert "`batch_1` is there again: it was refused" in done.stderr
    assert answers(lab) == ["from batch_2"] * 2
    assert len(remote.created) == 2


def test_what_is_found_again_is_not_sent_with_what_was_put_off(remote: LookAlike, start: Start) -> None:
    """Its rows were asked again, that was put off, and then half of its answers turn up: only the rest is sent."""
    lab = start(QUICK + ", defer_s: 0.1")
    lost(remote, lab)
    lab.run("retry", "answers", "specs/")
    full = {"code": "token_limit_exceeded", "message": "Enqueued token limit reached"}

    def life(batch: dict[str, object], polls: int) -> Mapping[str, object]:
        match batch["id"]:
            case "batch_1":
                output, error = remote.answered(batch, only=1), remote.failed(batch, skip=1)
                counts = {"total": 2, "completed": 1, "failed": 1}
                return {
                    "status": "completed",
                    "output_file_id": output,
                    "error_file_id": error,
                    "request_counts": counts,
                }
            case "batch_2":
                return {"status": "failed", "errors": {"data": [full]}}
            case _:
                return remote.completed(batch)

    remote.life = life
    lab.apply("-y", "--no-wait", code=3)
    lab.apply("-y", "--no-wait", code=3)  # it is put off
    assert len(remote.created) == 2
    remote.on.clear()
    lab.apply("-y", "--wait", "60s")
    assert answers(lab) == ["from batch_1", "from batch_3"]
    assert [len(rows) for rows in remote.sent] == [2, 2, 1]


@pytest.mark.parametrize("is_seen", [True, False], ids=["running", "not to be seen"])
def test_what_was_put_off_waits_for_what_is_found_again(remote: LookAlike, start: Start, is_seen: bool) -> None:
    """Its rows were asked again, and that was put off; then the batch is there and goes on, or nobody can tell."""
    lab = start(QUICK + ", defer_s: 0.1")
    lost(remote, lab)
    lab.run("retry", "answers", "specs/")
    full = {"code": "token_limit_exceeded", "message": "Enqueued token limit reached"}
    runs_on = True

    def life(batch: Raw, polls: int) -> Mapping[str, object]:
        if batch["id"] == "batch_2":
            return {"status": "failed", "errors": {"data": [full]}}
        return {"status": "in_progress"} if runs_on else remote.completed(batch)

    remote.life = life
    lab.apply("-y", "--no-wait", code=3)
    lab.apply("-y", "--no-wait", code=3)  # it is put off
    time.sleep(0.2)
    if is_seen:
        remote.on.clear()
        lab.apply("-y", "--no-wait", code=3)
    else:
        remote.on["GET /batches/batch_1"] = remote.refuse(401)
        lab.apply("-y", "--no-wait", code=None)
        remote.on.clear()
    runs_on = False
    lab.apply("-y", "--wait", "60s")
    assert answers(lab) == ["from batch_1"] * 2
    assert len(remote.created) == 2


def test_retry_looks_before_it_decides(remote: LookAlike, start: Start) -> None:
    lab = start(QUICK)
    lost(remote, lab)
    remote.on.clear()
    done = lab.run("retry", "answers", "specs/")
    assert "`batch_1` is there again" in done.stderr
    lab.apply("-y")
    assert answers(lab) == ["from batch_1"] * 2
    assert len(remote.created) == 1


def test_after_a_retry_nothing_is_sent_that_is_there_again(remote: LookAlike, start: Start) -> None:
    lab = start(QUICK)
    lost(remote, lab)
    lab.run("retry", "answers", "specs/")
    remote.on["GET /batches/batch_1"] = remote.refuse(429, "later", **{"retry-after": "900"})
    lab.apply("-y", "--no-wait", code=3)  # nobody knows whether it is there
    assert len(remote.created) == 1
    remote.on.clear()
    lab.apply("-y")
    assert answers(lab) == ["from batch_1"] * 2
    assert len(remote.created) == 1


def test_after_a_retry_what_is_still_not_there_is_sent_once(remote: LookAlike, start: Start) -> None:
    lab = start(QUICK)
    lost(remote, lab)
    lab.run("retry", "answers", "specs/")
    lab.apply("-y", "--wait", "60s")
    assert answers(lab) == ["from batch_2"] * 2
    polls = remote.asked.count("GET /batches/batch_1")
    remote.on.clear()
    lab.apply("-y")
    assert len(remote.created) == 2
    assert remote.asked.count("GET /batches/batch_1") == polls  # all of it was answered since


def test_contents_that_are_not_there_yet_are_waited_for(remote: LookAlike, start: Start) -> None:
    remote.on["GET /files/batch_1-output/content"] = some(remote, 8)
    lab = start()
    lab.apply("-y", "--wait", "60s")
    assert answers(lab) == ["from batch_1"] * 2
    assert len(remote.created) == 1


def test_contents_given_up_and_found_again_count(remote: LookAlike, start: Start) -> None:
    remote.on["GET /files/batch_1-output/content"] = remote.refuse(404)
    lab = start(QUICK)
    done = lab.apply("-y", "--wait", "60s", code=5)
    assert "the remote no longer has the file" in done.stderr
    lab.apply("-y", code=5)
    remote.on.clear()
    lab.apply("-y")
    assert answers(lab) == ["from batch_1"] * 2
    assert len(remote.created) == 1


def test_one_of_two_files_given_up_and_found_again_counts(remote: LookAlike, start: Start) -> None:
    def half(batch: dict[str, object], polls: int) -> dict[str, object]:
        output, error = remote.answered(batch, only=1), remote.failed(batch, "bad_request", 400, skip=1)
        counts = {"total": 2, "completed": 1, "failed": 1}
        return {"status": "completed", "output_file_id": output, "error_file_id": error, "request_counts": counts}

    remote.life = half
    remote.on["GET /files/batch_1-output/content"] = remote.refuse(404)
    lab = start(QUICK)
    lab.apply("-y", "--wait", "60s", code=5)
    lab.apply("-y", code=5)
    remote.on.clear()
    lab.apply("-y", code=4)
    assert answers(lab) == ["from batch_1", None]
    assert len(remote.created) == 1


def test_one_given_up_by_an_earlier_release_is_looked_for_too(remote: LookAlike, start: Start) -> None:
    lab = start(QUICK)
    lost(remote, lab)
    store = DiskStore(lab.root / ".runner" / "state")
    ((key, record),) = store.read().below("batch/")
    new = ("missed_at", "misses", "end_seen_at", "pause_seconds")
    store.write({key: {name: value for name, value in record.items() if name not in new}}, store.read().serial)
    store.close()
    remote.on.clear()
    lab.apply("-y")
    assert answers(lab) == ["from batch_1"] * 2
    assert len(remote.created) == 1


def test_asked_again_though_it_may_come_back_it_is_counted(remote: LookAlike, start: Start) -> None:
    """There was a receipt: when it comes back after all, both were paid for."""
    lab = start(QUICK)
    lost(remote, lab)
    assert "2 requests will be asked again, 2 of them maybe twice" in lab.run("retry", "answers", "specs/").stdout
    assert "2 possible duplicates" in lab.apply().stdout
    assert "2 possible duplicates" in lab.run("status", "specs/").stdout
    assert len(remote.created) == 2


def test_what_only_looks_does_not_wait_for_a_remote_that_says_later(remote: LookAlike, start: Start) -> None:
    later = remote.refuse(429, "slow down", **{"retry-after": "100"})
    lab = start()
    lab.apply("--no-wait", code=3)
    remote.on |= {"GET /batches/batch_1": later, "GET /batches": later}
    began = time.monotonic()
    assert "slow down" in lab.run("status", "specs/").stdout
    lab.rows(3)
    assert "slow down" in lab.run("plan", "specs/").stdout
    assert time.monotonic() - began < 60


def test_what_is_left_and_cut_is_waited_for_and_is_no_error(remote: LookAlike, start: Start) -> None:
    """The output is gone for good, and the file of errors is cut: its other lines may still come."""

    def life(batch: Raw, polls: int) -> Mapping[str, object]:
        output = remote.answered(batch, only=1)
        errors = remote.failed(batch, "bad", 400, skip=1)
        remote.files[errors] = remote.files[errors][:-20]
        counts = {"total": 2, "completed": 1, "failed": 1}
        return {"status": "completed", "output_file_id": output, "error_file_id": errors, "request_counts": counts,
                "completed_at": remote.now()}  # fmt: skip

    lab = start(QUICK)
    remote.life = life
    remote.on["GET /files/batch_1-output/content"] = remote.refuse(404)
    done = lab.apply("--wait", "8s", code=3)
    assert "error:" not in done.stderr
    assert "its files hold 0 of 2 rows" in lab.run("status", "--offline").stdout
    assert len(remote.created) == 1
