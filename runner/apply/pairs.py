"""Pairs of two jobs' answers: the file that a job over them is compiled with, and what stands beside it.

Beside the rows lie the items whose answers are the same, which nobody is asked about and a preference counts as ties,
and how many items there are on one side only.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, closing
from pathlib import Path

import msgspec
from msgspec.structs import replace

from runner import files
from runner.apply.session import Session
from runner.checks.sheet import Sheet
from runner.compile.ids import has_no_id_column
from runner.compile.pairs import Paired, pair
from runner.compile.program import kept, where_of
from runner.compile.readings import AnsweredRow
from runner.data.rows import open_rows
from runner.job.checks import Kind
from runner.job.pairs import ID_COLUMN, OF_RECORDINGS
from runner.job.project import AnyJob, AudioJob, Chain, Job
from runner.job.scored import Sides
from runner.results.joined import Joined
from runner.results.scorer import Each, RowsNotScored, TiedScorer

SCHEME = "pairs/1"
_TIED, _PAIRED = ".tied.jsonl", ".paired.json"


def write(sides: Sequence[Path], chain: Chain, id_column: str, place: Callable[[str], Path]) -> Path:
    """The file of the pairs of two files of answers; made, where it is not there. Its name is what it is made of.

    sides: with the answers in columns `first` and `second`. place: where a file of a name is, or is to be.
    Raises DataError for a column that pairs need themselves, OSError.
    """
    assert chain.orders is not None
    told = " ".join([SCHEME, *(side.name for side in sides), chain.orders, id_column])
    path = place(f"{hashlib.sha256(told.encode()).hexdigest()[:32]}.jsonl")
    if all(one.is_file() for one in (path, path.with_suffix(_TIED), path.with_suffix(_PAIRED))):
        return path
    with ExitStack() as held:
        # the rows come last: where they are, all else is
        out = held.enter_context(files.whole(path, mode=files.PRIVATE, is_durable=False))
        tied = held.enter_context(files.whole(path.with_suffix(_TIED), mode=files.PRIVATE, is_durable=False))
        first, second = (held.enter_context(side.open("rb")) for side in sides)
        found = pair(first, second, id_column, chain.orders, out, tied, chain.mark)
        files.write(path.with_suffix(_PAIRED), msgspec.json.encode(found), is_durable=False)
    return path


def alone_in(path: Path, chain: Chain) -> str:
    """What is said of items that only one side has answered; empty where there are none."""
    found = _paired(path)
    told = zip(chain.parents, (found.only_first, found.only_second), strict=True)
    alone = [f"only `{address}` has answered {rows:,} row{'' if rows == 1 else 's'}" for address, rows in told if rows]
    return f"{' and '.join(alone)}, of which there are no pairs" if alone else ""


def id_column_of(job: AnyJob) -> str:
    """The column that tells the rows of a job's answers apart."""
    if isinstance(job, AudioJob):
        return OF_RECORDINGS
    return ID_COLUMN if has_no_id_column(job) else str(job.dataset.id)


def made_of(session: Session, spec: AnyJob) -> str:
    """Changes with what scores are made of beside the rows; empty for a job that is not about pairs."""
    path = _path_of(spec)
    if path is None:
        return ""
    digests = (session.digests.of(path.with_suffix(suffix), is_ours=True).hex() for suffix in (_TIED, _PAIRED))
    return " ".join(digests)


def add_to(sheet: Sheet, session: Session, spec: AnyJob, each: Each | None = None, *, is_pooled: bool = False) -> None:
    """Add what no line of the results tells: items with equal answers, and how many only one side has.

    each: is shown what is added. is_pooled: an item is a cluster, since it is added more than once.
    Raises RowsNotScored for a template that fails on such an item, DataError, OSError.
    """
    path = _path_of(spec)
    if path is None or spec.chain is None or not any(one.kind is Kind.PREFERENCE for one in spec.evals.checks):
        return
    found = _paired(path)
    first, second = spec.chain.parents
    sheet.sides = Sides(first, second, found.only_first, found.only_second)
    if not found.tied:
        return
    joined = Joined(spec.evals.references, session.project.root) if spec.evals.references else None
    with closing(TiedScorer(spec.evals, sheet, joined, each, is_pooled=is_pooled)) as scorer:
        for row in _tied(path, session, spec):
            scorer.push(row)
        scorer.finish()
    if scorer.count:
        raise RowsNotScored(spec.address, scorer.problems, scorer.count, spec.mark)


def _tied(path: Path, session: Session, spec: AnyJob) -> Iterator[AnsweredRow]:
    """The items with equal answers that `where` of the dataset keeps."""
    assert isinstance(spec, Job)
    dataset = replace(spec.dataset, files=(str(path.with_suffix(_TIED)),))
    rows = open_rows(dataset, session.project.root)
    where = where_of(dataset)
    for row in rows if where is None else kept(rows, where):
        yield AnsweredRow(str(row.row[ID_COLUMN]), row.json, None)


def _path_of(spec: AnyJob) -> Path | None:
    """The file of the pairs of a job; None for a job that is not about pairs."""
    if not isinstance(spec, Job) or spec.chain is None or spec.chain.orders is None or not spec.dataset.files:
        return None
    return Path(spec.dataset.files[0])


def _paired(path: Path) -> Paired:
    return msgspec.json.decode(path.with_suffix(_PAIRED).read_bytes(), type=Paired)
