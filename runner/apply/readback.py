"""Answers in output files that the state does not know are read back before anything is paid for.

Every line of an output carries its request's digest and its origin. So a fresh clone, a state restored from an older
backup, and results that came with a pull cost nothing again.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec
from msgspec.structs import replace

from runner.apply import answers, keep
from runner.apply.sandbox import SYNTHETIC
from runner.apply.session import Session
from runner.apply.work import Work
from runner.errors import RunnerError
from runner.job import lifecycle
from runner.job.calls import RAW, CallEntry, CallStep
from runner.job.cost import Used
from runner.job.observed import Origin
from runner.job.outcomes import paid
from runner.job.packed import KEY_BYTES, union, without
from runner.job.project import AnyJob, AudioJob
from runner.job.recorded import Batch, ProjectRecord, Tally
from runner.results.fingerprint import of_folder
from runner.results.index import lost_index
from runner.results.own import Cost
from runner.results.used import used_by_kept

if TYPE_CHECKING:
    from runner.results.readback import ReadBack, ReadBackFile

READ_BACK = "adopted"  # in keys of batches, as releases before wrote them


def remember(session: Session) -> ProjectRecord:
    """The project's record, after reading back what outputs say that was not written from this state.

    All of it is recorded in one go, with the project: a command that is killed before reads the files again.
    """
    before = session.records.project()
    record = before or ProjectRecord(session.project.namespace, session.clock.now())
    if record.name != session.project.namespace:
        record = replace(record, name=session.project.namespace)
    batches: list[Batch] = []
    sent: list[tuple[AnyJob, bytes]] = []
    known = _Known(session)
    read = {**record.pooled}
    for one in _of_others(session):
        found = _read(session, one)
        if found is None:
            continue
        for file in found.files:
            if one.is_pooled and not _is_from_here(session, file.origin):
                continue
            news = known.learn(file.origin, file.keys)
            if not news or file.origin == SYNTHETIC:  # a rehearsal's, which somebody put in its place
                continue
            batches.append(_answered(session, record, one, file))
            record = replace(record, next_sequence=record.next_sequence + 1)
            session.reporter.step(f"{one.job.address}: read back {news:,} answers from `{one.path}`")
        if one.is_pooled:
            read[one.path] = one.fingerprint
        elif found.sent and one.is_selected and _cannot_be_searched(session, one.job):
            sent.append((one.job, found.sent))
    if read != record.pooled:
        record = replace(record, pooled=read)
    for job, keys in sent:  # what several jobs want is held once, and decided about once
        origin = str(session.remotes.origin(job.model.provider))
        if left := known.never_sent(origin, keys):
            batches.append(_still_unknown(session, record, job, left))
            record = replace(record, next_sequence=record.next_sequence + 1)
    if record != before:
        session.records.save(*batches, record)
    return record


def has_outputs(session: Session) -> bool:
    """Whether there are output files that answers could be read back from."""
    return any(True for _ in _of_others(session))


class _Output(msgspec.Struct, frozen=True):
    """An output that this state did not write."""

    number: int
    job: AnyJob
    path: str
    is_selected: bool = True
    is_pooled: bool = False  # another environment's, whose answers count here too
    fingerprint: str = ""


def _of_others(session: Session) -> Iterator[_Output]:
    """Outputs that are there, and are not what this state says that it wrote last. Then those of jobs that were not
    selected: what they have answered is not asked again for another job either. Then those of the environments whose
    answers count, as far as they have not been read as they are.
    """
    records = session.records.jobs()
    jobs = (*session.project.jobs, *session.project.left_out)
    for number, job in enumerate(jobs):
        path, record = session.project.root / job.output, records.get(job.address)
        if record is not None and record.output == job.output and keep.is_as_left(session, path, record.written):
            continue
        if _was_written(path, is_folder=answers.is_folder(job.output)):
            yield _Output(number, job, job.output, number < len(session.project.jobs))
    read = before.pooled if (before := session.records.project()) else {}
    pooled = ((job, output) for job in jobs for output in job.pooled)
    for number, (job, output) in enumerate(pooled, len(jobs)):
        path, is_folder = session.project.root / output, answers.is_folder(output)
        if not _was_written(path, is_folder=is_folder):
            continue
        digest_of = session.digests.of
        fingerprint = of_folder(path, digest_of) if is_folder else digest_of(path).hex()
        if read.get(output) != fingerprint:
            yield _Output(number, job, output, is_pooled=True, fingerprint=fingerprint)


def _is_from_here(session: Session, origin: str) -> bool:
    """Whether answers came from where the specs would ask now: those of another place stand for nothing here."""
    provider = origin_of(origin).provider
    with suppress(RunnerError):  # nobody said whose account it would be
        return provider in session.project.providers and str(session.remotes.origin(provider)) == origin
    return False


def _was_written(path: Path, *, is_folder: bool) -> bool:
    """Whether there is something to read back. A folder without results of ours is: its answers have to be missed."""
    return path.is_dir() and any(path.iterdir()) if is_folder else path.is_file()


class _Known:
    """What is on record, and what was read back by now, by origin: packed keys."""

    def __init__(self, session: Session) -> None:
        self._session = session
        self._answered: dict[str, bytes] = {}
        self._sent: dict[str, bytes] | None = None

    def learn(self, origin: str, keys: bytes) -> int:
        """How many of these answers are news; from now on they are none."""
        self._read()
        news = len(without(keys, self._answered.get(origin, b""))) // KEY_BYTES
        self._answered[origin] = union([self._answered.get(origin, b""), keys])
        return news

    def never_sent(self, origin: str, keys: bytes) -> bytes:
        """Those of some requests that no record and no output speaks of, but for this; from now on one does."""
        sent = self._read()
        left = without(without(keys, self._answered.get(origin, b"")), sent.get(origin, b""))
        sent[origin] = union([sent.get(origin, b""), left])
        return left

    def _read(self) -> dict[str, bytes]:
        """Once, and only when an output is read at all."""
        if self._sent is None:
            self._sent = {}
            for entry in self._session.recorded().batches:
                origin = str(entry.batch.origin)
                self._sent[origin] = union([self._sent.get(origin, b""), entry.keys[:]])
                self._answered[origin] = union([self._answered.get(origin, b""), paid(entry.index)])
        return self._sent


def _read(session: Session, one: _Output) -> ReadBack | None:
    from runner.results.readback import read_back

    job = one.job
    parts = session.memory.scratch / f"{READ_BACK}-{one.number}"
    try:
        found = read_back(session.project.root / one.path, parts, {*job.columns} & {*Cost._fields})
    except RunnerError as error:
        session.reporter.warn(f"{job.address}: `{one.path}` was not read back: {error.message}")
        return None
    if found.damaged:
        skipped = "1 line was" if found.damaged == 1 else f"{found.damaged:,} lines were"
        session.reporter.warn(f"{job.address}: {skipped} skipped: {found.damaged_examples[0]}")
    return found


def _cannot_be_searched(session: Session, job: AnyJob) -> bool:
    """Whether what a remote may have of a job can be found nowhere but in outputs, and would be paid for again."""
    card = session.remotes.card(job.model.provider, job.content, job.transport)
    return not card.search.can_list and not card.is_free


def _still_unknown(session: Session, record: ProjectRecord, job: AnyJob, keys: bytes) -> Batch:
    """Requests that a remote may have, as an output says: a person decides about them."""
    key = f"{READ_BACK}-{record.next_sequence}-held"
    session.objects.remove(key)  # of a command that was killed
    batch = Batch(
        key=key,
        project=record.name,
        owner=job.address,
        origin=session.remotes.origin(job.model.provider),
        endpoint=job.path if isinstance(job, AudioJob) else "",
        model=job.model.name,
        window_hours=job.window_hours,
        rows=len(keys) // KEY_BYTES,
        size_bytes=0,
        keys_sha256=session.objects.write(f"{key}/keys", keys),
        attempt=1,
        generation=0,
        sequence=record.next_sequence,
        intent_at=session.clock.now(),
        content=job.content,
        delivery=session.remotes.card(job.model.provider, job.content, job.transport).delivery,
        transport=job.transport,
    )
    if not batch.has_journal:
        sha256 = session.objects.write(f"{key}/index", lost_index(keys))
        return lifecycle.unknown(batch, sha256, f"`{job.output}` says that it may have been sent")
    with Work(session, batch) as work:  # its journal first: what is on record without one would be sent
        work.journal.append(*(CallEntry(number, CallStep.HELD) for number in range(batch.rows)))
    return lifecycle.begun(batch, "read back", batch.intent_at)


def _answered(session: Session, record: ProjectRecord, one: _Output, file: ReadBackFile) -> Batch:
    job = one.job
    key, now = f"{READ_BACK}-{record.next_sequence}-read", session.clock.now()
    file.path.replace(session.objects.place(f"{key}/{RAW}"))
    raw = session.objects.keep(key, RAW)
    # what another environment spent is counted there
    used = Used() if one.is_pooled else used_by_kept(session.objects.path(f"{key}/{RAW}"), job.content)
    session.objects.write(f"{key}/keys", file.keys)
    index_sha256 = session.objects.write(f"{key}/index", file.index)
    batch = Batch(
        key=key,
        project=record.name,
        owner=job.address,
        origin=origin_of(file.origin),
        endpoint="",
        model="",
        window_hours=24,
        rows=file.rows,
        size_bytes=raw.size_bytes,
        keys_sha256=hashlib.sha256(file.keys).hexdigest(),
        attempt=1,
        generation=0,
        sequence=record.next_sequence,
        intent_at=now,
        found_in=one.path,
    )
    return lifecycle.read_back(batch, index_sha256, Tally(ok=file.rows), now, (raw,), used)


def origin_of(text: str) -> Origin:
    """The Origin that prints as `text`."""
    provider, _, rest = text.partition("@")
    host, _, account = rest.partition("/")
    return Origin(provider, host, account)
