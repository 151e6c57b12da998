"""The rows of another dataset, found by a key: what answers are held to, and no prompt sees.

References are as many as rows, so no dict of them is built. They go to a temporary file, in any order and of any
format, and what stays in memory is packed: 8 bytes for the hash of a key, 8 for where its row lies, and the slots of an
open table, 8 on average.
"""

from __future__ import annotations

import hashlib
import struct
import tempfile
import weakref
from array import array
from collections.abc import Callable, Iterable, Iterator
from itertools import repeat
from pathlib import Path

import msgspec

from runner.compile.faults import LISTED
from runner.compile.parse import parse
from runner.compile.program import rendered, sampled, where_of
from runner.compile.stream import Rendering
from runner.compile.texts import Null, text_of
from runner.data.files import content_digest
from runner.data.rows import SourceRow, open_rows
from runner.errors import DataError, Mark
from runner.files import sha256_of
from runner.job.project import Join

_IN_MEMORY = 1 << 20
_HEAD = struct.Struct("<IIII")  # bytes of the key, bytes of the row, its line, the number of its file


def key_in(row: dict[str, object], column: str) -> str | None:
    """The key that a column holds, as text; None where it is null, empty or not there."""
    try:
        return text_of(row.get(column)) or None
    except Null:
        return None


class Index:
    """The references of one join by their keys. Reading two at once is not safe."""

    def __init__(self) -> None:
        self.keyless = 0  # references that no row can find
        self._rows = tempfile.SpooledTemporaryFile(_IN_MEMORY)  # noqa: SIM115  # closed with the index
        weakref.finalize(self, self._rows.close)
        self._files: dict[str, int] = {}
        self._names: list[str] = []
        self._hashes = array("q")
        self._offsets = array("Q")
        self._slots = array("I")
        self._end = 0

    def __len__(self) -> int:
        return len(self._hashes)

    def find(self, key: str) -> bytes | None:
        """The row whose key this is, as one JSON object; None where there is none."""
        if not self._slots:
            return None
        for ordinal in self._at(hash(key)):
            found, row, _ = self._read(ordinal)
            if found == key:
                return row
        return None

    def rows(self) -> Iterator[bytes]:
        """Every row that can be found, in the order of their places."""
        return (self._read(ordinal)[1] for ordinal in range(len(self)))

    def add(self, key: str, data: bytes, file: str = "", line: int = 0) -> None:
        """Take a row in, as JSON. file, line: the place that is told where its key is there twice."""
        text = key.encode()
        number = self._files.setdefault(file, len(self._files))
        if number == len(self._names):
            self._names.append(file)
        self._hashes.append(hash(key))
        self._offsets.append(self._end)
        self._end += self._rows.write(_HEAD.pack(len(text), len(data), line, number) + text + data)

    def sort(self) -> Iterator[tuple[str, Mark, Mark]]:
        """Make every key findable: after the last one was added. Keys that are there twice, with both places."""
        count = 1 << max(3, (len(self) * 3 // 2).bit_length())
        self._slots = array("I", bytes(4 * count))
        for ordinal, value in enumerate(self._hashes):
            same = list(self._at(value))
            if same:
                key, _, mark = self._read(ordinal)
                first = next((other for other in map(self._read, same) if other[0] == key), None)
                if first is not None:
                    yield key, first[2], mark
                    continue
            self._slots[self._free(value)] = ordinal + 1

    def _at(self, value: int) -> Iterator[int]:
        """The references whose keys have this hash."""
        slots, mask = self._slots, len(self._slots) - 1
        place = value & mask
        while slots[place]:
            if self._hashes[slots[place] - 1] == value:
                yield slots[place] - 1
            place = (place + 1) & mask

    def _free(self, value: int) -> int:
        slots, mask = self._slots, len(self._slots) - 1
        place = value & mask
        while slots[place]:
            place = (place + 1) & mask
        return place

    def _read(self, ordinal: int) -> tuple[str, bytes, Mark]:
        self._rows.seek(self._offsets[ordinal])
        key_bytes, row_bytes, line, file = _HEAD.unpack(self._rows.read(_HEAD.size))
        data = self._rows.read(key_bytes + row_bytes)
        return data[:key_bytes].decode(), data[key_bytes:], Mark(self._names[file], line)


def index_of(join: Join, root: Path) -> Index:
    """The references of a join, read once.

    Rows without a key are counted. Raises SpecError for a template, DataError for the dataset: unreadable, a row that
    does not render, keys that are there twice (all are counted, the first 20 listed).
    """
    index = Index()
    for key, row in _keyed(join, root):
        if key is None:
            index.keyless += 1
        else:
            index.add(key, row.json, row.file, row.line)
    _refuse_doubled(join, index.sort())
    return index


def made_of(join: Join, root: Path, digest_of: Callable[[Path], bytes] = sha256_of) -> str:
    """Changes whenever the index may find something else: what the dataset's files hold, what picks and names its rows.

    digest_of: SHA-256 of a file. Raises DataError when the files are not there.
    """
    dataset, keys = join.dataset, (join.row, join.reference)
    told = [
        content_digest(dataset, root, digest_of),
        [dataset.where, dataset.sample_rows, dataset.sample_seed, dataset.delimiter, dataset.skip_bad],
        [[value.column, value.template.text if value.template else None] for value in keys],
    ]
    return hashlib.sha256(b"runner-references/1\n" + msgspec.json.encode(told)).hexdigest()


def _keyed(join: Join, root: Path) -> Iterator[tuple[str | None, SourceRow]]:
    """The rows of the dataset as its `where` and `sample` choose them, each with its key."""
    dataset, value = join.dataset, join.reference
    where = where_of(dataset)
    bad = (lambda _: None) if dataset.skip_bad else None
    chosen = sampled(dataset, where, root, bad)
    rows: Iterable[SourceRow] = open_rows(dataset, root, chosen, bad=bad)
    left = None if chosen is not None else where
    if value.template is not None:
        rendering = Rendering((parse(value.template),), left)
        for row, (key,) in rendered(rendering, rows, bad):
            yield key.strip() or None, row
        return
    for row, _ in rendered(Rendering((), left), rows, bad) if left else zip(rows, repeat(())):
        yield key_in(row.row, value.column), row


def _refuse_doubled(join: Join, doubled: Iterable[tuple[str, Mark, Mark]]) -> None:
    first: list[tuple[str, Mark, Mark]] = []
    count = 0
    for one in doubled:
        count += 1
        if count <= LISTED:
            first.append(one)
    if not count:
        return
    lines = [f"the key `{key[:60]}` is there twice: at `{one}` and at `{other}`" for key, one, other in first]
    message = f"dataset `{join.dataset.key}`: {lines[0]}"
    if count > 1:
        more = [f"  and {count - LISTED:,} more"] if count > LISTED else []
        head = f"{count:,} rows of dataset `{join.dataset.key}`, which others are joined with, have the key of another"
        message = "\n".join([head, *(f"  {line}" for line in lines), *more])
    error = DataError(
        message,
        hint=f"choose a key that tells its rows apart (`on`, at {join.mark}), or leave rows out with `where`",
        mark=first[0][2],
    )
    error.message = message  # each of its lines is printable already
    raise error
