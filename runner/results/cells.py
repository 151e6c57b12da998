"""JSON values as cells of a .csv: RFC 4180, safe in a spreadsheet, and readable back."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence

import msgspec

from runner.remotes.reading.verdict import NULL

_decode_text = msgspec.json.Decoder(str).decode
STARTS = frozenset("=+-@\t\r")  # of what a spreadsheet takes for a formula
_NUMBER = re.compile(r"[+-]?\d+(\.\d+)?([eE][+-]?\d+)?\Z")


def csv_line(cells: Iterable[str]) -> bytes:
    """One record of RFC 4180, with its end."""
    return b",".join(map(cell_bytes, cells)) + b"\r\n"


def cell_bytes(cell: str) -> bytes:
    """A cell as it stands in the file: quoted where it has to be."""
    if '"' in cell:
        return b'"' + cell.replace('"', '""').encode() + b'"'
    if "," in cell or "\n" in cell or "\r" in cell:
        return b'"' + cell.encode() + b'"'
    return cell.encode()


def cells_bytes(cells: Sequence[str]) -> bytes:
    """Neighbouring cells as they stand in the file."""
    joined = ",".join(cells)
    if '"' in joined or "\n" in joined or "\r" in joined or joined.count(",") >= len(cells):
        return b",".join(map(cell_bytes, cells))
    return joined.encode()


def json_bytes(value: bytes) -> bytes:
    """A cell that holds JSON, to be read back as such; empty for `null`."""
    if value == NULL:
        return b""
    if b'"' in value:
        return b'"' + value.replace(b'"', b'""') + b'"'
    return b'"' + value + b'"' if b"," in value or b"\r" in value else value


def cell_of(value: bytes) -> str:
    """A JSON value as text of a cell: strings bare, null empty, numbers as they were written, the rest as JSON."""
    if value == NULL:
        return ""
    return _decode_text(value) if value[:1] == b'"' else value.decode()


def guarded(cell: str) -> str:
    """Text that no spreadsheet takes for a formula."""
    return "'" + cell if cell[:1] in STARTS and not _NUMBER.match(cell) else cell


def unguarded(cell: str) -> str:
    """What `guarded` was given."""
    return cell[1:] if cell[:1] == "'" and guarded(cell[1:]) == cell else cell
