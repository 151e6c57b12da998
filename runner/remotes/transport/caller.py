"""What a remote is to the batch that its single calls make up."""

from __future__ import annotations

from datetime import timedelta
from typing import Any, Protocol

from runner.job.capabilities import Capabilities
from runner.job.observed import Origin
from runner.remotes.audio import Heard, Receipt
from runner.remotes.online import Answered
from runner.remotes.transport.pace import Pace


class Caller(Protocol):
    """One remote API that takes a request a call. Raises the RemoteError family only; keys appear in no message.

    What is sent, `Work.request` gives: a recording with its form, or a row with its body. A remote that gives a receipt
    is looked at until there is an answer, and `remotes.audio.line_of` writes its line; one that answers at once gives
    the line itself.
    """

    card: Capabilities
    parallelism: int  # requests that may be sent at once

    @property
    def pace(self) -> Pace | None:
        """How fast they may be; None for a remote that gives receipts, and is waited for between passes."""
        ...

    @property
    def origin(self) -> Origin: ...

    @property
    def skew(self) -> timedelta:
        """How far the remote's clock is ahead of ours, by the last `Date` it sent; nothing where it sent none yet."""
        ...

    def submit(self, request: Any) -> Receipt | Answered:
        """Send one request, a recording streamed from disk: one call, never retried here.

        Raises NotSent, Refused or RateLimited when nothing was accepted, OutcomeUnknown when it may have been;
        DataError when the file cannot be read or is not what it was, and then nothing was accepted either.
        """
        ...

    def look(self, receipt: Receipt) -> Heard:
        """What became of it. Raises NotFound on 404 only; everything else that fails is not an absence."""
        ...

    def close(self) -> None: ...
