"""JSON values as cells of a .csv: RFC 4180, safe in a spreadsheet, and readable back."""

from __future__ import annotations

import re
from collections.abc import Iterable

import msgspec

from runner.remotes.reading.verdict import NULL

_decode_text = msgspec.json.Decoder(str).decode
FORMULA_STARTS = "=+-@\t\r"
_STARTS = frozenset(FORMULA_STARTS)
_SPECIAL = re.compile(r'[",\r\n]')
_NUMBER = re.compile(r"[+-]?\d+(\.\d+)?([eE][+-]?\d+)?\Z")


def csv_line(cells: Iterable[str]) -> str:
    """One record of RFC 4180. Quicker on long cells than the standard writer, which goes by character."""
    quoted = ['"' + cell.replace('"', '""') + '"' if _SPECIAL.search(cell) else cell for cell in cells]
    return ",".join(quoted) + "\r\n"


def cell_of(value: bytes) -> str:
    """A JSON value as text of a cell: strings bare, null empty, numbers as they were written, the rest as JSON."""
    if value == NULL:
        return ""
    return _decode_text(value) if value[:1] == b'"' else value.decode()


def guarded(cell: str) -> str:
    """Text that no spreadsheet takes for a formula."""
    return "'" + cell if cell[:1] in _STARTS and not _NUMBER.match(cell) else cell


def unguarded(cell: str) -> str:
    """What `guarded` was given."""
    return cell[1:] if cell[:1] == "'" and guarded(cell[1:]) == cell else cell
