"""The raw result files of a job's batches, brought together: from our own objects where they are, else downloaded.

It changes no state and holds no lock: an apply may go on meanwhile.
"""

from __future__ import annotations

import shutil
import struct
from collections.abc import Callable, Collection, Iterable, Sequence
from enum import Enum
from functools import partial
from pathlib import Path

import msgspec

from runner import rawfile
from runner.apply.lineage import chain_of, last_links, name_of, of_job, shown_for
from runner.apply.rawfolder import RawFile, RawFolder
from runner.apply.session import Session
from runner.apply.sizes import largest_results
from runner.errors import AuthFailed, NotFound, NotSent, OutcomeUnknown, RunnerError
from runner.files import whole
from runner.job.infile import Run
from runner.job.observed import Observed, ResultFile
from runner.job.outcomes import ANSWERS, NO_LINE, place
from runner.job.packed import KEY_BYTES
from runner.job.recorded import Batch, Stage
from runner.plan.plan import make
from runner.remotes.vendor import LineageFile, Provider

OUTPUT, ERROR = "output", "error"
_ENTRY = struct.Struct(f">{KEY_BYTES}xQ")


class Lack(Enum):
    """What it means for the user that something of a batch was not brought."""

    NOTHING = "nothing"  # there is nothing, or it was had elsewhere
    RUNNING = "running"  # not yet
    NOT_RAW = "not raw"  # its answers are here, the remote's own files are not
    UNDECIDED = "undecided"  # a person decides first
    UNSEEN = "unseen"  # the remote cannot be asked now


class Miss(msgspec.Struct, frozen=True):
    """One batch and what is missing of it."""

    batch: str
    lack: Lack
    why: str


class _Work(msgspec.Struct):
    """One fetch under way. `misses` collects what could not be brought."""

    session: Session
    folder: RawFolder
    tell: Callable[[RawFile], None]
    misses: list[Miss] = msgspec.field(default_factory=list)
    indexes: dict[str, Run] = msgspec.field(default_factory=dict)  # by batch key
    unreachable: dict[str, RunnerError] = msgspec.field(default_factory=dict)  # by provider: it is not tried twice

    def remote_of(self, batch: Batch) -> Provider:
        """The provider to ask. Raises RunnerError as `Session.remote_of` does."""
        if error := self.unreachable.get(batch.origin.provider):
            raise error
        return self.session.remote_of(batch)

    def note(self, batch: Batch, error: RunnerError) -> str:
        """What went wrong, in words; remembered where it would go wrong again."""
        if isinstance(error, (NotSent, OutcomeUnknown, AuthFailed)):
            self.unreachable[batch.origin.provider] = error
        return error.message


def fetch(
    session: Session, addresses: Collection[str], folder: RawFolder, tell: Callable[[RawFile], None], *, lineage: bool
) -> list[Miss]:
    """Bring the files of these jobs into `folder`, each batch once; what is missing.

    Where there is nothing to bring, no folder is made.

    tell: called for each file once it is in the folder. Without `lineage` only batches whose outcomes are shown.
    """
    recorded = session.recorded()
    plan = make(session.desired, recorded, {}, scope=session.project.scope)
    found: list[tuple[str, list[Batch]]] = []
    done: set[str] = set()
    for job, rows in zip(session.desired, plan.rows, strict=True):
        if job.address in addresses:
            batches = (of_job if lineage else shown_for)(job, rows, recorded)
            found += [(job.address, [one for one in batches if one.key not in done and one.stage is not Stage.DROPPED])]
            done.update(batch.key for batch in found[-1][1])
    if not done:
        return []
    folder.claim()
    work = _Work(session, folder, tell, indexes={entry.batch.key: entry.index for entry in recorded.batches})
    for address, new in found:
        if lineage:
            _bring_chains(work, address, new)
        else:
            for batch in new:
                _bring(work, address, batch)
    folder.finish(is_complete=all(miss.lack is Lack.NOTHING for miss in work.misses))
    return work.misses


def _bring_chains(work: _Work, address: str, batches: Sequence[Batch]) -> None:
    """The files of every chain, oldest first: as the remote tells it, and from our own records what it does not."""
    had: set[str] = set()
    known: set[str] = set()  # of files that the remote could not tie to a batch
    for last in last_links(batches):
        told = _told(work, last)
        mine = [file for file in told if file.batch not in had or not file.batch]
        failed = {file.batch for file in mine if not _download(work, address, last, file, known)}
        had |= {file.batch for file in told} - failed - {""}
        for batch in chain_of(last, batches):
            if name_of(batch) not in had:
                had.add(name_of(batch))
                _bring(work, address, batch, known)


def _told(work: _Work, last: Batch) -> list[LineageFile]:
    """What the remote says of a chain; nothing where it cannot be asked about it."""
    if not last.remote_id or last.is_read_back:
        return []
    try:
        return work.remote_of(last).lineage(last.remote_id)
    except NotFound:
        return []
    except NotSent as error:
        _miss(work, last, Lack.NOTHING, f"taken from what is recorded here: {work.note(last, error)}")
    except RunnerError as error:
        _miss(
            work,
            last,
            Lack.UNSEEN,
            f"the earlier batches of its lineage cannot be asked for now: {work.note(last, error)}",
        )
    return []


def _download(work: _Work, address: str, last: Batch, told: LineageFile, known: set[str]) -> bool:
    """Bring one file of a chain; whether it is here."""
    try:
        provider = work.remote_of(last)
        file = work.folder.add(
            told.dataset or told.batch,
            _file_name(told.file),
            partial(provider.download, told.file),
            address=address,
            job=told.batch,
            kind=told.file.kind,
            dataset=told.dataset,
            parent=told.parent,
        )
    except NotFound:
        return False
    except RunnerError as error:
        work.misses.append(Miss(told.batch or told.dataset, Lack.UNSEEN, work.note(last, error)))
        return False
    if not told.batch:
        known.add(file.sha256)
    work.tell(file)
    return True


def _bring(work: _Work, address: str, batch: Batch, known: Iterable[str] = ()) -> None:
    """Bring the files of one batch: our own objects where they are whole, else what the remote offers.

    known: SHA-256 of files that are here under another name.
    """
    match batch.stage:
        case _ if batch.is_read_back:
            _miss(work, batch, Lack.NOT_RAW, f"its answers were read back from `{batch.found_in}`")
        case Stage.COLLECTED if not batch.results:
            _miss(work, batch, Lack.NOTHING, f"it has no result files ({batch.phase})")
        case Stage.COLLECTED if (objects := _objects(work, batch)) is not None:
            _copy(work, address, batch, objects, known)
        case Stage.COLLECTED if not batch.remote_id:
            _miss(work, batch, Lack.NOT_RAW, "its files here are damaged, and no remote has them")
        case Stage.SUBMITTED if not batch.remote_id:
            _miss(work, batch, Lack.RUNNING, f"still {batch.phase}")
        case Stage.COLLECTED | Stage.SUBMITTED:
            _from_remote(work, address, batch)
        case Stage.HELD:
            _miss(work, batch, Lack.UNDECIDED, "it is not known whether it was submitted")
        case _:
            _miss(work, batch, Lack.RUNNING, "it was not submitted yet")


def _miss(work: _Work, batch: Batch, lack: Lack, why: str) -> None:
    work.misses.append(Miss(name_of(batch), lack, why))


def _objects(work: _Work, batch: Batch) -> list[Path] | None:
    """The raw files of a collected batch as we keep them; None when one is not what was recorded."""
    paths = [work.session.objects.path(f"{batch.key}/{result.name}") for result in batch.results]
    whole = (rawfile.is_whole(path, one.size_bytes, one.sha256) for path, one in zip(paths, batch.results, strict=True))
    return paths if all(whole) else None


def _copy(work: _Work, address: str, batch: Batch, objects: Sequence[Path], known: Iterable[str]) -> None:
    kinds = _kinds(work.indexes.get(batch.key, b""), len(objects))
    for path, kind in zip(objects, kinds, strict=True):
        if known and rawfile.sha256_of(path) in known:
            continue
        file = work.folder.add(
            name_of(batch),
            f"{kind}.jsonl",
            partial(_copied, path),
            address=address,
            job=batch.remote_id,
            kind=kind,
            parent=batch.continued_from,
        )
        work.tell(file)


def _kinds(index: Run, files: int) -> list[str]:
    """What each raw file of a collected batch is: the first, and all that hold answers, are not error files.

    Unless it holds errors and nothing else: some remotes offer no answers then.
    """
    answers: set[int] = set()
    errors: set[int] = set()
    for (value,) in _ENTRY.iter_unpack(index[:]):
        outcome, file, offset = place(value)
        if offset != NO_LINE:
            (answers if outcome in ANSWERS else errors).add(file)
    return [ERROR if number not in answers and (number or number in errors) else OUTPUT for number in range(files)]


def _copied(source: Path, to: Path) -> None:
    with rawfile.opened(source) as raw, whole(to, mode=0o600) as out:
        shutil.copyfileobj(raw, out, 1 << 20)


def _from_remote(work: _Work, address: str, batch: Batch) -> None:
    try:
        provider = work.remote_of(batch)
        seen = provider.look(batch.remote_id)
        if not _has_files(work, batch, seen):
            return
        for offered in seen.result_files:
            file = work.folder.add(
                name_of(batch),
                _file_name(offered),
                partial(provider.download, offered, cap_bytes=largest_results(batch)),
                address=address,
                job=batch.remote_id,
                kind=offered.kind,
                parent=batch.continued_from,
            )
            work.tell(file)
    except NotFound:
        _miss(work, batch, Lack.UNDECIDED, "the remote no longer has it")
    except RunnerError as error:
        _miss(work, batch, Lack.UNSEEN, work.note(batch, error))


def _has_files(work: _Work, batch: Batch, seen: Observed) -> bool:
    """Whether there is something to download; noted where there is not."""
    if not seen.phase.has_ended:
        done = seen.counts.completed + seen.counts.failed
        _miss(work, batch, Lack.RUNNING, f"still {seen.phase}, {done:,} of {batch.rows:,} requests done")
    elif seen.result_files:
        return True
    elif not seen.results_are_final:
        _miss(work, batch, Lack.RUNNING, "it has ended; the remote has not named its result files yet")
    else:
        _miss(work, batch, Lack.NOTHING, f"it has no result files ({seen.phase})")
    return False


def _file_name(file: ResultFile) -> str:
    """What the remote calls a file, where it keeps it by name; else after its kind."""
    _, slash, name = file.ref.rpartition("/")
    return name if slash else f"{file.kind}.jsonl"
