"""Stopped anywhere, by kill, by Ctrl-C, by `cancel`: what is on record is kept, and nothing goes out twice."""

from __future__ import annotations

import json
import re
import signal
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.journeys.audio.lab import SPEC, SUBMIT, AudioLab
from tests.journeys.lab import Server, serving, until

SLOW = {"slow": {"value": 0.3, "route": SUBMIT}}


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Server]:
    """A server of its own: what is on its way when a client dies must not reach the counts of another test."""
    with serving(tmp_path / "server") as mine:
        yield mine


@pytest.mark.parametrize("parallelism", [2, 16])
def test_a_kill_in_the_middle_holds_at_most_what_was_in_flight(lab: AudioLab, parallelism: int) -> None:
    lab.record(200)
    lab.server.fault(**SLOW)
    words = ("apply", "specs/", "-y", "--first-run", "--parallelism", str(parallelism))
    process = lab.start(*words)
    until(lambda: lab.kept() >= 5 * parallelism)
    process.send_signal(signal.SIGKILL)
    process.communicate()
    lab.server.fault(slow=None)
    kept = settled(lab)
    done = lab.apply("-y", code=None)
    held = lab.held()
    assert len(held) <= parallelism
    assert done.returncode == (5 if held else 0)
    assert lab.posts() <= 200 + parallelism
    assert lab.kept() <= 200  # nothing twice
    assert kept >= 5 * parallelism
    lab.run("state", "resolve", "calls", "--resubmit")
    lab.apply("-y")
    lab.whole(200)
    assert lab.batches()[0]["possible_duplicates"] == len(held)
    lab.done()


def settled(lab: AudioLab) -> int:
    """The number of accepted submissions, once nothing is on its way any more."""
    before = -1
    while before != (now := lab.kept()):
        before = now
        time.sleep(0.5)
    return now


def begun(lab: AudioLab) -> int:
    """The number of recordings that were sent, of 20, when a Ctrl-C came."""
    lab.server.fault(**SLOW)
    process = lab.start("apply", "specs/", "-y", "--first-run", "--parallelism", "2")
    until(lambda: lab.kept() >= 4)
    process.send_signal(signal.SIGINT)
    process.communicate()
    lab.server.fault(slow=None)
    sent = lab.posts()
    assert sent < 20
    return sent


def test_kills_again_and_again_lose_nothing(lab: AudioLab) -> None:
    lab.record(120)
    lab.server.fault(slow={"value": 0.05, "route": SUBMIT})
    for wanted in (15, 40, 70):
        process = lab.start("apply", "specs/", "-y", "--first-run", "--parallelism", "4")
        until(lambda wanted=wanted: lab.kept() >= wanted)
        process.send_signal(signal.SIGKILL)
        process.communicate()
    lab.server.fault(slow=None)
    settled(lab)
    lab.apply("-y", code=None)
    assert len(lab.held()) <= 3 * 4
    assert lab.kept() <= 120
    for one in lab.held():
        ids = lab.ids_of(one["row"])
        way = ("--adopt", ids[0], "--account", "runner") if ids else ("--clear",)
        lab.run("state", "resolve", "calls", "--row", one["row"], *way)
    lab.apply("-y")
    lab.whole(120)
    assert lab.kept() == 120  # each once, exactly
    lab.done()


def test_ctrl_c_finishes_the_calls_under_way_and_holds_nothing(lab: AudioLab) -> None:
    lab.record(100)
    lab.server.fault(**SLOW)
    process = lab.start("apply", "specs/", "-y", "--first-run")
    until(lambda: lab.kept() >= 10)
    process.send_signal(signal.SIGINT)
    _, said = process.communicate(timeout=30)
    assert process.returncode == 130, said
    assert "Run the same command again" in said
    lab.server.fault(slow=None)
    sent = lab.posts()
    assert sent == lab.kept() < 100
    assert lab.held() == []
    assert "of 100" in (line := next(line for line in lab.run("plan").stdout.splitlines() if "wait" in line)), line
    lab.apply("-y")
    assert lab.posts() == lab.kept() == 100
    lab.whole(100)
    lab.done()


def test_cancel_frees_what_was_not_sent_and_holds_what_was(lab: AudioLab) -> None:
    lab.record(60)
    lab.server.fault(audio_processing=1000, **SLOW)
    process = lab.start("apply", "specs/", "-y", "--first-run", "--parallelism", "4")
    until(lambda: lab.kept() >= 8)
    process.send_signal(signal.SIGINT)
    process.communicate(timeout=30)
    sent = lab.kept()
    told = lab.run("cancel", "calls")
    assert f"{sent} sent and not answered: held, since the remote cannot be told to stop" in told.stdout
    assert f"{60 - sent} not sent" in told.stdout
    assert len(lab.held()) == sent
    assert "no batch of `calls` is in flight" in lab.run("cancel", "calls", code=64).stderr
    lab.server.fault(audio_processing=None, slow=None)
    for one in lab.held():
        lab.run("state", "resolve", "calls", "--row", one["row"], "--adopt", one["remote_id"])
    lab.apply("-y", code=None)
    lab.run("retry", "calls")
    lab.apply("-y")
    assert lab.kept() == 60
    lab.whole(60)


def test_no_wait_sends_and_leaves_and_the_next_one_listens(lab: AudioLab) -> None:
    lab.server.fault(audio_processing=500)
    assert "Still running" in lab.first("--no-wait", code=3).stderr
    assert lab.posts() == 20
    line = json.loads(lab.run("plan", "-o", "json").stdout)["jobs"][0]["lines"][0]
    assert (line["sign"], line["what"], line["done"]) == (".", "20 recordings", 0)
    assert line["why"] == "waiting for answers, 0 of 20 done"
    assert "waiting for answers" in lab.run("status").stdout
    lab.server.fault(audio_processing=None)
    lab.apply("-y")
    assert lab.posts() == 20
    lab.done()


def test_how_many_go_out_at_once_is_a_number_from_1_to_64(lab: AudioLab) -> None:
    for number in ("0", "65", "many"):
        assert "parallelism" in lab.first("--parallelism", number, code=64).stderr
    lab.first(RUNNER_PARALLELISM="64")
    lab.whole(20)


def test_what_is_left_of_a_wave_is_under_the_money_guard_too(lab: AudioLab) -> None:
    lab.spec(SPEC.replace("per_minute: 0.0015", "per_minute: 100"))
    sent = begun(lab)
    told = lab.apply("-y", "--max-usd", "0.01", code=5)
    assert f"{20 - sent} recordings left of a calls batch that was begun" in told.stderr
    assert lab.posts() == sent
    lab.apply("-y", "--max-usd", "5")
    lab.whole(20)
    assert lab.posts() == 20


def test_cancelled_recordings_are_looked_at_again_in_one_go(lab: AudioLab) -> None:
    lab.server.fault(audio_processing=50)
    lab.first("--no-wait", code=3)
    assert "20 sent and not answered: held" in lab.run("cancel", "calls").stdout
    assert len(lab.held()) == 20
    lab.server.fault(audio_processing=None)
    lab.run("state", "resolve", "calls", "--look")
    lab.apply("-y")
    lab.whole(20)
    assert lab.posts() == 20
    lab.done()


def test_a_dead_remote_does_not_outlast_the_wait(lab: AudioLab) -> None:
    lab.server.fault(audio_processing=500)
    lab.first("--no-wait", code=3)
    lab.server.process.kill()
    lab.server.process.wait()
    before = time.monotonic()
    done = lab.run("apply", "specs/", "-y", "--wait", "2s", code=None)
    assert time.monotonic() - before < 60
    assert done.returncode in (1, 3)
    assert "cannot be seen or sent now" in done.stderr


def test_what_is_left_of_a_wave_is_sent_only_if_it_was_locked(lab: AudioLab) -> None:
    sent = begun(lab)
    lab.run("lock", "specs/")
    lock = lab.root / "runner.lock"
    known = lock.read_text()
    lock.write_text(re.sub(r'(requests:\n.*\n      sha256: ")....', r"\g<1>0000", known))
    told = lab.apply("-y", "--locked", code=5)
    assert (
        f"{20 - sent} recordings left of a calls batch that was begun are not among the requests of the lock"
        in told.stderr
    )
    assert lab.posts() == sent
    lock.write_text(known)
    lab.apply("-y", "--locked")
    lab.whole(20)
