"""What the requests of a job are called, and what they are sent in."""

from __future__ import annotations

import msgspec

from runner.cli import voice
from runner.job.capabilities import Content, Transport


class Nouns(msgspec.Struct, frozen=True):
    request: str
    batch: str
    batches: str
    is_online: bool = False

    def requests(self, number: int) -> str:
        """`1 request`, `40 recordings`."""
        return voice.count(number, self.request)

    def sent_in(self, number: int) -> str:
        """`2 batches`, `1 calls batch`."""
        return voice.count(number, self.batch, self.batches)

    def sent(self, number: int) -> str:
        """How so many batches go out: `in 2 batches`, or `online`, where a batch is on our side only."""
        return "online" if self.is_online else f"in {self.sent_in(number)}"


ROWS = Nouns("request", "batch", "batches")
RECORDINGS = Nouns("recording", "calls batch", "calls batches")
ONLINE = Nouns("request", "online batch", "online batches", is_online=True)
ALL = (ROWS, ONLINE, RECORDINGS)


def nouns_of(content: Content, transport: Transport) -> Nouns:
    if content is Content.RECORDING:
        return RECORDINGS
    return ONLINE if transport is Transport.ONLINE else ROWS
