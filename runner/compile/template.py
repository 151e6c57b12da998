"""One template of a spec: as it was written, and as it was checked."""

from __future__ import annotations

import difflib
from collections.abc import Callable, Iterable, Mapping
from itertools import chain
from operator import itemgetter
from typing import Any

import msgspec

from runner.compile.texts import PLAIN, Null, json_in, json_of, text_of
from runner.errors import Problem
from runner.job.source import Form, Source

# names that may mean something else than a column
SPECIAL = frozenset({"row", "range", "namespace", "loop", "caller", "varargs", "kwargs"})


class Template(msgspec.Struct, frozen=True):
    """A checked template. `pattern` is None where it needs the rendering process. One of another form than text gives
    JSON, and where it is simple it is a column's name and nothing else."""

    source: Source
    pattern: str | None  # text with a %s for every name
    names: tuple[str, ...]  # the names of `pattern`, in order
    needed: Mapping[str, int]  # name -> line: without these columns every row fails
    reads: frozenset[str] | None = None  # the columns that may be looked at; None: any
    takes_null: bool = False  # as `None`, which is not true: of a filter
    mentions: frozenset[str] = frozenset()  # names it reads and does not set, `row` among them

    @property
    def is_static(self) -> bool:
        return self.pattern is not None and not self.names

    @property
    def is_simple(self) -> bool:
        return self.pattern is not None

    def renderer(self) -> Callable[[Mapping[str, Any]], str]:
        """row -> text for a simple template, as `Template.render` would give it. Raises KeyError(name), Null."""
        if self.source.form is not Form.TEXT:
            return lambda row: self._json(row[self.names[0]])
        pattern, values = self._parts()
        return lambda row: pattern % self._texts_of(values(row))

    def texts(self, rows: Iterable[Mapping[str, Any]]) -> list[str]:
        """The same for many rows. Raises KeyError(name), Null."""
        if self.source.form is not Form.TEXT:
            return [self._json(row[self.names[0]]) for row in rows]
        pattern, values = self._parts()
        found = list(map(values, rows))
        kinds = map(type, found if len(self.names) == 1 else chain.from_iterable(found))
        if PLAIN.issuperset(kinds):  # nearly always, and this is most of the time that a row takes
            return [pattern % one for one in found]
        return [pattern % self._texts_of(one) for one in found]

    def _json(self, value: Any) -> str:
        """Raises ValueError naming the column."""
        try:
            return json_of(value) if self.source.form is Form.VALUE else json_in(value)
        except ValueError as error:
            raise ValueError(f"`{self.names[0]}`: {error}") from error

    def _parts(self) -> tuple[str, Callable[[Mapping[str, Any]], Any]]:
        assert self.pattern is not None
        # one value may stand alone right of a `%`: it is never a tuple, rows come from JSON, CSV and Parquet
        return self.pattern, itemgetter(*self.names) if self.names else lambda row: ()

    def _texts_of(self, found: Any) -> Any:
        """The values of one row, alone or as a tuple, ready for the pattern."""
        if len(self.names) == 1:
            return self._text_of(self.names[0], found)
        return tuple(map(self._text_of, self.names, found))

    def _text_of(self, name: str, value: Any) -> Any:
        if type(value) in PLAIN or (value is None and self.takes_null):
            return value
        try:
            return text_of(value)
        except Null:
            raise Null(name) from None


def unknown_names(template: Template, columns: Iterable[str]) -> Problem | None:
    """A problem if the template cannot render because it needs names that are not among `columns`."""
    known = set(columns)
    missing = [name for name in template.needed if name not in known]
    if not missing:
        return None
    line = template.needed[missing[0]]
    names = ", ".join(f"`{name}`" for name in missing)
    return Problem(
        template.source.place(line),
        f"{template.source.what} uses {names}, which {'is not a column' if len(missing) == 1 else 'are not columns'}",
        hint=suggestion(missing[0], known),
        inside=template.source.inside(line, missing[0]),
    )


def suggestion(name: str, columns: Iterable[str]) -> str:
    """Did you mean, or the columns there are."""
    known = sorted(columns)
    close = difflib.get_close_matches(name, known, n=1)
    listed = ", ".join(f"`{column}`" for column in known[:20]) + (", ..." if len(known) > 20 else "")
    return (f"did you mean `{close[0]}`? " if close else "") + f"columns: {listed}"
