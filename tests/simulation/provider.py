"""How an applier speaks to the modelled remote: each call takes time, may fail in every way, may be its last."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import datetime, timedelta
from pathlib import Path

from runner.errors import AuthFailed, DataError, NotFound, NotSent, OutcomeUnknown, RateLimited, Refused
from runner.job.capabilities import Capabilities, Delivery, Limits, Search, Windows
from runner.job.observed import Found, Observed, Origin, Phase, ResultFile
from runner.job.stored import Inventory, Kept, Stored
from runner.remotes import naming
from runner.remotes.openai.labels import is_of, is_of_project, named
from runner.remotes.vendor import (
    LARGEST_FILE,
    Advanced,
    Budget,
    Inline,
    Input,
    LineageFile,
    Submission,
    Uploaded,
    Work,
)
from tests.simulation.remote import Habits, Listing, Remote, RemoteBatch
from tests.simulation.rows import PROVIDER
from tests.simulation.world import Crash, World

ORIGIN = Origin(PROVIDER, "sim.invalid", "acme")
SLACK = timedelta(minutes=10)
LONGEST_CALL = 30.0


def card_of(habits: Habits, *, consistency_seconds: float, lines: int, poll_seconds: float) -> Capabilities:
    """What is declared of a remote with these habits."""
    unnamed = Search.BY_RESULTS if habits.by_results else Search.BY_LABEL
    return Capabilities(
        search=Search.BY_NAME if habits.is_named else unnamed,
        delivery=Delivery.INLINE if habits.is_inline else Delivery.UPLOAD,
        endpoints=("/v1/chat/completions",),
        windows=Windows(allowed=(24, 48)),
        limits=Limits(lines=lines, size_bytes=100_000),
        can_resume=habits.is_named,
        can_revoke=not habits.is_inline,
        deletes=(Kept.RESULTS, Kept.UPLOAD) if habits.may_prune else (),
        consistency_seconds=consistency_seconds,
        min_poll_seconds=poll_seconds,
        max_poll_seconds=7200.0,
    )


def stop_on(world: World, fault: str | None) -> None:
    """Raise what certainly had no effect."""
    match fault:
        case "not sent":
            raise NotSent("the remote cannot be reached")
        case "limited":
            raise RateLimited("slow down", status=429, retry_after=world.rng.choice((None, 5.0, 100.0)))
        case "refused":
            raise Refused("not this one", status=400)
        case "auth":
            raise AuthFailed("who are you", status=401)
        case "no lists":
            raise Refused("method not allowed", status=405)
        case "changed":
            raise DataError("the recording is not what it was")


class SimulatedProvider:
    """Implements `remotes.vendor.Provider` over a Remote, for one applier."""

    def __init__(self, remote: Remote, card: Capabilities, who: str) -> None:
        self.card = card
        self._remote = remote
        self._world = remote.world
        self._who = who
        self._cut_at: dict[str, int] = {}  # by file
        self._created_from: set[str] = set()  # uploads
        self._skew = timedelta()

    @property
    def origin(self) -> Origin:
        return ORIGIN

    @property
    def skew(self) -> timedelta:
        """Known once it has answered something in a command."""
        return self._skew

    # -- uploads

    def upload(self, source: Path, submission: Submission) -> Uploaded:
        content = source.read_bytes()
        fault = self._call("upload")
        if fault == "refused":
            raise Refused("the file is not good", status=400)
        stop_on(self._world, fault)
        if fault == "unknown" and self._world.rng.random() < 0.5:
            raise OutcomeUnknown("cut off")
        ref = f"{submission.name}-in" if self._remote.habits.is_named else f"file-{self._remote.number()}"
        self._remote.uploads[ref] = (submission.name, content)
        self._end("upload", fault)
        return Uploaded(ref, len(content))

    def find_upload(self, submission: Submission, size_bytes: int) -> Uploaded | None:
        self._ask("find_upload")
        for ref, (name, content) in self._remote.uploads.items():
            if name == submission.name and len(content) == size_bytes:
                return Uploaded(ref, size_bytes)
        return None

    # -- batches

    def submit(self, submission: Submission, upload: Input | None) -> Observed:
        remote, world = self._remote, self._world
        sent_at = world.seconds
        fault = self._call("submit")
        stop_on(self._world, fault)
        there = remote.batch(submission.name) if remote.habits.is_named else None
        if there is not None and there.is_there(world.seconds):
            self._end("submit", fault)
            return remote.observed(self._compared(there, submission, upload))
        batch = self._batch(submission, upload, sent_at)
        if not batch.input_ref or batch.input_ref not in self._created_from:  # else it was put off, and comes again
            world.sends(batch)
        self._created_from.add(batch.input_ref)
        remote.may_meet_a_stranger(batch)
        if world.happens(world.crash_rate):
            world.note("world", "crash while a create is on its way")
            self._leave_to_chance(batch)
            raise Crash("submit")
        if fault is None:
            batch.listed_at = batch.created_at = sent_at + world.rng.random() * (world.seconds - sent_at)
            batch.listed_at += world.rng.random() * remote.habits.list_lag
            remote.admit(batch)
            remote.may_hide(batch)
            self._end("submit", None)
            return remote.observed(batch)
        self._leave_to_chance(batch)
        world.boundary("after submit")
        raise OutcomeUnknown("no answer to the create")

    def _leave_to_chance(self, batch: RemoteBatch) -> None:
        """The answer is lost: it had no effect, had it within the call, or will have it later."""
        world, habits = self._world, self._remote.habits
        batch.is_unheard = habits.leaves_doubt
        self._remote.unheard.update(batch.keys if batch.is_unheard else ())
        draw = world.rng.random()
        if draw < 0.3:
            return
        batch.created_at = batch.sent_at + world.rng.random() * (world.seconds - batch.sent_at)
        if draw < 0.6:
            batch.created_at = world.seconds + world.rng.random() * habits.lateness
        batch.listed_at = batch.created_at + world.rng.random() * habits.list_lag
        self._remote.admit(batch)

    def _batch(self, submission: Submission, upload: Input | None, sent_at: float) -> RemoteBatch:
        remote = self._remote
        if submission.continued_from:
            parent = self._continuable(submission.continued_from)
            keys, custom_ids = remote.left_by(parent)
            if not keys:
                raise Refused("nothing is left of it", status=400)
            ref, content = "", b""
        elif isinstance(upload, Inline):
            ref, content = "", upload.path.read_bytes()
            assert len(content) == upload.size_bytes, "the length of a create's body is known before it is sent"
            keys, custom_ids = remote.requests_in(content)
        else:
            assert isinstance(upload, Uploaded)
            ref = upload.ref
            if ref not in remote.uploads and remote.habits.is_named:
                raise Refused("there is no such dataset", status=404)
            _, content = remote.uploads.get(ref) or remote.deleted_uploads[ref]
            keys, custom_ids = remote.requests_in(content)
        stamp = dict(submission.label)
        if remote.habits.is_named:
            stamp["runner_set"] = stamp["runner_set"][:16]
            stamp.pop("runner_parent")
        remote_id = submission.name if remote.habits.is_named else f"batch-{remote.number()}"
        return RemoteBatch(
            id=remote_id,
            sent_at=sent_at,
            created_at=self._world.seconds,
            listed_at=self._world.seconds,
            keys=keys,
            custom_ids=custom_ids,
            label=stamp,
            model=submission.model,
            endpoint=submission.endpoint,
            window_hours=submission.window_hours,
            input_ref=ref,
            continued_from=submission.continued_from,
            who=self._who,
            content=content,
        )

    def _continuable(self, remote_id: str) -> RemoteBatch:
        remote = self._remote
        parent = remote.batch(remote_id)
        if parent is None or not parent.is_there(self._world.seconds) or parent.was_cancelled:
            raise Refused("there is no such batch", status=404)
        if not remote.phase(parent, self._world.seconds).has_ended:
            raise Refused("it has not ended", status=400)
        if self._world.happens(remote.habits.refuses_to_continue):
            raise Refused("it cannot be continued", status=400)
        return parent

    def _compared(self, there: RemoteBatch, submission: Submission, upload: Input | None) -> RemoteBatch:
        """What stands under our id, if it is the same work."""
        ref = upload.ref if isinstance(upload, Uploaded) else ""
        same = (there.model, there.continued_from, there.input_ref)
        is_other = isinstance(upload, Inline) and there.content != upload.path.read_bytes()
        if is_other or same != (submission.model, submission.continued_from, ref):
            raise Refused("other work stands under this id", status=409, code="conflict")
        return there

    def find(self, submission: Submission, upload_ref: str, since: datetime) -> Found:
        if self._remote.habits.by_results:
            return Found(candidates=tuple(one for one in self.batches(since) if one.counts.total == submission.rows))
        if not self._remote.habits.is_named:
            listed = list(self.batches(since))
            ours = tuple(seen for seen in listed if is_of(submission, upload_ref, seen))
            return Found(ours, tuple(seen for seen in listed if seen not in ours))
        self._ask("find")
        there = self._remote.batch(submission.name)
        if there is None or not there.is_there(self._world.seconds):
            return Found()
        return Found((self._remote.observed(there),))

    def identified(self, listed: Sequence[Observed]) -> list[Observed]:
        is_all = self._remote.habits.is_inline or all("runner_project" in seen.label for seen in listed)
        if self._remote.habits.is_named or is_all:
            return list(listed)
        self._ask("names of files")
        return [
            named(seen, self._remote.name_of(seen.input_ref))
            if seen.input_ref and "runner_project" not in seen.label
            else seen
            for seen in listed
        ]

    def revoke(self, upload_ref: str) -> bool:
        fault = self._call("revoke")
        if fault in ("refused", "auth", "limited", "not sent") or not self.card.can_revoke:
            stop_on(self._world, fault)
        if not (fault == "unknown" and self._world.rng.random() < 0.5):
            self._remote.delete_upload(upload_ref)
        self._end("revoke", fault)
        return True

    def stored(self, project: str) -> Inventory:
        ours = [seen for seen in self.identified(list(self.batches())) if self.is_of(project, seen)]
        self._ask("list of files")
        users: dict[str, list[str]] = {}
        for seen in ours:
            users.setdefault(seen.input_ref, []).append(seen.remote_id)
        objects = [
            Stored(Kept.RESULTS, file.ref, file.ref, created_at=seen.ended_at, batches=(seen.remote_id,))
            for seen in ours
            for file in seen.result_files
            if not self._remote.has_lost(file.ref)
        ]
        for ref, (name, content) in self._remote.uploads.items():
            mark = naming.read(name)
            if mark is not None and mark.is_of(project):
                made = self._world.at(self._world.seconds - 3600.0)  # when it was uploaded nobody kept
                objects.append(Stored(Kept.UPLOAD, ref, name, len(content), made, tuple(users.get(ref, ())), mark.key))
        return Inventory(tuple(objects), tuple(ours))

    def delete(self, stored: Stored) -> bool:
        fault = self._call("delete")
        if fault in ("refused", "auth", "limited", "not sent"):
            stop_on(self._world, fault)
        if not (fault == "unknown" and self._world.rng.random() < 0.5):
            if stored.kind is Kept.UPLOAD:
                self._remote.delete_upload(stored.ref)
            else:
                self._remote.delete_results(stored.ref)
        self._end("delete", fault)
        return True

    def is_of(self, project: str, seen: Observed) -> bool:
        return is_of_project(project, seen)

    def advance(self, work: Work, budget: Budget) -> Advanced:
        return Advanced(self.look(work.batch.remote_id))

    def look(self, remote_id: str) -> Observed:
        self._ask("look")
        batch = self._remote.batch(remote_id)
        if batch is None or not self._remote.is_shown(batch):
            raise NotFound("no such batch", status=404)
        return self._remote.observed(batch)

    def batches(self, since: datetime | None = None) -> Iterator[Observed]:
        self._ask("list")
        stop_on(self._world, "no lists" if self._remote.habits.blind == "lists" else None)
        remote, world = self._remote, self._world
        began = world.seconds
        shown = remote.listed() + (remote.deleted() if since is None else [])
        oldest = 0.0 if since is None else (since - SLACK - world.at(0.0)).total_seconds()
        found = []
        for number, batch in enumerate(batch for batch in shown if batch.created_at >= oldest):
            if number and number % 4 == 0:
                self._ask("next page")
            found.append(remote.observed(batch))
            yield found[-1]
        ids = frozenset(seen.remote_id for seen in found)
        remote.lists.append(Listing(self._who, began, world.seconds, ids, world.is_calm, oldest))
        world.note(self._who, "list:", *[word for seen in found for word in (seen.remote_id, seen.phase.value)])

    # -- results

    def download(self, file: ResultFile, to: Path, cap_bytes: int = LARGEST_FILE, *, in_one_go: bool = False) -> int:
        self._ask("download")
        content = self._remote.content(file.ref)
        if content is None:
            raise NotFound("no such file", status=404)
        if content and self._world.happens(self._remote.habits.cuts):
            at = self._world.rng.randrange(len(content))
            if at == self._cut_at.get(file.ref):
                at -= 1  # cut twice in one place would be what the remote has
            self._cut_at[file.ref] = at
            content = content[:at]
        to.write_bytes(content)
        self._world.boundary("after download")
        return len(content)

    def lineage(self, remote_id: str) -> list[LineageFile]:
        raise AssertionError("an apply does not ask for a lineage")

    def download_input(self, observed: Observed, to: Path) -> int:
        self._ask("download_input")
        batch = self._remote.batch(observed.remote_id)
        content = self._remote.input_of(batch) if batch is not None else None
        if content is None:
            raise NotFound("no such file", status=404)
        to.write_bytes(content)
        return len(content)

    def cancel(self, remote_id: str) -> Observed:
        fault = self._call("cancel")
        stop_on(self._world, fault)
        batch = self._remote.batch(remote_id)
        if batch is None or not batch.is_there(self._world.seconds):
            return Observed(remote_id, Phase.CANCELLED, "gone", ended_at=self._world.at(self._world.seconds))
        if self._world.seconds < batch.over_at and self._world.happens(self._remote.habits.stubborn):
            raise Refused("it cannot be cancelled now", status=400)
        if self._world.seconds < batch.over_at and not (fault == "unknown" and self._world.rng.random() < 0.5):
            self._remote.cancel(batch, is_unwanted=self._world.is_commanded)
        self._end("cancel", fault)
        return self._remote.observed(batch)

    def close(self) -> None:
        pass

    # -- a call

    def _call(self, verb: str) -> str | None:
        """Time passes; what goes wrong with this call, or None."""
        world = self._world
        world.boundary(f"before {verb}")
        fault = None
        if world.happens(world.fault_rate):
            fault = world.rng.choice(("not sent", "unknown", "unknown", "limited", "refused", "auth"))
            world.note(self._who, f"{verb}: {fault}")
        else:
            world.note(self._who, verb)
        world.seconds += world.rng.random() * (LONGEST_CALL if fault == "unknown" else 0.5)
        if fault not in ("not sent", "unknown") and self._remote.habits.tells_time:
            self._skew = -world.off
        return fault

    def opened(self) -> None:
        """A new command speaks to it: nothing is known of its clock."""
        self._skew = timedelta()

    def _end(self, verb: str, fault: str | None) -> None:
        """The effect is there; whether anybody hears of it is another thing."""
        self._world.boundary(f"after {verb}")
        if fault == "unknown":
            raise OutcomeUnknown("no answer")

    def _ask(self, verb: str) -> None:
        """A call that changes nothing."""
        fault = self._call(verb)
        stop_on(self._world, fault)
        if fault == "unknown":
            raise OutcomeUnknown("no answer")
