"""Recordings asked one by one and answered at once, as whisper servers do: what nobody heard is held."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from msgspec.structs import replace

from runner.apply.desire import AnyCompiled
from runner.errors import Refused
from runner.job.capabilities import Content
from runner.job.observed import Phase
from runner.job.project import Project, ProviderBlock
from runner.job.wireid import key_of
from runner.remotes.audio import Heard, Receipt, Recording, line_of
from runner.remotes.online import Answered, refusal_line
from runner.remotes.registry import card_of
from tests.simulation.asking import OnlineCommands, SimulatedAsker
from tests.simulation.audit import CallHistory
from tests.simulation.listener import SimulatedListener
from tests.simulation.remote import Verdict
from tests.simulation.rows import PROVIDER
from tests.simulation.waves import RecordingsAuthor, WaveCommands, WaveScenario
from tests.simulation.world import SimulatedClock


class SimulatedWhisper(SimulatedAsker):
    """A remote that transcribes while one waits."""

    def submit(self, request: Any) -> Answered:
        assert isinstance(request, Recording)
        key = request.sha256[:16]
        assert key_of(request.custom_id) == key, "a recording was sent under another's name"
        call = self.taken(key)
        call.ends_at = call.told_at = self._world.seconds
        match call.verdict:
            case Verdict.OK:
                heard = Heard(Phase.COMPLETED, "200", f'{{"text":"{call.answer}"}}', "application/json")
                return Answered(line_of(request.custom_id, request, Receipt(call.id, ""), heard))
            case Verdict.RETRY:
                return Answered(refusal_line(request.custom_id, 500, "server_error", "no"))
            case _:
                self._remote.refused.add(key)
                raise Refused("not this one", status=400)


class SpokenCommands(OnlineCommands):
    """The commands over such jobs."""

    def __init__(self, history: CallHistory, author: RecordingsAuthor, profile: dict[str, float]) -> None:
        super().__init__(history, author, profile)
        card = card_of(ProviderBlock(PROVIDER, "openai"), Content.RECORDING)
        self._card = replace(card, limits=replace(card.limits, lines=history.world.more.choice((2, 4, 50))))

    def _listener(self, clock: SimulatedClock) -> SimulatedListener:
        return SimulatedWhisper(self._calls.calls, self._card, int(self._profile["parallelism"]), clock)

    def _compiled(self, root: Path) -> tuple[Project, Mapping[str, AnyCompiled]]:
        return WaveCommands._compiled(self, root)


class SpokenScenario(WaveScenario):
    """Draws and plays one history of recordings that are transcribed while one waits."""

    commands_of = SpokenCommands
