"""A checker of recordings that finds nothing would be no checker."""

from __future__ import annotations

from pathlib import Path
from tempfile import TemporaryDirectory

import pytest

from runner.plan.remaining import Row
from tests.simulation import audit
from tests.simulation.audit import CallHistory
from tests.simulation.calls import Call
from tests.simulation.history import lines_in
from tests.simulation.remote import NEVER, Verdict
from tests.simulation.running import Kind, play


@pytest.fixture(scope="module")
def simple() -> int:
    """A history with an answer, in which nothing is wrong and nobody decided anything."""
    with TemporaryDirectory() as folder:
        for seed in map(Kind.RECORDINGS.seed, range(200)):
            history = _played(seed, Path(folder) / "play")
            is_quiet = not (history.asked or history.forgotten or history.decided or history.cancelled)
            is_strict = [policy for _, policy in history.policies] == ["hold"]
            if is_quiet and is_strict and history.states and not history.faults and _answered(history):
                return seed
    raise AssertionError("none of two hundred histories is that simple")


@pytest.fixture
def settled(simple: int, tmp_path: Path) -> CallHistory:
    return _played(simple, tmp_path / "play")


def _played(seed: int, folder: Path) -> CallHistory:
    history = play(seed, folder, keeps=True)
    assert isinstance(history, CallHistory)
    return history


def _answered(history: CallHistory) -> list[Call]:
    spec, _ = history.states["a"][0]
    shown = {line.key for line in lines_in(history.appliers[0].root / spec.output) if line.answer is not None}
    return [call for call in history.calls.calls if call.key in shown and call.verdict is Verdict.OK]


def _again(call: Call, at: float) -> Call:
    return Call("rec-again", call.key, at, at, ends_at=at + 1)


def _blamed(history: CallHistory) -> set[str]:
    audit.check(history)
    return {fault.partition(":")[0] for fault in history.faults}


def _rewrite(history: CallHistory, old: str, new: str) -> None:
    spec, _ = history.states["a"][0]
    output = history.appliers[0].root / spec.output
    output = output / "_results.jsonl" if output.is_dir() else output
    output.write_text(output.read_text().replace(old, new))


def test_nothing_is_found_where_nothing_is_wrong(settled: CallHistory) -> None:
    assert not _blamed(settled)


def test_a_recording_sent_twice_is_found(settled: CallHistory) -> None:
    call = _answered(settled)[0]
    settled.calls.calls.append(_again(call, call.ends_at + 1))
    assert "duplicate" in _blamed(settled)


def test_one_sent_twice_as_the_specs_allow_has_to_be_counted(settled: CallHistory) -> None:
    settled.policies[0] = 0.0, "resubmit"
    call = _answered(settled)[0]
    settled.calls.calls.append(_again(call, call.sent_at + 1))
    assert "duplicate" in _blamed(settled)
    settled.faults.clear()
    settled.counted = 1
    assert not _blamed(settled)


def test_a_lost_answer_is_found(settled: CallHistory) -> None:
    assert all(call.told_at < NEVER for call in _answered(settled))
    _rewrite(settled, '"text":', '"was":')
    assert {"lost", "outputs"} <= _blamed(settled)


def test_a_made_up_answer_is_found(settled: CallHistory) -> None:
    _rewrite(settled, '"text":"rec', '"text":"not rec')
    assert "outputs" in _blamed(settled)


def test_what_is_held_without_a_cause_is_found(settled: CallHistory) -> None:
    settled.calls.unsure.clear()
    settled.cut.clear()
    spec, states = settled.states["a"][0]
    at = next(n for n, state in enumerate(states) if state == Row.OK)
    call = next(call for call in settled.calls.calls if call.key == spec.row_keys()[at])
    call.known_at, call.gone_at = call.taken_at, NEVER
    states[at] = Row.UNKNOWN
    assert "held" in _blamed(settled)


def test_one_attempt_too_many_is_found(settled: CallHistory) -> None:
    settled.max_attempts = 0
    assert "attempts" in _blamed(settled)


def test_what_is_still_in_flight_in_the_end_is_found(settled: CallHistory) -> None:
    settled.states["a"][0][1][0] = Row.IN_FLIGHT
    assert "stuck" in _blamed(settled)
