"""`retry`, `cancel` and `state resolve` killed at every boundary: given again they end what they began, once."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tests.journeys.audio.lab import SUBMIT
from tests.journeys.boundaries import rig_of
from tests.journeys.lab import until
from tests.journeys.rounds import AudioRig, FireworksRig, Killed, OpenAIRig, Rig

FAILING = {"row_error": {"value": 0, "status": 400, "match": "r1- r7-"}}


@dataclass
class Decision:
    """words: of the killed command, for `killer`. before: what there is to decide about; after: what comes of it.

    sample: the number of a boundary that tells much, and its name. boundaries: how many there are.
    """

    composition: str
    words: tuple[str, ...]
    before: Callable[[Any], None]
    after: Callable[[Any], None]
    sample: tuple[int, str]
    boundaries: int


# -- failed rows are asked again


def _with_failed(rig: OpenAIRig) -> None:
    rig.lab.server.fault(**FAILING)
    rig.lab.apply(code=4)
    rig.lab.server.fault(row_error=None)


def _retried(rig: OpenAIRig) -> None:
    rig.lab.run("retry", "answers")  # marks nothing where the killed one did
    rig.lab.apply()
    rig.answered([10, 2])


# -- a batch in flight is stopped


def _in_flight(rig: OpenAIRig) -> None:
    rig.lab.server.fault(hold=0.5)
    rig.lab.apply("--no-wait", code=3)
    until(lambda: rig.mine()[-1]["request_counts"]["completed"] == 5)


def _cancelled(rig: OpenAIRig) -> None:
    rig.lab.run("cancel", "answers", code=None)
    rig.lab.apply(code=5)
    rig.lab.server.fault(hold=None)
    rig.lab.run("retry", "answers")
    rig.lab.apply()
    rig.answered([10, 5])


def _job_in_flight(rig: FireworksRig) -> None:
    rig.lab.account.fault(expire_at=None, hold=0.5)
    rig.lab.apply("--no-wait", code=3)
    until(lambda: rig.lab.account.rows_asked() == 5 and rig.lab.account.states() == ["RUNNING"])


def _job_cancelled(rig: FireworksRig) -> None:
    rig.lab.run("cancel", "answers", code=None)
    until(lambda: rig.lab.account.jobs() == [])
    rig.lab.account.fault(hold=None)
    rig.lab.apply(code=5)
    rig.lab.run("retry", "answers")
    rig.lab.apply()
    rig.lab.whole()
    assert [len(ids) for ids in rig.lab.account.sent()] == [10, 5]
    assert rig.lab.account.rows_asked() == 10


# -- recordings on their way are held, and looked at again


def _on_their_way(rig: AudioRig) -> None:
    rig.lab.server.fault(audio_processing=1000)
    rig.lab.first("--no-wait", code=3)


def _looked_at(rig: AudioRig) -> None:
    rig.lab.run("cancel", "calls", code=None)
    rig.lab.server.fault(audio_processing=None)
    assert len(rig.lab.held()) == rig.recordings
    rig.lab.run("state", "resolve", "calls", "--look")
    _answered(rig, kept=rig.recordings, said=0)


def _held(rig: AudioRig) -> None:
    rig.lab.server.fault(lose_create_reply={"value": 2, "route": SUBMIT})
    rig.lab.first(code=5)
    assert len(rig.lab.held()) == 2


def _asked_again(rig: AudioRig) -> None:
    rig.lab.run("state", "resolve", "calls", "--resubmit")  # decides about none where the killed one had
    _answered(rig, kept=rig.recordings + 2, said=2)


def _answered(rig: AudioRig, kept: int, said: int) -> None:
    rig.lab.apply("-y")
    assert rig.kept() == kept
    assert sum(batch["possible_duplicates"] for batch in rig.lab.batches()) == said
    rig.whole()


DECISIONS = {
    "retry": Decision("openai-calls", ("retry",), _with_failed, _retried, (5, "after write retry,project"), 5),
    "cancel": Decision("openai-calls", ("cancel",), _in_flight, _cancelled, (4, "sent POST cancel"), 7),
    "cancel-job": Decision("fireworks-calls", ("cancel",), _job_in_flight, _job_cancelled, (4, "sent DELETE"), 7),
    "cancel-wave": Decision("audio-hold", ("cancel",), _on_their_way, _looked_at, (5, "after commit HELD"), 10),
    "resolve": Decision("audio-hold", ("resolve", "repeated"), _held, _asked_again, (2, "after write batch"), 7),
}


def _killed_at(decision: Decision, rig: Rig, number: int) -> Killed:
    """What the command came to, once all is well in spite of it."""
    rig.fresh()
    decision.before(rig)
    done = rig.kill(number, *decision.words)
    try:
        decision.after(rig)
        assert rig.lab.run("plan").stdout == "Nothing to do\n"
    except AssertionError as error:
        error.add_note(f"killed after {done.crossed}")
        raise
    return done


@pytest.mark.parametrize("name", ["retry", "cancel-wave", "resolve"])
def test_a_decision_killed_in_the_middle(name: str, tmp_path: Path) -> None:
    decision = DECISIONS[name]
    number, step = decision.sample
    with rig_of(decision.composition, tmp_path) as rig:
        done = _killed_at(decision, rig, number)
    assert done.is_dead
    assert done.crossed[-1].startswith(step)


@pytest.mark.sweep
@pytest.mark.timeout(300)
@pytest.mark.parametrize("name", DECISIONS)
def test_every_boundary_of_a_decision(name: str, tmp_path: Path) -> None:
    decision = DECISIONS[name]
    with rig_of(decision.composition, tmp_path) as rig:
        for number in range(1, decision.boundaries + 1):
            assert _killed_at(decision, rig, number).is_dead
        assert len(_killed_at(decision, rig, 0).crossed) == decision.boundaries
