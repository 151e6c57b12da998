"""The rows of one batch, asked in slices: what an engine answers is spooled and counted, a thousand rows at a time.

A line reaches its spool before its row is counted, and a restart cuts the spool back to what was counted. So a row is
counted once, and asked again only if the server died between asking and counting.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from pathlib import Path
from queue import Empty, SimpleQueue
from typing import BinaryIO

from runner.clock import Clock
from runner.server.dialect import Dialect, Item
from runner.server.engines.base import Engine, Reply, refusal
from runner.server.faults import engine as rowfaults
from runner.server.faults.switches import Faults
from runner.server.pool import Pool
from runner.server.records import Batch, Row
from runner.server.world import World

SLICE_ROWS = 1_000
SLICE_SECONDS = 0.2
SPOOLS = ("error.spool", "output.spool")  # by Row.is_ok


class Run:
    """One batch between validation and its end."""

    def __init__(
        self,
        world: World,
        batch: Batch,
        folder: Path,
        dialect: Dialect,
        engine: Engine,
        pool: Pool | None,
        faults: Faults,
        clock: Clock,
        on_answer: Callable[[], None],
    ) -> None:
        self._world = world
        self._dialect = dialect
        self._engine = engine
        self._pool = pool
        self._faults = faults
        self._clock = clock
        self._on_answer = on_answer
        self._answers: SimpleQueue[tuple[int, str, Reply]] = SimpleQueue()
        self.in_flight = 0
        self.asked = 0
        self.is_exhausted = False
        done = _recover(world, batch, folder)
        self._input = (folder / "input.jsonl").open("rb")
        self._lines = _remaining(self._input, done)
        self._spools = [_appending(folder / name) for name in SPOOLS]
        self._sizes = [spool.tell() for spool in self._spools]

    def close(self) -> None:
        self._input.close()
        for spool in self._spools:
            spool.close()

    def step(self, batch: Batch, allowed: int) -> bool:
        """Ask and count some rows, so that at most `allowed` are done or in flight; whether anything happened."""
        room = allowed - batch.done - self.in_flight
        if self._pool is None:
            return self._count(batch, self._asked_here(batch, min(room, SLICE_ROWS)))
        started = self._fill(batch, min(room, 2 * self._engine.concurrency - self.in_flight))
        return self._count(batch, self._arrived()) or started

    def drain(self, batch: Batch) -> bool:
        """Count what was in flight, without asking more."""
        return self._count(batch, self._arrived())

    def _asked_here(self, batch: Batch, room: int) -> list[tuple[int, str, Reply]]:
        out = []
        until = self._clock.monotonic() + SLICE_SECONDS
        for ordinal, item in self._next(batch, room):
            out.append((ordinal, item.custom_id, self._answer(item)))
            if self._clock.monotonic() > until:
                break
        return out

    def _fill(self, batch: Batch, room: int) -> bool:
        assert self._pool is not None
        before = self.in_flight
        for ordinal, item in self._next(batch, room):
            self.in_flight += 1
            self._pool.put(self._job(ordinal, item))
        return self.in_flight > before

    def _job(self, ordinal: int, item: Item) -> Callable[[], None]:
        def job() -> None:
            self._answers.put((ordinal, item.custom_id, self._answer(item)))
            self._on_answer()

        return job

    def _next(self, batch: Batch, room: int) -> Iterator[tuple[int, Item]]:
        for _ in range(room):
            found = next(self._lines, None)
            if found is None:
                self.is_exhausted = True
                return
            self.asked += 1
            yield found[0], self._dialect.item(batch, found[1])

    def _answer(self, item: Item) -> Reply:
        delay = self._faults.look("row_delay")
        if delay is not None:
            self._clock.sleep(delay.value)
        broken = rowfaults.error_of(self._faults, item.custom_id)
        if broken is not None:
            return broken
        try:
            return rowfaults.dressed(self._faults, self._engine.answer(item.ask))
        except Exception as error:  # noqa: BLE001  # one row's trouble is that row's answer
            return refusal(500, "engine_error", f"{type(error).__name__}: {error}"[:256])

    def _arrived(self) -> list[tuple[int, str, Reply]]:
        out: list[tuple[int, str, Reply]] = []
        while len(out) < SLICE_ROWS:
            try:
                out.append(self._answers.get_nowait())
            except Empty:
                break
        self.in_flight -= len(out)
        return out

    def _count(self, batch: Batch, answers: list[tuple[int, str, Reply]]) -> bool:
        """Spool the lines, then record the rows, in that order."""
        if not answers:
            return False
        rows: list[Row] = []
        texts: tuple[list[bytes], list[bytes]] = ([], [])
        line_of, sizes = self._dialect.result_line, self._sizes
        for ordinal, custom_id, reply in answers:
            line = line_of(batch, ordinal, custom_id, reply)
            is_ok, size = reply.is_ok, len(line)
            rows.append(Row(ordinal, is_ok, sizes[is_ok], size))
            texts[is_ok].append(line)
            sizes[is_ok] += size + 1
        for spool, lines in zip(self._spools, texts, strict=True):
            if lines:
                spool.write(b"\n".join(lines) + b"\n")
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


def _recover(world: World, batch: Batch, folder: Path) -> bytearray:
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
