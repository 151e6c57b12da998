"""What jobs asked before: as this memory recorded it, or as a git revision has it.

Neither is believed for what it says: whether a request was really asked is told by its digest, which either is among
those on record or is not.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Protocol

import msgspec
from msgspec.structs import replace

from runner.apply.revision import Revision
from runner.apply.session import Session
from runner.data.files import content_digest
from runner.data.inlined import InlinedFiles
from runner.errors import RunnerError, StateError
from runner.job import asked
from runner.job.asked import AskedJob
from runner.job.project import AnyJob, Job
from runner.job.recorded import Stage
from runner.plan.compared import RECORDED
from runner.remotes.registry import lines_of
from runner.remotes.vendor import Lines
from runner.spec.chosen import NOTHING, Chosen

_MOST_BYTES = 256 << 20  # of the files of one dataset of a revision


class Before(msgspec.Struct, frozen=True):
    """One job as it was declared."""

    job: AnyJob
    root: Path  # where the files of its dataset are looked for
    since: str  # in words, what it is
    content: str = ""  # SHA-256 (hex) of what its dataset held; empty where that is not known
    lines: Lines | None = None  # how its requests were written; None for recordings
    files: InlinedFiles | None = None  # that go into them; None: those below `root`
    files_sha256: str = ""  # of what these held; empty where that is not known


class Source(Protocol):
    """Where jobs as they were are to be had."""

    def before(self, address: str) -> Before | None:
        """A job as it was; None where that is not known."""
        ...


class Records:
    """What this memory recorded when it sent requests, or wrote results. Raises StateError for what is damaged."""

    def __init__(self, session: Session) -> None:
        self._session = session
        self._objects: dict[str, Mapping[str, AskedJob]] = {}
        newest: dict[str, tuple[float, str]] = {}
        told = [(b.owner, b.intent_at, b.asked) for b in session.records.batches() if b.stage is not Stage.DROPPED]
        told += [(r.address, r.written_at, r.asked) for r in session.records.jobs().values() if r.written_at]
        for address, when, name in told:
            if name and (address not in newest or newest[address][0] <= when.timestamp()):
                newest[address] = when.timestamp(), name
        self._newest = {address: name for address, (_, name) in newest.items()}

    def before(self, address: str) -> Before | None:
        session = self._session
        known = self._read(self._newest.get(address, "")).get(address)
        now = next((job for job in session.project.jobs if job.address == address), None)
        if known is None or now is None:
            return None
        job, lines = known.job, None
        if isinstance(job, Job):
            if isinstance(now, Job) and now.chain is not None:  # its rows are answers that are there now
                job = replace(job, dataset=replace(job.dataset, files=now.dataset.files))
            block = session.project.providers.get(job.model.provider)
            lines = lines_of(block) if block is not None else None
        root = session.project.root
        return Before(job, root, RECORDED, known.content, lines, files_sha256=known.files_sha256)

    def _read(self, name: str) -> Mapping[str, AskedJob]:
        if not name:
            return {}
        if name not in self._objects:
            try:
                self._objects[name] = asked.decode(self._session.objects.read_set(name))
            except StateError:  # it is for people to read, and nothing hangs on it
                self._objects[name] = {}
        return self._objects[name]


class Committed:
    """The specs and the datasets of a git revision."""

    def __init__(self, session: Session, name: str, folder: Path, chosen: Chosen = NOTHING) -> None:
        """folder: an empty one of our own. chosen: the environment and the vars of this command.

        What the specs of the revision are is no reason to fail: `note` says what is wrong with them. Raises UsageError
        for a revision that there is not, RunnerError, OSError.
        """
        self._revision = Revision(session.project.root, name)
        self._folder = folder
        self._contents: dict[tuple[str, ...], str] = {}
        self.since = f"`{name}` ({self._revision.commit[:7]})"
        self.note = ""
        self._jobs: Mapping[str, AnyJob] = {}
        self._revision.copy_specs(folder)
        try:
            from runner.spec.load import load  # few plans read other specs than those that are known already

            project = load(session.project.paths, folder, chosen)
        except RunnerError as error:
            self.note = f"the specs of {self.since} cannot be read here, so what changed is not told: {error.message}"
            return
        self._jobs = {job.address: job for job in project.jobs}
        self._providers = project.providers

    def before(self, address: str) -> Before | None:
        job = self._jobs.get(address)
        if job is None:
            return None
        if not isinstance(job, Job):
            return Before(job, self._folder, self.since)
        lines = lines_of(self._providers[job.model.provider])
        files = InlinedFiles(self._folder, bring=self._bring) if job.prompt.inlines_files else None
        return Before(job, self._folder, self.since, self._content_of(job), lines, files)

    def _bring(self, path: str) -> bool:
        """A file as it was committed, that a row of the revision names."""
        return self._revision.copy_matching((path,), self._folder, most_bytes=_MOST_BYTES, is_literal=True)

    def _content_of(self, job: Job) -> str:
        """Of the files of its dataset, which lie in the folder from then on; empty where they cannot be had."""
        files = job.dataset.files
        if job.chain is not None:
            return ""
        if files not in self._contents:
            self._contents[files] = ""
            if self._revision.copy_matching(files, self._folder, most_bytes=_MOST_BYTES):
                try:
                    self._contents[files] = content_digest(job.dataset, self._folder)
                except (RunnerError, OSError):
                    return ""
        return self._contents[files]
