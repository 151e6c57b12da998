"""Stopping, cancelling, locking: whoever uses it stays in charge, and nothing is lost by it."""

from __future__ import annotations

import signal
import sqlite3
import time

import filelock

from tests.journeys.lab import SPEC, Lab, until


def test_an_interrupt_saves_everything(lab: Lab) -> None:
    lab.server.fault(hold=0.0)
    running = lab.start("apply", "specs/", "-y")
    until(lambda: lab.server.creates() == 1)
    running.send_signal(signal.SIGINT)
    _, words = running.communicate(timeout=20)
    assert running.returncode == 130
    assert "Run the same command again" in words
    lab.server.fault(hold=None)
    lab.apply()
    assert lab.server.creates() == 1


def test_one_pass_at_a_time(lab: Lab) -> None:
    lab.apply("--no-wait", code=None)
    with filelock.FileLock(lab.root / ".runner/lock"):
        done = lab.apply(code=6)
        assert "another command is working on this project" in done.stderr
    lab.apply(code=None)
    assert lab.server.creates() == 1


def test_a_bounded_wait_leaves_a_running_batch(lab: Lab) -> None:
    lab.server.fault(hold=0.0)
    done = lab.apply("--wait", "3s", code=3)
    assert "The time of `--wait` is over, with 10 requests in flight" in done.stderr
    assert "in flight" in lab.run("status").stdout
    assert lab.server.creates() == 1


def test_cancel_keeps_what_has_finished_and_asks_before_the_rest(lab: Lab) -> None:
    lab.server.fault(hold=0.5)
    lab.apply("--no-wait", code=3)
    until(lambda: lab.server.batches()[0]["request_counts"]["completed"] == 5)
    lab.run("cancel", "answers")
    done = lab.apply(code=5)
    assert "runner retry answers" in done.stdout
    assert sum(row["error"] is None for row in lab.results()) == 5
    lab.server.fault(hold=None)
    lab.run("retry", "answers")
    lab.apply()
    assert [len(ids) for ids in lab.server.sent()] == [10, 5]
    assert all(row["error"] is None for row in lab.results())


def test_a_batch_that_vanished_needs_a_decision(lab: Lab) -> None:
    lab.spec(SPEC.replace("settle_s: 0.4", "settle_s: 0.4, absence_s: 0.2"))
    lab.server.fault(hold=0.0)
    lab.apply("--no-wait", code=3)
    with sqlite3.connect(lab.server.directory / "world.sqlite") as world:
        world.execute("UPDATE batches SET owner = 'somebody else'")
    world.close()
    done = lab.apply(code=5)
    assert "the remote no longer has" in done.stderr
    assert "runner retry answers" in done.stdout
    assert lab.server.creates() == 0  # none that we can see, and no new one


def test_other_specs_are_left_alone(lab: Lab) -> None:
    text = (lab.root / "specs/lab.yaml").read_text()
    lab.apply()
    (lab.root / "specs/other.yaml").write_text(
        "jobs:\n  other: {dataset: rows, prompt: ask, model: echo, output: results/other.jsonl}\n"
    )
    lab.run("apply", "specs/lab.yaml", "-y")
    assert not (lab.root / "results/other.jsonl").exists()
    lab.apply()
    assert lab.server.creates() == 1
    assert text == (lab.root / "specs/lab.yaml").read_text()


PRICED = SPEC.replace("    params:", "    price: {{input: 1000, output: 2000}}\n    params:")


def test_a_guard_holds_however_often_it_is_met(lab: Lab) -> None:
    lab.spec(PRICED)
    lab.rows(150)
    lab.apply("-y")
    before = lab.results()
    lab.spec(PRICED.replace("Say", "Sing"))
    for _ in range(2):
        done = lab.apply("-y", code=5)
        assert "150 that were answered, estimated at $" in done.stdout
        lab.apply("-y", "--confirm-repay", "--max-usd", "0.01", code=5)
    lab.spec(PRICED.replace("Say", "Sing").replace("dataset: rows", "dataset: rows\n    protect: true"))
    for _ in range(2):
        lab.apply("-y", "--confirm-repay", code=5)
    assert lab.results() == before  # a job that is held back keeps the file it has
    lab.spec(PRICED.replace("Say", "Sing"))
    lab.apply("-y", "--confirm-repay")
    assert [len(ids) for ids in lab.server.sent()] == [150, 150]


def test_asking_answers_again_on_purpose_is_guarded_too(lab: Lab) -> None:
    lab.spec(PRICED)
    lab.rows(150)
    lab.apply("-y")
    lab.run("retry", "answers", "--replace")
    assert "150 that were answered, estimated at $" in lab.apply("-y", code=5).stdout
    assert lab.server.creates() == 1
    lab.apply("-y", "--confirm-repay")
    assert lab.server.creates() == 2


def test_one_output_that_cannot_be_written_stops_no_other_job(lab: Lab) -> None:
    lab.spec(
        SPEC.replace("jobs:\n", "jobs:\n  zeta: {{dataset: rows, prompt: ask, model: echo, output: out/z.jsonl}}\n")
    )
    lab.server.fault(hold=0.5)
    running = lab.start("apply", "specs/", "-y")
    until(lambda: lab.server.creates() == 1)
    (lab.root / "results").write_text("in the way")  # after the specs were read, which would refuse it
    lab.server.fault(hold=None)
    said, words = running.communicate(timeout=20)
    assert running.returncode == 1
    assert "answers: `results/answers.jsonl` cannot be written" in words
    assert "answers  10 ok, 0 error of 10  results/answers.jsonl not written\n" in said
    assert len(lab.results("out/z.jsonl")) == 10
    (lab.root / "results").unlink()
    lab.apply()
    assert lab.server.creates() == 1


def test_a_row_that_is_not_there_is_named(lab: Lab) -> None:
    lab.apply()
    done = lab.run("retry", "answers", "--row", "r1", "--row", "nope", "--replace", code=64)
    assert "`nope`" in done.stderr
    assert lab.run("plan").stdout == "Nothing to do\n"
    lab.run("state", "accept-origin", "nobody", code=64)


def test_the_environment_names_every_option(lab: Lab) -> None:
    lab.server.fault(hold=0.0)
    lab.apply(code=3, RUNNER_NO_WAIT="1")
    lab.apply(code=64, RUNNER_POLL_SECONDS="soon")
    lab.apply("--poll", "0", code=64)
    lab.apply("--max-usd", "nan", code=64)
    lab.apply(code=64, RUNNER_MAX_USD="-1")


def test_a_vanished_batch_shows_in_the_plan(lab: Lab) -> None:
    lab.server.fault(hold=0.0)
    lab.apply("--no-wait", code=3)
    with sqlite3.connect(lab.server.directory / "world.sqlite") as world:
        world.execute("UPDATE batches SET owner = 'somebody else'")
    world.close()
    lab.spec(SPEC.replace("min_poll_s: 0.05", "min_poll_s: 0.05, absence_s: 0"))
    for _ in range(40):  # one answer that it is not there is none, and one that was seen to run wants more
        done = lab.run("plan", code=None)
        if done.returncode == 5:
            break
        lab.apply("--no-wait", code=None)
        time.sleep(0.2)
    # the plan gives it up, or goes by an apply that did just before
    assert "1 batch gone from the remote" in done.stdout or "stopped or lost before it answered" in done.stdout
    assert "Nothing to do" not in done.stdout
