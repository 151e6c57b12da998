"""Models that are slow, fail, or answer with odd characters: a layer around any engine."""

from __future__ import annotations

import hashlib
import re
from collections import Counter
from typing import Generic, TypeVar

import msgspec

from runner.clock import Clock
from runner.server.engines.asr import AsrEngine, ReceivedRecording, TimedTranscript
from runner.server.engines.base import Engine, EngineReply, EngineRequest, Loadable, refusal
from runner.server.faults.switches import FaultSwitches, Setting

# The text of an answer, in every shape of them. Not one that begins with a brace or a bracket: that is JSON in a
# string, which odd characters before it would make unreadable.
_TEXT = re.compile(rb'"(content|text)":"(?![{\[\\"])')
_ODD = "\u2028\u2029\u0085\\f".encode()


_NOT_ASKED_FOR = '["not", "what", "was", "asked", "for"]'

E = TypeVar("E", bound=Loadable)


class _Around(Generic[E]):
    """Another engine, and what its layer needs."""

    def __init__(self, inner: E, faults: FaultSwitches, clock: Clock) -> None:
        self._inner = inner
        self._faults = faults
        self._clock = clock

    @property
    def concurrency(self) -> int:
        return self._inner.concurrency

    def prepare(self) -> None:
        self._inner.prepare()

    def close(self) -> None:
        self._inner.close()


class FaultyEngine(_Around[Engine]):
    """Another engine, with `row_delay`, `row_error`, `invalid_answer` and `unicode`."""

    def __init__(self, inner: Engine, faults: FaultSwitches, clock: Clock) -> None:
        super().__init__(inner, faults, clock)
        self._spoiled: Counter[str] = Counter()  # how often each row was given an answer that is none

    def answer(self, request: EngineRequest) -> EngineReply:
        if not self._faults:
            return self._inner.answer(request)
        _delay(self._faults, self._clock)
        error = _error_of(self._faults, request.custom_id)
        if error is not None:
            return error
        reply = self._inner.answer(request)
        if reply.is_ok and self._is_spoiled(request.custom_id):
            reply = reply._replace(body=_spoiled(reply.body))
        return with_odd_characters(self._faults, reply)

    def _is_spoiled(self, custom_id: str) -> bool:
        setting = self._faults.get("invalid_answer")
        if setting is None or not _is_hit(setting, custom_id):
            return False
        self._spoiled[custom_id] += 1
        times = setting.number("times")
        return not times or self._spoiled[custom_id] <= times


class FaultyAsr(_Around[AsrEngine]):
    """Another engine for speech, with `row_delay`."""

    def transcribe(self, recording: ReceivedRecording) -> TimedTranscript:
        _delay(self._faults, self._clock)
        return self._inner.transcribe(recording)


def _delay(faults: FaultSwitches, clock: Clock) -> None:
    delay = faults.get("row_delay")
    if delay is not None:
        clock.sleep(delay.value)


def _error_of(faults: FaultSwitches, custom_id: str) -> EngineReply | None:
    """The made-up error of a row, the same each time it is asked; None where the row is spared."""
    setting = faults.get("row_error")
    if setting is None or not _is_hit(setting, custom_id):
        return None
    status = int(setting.number("status"))
    if status == 0:
        return EngineReply(0, b"", failure=("request_timeout", "The request timed out (a fault was switched on)."))
    return refusal(status, "injected_fault", "This row fails because the fault `row_error` is switched on.")


def _is_hit(setting: Setting, custom_id: str) -> bool:
    if any(word in custom_id for word in setting.text("match").split()):
        return True
    if setting.value <= 0:
        return False
    name = custom_id[-22:]  # where the digest of the request is, if the client put it there
    score = int.from_bytes(hashlib.blake2b(name.encode("utf-8", "surrogatepass"), digest_size=8).digest(), "big")
    return score < setting.value * 2**64


def _spoiled(body: bytes) -> bytes:
    """The body of a chat completion, or of a response, with JSON in place of its text that nobody asked for."""
    found = msgspec.json.decode(body)
    for choice in found.get("choices", ()):
        if "message" in choice:
            choice["message"]["content"] = _NOT_ASKED_FOR
    for item in found.get("output", ()):
        for part in item.get("content", ()):
            part["text"] = _NOT_ASKED_FOR
    return msgspec.json.encode(found)


def with_odd_characters(faults: FaultSwitches, reply: EngineReply) -> EngineReply:
    """The reply, with characters in its text that careless line splitters trip over."""
    if faults.get("unicode") is None:
        return reply
    return reply._replace(body=_TEXT.sub(lambda found: found[0] + _ODD, reply.body))
