"""A batch refused as a whole: only the input's own fault is final, and money is nobody's attempt."""

from __future__ import annotations

import shutil
from collections import Counter
from collections.abc import Mapping
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from tests.journeys.lab import Lab
from tests.journeys.lookalike import SPEC, LookAlike, Raw, lab_at, running


@pytest.fixture
def lab(tmp_path: Path, remote: LookAlike) -> Lab:
    return lab_at(tmp_path, remote, 10, more=", defer_s: 0.2, limits: {lines: 5}")


def refused(*errors: Mapping[str, Any]) -> Raw:
    """A life that ends in validation."""
    return {"status": "failed", "errors": {"object": "list", "data": list(errors)}, "request_counts": {"total": 0}}


def codes(lab: Lab) -> Counter[str]:
    return Counter(row["error"]["code"] if row["error"] else "ok" for row in lab.results())


@pytest.mark.parametrize("code", ["server_error", "internal_error", "request_timeout", None, "something_new"])
def test_the_remotes_own_trouble_is_asked_again(lab: Lab, remote: LookAlike, code: str | None) -> None:
    def life(batch: Raw, polls: int) -> Mapping[str, Any]:
        if batch["id"] in ("batch_1", "batch_2"):
            return refused({"code": code, "message": "we had a problem", "line": None, "param": None})
        return remote.completed(batch)

    remote.life = life
    done = lab.apply()
    assert codes(lab) == {"ok": 10}
    assert [len(rows) for rows in remote.sent] == [5, 5, 5, 5]
    assert done.stderr.count("the remote refused `") == 1, "once a job"
    assert "answers: the remote refused `batch_" in done.stderr
    assert "we had a problem" in done.stderr


def test_the_remotes_own_trouble_ends_within_attempts(lab: Lab, remote: LookAlike) -> None:
    remote.life = lambda batch, polls: refused({"code": "server_error", "message": "we had a problem"})
    done = lab.apply(code=4)
    assert [len(rows) for rows in remote.sent] == [5] * 6
    assert codes(lab) == {"server_error": 10}
    assert "0 ok, 10 error of 10" in done.stdout
    lab.apply(code=4)
    assert len(remote.sent) == 6
    remote.life = lambda batch, polls: remote.completed(batch)
    lab.run("retry", "answers")
    lab.apply()
    assert codes(lab) == {"ok": 10}


@pytest.mark.parametrize("code", ["invalid_json_line", "some_new_word_for_it"])
def test_a_fault_of_the_input_is_final_and_is_told(lab: Lab, remote: LookAlike, code: str) -> None:
    errors = [{"code": code, "message": "this is not JSON", "line": line} for line in (3, 5)]
    remote.life = lambda batch, polls: refused(*errors)
    done = lab.apply(code=4)
    assert len(remote.sent) == 2
    assert f"`{code}`: line 3: this is not JSON (2 errors in all)" in done.stderr
    assert codes(lab) == {code: 10}
    lab.apply(code=4)
    assert len(remote.sent) == 2


@pytest.mark.parametrize("code", ["billing_hard_limit_reached", "insufficient_quota"])
def test_out_of_money_stops_and_uses_up_no_attempt(lab: Lab, remote: LookAlike, code: str) -> None:
    remote.life = lambda batch, polls: refused({"code": code, "message": "Pay first"})
    for times in range(1, 5):
        done = lab.apply(code=1)
        assert "the account cannot pay" in done.stderr
        assert "Pay first" in done.stderr
        assert "0 ok, 0 error, 10 not sent of 10" in done.stdout
        assert len(remote.sent) == 2 * times, "once an apply"
    remote.life = lambda batch, polls: remote.completed(batch)
    lab.apply()
    assert codes(lab) == {"ok": 10}


def test_rows_that_say_so_stop_it_too(lab: Lab, remote: LookAlike) -> None:
    def life(batch: Raw, polls: int) -> Mapping[str, Any]:
        return {
            "status": "completed",
            "error_file_id": remote.failed(batch, "insufficient_quota", 429),
            "completed_at": remote.now(),
            "request_counts": {"total": 5, "completed": 0, "failed": 5},
        }

    remote.life = life
    for times in range(1, 5):
        done = lab.apply(code=1)
        assert "the account cannot pay, so 5 requests" in done.stderr
        assert len(remote.sent) == 2 * times
    remote.life = lambda batch, polls: remote.completed(batch)
    lab.apply()
    assert codes(lab) == {"ok": 10}


def test_money_that_ends_half_way(lab: Lab, remote: LookAlike) -> None:
    def life(batch: Raw, polls: int) -> Mapping[str, Any]:
        return {
            "status": "completed",
            "output_file_id": remote.answered(batch, only=3),
            "error_file_id": remote.failed(batch, "insufficient_quota", 429, skip=3),
            "completed_at": remote.now(),
            "request_counts": {"total": 5, "completed": 3, "failed": 2},
        }

    remote.life = life
    done = lab.apply(code=1)
    assert "6 ok, 0 error, 4 not sent of 10" in done.stdout
    assert codes(lab) == {"ok": 6, "not_sent": 4}
    remote.life = lambda batch, polls: remote.completed(batch)
    lab.apply()
    assert codes(lab) == {"ok": 10}
    assert sorted(map(len, remote.sent)) == [4, 5, 5]


@pytest.mark.parametrize(("times", "window"), [(2, 60), (1000, 0.5)], ids=["for a while", "for ever"])
def test_an_upload_that_a_create_cannot_find_is_sent_again_then_made_anew(
    lab: Lab, remote: LookAlike, times: int, window: float
) -> None:
    """Some remotes say so at once, others of the batch a moment later: it is the same."""
    lab.spec(SPEC, more=f", defer_s: 0.2, file_visibility_error: {{window_s: {window}}}")
    asked = iter(range(times))
    unseen = remote.refuse(400, "Cannot find file file-1")
    remote.on["POST /batches"] = lambda request: None if next(asked, None) is None else unseen(request)
    remote.life = remote.completed
    lab.apply(code=0 if times < 1000 else 4)
    if times < 1000:
        assert (codes(lab), remote.asked.count("POST /files")) == ({"ok": 10}, 1)
    else:
        assert (codes(lab), remote.asked.count("POST /files")) == ({"file_not_visible": 10}, 2)
        assert all("Cannot find file" in row["error"]["message"] for row in lab.results())


def test_nothing_runs_while_what_was_refused_rests(lab: Lab, remote: LookAlike) -> None:
    lab.spec(SPEC, more=", defer_s: 30")
    remote.life = lambda batch, polls: refused({"code": "server_error", "message": "we had a problem"})
    done = lab.apply("--wait", "2s", code=3)
    assert "The time of `--wait` is over, with 10 requests not sent" in done.stderr
    assert [len(rows) for rows in remote.sent] == [10]


def test_a_retry_of_what_was_to_replace_answers_asks_again(lab: Lab, remote: LookAlike) -> None:
    """The answers from before, which a person no longer wanted, are no reason to send nothing."""

    def life(batch: Raw, polls: int) -> Mapping[str, Any]:
        if batch["id"] in ("batch_3", "batch_4"):
            return refused({"code": "invalid_request", "message": "not like this", "line": 1, "param": None})
        return remote.completed(batch)

    remote.life = life
    lab.apply()
    lab.run("retry", "answers", "--replace")
    lab.apply("--confirm-repay", code=4)
    lab.run("retry", "answers")
    lab.apply("--confirm-repay")
    assert {row["answer"] for row in lab.results()} == {"from batch_5", "from batch_6"}
    assert [len(rows) for rows in remote.sent] == [5] * 6


def test_when_an_upload_had_its_time_is_told_by_the_remotes_clock(lab: Lab, remote: LookAlike) -> None:
    """A clone takes up a batch whose input is then not found; its own clock is a day behind, and that is no matter."""
    remote.skew = timedelta(days=1)
    lab.spec(SPEC, more=", defer_s: 0.2, file_visibility_error: {window_s: 0.5}")
    remote.life = running
    lab.apply("--no-wait", code=3)
    shutil.rmtree(lab.root / ".runner")

    def life(batch: Raw, polls: int) -> Mapping[str, Any]:
        if batch["input_file_id"] == "file-1":
            return refused({"code": "invalid_request", "message": "Cannot find file file-1", "line": None})
        return remote.completed(batch)

    lab.apply("--no-wait", code=3)
    remote.life = life
    done = lab.apply("--wait", "20s")
    assert "it is uploaded once more" in done.stderr
    assert codes(lab) == {"ok": 10}
