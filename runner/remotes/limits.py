"""What one input of a batch may hold, as a profile says it and as a card does."""

from __future__ import annotations

from typing import Annotated

import msgspec

from runner.job.capabilities import MESSAGE_CHARS, Limits
from runner.remotes.written import Characters, Count, Share, Whole, told


class InputLimits(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Of a file or a dataset. Batches are cut at `margin` of the bytes."""

    lines: Count = 50_000
    bytes: Count = 200_000_000
    line_bytes: Annotated[Whole, told("0: no limit of its own")] = 0
    message_chars: Annotated[Characters, told("of one message")] = MESSAGE_CHARS
    margin: Annotated[Share, told("batches are cut at this part of the bytes")] = 0.95

    def of_batch(self, output_bytes: int = 0) -> Limits:
        """The same on a card. output_bytes: of all answers together; 0: no limit."""
        return Limits(
            lines=self.lines,
            size_bytes=int(self.bytes * self.margin),
            line_bytes=self.line_bytes,
            message_chars=self.message_chars,
            output_bytes=output_bytes,
        )
