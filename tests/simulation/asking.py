"""Rows asked one by one and answered at once: a reply may be lost, and a process may die with many under way."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from msgspec.structs import replace

from runner.apply import resolve
from runner.apply.desire import AnyCompiled
from runner.errors import Refused
from runner.job.calls import JOURNAL, CallStep
from runner.job.capabilities import Capabilities, Content, Limits, Transport
from runner.job.project import Project
from runner.job.wireid import key_of
from runner.remotes.online import Answered, Request, answer_line, capabilities_of, refusal_line
from runner.remotes.transport.pace import Pace
from runner.state.journal import read_states
from tests.simulation.audit import CallHistory
from tests.simulation.calls import CallRemote
from tests.simulation.commands import Commands
from tests.simulation.history import Applier
from tests.simulation.listener import SimulatedListener
from tests.simulation.memory import SimulatedRecords
from tests.simulation.remote import NEVER, Verdict
from tests.simulation.rows import JobSpec, Row
from tests.simulation.waves import RecordingsAuthor, WaveCommands, WaveScenario
from tests.simulation.world import SimulatedClock


class SimulatedAsker(SimulatedListener):
    """A remote that answers at once, or refuses; one that says "later" is waited for within the command."""

    unsent = ("not sent", "limited", "limited", "limited", "refused", "auth")

    def __init__(self, remote: CallRemote, card: Capabilities, parallelism: int, clock: SimulatedClock) -> None:
        super().__init__(remote, card, parallelism)
        remote.answers_at_once = True
        self._pace = Pace(clock)

    @property
    def pace(self) -> Pace:
        return self._pace

    def submit(self, request: Any) -> Answered:
        assert isinstance(request, Request)
        key = key_of(request.custom_id)
        assert key is not None, "a request without a name was sent"
        call = self.taken(key)
        call.ends_at = call.told_at = self._world.seconds
        match call.verdict:
            case Verdict.OK:
                body = f'{{"choices":[{{"message":{{"content":"{call.answer}"}}}}]}}'.encode()
                return Answered(answer_line(request.custom_id, 200, call.id, body))
            case Verdict.RETRY:
                return Answered(refusal_line(request.custom_id, 500, "server_error", "no"))
            case _:
                self._remote.refused.add(key)
                raise Refused("not this one", status=400)

    def _end(self, key: bytes, sent_at: float) -> None:
        self.turns.meanwhile()
        self._world.boundary("after submit")


def note_cut(remote: CallRemote, applier: Applier, now: float) -> set[bytes]:
    """What was under way when a process died: whatever the remote said, nobody heard it."""
    cut: set[bytes] = set()
    for batch in SimulatedRecords(applier.store).batches():
        path = applier.objects.path(batch.key) / JOURNAL
        if not batch.is_active or not path.exists():
            continue
        keys = applier.objects.read(f"{batch.key}/keys", batch.keys_sha256)
        for number in read_states(path).at(CallStep.INTENT):
            key = keys[16 * number : 16 * number + 16]
            cut.add(key)
            this = batch.key, number, read_states(path)[number].intents
            is_known = remote.unheard.get(key, -1.0) >= remote.world.intents.get((path, number), NEVER)
            if this not in remote.cut and not is_known:  # else its reply was lost, or another process died over it
                remote.unsure.append((now, key))
            remote.cut.add(this)
            made = [call for call in remote.calls if call.key == key]
            for call in made[-1:]:
                call.told_at = NEVER
    return cut


class OnlineAuthor(RecordingsAuthor):
    """Who declares jobs that are asked online."""

    def _declared(self, address: str, rows: list[Row]) -> JobSpec:
        spec = JobSpec(address, rows, self._output(), transport=Transport.ONLINE)
        spec.on_unknown = self.on_unknown
        return spec

    def _output(self) -> str:
        return f"results/{self._jobs}.jsonl"


class OnlineCommands(WaveCommands):
    """The commands over such jobs."""

    def __init__(self, history: CallHistory, author: RecordingsAuthor, profile: dict[str, float]) -> None:
        super().__init__(history, author, profile)
        self._card = online_card(history.world.more.choice((2, 4, 50)))

    def _listener(self, clock: SimulatedClock) -> SimulatedListener:
        return SimulatedAsker(self._calls.calls, self._card, int(self._profile["parallelism"]), clock)

    def _compiled(self, root: Path) -> tuple[Project, Mapping[str, AnyCompiled]]:
        return Commands._compiled(self, root)

    def _died(self, applier: Applier) -> None:
        super()._died(applier)
        self._calls.cut |= note_cut(self._calls.calls, applier, self._world.seconds)

    def _decide(self, session: Any, one: resolve.HeldCall, *, is_right: bool) -> None:
        now = self._world.seconds
        was_taken = any(c.key == one.key and c.told_at == NEVER and c.taken_at <= now for c in self._calls.calls.calls)
        step = CallStep.REPEATED if was_taken and is_right else self._world.rng.choice(_STEPS)
        self._world.note("user", f"resolves {one.name} of {one.batch.key} as {step.name}")
        self._calls.decided.append((now, one.key, step, ""))
        resolve.resolve(session, one.batch.owner, (one.name,), resolve.Decision(step))


_STEPS = (CallStep.CLEARED, CallStep.REPEATED)


def online_card(lines: int) -> Capabilities:
    card = capabilities_of(Limits())
    return replace(card, content=Content.TEXT, limits=Limits(lines=lines, size_bytes=100_000))


class OnlineScenario(WaveScenario):
    """Draws and plays one history of rows that are asked one by one."""

    caller_of = OnlineAuthor
    commands_of = OnlineCommands
