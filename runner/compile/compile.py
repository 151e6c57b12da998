"""The whole compile of a job, top to bottom: rows in, digests and sizes out; rows and lines again on demand.

One pass touches each row once: read, filter, render, hash. What stays in memory is packed, 20 bytes a row (24 with a
filter or a sample), and the second half of the digests waits in a temporary file.
"""

from __future__ import annotations

import tempfile
from array import array
from collections.abc import Iterable, Iterator
from itertools import tee
from pathlib import Path
from typing import IO, TYPE_CHECKING

from runner.compile import requests
from runner.compile.compiled import DIGEST_BYTES, KEY_BYTES, Line, RowView, Wanted
from runner.compile.faults import Faults
from runner.data import sample
from runner.data.rows import FileStamp, SourceRow, open_rows, signature
from runner.data.unique import Hashes
from runner.errors import DataError, Problem
from runner.job.capabilities import LineFormat
from runner.spec.project import Job

if TYPE_CHECKING:
    from runner.compile.program import Program, Request

REST_BYTES = DIGEST_BYTES - KEY_BYTES
CHARACTERS_PER_TOKEN = 4  # the usual estimate for English text
_PACKED_ROWS = 4096
_IN_MEMORY = 1 << 20


class CompiledJob:
    """A compiled job (see compiled.Compiled). Holds no row; reading it again reads the dataset again."""

    def __init__(
        self,
        job: Job,
        root: Path,
        line_format: LineFormat,
        stamps: tuple[FileStamp, ...],
        wanted: Wanted,
        rest: IO[bytes],
        rest_at: int = 0,
        positions: array[int] | None = None,
    ) -> None:
        """rest: a file that holds the second halves of the digests from `rest_at` on. positions: of the wanted rows in
        the dataset, None where every row is wanted."""
        self.job = job
        self.root = root
        self.line_format = line_format
        self.stamps = stamps
        self.wanted = wanted
        self.rest = rest
        self.rest_at = rest_at
        self.positions = positions

    def rows(self) -> Iterator[RowView]:
        """Every wanted row in input order. Raises DataError when the dataset changed since it was compiled."""
        self._check_unchanged()
        rows = open_rows(self.job.dataset, self.root, self.positions)
        for (row, custom_id), digest in zip(self._ids(rows), self._digests(), strict=True):
            yield RowView(custom_id, row.json, digest)
        self._check_unchanged()

    def lines(self, ordinals: Iterable[int]) -> Iterator[Line]:
        """Request lines of the rows at `ordinals` (ascending, from 0), rendered again.

        Raises DataError when a digest differs from the compiled one.
        """
        self._check_unchanged()
        program = _program(self.job, self.line_format)
        head, middle, tail = requests.envelope(self.job.model.endpoint, self.line_format)
        for_rows, for_digests = tee(ordinals)
        at = for_rows if self.positions is None else (self.positions[ordinal] for ordinal in for_rows)
        asked = program.requests(open_rows(self.job.dataset, self.root, at), filtered=True)
        for ordinal, request in zip(for_digests, asked, strict=True):
            if isinstance(request, Problem):
                raise DataError(request.message, hint=request.hint, mark=request.mark)
            key = program.digest(request.body)[:KEY_BYTES]
            if key != self.wanted.keys[ordinal * KEY_BYTES : (ordinal + 1) * KEY_BYTES]:
                raise self._changed(f"the request of the row at `{request.row.mark}` is not the one that was planned")
            custom_id = requests.custom_id_of(request.custom_id, key).encode()
            yield Line(key, b"".join((head, custom_id, middle, request.body, tail)))

    def _ids(self, rows: Iterable[SourceRow]) -> Iterator[tuple[SourceRow, str]]:
        if self.job.dataset.id is None:
            return ((row, f"row-{row.number + 1}") for row in rows)
        return _program(self.job, self.line_format).ids(rows)

    def _digests(self) -> Iterator[bytes]:
        keys, count = self.wanted.keys, len(self.wanted)
        for first in range(0, count, _PACKED_ROWS):
            rows = min(_PACKED_ROWS, count - first)
            self.rest.seek(self.rest_at + first * REST_BYTES)
            rest = self.rest.read(rows * REST_BYTES)
            for i in range(rows):
                start = (first + i) * KEY_BYTES
                yield bytes(keys[start : start + KEY_BYTES]) + rest[i * REST_BYTES : (i + 1) * REST_BYTES]

    def _check_unchanged(self) -> None:
        if signature(self.job.dataset, self.root) != self.stamps:
            raise self._changed(f"dataset `{self.job.dataset.key}` changed while it was read")

    def _changed(self, words: str) -> DataError:
        return DataError(words, hint="nothing was sent for it; run the command again", mark=self.job.dataset.mark)


def compile_job(job: Job, root: Path, line_format: LineFormat) -> CompiledJob:
    """Compile one job.

    Raises SpecError for its templates and params; DataError for its dataset: unreadable, empty without `allow_empty`,
    ids that are not unique, rows that do not render (RowsFailed: all are counted, the first 20 listed), changed while
    it was read.
    """
    stamps = signature(job.dataset, root)
    program = _program(job, line_format)
    chosen = _sampled(program, job, root)
    packing = _Packing(job, line_format, keeps_positions=program.where is not None and chosen is None)
    faults = Faults(job.dataset.key)
    rows = open_rows(job.dataset, root, chosen)
    for request in program.requests(rows, filtered=chosen is not None):
        if type(request) is Problem:
            faults.add(request)
        else:
            assert not isinstance(request, Problem)
            packing.add(request, program.digest(request.body))
    faults.check()
    compiled = packing.compiled(root, stamps, program, chosen)
    _check(compiled, packing.ids)
    return compiled


def _program(job: Job, line_format: LineFormat) -> Program:
    # Jinja2 takes 50 ms to import: a plan that finds everything compiled does without
    from runner.compile.program import program_of

    return program_of(job, line_format)


def _sampled(program: Program, job: Job, root: Path) -> array[int] | None:
    if job.dataset.sample_rows is None:
        return None
    rows: Iterable[SourceRow] = open_rows(job.dataset, root)
    if program.where is not None:
        rows = program.kept(rows)
    return sample.positions(rows, job.dataset.sample_rows, job.dataset.sample_seed)


class _Packing:
    """Where the rows of the pass go: keys, sizes, the rest of the digests, positions, hashes of ids."""

    def __init__(self, job: Job, line_format: LineFormat, keeps_positions: bool) -> None:
        self._job = job
        self._line_format = line_format
        self._around = sum(map(len, requests.envelope(job.model.endpoint, line_format)))
        self._around += 1 + requests.KEY_CHARACTERS
        self._digests = bytearray()  # of the rows that are not packed yet
        self._keys = bytearray()
        self._sizes = array("I")
        self._rest = tempfile.SpooledTemporaryFile(_IN_MEMORY)
        self._characters = 0
        self._positions = array("I") if keeps_positions else None
        self.ids = Hashes() if job.dataset.id is not None else None

    def add(self, request: Request, digest: bytes) -> None:
        self._digests += digest
        id_size = len(request.custom_id)
        id_size = requests.MAX_READABLE if id_size > requests.MAX_READABLE else id_size or 1
        self._sizes.append(self._around + len(request.body) + id_size)
        self._characters += request.characters
        if self.ids is not None:
            self.ids.add(request.custom_id)
        if self._positions is not None:
            self._positions.append(request.row.number)
        if len(self._digests) == _PACKED_ROWS * DIGEST_BYTES:
            self._pack()

    def compiled(
        self, root: Path, stamps: tuple[FileStamp, ...], program: Program, chosen: array[int] | None
    ) -> CompiledJob:
        self._pack()
        characters = self._characters + program.static_characters * len(self._sizes)
        wanted = Wanted(self._keys, self._sizes, -(-characters // CHARACTERS_PER_TOKEN))
        positions = self._positions if chosen is None else chosen
        return CompiledJob(
            self._job, root, self._line_format, stamps, wanted, self._rest, positions=positions
        )

    def _pack(self) -> None:
        """Split the digests that came last into their halves."""
        words = array("Q", bytes(self._digests))
        keys = array("Q", bytes(len(self._digests) // 2))
        rest = array("Q", keys)
        keys[0::2], keys[1::2], rest[0::2], rest[1::2] = words[0::4], words[1::4], words[2::4], words[3::4]
        self._keys += keys.tobytes()
        self._rest.write(rest.tobytes())
        self._digests.clear()


def _check(compiled: CompiledJob, ids: Hashes | None) -> None:
    job = compiled.job
    compiled._check_unchanged()
    if ids is not None and (suspects := ids.suspects()):
        _refuse_double_ids(compiled, suspects)
    if not len(compiled.wanted) and not job.allow_empty:
        filtered = job.dataset.where is not None
        raise DataError(
            f"dataset `{job.dataset.key}` has no rows" + (" that `where` keeps" if filtered else ""),
            hint=f"set `allow_empty: true` on job `{job.name}` if that is fine",
            mark=job.dataset.mark,
        )


def _refuse_double_ids(compiled: CompiledJob, suspects: frozenset[int]) -> None:
    """Raise DataError for the first id that comes twice, with both places."""
    seen: dict[str, SourceRow] = {}
    rows = open_rows(compiled.job.dataset, compiled.root, compiled.positions)
    for row, custom_id in compiled._ids(rows):
        if hash(custom_id) not in suspects:
            continue
        if custom_id in seen:
            raise DataError(
                f"the id `{custom_id}` is there twice: at `{seen[custom_id].mark}` and at `{row.mark}`",
                hint="choose a column or a template for `id` that tells the rows apart",
                mark=row.mark,
            )
        seen[custom_id] = row


