"""A state older than the outputs: restored from a backup, or kept while results came with a pull. Nothing is resent."""

from __future__ import annotations

import shutil
import signal

import pytest

from tests.journeys.audio.lab import SPEC, SUBMIT, AudioLab
from tests.journeys.lab import until


@pytest.mark.parametrize("output", ["results/calls.jsonl", "transcripts/"])
def test_a_backup_of_yesterday_pays_nothing_twice(lab: AudioLab, output: str) -> None:
    lab.spec(SPEC.replace("results/calls.jsonl", output))
    lab.first()
    shutil.copytree(lab.root / ".runner", lab.root / "backup")
    lab.record(["x", "y", "z"])
    lab.apply("-y")
    restore(lab)
    done = lab.apply("-y")
    assert "read back 3 answers" in done.stderr
    assert lab.posts() == 23
    lab.done()


def test_a_backup_from_the_middle_of_a_wave(lab: AudioLab) -> None:
    """What its journal takes for unsent, or sent and never heard of, is answered in the output."""
    lab.server.fault(slow={"value": 0.2, "route": SUBMIT})
    applying = lab.start("apply", "specs/", "-y", "--first-run", "--parallelism", "2")
    until(lambda: lab.kept() >= 5)
    applying.send_signal(signal.SIGSTOP)
    shutil.copytree(lab.root / ".runner", lab.root / "backup")
    applying.send_signal(signal.SIGCONT)
    lab.server.fault(slow=None)
    applying.communicate(timeout=60)
    lab.whole(20)
    restore(lab)
    lab.apply("-y")
    assert lab.posts() == 20
    lab.whole(20)
    lab.done()


def test_results_that_came_with_a_pull(lab: AudioLab) -> None:
    lab.first()
    lab.record(["x"])
    clone = lab.root.parent / "clone"
    shutil.copytree(lab.root, clone)
    theirs = AudioLab(clone, lab.server)
    theirs.apply("-y")
    shutil.copy(clone / "results/calls.jsonl", lab.root / "results/calls.jsonl")
    lab.apply("-y")
    assert lab.posts() == 21
    lab.whole(21)


def test_what_the_newer_output_held_is_held(lab: AudioLab) -> None:
    lab.first()
    shutil.copytree(lab.root / ".runner", lab.root / "backup")
    lab.record(["x"])
    lab.server.fault(lose_create_reply={"value": 1, "route": SUBMIT})
    lab.apply("-y", code=5)
    restore(lab)
    lab.apply("-y", code=5)
    assert lab.posts() == 21
    assert [one["row"] for one in lab.held()] == ["calls/x.wav"]


def test_an_answer_that_is_asked_again_is_asked_again(lab: AudioLab) -> None:
    """An output that was touched stands in the way of no decision."""
    lab.first()
    (lab.root / "results/calls.jsonl").touch()
    lab.run("retry", "calls", "--row", "calls/c003.wav", "--replace")
    lab.apply("-y")
    assert lab.posts() == 21
    lab.whole(20)


def restore(lab: AudioLab) -> None:
    shutil.rmtree(lab.root / ".runner")
    (lab.root / "backup").rename(lab.root / ".runner")
