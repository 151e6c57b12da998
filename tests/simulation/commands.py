"""The commands as an applier runs them, over the real code: apply, a single pass, retry and cancel."""

from __future__ import annotations

import hashlib
import random
import threading
import traceback
from collections.abc import Callable, Collection, Mapping
from concurrent.futures import Executor
from dataclasses import replace
from datetime import timedelta
from functools import partial
from pathlib import Path
from typing import NamedTuple

from msgspec.structs import replace as replace_struct

from runner.apply import chains, prune
from runner.apply.cancel import cancel
from runner.apply.desire import AnyCompiled, desire
from runner.apply.planning import planned
from runner.apply.reconcile import apply, begin, one_pass
from runner.apply.remotes import Remotes
from runner.apply.resolve import Decision, held_batches, resolve_batches
from runner.apply.result import Result
from runner.apply.retry import retry
from runner.apply.session import Session
from runner.errors import Conflict, RemoteError, RunnerError, StateError
from runner.job.calls import CallStep
from runner.job.capabilities import Capabilities, Content, Transport
from runner.job.desired import Desired
from runner.job.observed import Origin, Phase
from runner.job.outcomes import answered
from runner.job.packed import unpack
from runner.job.project import Project
from runner.job.recorded import Batch, Stage
from runner.job.selection import Selection, chosen
from runner.job.stored import Kept, Stored
from runner.plan.change import Reason
from runner.plan.guard import Guards
from runner.plan.paid import paid_by
from runner.plan.places import Reviewed
from runner.plan.plan import Plan
from runner.remotes.reading.lines import COMMON
from runner.remotes.vendor import Lines, Provider, Reader
from tests.simulation.author import Author
from tests.simulation.compiler import SimulatedCompiler
from tests.simulation.history import Applier, Asked, Consent, History, Stopped
from tests.simulation.memory import SimulatedMemory, SimulatedRecords
from tests.simulation.provider import ORIGIN, SimulatedProvider
from tests.simulation.recordings import SimulatedJournal
from tests.simulation.remote import RemoteBatch, Verdict
from tests.simulation.rows import CompiledRows, JobSpec, project_of
from tests.simulation.watch import check_files, note_outcomes
from tests.simulation.world import Crash, SimulatedClock, Words, World

CALM_POLL = 1200.0
NARROW = 0.15  # of the applies, until all is calm
A_LOOK = 60.0  # seconds until a person has found it


class _Selected(NamedTuple):
    """What an apply is about."""

    words: tuple[str, ...] = ()  # of `--select`
    sample: int | None = None


class _Declared(NamedTuple):
    """What a project declares, as every command reads it."""

    specs: list[JobSpec]
    project: Project
    compiled: Mapping[str, AnyCompiled]
    desired: list[Desired]


class Commands:
    """What can be run, by anybody."""

    guards = Guards(confirm_repay=("*",), first_run=True)

    def __init__(self, history: History, author: Author) -> None:
        self._history = history
        self._author = author
        self._world = history.world
        self._read: dict[str, _Declared] = {}  # by applier
        self._world.sends = self._check_sent
        self._reviews = random.Random(f"reviews {history.seed}")
        self._seen: Reviewed = {}  # in the plan that somebody looked at last
        self._held_to: Reviewed | None = None

    def _check_sent(self, batch: RemoteBatch) -> None:
        """Told of each create that is new, and of each that carries its rows: such a one may have been put off."""
        keys = batch.keys
        if not self._was_begun(batch):
            self._check_order(keys)
        if self._held_to is not None and not set(keys) <= {
            key for seen in self._held_to.values() for key in unpack(seen)
        }:
            self._history.blame("review: an apply that is held to a plan sends what is not in it")

    def _was_begun(self, batch: RemoteBatch) -> bool:
        """Whether the same was put off before: what was begun goes on, whatever is wanted since of what it needs."""
        made = self._history.remote.batches
        put_off = {one.id for one in made if one.was_deferred and one.label == batch.label}
        keys_sha256 = hashlib.sha256(b"".join(sorted(set(batch.keys)))).hexdigest()
        return any(
            record.stage is Stage.INTENT
            and (
                not put_off.isdisjoint(record.refused)
                or (record.create_tries > 1 and record.keys_sha256 == keys_sha256)
            )
            for applier in self._history.appliers
            for record in SimulatedRecords(applier.store).batches()
            if applier.name == batch.who
        )

    def _check_order(self, keys: list[bytes]) -> None:
        """Nothing of a job is sent while a request of a job that it needs, or asks about, was never sent at all.

        Answers are asked about without those of requests that a person stopped, be it before they were sent.
        """
        rows = {spec.address: set(spec.row_keys()) for spec in self._author.specs}
        asked = {key for batch in self._history.remote.batches for key in batch.keys}
        stopped = [(one.at, key) for one in self._history.stopped for key in one.keys]
        settled = asked.union(key for at, key in stopped if not self._history.asked_since(key, at))
        owners = [spec for spec in self._author.specs if rows[spec.address].issuperset(keys)]
        for_needs = {spec.address: [name for name in spec.needs if not rows[name] <= asked] for spec in owners}
        for_after = {spec.address: [name for name in spec.after if not rows[name] <= settled] for spec in owners}
        early = {address: [*names, *for_after[address]] for address, names in for_needs.items()}
        if owners and all(early.values()):
            address, names = next(iter(early.items()))
            self._history.blame(f"order: {address} is sent before all of {', '.join(names)} is")

    def _remotes(self, applier: Applier, clock: SimulatedClock) -> SimulatedRemotes:
        return SimulatedRemotes(applier.provider)

    def session(self, applier: Applier) -> Session:
        """What every command opens first."""
        clock = SimulatedClock(self._world)
        remotes = self._remotes(applier, clock)
        applier.provider.opened()
        declared = self.declared(applier, remotes)
        session = Session(
            project=declared.project,
            desired=declared.desired,
            compiled=declared.compiled,
            memory=SimulatedMemory(
                applier.home, applier.store, applier.objects, journal=partial(SimulatedJournal, world=self._world)
            ),
            remotes=remotes,
            clock=clock,
            pool=remotes.pool,
            reporter=Telling(self._world, applier.name),
            stop=threading.Event(),
            poll_seconds=CALM_POLL if self._world.is_calm else None,
            compiler=SimulatedCompiler(applier.home.memo / "answers", self._author, self._world),  # type: ignore[arg-type]  # by hand
        )
        chains.follow(session)
        return session

    def declared(self, applier: Applier, remotes: Remotes) -> _Declared:
        """The specs, read. They are read again when they were edited."""
        specs, known = self._author.specs, self._read.get(applier.name)
        if known is None or known.specs != specs:
            project, compiled = self._compiled(applier.root)
            copies = [replace(spec, rows=list(spec.rows)) for spec in specs]
            known = _Declared(copies, project, compiled, desire(project, compiled, remotes))
            self._read[applier.name] = known
        return known

    def _compiled(self, root: Path) -> tuple[Project, Mapping[str, AnyCompiled]]:
        project = project_of("project", self._author.specs, root, self._history.max_attempts)
        of_files = [spec for spec in self._author.specs if not spec.after]
        return project, {spec.address: CompiledRows(spec.rows, self._world) for spec in of_files}  # type: ignore[misc]  # by hand

    def apply(self, applier: Applier, wait: float | None, other: Callable[[], None] | None = None) -> Result | None:
        """One `runner apply`; None when it died or was stopped by an error. other: what may come in between.

        Where it wants a word, somebody may say it.
        """
        guards = self.guards
        if other is None and not self._world.is_calm and self._reviews.random() < 0.15:
            if self._reviews.random() < 0.5:  # else the plan is older: specs, a remote and the state went on since
                self._seen = self._plan(applier)
            guards = replace_struct(guards, reviewed=self._seen)
        self._held_to = guards.reviewed
        try:
            result = self._apply(applier, wait, other, guards)
            if result is not None and _is_unsure(result) and (self._world.is_calm or self._world.more.random() < 0.5):
                self._note_consent(applier)
                return self._apply(applier, wait, other, replace_struct(guards, first_run=True))
        finally:
            self._held_to = None
        return result

    def _plan(self, applier: Applier) -> Reviewed:
        """What is paid for by the plan as things stand on record."""
        session = self.session(applier)
        recorded = session.recorded()
        plan = planned(session, recorded, {}, self.guards)
        return paid_by("project", session.desired, plan, recorded, self.guards).reviewed

    def _note_consent(self, applier: Applier) -> None:
        """A person says that what is in doubt is somebody else's. There is nobody else: so something has to be ours."""
        now, batches = self._world.seconds, SimulatedRecords(applier.store).batches()
        known = {i for one in batches for i in (one.remote_id, *one.duplicates, *one.refused)}
        known.update(i for one in batches if one.stage is not Stage.HELD for i in one.candidates)
        unknown = [one.id for one in self._history.remote.batches if one.is_there(now) and one.id not in known]
        if not unknown:
            self._history.blame("asks in vain: all that is at the remote is on record")
        self._history.consents.append(Consent(now, applier.name, frozenset(unknown)))

    def _apply(
        self, applier: Applier, wait: float | None, other: Callable[[], None] | None, guards: Guards
    ) -> Result | None:
        world = self._world
        session = self.session(applier)
        selection = self._selection(session)
        guards = replace_struct(guards, sample=selection.sample)
        world.note(applier.name, "runner apply", "--first-run" * guards.first_run, *selection, self._author.words())
        world.sleeps, world.stop, world.other = 0, session.stop.set, other
        self._history.applies += 1
        try:
            result = apply(session, guards, confirm=_yes, wait_seconds=wait)
        except Crash:
            (session.memory.scratch / "7-upload.jsonl").write_bytes(b"half a li")
            self._died(applier)
            return None
        except Conflict as error:  # two wrote to one state, with no lock between them: as if this one had died there
            if not self._history.shares_a_state:
                raise
            world.note(applier.name, f"ended by {error!r}")
            self._died(applier)
            return None
        except (StateError, FileNotFoundError) as error:
            if not self._history.shares_a_state:
                raise
            world.note(applier.name, f"ended by {error!r}")  # two wrote the same file, with no lock between them
            self._history.is_damaged = True
            return None
        except RemoteError as error:
            words = f"escape: one call's failure ended the whole apply: {error!r}"
            self._history.blame(f"{words}\n{traceback.format_exc()}")
            return None
        finally:
            world.stop, world.other = _nothing, None
        world.note(applier.name, "left: running", result.is_running, Words(partial(_standing, result)))
        note_outcomes(self._history, applier, self._author.specs, session, result)
        wanted = {job.address for job in session.desired}
        check_files(self._history, applier, [spec for spec in self._author.specs if spec.address in wanted])
        return result

    def _selection(self, session: Session) -> _Selected:
        """Now and then an apply is about some jobs only, or about some rows of each."""
        chance = self._world.of_selections
        if self._world.is_calm or not session.desired or chance.random() >= NARROW:
            return _Selected()
        words = tuple(job.address for job in session.desired if chance.random() < 0.5)
        if words:
            session.keep(chosen(Selection(words), session.project.jobs))
        return _Selected(words, chance.choice((None, None, 1, 2)))

    def _died(self, applier: Applier) -> None:
        """An apply did, and only what it left is known of it. Where nobody can search, its open create is unheard."""
        remote = self._history.remote
        for made in remote.batches:
            if made.id not in self._world.recorded:
                made.hidden.clear()  # only what was told to be there is hidden, else a list shows it in time
                made.is_unheard = remote.habits.leaves_doubt  # whatever the remote answered
        for batch in SimulatedRecords(applier.store).batches() if remote.habits.leaves_doubt else ():
            if batch.stage is Stage.INTENT:
                packed = applier.objects.read(f"{batch.key}/keys", batch.keys_sha256)
                remote.unheard.update(packed[at : at + 16] for at in range(0, len(packed), 16))

    def one_pass(self, applier: Applier) -> None:
        """One pass, in the middle of somebody else's. It holds no lock."""
        session = self.session(applier)
        for again in range(self._world.rng.choice((1, 1, 2))):
            try:
                if not again:
                    begin(session)
                result = one_pass(session, self.guards, _yes)
            except RunnerError as error:
                self._world.note(applier.name, f"ended by {error!r}")
            else:
                note_outcomes(self._history, applier, self._author.specs, session, result)

    def retry(self, applier: Applier, address: str, *, replaces: bool) -> None:
        """`runner retry`."""
        try:
            decisions = retry(self.session(applier), [address], (), replaces=replaces)
        except Crash:
            return
        except RunnerError as error:
            self._world.note(applier.name, f"retry: {error!r}")
            return
        finally:
            self._note_decisions(applier)
        self._world.note(applier.name, f"runner retry {address}{' --replace' * replaces}: {len(decisions)}")

    def look_up(self, applier: Applier) -> bool:
        """`runner state resolve` of every batch that nobody knows of, after a look into the vendor's console.

        Whether anything was held.
        """
        self._world.seconds += A_LOOK
        session = self.session(applier)
        now, held = self._world.seconds, held_batches(session, "*")
        for batch in held:
            made = [one for one in self._history.remote.batches if _came_of(batch, one, applier, self._world.recorded)]
            there = next((one for one in made if one.is_there(now)), None)
            decision = Decision(CallStep.RECEIPT, there.id) if there else Decision(CallStep.CLEARED)
            self._world.note(applier.name, f"runner state resolve {batch.key}: {decision}")
            try:
                resolve_batches(session, [batch], (), decision)
            except Crash:
                break
        return bool(held)

    def _note_decisions(self, applier: Applier) -> None:
        asked = self._history.asked
        for one in SimulatedRecords(applier.store).retries():
            packed = applier.objects.read_set(one.keys_object)
            keys = frozenset(packed[at : at + 16] for at in range(0, len(packed), 16))
            if not any(known.decided == one.decided_at and known.keys == keys for known in asked):
                now = self._world.seconds
                asked.append(Asked(now, keys, one.replaces, one.decided_at, applier.name, one.generation))

    def cancel(self, applier: Applier) -> None:
        """`runner cancel` of one job that has something in flight."""
        session = self.session(applier)
        active = [batch for batch in session.records.batches() if batch.is_active]
        if not active:
            return
        owner = self._world.rng.choice(active).owner
        self._world.note(applier.name, f"runner cancel {owner}")
        self._world.is_commanded = True
        try:
            for batch in active:
                if batch.owner == owner:
                    cancel(session, batch)
        except (Crash, RunnerError) as error:
            self._world.note(applier.name, f"cancel: {error!r}")
        finally:
            self._world.is_commanded = False
            self._note_stopped(applier, [one for one in active if one.stage in (Stage.INTENT, Stage.DEFERRED)])

    def prune(self, applier: Applier) -> None:
        """`runner prune -y`: what it deletes was not needed, whoever looks at the remote's own record."""
        session = self.session(applier)
        self._world.note(applier.name, "runner prune")
        try:
            with session.memory.lock("runner prune", clock=session.clock):
                begin(session)
                surveys, _ = prune.survey(session, lambda stored, owner: timedelta())
                for survey in surveys:
                    for verdict in survey.needless:
                        self._check_needless(session, verdict.stored)
                    prune.delete(session, survey, lambda stored: None)
        except (Crash, RunnerError) as error:
            self._world.note(applier.name, f"prune: {error!r}")

    def _check_needless(self, session: Session, stored: Stored) -> None:
        here = {key for entry in session.recorded().batches for key in unpack(answered(entry.index))}
        for remote_id in stored.batches:
            batch = self._history.remote.batch(remote_id)
            if batch is None:
                continue
            if self._world.seconds < batch.over_at:
                self._history.blame(f"prune: {stored.id} would go, and {remote_id} runs")
            lost = [key for key in batch.keys if batch.verdict(key) is Verdict.OK and key not in here]
            if lost and stored.kind is Kept.RESULTS:
                self._history.blame(f"prune: {stored.id} would go, and {len(lost)} of its answers are nowhere here")
        if stored.kind is Kept.UPLOAD and any(
            entry.batch.is_active and entry.batch.upload_ref == stored.ref for entry in session.recorded().batches
        ):
            self._history.blame(f"prune: {stored.id} would go, and a batch of it is about to be made")

    def _note_stopped(self, applier: Applier, unsent: list[Batch]) -> None:
        """What was put off, or had not got out, and is not sent any more."""
        records = SimulatedRecords(applier.store)
        for batch in unsent:
            now = records.batch(batch.key)
            if now is None or now.is_active or now.phase is not Phase.CANCELLED:
                continue
            packed = applier.objects.read(f"{batch.key}/keys", batch.keys_sha256)
            keys = frozenset(packed[at : at + 16] for at in range(0, len(packed), 16))
            self._history.stopped.append(Stopped(self._world.seconds, keys))


class SimulatedRemotes(Remotes):
    """One remote under one name; nothing is started, no file is read."""

    def __init__(self, provider: SimulatedProvider) -> None:
        self._provider = provider

    def card(self, name: str, content: Content = Content.TEXT, transport: Transport | None = None) -> Capabilities:
        return self._provider.card

    def origin(self, name: str) -> Origin:
        return ORIGIN

    def reader(self, name: str) -> Reader:
        return COMMON

    def refusal(self, name: str) -> None:
        """No key is needed, so none is unbound."""

    def make_ready(self, name: str, model: str, say: object) -> None:
        pass

    def open(self, name: str, content: Content = Content.TEXT, transport: Transport = Transport.BATCH) -> Provider:
        return self._provider

    def lines(self, name: str) -> Lines:
        raise RunnerError("requests are made by hand here")

    def pool(self, parallelism: int) -> Executor:
        raise AssertionError("nothing is asked a call a request here")

    def lost_sight(self, name: str) -> bool:
        return False

    def close(self) -> None:
        pass


class Telling:
    """A reporter that writes into the log."""

    def __init__(self, world: World, who: str) -> None:
        self._world = world
        self._who = who

    def step(self, text: str) -> None:
        self._world.note(self._who, text)

    def warn(self, text: str) -> None:
        self._world.note(self._who, "warning:", text)

    def progress(self, jobs: object) -> None:
        pass


def _came_of(batch: Batch, made: RemoteBatch, applier: Applier, recorded: Collection[str]) -> bool:
    """Whether a person sees that a remote batch is what became of a create: by its input, or by what is in it."""
    if batch.upload_ref:
        return made.input_ref == batch.upload_ref
    packed = applier.objects.read(f"{batch.key}/keys", batch.keys_sha256)
    return made.id not in recorded and b"".join(sorted(made.keys)) == packed


def _is_unsure(result: Result) -> bool:
    return any(change.reason is Reason.FIRST_RUN for job in result.plan.jobs for change in job.changes)


def _standing(result: Result) -> str:
    parts = "; ".join(f"{part.address} {part.counts}" for part in result.plan.jobs)
    return f"{parts} {result.errors or ''}"


def _yes(plan: Plan) -> bool:
    return True


def _nothing() -> None:
    pass
