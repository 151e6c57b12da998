"""A modelled remote for recordings: it takes one a call, has no list, and knows a recording by the receipt alone."""

from __future__ import annotations

from dataclasses import dataclass

from runner.job.observed import Phase
from runner.remotes.audio import Heard
from tests.simulation.remote import NEVER, Verdict
from tests.simulation.world import World


@dataclass(slots=True)
class CallHabits:
    """How often things go wrong at this remote, with recordings taken while the world is not calm."""

    lag: float = 0.0  # at most, seconds in which a receipt answers 404
    lateness: float = 0.0  # at most, seconds that an unanswered call takes effect after its end
    final: float = 0.0
    retry: float = 0.0
    losses: float = 0.0  # recordings that vanish some time after they were taken
    odd: float = 0.0  # words nobody knows
    slow: float = 0.0


@dataclass(slots=True)
class Call:
    """One recording that was taken, with its life as it was drawn. Times are seconds of the world."""

    id: str
    key: bytes
    sent_at: float
    taken_at: float
    known_at: float = 0.0
    ends_at: float = 0.0
    gone_at: float = NEVER
    odd_until: float = 0.0
    verdict: Verdict = Verdict.OK
    told_at: float = NEVER  # its outcome was handed out

    @property
    def answer(self) -> str:
        return f"{self.id}/{self.key.hex()[:8]}"


class CallRemote:
    """The remote's side of everything: what it took, and what becomes of it."""

    def __init__(self, world: World, habits: CallHabits) -> None:
        self.world = world
        self.habits = habits
        self.calls: list[Call] = []  # in the order they were sent
        self.unsure: list[tuple[float, bytes]] = []  # calls that ended without an answer
        self.unheard: dict[bytes, float] = {}  # when the last of them was sent whose reply was lost, by request
        self.refused: set[bytes] = set()  # recordings that were turned away one by one
        self.sent: list[tuple[float, bytes]] = []  # all that may have arrived
        self.answers_at_once = False
        self.cut: set[tuple[str, int, int]] = set()  # under way when a process died: batch, row, its intents

    def take(self, key: bytes, sent_at: float, taken_at: float) -> Call:
        """A recording arrives."""
        world, habits, rng = self.world, self.habits, self.world.rng
        number = len(self.calls) + 1
        call = Call(f"rec-{number}", key, sent_at, taken_at)
        call.known_at = taken_at + (habits.lag * rng.random() if world.happens(0.5) else 0.0)
        span = rng.choice((3.0, 30.0, 300.0, 7200.0 if world.happens(habits.slow) else 900.0))
        call.ends_at = taken_at + span * (0.5 + rng.random())
        draw = rng.random()
        if not world.is_calm and draw < habits.final:
            call.verdict = Verdict.FINAL
        elif not world.is_calm and draw < habits.final + habits.retry:
            call.verdict = Verdict.RETRY
        if world.happens(habits.losses):
            call.gone_at = taken_at + rng.choice((10.0, 1000.0)) * rng.random()
        if world.happens(habits.odd):
            call.odd_until = call.ends_at - 0.3 * span * rng.random()
        self.calls.append(call)
        gone = f", gone {call.gone_at:.0f}" if call.gone_at < NEVER else ""
        world.note(
            "remote",
            f"{call.id} is {key.hex()[:4]}, taken {taken_at:.1f}, {call.verdict.value} at {call.ends_at:.1f}{gone}",
        )
        return call

    def lose_reply(self, key: bytes, sent_at: float) -> None:
        """Whatever came of a call, nobody heard of it."""
        self.unsure.append((sent_at, key))
        self.unheard[key] = sent_at

    def call(self, remote_id: str) -> Call | None:
        """What has this id, while there is something."""
        now = self.world.seconds
        return next((c for c in self.calls if c.id == remote_id and c.known_at <= now < c.gone_at), None)

    def heard(self, call: Call) -> Heard:
        now = self.world.seconds
        if now < call.ends_at:
            odd = now < call.odd_until
            return Heard(Phase.UNKNOWN if odd else Phase.RUNNING, "pondering" if odd else "processing")
        match call.verdict:
            case Verdict.OK if call.key[0] % 2:
                body = f'{{"text":"{call.answer}","duration":60.0}}'
                return Heard(Phase.COMPLETED, "completed", body, "application/json")
            case Verdict.OK:
                return Heard(Phase.COMPLETED, "completed", call.answer, "text/plain")
            case Verdict.RETRY:
                return Heard(Phase.FAILED, "failed", message="no", code="server_error")
            case _:
                return Heard(Phase.FAILED, "failed", message="no", code="invalid_audio")
