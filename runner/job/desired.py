"""One job as the specs want it: what to ask, packed, and everything the planner may weigh."""

from __future__ import annotations

from array import array

import msgspec

from runner.errors import Mark
from runner.job.capabilities import Capabilities
from runner.job.observed import Origin


class Desired(msgspec.Struct, frozen=True):
    """One job, or one cell of a matrix. `keys` holds 16 bytes a row and `sizes` the bytes of its request line."""

    address: str
    declared_at: Mark
    provider: str
    origin: Origin
    card: Capabilities
    model: str
    endpoint: str
    window_hours: int
    output: str
    keys: bytes | bytearray
    sizes: array[int]
    tokens: int  # estimated input tokens of all rows
    max_attempts: int = 3
    max_output_tokens: int | None = None  # of one answer, where the model's parameters say so
    usd_per_million: tuple[float, float] | None = None  # input, output
    budget_usd: float | None = None
    protect: bool = False
    tags: tuple[str, ...] = ()

    @property
    def rows(self) -> int:
        return len(self.sizes)
