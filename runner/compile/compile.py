"""The whole compile of a job, top to bottom: rows in, digests and sizes out.

One pass touches each row once: read, filter, render, hash. What stays in memory is packed, 20 bytes a row (24 with a
filter or a sample), and the second half of the digests waits in a temporary file.
"""

from __future__ import annotations

import tempfile
from array import array
from collections.abc import Iterable, Iterator
from contextlib import ExitStack
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING

from runner.compile import requests
from runner.compile.compiled import DIGEST_BYTES, Line, Wanted
from runner.compile.faults import Faults
from runner.compile.job import CompiledJob, load, program
from runner.compile.shard import identity_of
from runner.data import sample
from runner.data.rows import SourceRow, open_rows, signature
from runner.data.unique import Hashes
from runner.errors import DataError, Problem
from runner.job.capabilities import LineFormat
from runner.spec.project import Job

if TYPE_CHECKING:
    from runner.compile.program import Program, Request

__all__ = ["CompiledJob", "compile_job", "identity_of", "load", "preview"]

CHARACTERS_PER_TOKEN = 4  # the usual estimate for English text
_PACKED_ROWS = 4096
_IN_MEMORY = 1 << 20


def compile_job(job: Job, root: Path, line_format: LineFormat) -> CompiledJob:
    """Compile one job.

    Raises SpecError for its templates and params; DataError for its dataset: unreadable, empty without `allow_empty`,
    ids that are not unique, rows that do not render (RowsFailed: all are counted, the first 20 listed), changed while
    it was read.
    """
    stamps = signature(job.dataset, root)
    ready = program(job, line_format)
    chosen = _sampled(ready, job, root)
    packing = _Packing(job, line_format, keeps_positions=ready.where is not None and chosen is None)
    with ExitStack() as on_error:
        on_error.callback(packing.rest.close)
        _pass(ready, open_rows(job.dataset, root, chosen), packing, chosen is not None)
        wanted, positions = packing.finish(ready), packing.positions if chosen is None else chosen
        compiled = CompiledJob(job, root, line_format, stamps, wanted, packing.rest, positions=positions)
        compiled.check_unchanged()
        if packing.ids is not None and (suspects := packing.ids.suspects()):
            _refuse_double_ids(compiled, suspects)
        _refuse_empty(compiled)
        on_error.pop_all()
    return compiled


def _pass(ready: Program, rows: Iterable[SourceRow], packing: _Packing, filtered: bool) -> None:
    """The one pass over the rows. Raises RowsFailed."""
    faults = Faults(packing.dataset)
    digest, add = ready.digest, packing.add
    for request in ready.requests(rows, filtered):
        if isinstance(request, Problem):
            faults.add(request)
        else:
            add(request, digest(request.body))
    faults.check()


def preview(job: Job, root: Path, line_format: LineFormat, rows: int | None = None) -> Iterator[Line]:
    """Request lines of the first `rows` wanted rows, without compiling the rest. Raises as `compile_job` does, but at
    the first row that fails, and without looking for doubled ids."""
    ready = program(job, line_format)
    chosen = _sampled(ready, job, root)
    asked = ready.requests(open_rows(job.dataset, root, chosen), filtered=chosen is not None)
    return map(ready.line, islice(asked, rows))


def _sampled(ready: Program, job: Job, root: Path) -> array[int] | None:
    """Positions of the sample's rows, None without one. Takes a pass of its own."""
    if job.dataset.sample_rows is None:
        return None
    rows: Iterable[SourceRow] = open_rows(job.dataset, root)
    if ready.where is not None:
        rows = ready.kept(rows)
    return sample.positions(rows, job.dataset.sample_rows, job.dataset.sample_seed)


class _Packing:
    """Where the rows of the pass go: keys, sizes, the rest of the digests, positions, hashes of ids."""

    def __init__(self, job: Job, line_format: LineFormat, keeps_positions: bool) -> None:
        around = requests.envelope(job.model.endpoint, line_format)
        self._around = sum(map(len, around)) + 1 + requests.KEY_CHARACTERS
        self.dataset = job.dataset.key
        self._digests = bytearray()  # of the rows that are not packed yet
        self._keys = bytearray()
        self._sizes = array("I")
        self._characters = 0
        self.rest = tempfile.SpooledTemporaryFile(_IN_MEMORY)  # noqa: SIM115  # closed with the compiled job
        self.positions = array("I") if keeps_positions else None
        self.ids = Hashes() if job.dataset.id is not None else None

    def add(self, request: Request, digest: bytes) -> None:
        self._digests += digest
        id_size = len(request.custom_id)
        id_size = requests.MAX_READABLE if id_size > requests.MAX_READABLE else id_size or 1
        self._sizes.append(self._around + len(request.body) + id_size)
        self._characters += request.characters
        if self.ids is not None:
            self.ids.add(request.custom_id)
        if self.positions is not None:
            self.positions.append(request.row.number)
        if len(self._digests) == _PACKED_ROWS * DIGEST_BYTES:
            self._pack()

    def finish(self, ready: Program) -> Wanted:
        self._pack()
        characters = self._characters + ready.static_characters * len(self._sizes)
        return Wanted(self._keys, self._sizes, -(-characters // CHARACTERS_PER_TOKEN))

    def _pack(self) -> None:
        """Split the digests that came last into their halves, two 64-bit words each."""
        words = array("Q", bytes(self._digests))
        keys = array("Q", bytes(len(self._digests) // 2))
        rest = array("Q", keys)
        keys[0::2], keys[1::2], rest[0::2], rest[1::2] = words[0::4], words[1::4], words[2::4], words[3::4]
        self._keys += keys.tobytes()
        self.rest.write(rest.tobytes())
        self._digests.clear()


def _refuse_empty(compiled: CompiledJob) -> None:
    job = compiled.job
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
    for row, custom_id in compiled.ids(rows):
        if hash(custom_id) not in suspects:
            continue
        if custom_id in seen:
            raise DataError(
                f"the id `{custom_id}` is there twice: at `{seen[custom_id].mark}` and at `{row.mark}`",
                hint="choose a column or a template for `id` that tells the rows apart",
                mark=row.mark,
            )
        seen[custom_id] = row
