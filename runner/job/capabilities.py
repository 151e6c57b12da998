"""What a remote can do, as data. Shared code reads this card, never a vendor's name."""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum

import msgspec

from runner.job.content import PartLimits
from runner.job.stored import Kept

MESSAGE_CHARS = 1_000_000  # OpenAI takes 1,048,576 of a text (its errors of 2025); no context window holds more


class Search(StrEnum):
    """How a create whose answer was lost is found again, best first (design, section 6).

    A vendor's profile declares it; what the remote really shows is checked (`Shown`) and may lower it.
    """

    BY_NAME = "by name"  # we choose the id: on any doubt GET it, compare, take it
    BY_LABEL = "by label"  # the remote lists what it has, and shows the label we wrote on it
    BY_UPLOAD = "by upload"  # it lists what it has, and shows the input file, which is ours alone
    BY_RESULTS = "by results"  # it lists what it has, and only the results say whose it was
    NONE = "none"  # an unknown outcome stays unknown, and a person decides

    @property
    def can_list(self) -> bool:
        return self is not Search.NONE


class Content(StrEnum):
    """What a request is made of."""

    TEXT = "rows"
    RECORDING = "recordings"

    @property
    def noun(self) -> str:
        """What one of them is called when it is asked for."""
        return "recording" if self is Content.RECORDING else "request"


class Delivery(StrEnum):
    """How the requests of a batch get to the remote."""

    UPLOAD = "upload"  # as a file, which the create then names
    INLINE = "inline"  # in the body of the create itself: nothing is uploaded before
    CALLS = "calls"  # each in a call of its own, with a receipt of its own; the batch is on our side only


class Transport(StrEnum):
    """Which side of a provider is asked."""

    BATCH = "batch"  # it takes many requests at once, and answers within a window
    ONLINE = "online"  # a call a request, answered at once, at the full price


class Shown(msgspec.Struct, frozen=True):
    """What a remote was seen to show of batches we know to be ours; None: not seen yet."""

    lists: bool | None = None  # False: it refuses to list its batches
    label: bool | None = None
    upload: bool | None = None  # the id of the input file, as the upload gave it
    nameless: int = 0  # batches in its lists that say nothing of whose they are, and that nobody accounted for


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
    message_chars: int = MESSAGE_CHARS  # of one message
    parts: PartLimits = PartLimits()  # files inside of a request


class Capabilities(msgspec.Struct, frozen=True):
    """One remote's card."""

    search: Search
    endpoints: tuple[str, ...]
    content: Content = Content.TEXT
    delivery: Delivery = Delivery.UPLOAD
    transport: Transport = Transport.BATCH
    windows: Windows = Windows()
    limits: Limits = Limits()
    can_resume: bool = False  # continue-from
    knows_system_prompt: bool = False  # a batch as a whole is told the system message of its rows
    can_revoke: bool = False  # an upload can be deleted, so that a create on its way finds nothing to run
    deletes: tuple[Kept, ...] = ()  # what it keeps of ours and can be told to delete
    is_free: bool = False  # the embedded server costs nothing and asks nothing
    consistency_seconds: float = 10.0  # a new batch is in the list after this long
    visibility_seconds: float = 900.0  # an upload that is not to be seen may still come to be, so long after it
    defer_seconds: float = 60.0  # before a create the remote put off is tried again; doubled every time
    absence_seconds: float = 300.0  # 404s over this long mean that a batch we have a receipt for is not there
    late_seconds: float = 180.0  # after its end was first seen, a batch names its result files within this long
    min_poll_seconds: float = 5.0
    max_poll_seconds: float = 60.0
    price_factor: float = 1.0  # what is paid over the listed price
    tiers: Mapping[str, float] = {}  # the same where `service_tier` among a model's params asks for it
