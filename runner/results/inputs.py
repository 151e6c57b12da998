"""The columns of the input in a table: a row is JSON, and its values are wanted as JSON, as text, or as they are."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import msgspec
from msgspec import Raw

from runner.errors import DataError
from runner.remotes.reading.verdict import NULL
from runner.results.cells import cell_of
from runner.results.splice import Merged

_ODD = re.compile(r'["\\\x00-\x1f]')  # no name of a field that msgspec takes
_astuple = msgspec.structs.astuple
_names_in = msgspec.json.Decoder(dict[str, Raw]).decode


class InputRow:
    """The values of a line's row, in the order of `names`. is_all: these are all there are; another one is an error.

    A decoder made for the very names does in one step what a dict a row would take three for.
    """

    def __init__(self, names: Sequence[str], *, is_all: bool) -> None:
        self.names = tuple(names)
        self._is_all = is_all
        self._as_json = self._decoder(Raw, Raw(NULL))
        self._as_text = self._decoder(Any, None, float_hook=str)  # digits stay as they were written
        self._plain = self._decoder(Any, None)
        self._line: Merged | None = None
        self._found: tuple[bytes, ...] = ()

    def _decoder(self, kind: Any, absent: Any, **hooks: Any) -> Callable[[bytes], tuple[Any, ...]]:
        """A function from the JSON of a row to its values. It raises ValidationError for another column."""
        names = self.names
        if any(map(_ODD.search, names)):
            whole = msgspec.json.Decoder(dict[str, kind], **hooks).decode
            return lambda row: self._picked(whole(row), absent)
        fields = [(f"c{number}", kind, absent) for number, _ in enumerate(names)]
        rename = {f"c{number}": name for number, name in enumerate(names)}
        form: Any = msgspec.defstruct("InputRow", fields, rename=rename, forbid_unknown_fields=self._is_all, gc=False)
        decode = msgspec.json.Decoder(form, **hooks).decode
        return lambda row: _astuple(decode(row))

    def _picked(self, row: Mapping[str, Any], absent: Any) -> tuple[Any, ...]:
        if self._is_all and not row.keys() <= set(self.names):
            raise msgspec.ValidationError
        return tuple(row.get(name, absent) for name in self.names)

    def __call__(self, line: Merged) -> tuple[bytes, ...]:
        """As JSON, `null` where the row lacks a column. Raises DataError for a column that is none of the names."""
        if line is not self._line:
            self._found = tuple(map(bytes, self._read(self._as_json, line)))
            self._line = line
        return self._found

    def texts(self, line: Merged) -> Sequence[str]:
        """As the text of cells: see `cell_of`. Raises as calling does."""
        values = self._read(self._as_text, line)
        try:
            return [value if value.__class__ is str else _TEXTS[value.__class__](value) for value in values]
        except KeyError:  # what is nested is shown as it was written
            return [cell_of(value) for value in self(line)]

    def plain(self, line: Merged) -> tuple[Any, ...]:
        """As Python has them. Raises as calling does."""
        return self._read(self._plain, line)

    def _read(self, decode: Callable[[bytes], tuple[Any, ...]], line: Merged) -> tuple[Any, ...]:
        try:
            return decode(line.row)
        except msgspec.ValidationError as error:
            name = next(name for name in _names_in(line.row) if name not in self.names)
            raise DataError(
                f"row `{line.custom_id}` has a column `{name}` that the rows before it lack",
                hint="write .jsonl instead, or give every row the same columns",
            ) from error


_TEXTS: dict[type, Callable[[Any], str]] = {
    type(None): lambda _: "",
    bool: lambda value: "true" if value else "false",
    int: str,
}
