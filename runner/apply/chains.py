"""Jobs that ask about the answers of others: compiled over the answers there are, again and again while a command runs.

The answers of a job go to a file whose name is what they are made of, and the job that follows is compiled with that as
its rows. So a reader, a compiler and a planner of rows do for it: the same answers make the same digests, and nothing
is asked twice. In a command that writes nothing the file is a temporary one.
"""

from __future__ import annotations

import hashlib
import io
import tempfile
from contextlib import closing, suppress
from itertools import islice
from pathlib import Path
from typing import IO, TYPE_CHECKING

import msgspec
from msgspec.structs import replace

from runner import files
from runner.apply.answers import lines_to, sources_of, spec_of
from runner.apply.desire import desired_of
from runner.apply.session import Session
from runner.apply.tables import wanted_of
from runner.compile.compile import compile_job
from runner.compile.compiled import CHARACTERS_PER_TOKEN
from runner.compile.ids import has_no_id_column
from runner.compile.job import CompiledJob
from runner.errors import RunnerError, UsageError
from runner.job.desired import Ahead, Desired
from runner.job.infile import pieces
from runner.job.pairs import ID_COLUMN, SECOND, Orders
from runner.job.project import AudioJob, Chain, Job
from runner.plan.plan import Recorded, standing
from runner.plan.remaining import JobRows
from runner.remotes.reading.verdict import NULL
from runner.results.locate import locate
from runner.results.merge import merge
from runner.results.names import RESULTS
from runner.results.readback import read_back
from runner.results.splice import Merged

if TYPE_CHECKING:
    from runner.results.chain import AnswersWriter

SCHEME = "answers/1"
KEPT_SECONDS = 24 * 3600  # another command may read what this one has no use for
_SILENT = ".silent"  # beside answers: what is said of those that hold no text
_SAMPLE = 20  # rows by which the requests that nobody knows yet are estimated
_LONG = 400  # characters of the answer they are estimated with
_TOKENS_A_SECOND = 10  # at most, of speech: what people say in a second are three or four words


def are_there(session: Session) -> bool:
    """Whether any job asks about the answers of others."""
    return any(spec.chain is not None for spec in session.project.jobs)


def follow(session: Session, recorded: Recorded | None = None, *, is_last: bool = False) -> bool:
    """Compile what follows other jobs over the answers there are, in their order. True where something changed.

    A job whose parents are not quiet keeps the rows that this command has compiled it over, since it is not sent before
    they are. When the command ends (`is_last`) it gets the rows that the next command would begin with, and writes
    what is known of them. What the session held is replaced (its specs, what is wanted, what is compiled): plan anew.
    Raises SpecError and DataError as a compile does, StateError where a raw file is damaged, OSError.
    """
    waiting = [spec for spec in session.project.jobs if isinstance(spec, Job) and spec.chain is not None]
    if not waiting:
        return False
    assert session.compiler is not None, "whoever opens a session of such jobs gives it one"
    recorded = recorded or session.recorded()
    # most passes see nothing new, and to fold all rows takes as long as a plan
    seen = (recorded.batches, recorded.retries, recorded.accepted_origins, recorded.flawed)
    if session.followed == seen and not (is_last and session.was_kept):
        return False
    has_changed, session.was_kept = False, False
    done = {spec.address for spec in session.project.jobs if spec.chain is None}
    while waiting:
        session.behind = frozenset(spec.address for spec in waiting)  # to stay so where one fails
        ready = [spec for spec in waiting if spec.chain is not None and done.issuperset(spec.chain.parents)]
        if not ready:
            raise UsageError(f"job `{waiting[0].address}` follows one that is not in these specs")
        level = _Level(session, recorded, is_last=is_last)
        found = {spec.address: made for spec in ready if (made := level.made(spec)) is not None}
        if found:
            session.put(found)
            has_changed = True
        done.update(spec.address for spec in ready)
        waiting = [spec for spec in waiting if spec.address not in done]
    session.behind = frozenset()
    session.followed = seen
    return has_changed


class _Level:
    """The jobs that are compiled by now, and where they stand."""

    def __init__(self, session: Session, recorded: Recorded, *, is_last: bool) -> None:
        self._session, self._recorded, self._is_last = session, recorded, is_last
        rows, self._chains = standing(session.desired, recorded)
        self._known = {job.address: (job, of_job) for job, of_job in zip(session.desired, rows, strict=True)}

    def made(self, spec: Job) -> tuple[Job, CompiledJob, Desired] | None:
        """A job over the answers that are there now; None where it stays as it is."""
        session, chain, known = self._session, spec.chain, self._known.get(spec.address)
        assert chain is not None and session.compiler is not None
        if known is not None and not self._is_last and not all(map(self._chains.is_quiet, chain.parents)):
            session.was_kept = True
            return None
        path = self._rows_of(chain)
        if spec.dataset.files == (str(path),):
            return None
        job = replace(spec, dataset=replace(spec.dataset, files=(str(path),)), allow_empty=True)
        compiled = session.compiler.compiled(job, session.project)
        desired = desired_of(job, compiled, session.project, session.remotes)
        before = known[0] if known is not None else None
        ahead = before.ahead if before is not None else _ahead(session, job)
        in_the_way = before.in_the_way if before is not None else ""
        _tell(session, job, path, is_new=before is None)
        return job, compiled, replace(desired, ahead=ahead, in_the_way=in_the_way)

    def _rows_of(self, chain: Chain) -> Path:
        """The file of the answers that there are now, as rows."""
        session, recorded = self._session, self._recorded
        if chain.orders is None:
            return answers_of(session, *self._known[chain.parents[0]], chain, recorded)
        from runner.apply import pairs

        assert session.compiler is not None
        sides = [
            answers_of(session, *self._known[parent], replace(chain, column=column), recorded)
            for parent, column in zip(chain.parents, chain.columns, strict=True)
        ]
        id_column = pairs.id_column_of(spec_of(session, chain.parents[0]))
        path = pairs.write(sides, chain, id_column, session.compiler.place)
        silent = [said for side in sides if (said := _silent(side))]
        if (said := "; ".join([*silent, *filter(None, [pairs.alone_in(path, chain)])])) and not _silent(path):
            files.write(path.with_suffix(_SILENT), said.encode(), is_durable=False)
        return path


def _silent(path: Path) -> str:
    """What is said of answers that are not asked about; empty where all are."""
    with suppress(FileNotFoundError):
        return path.with_suffix(_SILENT).read_text()
    return ""


def _tell(session: Session, job: Job, path: Path, *, is_new: bool) -> None:
    """Note answers that cannot be asked about; who opens a session tells of what is noted by then."""
    session.silent.pop(job.address, None)
    if said := _silent(path):
        session.silent[job.address] = f"job `{job.address}`: {said}"
    if not is_new and job.address in session.silent:
        session.reporter.warn(session.silent[job.address])


def answers_of(session: Session, job: Desired, rows: JobRows, chain: Chain, recorded: Recorded) -> Path:
    """The file of one job's answers as rows; made, where it is not there. Raises as `follow` does."""
    assert session.compiler is not None
    output = session.project.root / job.output if session.reads_outputs else None
    name = f"{_made_of(session, job, rows, chain, recorded, output)}.jsonl"
    path = session.compiler.place(name)
    if path.is_file():
        return path
    with (
        files.whole(path, mode=files.PRIVATE, is_durable=False) as out,
        closing(_writer(session, out, job.address, chain)) as writer,
    ):
        if output is None:
            lines_to(writer, session, job, rows, recorded)
        elif output.exists():
            _lines_in(output, writer, session, job)
        writer.finish()
        if writer.silent:
            many = writer.silent > 1
            what, is_not = ("answers", "hold no text, and are") if many else ("answer", "holds no text, and is")
            words = f"{writer.silent:,} {what} of `{job.address}` {is_not} not asked about"
            files.write(path.with_suffix(_SILENT), words.encode(), is_durable=False)
    return path


def _lines_in(output: Path, writer: AnswersWriter, session: Session, job: Desired) -> None:
    """The lines of a job as its output has them."""
    spec = spec_of(session, job.address)
    with tempfile.TemporaryDirectory(prefix="runner-") as folder:
        sources = [file.source() for file in read_back(output, Path(folder) / "answers").files]
        rows, chosen = session.compiled[job.address].rows(), locate(job.keys, sources)
        merge(
            rows,
            chosen,
            sources,
            writer,
            wanted=wanted_of(spec),
            is_strict=spec.strict_answers,
            retries_invalid=spec.retries_invalid,
        )


def _table_of(output: Path) -> Path:
    return output / RESULTS if output.is_dir() else output


def _writer(session: Session, out: IO[bytes], address: str, chain: Chain) -> AnswersWriter:
    from runner.results.chain import AnswersWriter
    from runner.results.joined import Joined

    spec = spec_of(session, address)
    join = spec.evals.references
    joined = Joined(join, session.project.root) if join is not None else None
    return AnswersWriter(out, chain, address, joined, adds_id=has_no_id_column(spec))


def _made_of(
    session: Session, job: Desired, rows: JobRows, chain: Chain, recorded: Recorded, output: Path | None
) -> str:
    """Hex digest of all that rows of answers are made of, whatever became of the other rows."""
    from runner.compile import references

    spec = spec_of(session, job.address)
    join = spec.evals.references
    beside = references.made_of(join, session.project.root, session.digests.of) if join is not None else ""
    shape = (chain.column, has_no_id_column(spec), wanted_of(spec), spec.strict_answers, beside)
    total = hashlib.sha256(f"{SCHEME} {session.compiled[job.address].made_of()} {shape!r}\n".encode())
    total.update(b"retries invalid answers\n" if spec.retries_invalid else b"")
    for piece in pieces(job.keys):
        total.update(piece)
    if output is not None:
        table = _table_of(output)
        total.update(session.digests.of(table) if table.is_file() else b"none")
        return total.hexdigest()[:32]
    for entry in sources_of(session, job, rows, recorded):
        index = entry.batch.index_sha256 or hashlib.sha256(entry.so_far).hexdigest()
        total.update(f"{entry.batch.key} {index} {entry.batch.generation}\n".encode())
    return total.hexdigest()[:32]


def sweep(session: Session) -> None:
    """Remove answers that no job asks about any more. Under the lock; another command may read those of today."""
    if session.compiler is None or not are_there(session):
        return
    wanted = {Path(file).stem for spec in session.project.jobs if isinstance(spec, Job) for file in spec.dataset.files}
    with suppress(OSError):
        for path in session.compiler.folder.iterdir():
            is_old = path.stat().st_mtime < session.clock.now().timestamp() - KEPT_SECONDS
            if is_old and path.name.partition(".")[0] not in wanted:
                path.unlink()


# --- requests that nobody knows yet -------------------------------------------------------------------------------


def _ahead(session: Session, job: Job) -> Ahead:
    """What one request of a job takes, by some rows of the job it follows and answers of no and of some length."""
    assert job.chain is not None
    usual = Ahead(rows_each=2 if job.chain.orders is Orders.BOTH else 1, most_rows=job.dataset.sample_rows)
    short, long = (_tokens(session, job, "x" * length) for length in (0, _LONG))
    if short is None or long is None:  # a template that wants more of an answer than a text
        return usual
    of_token = (long - short) / (_LONG / CHARACTERS_PER_TOKEN)
    short *= _share(session, job.chain.parents[0])
    known = [length for parent in job.chain.parents if (length := _longest(session, parent)) is not None]
    is_known = len(known) == len(job.chain.parents)
    return replace(usual, tokens=short, most_tokens=short + of_token * max(known) if is_known else None)


def _share(session: Session, address: str) -> float:
    """How much longer the requests of a job are than those of its first rows: the rows of its followers as well."""
    spec, sizes = spec_of(session, address), session.compiled[address].wanted.sizes
    if isinstance(spec, AudioJob):
        return 1.0
    if not sizes:
        return 1.0 if spec.chain is None else _share(session, spec.chain.parents[0])
    first = sizes[:_SAMPLE]
    return (sum(sizes) / len(sizes)) / (sum(first) / len(first))


def _tokens(session: Session, job: Job, answer: str) -> float | None:
    """Input tokens of a request, on average; None where no row can be rendered."""
    assert job.chain is not None
    with tempfile.TemporaryDirectory(prefix="runner-") as folder:
        path = Path(folder) / "rows.jsonl"
        try:
            path.write_bytes(_sample_file(session, job.chain, answer))
            dataset = replace(job.dataset, files=(str(path),), where=None, sample_rows=None)
            lines = session.remotes.lines(job.model.provider)
            wanted = compile_job(replace(job, dataset=dataset), session.project.root, lines).wanted
        except RunnerError:
            return None
        return wanted.tokens / len(wanted) if len(wanted) and not wanted.untold else None


def _sample_file(session: Session, chain: Chain, answer: str) -> bytes:
    """Some rows of answers, all of them the same."""
    out, parent = io.BytesIO(), chain.parents[0]
    with closing(_writer(session, out, parent, chain)) as writer:
        for custom_id, row in _sample(session, parent):
            writer.write(Merged(custom_id, row, msgspec.json.encode(answer), NULL, NULL, None, "", None))
        writer.finish()
    return out.getvalue() if chain.orders is None else _paired(out.getvalue(), answer)


def _paired(rows: bytes, answer: str) -> bytes:
    """Rows of one side of a pair with the same answer on the other."""
    lines = (msgspec.json.decode(line) for line in rows.splitlines())
    paired = ({**line, ID_COLUMN: f"{number}", SECOND: answer} for number, line in enumerate(lines))
    return b"".join(msgspec.json.encode(line) + b"\n" for line in paired)


def _sample(session: Session, address: str) -> list[tuple[str, bytes]]:
    """The first rows of a job with their ids; of one that has none yet, as they may come to be."""
    found = [(row.custom_id, row.row_json) for row in islice(session.compiled[address].rows(), _SAMPLE)]
    spec = spec_of(session, address)
    if found or spec.chain is None:
        return found
    return [("", line) for line in _sample_file(session, spec.chain, "").splitlines()]


def _longest(session: Session, address: str) -> float | None:
    """Tokens of the longest answer of a job; None where that is not known."""
    job = next(job for job in session.desired if job.address == address)
    if job.seconds is None:
        return job.max_output_tokens
    known = [length for length in job.seconds if length >= 0]
    return _TOKENS_A_SECOND * sum(known) / len(known) if len(known) == len(job.seconds) and known else None
