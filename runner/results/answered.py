"""What templates see of an answer, of a line as it streams by."""

from __future__ import annotations

from typing import Protocol

import msgspec
from msgspec import Raw, Struct

from runner.mending import NOT_SO
from runner.remotes.reading.verdict import ABSENT, NULL
from runner.results.splice import OK

_encode = msgspec.json.Encoder().encode


class Answered(Protocol):
    """A line, on its way to a results file or read from one. answer, response: JSON, `null` where there is none."""

    @property
    def status(self) -> str: ...
    @property
    def answer(self) -> bytes: ...
    @property
    def finish(self) -> str | None: ...
    @property
    def response(self) -> bytes: ...


class _Body(Struct, gc=False):
    usage: Raw = ABSENT


_decode_body = msgspec.json.Decoder(_Body | None).decode
_decode = msgspec.json.Decoder().decode


class Names:
    """What templates see of an answer, as a JSON object."""

    def __init__(self, *, has_usage: bool) -> None:
        self._has_usage = has_usage
        self._finishes: dict[str | None, bytes] = {}

    def of(self, line: Answered) -> bytes | None:
        """None without an answer: an error, or no outcome."""
        if line.status != OK:
            return None
        answer, finish = line.answer, line.finish
        if finish not in self._finishes:
            self._finishes[finish] = b',"finish_reason":%b' % _encode(finish)
        usage = b',"usage":%b' % _usage_in(line.response) if self._has_usage else b""
        return b'{"answer":%b%b%b}' % (answer if _is_sound(answer) else NULL, self._finishes[finish], usage)


def _is_sound(answer: bytes) -> bool:
    """Whether it can be read: JSON may be nested deeper than anybody decodes."""
    if answer[:1] not in (b"{", b"["):
        return True
    try:
        _decode(answer)
    except NOT_SO:
        return False
    return True


def _usage_in(response: bytes) -> bytes:
    try:
        body = _decode_body(response)
    except NOT_SO:
        return NULL
    return (bytes(body.usage) if body else b"") or NULL
