"""Which requests a remote batch holds, as its own files say: its input, or the lines of its results."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable
from pathlib import Path

from msgspec.structs import replace

from runner.apply.session import Session
from runner.errors import NotFound
from runner.job.observed import Observed
from runner.job.outcomes import Outcome
from runner.job.packed import KEY_BYTES, Sorter, union
from runner.job.wireid import key_of
from runner.mending import NOT_SO
from runner.remotes.reading.verdict import Unreadable
from runner.remotes.vendor import Provider, Reader

DOWNLOADS = 3  # of files that may have been cut on their way


def by_input(session: Session, provider: Provider, seen: Observed) -> tuple[bytes | None, int]:
    """The keys in the input of a batch, and its bytes; None where it cannot be had."""
    path = _scratch(session, "input", seen)
    try:
        provider.download_input(seen, path)
        return keys_in([path], session.remotes.reader(provider.origin.provider)), path.stat().st_size
    except NotFound:
        return None, 0
    finally:
        path.unlink(missing_ok=True)


def by_results(session: Session, provider: Provider, seen: Observed) -> bytes | None:
    """The keys that the result files of an ended batch name; None where there is none to be had.

    A download may be cut on its way. So where it holds more than they name, they are fetched again: of one that expired
    the lines of what was not answered may hide that others are missing.
    """
    keys = b""
    for _ in range(DOWNLOADS):
        found = _in_results(session, provider, seen, _told_in)
        keys = union([keys, *(told for told, _ in found)])
        if len(keys) // KEY_BYTES >= held_by(seen):
            break
    return keys or None


def held_by(seen: Observed) -> int:
    """How many requests a batch holds, as far as its remote counts them."""
    return max(seen.counts.total, seen.counts.completed + seen.counts.failed)


def answers(session: Session, provider: Provider, seen: Observed) -> bytes | None:
    """The keys that the result files of an ended batch have an answer to; None where a file of it is gone.

    Fetched again, as above, where more was answered than they hold.
    """
    keys = b""
    for _ in range(DOWNLOADS):
        found = _in_results(session, provider, seen, _answered_in)
        if len(found) < len(seen.result_files):
            return None
        keys = union([keys, *(answered for answered, _ in found)])
        if len(keys) // KEY_BYTES >= seen.counts.completed:
            break
    return keys


def proven(session: Session, provider: Provider, seen: Observed) -> bytes | None:
    """The keys that its results name, of a batch that shows in no other way whose it is; none of a stranger's.

    None while they do not say it: it has not ended, or what came of it has no line that can be read. What is a
    stranger's is remembered, so that it is read once. Raises RemoteError where its files cannot be had now.
    """
    if seen.remote_id in session.strangers():
        return b""
    if seen.remote_id not in session.told:
        if not seen.phase.has_ended or not seen.results_are_final:
            return None
        found = _in_results(session, provider, seen, _told_in)
        keys, others = union([told for told, _ in found]), sum(strangers for _, strangers in found)
        is_empty = not seen.counts.completed and not seen.counts.failed  # then it does not matter whose it is
        if keys or others or is_empty:
            learn(session, seen.remote_id, keys)
    return session.told.get(seen.remote_id)


def learn(session: Session, remote_id: str, keys: bytes) -> None:
    """Remember what the results of a batch name: for this command, and durably that it is nothing of ours."""
    session.told[remote_id] = keys
    project = session.records.project()
    if not keys and project is not None and remote_id not in project.strangers:
        session.records.save(replace(project, strangers=(*project.strangers, remote_id)))


def keys_in(paths: Iterable[Path], reader: Reader) -> bytes:
    """The keys of the requests that the lines of files make or answer; lines of somebody else have none."""
    return _told_in(paths, reader)[0]


def _in_results(
    session: Session, provider: Provider, seen: Observed, read: Callable[[Iterable[Path], Reader], tuple[bytes, int]]
) -> list[tuple[bytes, int]]:
    """What is read in each result file that is there."""
    path = _scratch(session, "results", seen)
    reader = session.remotes.reader(provider.origin.provider)
    found = []
    for file in seen.result_files:
        try:
            provider.download(file, path)
            found.append(read([path], reader))
        except NotFound:
            continue
        finally:
            path.unlink(missing_ok=True)
    return found


def _told_in(paths: Iterable[Path], reader: Reader) -> tuple[bytes, int]:
    """The keys in the lines of files, and how many lines name something that is no request of ours."""
    sorter, others = Sorter(), 0
    for path in paths:
        with path.open("rb") as lines:
            for line in lines:
                try:
                    name = reader.parts(line)[0]
                except (Unreadable, *NOT_SO):
                    continue
                key = key_of(name)
                if key is not None:
                    sorter.add(key)
                else:
                    others += bool(name)
    return sorter.sorted(), others


def _answered_in(paths: Iterable[Path], reader: Reader) -> tuple[bytes, int]:
    """The keys that the lines of files have an answer to, and how many lines have none for us."""
    sorter, others = Sorter(), 0
    for path in paths:
        with path.open("rb") as lines:
            for line in lines:
                try:
                    parsed = reader.parse(line.rstrip(b"\n"))
                except Unreadable:
                    others += 1
                    continue
                key = key_of(parsed.custom_id) if parsed.outcome is Outcome.OK else None
                if key is not None:
                    sorter.add(key)
                else:
                    others += 1
    return sorter.sorted(), others


def _scratch(session: Session, what: str, seen: Observed) -> Path:
    return session.memory.scratch / f"{what}-{hashlib.sha256(seen.remote_id.encode()).hexdigest()[:16]}.jsonl"
