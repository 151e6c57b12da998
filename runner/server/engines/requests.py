"""The bodies that are asked with, as OpenAI describes them: what a remote would refuse, its stand-in does too.

A param of the wrong type, or out of range, is refused by every remote; one that it does not know only by OpenAI, which
servers beside it pass over. Whose model it is, its name tells.

Source of the names: the types of OpenAI's Python SDK, openai 3.57.0 (2026-11-30; a test compares). Kinds, ranges and
the words of its errors are from general knowledge of its reference.
"""

from __future__ import annotations

import re
from typing import Annotated, Any, TypeVar

import msgspec
from msgspec import Meta

from runner.server.engines.base import EngineRequest, UnfitBody
from runner.server.engines.turns import Item, Message

T = TypeVar("T", bound=msgspec.Struct)

_NOTHING = msgspec.Raw(b"null")
_PLACE = re.compile(r" - at `\$\.?(.*?)`$", re.DOTALL)
_HOSTED_ONLY = re.compile(r"(?:ft:)?(?:gpt-(?!oss)|chatgpt-|o[1-9](?:-|$)|text-embedding-|davinci-|babbage-)")

_FORMATS = ("text", "json_object", "json_schema", "grammar", "structural_tag")
_names = msgspec.json.Decoder(dict[str, msgspec.Raw])

Temperature = Annotated[float, Meta(ge=0, le=2)]
TopP = Annotated[float, Meta(ge=0, le=1)]
Penalty = Annotated[float, Meta(ge=-2, le=2)]
Count = Annotated[int, Meta(ge=1)]
Copies = Annotated[int, Meta(ge=1, le=128)]
Map = dict[str, Any]


class Format(msgspec.Struct):
    type: str = "text"
    json_schema: Map | None = None
    schema: msgspec.Raw = _NOTHING
    name: str | None = None


class Text(msgspec.Struct):
    format: Format | None = None
    verbosity: str | None = None


class _Common(msgspec.Struct):
    """What several endpoints take. The names of its fields are those of the wire."""

    model: str = ""
    temperature: Temperature | None = None
    top_p: TopP | None = None
    user: str | None = None


class Chat(_Common):
    messages: list[Message] = []
    audio: Map | None = None
    frequency_penalty: Penalty | None = None
    function_call: str | Map | None = None
    functions: list[Map] | None = None
    logit_bias: dict[str, float] | None = None
    logprobs: bool | int | None = None
    max_completion_tokens: Count | None = None
    max_tokens: int | None = None
    metadata: dict[str, str] | None = None
    modalities: list[str] | None = None
    n: Copies | None = None
    parallel_tool_calls: bool | None = None
    prediction: Map | str | None = None
    presence_penalty: Penalty | None = None
    moderation: Any = None
    prompt_cache_key: str | None = None
    prompt_cache_options: Any = None
    prompt_cache_retention: str | None = None
    reasoning_effort: str | None = None
    response_format: msgspec.Raw = _NOTHING
    safety_identifier: str | None = None
    seed: int | None = None
    service_tier: str | None = None
    stop: str | list[str] | None = None
    store: bool | None = None
    stream: bool | None = None
    stream_options: Map | None = None
    tool_choice: str | Map | None = None
    tools: list[Map] | None = None
    top_logprobs: Annotated[int, Meta(ge=0, le=20)] | None = None
    verbosity: str | None = None
    web_search_options: Map | None = None


class Respond(_Common, kw_only=True):
    input: str | list[Item]
    background: bool | None = None
    context_management: list[Any] | None = None
    conversation: str | Map | None = None
    include: list[str] | None = None
    instructions: str | None = None
    max_output_tokens: Count | None = None
    max_tool_calls: Count | None = None
    metadata: dict[str, str] | None = None
    parallel_tool_calls: bool | None = None
    previous_response_id: str | None = None
    prompt: Map | None = None
    access_programs: Any = None
    background_options: Any = None
    image: Any = None
    moderation: Any = None
    prompt_cache_key: str | None = None
    prompt_cache_options: Any = None
    prompt_cache_retention: str | None = None
    reasoning: Map | None = None
    safety_identifier: str | None = None
    service_tier: str | None = None
    store: bool | None = None
    stream: bool | None = None
    stream_options: Map | None = None
    text: Text | None = None
    tool_choice: str | Map | None = None
    tools: list[Map] | None = None
    top_logprobs: Annotated[int, Meta(ge=0, le=20)] | None = None
    truncation: str | None = None


class Complete(_Common, kw_only=True):
    prompt: Any
    best_of: Count | None = None
    echo: bool | None = None
    frequency_penalty: Penalty | None = None
    logit_bias: dict[str, float] | None = None
    logprobs: int | bool | None = None
    max_tokens: int | None = None
    n: Copies | None = None
    presence_penalty: Penalty | None = None
    seed: int | None = None
    stop: str | list[str] | None = None
    stream: bool | None = None
    stream_options: Map | None = None
    suffix: str | None = None


class Embed(msgspec.Struct):
    input: str | list[Any]
    model: str = ""
    dimensions: int = 8
    encoding_format: str = "float"
    user: str | None = None


class Moderate(msgspec.Struct):
    input: str | list[Any]
    model: str = ""


def read(decoder: msgspec.json.Decoder[T], request: EngineRequest) -> T:
    """The body, if a remote would take it. Raises UnfitBody with what it would answer; MsgspecError for no JSON."""
    try:
        found = decoder.decode(request.body)
    except msgspec.ValidationError as error:
        place = _PLACE.search(str(error))
        param = place[1] if place else None
        raise UnfitBody(400, "invalid_value", f"Invalid request body: {error}", param=param) from error
    if is_hosted(request.model):
        _check_names(request, type(found))
    return found


def is_hosted(model: str) -> bool:
    """Whether OpenAI alone answers for it: what it does not know, it refuses."""
    return bool(_HOSTED_ONLY.match(model))


def check_format(wanted: Format, model: str, *, is_flat: bool = False) -> None:
    """The form of a `response_format`; is_flat: of `text.format`, which has no wrapper. Raises UnfitBody."""
    place = "text.format" if is_flat else "response_format"
    if wanted.type not in _FORMATS:
        text = f"Invalid value: '{wanted.type[:64]}'. Supported values are: 'json_object', 'json_schema', and 'text'."
        raise UnfitBody(400, "invalid_value", text, param=f"{place}.type")
    lacks = (_lacks_flat if is_flat else _lacks)(wanted, is_hosted=is_hosted(model))
    if wanted.type == "json_schema" and lacks:
        text = f"Missing required parameter: '{place}.{lacks}'."
        raise UnfitBody(400, "missing_required_parameter", text, param=f"{place}.{lacks}")


def _lacks(wanted: Format, *, is_hosted: bool) -> str:
    inner = wanted.json_schema
    if inner is None:
        return "json_schema" if bytes(wanted.schema) == b"null" else ""
    return "json_schema.name" if is_hosted and "name" not in inner else ""


def _lacks_flat(wanted: Format, *, is_hosted: bool) -> str:
    if is_hosted and not wanted.name:
        return "name"
    return "schema" if bytes(wanted.schema) == b"null" else ""


def _check_names(request: EngineRequest, kind: type[msgspec.Struct]) -> None:
    """Whether the endpoint has them all. Raises UnfitBody."""
    known = kind.__struct_encode_fields__
    for name in _names.decode(request.body):
        if name not in known and request.endpoint == "/v1/responses":
            text = f"Unknown parameter: '{name[:64]}'."
            raise UnfitBody(400, "unknown_parameter", text, param=name[:64])
        if name not in known:
            raise UnfitBody(400, None, f"Unrecognized request argument supplied: {name[:64]}")
