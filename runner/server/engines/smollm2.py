"""A real chat model of 135M parameters, in this process: llama.cpp by way of `xllamacpp` (extra `local`).

xllamacpp 2026.10.11549 starts llama.cpp's own server in-process; we call it directly. It also opens a loopback port:
that one gets a random key, so that nobody else can use it.
"""

from __future__ import annotations

import os
import secrets
from pathlib import Path
from typing import Any

import msgspec

from runner.errors import EngineError
from runner.server import weights
from runner.server.engines.base import EngineReply, EngineRequest, refusal

MODEL = "smollm2-135m"
SLOTS = 4  # four at a time give 1.6 to 2.7 times the tokens per second of one
_CONTEXT_TOKENS = 4_096  # per slot


class SmolLM2:
    """The engine behind the model `smollm2-135m`."""

    concurrency = SLOTS

    def __init__(self, models: Path) -> None:
        self._models = models
        self._server: Any = None

    def prepare(self) -> None:
        """Fetch the weights if they are not here, and load them."""
        try:
            import xllamacpp
        except ImportError as error:
            raise EngineError(
                f"the model `{MODEL}` needs the extra `local`", hint="run `pip install 'runner-batch[local]'`"
            ) from error
        path = weights.pull(MODEL, self._models)
        params = xllamacpp.CommonParams()
        params.model.path = str(path)
        params.model_alias = {MODEL}
        # llama.cpp divides its context evenly among the slots
        params.n_ctx = SLOTS * _CONTEXT_TOKENS
        params.n_parallel = SLOTS
        # one is left for the API: a client that polls must not wait for a token
        params.cpuparams.n_threads = max(1, (os.cpu_count() or 2) - 1)
        params.hostnames = ["127.0.0.1"]
        params.port = 0
        params.api_keys = [secrets.token_hex(24)]
        params.ui = False
        params.endpoint_slots = False
        params.verbosity = -1
        self._server = xllamacpp.Server(params)

    def close(self) -> None:
        self._server = None

    def answer(self, request: EngineRequest) -> EngineReply:
        handle = self._handler(request.endpoint)
        if handle is None:
            text = f"The model `{MODEL}` answers `/v1/chat/completions` and `/v1/completions` only."
            return refusal(400, "unsupported_endpoint", text)
        try:
            found = handle(msgspec.json.decode(request.body))
        except (ValueError, TypeError, RecursionError, msgspec.MsgspecError) as error:
            return refusal(400, None, str(error)[:256])
        except RuntimeError as error:
            return refusal(500, "engine_error", str(error)[:256])
        return _reply(found)

    def _handler(self, endpoint: str) -> Any:
        if self._server is None:
            return None
        match endpoint:
            case "/v1/chat/completions":
                return self._server.handle_chat_completions
            case "/v1/completions":
                return self._server.handle_completions
        return None


def _reply(found: dict[str, Any]) -> EngineReply:
    error = found.get("error")
    if error:
        status = int(error.get("code", 500))
        kind = str(error.get("type", "")) or None
        return refusal(status, kind, str(error.get("message", "the model failed"))[:256])
    usage = found.get("usage", {})
    found.pop("timings", None)  # llama.cpp's own, and never the same twice
    return EngineReply(
        200, msgspec.json.encode(found), usage.get("prompt_tokens", 0), usage.get("completion_tokens", 0)
    )
