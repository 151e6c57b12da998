"""Everything one apply works with, in one place: the project, its memory, the remotes, the clock."""

from __future__ import annotations

import math
import threading
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from concurrent.futures import Executor, ThreadPoolExecutor
from contextlib import suppress
from datetime import datetime
from functools import partial
from pathlib import Path

import msgspec
from msgspec.structs import replace

from runner.apply import noted, validity
from runner.apply.desire import Compiler
from runner.apply.errors import StepError
from runner.apply.remotes import Remotes
from runner.apply.reporter import Reporter, progress_of
from runner.apply.sandbox import SYNTHETIC, SandboxState
from runner.apply.tables import Steps, picks_of, wanted_of
from runner.clock import Clock
from runner.compile.compiled import Compiled
from runner.compile.job import CompiledJob
from runner.compile.spool import Spool
from runner.data.digests import Digests, Forgetful
from runner.errors import DataError, NotSent, StateError
from runner.job import asked
from runner.job.calls import so_far
from runner.job.capabilities import Capabilities, Search, Shown
from runner.job.desired import Desired, distinct_of
from runner.job.infile import Run, are_same
from runner.job.observed import Origin
from runner.job.packed import common
from runner.job.project import Job, Project
from runner.job.recorded import Accounted, Batch, JobRecord, ProjectRecord, Stage
from runner.plan import adoption
from runner.plan.answered import Answered
from runner.plan.plan import Recorded
from runner.plan.remaining import BatchRows, RetryRows
from runner.plan.repay import LeftRows
from runner.plan.since import Folds
from runner.remotes.vendor import Provider
from runner.results.locate import OutcomeSource
from runner.state.memory import Memory, Objects, Records

_NOT_SEEN = Shown()
TELL_SECONDS = 0.5  # between two words about how far jobs are, within a pass


def threads(number: int) -> Executor:
    """So many threads for calls that wait on a remote."""
    return ThreadPoolExecutor(number, thread_name_prefix="calls")


class Session(msgspec.Struct):
    """One command's view of one project."""

    project: Project
    desired: Sequence[Desired]
    compiled: Mapping[str, Compiled]
    memory: Memory
    remotes: Remotes
    clock: Clock
    reporter: Reporter
    stop: threading.Event
    poll_seconds: float | None = None
    sandbox: SandboxState | None = None  # in a rehearsal
    digests: Digests = msgspec.field(default_factory=lambda: Digests(Forgetful()))  # of files: outputs, datasets
    spool: Spool | None = None  # lines of what was compiled just now
    out_of_money: dict[str, StepError] = msgspec.field(default_factory=dict)  # jobs nothing more is sent of, by address
    written_off: set[str] = msgspec.field(default_factory=set)  # batches of that kind that could not be looked for
    fetched_again: set[str] = msgspec.field(default_factory=set)  # batches whose files were short, by key
    said: set[str] = msgspec.field(default_factory=set)  # troubles that a warning was given of, and that last
    to_account: dict[Origin, Accounted] = msgspec.field(default_factory=dict)  # of the last list of each remote
    accepted: set[Origin] = msgspec.field(default_factory=set)  # where a person said that what is in doubt is not ours
    listed_anew: set[Origin] = msgspec.field(default_factory=set)  # remotes that were listed for late creates
    told_refusals: set[str] = msgspec.field(default_factory=set)  # jobs whose refused batches were spoken of
    told_limits: set[str] = msgspec.field(default_factory=set)  # providers whose "later" to a search was spoken of
    tried: set[str] = msgspec.field(default_factory=set)  # batches of which something was to be deleted, by key
    drops: dict[str, int] = msgspec.field(default_factory=dict)  # creates that were found not to have happened, by set
    left_alone: set[str] = msgspec.field(
        default_factory=set
    )  # remote ids of batches of ours that a search found unneeded
    # Creates that were given up, are there, and hold what nobody has answered: by remote id, their provider
    late: dict[str, str] = msgspec.field(default_factory=dict)
    told: dict[str, bytes] = msgspec.field(default_factory=dict)  # by remote id, the keys that results name
    live: dict[str, Batch] = msgspec.field(default_factory=dict)  # as last seen, counts included, by batch
    home: dict[str, Batch] = msgspec.field(default_factory=dict)  # what this command brought home, by batch
    seen_at: dict[str, datetime] = msgspec.field(
        default_factory=dict
    )  # when its remote last told of a batch, by our clock
    parallelism: int | None = None  # calls at once, where each request is a call of its own
    pool: Callable[[int], Executor] = threads
    heard: Callable[[int, bytes, float], None] = lambda number, line, ms: None  # a call has its line of results, in ms
    steps: Steps = picks_of  # what is worked out for the results of each job
    compiler: Compiler | None = None  # of jobs that ask about the answers of others
    reads_outputs: bool = False  # answers are what outputs hold, whatever is recorded
    relocked: Callable[[Sequence[Desired]], Sequence[str]] | None = None  # jobs that ask for what is locked
    followed: object = None  # the records by which jobs were compiled that ask about answers
    was_kept: bool = False  # and one of them kept its rows, though there may be more answers
    behind: frozenset[str] = frozenset()  # jobs that could not be compiled over the answers there are
    silent: dict[str, str] = msgspec.field(default_factory=dict)  # by job: answers it cannot ask about, in words
    folds: Folds = msgspec.field(default_factory=Folds)
    _told_at: float = -math.inf
    _declared: tuple[Project, str] | None = None
    of_others: Callable[[], Iterable[str]] = tuple  # remote ids that other environments have on record here
    _of_others: tuple[str, ...] | None = None
    _keys: dict[str, Run] = msgspec.field(default_factory=dict)
    _sets: dict[str, bytes] = msgspec.field(default_factory=dict)
    _recorded_keys: dict[str, tuple[str, Run]] = msgspec.field(default_factory=dict)  # by job, under which name
    _noted: dict[str, tuple[JobRecord, Answered | None]] = msgspec.field(default_factory=dict)  # by job, of its record
    _loaded: dict[str, tuple[str, BatchRows]] = msgspec.field(default_factory=dict)
    _verdicts: dict[str, tuple[str, bytes]] = msgspec.field(default_factory=dict)  # by batch, its index as judged

    @property
    def notes(self) -> list[str]:
        """What is odd about the specs and their rows, and keeps nothing from being sent."""
        found = (note for compiled in self.compiled.values() for note in compiled.notes)
        return list(dict.fromkeys([*self.project.warnings, *found, *self.silent.values()]))

    def put(self, jobs: Mapping[str, tuple[Job, Compiled, Desired]]) -> None:
        """Take in jobs whose rows have come or changed, in the place of what was known of them."""
        specs = tuple(jobs[spec.address][0] if spec.address in jobs else spec for spec in self.project.jobs)
        self.project = replace(self.project, jobs=specs)
        self.compiled = {**self.compiled, **{address: compiled for address, (_, compiled, _) in jobs.items()}}
        known = {job.address: job for job in self.desired}
        known.update((address, desired) for address, (_, _, desired) in jobs.items())
        self.desired = [known[address] for address in sorted(known)]
        for address in jobs:
            self._keys.pop(address, None)

    def keep(self, addresses: Collection[str]) -> None:
        """Be about these jobs alone."""
        self.project = self.project.keeping(addresses)
        self.compiled = {address: one for address, one in self.compiled.items() if address in addresses}
        self.desired = [job for job in self.desired if job.address in addresses]
        self.silent = {address: said for address, said in self.silent.items() if address in addresses}

    def is_about(self, batch: Batch) -> bool:
        """Whether a batch was asked by a job of these specs that is selected, or by one that they declared once."""
        return self.project.scope.covers(batch.owner, batch.declared_in)

    def warn_once(self, about: str, text: str) -> None:
        """Warn of a trouble that may last over many passes: when it begins, and not again before `is_over(about)`."""
        if about not in self.said:
            self.said.add(about)
            self.reporter.warn(text)

    def is_over(self, about: str) -> None:
        """What `warn_once` told about has passed."""
        self.said.discard(about)

    def tell(self, batch: Batch) -> None:
        """Show where this batch is now, beside all others in flight; not more often than can be read."""
        self.live[batch.key] = batch
        now = self.clock.monotonic()
        if now - self._told_at < TELL_SECONDS:
            return
        self._told_at = now
        wanted = {job.address for job in self.desired}
        active = [one for one in self.records.batches() if one.is_active and one.owner in wanted]
        live = [self.live.get(one.key, one) for one in active]
        self.reporter.progress(progress_of(live, self.seen_at, home=self.home.values()))

    @property
    def records(self) -> Records:
        return self.memory.records

    @property
    def objects(self) -> Objects:
        return self.memory.objects

    def declared(self) -> str:
        """The object that says how the jobs are declared now, for what is recorded of them. Raises StateError."""
        if self._declared is None or self._declared[0] is not self.project:
            jobs = {
                job.address: (job, self.content_of(job.address), self.files_sha256_of(job.address))
                for job in self.project.jobs
            }
            self._declared = self.project, self.objects.write_set(asked.encode(jobs))
        return self._declared[1]

    def content_of(self, address: str) -> str:
        """SHA-256 (hex) of what a job's dataset holds; empty where it has no files, or they changed just now."""
        compiled = self.compiled.get(address)
        if not isinstance(compiled, CompiledJob) or compiled.job.chain is not None:
            return ""
        with suppress(DataError):
            return compiled.content()
        return ""

    def files_sha256_of(self, address: str) -> str:
        """SHA-256 (hex) of the files that the requests of a job hold; empty where they hold none."""
        compiled = self.compiled.get(address)
        return compiled.parts.inlined.sha256 if isinstance(compiled, CompiledJob) else ""

    @property
    def outputs_root(self) -> Path:
        """Where results files are written: below the project root, or below the sandbox of a rehearsal."""
        return self.sandbox.outputs if self.sandbox else self.project.root

    def output_file(self, output: str) -> Path:
        """The results file that stands for `output` now: until a rehearsal has written its own, the real one."""
        path = self.outputs_root / output
        return path if self.sandbox is None or path.exists() else self.project.root / output

    def origin_shown(self, batch: Batch) -> str:
        """Whose answers these are, as results files say it. What a rehearsal made up can never be read back as real."""
        return SYNTHETIC if self.sandbox and self.sandbox.made(batch) else str(batch.origin)

    def recorded(self) -> Recorded:
        """What is recorded now, with key sets and indexes read (and kept, since they never change)."""
        project = self.records.project()
        jobs = {address: (record, self._set_of(record)) for address, record in self.records.jobs().items()}
        known = {address: self._answered_of(*of_job) for address, of_job in jobs.items()}
        return Recorded(
            batches=[self._rows_of(batch) for batch in self.records.batches()],
            jobs=jobs,
            retries=[
                RetryRows(
                    retry.generation,
                    self.objects.read_set(retry.keys_object),
                    retry.replaces,
                )
                for retry in self.records.retries()
            ],
            accepted_origins=project.accepted_origins if project else {},
            left=self._left(project),
            shown=project.shown if project else {},
            flawed={
                address: self.objects.read_set(record.flawed_object)
                for address, record in self.records.jobs().items()
                if record.flawed_object
            },
            answered={address: one for address, one in known.items() if one is not None},
            folds=self.folds,
        )

    def _left(self, project: ProjectRecord | None) -> list[LeftRows]:
        """Batches of ours that a search found and nobody wanted, as far as it is known whose they were."""
        names = sorted({name for found in project.left.values() for name in found}) if project else []
        whose = project.left_by if project else {}
        for name in names:
            if name in whose and name not in self._sets:
                self._sets[name] = self.objects.read_set(name)
        return [LeftRows(whose[n].address, self._sets[n], whose[n].answered) for n in names if n in whose]

    def _set_of(self, record: JobRecord) -> Run:
        """The keys that a job is on record with, which mostly are those that it has: they are in memory once."""
        name = record.keys_object
        known = self._recorded_keys.get(record.address)
        if known is None or known[0] != name:
            keys = self.objects.stored_set(name)
            job = next((job for job in self.desired if job.address == record.address), None)
            if job is not None and are_same(self.keys_of(job), keys):
                keys = self.keys_of(job)
            known = self._recorded_keys[record.address] = name, keys
        return known[1]

    def _answered_of(self, record: JobRecord, keys: Run) -> Answered | None:
        """What was noted of a job when its results were written; read once for each time that they were."""
        known = self._noted.get(record.address)
        if known is None or known[0] != record:
            known = self._noted[record.address] = record, noted.read(self.memory.caches, record, keys)
        return known[1]

    def keys_of(self, job: Desired) -> Run:
        """The sorted, distinct keys of a job's rows."""
        if job.address not in self._keys:
            self._keys[job.address] = distinct_of(job)
        return self._keys[job.address]

    def _so_far(self, batch: Batch) -> BatchRows:
        """A calls batch that goes on, with what its journal says is settled and what is still to be sent."""
        keys = self.objects.read(f"{batch.key}/keys", batch.keys_sha256)
        try:
            states = self.memory.states(batch.key)
        except StateError:  # whoever carries the batch on says so
            return BatchRows(batch, keys)
        if states is None:
            return BatchRows(batch, keys, unsent=keys)
        settled, unsent = so_far(states, keys)
        return BatchRows(batch, keys, so_far=settled, unsent=unsent)

    def _rows_of(self, batch: Batch) -> BatchRows:
        if batch.is_run_here:
            return self._so_far(batch)
        mark = f"{batch.keys_sha256} {batch.index_sha256}"
        known = self._loaded.get(batch.key)
        if known is None or known[0] != mark:
            index = self.objects.stored(f"{batch.key}/index", batch.index_sha256) if batch.index_sha256 else b""
            read = partial(self.objects.stored, f"{batch.key}/keys", batch.keys_sha256)
            keys = read()  # also where they are not held: what is damaged is noticed before anything is decided by it
            known = (mark, BatchRows(batch, read if index else keys, index))
            self._loaded[batch.key] = known
        return replace(known[1], batch=batch, index=self._judged(batch, known[1]))

    def _judged(self, batch: Batch, rows: BatchRows) -> Run:
        """An index with what is none of its answers, for jobs that ask again for those."""
        index = rows.index
        name = batch.origin.provider
        jobs = [job for job in self.desired if job.retries_invalid and job.provider == name] if index else []
        if not jobs:
            return index
        mark = f"{batch.index_sha256} {[(job.address, id(self.keys_of(job))) for job in jobs]}"
        known = self._verdicts.get(batch.key)
        if known is None or known[0] != mark:
            specs = {spec.address: spec for spec in self.project.jobs}
            found = [
                validity.invalid_of(
                    batch, wanted_of(specs[job.address]), lambda: self.source_of(batch, index), self.objects
                ).of(self.keys_of(job)[:])
                for job in jobs
                if common(self.keys_of(job), rows.keys)
            ]
            known = self._verdicts[batch.key] = mark, validity.together(found).applied(index[:])
        return known[1]

    def source_of(self, batch: Batch, index: Run) -> OutcomeSource:
        """A batch as its outcomes are shown."""
        return OutcomeSource(
            index=index,
            generation=batch.generation,
            batch=batch.remote_id or batch.key,
            origin=self.origin_shown(batch),
            files=tuple(self.objects.path(f"{batch.key}/{name}") for name in validity.files_of(batch)),
            fallback_error=validity.whole_failure(batch),
            reader=self.remotes.reader(batch.origin.provider),
            is_judged=any(job.retries_invalid for job in self.desired),
            is_read_back=batch.is_read_back,
        )

    def shown(self, origin: Origin) -> Shown:
        """What the batches of a remote were seen to show."""
        project = self.records.project()
        return project.shown.get(str(origin), _NOT_SEEN) if project else _NOT_SEEN

    def note_shown(self, origin: Origin, shown: Shown) -> None:
        """Keep what a remote was seen to show, durably: how it is searched follows from it."""
        project = self.records.project()
        if project is not None and shown != self.shown(origin):
            self.records.save(replace(project, shown={**project.shown, str(origin): shown}))

    def accounted(self, origin: Origin) -> Accounted | None:
        """The last list of a remote in which nothing was in doubt."""
        return adoption.accounted_for(self.records.project(), self.records.batches(), origin)

    def account(self, origin: Origin) -> None:
        """Keep, durably, that nothing in the last list of a remote is in doubt."""
        project, now = self.records.project(), self.to_account.get(origin)
        if project is not None and now is not None and project.accounted.get(str(origin)) != now:
            self.records.save(replace(project, accounted={**project.accounted, str(origin): now}))

    def search_of(self, provider: Provider) -> Search:
        """How a remote can really be searched."""
        return adoption.search_of(provider.card.search, self.shown(provider.origin))

    def known_ids(self) -> set[str]:
        """The remote ids of all that is on record, as ours, as a duplicate, or as something that may have been ours."""
        known, ruled_out, undecided = set[str](), set[str](), set[str]()
        for batch in self.records.batches():
            known.update((batch.remote_id, *batch.duplicates))
            # What may be of one that is held, nobody has decided about, whatever was said of another create
            (undecided if batch.stage is Stage.HELD else ruled_out).update(batch.candidates)
        return known.union(ruled_out - undecided, self.strangers())

    def strangers(self) -> tuple[str, ...]:
        """The remote ids of batches that might have been ours, and are not: their results say so, or an environment of
        this machine that sent them.
        """
        project = self.records.project()
        if self._of_others is None:
            self._of_others = tuple(sorted(self.of_others()))
        return (*(project.strangers if project else ()), *self._of_others)

    def time_at(self, provider: Provider) -> datetime:
        """What time it is at a remote, as far as it tells: what is compared with its times is in this one."""
        return self.clock.now() + provider.skew

    def card_of(self, batch: Batch) -> Capabilities:
        """What the side of its provider can do that a batch was sent to, as the specs have it now."""
        return self.remotes.card(batch.origin.provider, batch.content, batch.transport)

    def remote_of(self, batch: Batch) -> Provider:
        """The provider to ask about a batch.

        Raises NotSent when the specs now point somewhere else: another origin never means that it is absent.
        """
        return self.remotes.open(self._provider_of(batch), batch.content, batch.transport)

    def _provider_of(self, batch: Batch) -> str:
        name = batch.origin.provider
        current = self.remotes.origin(name)
        project = self.records.project()
        accepted = project.accepted_origins.get(name, ()) if project else ()
        if batch.origin != current and str(batch.origin) not in accepted:
            raise NotSent(f"it was sent to {batch.origin}, and the specs now say {current}")
        return name
