"""Everything a request handler may use, in one place."""

from __future__ import annotations

import hashlib
import hmac
import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from runner.clock import Clock
from runner.server.engines.registry import AsrEngines, Engines
from runner.server.home import ServerHome
from runner.server.log import Log
from runner.server.world import World

MAIN_OWNER = "main"


@dataclass(frozen=True, slots=True)
class Site:
    """One running server. The first token owns what the directory holds; each further one sees only its own."""

    home: ServerHome
    id: str
    world: World
    engines: Engines
    asr_engines: AsrEngines
    log: Log
    clock: Clock
    wake: Callable[[], None]
    wake_audio: Callable[[], None]
    tokens: Sequence[str] = field(repr=False)
    stands_in: bool = False  # for other remotes, whose windows and sizes are not OpenAI's
    hosts: frozenset[str] | None = None  # accepted `Host` names; None: any
    random: random.Random = field(default_factory=random.SystemRandom)

    def now(self) -> float:
        return self.clock.now().timestamp()

    def new_id(self, prefix: str, digits: int) -> str:
        """`prefix` and so many random hex digits."""
        return f"{prefix}{self.random.getrandbits(4 * digits):0{digits}x}"

    def owner_of(self, token: str) -> str | None:
        """Who may do what this token may; None where nobody knows it. Takes equally long for all tokens."""
        found = None
        for number, known in enumerate(self.tokens):
            if hmac.compare_digest(known.encode(), token.encode("utf-8", "surrogateescape")):
                found = MAIN_OWNER if number == 0 else hashlib.sha256(known.encode()).hexdigest()[:16]
        return found
