"""The models that turn speech into text here, and what each can do."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from runner.server.engines import echo_audio, pocketsphinx
from runner.server.engines.asr import Abilities, AsrEngine, RefusingAsr
from runner.server.engines.registry import AsrEngines

ABILITIES: Mapping[str, Abilities] = {"echo": echo_audio.ABILITIES, pocketsphinx.MODEL: pocketsphinx.ABILITIES}
_ENGINES: Mapping[str, Callable[[], AsrEngine]] = {
    "echo": echo_audio.EchoAsr,
    pocketsphinx.MODEL: pocketsphinx.Pocketsphinx,
}


def asr_engines(default: str | None, around: Callable[[AsrEngine], AsrEngine], *, is_alone: bool) -> AsrEngines:
    """What runs here; nothing is loaded before it is asked for. `is_alone`: the default answers for every name."""
    # a stand-in must not answer by another engine than the one it was started with: a rehearsal would wait for weights
    known = {name: made for name, made in _ENGINES.items() if name == default} if is_alone else _ENGINES
    return AsrEngines(known, RefusingAsr, default, around)
