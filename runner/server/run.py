"""The rows of one batch, asked in slices: what an engine answers is spooled and counted, a thousand rows at a time.

A line reaches its spool before its row is counted, and a restart cuts the spool back to what was counted. So a row is
counted once, and asked again only if the server died between asking and counting.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from pathlib import Path
from queue import Empty, SimpleQueue
from typing import BinaryIO, NamedTuple

from runner.clock import Clock
from runner.server.dialect import Dialect
from runner.server.engines.base import Engine, EngineReply, EngineRequest, answered
from runner.server.pool import Pool
from runner.server.records import DoneRow, StoredBatch
from runner.server.world import World

# A slice is what one batch may do before the others, and a cancel, get their turn; and what one transaction commits.
SLICE_ROWS = 1_000
SLICE_SECONDS = 0.2
MOST_BYTES = 64 * 1024 * 1024  # of bodies in flight: a row that holds pictures may have twenty million
SPOOLS = ("error.spool", "output.spool")  # by DoneRow.is_ok


class RowAnswer(NamedTuple):
    """What came of one row."""

    ordinal: int
    custom_id: str
    reply: EngineReply


# Two ways, since engines are of two kinds. One that answers in microseconds is called where we are: to hand each row to
# a thread and back would cost more than the answer. One that waits, for a model or a network, gets a queue of twice its
# places, so that none is idle until the worker comes round again; what it answers is counted in this thread only.
class EngineCalls:
    """How the rows of one batch are asked: here, one after the other, or in the pool of an engine that waits."""

    def __init__(self, engine: Engine, pool: Pool | None, clock: Clock, on_answer: Callable[[], None]) -> None:
        self._engine = engine
        self._pool = pool
        self._clock = clock
        self._on_answer = on_answer
        self._answers: SimpleQueue[tuple[RowAnswer, int]] = SimpleQueue()
        self._bytes = 0  # of the bodies in flight
        self.in_flight = 0

    @property
    def room(self) -> int:
        """How many rows more are of use now: for each place in the pool one that runs and one that waits."""
        if self._pool is None:
            return SLICE_ROWS
        return 2 * self._engine.concurrency - self.in_flight if self._bytes < MOST_BYTES else 0

    def request(self, rows: Iterator[tuple[int, EngineRequest]]) -> list[RowAnswer]:
        """Ask these, as long as a slice of time lasts; what has been answered by now."""
        if self._pool is not None:
            # nothing is waited for: what is answered later is fetched by the next step
            for ordinal, request in rows:
                self.in_flight += 1
                self._bytes += len(request.body)
                self._pool.put(self._job(ordinal, request))
                if self._bytes >= MOST_BYTES:
                    break
            return self.arrived()
        out = []
        until = self._clock.monotonic() + SLICE_SECONDS
        for ordinal, request in rows:
            out.append(self._answer(ordinal, request))
            if self._clock.monotonic() > until:
                break
        return out

    def arrived(self) -> list[RowAnswer]:
        """What the pool has answered since the last time."""
        out: list[RowAnswer] = []
        while len(out) < SLICE_ROWS:
            try:
                answer, size_bytes = self._answers.get_nowait()
            except Empty:
                break
            out.append(answer)
            self._bytes -= size_bytes
        self.in_flight -= len(out)
        return out

    def _job(self, ordinal: int, request: EngineRequest) -> Callable[[], None]:
        def job() -> None:
            self._answers.put((self._answer(ordinal, request), len(request.body)))
            self._on_answer()

        return job

    def _answer(self, ordinal: int, request: EngineRequest) -> RowAnswer:
        return RowAnswer(ordinal, request.custom_id, answered(self._engine, request))


class Run:
    """One batch between validation and its end. `asked` counts the rows since it was opened."""

    def __init__(self, world: World, batch: StoredBatch, folder: Path, dialect: Dialect, calls: EngineCalls) -> None:
        self._world = world
        self._dialect = dialect
        self._calls = calls
        self.asked = 0
        self.is_exhausted = False
        done = _recover(world, batch, folder)
        self._input = (folder / "input.jsonl").open("rb")
        self._lines = _remaining(self._input, done)
        self._spools = [_appending(folder / name) for name in SPOOLS]
        self._sizes = [spool.tell() for spool in self._spools]

    @property
    def in_flight(self) -> int:
        return self._calls.in_flight

    def close(self) -> None:
        self._input.close()
        for spool in self._spools:
            spool.close()

    def step(self, batch: StoredBatch, allowed: int) -> bool:
        """Ask and count some rows, so that at most `allowed` are done or in flight; whether anything happened."""
        before = self.asked
        room = min(allowed - batch.done - self.in_flight, self._calls.room)
        return self._count(batch, self._calls.request(self._next(batch, room))) or self.asked > before

    def drain(self, batch: StoredBatch) -> bool:
        """Count what was in flight, without asking more."""
        return self._count(batch, self._calls.arrived())

    def _next(self, batch: StoredBatch, room: int) -> Iterator[tuple[int, EngineRequest]]:
        for _ in range(room):
            found = next(self._lines, None)
            if found is None:
                self.is_exhausted = True
                return
            self.asked += 1
            yield found[0], self._dialect.request_of(batch, found[1])

    def _count(self, batch: StoredBatch, answers: list[RowAnswer]) -> bool:
        """Spool the lines, then record the rows, in that order."""
        if not answers:
            return False
        rows: list[DoneRow] = []
        texts: tuple[list[bytes], list[bytes]] = ([], [])
        line_of, sizes = self._dialect.result_line, self._sizes
        for ordinal, custom_id, reply in answers:
            line = line_of(batch, ordinal, custom_id, reply)
            is_ok, size = reply.is_ok, len(line)
            rows.append(DoneRow(ordinal, is_ok, sizes[is_ok], size))
            texts[is_ok].append(line)
            sizes[is_ok] += size + 1
        for spool, lines in zip(self._spools, texts, strict=True):
            if lines:
                spool.write(b"\n".join(lines) + b"\n")
                # handed to the system, not synced to the disk; nor is the transaction that counts these rows. After a
                # power cut either may be there without the other: `_recover` sees which, and the rows that are lost are
                # asked again.
                spool.flush()
        inputs = sum(reply.input_tokens for _, _, reply in answers)
        outputs = sum(reply.output_tokens for _, _, reply in answers)
        self._world.record_rows(batch.id, rows, inputs, outputs)
        return True


def _remaining(lines: Iterator[bytes], done: bytearray) -> Iterator[tuple[int, bytes]]:
    for ordinal, line in enumerate(lines):
        if ordinal >= len(done) or not done[ordinal]:
            yield ordinal, line


def _appending(path: Path) -> BinaryIO:
    spool = os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600), "ab")
    spool.seek(0, os.SEEK_END)
    return spool


# What was counted and what was spooled can disagree in two ways. A server killed after it wrote lines and before it
# counted them leaves a spool that is too long: it is cut back, and those rows are asked again. A power cut can lose
# lines whose rows were counted: the spool is too short, and what points behind its end is forgotten.
def _recover(world: World, batch: StoredBatch, folder: Path) -> bytearray:
    """One byte per row, 1 where it is done; the spools are cut back to what was counted."""
    rows = world.rows(batch.id)
    lost = []
    done = bytearray(batch.total)
    for is_ok, name in enumerate(SPOOLS):
        path = folder / name
        size = path.stat().st_size if path.exists() else 0
        mine = [row for row in rows if row.is_ok == bool(is_ok)]
        lost += [row for row in mine if row.offset + row.size + 1 > size]
        end = max((row.offset + row.size + 1 for row in mine), default=0)
        if size > end:
            os.truncate(path, end)
    if lost:  # after a power cut: counted, but not on the disk
        world.forget_rows(batch.id, lost)
    gone = {row.ordinal for row in lost}
    for row in rows:
        done[row.ordinal] = row.ordinal not in gone
    return done
