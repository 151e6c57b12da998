"""What is asked must be fit to be asked: a batch's input file, every line once, streaming; and the body of one call.

The spelling of `invalid_json_line`, `duplicate_custom_id`, `mismatched_model`, `token_limit_exceeded` and of the
file-access error was seen on the real service; `url_mismatch`, `empty_file` and `too_many_tasks` are Azure's; the
rest is ours (read 2026-11-21).
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec

from runner.server.dialect import InputVerdict
from runner.server.errors import ApiError
from runner.server.records import BatchProblem, StoredBatch

MAX_LINES = 50_000
MAX_BYTES = 200 * 1024 * 1024
MAX_INPUTS = 50_000
MAX_PROBLEMS = 100
_BYTES_PER_TOKEN = 4
_LOOK_EVERY = 2_000


# What is decoded of a line is no more than is judged: the rest of a body, most of its bytes, is skipped, not built.
class _Body(msgspec.Struct):
    model: str
    stream: bool | None = None


class _EmbeddingBody(msgspec.Struct):
    model: str
    input: Any = ""


class _Line(msgspec.Struct):
    custom_id: str
    method: str
    url: str
    body: _Body


class _EmbeddingLine(msgspec.Struct):
    custom_id: str
    method: str
    url: str
    body: _EmbeddingBody


_line = msgspec.json.Decoder(_Line)
_embedding_line = msgspec.json.Decoder(_EmbeddingLine)
_body = msgspec.json.Decoder(_Body)


def invisible(batch: StoredBatch) -> InputVerdict:
    """The file is not there, not ours, or not to be seen yet."""
    text = f"Cannot find file {batch.input_ref}, or organization org-runner does not have access to it."
    return InputVerdict([BatchProblem("invalid_request", text, param="file_id")])


# A moderation names a model only if it wants another (source: OpenAI, "Create moderation", `model`, read 2026-11-30).
_DEFAULT_MODELS = {"/v1/moderations": "omni-moderation-latest"}


def model_of(endpoint: str, body: bytes) -> str:
    """The model that the body of one call asks. Raises ApiError 400 for one that no engine should see."""
    try:
        _check_utf8(body)
        read = _body.decode(body)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        model = _DEFAULT_MODELS.get(endpoint)
        problem = _unfit(body)
        if model is not None and problem.code == "missing_required_parameter":
            return model
        raise problem from error
    if read.stream:
        text = "Unsupported value: 'stream' does not support true on this server. Leave it out, or set it to false."
        raise ApiError(400, text, param="stream", code="unsupported_value")
    return read.model


def _unfit(body: bytes) -> ApiError:
    """Say what a body lacks: slow, for bodies that are wrong."""
    try:
        found = msgspec.json.decode(body.decode())
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        return ApiError(400, "We could not parse the JSON body of your request.")
    if not isinstance(found, dict):
        return ApiError(400, "The body must be a JSON object.")
    if found.get("model") is None:
        return ApiError(400, "you must provide a model parameter", param="model", code="missing_required_parameter")
    name = "stream" if isinstance(found["model"], str) else "model"
    return ApiError(400, f"Invalid type for '{name}'.", param=name, code="invalid_type")


# msgspec skips the strings it need not build without looking at their bytes, so wrong UTF-8 there would pass
def _check_utf8(text: bytes) -> None:
    if not text.isascii():
        text.decode()


def check(
    batch: StoredBatch,
    source: Path,
    stopped: Callable[[], bool],
    max_lines: int = MAX_LINES,
    max_bytes: int = MAX_BYTES,
) -> InputVerdict:
    """Judge every line of `source` for this batch."""
    try:
        size = source.stat().st_size
    except FileNotFoundError:
        return invisible(batch)
    if size == 0:
        return InputVerdict([BatchProblem("empty_file", "The input file is empty.")])
    if size > max_bytes:
        text = f"The input file has {size:,} bytes; a batch may have at most {max_bytes:,}."
        return InputVerdict([BatchProblem("max_file_size_exceeded", text)])
    checker = _Checker(batch.endpoint)
    with source.open("rb") as lines:
        for number, line in enumerate(lines, 1):
            # not counted first: the file is read once
            if number > max_lines:
                text = f"The input file has more than {max_lines:,} requests."
                return InputVerdict([BatchProblem("too_many_tasks", text)])
            checker.read(number, line)
            if len(checker.problems) >= MAX_PROBLEMS or (number % _LOOK_EVERY == 0 and stopped()):
                break
    return InputVerdict(checker.problems, checker.model, checker.rows, checker.size_bytes // _BYTES_PER_TOKEN)


class _Checker:
    """What has been seen of one file so far."""

    def __init__(self, endpoint: str) -> None:
        self.endpoint = endpoint
        self.problems: list[BatchProblem] = []
        self.model = ""
        self.rows = 0
        self.size_bytes = 0
        self._ids: set[str] = set()
        self._inputs = 0

    def read(self, number: int, line: bytes) -> None:
        try:
            custom_id, model = self._decoded(line)
        except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
            self.problems.append(_fault_of(line, number))
            return
        except _Wrong as wrong:
            self.problems.append(BatchProblem(wrong.code, wrong.message, wrong.param, number))
            return
        if custom_id in self._ids:
            text = f"The custom_id '{custom_id[:64]}' was used before; each must be unique in a batch."
            self.problems.append(BatchProblem("duplicate_custom_id", text, "custom_id", number))
        self._ids.add(custom_id)
        self.model = self.model or model
        if model != self.model:
            text = f"All requests of a batch must use one model; found '{model}' after '{self.model}'."
            self.problems.append(BatchProblem("mismatched_model", text, "body.model", number))
        self.rows += 1
        self.size_bytes += len(line)

    def _decoded(self, line: bytes) -> tuple[str, str]:
        _check_utf8(line)
        if self.endpoint == "/v1/embeddings":
            wide = _embedding_line.decode(line)
            self._count(wide.body.input)
            self._agree(wide.method, wide.url)
            return wide.custom_id, wide.body.model
        read = _line.decode(line)
        self._agree(read.method, read.url)
        if read.body.stream:
            raise _Wrong("invalid_request", "Streaming is not supported in a batch.", "body.stream")
        return read.custom_id, read.body.model

    def _agree(self, method: str, url: str) -> None:
        if method != "POST":
            raise _Wrong("invalid_method", f"The method must be 'POST', not '{method[:16]}'.", "method")
        if url != self.endpoint:
            text = f"The url '{url[:64]}' differs from the batch's endpoint '{self.endpoint}'."
            raise _Wrong("url_mismatch", text, "url")

    def _count(self, value: Any) -> None:
        is_many = isinstance(value, list) and not (value and isinstance(value[0], int))
        self._inputs += len(value) if is_many else 1
        if self._inputs > MAX_INPUTS:
            text = f"The file has more than {MAX_INPUTS:,} embedding inputs."
            raise _Wrong("too_many_inputs", text, "body.input")


class _Wrong(Exception):
    def __init__(self, code: str, message: str, param: str) -> None:
        super().__init__(message)
        self.code = code
        self.message = message
        self.param = param


# The decoder's error says where in a type it failed, in words of its own; the API names the parameter. Such a line is
# decoded again, without a type, which only wrong lines pay for.
def _fault_of(line: bytes, number: int) -> BatchProblem:
    """Say precisely what a line lacks: slow, for lines that are wrong."""
    try:
        found = msgspec.json.decode(line.decode())
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        return BatchProblem("invalid_json_line", "This line is not parseable as valid JSON.", None, number)
    if not isinstance(found, dict):
        return BatchProblem("invalid_json_line", "This line is not a JSON object.", None, number)
    body = found.get("body")
    for name in ("custom_id", "method", "url"):
        if not isinstance(found.get(name), str):
            return _lacks(name, number)
    if not isinstance(body, dict):
        return _lacks("body", number)
    return _lacks("body.model" if not isinstance(body.get("model"), str) else "body", number)


def _lacks(param: str, number: int) -> BatchProblem:
    text = f"Missing or malformed parameter: '{param}'."
    return BatchProblem("missing_required_parameter", text, param, number)
