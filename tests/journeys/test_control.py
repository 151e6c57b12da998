"""Stopping, cancelling, locking: whoever uses it stays in charge, and nothing is lost by it."""

from __future__ import annotations

import signal
import sqlite3

import filelock

from tests.journeys.lab import Lab, until


def test_an_interrupt_saves_everything(lab: Lab) -> None:
    lab.server.fault(hold=0.0)
    running = lab.start("apply", "specs/")
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
    done = lab.apply("--wait", "1s", code=3)
    assert "Still running" in done.stderr
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
    lab.run("apply", "specs/lab.yaml")
    assert not (lab.root / "results/other.jsonl").exists()
    lab.apply()
    assert lab.server.creates() == 1
    assert text == (lab.root / "specs/lab.yaml").read_text()
