"""Held against modelled remotes: nothing is asked twice, lost or stuck, whatever happens when."""

from __future__ import annotations

from multiprocessing import get_context
from pathlib import Path

import pytest

from runner.job.observed import Phase
from tests.simulation import checker
from tests.simulation.history import History
from tests.simulation.remote import RemoteBatch, Verdict
from tests.simulation.running import Kind, digest_of, kind_of, play, summary_of

SAMPLE = 480
SHARES = 10
SWEEP = 20_000

# Histories that once ended badly, by what was wrong.
ONCE_BROKEN = {
    "a queue that is full for days": 5,
    "an answer shown by the batch that gave it, while another one is in flight": 25,
    "result files named later than usual": 430,
    "a refusal that looks like a duplicate": 283,
    "a name that a refused batch still holds": 505,
    "two appliers that cancel each other's twin": 516,
    "result files that were deleted before they were fetched": 794,
    "a create that takes effect as its call ends": 878,
    "a request in flight that an older batch left": 980,
    "a duplicate that cannot be cancelled now": 982,
    "a download that is cut again and again": 1171,
    "a search after lost state, stopped half-way": 1189,
    "a look that is older than the record": 20452,
    "a request in flight with one batch, and answered by another that was found": 11946,
    "a batch on record that goes by another attempt than its stamp says": 27790,
    "a recording that several outputs say is held": Kind.RECORDINGS.seed(22814),
    "answers that were cut off, and expired rows that made up their number": 3007,
    "a receipt that is not known any more, in single passes": Kind.RECORDINGS.seed(8),
    "a wave that was dropped with what may have been sent twice": Kind.RECORDINGS.seed(1038),
}


@pytest.mark.parametrize("share", range(SHARES))
def test_every_history_of_a_sample_keeps_the_promise(share: int) -> None:
    size = SAMPLE // SHARES
    summaries = (summary_of(kind_of(number).seed(number)) for number in range(share * size, (share + 1) * size))
    told = [f"python -m tests.simulation --seed {one.seed}: {one.faults[0]}" for one in summaries if one.faults]
    assert not told


@pytest.mark.parametrize("name", ONCE_BROKEN)
def test_a_history_that_once_broke_it_keeps_it(name: str) -> None:
    assert not summary_of(ONCE_BROKEN[name]).faults


@pytest.mark.sweep
@pytest.mark.timeout(1200)
def test_every_history_of_a_sweep_keeps_the_promise() -> None:
    with get_context("spawn").Pool() as pool:
        seeds = [kind_of(number).seed(number) for number in range(SWEEP)]
        broken = [one for one in pool.imap_unordered(summary_of, seeds, chunksize=50) if one.faults]
    assert not [f"seed {one.seed}: {one.faults[0]}" for one in broken]


@pytest.mark.parametrize("seed", [11, Kind.RECORDINGS.seed(12)])
def test_a_seed_replays_exactly(seed: int, tmp_path: Path) -> None:
    first, again = (digest_of(play(seed, tmp_path / "play")) for _ in range(2))
    assert first == again


# -- a checker that finds nothing would be no checker


@pytest.fixture
def settled(tmp_path: Path) -> History:
    """A history of one applier that asked something, in which nothing is wrong."""
    for seed in range(100):
        history = play(seed, tmp_path / "play", keeps=True)
        answered = [b for b in history.remote.batches if Verdict.OK in b.verdicts.values() and not b.was_cancelled]
        if history.is_tame and answered and not (history.faults or history.asked or history.forgotten):
            return history
    raise AssertionError("none of a hundred histories is that simple")


def _answered(history: History) -> RemoteBatch:
    return next(b for b in history.remote.batches if Verdict.OK in b.verdicts.values() and not b.was_cancelled)


def _blamed(history: History) -> set[str]:
    checker.check(history)
    return {fault.partition(":")[0] for fault in history.faults}


def test_nothing_is_found_where_nothing_is_wrong(settled: History) -> None:
    assert not _blamed(settled)


def test_a_request_asked_twice_is_found(settled: History) -> None:
    first = _answered(settled)
    twice = RemoteBatch(**{name: getattr(first, name) for name in RemoteBatch.__slots__})
    twice.id, twice.sent_at, twice.created_at = "twice", first.over_at + 1, first.over_at + 1
    settled.remote.batches.append(twice)
    assert "duplicate" in _blamed(settled)


def test_a_lost_answer_is_found(settled: History) -> None:
    applier = settled.appliers[0]
    spec, _ = settled.states[applier.name][0]
    output = applier.root / spec.output
    output.write_text(output.read_text().replace('"answer":"', '"answer":null,"was":"'))
    assert {"lost", "outputs"} <= _blamed(settled)


def test_a_made_up_answer_is_found(settled: History) -> None:
    applier = settled.appliers[0]
    spec, _ = settled.states[applier.name][0]
    output = applier.root / spec.output
    output.write_text(output.read_text().replace('"answer":"', '"answer":"not '))
    assert "outputs" in _blamed(settled)


def test_an_attempt_too_many_is_found(settled: History) -> None:
    settled.max_attempts = 0
    assert "attempts" in _blamed(settled)


def test_twins_that_cancelled_each_other_are_found(settled: History) -> None:
    for batch in settled.remote.batches:
        batch.cancelled_at = batch.ends_at - 0.01
    assert "twins" in _blamed(settled)


def test_a_cancelled_batch_has_no_answer_after_its_end() -> None:
    batch = RemoteBatch("b", 0, 0, 0, [b"k" * 16], ["k"], {}, "m", "e", 24, ends_at=10.0, end=Phase.COMPLETED)
    batch.verdicts, batch.finished_at = {b"k" * 16: Verdict.OK}, {b"k" * 16: 9.0}
    assert batch.verdict(b"k" * 16) is Verdict.OK
    batch.cancelled_at = 5.0
    assert batch.verdict(b"k" * 16) is Verdict.NONE
