"""Whether an engine here can do what is asked of it."""

from __future__ import annotations

from runner.server.audio.errors import invalid
from runner.server.audio.records import Wish
from runner.server.engines.asr_engines import ABILITIES
from runner.server.engines.registry import AsrEngines


def check_able(asr_engines: AsrEngines, wish: Wish) -> None:
    """Raises ApiError 400 where no engine here can do what is asked."""
    name = asr_engines.name_of(wish.model)
    if not name:
        known = listed(asr_engines.names())
        text = f"The model `{wish.model}` does not run here: ask for {known}, or start the server with"
        raise invalid("model", f"{text} `--engine`, whose model then answers for every other name.")
    able = ABILITIES[name]
    if wish.diarize and not able.diarizes:
        raise invalid("diarize", f"The model `{name}` cannot tell speakers apart: leave `diarize` out.")
    if wish.task == "translate" and not able.translates:
        raise invalid("model", f"The model `{name}` cannot translate.")
    if wish.language and able.languages and wish.language not in able.languages:
        text = f"The model `{name}` understands {listed(able.languages)} only, not `{wish.language}`."
        raise invalid("language", text)


def listed(names: object) -> str:
    assert isinstance(names, (list, tuple, frozenset))
    return ", ".join(f"`{name}`" for name in sorted(names))
