"""`runner status`: where everything stands, what the remote says of it, and what is wrong."""

from __future__ import annotations

import io
import json
import time
from datetime import timedelta
from typing import Any

import pytest

from runner.cli import standing, voice
from runner.cli.batchview import of_batch
from runner.job.observed import Counts, Failure, FailureKind, Observed, Phase
from runner.job.recorded import Stage
from runner.plan.decide import CannotSee, Gone, Observation
from tests.apply.test_lineage import batch
from tests.journeys.lab import SPEC, Lab, until
from tests.plan.making import NOW


def test_a_running_batch(lab: Lab) -> None:
    lab.server.fault(hold=0.5)
    lab.apply("--no-wait", code=3)
    until(lambda: lab.server.batches()[0]["request_counts"]["completed"] == 5)
    (remote,) = lab.server.batches()
    told = lab.run("status").stdout.splitlines()
    assert told[0] == "answers  0 ok, 0 error, 10 in flight of 10  at most ? in flight"
    assert told[1] == ""
    assert told[2].startswith(f"{remote['id']}  answers  running  5/10  since 20")
    assert told[3].startswith(f"Oldest in flight: {remote['id']}, for ") and told[3].endswith(" of its window left")
    assert len(told) == 4
    view = json.loads(lab.run("status", "-o", "json").stdout)
    assert (view["version"], view["jobs"][0]["in_flight"]) == (2, 10)
    (seen,) = view["batches"]
    assert (seen["name"], seen["phase"], seen["raw_status"]) == (remote["id"], "running", "in_progress")
    assert (seen["answered"], seen["failed"], seen["asked"], seen["note"]) == (5, 0, 10, "")


def test_offline_shows_what_was_recorded(lab: Lab) -> None:
    lab.server.fault(hold=0.0)
    lab.apply("--no-wait", code=3)
    before = lab.server.asked()
    view = json.loads(lab.run("status", "--offline", "-o", "json").stdout)
    assert lab.server.asked() == before
    assert [one["stage"] for one in view["batches"]] == ["submitted"]


def test_a_settled_project_has_no_batches(expired: Lab) -> None:
    view = json.loads(expired.run("status", "-o", "json").stdout)
    assert (view["batches"], view["jobs"][0]["ok"], view["jobs"][0]["output"]) == ([], 10, "results/answers.jsonl")
    (line,) = expired.run("status").stdout.splitlines()
    assert line.startswith("answers  10 ok, 0 error of 10  results/answers.jsonl, 20")


def lines_of(observation: Observation | None, **fields: Any) -> list[str]:
    seen = of_batch(batch(1, **{"stage": Stage.SUBMITTED, "rows": 10, **fields}), observation)
    return standing.text_of(standing.StatusView(1, (), (seen,)), NOW).splitlines()[1:]


def observed(phase: Phase, raw: str, **fields: Any) -> Observed:
    return Observed("r1", phase, raw, counts=Counts(10, 2, 1), **fields)


@pytest.mark.parametrize(
    ("phase", "raw", "shown"),
    [
        (Phase.RUNNING, "in_progress", "running"),
        (Phase.RUNNING, "RUNNING", "running"),
        (Phase.RUNNING, "RUNNING (waiting on capacity)", "running (waiting on capacity)"),
        (Phase.RUNNING, "JOB_STATE_RE_QUEUEING", "running (re queueing)"),
        (Phase.VALIDATING, "PENDING", "validating (pending)"),
        (Phase.VALIDATING, "", "validating"),
        (Phase.UNKNOWN, "", "submitted"),
        (Phase.UNKNOWN, "re\x1bbalancing", "unknown (re\N{REPLACEMENT CHARACTER}balancing)"),
    ],
)
def test_the_remotes_own_word_where_it_tells_more(phase: Phase, raw: str, shown: str) -> None:
    assert lines_of(observed(phase, raw)) == [f"r1  a  {shown}  3/10  since 2031-02-03 04:05 UTC"]


def test_a_stall_is_said_below_the_batch() -> None:
    since = "since 2031-02-03 04:05 UTC"
    stalled = observed(Phase.VALIDATING, "PENDING", stall="still PENDING 7 h 0 min after\nits creation")
    assert lines_of(stalled)[1:] == ["  ! still PENDING 7 h 0 min after its creation"]
    assert lines_of(None, phase=Phase.RUNNING, why="no capacity") == [
        f"r1  a  running  0/10  {since}",
        "  ! no capacity",
    ]
    assert lines_of(CannotSee("it answered 503"), phase=Phase.RUNNING, why="older")[1:] == [
        "  ! cannot be seen: it answered 503"
    ]
    assert lines_of(Gone())[0] == f"r1  a  gone from the remote  0/10  {since}"


def test_what_was_put_off_says_until_when() -> None:
    failure = Failure(FailureKind.QUOTA, "q", "the queue is full")
    told = lines_of(None, stage=Stage.DEFERRED, failure=failure, not_before=NOW + timedelta(minutes=5), remote_id="")
    assert told == [
        "b1  a  deferred  0/10  since 2031-02-03 04:05 UTC",
        "  ! the queue is full; sent again after 2031-02-03 04:10 UTC",
    ]


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def test_patience_says_only_what_takes_long_on_a_terminal() -> None:
    quick, slow, piped = Terminal(), Terminal(), io.StringIO()
    with voice.patience("Asking", out=quick):
        pass
    with voice.patience("Asking", after_seconds=0.0, out=slow), voice.patience("x", after_seconds=0.0, out=piped):
        until(slow.getvalue, 5)
        time.sleep(0.02)
    assert (quick.getvalue(), slow.getvalue(), piped.getvalue()) == ("", "Asking …\n", "")


def test_what_was_wrong_with_older_answers_is_not_said_of_newer_ones(lab: Lab) -> None:
    """And a row that equals an earlier one is in flight with it, as soon as that is sent."""
    lab.spec(SPEC.replace("max_tokens: 16", "max_tokens: 1"))
    lab.rows({"a": "one", "b": "two", "c": "one"})
    assert "3 ok, 3 of them cut at the token limit, 0 error of 3" in lab.apply().stdout
    assert "3 ok, 3 of them cut" in lab.run("status").stdout
    lab.spec(SPEC.replace("max_tokens: 16", "max_tokens: 1").replace("Say", "Tell"))
    lab.server.fault(hold=0.0)
    told = "answers  0 ok, 0 error, 3 in flight of 3  "
    assert lab.apply("--no-wait", code=3).stdout.startswith(told)
    assert lab.run("status").stdout.startswith(told)
