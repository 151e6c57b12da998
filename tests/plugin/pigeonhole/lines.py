"""What a pigeonhole's lines are: `{"slip","ask"}` in, `{"slip","said"}` or `{"slip","fault"}` out."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec
from msgspec import Raw, Struct

from runner.job.body import BodyPlan
from runner.job.finish import finish_of
from runner.job.outcomes import Outcome
from runner.job.project import Job
from runner.mending import NOT_SO
from runner.remotes.bodies import body_of
from runner.remotes.reading.codes import outcome_of
from runner.remotes.reading.verdict import NULL, TEXT, Answer, Expected, Fault, Parsed, Plain, Shape, Unreadable
from runner.remotes.vendor import Envelope

ENDINGS = {"done": "stop", "full": "length"}


class _Line(Struct):
    slip: str
    said: Raw = Raw()
    fault: Fault | None = None


class _Said(Struct):
    words: Raw = Raw(NULL)
    why: str | None = None
    spent: tuple[int, int] = (0, 0)


_line = msgspec.json.Decoder(_Line).decode
_said = msgspec.json.Decoder(_Said).decode


class PigeonholeLines:
    """Implements `remotes.vendor.Lines`."""

    name = "pigeonhole"

    def body(self, job: Job) -> BodyPlan:
        return body_of(job, {"model": job.model.name})

    def envelope(self, endpoint: str) -> Envelope:
        return Envelope(b'{"slip":"', b'","ask":', b"}")

    def identity(self, job: Job) -> tuple[str, ...]:
        return ("pigeonhole",)


class PigeonholeReader:
    """Implements `remotes.vendor.Reader`, the plain way: nothing of it is fast."""

    shapes: tuple[Shape, ...] = ()

    def plains(self, lines: Sequence[bytes]) -> Sequence[Plain | None]:
        return [None] * len(lines)

    def parse(self, line: bytes) -> Parsed:
        try:
            found = _line(line)
            said = _said(found.said) if bytes(found.said) else None
        except NOT_SO as error:
            raise Unreadable("no slip of a pigeonhole") from error
        if found.fault is not None:
            return Parsed(found.slip, outcome_of(found.fault), fault=found.fault)
        if said is None:
            return Parsed(found.slip, Outcome.RETRY, fault=Fault("no_result", "neither an answer nor a fault"))
        return Parsed(found.slip, Outcome.OK, *said.spent)

    def parts(self, line: bytes) -> tuple[str, bytes]:
        found = _line(line)
        return found.slip, bytes(found.said) or NULL

    def answer(self, body: bytes | Raw, wanted: Expected = TEXT) -> Answer:
        said = _said(body)
        return Answer(bytes(said.words), finish_of(ENDINGS.get(said.why or "", said.why)))


LINES = PigeonholeLines()
READER = PigeonholeReader()
