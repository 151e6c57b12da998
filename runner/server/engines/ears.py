"""The models that hear recordings here, and what each can do."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from runner.server.engines import echo_audio, pocketsphinx
from runner.server.engines.hearing import Abilities, Deaf, Ear
from runner.server.engines.registry import Ears

ABILITIES: Mapping[str, Abilities] = {"echo": echo_audio.ABILITIES, pocketsphinx.MODEL: pocketsphinx.ABILITIES}
_EARS: Mapping[str, Callable[[], Ear]] = {"echo": echo_audio.EchoEar, pocketsphinx.MODEL: pocketsphinx.Pocketsphinx}


def ears(default: str | None, *, is_alone: bool) -> Ears:
    """What can hear here; nothing is loaded before it is asked for. `is_alone`: the default answers for every name."""
    known = {name: made for name, made in _EARS.items() if name == default} if is_alone else _EARS
    return Ears(known, Deaf, default)
