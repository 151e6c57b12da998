"""What a remote can do, as data. Shared code reads this card, never a vendor's name."""

from __future__ import annotations

from enum import Enum

import msgspec


class EffectClass(Enum):
    """How a create can be made to happen once (design, section 6)."""

    NAMED = "named"  # we choose the id: on any doubt GET it, compare, adopt
    TAGGED = "tagged"  # the remote lists what it has, and echoes our stamp
    BLIND = "blind"  # neither: an unknown outcome stays unknown


class Windows(msgspec.Struct, frozen=True):
    """Completion windows in hours: either listed, or anything from `low` to `high`."""

    default: int = 24
    allowed: tuple[int, ...] = (24,)
    low: int = 0
    high: int = 0

    def accepts(self, hours: int) -> bool:
        return hours in self.allowed or (self.low > 0 and self.low <= hours <= self.high)

    def __str__(self) -> str:
        if self.low:
            return f"{self.low}h to {self.high}h"
        return ", ".join(f"{hours}h" for hours in self.allowed)


class Limits(msgspec.Struct, frozen=True):
    """What one batch may hold. Bytes count the newline of every line."""

    lines: int = 50_000
    size_bytes: int = 190_000_000
    line_bytes: int = 0  # 0: no limit of its own
    output_bytes: int = 0  # of all answers together, as estimated from `max_tokens`; 0: no limit


class Capabilities(msgspec.Struct, frozen=True):
    """One remote's card."""

    effect: EffectClass
    endpoints: tuple[str, ...]
    windows: Windows = Windows()
    limits: Limits = Limits()
    can_resume: bool = False  # continue-from
    knows_system_prompt: bool = False  # a batch as a whole is told the system message of its rows
    can_list: bool = True
    is_one_by_one: bool = False  # every request is a call of its own, with a receipt of its own
    is_free: bool = False  # the embedded server costs nothing and asks nothing
    settle_seconds: float = 10.0  # a new batch is in the list after this long
    defer_seconds: float = 60.0  # before a create the remote put off is tried again; doubled every time
    min_poll_seconds: float = 5.0
    max_poll_seconds: float = 60.0
    price_factor: float = 1.0  # batch price over the listed price
