"""The whole compile of a job, top to bottom: rows in, digests and sizes out.

One pass touches each row once: read, filter, render, hash. What stays in memory is packed, 20 bytes a row (24 with a
filter or a sample), and the second half of the digests waits in a temporary file.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Sequence
from contextlib import ExitStack, closing, suppress
from itertools import chain, islice
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from runner.compile import shard
from runner.compile.blocks import Before, Segmented
from runner.compile.budget import RowBudget
from runner.compile.compiled import Line
from runner.compile.faults import Faults
from runner.compile.job import CompiledJob, lines_of, load, program
from runner.compile.packing import Packing, through
from runner.compile.shard import identity_of
from runner.compile.spool import KeptLines, Spool
from runner.compile.stamps import Stamps
from runner.data.rows import SourceRow, expand, open_blocks, signature
from runner.data.segments import Unsuitable, are_plain_lines, suits
from runner.data.source import FileStamp
from runner.data.unique import IdHashes
from runner.errors import DataError, Problem
from runner.files import sha256_of
from runner.job.project import Job
from runner.remotes.vendor import Lines

if TYPE_CHECKING:
    from runner.compile.program import Requests
    from runner.data.inlined import InlinedFiles

__all__ = ["CompiledJob", "compile_job", "identity_of", "load", "picked", "preview"]

MOST_PROCESSES = 4  # packing what they bring is one process's work


class Crew(NamedTuple):
    """How many processes compile a large dataset, by ranges of its lines."""

    processes: int | None = None  # with this one; None: one for each core, MOST_PROCESSES at most
    least_bytes: int = 32 << 20  # of a dataset: it takes 0.2 s of a core until a process is there
    range_bytes: int = 512 << 10


CREW = Crew()


def compile_job(
    job: Job,
    root: Path,
    lines: Lines,
    budget: RowBudget | None = None,
    digest_of: shard.DigestOf = sha256_of,
    before: Before | None = None,
    files: InlinedFiles | None = None,
    spool: Spool | None = None,
    crew: Crew = CREW,
) -> CompiledJob:
    """Compile one job. budget: what is left for it and the jobs after it. before: the same job as it was compiled
    earlier; what did not change of its dataset is taken over. files: that go into requests. spool: takes the lines, so
    that they are not rendered again to be sent, where all rows are rendered now. crew: who works on it.

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
            return _compile(job, root, lines, budget, digest_of, Segmented(job, root, before), files, kept, crew)
        budget.restore(saved)
    return _compile(job, root, lines, budget, digest_of, None, files, spool, crew)


def _compile(
    job: Job,
    root: Path,
    lines: Lines,
    budget: RowBudget,
    digest_of: shard.DigestOf,
    segments: Segmented | None,
    files: InlinedFiles | None,
    spool: Spool | None,
    crew: Crew,
) -> CompiledJob:
    """Compile one job. segments: None reads every row."""
    stamps = signature(job.dataset, root)
    ready = program(job, lines, root, files)
    faults = Faults(job.dataset.key)
    chosen = ready.sampled(job.dataset, root, faults.add)
    may_leave_out = ready.where is not None or job.dataset.skip_bad
    packing = Packing(job, ready, keeps_positions=may_leave_out, modulus=segments.modulus if segments else 0)
    kept = KeptLines(spool) if spool is not None and ready.inlining is None else None  # files may be large
    inlined = Stamps()
    if ready.inlining is not None:
        ready.inlining.stamps = inlined
    with ExitStack() as on_error:
        on_error.callback(packing.close)
        on_error.callback(inlined.close)
        if segments and (processes := _processes(crew, stamps, segments)) > 1:
            from runner.compile.ranges import Ranges, Work  # few datasets are large enough

            work = Work(job, lines, root, expand(job.dataset, root), may_leave_out, packing.hashes.modulus)
            with closing(Ranges(work, ready, processes, crew.range_bytes, spool if kept else None)) as ranges:
                for came in ranges:
                    faults.take(came.bad, came.problems, came.nulled)
                    budget.read(came.read_rows, job.dataset.key, job.dataset.mark)
                    budget.take(came.body_bytes, job.address, job.mark)
                    packed = packing.take(came.packed)
                    segments.take(came.segments, came.shares)
                    if kept:
                        kept.take(came.lines, packed)
        else:
            checked = ready.ready is None  # else the lines are read, and judged, by it
            plain = open_blocks(job.dataset, root, chosen, checked=checked, bad=faults.add)
            rows = segments.blocks(faults.add) if segments else plain
            through(ready, rows, job, budget, faults, packing, segments, kept, is_filtered=chosen is not None)
            if segments:
                packing.put_between(segments, budget)
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


def _processes(crew: Crew, stamps: Sequence[FileStamp], segments: Segmented) -> int:
    """How many processes compile a dataset. Where most is taken over from before, there is little to share."""
    if segments.is_edit or sum(stamp.size for stamp in stamps) < crew.least_bytes:
        return 1
    if not are_plain_lines([stamp.path for stamp in stamps]):
        return 1
    from runner.compile.ranges import cores

    return crew.processes or min(cores(), MOST_PROCESSES)


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
