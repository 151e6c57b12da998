"""Group commit: many threads append, and one of them makes durable what has gathered, for all.

One fsync for each of 100,000 requests would take minutes. Whatever is appended while one commit is on its way to the
disk goes out together in the next.
"""

from __future__ import annotations

import threading

from runner.errors import StateError
from runner.job.calls import CallEntry, CallStep, States, check
from runner.job.outcomes import Outcome


class Item:
    """What one call of a thread wants written."""

    __slots__ = ("commit", "entries", "line")

    def __init__(self, entries: tuple[CallEntry, ...], line: bytes = b"") -> None:
        self.entries = entries
        self.line = line
        self.commit = 0


class Grouped:
    """Group commit: the first thread that finds nobody writing writes for all that wait.

    A subclass makes one group durable in `_make_durable`, which is called by one thread at a time.
    """

    def __init__(self, states: States) -> None:
        self.states = states
        self.commits = 0
        self._begun = 0
        self._waiting: list[Item] = []
        self._changed = threading.Condition()
        self._is_writing = False
        self._error: StateError | None = None

    def append(self, *entries: CallEntry) -> None:
        for entry in entries:
            check(entry, self.states.rows)
        self._submit(Item(entries))

    def answer(self, ordinal: int, outcome: Outcome, line: bytes) -> CallEntry:
        entry = CallEntry(ordinal, CallStep.ANSWERED, outcome=outcome, size=len(line))
        check(entry, self.states.rows)
        item = Item((entry,), line)
        self._submit(item)
        return item.entries[0]

    def _submit(self, item: Item) -> None:
        with self._changed:
            self._waiting.append(item)
            # Its commit is the one that begins next. Whoever is writing now has taken its group and may be in fsync
            # already, so that one's success says nothing of this item.
            item.commit = self._begun + 1
            while self.commits < item.commit and self._error is None:
                if self._is_writing:
                    self._changed.wait()
                else:
                    self._lead()
            if self.commits < item.commit and self._error is not None:
                raise StateError(self._error.message, hint=self._error.hint) from self._error

    def _lead(self) -> None:
        """Write what waits, without the lock. Whatever goes wrong, nobody is left waiting."""
        group, self._waiting = self._waiting, []
        self._begun += 1
        self._is_writing = True
        self._changed.release()
        # Taken to have failed until it has not: what breaks off a write need not be an error of ours (Ctrl-C, no
        # memory), and then too the threads that wait have to hear that nothing of theirs is durable. States change only
        # after the disk did: nobody acts on what a power cut could take back.
        failed: StateError | None = StateError("writing the journal of a calls batch was broken off")
        try:
            self._make_durable(group)
            failed = None
        except StateError as error:
            failed = error
        finally:
            self._changed.acquire()
            self._is_writing = False
            self._error = failed
            if failed is None:
                self.commits += 1
                for item in group:
                    for entry in item.entries:
                        self.states.tell(entry)
            self._changed.notify_all()

    def _make_durable(self, group: list[Item]) -> None:
        raise AssertionError("a subclass writes")

    def placed(self, group: list[Item], start: int) -> bytes:
        """The lines of a group one after the other, and their places put into the entries."""
        lines = []
        for item in group:
            if item.line:
                item.entries = (item.entries[0]._replace(offset=start),)
                start += len(item.line)
                lines.append(item.line)
        return b"".join(lines)
