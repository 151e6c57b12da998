"""What the lines of a plan say, and the numbers they were made of."""

from __future__ import annotations

from typing import Any

import pytest

from runner.cli import lines, voice
from runner.cli.nouns import RECORDINGS, ROWS
from runner.job.capabilities import Content, Delivery
from runner.job.observed import Counts, Observed, Phase
from runner.plan.change import Action, Change, Reason
from runner.plan.decide import CannotSee, decide
from tests.plan.making import batch


def submit(**more: Any) -> Change:
    return Change(Action.SUBMIT, Reason.NEVER_ASKED, rows=40, batches=1, size_bytes=1_200_000_000, **more)


def test_recordings_are_counted_in_minutes() -> None:
    line = lines.of_change(submit(seconds=312.4 * 60, usd=1.25), RECORDINGS, wanted=40)
    assert line.what == "40 recordings in 1 calls batch, 1.2 GB, 312.4 minutes of sound, $1.25"
    assert (line.rows, line.batches, line.size_bytes, line.minutes, line.usd) == (40, 1, 1_200_000_000, 312.4, 1.25)


def test_requests_are_counted_in_tokens() -> None:
    line = lines.of_change(submit(tokens=12_000), ROWS, wanted=50)
    assert line.what == "40 of 50 requests in 1 batch, 1.2 GB, about 12,000 tokens in, cost ?"
    assert (line.tokens, line.minutes, line.usd) == (12_000, None, None)


def test_minutes_that_are_not_known_are_asked_for() -> None:
    assert "1.2 GB, minutes ?, cost ?" in lines.of_change(submit(), RECORDINGS).what


@pytest.mark.parametrize(
    ("seconds", "words"),
    [(None, "minutes ?"), (0.0, "0.0 minutes of sound"), (2, "under 0.1 minutes of sound"), (6e4, "1,000.0 minutes")],
)
def test_how_minutes_are_written(seconds: float | None, words: str) -> None:
    assert voice.minutes(seconds).startswith(words)


def wave(raw_status: str) -> Any:
    return batch(
        "wave-1",
        ["a", "b"],
        content=Content.RECORDING,
        delivery=Delivery.CALLS,
        raw_status=raw_status,
        phase=Phase.RUNNING,
    ).batch


@pytest.mark.parametrize("raw_status", ["sending", "waiting for answers"])
def test_a_wave_is_waited_for_in_its_own_words(raw_status: str) -> None:
    seen = Observed("", Phase.RUNNING, raw_status, Counts(2, 1, 0))
    line = lines.of_change(decide(wave(raw_status), seen), RECORDINGS, batch=wave(raw_status))
    assert (line.sign, line.verb, line.what) == (".", "wait", "2 recordings")
    assert (line.why, line.done) == (f"{raw_status}, 1 of 2 done", 1)


def test_a_wave_that_was_not_looked_at_has_no_counts() -> None:
    line = lines.of_change(decide(wave("sending"), CannotSee("offline")), RECORDINGS, batch=wave("sending"))
    assert (line.why, line.done) == ("sending; offline", None)
