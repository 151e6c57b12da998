"""The worker of the audio API: one thread that takes accepted recordings in order and has them transcribed.

A job is taken from the database and ended there; what is between lives in memory only, so a server killed anywhere
transcribes again what had not ended.
"""

from __future__ import annotations

import logging
import threading
from collections import Counter
from collections.abc import Callable
from queue import Empty, SimpleQueue

from runner.clock import Clock
from runner.server.audio.records import FAILED, AudioOutcome, StoredAudioJob
from runner.server.audio.render import rendered
from runner.server.audio.store import AudioJobStore
from runner.server.engines.asr import AsrEngine, CannotTranscribe, ReceivedRecording
from runner.server.engines.registry import AsrEngines, Slot
from runner.server.home import ServerHome
from runner.server.log import Log

log = logging.getLogger(__name__)

SLICE_JOBS = 64  # ended in one transaction
SLICE_SECONDS = 0.05
_IDLE_SECONDS = 1.0
_GATHER_SECONDS = 0.02  # recordings come one by one, but are best ended many at a time

Ended = tuple[StoredAudioJob, AudioOutcome]


class AudioWorker:
    """Owns the thread. Talks to the rest through the store."""

    def __init__(
        self, home: ServerHome, jobs: AudioJobStore, asr_engines: AsrEngines, clock: Clock, asked: Log
    ) -> None:
        self._home = home
        self._jobs = jobs
        self._asr_engines = asr_engines
        self._clock = clock
        self._log = asked
        self._taken: dict[str, int] = {}  # the number of the last job taken, by model
        self._in_flight: Counter[str] = Counter()
        self._transcribed: SimpleQueue[Ended] = SimpleQueue()
        self._wake = threading.Event()
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._loop, name="audio", daemon=True)
        asr_engines.on_change = self.wake

    def start(self) -> None:
        self._tidy()
        self._thread.start()

    def wake(self) -> None:
        """There may be something to do."""
        self._wake.set()

    def stop(self) -> None:
        """Stop after the step at hand. What is being transcribed is transcribed again by the next server."""
        self._stop.set()
        self._wake.set()
        if self._thread.ident is not None:
            self._thread.join(timeout=5)
        self._asr_engines.close()

    def _loop(self) -> None:
        while not self._stop.is_set():
            self._wake.clear()
            try:
                is_busy = self._step()
            except Exception:
                log.exception("a step of the audio worker failed and will be tried again")
                self._taken.clear()  # a job that is in flight may be transcribed twice; it ends the same
                self._stop.wait(1.0)
                continue
            if not is_busy:
                self._wake.wait(_IDLE_SECONDS)
            # one transaction, one fsync: ended one by one, small recordings would wait for the disk most of the time
            self._stop.wait(_GATHER_SECONDS)

    def _step(self) -> bool:
        is_busy = self._end(self._arrived())
        for model in self._jobs.waiting_models():
            is_busy = self._advance(model) or is_busy
        return is_busy

    def _advance(self, model: str) -> bool:
        """Take some jobs for one model; whether there were any."""
        slot = self._asr_engines.slot(model)
        if slot.is_loading:
            return False
        # twice its places: one runs and one waits, so that none is idle until we come round
        room = SLICE_JOBS if slot.pool is None else 2 * slot.engine.concurrency - self._in_flight[model]
        # what is in flight has not ended in the database, so it is passed over by number
        jobs = self._jobs.waiting(model, self._taken.get(model, 0), room) if room > 0 else []
        if not jobs:
            return False
        if slot.error is not None:
            hint = f"; {slot.error.hint}" if slot.error.hint else ""
            why = AudioOutcome(FAILED, message=slot.error.message + hint)
            self._asr_engines.forget(model)
            return self._end([(job, why) for _, job in jobs])
        self._log.rows_asked(len(jobs))
        if slot.pool is None:
            return self._end(self._transcribed_here(slot, jobs))
        for number, job in jobs:
            self._taken[model] = number
            self._in_flight[model] += 1
            slot.pool.put(self._task(slot.engine, job))
        return True

    def _transcribed_here(self, slot: Slot[AsrEngine], jobs: list[tuple[int, StoredAudioJob]]) -> list[Ended]:
        out = []
        until = self._clock.monotonic() + SLICE_SECONDS
        for _, job in jobs:
            out.append((job, self._outcome(slot.engine, job)))
            if self._stop.is_set() or self._clock.monotonic() > until:
                break
        return out

    def _task(self, engine: AsrEngine, job: StoredAudioJob) -> Callable[[], None]:
        def task() -> None:
            self._transcribed.put((job, self._outcome(engine, job)))
            self.wake()

        return task

    def _outcome(self, engine: AsrEngine, job: StoredAudioJob) -> AudioOutcome:
        """What becomes of one job; never raises."""
        wish, path = job.wish, self._home.recording(job.id)
        try:
            recording = ReceivedRecording(path, job.sha256, job.size_bytes, wish.task, wish.language, wish.diarize)
            return rendered(engine.transcribe(recording), wish)
        except CannotTranscribe as error:
            return AudioOutcome(FAILED, message=str(error))
        except FileNotFoundError:
            return AudioOutcome(FAILED, message="the server lost the recording")
        except Exception as error:
            log.exception("transcribing %s failed", job.id)
            return AudioOutcome(FAILED, message=f"{type(error).__name__}: {error}"[:256])

    def _arrived(self) -> list[Ended]:
        out: list[Ended] = []
        while len(out) < SLICE_JOBS:
            try:
                job, outcome = self._transcribed.get_nowait()
            except Empty:
                break
            self._in_flight[job.wish.model] -= 1
            out.append((job, outcome))
        return out

    def _end(self, ended: list[Ended]) -> bool:
        """Record outcomes; then their recordings are needed no more."""
        if not ended:
            return False
        # recorded before the recording goes: killed between the two, a leftover stays, not a job that cannot be done
        self._jobs.end(ended)
        for job, _ in ended:
            self._home.recording(job.id).unlink(missing_ok=True)
        return True

    def _tidy(self) -> None:
        """Remove what a killed server wrote but never recorded."""
        known = self._jobs.waiting_ids()
        for path in (self._home.root / "audio").iterdir():
            if path.name not in known:
                path.unlink()
