"""All that a command looked at which had nothing to do: what `unchanged` holds the next one of the same words to.

It is told by what the specs name, file by file and folder by folder (a folder's time says that names came or went), and
by what the memory says of itself. Where that cannot be told by stats, nothing is kept: links in folders that a pattern
walks through, something that was written just now, work in flight.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import msgspec

from runner import files, gittree
from runner.apply import retention
from runner.apply.session import Session
from runner.cli.unchanged import Changing, record, running
from runner.compile.job import CompiledJob
from runner.data.files import signature
from runner.globs import is_magic
from runner.job.project import AnyJob, AudioJob
from runner.job.scored import scores_path
from runner.spec.memo import read_of
from runner.state.memory import Watched

_RACY_NS = 50_000_000  # before the command began
_MOST_RECORDS = 16  # of other words, or of a terminal of another width


class LookedAt(msgspec.Struct, frozen=True):
    """Paths from the project root."""

    paths: tuple[str, ...]
    logs: tuple[str, ...]  # which hold nothing


def looked_at(session: Session) -> LookedAt | None:
    """What the session was made of; None where this cannot be told, or somebody else has a part in it."""
    if running.get() is None or session.sandbox is not None or session.remotes.was_asked or session.notes:
        return None
    if any(batch.is_active for batch in session.records.batches()) or retention.is_ahead(session):
        return None
    watched = session.memory.watched()
    if watched is None or not session.memory.caches.is_dir():
        return None
    try:
        paths = dict.fromkeys(_paths(session, watched))
    except (OSError, Changing):
        return None
    root = session.project.root
    return LookedAt(tuple(paths), tuple(os.path.relpath(path, root) for path in watched.logs))


def keep(looked: LookedAt | None) -> None:
    """Keep what this command has said, for the same words while nothing changes. It must have had nothing to do."""
    asked = running.get()
    if looked is None or asked is None or not asked.said:
        return
    try:
        kept = record("".join(asked.said), looked.paths, looked.logs, asked.root, before_ns=asked.started_ns - _RACY_NS)
        _write(Path(asked.path), kept)
    except (Changing, OSError):  # of a folder that only can be read, too
        return


def _write(path: Path, kept: bytes) -> None:
    path.parent.mkdir(mode=0o700, exist_ok=True)
    others = [one for one in path.parent.iterdir() if one != path]
    for one in others if len(others) >= _MOST_RECORDS else ():
        one.unlink(missing_ok=True)
    files.write(path, kept, is_durable=False)


def _paths(session: Session, watched: Watched) -> Iterator[str]:
    """All of it, from the project root."""
    project, root = session.project, session.project.root
    for given in project.paths:
        yield from _tree(root, os.path.relpath(root / given, root))
    yield from read_of(project)
    for job in project.jobs:
        yield from _rows_of(job, root)
    for compiled in session.compiled.values():
        if isinstance(compiled, CompiledJob):
            yield from (stamp.path for stamp in compiled.inlined())
    for wanted in session.desired:
        yield from _tree(root, os.path.normpath(wanted.output), with_files=True)
        yield scores_path(wanted.output)
    for job in project.jobs:
        for output in job.pooled:
            yield from _tree(root, os.path.normpath(output), with_files=True)
    yield project.lock_name
    elsewhere = [*session.remotes.settings(), *watched.stamped]
    for folder in (root, *root.parents):  # of the checkout around it, or of one that may come to be
        elsewhere.append(folder / ".git")
        if elsewhere[-1].exists():
            elsewhere[-1] = gittree.index_of(folder)
            break
    yield from (os.path.relpath(path, root) for path in elsewhere)


def _rows_of(job: AnyJob, root: Path) -> Iterator[str]:
    """The files of a dataset or of recordings, and every folder in which there might be another."""
    if isinstance(job, AudioJob):
        for pattern in job.patterns:
            yield from _folders_of(pattern, root, with_files=True)
        return
    datasets = [job.dataset] if job.chain is None else []
    datasets += [job.evals.references.dataset] if job.evals.references is not None else []
    for dataset in datasets:
        yield from (stamp.path for stamp in signature(dataset, root))
        for pattern in dataset.files:
            yield from _folders_of(pattern, root)


def _folders_of(pattern: str, root: Path, *, with_files: bool = False) -> Iterator[str]:
    """Where a pattern looks."""
    parts = pattern.split("/")
    first = next((number for number, part in enumerate(parts) if is_magic(part)), None)
    if first is None:
        yield pattern
        return
    depth = None if "**" in parts else len(parts) - first - 1
    yield from _tree(root, "/".join(parts[:first]) or ".", depth, with_files=with_files)


def _tree(root: Path, below: str, depth: int | None = None, *, with_files: bool = False) -> Iterator[str]:
    """A file; or a folder, and those in it that are not hidden, and the files in all of them.

    depth: of folders below the first; None: all. Raises Changing for a link to a folder, which may be walked through.
    """
    top = root / below
    if not top.is_dir():
        yield below
        return
    for folder, folders, names in os.walk(top):
        inside = os.path.relpath(folder, root)
        is_last = depth is not None and len(Path(folder).relative_to(top).parts) >= depth
        folders[:] = [] if is_last else [name for name in folders if not name.startswith(".")]
        if any((Path(folder) / name).is_symlink() for name in folders):
            raise Changing
        yield inside
        if with_files:
            yield from (f"{inside}/{name}" for name in names)
