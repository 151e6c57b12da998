"""A large dataset compiled by ranges of its lines, in this process and in others beside it, on as many cores.

What is the same wherever it is worked out lies packed in what a range came to. What depends on the rows before a range
is looked after here, in order: the number of its first row, faults, budgets, ids that are there twice. A range that did
not come back, failed, or was begun with the wrong number is done here when its turn comes, so errors read the same.
"""

from __future__ import annotations

import os
import pickle
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import closing, suppress
from pathlib import Path
from typing import NamedTuple

import msgspec
from msgspec.structs import replace

from runner.compile.blocks import Segmented, Share
from runner.compile.budget import RowBudget
from runner.compile.faults import Faults
from runner.compile.packing import Packing, Stretch, through
from runner.compile.process import Process, WorkerDied
from runner.compile.program import Program
from runner.compile.spool import KeptChunk, KeptLines, LentSpool, Spool
from runner.data.block import Block
from runner.data.segments import Cut, Segment, Unsuitable, cuts
from runner.errors import Problem, RunnerError
from runner.files import bytes_at
from runner.job.project import Job
from runner.remotes.vendor import Lines

_IN_FLIGHT = 2  # ranges of one process: one is worked on, the next is there when it is done
_MOST_MISSES = 8  # ranges that were begun with a wrong number: blank lines are all over the dataset
_SHARE_OF_ROOM = 8  # of what is left for lines, what one range may take: others are under way
_PATIENCE_SECONDS = 1  # with a process at the end, before its range is done here as well: somebody may have stopped it


class Range(msgspec.Struct, frozen=True, array_like=True):
    """A cut of the dataset that another process is to read, and what it has to know beside it."""

    file: int
    start: int
    size_bytes: int
    line: int
    lines: int
    row: int  # position of the first row
    room: int = 0  # for lines, in bytes


class Came(msgspec.Struct, array_like=True):
    """What a range came to."""

    packed: Stretch
    segments: list[Segment]
    shares: list[Share]
    read_rows: int  # those that are no rows at all are not counted
    body_bytes: int
    bad: int
    problems: list[Problem]  # the first of them
    nulled: dict[str, int]
    lines: list[KeptChunk] | None  # None where there is no place for them
    lines_end: int = 0  # where the file ends in which another process has put them

    @property
    def rows(self) -> int:
        return sum(segment.rows for segment in self.segments)


class Work(NamedTuple):
    """What has to be known of a job to compile a range of its dataset, in whichever process."""

    job: Job
    lines: Lines
    root: Path
    names: tuple[str, ...]  # of the dataset's files
    keeps_positions: bool
    modulus: int  # of the hashes of ids

    def cut(self, asked: Range) -> Cut | None:
        """A range as it is in its file; None where the file is shorter by now, or gone."""
        data = b""
        with suppress(OSError), open(self.root / self.names[asked.file], "rb") as file:
            data = bytes_at(file.fileno(), asked.size_bytes, asked.start)
        if len(data) != asked.size_bytes:
            return None
        return Cut(asked.file, asked.start, asked.line, asked.lines, data)

    def of(
        self, ready: Program, cut: Cut, row: int, spool: Spool | LentSpool | None, between: Callable[[], None]
    ) -> Came:
        """What a range comes to whose first row has the position `row`. ready: the job. between: is called every few
        rows.

        Raises as `packing.through` does.
        """
        job, budget, faults = self.job, RowBudget(), Faults(self.job.dataset.key)
        rows_left, bytes_left = budget.saved()
        segments = Segmented(job, self.root, None)
        kept = KeptLines(spool) if spool else None
        packing = Packing(job, ready, keeps_positions=self.keeps_positions, modulus=self.modulus)
        with closing(packing):
            blocks = _with_pauses(segments.blocks_of(self.names, cut, row, faults.add), between)
            through(ready, blocks, job, budget, faults, packing, segments, kept)
            return Came(
                packing.all(),
                *segments.made_of(),
                rows_left - budget.saved()[0],
                bytes_left - budget.saved()[1],
                faults.count,
                faults.problems,
                dict(faults.nulled),
                kept.chunks if kept else None,
            )


def _with_pauses(blocks: Iterator[Block], between: Callable[[], None]) -> Iterator[Block]:
    for block in blocks:
        between()
        yield block


class Begun(NamedTuple):
    """What a process is told first."""

    work: Work
    chunk_bytes: int  # of lines; 0: none are kept
    file: int
    descriptor: int


class _Came(Exception):
    """Another process has done meanwhile what this one is at."""


class _Slot:
    """A range whose turn comes. Its lines are not held: others may come back long before their turn."""

    __slots__ = ("asked", "came", "error")

    def __init__(self, asked: Range | None, error: Exception | None = None) -> None:
        """asked: None where the dataset cannot be cut on."""
        self.asked = asked
        self.error = error
        self.came: Came | None = None


class _Beside(Process):
    """A process beside this one, and the ranges it is at."""

    def __init__(self, work: Work, spool: Spool | None) -> None:
        """Raises OSError."""
        self.slots: deque[_Slot] = deque()
        self.lent = spool.lend() if spool else None
        self._spool = spool if self.lent else None
        file, descriptor = (self.lent.file, self.lent.descriptor) if self.lent else (0, -1)
        begun = Begun(work, self._spool.chunk_bytes if self._spool else 0, file, descriptor)
        try:
            told = pickle.dumps(begun)
        except (pickle.PicklingError, TypeError, AttributeError) as error:
            raise OSError("lines of a vendor that is not ours may hold what cannot travel") from error
        super().__init__("runner.compile.rangeworker", fds=(descriptor,) if self.lent else ())
        self.tell(told)

    def take(self, slot: _Slot) -> None:
        """Raises WorkerDied."""
        assert slot.asked is not None
        room = self._spool.room // _SHARE_OF_ROOM if self._spool else 0
        self.slots.append(slot)
        self.ask(_encode(replace(slot.asked, room=room)))

    def came(self, frame: bytes) -> None:
        """Note what the oldest of its ranges came to."""
        slot = self.slots.popleft()
        slot.came = _decode(frame)
        if slot.came is not None and self._spool is not None and self.lent is not None:
            self._spool.note(self.lent.file, slot.came.lines_end)


_encode = msgspec.msgpack.Encoder().encode
_decode = msgspec.msgpack.Decoder(Came | None).decode
encode_came = msgspec.msgpack.Encoder().encode
decode_range = msgspec.msgpack.Decoder(Range).decode


class Ranges:
    """One compile of a dataset by ranges. Iterating gives what each came to, in their order."""

    def __init__(self, work: Work, ready: Program, processes: int, range_bytes: int, spool: Spool | None) -> None:
        """processes: this one among them. Fewer are started where that fails."""
        self._work = work
        self._ready = ready
        self._spool = spool
        self._cuts = cuts(work.job.dataset, work.root, range_bytes)
        self._is_cut = False  # to its end
        self._waiting: deque[_Slot] = deque()
        self._rows = 0  # of the ranges whose turn was
        self._lines = 0  # of those that wait
        self._misses = 0
        self._beside: list[_Beside] = []
        with suppress(OSError):
            while len(self._beside) < processes - 1:
                self._beside.append(_Beside(work, spool))

    def __iter__(self) -> Iterator[Came]:
        """Raises as `packing.through` does, and Unsuitable."""
        while True:
            self._hand_out()
            while self._waiting and (self._waiting[0].came is not None or self._waiting[0].error is not None):
                yield self._turn()
            cut = self._next()
            if cut is None:
                break
            self._do(self._waiting[-1], cut)
        for slot in self._taken_back():
            self._do(slot)
        while self._waiting:
            self._wait_for(self._waiting[0])
            yield self._turn()

    def close(self) -> None:
        for process in self._beside:
            process.close()
        self._beside = []

    def _next(self) -> Cut | None:
        """Cut the next range, which waits behind all others; None at the end."""
        if self._is_cut:
            return None
        try:
            cut = next(self._cuts, None)
        except (RunnerError, Unsuitable) as error:  # the ranges before it may have something to say
            cut = None
            self._waiting.append(_Slot(None, error))
        if cut is None:
            self._is_cut = True
            return None
        row = self._rows + self._lines  # mostly each line is a row
        self._waiting.append(_Slot(Range(cut.file, cut.start, len(cut.data), cut.line, cut.lines, row)))
        self._lines += cut.lines
        return cut

    def _do(self, slot: _Slot, cut: Cut | None = None) -> None:
        """Work on a range in this process. cut: where it was read just now."""
        assert slot.asked is not None

        def between() -> None:
            self._hand_out()
            if slot.came is not None:
                raise _Came

        try:
            cut = cut or self._work.cut(slot.asked)
            if cut is None:
                raise Unsuitable  # the dataset changed: whoever reads it in the plain way says so
            slot.came = self._work.of(self._ready, cut, slot.asked.row, self._spool, between)
        except _Came:
            pass
        except (RunnerError, Unsuitable) as error:
            slot.error = error

    def _hand_out(self) -> None:
        """Take what other processes have done, and give them more."""
        for process in tuple(self._beside):
            try:
                while process.slots and (frame := process.answer_within(0)) is not None:
                    process.came(frame)
                while len(process.slots) < _IN_FLIGHT and self._misses < _MOST_MISSES:
                    if self._next() is None:
                        break
                    process.take(self._waiting[-1])
            except WorkerDied:
                self._beside.remove(process)

    def _taken_back(self) -> Iterator[_Slot]:
        """What other processes have not begun, at the end: done here, it is there before they would come to it."""
        for process in tuple(self._beside):
            while len(process.slots) > 1:
                yield process.slots.pop()

    def _wait_for(self, slot: _Slot) -> None:
        """Until it is done, or nothing is heard of it for a while."""
        for process in tuple(self._beside):
            try:
                while slot in process.slots and (frame := process.answer_within(_PATIENCE_SECONDS)) is not None:
                    process.came(frame)
            except WorkerDied:
                self._beside.remove(process)

    def _turn(self) -> Came:
        """What the first range that waits came to, now that all before it are done. Raises what it raised."""
        slot = self._waiting.popleft()
        if slot.asked is not None:
            if slot.asked.row != self._rows:  # there were blank lines before it
                self._misses += 1
                slot = _Slot(replace(slot.asked, row=self._rows))
            if slot.came is None and slot.error is None:
                self._do(slot)
        if slot.error is not None:
            raise slot.error
        assert slot.came is not None
        assert slot.asked is not None
        self._rows += slot.came.rows
        self._lines -= slot.asked.lines
        return slot.came


def cores() -> int:
    """How many processes of ours can run at once."""
    found = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    with suppress(OSError, ValueError):  # what a container may use, where it says so
        allowed, period = Path("/sys/fs/cgroup/cpu.max").read_text().split()
        found = min(found, int(allowed) // int(period))
    return max(found, 1)
