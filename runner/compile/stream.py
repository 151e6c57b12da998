"""Rows through templates: text and names here, everything else in the rendering process, in the order of the rows."""

from __future__ import annotations

import contextlib
import signal
from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from typing import NamedTuple, NoReturn

import msgspec

from runner.compile import pool
from runner.compile.frames import DROPPED, Failure
from runner.compile.pool import Worker, WorkerDied
from runner.compile.template import Template, suggestion
from runner.compile.texts import Null
from runner.data.rows import Block, SourceRow
from runner.errors import DataError, Problem, SpecError
from runner.job.capabilities import MESSAGE_CHARS

CHUNK_ROWS = 256
CHUNK_BYTES = 256 << 10
IN_FLIGHT = 2  # chunks: one is rendered while the next is read


SHORTEN = (
    "cut it in the template, such as `{{ text | truncate(100000) }}`; where the remote takes more, say so in the"
    " provider's block: `overrides: {limits: {message_chars: ...}}`"
)


def too_long(length: int, longest: int) -> str:
    return f"has {length:,} characters, and its provider takes {longest:,}"


class RowFailure(NamedTuple):
    """Why one row cannot be rendered."""

    template: Template
    line: int  # of the template, from 1
    message: str
    name: str = ""  # the name that is not defined, where that is the reason
    length: int = 0  # characters, where these are too many
    longest: int = 0  # that there may be

    def problem(self, row: SourceRow) -> Problem:
        """In a user's words: at the row's place, naming the template's."""
        source = self.template.source
        place = source.place(self.line)
        if self.name:
            return Problem(
                row.mark,
                f"{source.what} ({place}) uses `{self.name}`, which is no column of this row",
                hint=suggestion(self.name, row.row),
                snippet=source.snippet(self.line),
            )
        if self.length:
            return Problem(row.mark, f"{source.what} {too_long(self.length, self.longest)}", hint=SHORTEN)
        return Problem(row.mark, f"{source.what} ({place}) fails: {self.message}", snippet=source.snippet(self.line))


Rendered = tuple[SourceRow, Sequence[str] | RowFailure]


class Rendering:
    """The templates of one job. `where` drops rows; every other template gives one text a row, of at most `longest`
    characters."""

    def __init__(
        self, templates: Sequence[Template], where: Template | None = None, longest: int = MESSAGE_CHARS
    ) -> None:
        self._longest = longest
        self._templates = tuple(templates)
        self._where = where
        self._general = tuple(t for t in templates if not t.is_simple)
        self._where_is_general = where is not None and not where.is_simple

    @property
    def is_simple(self) -> bool:
        """Whether everything is text and names: then `block` can be asked."""
        return not self._general and not self._where_is_general

    def block(self, rows: Block) -> tuple[Block, list[Sequence[str]]] | None:
        """The kept ones of many rows and their texts; None if something may have failed: `stream` says what."""
        if rows.nulled:
            return None
        try:
            if self._where is not None:
                texts = self._where.texts(rows.values)
                if self._any_too_long(texts):
                    return None
                rows = rows.at([i for i, text in enumerate(texts) if text.strip() not in DROPPED])
            columns = [template.texts(rows.values) for template in self._templates]
        except (KeyError, ValueError):
            return None
        if any(map(self._any_too_long, columns)):
            return None
        return rows, list(zip(*columns, strict=True)) if columns else [()] * len(rows)

    def stream(self, rows: Iterable[SourceRow]) -> Iterator[Rendered]:
        """Each kept row with its texts in the order of the templates, or with why there are none.

        Raises SpecError for a template that does not compile, DataError naming template and row when rendering takes
        too much time or memory.
        """
        failed: deque[tuple[SourceRow, RowFailure]] = deque()  # rows that `where` cannot be asked about
        # Rows go through in order, also those about which a simple `where` cannot be asked: they wait here until the
        # rows before them have come back from the other process.
        kept = self._kept_here(rows, failed)
        for row, texts in self._with_worker(kept) if self._general or self._where_is_general else self._here(kept):
            while failed:
                yield failed.popleft()
            yield row, _strange_number(self._templates, row) or texts
        yield from failed

    def _kept_here(self, rows: Iterable[SourceRow], failed: deque[tuple[SourceRow, RowFailure]]) -> Iterator[SourceRow]:
        """The rows that a simple `where` keeps."""
        for row in rows:
            if self._where is None:
                yield row
                continue
            text: str | RowFailure | None = _strange_number((self._where,), row)
            if text is None and not self._where_is_general:
                text = _text_or_failure(self._where, row, self._longest)
            if isinstance(text, RowFailure):
                failed.append((row, text))
            elif text is None or text.strip() not in DROPPED:
                yield row

    def _here(self, rows: Iterable[SourceRow]) -> Iterator[Rendered]:
        renderers = [template.renderer() for template in self._templates]
        for row in rows:
            values = row.row
            try:
                texts = [render(values) for render in renderers]
            except (KeyError, ValueError):
                yield row, self._texts_here(row)
                continue
            if self._any_too_long(texts):
                yield row, self._texts_here(row)
            else:
                yield row, texts

    def _any_too_long(self, texts: Iterable[str]) -> bool:
        return max(map(len, texts), default=0) > self._longest

    def _texts_here(self, row: SourceRow) -> RowFailure:
        """The first failure of a row whose simple templates do not all render."""
        for template in self._templates:
            if template.is_simple and isinstance(found := _text_or_failure(template, row, self._longest), RowFailure):
                return found
        raise AssertionError("one of the templates failed before")

    def _with_worker(self, rows: Iterable[SourceRow]) -> Iterator[Rendered]:
        local = [template.renderer() if template.is_simple else None for template in self._templates]
        for row, texts in _through_worker(
            rows, self._general, self._where if self._where_is_general else None, self._longest
        ):
            if isinstance(texts, RowFailure):
                yield row, texts
                continue
            remote = iter(texts)
            try:
                merged = [next(remote) if render is None else render(row.row) for render in local]
            except (KeyError, ValueError):
                yield row, self._texts_here(row)
                continue
            yield row, self._texts_here(row) if self._any_too_long(merged) else merged


def _strange_number(templates: Iterable[Template], row: SourceRow) -> RowFailure | None:
    """Why a row cannot be rendered: a template looks at NaN or infinity."""
    for template in templates if row.nulled else ():
        for column in row.nulled:
            if template.reads is None or column in template.reads:
                line = template.needed.get(column, 1)
                return RowFailure(template, line, f"`{column}` is NaN or infinite, which cannot be sent")
    return None


def _text_or_failure(template: Template, row: SourceRow, longest: int) -> str | RowFailure:
    try:
        text = template.renderer()(row.row)
    except KeyError as error:
        name = str(error.args[0])
        return RowFailure(template, template.needed.get(name, 1), f"`{name}` is undefined", name)
    except Null as error:
        return RowFailure(template, template.needed.get(error.name, 1), str(error))
    except ValueError as error:  # an integer of more digits than Python prints
        return RowFailure(template, 1, str(error))
    return RowFailure(template, 1, "", "", len(text), longest) if len(text) > longest else text


Chunk = tuple[list[SourceRow], list[msgspec.Raw]]


def _chunks(rows: Iterable[SourceRow]) -> Iterator[Chunk]:
    kept: list[SourceRow] = []
    encoded: list[msgspec.Raw] = []
    size = 0
    for row in rows:
        data = row.json
        kept.append(row)
        encoded.append(msgspec.Raw(data))
        size += len(data)
        if len(kept) == CHUNK_ROWS or size > CHUNK_BYTES:
            yield kept, encoded
            kept, encoded, size = [], [], 0
    if kept:
        yield kept, encoded


def _through_worker(
    rows: Iterable[SourceRow], general: Sequence[Template], where: Template | None, longest: int
) -> Iterator[tuple[SourceRow, list[str] | RowFailure]]:
    """Texts of the general templates, in a process of their own, at most IN_FLIGHT chunks ahead."""
    templates = ([where] if where else []) + list(general)
    line = _Line(templates, 0 if where else -1, longest)
    waiting: deque[Chunk] = deque()
    try:
        for chunk in _chunks(rows):
            line.send(chunk)
            waiting.append(chunk)
            if len(waiting) == IN_FLIGHT:
                yield from line.results(waiting)
        while waiting:
            yield from line.results(waiting)
    finally:
        line.end()


# A process that dies takes the chunk it worked on with it, and says nothing about the row. So the chunk is rendered
# once more, row by row, in a new process: the row that ends that one too is the one to blame. If none does, somebody
# else ended the first, and nothing was lost. Chunks that waited behind it are sent again.
class _Line:
    """One stream of chunks through a rendering process, which is begun again when a row ends it."""

    def __init__(self, templates: Sequence[Template], where: int, longest: int) -> None:
        self._longest = longest
        self._templates = templates
        self._where = where
        self._worker = self._begin()

    def send(self, chunk: Chunk) -> None:
        with contextlib.suppress(WorkerDied):  # `results` sees it as well, and knows which chunk was under way
            self._worker.send(chunk[1])

    def results(self, waiting: deque[Chunk]) -> Iterator[tuple[SourceRow, list[str] | RowFailure]]:
        """The results of the oldest chunk."""
        rows, encoded = waiting.popleft()
        try:
            found = self._worker.receive()
        except WorkerDied as died:
            # its whole allowance is spent: no row is to blame, and a new process would have an allowance of its own
            if died.code == -signal.SIGXCPU:
                raise self._takes_too_long() from died
            found = self._one_by_one(rows, encoded, died)
            self._worker = self._begin()
            for later in waiting:
                self.send(later)
        for row, texts in zip(rows, found, strict=True):
            if isinstance(texts, Failure):
                template = self._templates[texts.template]
                yield row, RowFailure(template, texts.line, texts.message, texts.name, texts.length, self._longest)
            elif texts is not None:
                yield row, texts

    def end(self) -> None:
        pool.give_back(self._worker)

    def _begin(self) -> Worker:
        worker = pool.take()
        try:
            failure = worker.setup([template.source.text for template in self._templates], self._where, self._longest)
        except WorkerDied as died:
            raise self._cannot_start(died) from died
        if failure is not None:
            pool.give_back(worker)
            source = self._templates[failure.template].source
            problem = Problem(
                source.place(failure.line), f"{source.what}: {failure.message}", snippet=source.snippet(failure.line)
            )
            raise SpecError([problem])
        return worker

    def _cannot_start(self, died: WorkerDied) -> Exception:
        sources = [template.source for template in self._templates]
        if died.code == -signal.SIGPROF:
            problem = Problem(sources[0].mark, f"{sources[0].what} takes too much processor time to compile")
            return SpecError([problem])
        return DataError(
            f"the rendering process did not start ({_cause(died)})",
            hint="run `python -m runner.compile.worker 9` to see why",
            mark=sources[0].mark,
        )

    def _takes_too_long(self) -> DataError:
        """Every row kept to its time, and all of them together take too much."""
        source = self._templates[-1].source
        return DataError(
            f"rendering takes more than {pool.CPU_SECONDS / 60:.0f} minutes of processor time in all, and "
            f"{source.what} is not done",
            hint="make the template simpler, or give `apply` some of the spec files at a time",
            mark=source.mark,
        )

    def _one_by_one(
        self, rows: list[SourceRow], encoded: list[msgspec.Raw], died: WorkerDied
    ) -> list[list[str] | Failure | None]:
        """The same chunk again, row by row, to find the one that ended the process."""
        found: list[list[str] | Failure | None] = []
        if len(rows) == 1:
            self._blame(rows[0], encoded[0], died)
        worker = self._begin()
        for row, data in zip(rows, encoded, strict=True):
            try:
                worker.send([data])
                found += worker.receive()
            except WorkerDied as alone:
                self._blame(row, data, alone)
        pool.give_back(worker)
        return found

    def _blame(self, row: SourceRow, data: msgspec.Raw, died: WorkerDied) -> NoReturn:
        guilty = self._templates[0] if len(self._templates) == 1 else self._guilty(data)
        raise DataError(
            f"{guilty.source.what} {_cause(died)} for the row at `{row.mark}`",
            hint="make the template simpler, or the row smaller",
            mark=guilty.source.mark,
        ) from died

    def _guilty(self, data: msgspec.Raw) -> Template:
        for template in self._templates:
            alone = _Line([template], -1, self._longest)
            try:
                alone._worker.send([data])
                alone._worker.receive()
            except WorkerDied:
                return template
            alone.end()
        return self._templates[0]


def _cause(died: WorkerDied) -> str:
    if died.code == -signal.SIGPROF:
        return "takes more than half a second of processor time"
    if died.code is None:
        return "gave no sign of life and was ended"
    return f"ended the rendering process with {died.code}"
