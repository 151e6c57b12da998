"""Who answers: an engine takes one request body and gives one reply. It knows no dialect, batch or file."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple, Protocol

import msgspec


class EngineRequest(NamedTuple):
    """One request: `endpoint` as in OpenAI's API (`/v1/chat/completions`), `body` its JSON, model inside."""

    endpoint: str
    model: str
    body: bytes
    created: int  # Unix seconds to be written into the answer
    custom_id: str = ""  # the client's name for it; an answer does not depend on it


# `failure` is for what has no status: OpenAI's result lines have `response: null` then, others a code of their own.
class EngineReply(NamedTuple):
    """An HTTP status and body; or, when the request never got an answer, `failure` (code, message)."""

    status: int
    body: bytes
    input_tokens: int = 0
    output_tokens: int = 0
    failure: tuple[str, str] | None = None

    @property
    def is_ok(self) -> bool:
        return self.failure is None and 200 <= self.status < 300


class UnfitBody(Exception):
    """A body that no remote would answer. `reply` is what one would say."""

    def __init__(self, status: int, code: str | None, message: str, *, param: str | None = None) -> None:
        super().__init__(message)
        self.reply = refusal(status, code, message, param=param)


class Loadable(Protocol):
    """A model that can run here."""

    @property
    def concurrency(self) -> int:
        """How many calls at a time help; 0: quick enough to run where it is called."""
        ...

    def prepare(self) -> None:
        """Load what a call needs; slow the first time, then nothing. Raises EngineError."""
        ...

    def close(self) -> None: ...


class Engine(Loadable, Protocol):
    """A model that reads and writes text."""

    def answer(self, request: EngineRequest) -> EngineReply:
        """One reply; never raises for what a request says. Called from several threads if `concurrency`."""
        ...


def answered(engine: Engine, request: EngineRequest) -> EngineReply:
    """What an engine says; an error of ours is an answer too, so that one row's trouble stays that row's."""
    try:
        return engine.answer(request)
    except Exception as error:  # noqa: BLE001  # whatever a library raises
        return refusal(500, "engine_error", f"{type(error).__name__}: {error}"[:256])


@dataclass(frozen=True, slots=True)
class Refusing:
    """Stands in for a model that is unknown here, or cannot run any more: every row gets the same error."""

    status: int = 404
    code: str = "model_not_found"
    message: str = "The model `{model}` does not exist or you do not have access to it."
    concurrency: int = 0

    def prepare(self) -> None:
        return None

    def answer(self, request: EngineRequest) -> EngineReply:
        # not `format`: the message may hold braces of somebody else's words
        return refusal(self.status, self.code, self.message.replace("{model}", request.model), param="model")

    def close(self) -> None:
        return None


def refusal(status: int, code: str | None, message: str, *, param: str | None = None) -> EngineReply:
    """A reply in the shape of OpenAI's errors."""
    kind = "server_error" if status >= 500 else "invalid_request_error"
    body = {"error": {"message": message, "type": kind, "param": param, "code": code}}
    return EngineReply(status, msgspec.json.encode(body))
