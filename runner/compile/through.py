"""Chunks of rows through a rendering process, in order, whatever becomes of the process."""

from __future__ import annotations

import contextlib
import signal
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import partial
from typing import Generic, NoReturn, Protocol, TypeVar

import msgspec

from runner.compile import pool
from runner.compile.frames import Readings, RenderFailure, Setup
from runner.compile.pool import Worker, WorkerDied
from runner.errors import DataError, Mark, Problem, SpecError
from runner.job.source import Source

CHUNK_ROWS = 256
CHUNK_BYTES = 256 << 10
IN_FLIGHT = 2  # chunks: one is rendered while the next is read


class Placed(Protocol):
    """A row that can be named."""

    @property
    def mark(self) -> Mark: ...


Row = TypeVar("Row", bound=Placed)
RowOf = TypeVar("RowOf", bound=Placed, covariant=True)


class Rows(Protocol[RowOf]):
    """Some rows, in order."""

    def __len__(self) -> int: ...

    def __iter__(self) -> Iterator[RowOf]: ...


Chunk = tuple[Rows[Row], list[msgspec.Raw]]  # rows, and each of them as JSON
Result = list[str | None] | RenderFailure | None
Done = tuple[Rows[Row], list[Result]]  # the rows of a chunk, and what came of each
SetupOf = Callable[[int | None], Setup | Readings]  # of all that is asked (None), or of one part of it


class Through(Generic[Row]):
    """A rendering process that chunks are pushed through, at most IN_FLIGHT of them ahead of their results.

    sources: of each part that is asked. Raises SpecError for a part that does not compile; every call raises DataError
    naming part and row when a row takes too much time or memory.
    """

    def __init__(self, sources: Sequence[Source], setup: SetupOf) -> None:
        self._line = _Line[Row](sources, setup)
        self._waiting: deque[Chunk[Row]] = deque()

    def push(self, chunk: Chunk[Row]) -> Iterator[Done[Row]]:
        """Hand a chunk over. What is done by now comes back, in order."""
        self._line.send(chunk)
        self._waiting.append(chunk)
        if len(self._waiting) == IN_FLIGHT:
            yield self._line.results(self._waiting)

    def rest(self) -> Iterator[Done[Row]]:
        """What is still under way."""
        while self._waiting:
            yield self._line.results(self._waiting)

    def close(self) -> None:
        self._line.end()


def through_worker(chunks: Iterable[Chunk[Row]], sources: Sequence[Source], setup: SetupOf) -> Iterator[Done[Row]]:
    """Chunks with their results, pulled. Raises as `Through` does."""
    through = Through[Row](sources, setup)
    try:
        for chunk in chunks:
            yield from through.push(chunk)
        yield from through.rest()
    finally:
        through.close()


# A process that dies takes the chunk it worked on with it, and says nothing about the row. So the chunk is rendered
# once more, row by row, in a new process: the row that ends that one too is the one to blame. If none does, somebody
# else ended the first, and nothing was lost. Chunks that waited behind it are sent again.
class _Line(Generic[Row]):
    """One stream of chunks through a rendering process, which is begun again when a row ends it."""

    def __init__(self, sources: Sequence[Source], setup: SetupOf) -> None:
        self._sources = sources
        self._setup = setup
        self._worker = self._begin()

    def send(self, chunk: Chunk[Row]) -> None:
        with contextlib.suppress(WorkerDied):  # `results` sees it as well, and knows which chunk was under way
            self._worker.send(chunk[1])

    def results(self, waiting: deque[Chunk[Row]]) -> Done[Row]:
        """The rows of the oldest chunk and their results."""
        rows, encoded = waiting.popleft()
        try:
            found = self._worker.receive()
        except WorkerDied as died:
            # its whole allowance is spent: no row is to blame, and a new process would have an allowance of its own
            if died.code == -signal.SIGXCPU:
                raise self._takes_too_long() from died
            if died.code == -signal.SIGPROF and len(rows) == 1:  # of its own time; else somebody may have ended it
                self._blame(next(iter(rows)), encoded[0], died)
            found = self._one_by_one(rows, encoded)
            self._worker = self._begin()
            for later in waiting:
                self.send(later)
        return rows, found

    def end(self) -> None:
        pool.give_back(self._worker)

    def _begin(self) -> Worker:
        worker = pool.take()
        try:
            failure = worker.setup(self._setup(None))
        except WorkerDied as died:
            raise self._cannot_start(died) from died
        if failure is not None:
            pool.give_back(worker)
            source = self._sources[failure.template]
            problem = Problem(
                source.place(failure.line), f"{source.what}: {failure.message}", snippet=source.snippet(failure.line)
            )
            raise SpecError([problem])
        return worker

    def _cannot_start(self, died: WorkerDied) -> Exception:
        first = self._sources[0]
        if died.code == -signal.SIGPROF:
            problem = Problem(first.mark, f"{first.what} takes too much processor time to compile")
            return SpecError([problem])
        return DataError(
            f"the rendering process did not start ({_cause(died)})",
            hint="run `python -m runner.compile.worker 9` to see why",
            mark=first.mark,
        )

    def _takes_too_long(self) -> DataError:
        """Every row kept to its time, and all of them together take too much."""
        source = self._sources[-1]
        return DataError(
            f"rendering takes more than {pool.CPU_SECONDS / 60:.0f} minutes of processor time in all, and "
            f"{source.what} is not done",
            hint="make the template simpler, or give `apply` some of the spec files at a time",
            mark=source.mark,
        )

    def _one_by_one(self, rows: Rows[Row], encoded: list[msgspec.Raw]) -> list[Result]:
        """The same chunk again, row by row, to find the one that ended the process."""
        found: list[Result] = []
        worker = self._begin()
        for row, data in zip(rows, encoded, strict=True):
            try:
                worker.send([data])
                found += worker.receive()
            except WorkerDied as alone:
                self._blame(row, data, alone)
        pool.give_back(worker)
        return found

    def _blame(self, row: Row, data: msgspec.Raw, died: WorkerDied) -> NoReturn:
        guilty = self._sources[0] if len(self._sources) == 1 else self._guilty(data)
        raise DataError(
            f"{guilty.what} {_cause(died)} for the row at `{row.mark}`",
            hint="make it simpler, or the row smaller",
            mark=guilty.mark,
        ) from died

    def _guilty(self, data: msgspec.Raw) -> Source:
        for number, source in enumerate(self._sources):
            alone = _Line[Row]([source], partial(self._setup_of_one, number))
            try:
                alone._worker.send([data])
                alone._worker.receive()
            except WorkerDied:
                return source
            alone.end()
        return self._sources[0]

    def _setup_of_one(self, number: int, _: int | None) -> Setup | Readings:
        return self._setup(number)


def _cause(died: WorkerDied) -> str:
    if died.code == -signal.SIGPROF:
        return "takes more than half a second of processor time"
    if died.code is None:
        return "did not answer any more and was ended"
    return f"ended the rendering process with {died.code}"
