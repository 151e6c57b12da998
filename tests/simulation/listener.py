"""How an applier speaks to the modelled remote for recordings: any call may fail in every way, or be its last."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from runner.errors import NotFound, OutcomeUnknown
from runner.job.capabilities import Capabilities
from runner.job.observed import Origin
from runner.remotes.audio import Heard, Receipt, Recording
from runner.remotes.online import Answered
from runner.remotes.transport.pace import Pace
from tests.simulation.calls import Call, CallRemote
from tests.simulation.provider import LONGEST_CALL, ORIGIN, stop_on
from tests.simulation.turns import Turns
from tests.simulation.world import Crash

ACCOUNT = "acme"
_UNSENT = ("not sent", "not sent", "limited", "limited", "refused", "auth", "changed")
_UNHEARD = ("not sent", "unknown", "limited", "refused", "auth")


class SimulatedListener:
    """Implements `remotes.transport.caller.Caller` over a CallRemote."""

    unsent: tuple[str, ...] = _UNSENT  # what goes wrong with a call of which nothing is taken

    def __init__(self, remote: CallRemote, card: Capabilities, parallelism: int) -> None:
        self.card = card
        self.parallelism = parallelism
        self.turns = Turns(remote.world)
        self._remote = remote
        self._world = remote.world

    @property
    def origin(self) -> Origin:
        return ORIGIN

    @property
    def skew(self) -> timedelta:
        """Every answer says what time it is there."""
        return -self._world.off

    @property
    def pace(self) -> Pace | None:
        """It gives receipts."""
        return None

    def pool(self, parallelism: int) -> Turns:
        """What a session gets for threads: the tasks of a round take turns within its calls."""
        self.turns = Turns(self._world)
        return self.turns

    def submit(self, request: Any) -> Receipt | Answered:
        assert isinstance(request, Recording)
        return Receipt(self.taken(request.sha256[:16]).id, ACCOUNT)

    def taken(self, key: bytes) -> Call:
        """A request goes out, and is taken. Raises what may go wrong."""
        world, remote = self._world, self._remote
        sent_at = world.seconds
        world.boundary("before submit")
        fault = None
        if world.happens(world.fault_rate):
            fault = world.rng.choice((*self.unsent, *("unknown",) * len(self.unsent)))
        world.note("a", f"submit {key.hex()[:4]}: {fault or 'goes out'}")
        world.seconds += world.rng.random() * (LONGEST_CALL if fault == "unknown" else 0.5)
        if fault == "refused":
            remote.refused.add(key)
        stop_on(world, fault)
        remote.sent.append((sent_at, key))
        try:
            self.turns.meanwhile()
            if world.happens(world.crash_rate):
                raise Crash("while a recording is on its way")
        except Crash:
            self._leave_to_chance(key, sent_at)
            raise
        if fault is None:
            call = remote.take(key, sent_at, sent_at + world.rng.random() * (world.seconds - sent_at))
            self._end(key, sent_at)
            return call
        self._leave_to_chance(key, sent_at)
        self._end(key, sent_at)
        remote.lose_reply(key, sent_at)
        raise OutcomeUnknown("no answer")

    def _end(self, key: bytes, sent_at: float) -> None:
        try:
            self.turns.meanwhile()
            self._world.boundary("after submit")
        except Crash:
            self._remote.lose_reply(key, sent_at)
            raise

    def _leave_to_chance(self, key: bytes, sent_at: float) -> None:
        """Nobody hears: it did not arrive, arrived within the call, or arrives later."""
        world, remote = self._world, self._remote
        draw = world.rng.random()
        if draw < 0.4:
            return
        late = world.rng.random() * remote.habits.lateness
        within = world.rng.random() * (world.seconds - sent_at)
        remote.take(key, sent_at, world.seconds + late if draw < 0.6 else sent_at + within)

    def look(self, receipt: Receipt) -> Heard:
        world = self._world
        assert receipt.account == ACCOUNT
        world.boundary("before look")
        fault = world.rng.choice(_UNHEARD) if world.happens(world.fault_rate) else None
        world.seconds += world.rng.random() * (LONGEST_CALL if fault == "unknown" else 0.5)
        stop_on(world, fault)
        if fault == "unknown":
            raise OutcomeUnknown("no answer")
        self.turns.meanwhile()
        call = self._remote.call(receipt.remote_id)
        world.note("a", f"look {receipt.remote_id}: {'404' if call is None else self._remote.heard(call).raw_status}")
        if call is None:
            raise NotFound("no such recording", status=404)
        heard = self._remote.heard(call)
        world.boundary("after look")
        if heard.phase.has_ended:
            call.told_at = min(call.told_at, world.seconds)
        return heard

    def close(self) -> None:
        pass
