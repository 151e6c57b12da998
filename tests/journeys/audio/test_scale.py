"""Many recordings at once, and a very large one: memory stays flat, and only what is missing is sent."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

from tests.journeys.audio.lab import SPEC, SUBMIT, AudioLab, sound

RUNNER = [sys.executable, "-m", "runner"]


def peak_mib(lab: AudioLab, *words: str) -> float:
    """The largest resident size of an apply that has to succeed."""
    with open(lab.root / "apply.log", "wb") as log:
        apply = subprocess.Popen(
            [*RUNNER, "apply", "specs/", "-y", *words], cwd=lab.root, env=lab.environ(), stdout=log, stderr=log
        )
        _, status, usage = os.wait4(apply.pid, 0)
    apply.returncode = os.waitstatus_to_exitcode(status)
    assert apply.returncode == 0, (lab.root / "apply.log").read_text()
    return usage.ru_maxrss / 1024


def test_five_hundred_recordings_sixteen_at_a_time(lab: AudioLab) -> None:
    few = peak_mib(lab, "--first-run", "--parallelism", "16")
    lab.record(500)
    many = peak_mib(lab, "--parallelism", "16")
    lab.whole(500)
    assert lab.posts() == 500
    assert many - few < 12, (few, many)
    lab.record(["new0", "new1", "new2"])
    lab.put("calls/c250.wav", sound("edited"))
    for n in range(5):
        (lab.root / f"calls/c{n:03}.wav").rename(lab.root / f"calls/renamed{n}.wav")
    lab.apply("-y")
    lab.whole(503)
    assert lab.posts() == 504
    lab.done()


@pytest.mark.parametrize("on_unknown", ["hold", "resubmit"])
def test_a_reply_in_ten_is_lost(lab: AudioLab, on_unknown: str) -> None:
    lab.with_job(f"on_unknown: {on_unknown}")
    lab.record(100)
    lab.server.fault(lose_create_reply={"value": 10, "route": SUBMIT})
    done = lab.first("--parallelism", "16", code=5 if on_unknown == "hold" else 0)
    if on_unknown == "hold":
        held = lab.held()
        assert len(held) == 10 and lab.kept() == 100  # nothing was sent a second time
        for one in held:
            assert f"`{one['row']}` is held" in done.stderr
    else:
        lab.whole(100)
        assert lab.kept() == 110
        assert "10 possible duplicates" in done.stdout


@pytest.mark.sweep
@pytest.mark.timeout(600)
def test_a_recording_of_900_megabytes(lab: AudioLab) -> None:
    small = peak_mib(lab, "--first-run")
    lab.spec(SPEC.replace("calls/**/*.wav", "large/*.wav").replace("results/calls", "results/large"))
    head = bytearray(sound("large"))
    head[4:8] = (900_000_000 - 8).to_bytes(4, "little")
    head[40:44] = (900_000_000 - 44).to_bytes(4, "little")
    large = lab.put("large/one.wav", bytes(head))
    os.truncate(large, 900_000_000)
    peak = peak_mib(lab, "--wait", "8m")
    assert lab.results("results/large.jsonl")[0]["text"]
    assert peak < 100 and peak - small < 20, (small, peak)
