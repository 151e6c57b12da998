"""What the requests of a job are called, and what they are sent in."""

from __future__ import annotations

from typing import NamedTuple

from runner.cli import voice
from runner.job.capabilities import Content


class Nouns(NamedTuple):
    request: str
    batch: str
    batches: str

    def requests(self, number: int) -> str:
        """`1 request`, `40 recordings`."""
        return voice.count(number, self.request)

    def sent_in(self, number: int) -> str:
        """`2 batches`, `1 calls batch`."""
        return voice.count(number, self.batch, self.batches)


ROWS = Nouns("request", "batch", "batches")
RECORDINGS = Nouns("recording", "calls batch", "calls batches")


def nouns_of(content: Content) -> Nouns:
    return RECORDINGS if content is Content.RECORDING else ROWS
