"""However an apply ends, each job that has an outcome has its file: every wanted row, the others with their state."""

from __future__ import annotations

import shutil
import signal
from collections import Counter

import pytest

from tests.journeys.lab import SPEC, Lab, until


def states(lab: Lab) -> Counter[str]:
    """How many rows of the results file stand where: `ok`, or the code of what they say instead of an answer."""
    return Counter(row["error"]["code"] if row["error"] else "ok" for row in lab.results())


@pytest.fixture
def half(lab: Lab) -> Lab:
    """Ten rows are answered; eleven more go to a batch that never ends."""
    lab.apply()
    lab.server.fault(hold=0.0)
    lab.rows(21)
    return lab


@pytest.mark.parametrize("way", ["--no-wait", "--wait"])
def test_one_of_several_batches_is_stuck(half: Lab, way: str) -> None:
    done = half.apply(*(["--no-wait"] if way == "--no-wait" else ["--wait", "2s"]), code=3)
    assert "answers  10 ok, 0 error, 11 in flight of 21  results/answers.jsonl" in done.stdout
    assert [row["custom_id"] for row in half.results()] == [f"r{n}" for n in range(21)]
    assert states(half) == {"ok": 10, "in_flight": 11}
    before = (half.root / "results/answers.jsonl").stat().st_mtime_ns
    again = half.apply("--no-wait", code=3)
    assert "10 ok, 0 error, 11 in flight of 21" in again.stdout
    assert (half.root / "results/answers.jsonl").stat().st_mtime_ns == before, "nothing is new"
    half.server.fault(hold=None)
    half.apply()
    assert states(half) == {"ok": 21}
    assert [len(ids) for ids in half.server.sent()] == [10, 11]


def test_a_ctrl_c(half: Lab) -> None:
    waiting = half.start("apply", "specs/", "-y")
    until(lambda: half.server.creates() == 2)
    waiting.send_signal(signal.SIGINT)
    said, _ = waiting.communicate(timeout=60)
    assert waiting.returncode == 130
    assert "10 ok, 0 error, 11 in flight of 21" in said
    assert states(half) == {"ok": 10, "in_flight": 11}


def test_a_create_that_is_refused(half: Lab) -> None:
    half.server.fault(fail_before={"value": 9, "route": "POST /v1/files", "status": 400})
    half.apply(code=1)
    assert states(half) == {"ok": 10, "not_sent": 11}


def test_an_error_of_one_job_leaves_the_file_of_another(half: Lab) -> None:
    text = (half.root / "specs/lab.yaml").read_text()
    other = "\n  other:\n    dataset: rows\n    prompt: ask\n    model: echo\n    output: taken/other.jsonl\n"
    (half.root / "specs/lab.yaml").write_text(text.replace("\nproviders:", other + "providers:"))
    waiting = half.start("apply", "specs/", "-y")
    until(lambda: half.server.creates() == 2)
    (half.root / "taken").write_text("in the way")  # after the specs were read, which would refuse it
    waiting.send_signal(signal.SIGINT)
    _, words = waiting.communicate(timeout=60)
    assert "`taken/other.jsonl` cannot be written" in words
    assert states(half) == {"ok": 10, "in_flight": 11}


def test_a_window_that_ends_with_nothing_done(lab: Lab) -> None:
    lab.server.fault(expire_at={"value": 0.0, "count": 9})
    done = lab.apply(code=5)
    assert "0 ok, 0 error, 10 need a decision of 10  results/answers.jsonl" in done.stdout
    assert states(lab) == {"needs_decision": 10}
    assert lab.server.creates() == 1, "an attempt in which nothing finished stops the job"


def test_unsettled_rows_are_read_back_as_what_they_are(half: Lab) -> None:
    half.apply("--no-wait", code=3)
    half.forget()
    half.apply("--no-wait", code=3)
    assert states(half) == {"ok": 10, "in_flight": 11}
    half.server.fault(hold=None)
    half.apply()
    assert states(half) == {"ok": 21}
    assert [len(ids) for ids in half.server.sent()] == [10, 11]


def test_an_edit_that_cannot_be_sent_leaves_the_answers_there_are(lab: Lab) -> None:
    lab.apply()
    before = lab.results()
    lab.spec(SPEC.replace("Say", "Sing"))
    lab.server.fault(fail_before={"value": 9, "route": "POST /v1/files", "status": 400})
    lab.apply(code=1)
    assert lab.results() == before
    lab.server.fault(fail_before=None)
    shutil.rmtree(lab.root / "results")
    lab.apply()
    assert states(lab) == {"ok": 10}
