"""The journal of a wave: what it said it would remember it remembers, whatever byte a crash comes at."""

from __future__ import annotations

import os
import stat
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from runner.errors import StateError
from runner.job.outcomes import Outcome
from runner.state import journal as module
from runner.state.commits import Read
from runner.state.journal import CallEntry, CallStep, DiskJournal, State, read_states
from tests.state.inmemory import ShelfJournal

ROWS = 8


def at(folder: Path, rows: int = ROWS) -> DiskJournal:
    return DiskJournal(folder / "journal", folder / "0.jsonl", rows)


def states_of(folder: Path) -> list[State]:
    return list(read_states(folder / "journal"))


def test_every_step_is_read_back(tmp_path: Path) -> None:
    journal = at(tmp_path)
    journal.append(*[CallEntry(ordinal, CallStep.INTENT) for ordinal in range(6)])
    journal.append(CallEntry(1, CallStep.RECEIPT, "b-1", "acme"), CallEntry(2, CallStep.RECEIPT, "b-zwei-ü", "other"))
    journal.append(CallEntry(3, CallStep.CLEARED), CallEntry(4, CallStep.HELD))
    first = journal.answer(2, Outcome.OK, b'{"custom_id":"a"}\n')
    second = journal.answer(5, Outcome.FINAL, b"{}\n")
    journal.close()
    assert states_of(tmp_path) == [
        State(CallStep.INTENT, 1),
        State(CallStep.RECEIPT, 1, "b-1", "acme"),
        State(CallStep.ANSWERED, 1, "b-zwei-ü", "other", Outcome.OK, 0, 18),
        State(CallStep.CLEARED, 1),
        State(CallStep.HELD, 1),
        State(CallStep.ANSWERED, 1, "", "", Outcome.FINAL, 18, 3),
        State(CallStep.NONE, 0),
        State(CallStep.NONE, 0),
    ]
    assert (first.offset, second.offset) == (0, 18)
    assert (tmp_path / "0.jsonl").read_bytes() == b'{"custom_id":"a"}\n{}\n'


def test_an_open_journal_goes_on_where_it_stopped(tmp_path: Path) -> None:
    for turn in range(3):
        journal = at(tmp_path)
        assert journal.states.count(CallStep.ANSWERED) == turn
        journal.append(CallEntry(turn, CallStep.INTENT), CallEntry(turn, CallStep.RECEIPT, f"b-{turn}", "acme"))
        journal.answer(turn, Outcome.OK, b"line\n")
        assert list(journal.states) == states_of(tmp_path)
        journal.close()
    assert list(read_states(tmp_path / "journal").at(CallStep.ANSWERED)) == [0, 1, 2]
    assert [state.offset for state in states_of(tmp_path)[:3]] == [0, 5, 10]


def test_a_new_intent_forgets_the_earlier_receipt(tmp_path: Path) -> None:
    journal = at(tmp_path)
    journal.append(
        CallEntry(0, CallStep.INTENT), CallEntry(0, CallStep.RECEIPT, "b-1", "acme"), CallEntry(0, CallStep.CLEARED)
    )
    journal.answer(0, Outcome.OK, b"line\n")
    journal.append(CallEntry(0, CallStep.INTENT), CallEntry(0, CallStep.HELD))
    assert journal.states.count_of(Outcome.OK) == 0
    journal.close()
    assert states_of(tmp_path)[0] == State(CallStep.HELD, 2)


def test_files_are_for_us_alone(tmp_path: Path) -> None:
    at(tmp_path).close()
    for name in ("journal", "0.jsonl"):
        assert stat.S_IMODE((tmp_path / name).stat().st_mode) == 0o600
    assert sorted(path.name for path in tmp_path.iterdir()) == ["0.jsonl", "journal"]


@pytest.mark.parametrize("name", ["journal", "0.jsonl"])
def test_no_link_is_followed(tmp_path: Path, name: str) -> None:
    at(tmp_path).close()
    (tmp_path / name).rename(tmp_path / "elsewhere")
    (tmp_path / name).symlink_to(tmp_path / "elsewhere")
    with pytest.raises(StateError, match=name):
        at(tmp_path)


def test_a_wave_of_another_size_is_not_ours(tmp_path: Path) -> None:
    at(tmp_path).close()
    with pytest.raises(StateError, match="calls batch of 8 requests, not of 9"):
        at(tmp_path, 9)


def test_a_lost_journal_does_not_cost_the_answers(tmp_path: Path) -> None:
    journal = at(tmp_path)
    journal.answer(0, Outcome.OK, b"paid for\n")
    journal.close()
    (tmp_path / "journal").unlink()
    with pytest.raises(StateError, match="holds answers"):
        at(tmp_path)
    assert (tmp_path / "0.jsonl").read_bytes() == b"paid for\n"


def test_answers_that_are_gone_are_noticed(tmp_path: Path) -> None:
    journal = at(tmp_path)
    journal.answer(0, Outcome.OK, b"paid for\n")
    journal.close()
    os.truncate(tmp_path / "0.jsonl", 4)
    with pytest.raises(StateError, match="4 of 9 bytes"):
        at(tmp_path)


@pytest.mark.parametrize(
    "entry",
    [
        CallEntry(ROWS, CallStep.INTENT),
        CallEntry(-1, CallStep.INTENT),
        CallEntry(0, CallStep.NONE),
        CallEntry(0, CallStep.RECEIPT),
        CallEntry(0, CallStep.RECEIPT, "b" * 5000, "acme"),
        CallEntry(0, CallStep.ANSWERED),
    ],
)
def test_what_could_not_be_read_back_is_not_written(tmp_path: Path, entry: CallEntry) -> None:
    journal = at(tmp_path)
    with pytest.raises(ValueError, match="not an entry"):
        journal.append(CallEntry(1, CallStep.INTENT), entry)
    journal.append(CallEntry(2, CallStep.INTENT))
    journal.close()
    assert list(read_states(tmp_path / "journal").at(CallStep.INTENT)) == [2]


STEPS = st.lists(
    st.tuples(
        st.integers(0, ROWS - 1),
        st.sampled_from([step for step in CallStep if step is not CallStep.NONE]),
        st.text(st.characters(codec="utf-8"), min_size=1, max_size=12),
        st.sampled_from(list(Outcome)),
    ),
    max_size=12,
)


def write(folder: Path, steps: list[tuple[int, CallStep, str, Outcome]]) -> list[tuple[int, list[State]]]:
    """After every commit: how long the journal was, and what it said."""
    journal = at(folder)
    said = [((folder / "journal").stat().st_size, list(journal.states))]
    for ordinal, step, text, outcome in steps:
        if step is CallStep.ANSWERED:
            journal.answer(ordinal, outcome, text.encode() + b"\n")
        else:
            journal.append(CallEntry(ordinal, step, *((text, text) if step is CallStep.RECEIPT else ())))
        said.append(((folder / "journal").stat().st_size, list(journal.states)))
    journal.close()
    return said


@given(steps=STEPS)
@settings(max_examples=25, deadline=None)
def test_cut_at_any_byte_it_reads_as_what_was_said_before(
    tmp_path_factory: pytest.TempPathFactory, steps: list[tuple[int, CallStep, str, Outcome]]
) -> None:
    folder = tmp_path_factory.mktemp("cut")
    said = write(folder, steps)
    whole = (folder / "journal").read_bytes()
    shortest = said[0][0]
    for size in range(len(whole) + 1):
        if size < shortest:
            with pytest.raises(StateError, match="cut off"):
                Read(folder / "journal", whole[:size])
        else:
            read = Read(folder / "journal", whole[:size])
            assert list(read.states) == [states for end, states in said if end <= size][-1]
            assert read.size == max(end for end, _ in said if end <= size)


@given(steps=STEPS.filter(bool), where=st.floats(0, 1), bit=st.integers(0, 7))
@settings(max_examples=80, deadline=None)
def test_one_changed_bit_is_damage_or_the_torn_last_commit(
    tmp_path_factory: pytest.TempPathFactory,
    steps: list[tuple[int, CallStep, str, Outcome]],
    where: float,
    bit: int,
) -> None:
    folder = tmp_path_factory.mktemp("bit")
    said = write(folder, steps)
    data = bytearray((folder / "journal").read_bytes())
    place = min(int(where * len(data)), len(data) - 1)
    data[place] ^= 1 << bit
    (folder / "journal").write_bytes(data)
    if place >= said[-2][0]:
        assert states_of(folder) == said[-2][1]
    else:
        with pytest.raises(StateError, match="journal"):
            states_of(folder)


def test_a_commit_in_another_place_does_not_count(tmp_path: Path) -> None:
    journal = at(tmp_path)
    start = (tmp_path / "journal").stat().st_size
    journal.append(CallEntry(0, CallStep.INTENT))
    journal.close()
    data = (tmp_path / "journal").read_bytes()
    (tmp_path / "journal").write_bytes(data + data[start:])
    assert states_of(tmp_path)[0] == State(CallStep.INTENT, 1)


def test_torn_ends_are_cut_off_and_written_over(tmp_path: Path) -> None:
    journal = at(tmp_path)
    journal.answer(0, Outcome.OK, b"one\n")
    journal.close()
    size = (tmp_path / "journal").stat().st_size
    for name, junk in (("journal", b"\xf5\xc3\x07"), ("0.jsonl", b'{"half')):
        with (tmp_path / name).open("ab") as file:
            file.write(junk)
    journal = at(tmp_path)
    assert (tmp_path / "journal").stat().st_size == size
    assert (tmp_path / "0.jsonl").read_bytes() == b"one\n"
    journal.answer(1, Outcome.OK, b"two\n")
    journal.close()
    assert (tmp_path / "0.jsonl").read_bytes() == b"one\ntwo\n"
    assert [state.step for state in states_of(tmp_path)[:2]] == [CallStep.ANSWERED, CallStep.ANSWERED]


def in_threads(count: int, work: Callable[[int], object]) -> None:
    with ThreadPoolExecutor(count) as pool:
        list(pool.map(work, range(count)))


def test_threads_share_commits(tmp_path: Path) -> None:
    threads, each = 16, 20
    rows = threads * each
    journal = at(tmp_path, rows)

    def work(number: int) -> None:
        for ordinal in range(number * each, (number + 1) * each):
            journal.append(CallEntry(ordinal, CallStep.INTENT))
            journal.append(CallEntry(ordinal, CallStep.RECEIPT, f"b-{ordinal}", "acme"))
            assert journal.states[ordinal].remote_id == f"b-{ordinal}"
            entry = journal.answer(ordinal, Outcome.OK, b"%d\n" % ordinal)
            assert journal.states[ordinal].offset == entry.offset

    in_threads(threads, work)
    journal.close()
    assert journal.commits < rows * 2  # alone they would make three commits each
    raw = (tmp_path / "0.jsonl").read_bytes()
    for ordinal, state in enumerate(states_of(tmp_path)):
        assert raw[state.offset : state.offset + state.size] == b"%d\n" % ordinal
        assert state.step is CallStep.ANSWERED
    assert len(raw) == sum(state.size for state in states_of(tmp_path))


def test_nobody_is_told_before_it_is_durable(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    journal = at(tmp_path)
    entered, go_on = threading.Event(), threading.Event()
    real = os.fsync

    def slow(descriptor: int) -> None:
        entered.set()
        assert go_on.wait(10)
        real(descriptor)

    monkeypatch.setattr(module.os, "fsync", slow)
    done: list[int] = []

    def append(ordinal: int) -> None:
        journal.append(CallEntry(ordinal, CallStep.INTENT))
        done.append(ordinal)

    threads = [threading.Thread(target=append, args=(ordinal,)) for ordinal in range(4)]
    threads[0].start()
    assert entered.wait(10)
    for thread in threads[1:]:
        thread.start()
    assert not done
    assert journal.states.count(CallStep.INTENT) == 0
    go_on.set()
    for thread in threads:
        thread.join(10)
    assert sorted(done) == [0, 1, 2, 3]
    assert journal.commits <= 4
    journal.close()


def test_after_a_failed_write_nothing_is_promised_any_more(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    journal = at(tmp_path)
    journal.append(CallEntry(0, CallStep.INTENT))

    def full(descriptor: int) -> None:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(module.os, "fsync", full)
        failures: list[str] = []

        def append(number: int) -> None:
            with pytest.raises(StateError, match="No space left") as caught:
                journal.append(CallEntry(1 + number, CallStep.INTENT))
            failures.append(caught.value.message)

        in_threads(4, append)
    with pytest.raises(StateError, match="No space left"):
        journal.append(CallEntry(6, CallStep.INTENT))
    assert len(failures) == 4
    assert list(journal.states.at(CallStep.INTENT)) == [0]
    journal.close()


def test_a_closed_journal_takes_nothing(tmp_path: Path) -> None:
    journal = at(tmp_path)
    journal.close()
    with pytest.raises(StateError, match="is closed"):
        journal.append(CallEntry(0, CallStep.INTENT))


@given(steps=STEPS)
@settings(max_examples=40, deadline=None)
def test_the_one_in_memory_says_the_same(
    tmp_path_factory: pytest.TempPathFactory, steps: list[tuple[int, CallStep, str, Outcome]]
) -> None:
    folder = tmp_path_factory.mktemp("duplicate")
    raw = bytearray()
    duplicate = ShelfJournal("w-1", bytearray(), raw, ROWS)
    for ordinal, step, text, outcome in steps:
        if step is CallStep.ANSWERED:
            duplicate.answer(ordinal, outcome, text.encode() + b"\n")
        else:
            duplicate.append(CallEntry(ordinal, step, *((text, text) if step is CallStep.RECEIPT else ())))
    write(folder, steps)
    assert list(duplicate.states) == states_of(folder)
    assert duplicate.states.repeated == sum(step is CallStep.REPEATED for _, step, _, _ in steps)
    for outcome in Outcome:
        assert duplicate.states.count_of(outcome) == sum(state.outcome is outcome for state in duplicate.states)
    assert raw == (folder / "0.jsonl").read_bytes()
