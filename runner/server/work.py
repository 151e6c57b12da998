"""The worker: one thread that moves batches through their states, a bounded step at a time, in turn.

Engines that wait run in pools of their own; everything else here takes milliseconds, so that several batches advance
together and an API call never waits long for a turn of the interpreter.
"""

from __future__ import annotations

import logging
import shutil
import threading
from collections.abc import Callable, Mapping

import msgspec

from runner.clock import Clock
from runner.server.dialect import Dialect, InputVerdict
from runner.server.engines.base import Engine, Refusing
from runner.server.engines.registry import Engines, Slot
from runner.server.home import ServerHome
from runner.server.log import Log
from runner.server.outputs import Outputs
from runner.server.pace import Pace
from runner.server.records import BatchProblem, BatchState, StoredBatch
from runner.server.run import EngineCalls, Run
from runner.server.world import World

log = logging.getLogger(__name__)

IDLE_SECONDS = 0.25  # how often time limits are looked at
SWEEP_SECONDS = 30.0
_HOPELESS = (FileNotFoundError, msgspec.MsgspecError)  # its input is gone or no longer what was validated


class BatchWorker:
    """Owns the thread. Talks to the rest through the world."""

    def __init__(
        self,
        home: ServerHome,
        world: World,
        dialects: Mapping[str, Dialect],
        engines: Engines,
        pace: Pace,
        outputs: Outputs,
        clock: Clock,
        request_log: Log,
    ) -> None:
        self._home = home
        self._world = world
        self._dialects = dialects
        self._engines = engines
        self._pace = pace
        self._outputs = outputs
        self._clock = clock
        self._log = request_log
        self._runs: dict[str, Run] = {}
        self._wake = threading.Event()
        self._stop = threading.Event()
        self._swept_at = float("-inf")
        self._thread = threading.Thread(target=self._loop, name="worker", daemon=True)
        engines.on_change = self.wake

    def start(self) -> None:
        self._tidy()
        self._thread.start()

    def wake(self) -> None:
        """There may be something to do."""
        self._wake.set()

    def stop(self) -> None:
        """Stop after the step at hand. Rows in flight are asked again by the next server."""
        self._stop.set()
        self._wake.set()
        if self._thread.ident is not None:
            self._thread.join(timeout=5)
        for run in self._runs.values():
            run.close()
        self._engines.close()

    # The database is the queue: every turn asks it anew which batches are unfinished. A list kept beside it would have
    # to be built again after a restart, and could miss a batch that a handler has just cancelled or deleted. A turn
    # gives each of them one bounded step, the oldest first, so that a batch of a million rows does not keep ten small
    # ones waiting.
    def _loop(self) -> None:
        while not self._stop.is_set():
            # before the look, not after it: what comes while we look wakes us again
            self._wake.clear()
            busy = False
            for batch in self._world.active():
                if self._stop.is_set():
                    return
                busy = self._guarded(batch) or busy
            self._sweep()
            if not busy:
                self._wake.wait(IDLE_SECONDS)

    def _guarded(self, batch: StoredBatch) -> bool:
        """One step; trouble with one batch (a full disk, say) is logged, and tried again a little later."""
        try:
            return self._step(batch)
        except _HOPELESS:
            # it would fail again, for ever; so the client is told, and others get their turn
            log.exception("batch %s: it cannot go on", batch.id)
            if batch.state is BatchState.DELETING:
                self._clear(batch)
                self._world.remove_batch(batch.id)
                return True
            problem = BatchProblem("server_error", "The server lost what it needs to go on with this batch.")
            now = self._now()
            self._change(batch, lambda seen: seen.entering(BatchState.FAILED, now, problems=[problem]))
            self._clear(batch)
        except Exception:
            log.exception("batch %s: a step failed and will be tried again", batch.id)
            # its spools may end in half a line: the next step opens it anew, which cuts them back to what was counted
            self._drop(batch.id)
            self._stop.wait(1.0)
        return False

    def _step(self, batch: StoredBatch) -> bool:
        if not self._pace.may_step(batch):
            return False
        match batch.state:
            case BatchState.VALIDATING:
                return self._validate(batch)
            case BatchState.IN_PROGRESS:
                return self._advance(batch)
            case BatchState.QUEUED:
                return self._move_on(batch, BatchState.STARTING)
            case BatchState.STARTING:
                return self._move_on(batch, BatchState.IN_PROGRESS)
            case BatchState.FINALIZING:
                self._finish(batch, BatchState.COMPLETED)
                return True
            case BatchState.CANCELLING:
                return self._cancel(batch)
            case BatchState.DELETING:
                return self._delete(batch)
        return False

    # validating

    def _validate(self, batch: StoredBatch) -> bool:
        source = self._home.work(batch.id) / "input.jsonl"
        verdict = self._dialects[batch.dialect].check(batch, source, self._stop.is_set)
        if self._stop.is_set():  # then the file may not have been read to its end
            return False
        if verdict.problems:
            self._fail(batch, verdict.problems)
            return True
        # a batch that is valid stays in validation while its model loads: no row fails because it came too soon
        slot = self._engines.slot(verdict.model)
        if slot.is_loading:
            return False
        if slot.error is not None:
            hint = f"; {slot.error.hint}" if slot.error.hint else ""
            self._fail(batch, [BatchProblem("engine_unavailable", slot.error.message + hint)])
            # who fetches the weights now need not start the server again: the next batch tries to load them once more
            self._engines.forget(verdict.model)
            return True
        now = self._now()
        to = BatchState.QUEUED if self._dialects[batch.dialect].is_queued else BatchState.IN_PROGRESS
        self._change(batch, lambda seen: _accepted(seen, verdict, now, to))
        return True

    # A step works on the record as it was read; a handler may have cancelled or deleted the batch since. So every
    # change is a function of the record as it is now, and one that finds another state leaves it alone: the next turn
    # sees that state.
    def _fail(self, batch: StoredBatch, problems: list[BatchProblem]) -> None:
        now = self._now()
        self._change(
            batch,
            lambda seen: (
                seen.entering(BatchState.FAILED, now, problems=problems)
                if seen.state is BatchState.VALIDATING
                else seen
            ),
        )
        self._clear(batch)

    # queued, starting

    def _move_on(self, batch: StoredBatch, to: BatchState) -> bool:
        now = self._now()
        self._change(batch, lambda seen: seen.entering(to, now) if seen.state is batch.state else seen)
        return True

    # in progress

    def _advance(self, batch: StoredBatch) -> bool:
        run = self._run_of(batch)
        if run is None:
            return False
        if batch.ending is None and self._pace.has_expired(batch, self._now()):
            batch = self._change(batch, _expiring)
        if batch.state is not BatchState.IN_PROGRESS:  # deleted just now
            return True
        if batch.ending is not None:
            # an expired batch keeps what it has: its rows in flight are waited for, the others get an error line each
            return self._wind_up(batch, run, BatchState.EXPIRED)
        asked = run.asked
        happened = run.step(batch, self._pace.rows_allowed(batch))
        self._log.rows_asked(run.asked - asked)
        # the last rows are counted by now: `step` counts before it returns
        if run.is_exhausted and run.in_flight == 0:
            now = self._now()
            self._change(
                batch,
                lambda seen: (
                    seen.entering(BatchState.FINALIZING, now) if seen.state is BatchState.IN_PROGRESS else seen
                ),
            )
            return True
        return happened

    def _cancel(self, batch: StoredBatch) -> bool:
        if batch.total == 0:  # never validated: nobody knows its rows
            now = self._now()
            self._change(batch, lambda seen: seen.entering(BatchState.CANCELLED, now))
            self._clear(batch)
            return True
        run = self._run_of(batch)
        return run is not None and self._wind_up(batch, run, BatchState.CANCELLED)

    def _delete(self, batch: StoredBatch) -> bool:
        """Save what a running batch has finished, then forget the batch."""
        if batch.ending is None:
            self._clear(batch)
            self._world.remove_batch(batch.id)
            return True
        run = self._run_of(batch)
        return run is not None and self._wind_up(batch, run, BatchState.DELETING)

    def _wind_up(self, batch: StoredBatch, run: Run, ending: BatchState) -> bool:
        """Wait for the rows in flight, then end without the rest."""
        # they are running and cannot be called back; a batch that ended without them would lose answers that were made
        if run.drain(batch) or run.in_flight:
            return False
        self._finish(batch, ending)
        return True

    def _finish(self, batch: StoredBatch, ending: BatchState) -> None:
        """Write the result files and end, in one transaction; a batch cancelled meanwhile is left for its own end."""
        now = self._now()
        dialect = self._dialects[batch.dialect]
        rows = self._world.rows(batch.id)
        # The files are made before the transaction that records them: a server killed between the two has files that
        # nobody knows, which `_tidy` removes; the other way round it would have records of files that are not there.
        made = self._outputs.publish(dialect, batch, rows, now)
        new_files = [file for file in made if file is not None]

        def ended(seen: StoredBatch) -> StoredBatch:
            if seen.state is not batch.state:
                return seen
            return seen.entering(
                ending,
                now,
                ending=None if ending is BatchState.DELETING else seen.ending,
                output_ref=made.output.id if made.output else None,
                error_ref=made.error.id if made.error else None,
            )

        after = self._world.change(batch.id, ended, new_files=new_files, also=dialect.record)
        if after.state is not ending:
            # cancelled between the look and the change: it ends by another state, with files of its own
            for file in new_files:
                self._home.content(file.id).unlink()
            return
        self._clear(batch)

    def _run_of(self, batch: StoredBatch) -> Run | None:
        """The batch's run, opened again after a restart; None while its engine loads."""
        run = self._runs.get(batch.id)
        if run is not None:
            return run
        slot = self._engines.slot(batch.model)
        if slot.is_loading:
            return None
        run = self._runs[batch.id] = self._open(batch, slot)
        return run

    def _open(self, batch: StoredBatch, slot: Slot[Engine]) -> Run:
        engine = slot.engine
        if slot.error is not None:
            engine = self._engines.around(Refusing(503, "engine_unavailable", slot.error.message))
        calls = EngineCalls(engine, slot.pool, self._clock, self.wake)
        return Run(self._world, batch, self._home.work(batch.id), self._dialects[batch.dialect], calls)

    # housekeeping

    def _change(self, batch: StoredBatch, how: Callable[[StoredBatch], StoredBatch]) -> StoredBatch:
        return self._world.change(batch.id, how, also=self._dialects[batch.dialect].record)

    def _drop(self, batch_id: str) -> None:
        run = self._runs.pop(batch_id, None)
        if run is not None:
            run.close()

    def _clear(self, batch: StoredBatch) -> None:
        """An ended batch needs its input and spools no more."""
        self._drop(batch.id)
        shutil.rmtree(self._home.work(batch.id), ignore_errors=True)

    def _sweep(self) -> None:
        """Remove expired files now and then."""
        if self._clock.monotonic() - self._swept_at < SWEEP_SECONDS:
            return
        self._swept_at = self._clock.monotonic()
        for file_id in self._world.expired_files(self._now()):
            self._world.delete_file(file_id)
            self._home.content(file_id).unlink(missing_ok=True)

    def _tidy(self) -> None:
        """Remove what a killed server wrote but never recorded."""
        # read before the folder is: nothing else runs yet, so a file without a record is one that will never get it
        known = self._world.file_ids()
        for path in (self._home.root / "files").iterdir():
            if path.name not in known:
                path.unlink()
        active = {batch.id for batch in self._world.active()}
        for path in (self._home.root / "work").iterdir():
            if path.name not in active:
                shutil.rmtree(path, ignore_errors=True)

    def _now(self) -> float:
        return self._clock.now().timestamp()


def _expiring(batch: StoredBatch) -> StoredBatch:
    return msgspec.structs.replace(batch, ending=BatchState.EXPIRED) if batch.state is BatchState.IN_PROGRESS else batch


def _accepted(batch: StoredBatch, verdict: InputVerdict, now: float, to: BatchState) -> StoredBatch:
    if batch.state is not BatchState.VALIDATING:
        return batch
    return batch.entering(
        to,
        now,
        model=verdict.model,
        total=verdict.rows,
        enqueued_tokens=verdict.enqueued_tokens,
    )
