"""The whole compile of a job, top to bottom: rows in, digests and sizes out.

One pass touches each row once: read, filter, render, hash. What stays in memory is packed, 20 bytes a row (24 with a
filter or a sample), and the second half of the digests waits in a temporary file.
"""

from __future__ import annotations

import io
import tempfile
from array import array
from collections.abc import Collection, Iterable, Iterator
from contextlib import ExitStack, suppress
from itertools import chain, islice
from operator import add
from pathlib import Path
from typing import IO, TYPE_CHECKING

from runner.compile import digest, shard
from runner.compile.blocks import Before, Packed, Segmented
from runner.compile.budget import RowBudget
from runner.compile.compiled import CHARACTERS_PER_TOKEN, KEY_BYTES, Line, Wanted
from runner.compile.faults import Faults
from runner.compile.job import CompiledJob, lines_of, load, program
from runner.compile.longest import longest_answer
from runner.compile.shard import identity_of
from runner.compile.spool import KeptLines, Spool
from runner.compile.stamps import Stamps
from runner.data.rows import SourceRow, open_blocks, signature
from runner.data.segments import Unsuitable, suits
from runner.data.unique import IdHashes
from runner.errors import DataError, Problem
from runner.files import sha256_of
from runner.job import wireid
from runner.job.project import Job
from runner.remotes.vendor import Lines

if TYPE_CHECKING:
    from runner.compile.program import Program, Requests
    from runner.data.inlined import InlinedFiles

__all__ = ["CompiledJob", "compile_job", "identity_of", "load", "picked", "preview"]

_IN_MEMORY = 1 << 20


def compile_job(
    job: Job,
    root: Path,
    lines: Lines,
    budget: RowBudget | None = None,
    digest_of: shard.DigestOf = sha256_of,
    before: Before | None = None,
    files: InlinedFiles | None = None,
    spool: Spool | None = None,
) -> CompiledJob:
    """Compile one job. budget: what is left for it and the jobs after it. before: the same job as it was compiled
    earlier; what did not change of its dataset is taken over. files: that go into requests. spool: takes the lines, so
    that they are not rendered again to be sent, where all rows are rendered now.

    Raises SpecError for its templates and params; DataError for its dataset: unreadable, empty without `allow_empty`,
    ids that are not unique, rows that do not render (RowsFailed: all are counted, the first 20 listed), changed while
    it was read.
    """
    budget = budget or RowBudget()
    saved = budget.saved()
    # A sample is chosen by a pass over every row. What is wrong with a dataset is said as if nothing had been known.
    # Where rows name files, each file has to be looked at, whatever became of the dataset.
    if job.dataset.sample_rows is None and not job.prompt.inlines_files and suits(job.dataset, root):
        with suppress(Unsuitable, *((DataError,) if before else ())):
            kept = spool if before is None else None
            return _compile(job, root, lines, budget, digest_of, Segmented(job, root, before), files, kept)
        budget.restore(saved)
    return _compile(job, root, lines, budget, digest_of, None, files, spool)


def _compile(
    job: Job,
    root: Path,
    lines: Lines,
    budget: RowBudget,
    digest_of: shard.DigestOf,
    segments: Segmented | None,
    files: InlinedFiles | None,
    spool: Spool | None,
) -> CompiledJob:
    """Compile one job. segments: None reads every row."""
    stamps = signature(job.dataset, root)
    ready = program(job, lines, root, files)
    faults = Faults(job.dataset.key)
    chosen = ready.sampled(job.dataset, root, faults.add)
    may_leave_out = ready.where is not None or job.dataset.skip_bad
    packing = _Packing(job, lines, keeps_positions=may_leave_out, modulus=segments.modulus if segments else 0)
    kept = KeptLines(spool) if spool is not None and ready.inlining is None else None  # files may be large
    inlined = Stamps()
    if ready.inlining is not None:
        ready.inlining.stamps = inlined
    # Problems come along in the stream of requests, so that the 21st bad row is still counted, and `skip_bad` needs no
    # second pass.
    with ExitStack() as on_error:
        on_error.callback(packing.close)
        on_error.callback(inlined.close)
        checked = ready.ready is None  # else the lines are read, and judged, by it
        plain = open_blocks(job.dataset, root, chosen, checked=checked, bad=faults.add)
        rows = segments.blocks(faults.add) if segments else plain
        read = budget.watched(rows, job.dataset.key, job.dataset.mark)
        for asked in ready.requests(faults.watched(read), chosen is not None):
            if isinstance(asked, Problem):
                faults.add(asked)
                if segments:
                    segments.left_out(asked.mark)
            else:
                budget.take(sum(map(len, asked.bodies)), job.address, job.mark)
                digests = ready.digester.each(asked.bodies)
                packing.add(asked, digests)
                if kept:
                    kept.add(ready.sent(asked, [digest[:KEY_BYTES] for digest in digests], b"\n"), len(digests))
                if segments:
                    segments.made(asked.numbers, asked.characters, asked.each)
        if segments:
            packing.put_between(segments, budget)
        if kept:
            kept.finish()
        if not (job.dataset.skip_bad and len(packing)):
            faults.check(offers=len(packing) > 0 and not job.dataset.is_ready)  # then it is not said yet
        wanted, positions = packing.finish(ready), packing.positions if packing.positions is not None else chosen
        pieces = segments.pieces(packing.ids, packing.hashes.modulus) if segments else None
        parts = shard.Parts(
            stamps, wanted, positions, packing.rest, 0, faults.count, faults.notes(), "", pieces, inlined
        )
        compiled = CompiledJob(job, root, lines, parts, digest_of, files, kept)
        # after the last row, too: a file that was appended to meanwhile was read in two states
        compiled.check_unchanged()
        known_ids = segments.known_ids() if segments else ()
        if packing.ids is not None and (suspects := packing.hashes.suspects(known_ids)):
            _refuse_double_ids(compiled, suspects, packing.hashes)
        _refuse_empty(compiled)
        on_error.pop_all()
    return compiled


def preview(job: Job, root: Path, lines: Lines, rows: int | None = None) -> Iterator[Line]:
    """Request lines of the first `rows` wanted rows for people, without compiling the rest: words stand in the place
    of files. Raises as `compile_job` does, but at the first row that fails, and without looking for doubled ids."""
    ready = program(job, lines, root, is_shown=True)
    skipped = Faults(job.dataset.key)
    chosen = ready.sampled(job.dataset, root, skipped.add)
    asked: Iterable[Requests | Problem] = ready.requests(
        open_blocks(job.dataset, root, chosen), filtered=chosen is not None
    )
    if job.dataset.skip_bad:
        asked = (one for one in asked if not isinstance(one, Problem))
    return islice(chain.from_iterable(map(lines_of, map(ready.lines, asked))), rows)


def picked(
    job: Job, root: Path, lines: Lines, wanted: Collection[str], files: InlinedFiles | None = None
) -> dict[str, Line]:
    """The request lines of the rows with these ids, for people, as far as they are there. Raises as `preview` does;
    rows that cannot become requests are left out."""
    ready = program(job, lines, root, files, is_shown=True)
    skipped = Faults(job.dataset.key)
    chosen = ready.sampled(job.dataset, root, skipped.add)
    found: dict[str, Line] = {}
    for asked in ready.requests(open_blocks(job.dataset, root, chosen, bad=skipped.add), filtered=chosen is not None):
        if isinstance(asked, Problem) or not set(asked.ids) & set(wanted):
            continue
        made = zip(asked.ids, lines_of(ready.lines(asked)), strict=True)
        found.update((custom_id, line) for custom_id, line in made if custom_id in wanted)
        if len(found) == len(wanted):
            break
    return found


class _Packing:
    """Where the rows of the pass go: keys, sizes, the rest of the digests, positions, hashes of ids."""

    def __init__(self, job: Job, lines: Lines, *, keeps_positions: bool, modulus: int) -> None:
        around = lines.envelope(job.model.endpoint)
        self._around = sum(map(len, around)) + 1 + wireid.KEY_CHARACTERS
        self._job = job
        self._keys = io.BytesIO()  # gives what was written to it without a copy
        self._sizes = array("I")
        self._distinct = b""
        self._characters = 0
        self._tokens = self._untold = 0
        body = job.prompt.body
        self._longest: int | None = 0 if body is not None and body.column else None
        # only writing results asks for them, a row after the other, so they need not be in memory
        self.rest: IO[bytes] = tempfile.SpooledTemporaryFile(_IN_MEMORY)  # noqa: SIM115  # closed with the compiled job
        self.positions = array("I") if keeps_positions else None
        self.hashes = IdHashes(modulus)  # of the rows that were read
        self.ids = self.hashes.values if job.dataset.id is not None else None

    def __len__(self) -> int:
        return len(self._sizes)

    def close(self) -> None:
        self.rest.close()

    def add(self, some: Requests, digests: list[bytes]) -> None:
        keys, rest = digest.split(digests)
        self._keys.write(keys)
        self.rest.write(rest)
        around, longest = self._around, wireid.MAX_READABLE
        # the size of a line is arithmetic: nothing is encoded to learn it
        id_sizes = [size if size <= longest else longest for size in map(len, some.ids)]
        sizes = [around + len(body) + size for body, size in zip(some.bodies, id_sizes, strict=True)]
        self._sizes.extend(sizes if some.grown is None else map(add, sizes, some.grown))
        self._characters += some.characters
        self._tokens += some.tokens
        self._untold += some.untold
        if self._longest is not None:
            self._longest = longest_answer(some.bodies, self._longest)
        if self.ids is not None:
            self.hashes.update(some.ids)
        if self.positions is not None:
            self.positions.extend(some.numbers)

    def put_between(self, segments: Segmented, budget: RowBudget) -> None:
        """Put what was added between what is known from before."""
        job, rest = self._job, tempfile.SpooledTemporaryFile(_IN_MEMORY)  # noqa: SIM115  # closed with the compiled job
        rendered, rows = sum(self._sizes), len(self)
        fresh = Packed(self._keys.getvalue(), self._sizes, self.positions, self.ids, self.rest)
        whole = segments.whole(fresh, rest)
        if whole is None:
            rest.close()
            return
        self.rest.close()
        keys, self._sizes, self.positions, self.ids, self.rest, _, self._distinct = whole
        self._keys = io.BytesIO(keys)
        self._characters = segments.characters
        self._longest = segments.longest_answer(self._longest)
        # as many bytes as bodies at least; whoever is above the limit by these is compiled in the plain way
        budget.read(segments.known_rows, job.dataset.key, job.dataset.mark)
        budget.take(sum(self._sizes) - rendered - self._around * (len(self) - rows), job.address, job.mark)

    def finish(self, ready: Program) -> Wanted:
        characters = self._characters + ready.static_characters * len(self._sizes)
        tokens = -(-characters // CHARACTERS_PER_TOKEN) + self._tokens
        return Wanted(self._keys.getvalue(), self._sizes, tokens, self._untold, self._distinct, self._longest)


def _refuse_empty(compiled: CompiledJob) -> None:
    job = compiled.job
    if not len(compiled.wanted) and not job.allow_empty:
        filtered = job.dataset.where is not None
        raise DataError(
            f"dataset `{job.dataset.key}` has no rows" + (" that `where` keeps" if filtered else ""),
            hint=f"set `allow_empty: true` on job `{job.name}` if that is fine",
            mark=job.dataset.mark,
        )


def _refuse_double_ids(compiled: CompiledJob, suspects: frozenset[int], hashes: IdHashes) -> None:
    """Raise DataError for the first id that comes twice, with both places."""
    seen: dict[str, SourceRow] = {}
    for row, custom_id in chain.from_iterable(zip(block, ids, strict=True) for block, ids in compiled.with_ids()):
        if hashes.of((custom_id,))[0] not in suspects:
            continue
        if custom_id in seen:
            raise DataError(
                f"the id `{custom_id}` is there twice: at `{seen[custom_id].mark}` and at `{row.mark}`",
                hint="give each line a `custom_id` of its own"
                if compiled.job.dataset.is_ready
                else "choose a column or a template for `id` that tells the rows apart",
                mark=row.mark,
            )
        seen[custom_id] = row
