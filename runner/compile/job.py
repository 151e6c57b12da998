"""A compiled job: what the pass over its rows left behind, and how its rows and lines are made again from that."""

from __future__ import annotations

import weakref
from array import array
from collections.abc import Iterable, Iterator
from itertools import tee
from pathlib import Path
from typing import IO, TYPE_CHECKING

from runner.compile import shard
from runner.compile.compiled import DIGEST_BYTES, KEY_BYTES, Line, RowView, Wanted
from runner.data.files import content_digest
from runner.data.rows import FileStamp, SourceRow, open_rows, signature
from runner.errors import DataError
from runner.job.capabilities import LineFormat
from runner.spec.project import Job

if TYPE_CHECKING:
    from runner.compile.program import Program

REST_BYTES = DIGEST_BYTES - KEY_BYTES
_READ_ROWS = 4096


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
        weakref.finalize(self, rest.close)

    def made_of(self) -> str:
        """Changes whenever `rows` may yield something else: the dataset's files, or what picks and names its rows."""
        return f"{shard.identity_of(self.job)} {self.stamps}"

    def save(self, path: Path) -> None:
        """Write what was compiled to `path`, for `load`. Raises DataError when the dataset changed since."""
        content = content_digest(self.job.dataset, self.root)
        self.check_unchanged()
        parts = shard.Parts(self.stamps, self.wanted, self.positions, self.rest, self.rest_at)
        shard.write(path, self.job, self.line_format, content, parts)

    def rows(self) -> Iterator[RowView]:
        """Every wanted row in input order. Raises DataError when the dataset changed since it was compiled."""
        self.check_unchanged()
        rows = open_rows(self.job.dataset, self.root, self.positions)
        for (row, custom_id), digest in zip(self.ids(rows), self._digests(), strict=True):
            yield RowView(custom_id, row.json, digest)
        self.check_unchanged()

    def lines(self, ordinals: Iterable[int]) -> Iterator[Line]:
        """Request lines of the rows at `ordinals` (ascending, from 0), rendered again.

        Raises DataError when a digest differs from the compiled one.
        """
        self.check_unchanged()
        ready = program(self.job, self.line_format)
        for_rows, for_digests = tee(ordinals)
        at = for_rows if self.positions is None else (self.positions[ordinal] for ordinal in for_rows)
        asked = ready.requests(open_rows(self.job.dataset, self.root, at), filtered=True)
        for ordinal, request in zip(for_digests, asked, strict=True):
            line = ready.line(request)
            if line.key != self.wanted.keys[ordinal * KEY_BYTES : (ordinal + 1) * KEY_BYTES]:
                raise self._changed(f"row {ordinal + 1} of job `{self.job.address}` renders to another request now")
            yield line

    def _digests(self) -> Iterator[bytes]:
        keys, count = self.wanted.keys, len(self.wanted)
        for first in range(0, count, _READ_ROWS):
            rows = min(_READ_ROWS, count - first)
            self.rest.seek(self.rest_at + first * REST_BYTES)
            rest = self.rest.read(rows * REST_BYTES)
            for i in range(rows):
                start = (first + i) * KEY_BYTES
                yield bytes(keys[start : start + KEY_BYTES]) + rest[i * REST_BYTES : (i + 1) * REST_BYTES]

    def ids(self, rows: Iterable[SourceRow]) -> Iterator[tuple[SourceRow, str]]:
        """The id each row is shown with."""
        if self.job.dataset.id is None:
            return ((row, f"row-{row.number + 1}") for row in rows)
        return program(self.job, self.line_format).ids(rows)

    def check_unchanged(self) -> None:
        """Raise DataError unless the dataset's files are as they were."""
        if signature(self.job.dataset, self.root) != self.stamps:
            raise self._changed(f"dataset `{self.job.dataset.key}` changed while it was read")

    def _changed(self, words: str) -> DataError:
        return DataError(words, hint="nothing was sent for it; run the command again", mark=self.job.dataset.mark)


def load(path: Path, job: Job, root: Path, line_format: LineFormat) -> CompiledJob | None:
    """The compiled job saved in `path`; None if there is none, it is damaged, or it is of something else.

    Stats decide whether the dataset changed; files that were touched, or checked out anew, are hashed, and equal
    content counts as unchanged. Raises DataError when the dataset's files are not there.
    """
    parts = shard.read(path, job, root, line_format)
    if parts is None:
        return None
    return CompiledJob(job, root, line_format, parts.stamps, parts.wanted, parts.rest, parts.rest_at, parts.positions)


def program(job: Job, line_format: LineFormat) -> Program:
    """The job made ready for rows. Raises SpecError."""
    # Jinja2 takes 50 ms to import: a plan that finds everything compiled does without
    from runner.compile.program import program_of

    return program_of(job, line_format)
