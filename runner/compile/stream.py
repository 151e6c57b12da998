"""Rows through templates: text and names here, everything else in the rendering process, in the order of the rows."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Protocol

import msgspec

from runner.compile.template import Template, suggestion
from runner.compile.texts import DROPPED, Null
from runner.data.rows import Block, SourceRow
from runner.errors import Mark, Problem
from runner.job.capabilities import MESSAGE_CHARS
from runner.job.source import Form

if TYPE_CHECKING:
    from runner.compile.frames import Setup
    from runner.compile.through import Chunk

SHORTEN = (
    "cut it in the template, such as `{{ text | truncate(100000) }}`; where the remote takes more, say so in the"
    " provider's block: `overrides: {limits: {message_chars: ...}}`"
)


def too_long(length: int, longest: int) -> str:
    return f"has {length:,} characters, and its provider takes {longest:,}"


class Named(Protocol):
    """A row with its place, and its columns."""

    @property
    def mark(self) -> Mark: ...

    @property
    def row(self) -> Mapping[str, Any]: ...


class RowFailure(msgspec.Struct, frozen=True):
    """Why one row cannot be rendered."""

    template: Template
    line: int  # of the template, from 1
    message: str
    name: str = ""  # the name that is not defined, where that is the reason
    length: int = 0  # characters, where these are too many
    longest: int = 0  # that there may be

    def problem(self, row: Named) -> Problem:
        """In a user's words: at the row's place, naming the template's."""
        source = self.template.source
        place = source.place(self.line)
        if self.name:
            return Problem(
                row.mark,
                f"{source.what} ({place}) uses `{self.name}`, which is not a column of this row",
                hint=suggestion(self.name, row.row),
                snippet=source.snippet(self.line),
            )
        if self.length:
            return Problem(row.mark, f"{source.what} {too_long(self.length, self.longest)}", hint=SHORTEN)
        return Problem(row.mark, f"{source.what} ({place}) fails: {self.message}", snippet=source.snippet(self.line))


Rendered = tuple[SourceRow, Sequence[str] | RowFailure]
Kept = tuple[Block, list[Sequence[str]]]  # some rows of a block, and the texts of each
MOST_BYTES_AT_ONCE = 1 << 20  # of a block that is rendered as one


class Rendering:
    """The templates of one job. `where` drops rows; every other template gives one text a row, of at most `longest`
    characters, or JSON of any length."""

    def __init__(
        self, templates: Sequence[Template], where: Template | None = None, longest: int = MESSAGE_CHARS
    ) -> None:
        self._longest = longest
        self._templates = tuple(templates)
        self._where = where
        self._texts_at = [at for at, template in enumerate(templates) if template.source.form is Form.TEXT]
        self._general = tuple(t for t in templates if not t.is_simple)
        self._where_is_general = where is not None and not where.is_simple

    @property
    def is_simple(self) -> bool:
        """Whether everything is text and names: then `block` can be asked."""
        return not self._general and not self._where_is_general

    def block(self, rows: Block) -> Kept | None:
        """The kept ones of many rows and their texts; None if something may have failed: `stream` says what."""
        if rows.nulled:
            return None
        try:
            if self._where is not None:
                texts = self._where.texts(rows.values)
                if max(map(len, texts), default=0) > self._longest:
                    return None
                rows = rows.at([i for i, text in enumerate(texts) if text.strip() not in DROPPED])
            columns = [template.texts(rows.values) for template in self._templates]
        except (KeyError, ValueError):
            return None
        if any(max(map(len, columns[at]), default=0) > self._longest for at in self._texts_at):
            return None
        return rows, list(zip(*columns, strict=True)) if columns else [()] * len(rows)

    def blocks(self, blocks: Iterable[Block]) -> Iterator[tuple[Block, Kept | None]]:
        """Each block with its kept rows and their texts, in order; None where something may have failed: `stream` says
        what. Raises as `stream` does.
        """
        if self.is_simple:
            yield from ((block, self.block(block)) for block in blocks)
            return
        from runner.compile.through import IN_FLIGHT, Through  # most templates need no other process

        waiting: deque[Block] = deque(maxlen=IN_FLIGHT)

        def done(chunks: Iterable[tuple[Any, list[Any]]]) -> Iterator[tuple[Block, Kept | None]]:
            for rows, results in chunks:
                yield waiting.popleft(), self._with_results(rows, results)

        templates, setup = self._asked()
        through = Through[SourceRow]([template.source for template in templates], setup)
        try:
            for block in blocks:
                rows = self._sent(block)
                data = rows.jsons() if rows is not None else []
                if rows is None or sum(map(len, data)) > MOST_BYTES_AT_ONCE:
                    yield from done(through.rest())
                    yield block, None
                    continue
                waiting.append(block)
                yield from done(through.push((rows, list(map(msgspec.Raw, data)))))
            yield from done(through.rest())
        finally:
            through.close()

    def _sent(self, block: Block) -> Block | None:
        """The rows of a block that the other process is asked about; None where they are looked at one by one."""
        if block.nulled:
            return None
        if self._where is None or self._where_is_general:
            return block
        try:
            texts = self._where.texts(block.values)
        except (KeyError, ValueError):
            return None
        if max(map(len, texts), default=0) > self._longest:
            return None
        return block.at([i for i, text in enumerate(texts) if text.strip() not in DROPPED])

    def _with_results(self, rows: Block, results: list[Any]) -> Kept | None:
        """What came back for some rows, with the texts that are rendered here."""
        kinds = set(map(type, results))
        if kinds != {list}:
            if not kinds <= {list, type(None)}:
                return None
            rows = rows.at([i for i, texts in enumerate(results) if texts is not None])
            results = [texts for texts in results if texts is not None]
        if len(self._general) == len(self._templates):
            return rows, results
        remote = iter(list(zip(*results, strict=True)) or [()] * len(self._general))
        try:
            columns = [
                template.texts(rows.values) if template.is_simple else next(remote) for template in self._templates
            ]
        except (KeyError, ValueError):
            return None
        if any(max(map(len, columns[at]), default=0) > self._longest for at in self._texts_at):
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

    def _asked(self) -> tuple[list[Template], Callable[[int | None], Setup]]:
        """The templates that the other process renders, and what sets it up for all of them, or for one by number."""
        from runner.compile.frames import Setup

        where = self._where if self._where_is_general else None
        templates = ([where] if where else []) + list(self._general)

        def setup(number: int | None) -> Setup:
            asked = templates if number is None else [templates[number]]
            values = [at for at, template in enumerate(asked) if template.source.form is Form.VALUE]
            is_where = 0 if where and number is None else -1
            return Setup([one.source.text for one in asked], is_where, self._longest, values)

        return templates, setup

    def _any_too_long(self, texts: Sequence[str]) -> bool:
        if len(self._texts_at) != len(self._templates):
            texts = [texts[at] for at in self._texts_at]
        return max(map(len, texts), default=0) > self._longest

    def _texts_here(self, row: SourceRow) -> RowFailure:
        """The first failure of a row whose simple templates do not all render."""
        for template in self._templates:
            if template.is_simple and isinstance(found := _text_or_failure(template, row, self._longest), RowFailure):
                return found
        raise AssertionError("one of the templates failed before")

    def _with_worker(self, rows: Iterable[SourceRow]) -> Iterator[Rendered]:
        local = [template.renderer() if template.is_simple else None for template in self._templates]
        templates, setup = self._asked()
        for row, texts in _through_worker(rows, templates, setup, self._longest):
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
    is_too_long = len(text) > longest and template.source.form is Form.TEXT
    return RowFailure(template, 1, "", "", len(text), longest) if is_too_long else text


def _chunks(rows: Iterable[SourceRow]) -> Iterator[Chunk[SourceRow]]:
    from runner.compile.through import CHUNK_BYTES, CHUNK_ROWS

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
    rows: Iterable[SourceRow], templates: Sequence[Template], setup: Callable[[int | None], Setup], longest: int
) -> Iterator[tuple[SourceRow, list[str] | RowFailure]]:
    """Texts of the general templates, in a process of their own, at most IN_FLIGHT chunks ahead."""
    from runner.compile.frames import RenderFailure
    from runner.compile.through import through_worker

    for kept, results in through_worker(_chunks(rows), [template.source for template in templates], setup):
        for row, texts in zip(kept, results, strict=True):
            if isinstance(texts, RenderFailure):
                template = templates[texts.template]
                yield row, RowFailure(template, texts.line, texts.message, texts.name, texts.length, longest)
            elif texts is not None:
                yield row, [text or "" for text in texts]
