"""Held against modelled remotes: nothing is asked twice, lost or stuck, whatever happens when."""

from __future__ import annotations

from multiprocessing import get_context
from pathlib import Path

import pytest

from runner.job.observed import Phase
from tests.simulation import checker
from tests.simulation.history import Asked, History
from tests.simulation.remote import RemoteBatch, Verdict
from tests.simulation.running import Kind, digest_of, kind_of, play, summary_of

SAMPLE = {
    Kind.BATCHES: 200,
    Kind.RECORDINGS: 100,
    Kind.BRIEF_BATCHES: 100,
    Kind.BRIEF_RECORDINGS: 50,
    Kind.INLINE: 60,
    Kind.BRIEF_INLINE: 20,
    Kind.RESULTS: 60,
    Kind.BRIEF_RESULTS: 20,
    Kind.CHAINS: 20,
    Kind.BRIEF_CHAINS: 40,
    Kind.STRAGGLERS: 20,
    Kind.BRIEF_STRAGGLERS: 40,
    Kind.LATE: 20,
    Kind.BRIEF_LATE: 40,
    Kind.ONLINE: 20,
    Kind.BRIEF_ONLINE: 40,
    Kind.SPOKEN: 10,
    Kind.BRIEF_SPOKEN: 30,
}
SHARES = 10
MENDED = (
    601_527,  # a backup, and batches that show nothing and may all be of one create
    205_168,  # a create that took effect late, in a clone that adopted its like
    Kind.INLINE.seed(405_410),  # another clone stopped what had no answer, and nothing names it
    Kind.INLINE.seed(201_522),  # a continuation of a batch that was known in part
    701_984,  # two batches of the same rows, of which one is refused while the other runs
    Kind.BRIEF_BATCHES.seed(9_104_127),  # a refusal that came late, and the attempt that was sent meanwhile
    Kind.INLINE.seed(8_013_378),  # a person's retry, and the batch it was about came back with a refusal
    Kind.BRIEF_RESULTS.seed(8_002_158),  # stopped in the console before anybody knew of it
    5_031_006_086,  # a list that lags: another clone's batch is met before what was put off is sent
    6_021_014_186,  # an attempt that seemed to have failed, and whose answers are lost
    4_021_012_242,  # cancelled before it got out
    Kind.STRAGGLERS.seed(92_014_571),  # an answer in a file that was cut, asked again, and then given up
    91_012_368,  # stopped in favour of what was put off, and that is forgotten
    5_091_004_278,  # a continuation of what failed and says nowhere what it was asked
    5_091_008_150,  # a list that lags by more than a command waits
    81_000_384,  # what said which rows were refused was deleted, and then the memory was lost
    Kind.STRAGGLERS.seed(1_436),  # the same of a batch that was given up, and had named nothing
    Kind.ONLINE.seed(1_033),  # a retry of what was sent twice without a reply
    Kind.ONLINE.seed(4_343),  # a reply that was lost when the job went by another name
    9_092_015_452,  # a job about answers, and another has asked the same: known when the command ends, and written
    8_093_014_188,  # a job about answers whose parent waits for a person, and got some in this very command
    4_093_003_362,  # another clone's batch goes by the name of one that was never sent from here
    6_093_012_202,  # stopped in the console, and a late create of the same brought nothing
    12_094_011_341,  # a row whose reply was lost, and before it was sent once more a person cancelled the rest
    Kind.BRIEF_BATCHES.seed(
        205_134
    ),  # hidden, and its duplicate has the answers: it is counted, and nobody can stop it
    13_095_003_389,  # a row without a reply is asked again on purpose while its batch goes on
    8_095_007_628,  # cancelled before it got out, and a job that asks about the other answers
    402_466,  # adopted in the middle of a pass, over a record of its name that stood elsewhere
    402_342,  # what is known of a job whose remote said "later" to the rest of a search that was cut off
    10_096_002_859,  # another clone gave it up and took its input away, which alone had said whose it was
    4_097_002_658,  # a download that was cut, of a batch whose results alone say what it holds
    5_097_005_206,  # two that share a state: what the first has left, the second went on with
    4_098_005_026,  # a continuation of what says nothing of the rows that it left
    4_098_011_890,  # another clone's files stay short, and nothing else says what it holds
    94_000_016,  # an older memory is put back while the remote hides what was sent since
    17_098_004_919,  # a reply that was lost, and the process died before it had written that down
    6_098_013_930,  # put off, and meanwhile what its job needs got a row more
    14_098_017_129,  # asked again since its file was cut, which was whole before the new answer came
    4_098_015_042,  # to be replaced, and another clone that did not know asked it for the first time
    10_099_008_971,  # asked as often as it may be, then pruned, and the memory was lost
    99_005_360,  # refused for its lines, just after its input was taken away
    4_211_000_738,  # another clone's batch whose rows nobody can read is made just before a create
    4_000_005_771,  # told to come later, and meanwhile what its job needs was edited
    Kind.STRAGGLERS.seed(5_813),  # a batch whose input cannot be read runs for a day after its memory was lost
    2_228_001_199,  # hidden from its create to the end of the history, and so a person is asked
    16_205_000_807,  # a recording whose replies were lost, asked again on purpose
    300_016_192,  # its results were pruned, its memory lost, and then its output was moved
    7_000_500_013,  # a create that came late and nothing names, and of two that asked the same one refused it
    6_300_002_186,  # two creates without an answer, the same three batches may be of either, and one is found
    4_226_000_898,  # adopted with what a cut file named, which was whole when it was brought home
    4_229_002_226,  # the same, and it was whole only later
    10_410_007_275,  # what it had not answered was in a file that was pruned, and then its memory was lost
    5_077_708_795,  # refused in a file that was named when all of it had been asked again, and then was gone
    7_420_015_694,  # put off, and meanwhile a batch that was given up with the same requests was found again
)
SWEEP = 20_000


@pytest.mark.parametrize("share", range(SHARES))
def test_every_history_of_a_sample_keeps_the_promise(share: int) -> None:
    seeds = [seed for kind, size in SAMPLE.items() for seed in map(kind.seed, range(share, size, SHARES))]
    summaries = map(summary_of, seeds)
    told = [f"python -m tests.simulation --seed {one.seed}: {one.faults[0]}" for one in summaries if one.faults]
    assert not told


@pytest.mark.parametrize("seed", MENDED)
def test_what_was_broken_once_keeps_the_promise(seed: int) -> None:
    assert not summary_of(seed).faults


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


def _asked_twice(history: History) -> RemoteBatch:
    """A batch, of which the checker is told that the same was sent again when it was over."""
    first = _answered(history)
    others = {key for one in history.remote.batches if one is not first for key in one.keys}
    twice = RemoteBatch(**{name: getattr(first, name) for name in RemoteBatch.__slots__})
    twice.id, twice.sent_at, twice.created_at = "twice", first.over_at + 1, first.over_at + 1
    twice.keys = [key for key in first.keys if key not in others]
    history.remote.batches.append(twice)
    return first


def test_a_request_asked_twice_is_found(settled: History) -> None:
    _asked_twice(settled)
    assert "duplicate" in _blamed(settled)


def test_a_create_that_had_no_answer_is_no_excuse_once_it_is_on_record(settled: History) -> None:
    first = _asked_twice(settled)
    first.is_unheard = True
    settled.asked.append(Asked(first.over_at, frozenset(first.keys), False, settled.world.now()))
    assert "duplicate" in _blamed(settled)
    settled.faults.clear()
    settled.world.recorded.clear()
    assert "duplicate" not in _blamed(settled)


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
