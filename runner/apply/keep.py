"""What stands where an output goes, and is not ours to write over: told before anything is sent, and kept.

Ours is what the record says we wrote there, and, in a fresh clone, what reads as results of ours. Anything else blocks
its job. What was ours and was changed since is kept: a table under another name, a corrected transcript where it is.
"""

from __future__ import annotations

import filecmp
import os
import shutil
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path

from msgspec.structs import replace

from runner.apply.session import Session
from runner.apply.tables import about_of, table_of, wanted_of
from runner.errors import DataError, RunnerError
from runner.files import sha256_of
from runner.job.desired import Desired
from runner.job.project import AnyJob, AudioJob
from runner.job.recorded import JobRecord
from runner.job.written import Written
from runner.results import columns, fingerprint, ours, readback
from runner.results.proved import Proof, is_proved
from runner.results.transcript import SUFFIXES

_BACKUPS = 1000


def judged(session: Session) -> list[Desired]:
    """The jobs, those with something in their way saying so."""
    records = session.records.jobs()
    return [
        replace(job, in_the_way=found) if (found := _in_the_way(session, job, records)) else job
        for job in session.desired
    ]


def _in_the_way(session: Session, job: Desired, records: Mapping[str, JobRecord]) -> str:
    """Why the output of a job may not be written, with the way out; empty where it may."""
    path = session.project.root / job.output
    if not os.path.lexists(path):
        return ""
    mine = records.get(job.address)
    if mine is not None and mine.output == job.output and mine.written_sha256:
        return ""
    for record in records.values():
        if record.output == job.output and record.written_sha256 and record.address != job.address:
            return _of_other_specs(session, record)
    found = _strangers_in(path, _recordings(session, job)) if job.output.endswith("/") else _strange_table(path)
    return f"{found}; move it away, or choose another `output` at {job.declared_at}" if found else ""


def _of_other_specs(session: Session, record: JobRecord) -> str:
    """A file that a job of this state wrote: nobody's any more, unless that job is in specs that were not read."""
    if record.declared_in in session.project.files or not (session.project.root / record.declared_in).is_file():
        return ""
    where = f"job `{record.address}` of {record.declared_in}, which was not read"
    return f"`{record.output}` is the output of {where}; choose another `output`"


def _strange_table(path: Path) -> str:
    shown = path.name
    try:
        if path.is_file() and (not path.stat().st_size or readback.is_ours(path)):
            return ""
    except (OSError, RunnerError) as error:
        return f"`{shown}` is there already, and cannot be read: {error}"
    return f"`{shown}` is there already, and runner did not write it"


def _spec_of(session: Session, job: Desired) -> AnyJob:
    return next(spec for spec in session.project.jobs if spec.address == job.address)


def _recordings(session: Session, job: Desired) -> Iterator[str]:
    """The recordings of a job that lie below its output."""
    spec = _spec_of(session, job)
    rows = session.compiled[job.address].rows() if isinstance(spec, AudioJob) else iter(())
    return (row.custom_id for row in rows if row.custom_id.startswith(job.output))


def _strangers_in(folder: Path, recordings: Iterator[str]) -> str:
    """Beside recordings only what could be taken for a transcript is in the way, elsewhere any file."""
    if not folder.is_dir():
        return f"`{folder.name}` is there already, and is not a folder"
    try:
        if any(True for _ in ours.Ours.lines_in(folder)) or ours.Ours.was_begun(folder):
            return ""
    except DataError as error:
        return error.message
    lies_beside = next(recordings, None) is not None
    for above, folders, files in os.walk(folder):
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        for name in sorted(files):
            if name.startswith(".") or (lies_beside and os.path.splitext(name)[1] not in SUFFIXES):  # noqa: PTH122
                continue
            shown = Path(above, name).relative_to(folder)
            return f"`{folder.name}/` holds files that runner did not write, such as `{shown}`"
    return ""


# --- what was ours, and was changed since -------------------------------------------------------------------------


def is_as_left(session: Session, path: Path, written: Written | None) -> bool:
    """Whether an output, or scores beside it, is there, and holds what this state wrote last, whenever it was touched.

    written: what that was; None where no record speaks of the file.
    """
    if written is None:
        return False
    if written.output.endswith("/"):
        return fingerprint.of_folder(path, session.digests.of) == written.fingerprint
    if not path.is_file():
        return False
    with suppress(OSError, ValueError):  # the second: what an earlier release wrote says nothing of it
        if written.pieces:
            return session.digests.holds(path, session.objects.read_set(written.pieces))
        if not written.sha256:
            return fingerprint.is_as_stat(path, written.fingerprint)
        return session.digests.of(path).hex() == written.sha256
    return False


Proves = Callable[[Path], bool]  # whether a file that no record speaks of shows by itself that nobody edited it


def proves_itself(session: Session, job: Desired) -> Proves:
    """The same of the results of a job. A .parquet always does: nobody edits that by hand, and equal rows may have
    other bytes.
    """

    def proves(path: Path) -> bool:
        if path.suffix.lower() == ".parquet":
            return True
        spec = _spec_of(session, job)
        table = table_of(spec, session.compiled[spec.address].rows, session.project.root, job, session.steps(spec))
        known = columns.ours(about_of(spec), is_of_recordings=isinstance(spec, AudioJob))
        return is_proved(path, Proof(table, known, wanted_of(spec), session.remotes.reader))

    return proves


def _is_changed(session: Session, path: Path, written: Written | None, proves: Proves) -> bool:
    """Whether there is a table that is not, byte by byte, what we wrote last, and has to be kept.

    What no record speaks of counts as changed where it does not prove otherwise. An empty file is nothing to keep.
    """
    if not path.is_file() or not path.stat().st_size:
        return False
    return not proves(path) if written is None else not is_as_left(session, path, written)


def foretold(session: Session, job: Desired, record: JobRecord | None) -> str:
    """What writing the output of a job will leave as it is, in words; empty where that is nothing."""
    path = session.output_file(job.output)
    if not job.output.endswith("/"):
        written = record.written if record else None
        return foretold_of_table(session, job.output, written, proves_itself(session, job))
    if not path.is_dir():
        return ""
    wanted = {row.custom_id for row in session.compiled[job.address].rows()}
    edited, orphans = [], []
    for listed in ours.Ours.lines_in(path):
        file = path / (listed.transcript or "")
        if not listed.transcript or not file.is_file():
            continue
        if listed.file not in wanted:
            orphans.append(listed.transcript)
        elif listed.sha256 and sha256_of(file).hex() != listed.sha256:
            edited.append(listed.transcript)
    return ours.told(edited, orphans)


def foretold_of_table(session: Session, output: str, written: Written | None, proves: Proves) -> str:
    """The same of one table, or of scores. written: what this state wrote last, there or under an earlier name."""
    there = _there(output, written)
    if not _is_changed(session, session.output_file(output), there, proves):
        return ""
    what = "the changed file" if there else "the file that is there"
    return f"{what} is kept as `{_backup_of(Path(output), session.outputs_root)}`"


def _there(output: str, written: Written | None) -> Written | None:
    return written if written is not None and written.output == output else None


@contextmanager
def keeping(session: Session, output: str, written: Written | None, proves: Proves) -> Iterator[list[str]]:
    """Write a table in this block: one that is there, and is not what we wrote, stays under another name.

    written: as in `foretold_of_table`. Yields a list that says what is kept, and why, once the block has ended well,
    unless the same bytes were written again.
    """
    kept: list[str] = []
    root, path = session.outputs_root, session.outputs_root / output
    there = _there(output, written)
    if not _is_changed(session, path, there, proves):
        yield kept
        return
    # The second name is there before the new file takes the first: at no moment is the edited file under none. A kill
    # in between leaves one file under two names, which the next command knows by `samefile` and takes for the same
    # backup.
    backup = root / _backup_of(Path(output), root)
    _link(Path(os.path.realpath(path)), backup)
    try:
        yield kept
        if filecmp.cmp(path, backup, shallow=False):
            backup.unlink()
        else:
            why = "was changed since it was written" if there else "does not show that nobody edited it"
            kept.append(f"`{output}` {why}: kept as `{backup.relative_to(root)}`")
    except BaseException:
        with suppress(OSError):
            backup.unlink()
        raise


def _backup_of(output: Path, root: Path) -> Path:
    """The first free name, or one that is the same file already: a command was killed meanwhile."""
    names: Iterable[str] = (f"{output.name}.bak{number if number > 1 else ''}" for number in range(1, _BACKUPS))
    for name in names:
        there = root / output.with_name(name)
        if not os.path.lexists(there) or (
            there.is_file() and (root / output).is_file() and there.samefile(root / output)
        ):
            return output.with_name(name)
    raise RunnerError(f"`{output}` has {_BACKUPS:,} backups beside it", hint="remove some of them")


def _link(path: Path, backup: Path) -> None:
    with suppress(FileExistsError):
        try:
            os.link(path, backup)
        except FileExistsError:
            raise
        except OSError:  # not every file system has links
            shutil.copy2(path, backup)
