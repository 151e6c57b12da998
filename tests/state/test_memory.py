"""What every store behind the face of memory has to hold: one on disk, and a throwaway one that is only here."""

from __future__ import annotations

import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from runner.clock import FastClock
from runner.errors import Conflict, LockedError, StateError
from runner.job.calls import JOURNAL, RAW, CallEntry, CallStep
from runner.job.events import Event, What
from runner.job.outcomes import Outcome
from runner.job.recorded import JobRecord, ProjectRecord, Retry
from runner.state.memory import Memory, open_memory
from tests.state.inmemory import Shelf

NOW = datetime(2031, 1, 1, tzinfo=UTC)
CLOCK = FastClock(NOW)
ROWS = 4


@dataclass
class Store:
    """One project's memory, which anybody may open."""

    opens: Callable[[bool], Memory]
    tear: Callable[[str, int], None]  # the last so many bytes of a batch's journal never came to the disk

    def open(self, *, writes: bool = True) -> Memory:
        memory = self.opens(writes)
        self.opened.callback(memory.close)
        return memory

    opened: ExitStack


@pytest.fixture(params=["disk", "in memory"])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Store]:
    root = tmp_path / "project"
    root.mkdir()
    shelf = Shelf()

    def tear_file(batch: str, size: int) -> None:
        path = root / ".runner" / "objects" / batch / JOURNAL
        path.write_bytes(path.read_bytes()[:-size])

    def tear_bytes(batch: str, size: int) -> None:
        del shelf.journals[batch][0][-size:]

    with ExitStack() as opened:
        if request.param == "disk":
            yield Store(lambda writes: open_memory(root, writes=writes), tear_file, opened)
        else:
            yield Store(lambda writes: shelf.open(root, writes=writes), tear_bytes, opened)


def job(address: str, rows: int = 1) -> JobRecord:
    return JobRecord(address, "specs/a.yaml", "lab", f"sets/{'0' * 64}", rows)


# -- records


def test_what_was_saved_is_there_for_the_next(store: Store) -> None:
    first = store.open()
    first.records.save(ProjectRecord("p", NOW), job("b"), job("a"))
    first.records.save(job("a", 2))
    second = store.open()
    assert second.records.project() == ProjectRecord("p", NOW)
    assert second.records.jobs() == {"a": job("a", 2), "b": job("b")}
    assert second.snapshot().serial == first.records.snapshot().serial == 2


def test_nothing_is_there_before_anything_was_saved(store: Store, tmp_path: Path) -> None:
    looking = store.open(writes=False)
    assert (looking.records.project(), looking.records.batches(), looking.snapshot().serial) == (None, [], 0)
    assert looking.states("w-1") is None
    assert list((tmp_path / "project").iterdir()) == []


def test_a_write_that_was_not_foreseen_is_a_conflict_and_writes_nothing(store: Store) -> None:
    first, second = store.open(), store.open()
    second.snapshot()
    first.records.save(job("a"))
    with pytest.raises(Conflict, match="at the same time"):
        second.records.save(job("a", 2), job("b"))
    with pytest.raises(Conflict):  # and it goes on to be one: what was decided on is not there any more
        second.records.save(job("b"))
    assert store.open().records.jobs() == {"a": job("a")}
    second.snapshot()
    second.records.save(job("a", 2))
    assert store.open().records.jobs() == {"a": job("a", 2)}


def test_of_many_writers_one_wins_each_time(store: Store) -> None:
    openers = [store.open() for _ in range(8)]
    for opener in openers:
        opener.snapshot()
    won: list[int] = []
    ready = threading.Barrier(len(openers))

    def write(number: int) -> None:
        ready.wait()
        try:
            openers[number].records.save(job("a", number))
        except Conflict:
            return
        won.append(number)

    threads = [threading.Thread(target=write, args=(number,)) for number in range(len(openers))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    [winner] = won
    assert store.open().records.jobs() == {"a": job("a", winner)}


def test_a_snapshot_stays_as_it_was(store: Store) -> None:
    first, second = store.open(), store.open()
    first.records.save(job("a"))
    taken = second.snapshot()
    first.records.save(job("a", 2), job("b"))
    assert taken.jobs == {"a": job("a")}
    assert second.records.jobs() == {"a": job("a")}  # until it takes another
    assert (second.snapshot().jobs, taken.jobs) == ({"a": job("a", 2), "b": job("b")}, {"a": job("a")})
    second.records.save(job("c"))
    assert second.snapshot().jobs.keys() == {"a", "b", "c"}
    assert taken.jobs.keys() == {"a"}


# -- the lock


def test_one_holds_the_lock_and_the_other_hears_who_does(store: Store) -> None:
    first, second = store.open(), store.open()
    with (
        first.lock("runner apply specs/", clock=CLOCK),
        pytest.raises(LockedError, match="runner apply specs/"),
        second.lock("runner retry a", clock=CLOCK),
    ):
        raise AssertionError("two hold it")
    with second.lock("runner retry a", clock=CLOCK):
        pass


def test_who_waits_for_the_lock_reads_what_its_holder_saved(store: Store) -> None:
    first, second = store.open(), store.open()
    first.records.save(job("a"))
    assert second.records.jobs() == {"a": job("a")}
    held = threading.Event()

    def hold() -> None:
        with first.lock("runner apply", clock=CLOCK):
            held.set()
            first.records.save(job("b"))

    thread = threading.Thread(target=hold)
    thread.start()
    held.wait()
    with second.lock("runner retry a", clock=CLOCK, wait_seconds=30):
        assert second.records.jobs().keys() == {"a", "b"}
        second.records.save(job("c"))
    thread.join()


# -- objects


def test_objects_are_known_by_their_digest(store: Store) -> None:
    first, second = store.open(), store.open()
    sha256 = first.objects.write("b-1/keys", b"keys")
    assert second.objects.read("b-1/keys", sha256) == b"keys"
    with pytest.raises(StateError):
        second.objects.read("b-1/keys", "0" * 64)
    with pytest.raises(StateError):
        second.objects.read("b-1/index", sha256)
    name = first.objects.write_set(b"0123456789abcdef")
    assert name == second.objects.write_set(b"0123456789abcdef")
    assert second.objects.read_set(name) == b"0123456789abcdef"


def test_a_file_that_was_kept_can_be_read_by_another(store: Store) -> None:
    first, second = store.open(), store.open()
    first.objects.place("b-1/0.jsonl").write_bytes(b"{}\n")
    kept = first.objects.keep("b-1", "0.jsonl")
    assert (kept.name, kept.size_bytes) == ("0.jsonl", 3)
    assert second.objects.path("b-1/0.jsonl").read_bytes() == b"{}\n"
    assert second.objects.read("b-1/0.jsonl", kept.sha256) == b"{}\n"
    assert not second.objects.path("b-1/1.jsonl").exists()
    first.objects.remove("b-1")
    assert not store.open().objects.path("b-1/0.jsonl").exists()


# -- journals


def test_a_journal_says_what_happened_in_order(store: Store) -> None:
    memory = store.open()
    journal = memory.journal("w-1", ROWS)
    journal.append(CallEntry(0, CallStep.INTENT), CallEntry(1, CallStep.INTENT))
    journal.append(CallEntry(0, CallStep.RECEIPT, "id-0", "acme"))
    journal.append(CallEntry(1, CallStep.HELD))
    journal.answer(0, Outcome.OK, b'{"n":0}\n')
    journal.append(CallEntry(1, CallStep.REPEATED))
    journal.append(CallEntry(1, CallStep.INTENT))
    journal.close()
    for states in (store.open(writes=False).states("w-1"), store.open().journal("w-1", ROWS).states):
        assert states is not None
        assert [state.step for state in states] == [CallStep.ANSWERED, CallStep.INTENT, CallStep.NONE, CallStep.NONE]
        assert (states[0].remote_id, states[0].outcome, states[1].intents, states.repeated) == (
            "id-0",
            Outcome.OK,
            2,
            1,
        )
    assert store.open().objects.path(f"w-1/{RAW}").read_bytes() == b'{"n":0}\n'


def test_a_torn_tail_is_what_never_happened(store: Store) -> None:
    journal = store.open().journal("w-1", ROWS)
    journal.append(CallEntry(0, CallStep.INTENT))
    journal.append(CallEntry(1, CallStep.INTENT))
    journal.close()
    store.tear("w-1", 1)
    states = store.open(writes=False).states("w-1")
    assert states is not None
    assert [state.step for state in states] == [CallStep.INTENT, CallStep.NONE, CallStep.NONE, CallStep.NONE]
    again = store.open().journal("w-1", ROWS)
    again.append(CallEntry(2, CallStep.INTENT))
    again.close()
    states = store.open(writes=False).states("w-1")
    assert states is not None
    assert [state.step for state in states] == [CallStep.INTENT, CallStep.NONE, CallStep.INTENT, CallStep.NONE]


def test_a_journal_of_another_number_of_calls_is_refused(store: Store) -> None:
    store.open().journal("w-1", ROWS).close()
    with pytest.raises(StateError, match=f"not of {ROWS + 1}"):
        store.open().journal("w-1", ROWS + 1)


# -- forks


@pytest.mark.parametrize("name", ["", "rehearsal"])
def test_a_fork_reads_what_is_there_and_keeps_what_it_writes(store: Store, name: str) -> None:
    base = store.open()
    base.records.save(job("a"))
    sha256 = base.objects.write("b-1/keys", b"keys")
    base.objects.place("b-1/0.jsonl").write_bytes(b"{}\n")
    base.objects.keep("b-1", "0.jsonl")
    journal = base.journal("w-1", ROWS)
    journal.append(CallEntry(0, CallStep.INTENT))
    journal.answer(1, Outcome.OK, b'{"n":1}\n')
    journal.close()

    fork = store.open(writes=False).fork(name)
    store.opened.callback(fork.close)
    with fork.lock("runner apply --rehearse", clock=CLOCK):
        if name:
            fork.clear()
        assert fork.records.jobs() == {"a": job("a")}
        base.records.save(job("b"))
        assert fork.records.jobs() == {"a": job("a")}
        fork.records.save(job("a", 2))
        assert fork.objects.read("b-1/keys", sha256) == b"keys"
        fork.objects.write("b-1/keys", b"others")
        assert fork.objects.path("b-1/0.jsonl").read_bytes() == b"{}\n"
        fork.objects.place("b-2/0.jsonl").write_bytes(b"[]\n")
        fork.objects.keep("b-2", "0.jsonl")
        fork.objects.remove("b-1")
        there = fork.states("w-1")
        assert there is not None and there[0].step is CallStep.INTENT
        forked = fork.journal("w-1", ROWS)
        assert [state.step for state in forked.states][:2] == [CallStep.INTENT, CallStep.ANSWERED]
        forked.append(CallEntry(0, CallStep.HELD))
        forked.answer(2, Outcome.OK, b'{"n":2}\n')
        forked.close()
        assert fork.objects.path(f"w-1/{RAW}").read_bytes() == b'{"n":1}\n{"n":2}\n'
        assert fork.records.jobs() == {"a": job("a", 2)}

    after = store.open()
    assert after.records.jobs() == {"a": job("a"), "b": job("b")}
    assert after.objects.read("b-1/keys", sha256) == b"keys"
    assert after.objects.path("b-1/0.jsonl").read_bytes() == b"{}\n"
    assert not after.objects.path("b-2/0.jsonl").exists()
    states = after.states("w-1")
    assert states is not None
    assert [state.step for state in states] == [CallStep.INTENT, CallStep.ANSWERED, CallStep.NONE, CallStep.NONE]
    assert after.objects.path(f"w-1/{RAW}").read_bytes() == b'{"n":1}\n'


def test_folders_of_this_machine_are_there(store: Store) -> None:
    memory = store.open()
    (memory.scratch / "half").write_bytes(b"half a li")
    assert memory.folder.is_dir()
    fork = memory.fork()
    store.opened.callback(fork.close)
    assert list(fork.scratch.iterdir()) == []


# -- the log


def said(memory: Memory) -> list[tuple[str, str, int, int]]:
    """The log, the newest first."""
    return [(event.event.value, event.job, event.serial, event.part) for event in memory.records.events()]


def retry(generation: int, address: str) -> Retry:
    return Retry(generation, address, "sets/0", 3, False, NOW)


def test_what_a_record_tells_is_in_the_log_with_it(store: Store) -> None:
    memory = store.open()
    memory.records.save(job("a"))
    memory.records.save(retry(1, "a"), retry(2, "b"), job("b"))
    memory.records.tell(Event(event=What.PRUNED, job="c", rows=4))
    expected = [("remote.pruned", "c", 3, 0), ("job.retried", "b", 2, 1), ("job.retried", "a", 2, 0)]
    for one in (memory, store.open(), store.open(writes=False)):
        assert said(one) == expected
    assert store.open().records.jobs().keys() == {"a", "b"}
    assert store.open(writes=False).snapshot().serial == 3


def test_a_write_that_is_a_conflict_leaves_no_event(store: Store) -> None:
    first, second = store.open(), store.open()
    second.snapshot()
    first.records.save(retry(1, "a"))
    with pytest.raises(Conflict):
        second.records.save(retry(2, "b"))
    assert said(store.open()) == [("job.retried", "a", 1, 0)]


def test_events_are_signed_by_who_holds_the_lock(store: Store) -> None:
    memory = store.open()
    clock = FastClock(NOW)
    with memory.lock("runner retry a", clock=clock):
        memory.records.save(retry(1, "a"))
        clock.sleep(60)
        memory.records.save(retry(2, "a"))
    later, first = store.open().records.events()
    assert (first.command, first.at, later.at) == ("runner retry a", NOW, NOW + timedelta(minutes=1))
    assert first.who == later.who and first.who.endswith(f"@{socket.gethostname()}")


def test_who_listens_hears_of_what_is_durable(store: Store) -> None:
    memory = store.open()
    heard: list[Event] = []
    memory.records.listener = heard.append
    memory.records.save(retry(1, "a"))
    store.open().records.save(job("a"))
    with pytest.raises(Conflict):
        memory.records.save(retry(2, "a"))
    assert heard == list(store.open().records.events())


def test_no_event_is_lost_among_many(store: Store) -> None:
    memory = store.open()
    for number in range(300):
        memory.records.save(*(retry(3 * number + one, f"{number}-{one}") for one in range(3)))
    names = [f"{number}-{one}" for number in range(300) for one in range(3)]
    assert [address for _, address, _, _ in said(store.open(writes=False))] == names[::-1]


@pytest.mark.parametrize("name", ["", "rehearsal"])
def test_a_fork_has_a_log_of_its_own(store: Store, name: str) -> None:
    base = store.open()
    base.records.save(retry(1, "a"))
    fork = store.open(writes=False).fork(name)
    store.opened.callback(fork.close)
    with fork.lock("runner apply --rehearse", clock=CLOCK):
        if name:
            fork.clear()
        fork.records.save(retry(2, "b"))
        assert next(fork.records.events()).job == "b"
    assert said(store.open()) == [("job.retried", "a", 1, 0)]
