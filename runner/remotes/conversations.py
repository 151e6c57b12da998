"""Conversations, tools and whole bodies that rows hold: what an endpoint takes, and how it has it.

Only what is known to be refused is refused here; every other field goes as it stands.
Source: the types of OpenAI's Python SDK, openai 3.57.0: `chat/chat_completion_message_param`,
`responses/response_input_item_param` (2026-11-30).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, NoReturn

import msgspec

from runner.job.body import Hole
from runner.job.project import CHAT, COMPLETIONS, EMBEDDINGS, MODERATIONS, RESPONSES, Job
from runner.job.reading import Misfit, named, told
from runner.mending import NOT_SO

ROLES = ("system", "developer", "user", "assistant", "tool", "function")
_OF_ITEMS = ("system", "developer", "user", "assistant")
_NEEDED = {  # of an item of `/v1/responses`, by its type
    "function_call": ("call_id", "name", "arguments"),
    "function_call_output": ("call_id", "output"),
}
_SAYS_NOTHING = ("tool_calls", "function_call", "refusal", "audio")  # one of them is enough for an assistant
_TEXT_PARTS = {"assistant": "output_text"}  # as `/v1/responses` calls a part of type `text`; else `input_text`

_decode = msgspec.json.Decoder().decode
_encode = msgspec.json.Encoder().encode

Shape = Callable[[str], str]


# --- what a row holds ---------------------------------------------------------------------------------------------


def turns_in(column: str, job: Job, *, may_be_empty: bool) -> Shape:
    """The JSON of a column of messages -> the messages that are sent, checked. Raises Misfit."""
    is_chat = job.model.endpoint == CHAT
    roles = job.roles or ROLES

    def read(text: str) -> str:
        where, value = f"`{column}`", _decode(text)
        if isinstance(value, str):  # a template keeps the type of its value, and CSV has nothing but text
            value = _json_in(value, where)
            text = _encode(value).decode()
        turns = _list_in(value, where, "messages")
        if not turns and not may_be_empty:
            raise Misfit(f"{where} has no messages", "a request needs one; leave such rows out with `where`")
        for number, turn in enumerate(turns, 1):
            check_turn(turn, f"message {number} of {where}", roles, job.message_chars, has_items=not is_chat)
        if is_chat:
            return text
        items = [item for turn in turns for item in items_of(turn)]
        return text if items == turns else _encode(items).decode()

    return read


def _json_in(text: str, where: str) -> Any:
    try:
        return _decode(text)
    except NOT_SO as error:
        raise Misfit(f"the text of {where} is not JSON ({error})") from error


def check_turn(turn: Any, where: str, roles: Sequence[str], longest: int, *, has_items: bool) -> None:
    """Whether a message of a row is one. has_items: items of `/v1/responses` are, too. Raises Misfit."""
    if not isinstance(turn, dict):
        raise Misfit(f"{where} is {told(turn)}" + ", and must be an object with `role` and `content`")
    kind = turn.get("type")
    if has_items and isinstance(kind, str) and kind != "message":
        for name in _NEEDED.get(kind, ()):
            _needs(turn, name, where)
        return
    role = turn.get("role")
    if role is None:
        raise Misfit(f"{where} has no `role`", f"one of {_listed(roles)}")
    if role not in roles:
        raise Misfit(f"{where} has the role {named(role)}", f"it must be one of {_listed(roles)}")
    _check_content(turn, role, where, longest)
    if role == "tool":
        _needs(turn, "tool_call_id", where)
    if turn.get("tool_calls") is not None:
        if role != "assistant":
            raise Misfit(f"{where} has `tool_calls`, and its role is `{role}`", "only an assistant calls tools")
        _check_calls(turn["tool_calls"], where)


def _check_content(turn: Mapping[str, Any], role: str, where: str, longest: int) -> None:
    content = turn.get("content")
    match content:
        case str():
            if len(content) > longest:
                raise Misfit(f"{where} has {len(content):,} characters, and its provider takes {longest:,}")
        case list():
            if not content:
                raise Misfit(f"the `content` of {where} is an empty list")
            for number, part in enumerate(content, 1):
                if not isinstance(part, dict) or not isinstance(part.get("type"), str):
                    raise Misfit(f"part {number} of the `content` of {where} has no `type`", "such as `text`")
        case None if role == "assistant" and any(turn.get(name) for name in _SAYS_NOTHING):
            pass
        case None:
            hint = "an assistant may do without where it has `tool_calls`" if role == "assistant" else ""
            raise Misfit(f"{where} has no `content`", hint)
        case _:
            raise Misfit(f"the `content` of {where} is {told(content)} and must be text or a list of parts")


def _check_calls(calls: Any, where: str) -> None:
    for number, call in enumerate(_list_in(calls, f"`tool_calls` of {where}", "calls"), 1):
        here = f"call {number} of {where}"
        if not isinstance(call, dict):
            raise Misfit(f"{here} is {told(call)} and must be an object with `id` and `function`")
        _needs(call, "id", here)
        kind = call.get("type", "function")
        inner = call.get(kind) if isinstance(kind, str) else None
        if kind in ("function", "custom"):
            if not isinstance(inner, dict):
                raise Misfit(f"{here} has no `{kind}`")
            _needs(inner, "name", f"the function of {here}")
            _needs(inner, "arguments" if kind == "function" else "input", f"the function of {here}")


def _needs(held: Mapping[str, Any], name: str, where: str) -> None:
    """A text that has to be there."""
    value = held.get(name)
    if value is None:
        raise Misfit(f"{where} has no `{name}`")
    if not isinstance(value, str) and not (name == "output" and isinstance(value, list)):
        hint = "write it as JSON in a text" if name == "arguments" else ""
        raise Misfit(f"`{name}` of {where} is {told(value)}, and must be text", hint)


def _list_in(value: Any, where: str, what: str) -> list[Any]:
    if not isinstance(value, list):
        raise Misfit(f"{where} is {told(value)} and must be a list of {what}")
    return value


def _listed(names: Sequence[str]) -> str:
    return ", ".join(f"`{name}`" for name in names)


# --- as `/v1/responses` has them ----------------------------------------------------------------------------------


def items_of(turn: Mapping[str, Any], *, has_own_parts: bool = False) -> Iterator[Any]:
    """A message of chat completions as the items that `/v1/responses` takes; an item of its own stays what it is.

    has_own_parts: parts of its content are what the endpoint calls them. Values may be holes: what is moved is not
    looked at.
    """
    role, calls = turn.get("role"), turn.get("tool_calls")
    if role == "tool":
        said = turn.get("content")
        output = _joined(said) if isinstance(said, list) else said
        yield {"type": "function_call_output", "call_id": turn.get("tool_call_id"), "output": output}
        return
    said = turn.get("content")
    rest = {name: value for name, value in turn.items() if name != "tool_calls"}
    if isinstance(said, list) and not has_own_parts:
        rest["content"] = [_part(part, str(role)) for part in said]
    if said is not None or not calls:
        yield turn if rest == turn else rest
    for call in calls if isinstance(calls, list | tuple) else ():
        yield _call(call)


def _call(call: Mapping[str, Any]) -> Mapping[str, Any]:
    function = call.get("function")
    if not isinstance(function, Mapping):
        custom = call.get("custom")
        inner = custom if isinstance(custom, Mapping) else {}
        return {"type": "custom_tool_call", "call_id": call.get("id"), **inner}
    return {
        "type": "function_call",
        "call_id": call.get("id"),
        "name": function.get("name"),
        "arguments": function.get("arguments"),
    }


def _part(part: Any, role: str) -> Any:
    """A part of chat's content as `/v1/responses` calls it; any other stays what it is."""
    kind = part.get("type") if isinstance(part, Mapping) else None
    if kind == "text":
        return {**part, "type": _TEXT_PARTS.get(role, "input_text")}
    if kind == "image_url" and isinstance(image := part.get("image_url"), Mapping):
        more = {"detail": image["detail"]} if "detail" in image else {}
        return {"type": "input_image", "image_url": image.get("url"), **more}
    return part


def _joined(parts: Sequence[Any]) -> Any:
    """The text of parts that are all text: what a tool said is one text to most remotes."""
    if all(isinstance(part, Mapping) and isinstance(part.get("text"), str) for part in parts):
        return "\n".join(part["text"] for part in parts)
    return [_part(part, "tool") for part in parts]


# --- tools --------------------------------------------------------------------------------------------------------


def tools_in(column: str, endpoint: str) -> Shape:
    """The JSON of a column of tools -> `{"tools": [...]}`, or `{}` where a row has none: remotes refuse an empty list.

    Raises Misfit.
    """

    def read(text: str) -> str:
        found = _decode(text)
        where = f"`{column}`"
        for number, tool in enumerate(_list_in(found, where, "tools"), 1):
            check_tool(tool, f"tool {number} of {where}", endpoint)
        return f'{{"tools":{text}}}' if found else "{}"

    return read


def check_tool(tool: Any, where: str, endpoint: str) -> None:
    if not isinstance(tool, dict):
        raise Misfit(f"{where} is {told(tool)} and must be an object")
    _needs(tool, "type", where)
    if tool["type"] != "function":
        return
    inner = tool.get("function")
    if endpoint == RESPONSES:
        if isinstance(inner, dict):
            raise Misfit(f"{where} has a `function` around its fields, as chat has it", "take what is in it out of it")
        _needs(tool, "name", where)
    else:
        if not isinstance(inner, dict):
            hint = "write `{type: function, function: {name: ...}}`" if "name" in tool else ""
            raise Misfit(f"{where} has no `function`", hint)
        _needs(inner, "name", f"the function of {where}")


# --- whole bodies -------------------------------------------------------------------------------------------------

_ASKED = {CHAT: "messages", RESPONSES: "input", EMBEDDINGS: "input", COMPLETIONS: "prompt", MODERATIONS: "input"}
_INSTEAD = {  # what may stand in the place of it
    CHAT: ("prompt_token_ids",),
    RESPONSES: ("prompt", "previous_response_id", "conversation"),
    COMPLETIONS: ("prompt_embeds",),
}


class _Turn(msgspec.Struct, gc=False):
    """A message that needs no closer look: a text that somebody says."""

    role: str
    content: str
    tool_calls: msgspec.Raw | msgspec.UnsetType = msgspec.UNSET


class _Chat(msgspec.Struct, gc=False):
    messages: list[_Turn]
    model: str | None = None
    stream: bool | None = None


_chat = msgspec.json.Decoder(_Chat).decode
_raw = msgspec.json.Decoder(dict[str, msgspec.Raw]).decode


def ready_in(job: Job, first: Mapping[str, Any]) -> Shape:
    """The body of a line of a batch file -> the body that is sent: as it stands, with the model in front where it has
    none and needs one, and without it where the batch as a whole names it. Raises Misfit."""
    ours = job.model.name
    head = _encode(dict(first)).decode()[:-1]
    plain = frozenset(job.roles or ROLES) - {"tool"}
    is_chat, longest = job.model.endpoint == CHAT, job.message_chars

    def is_plain(text: str) -> bool:
        """Whether all is right with a body, at a glance: nearly all of them are so."""
        try:
            asked = _chat(text)
        except (msgspec.ValidationError, RecursionError):
            return False
        if asked.model != ours or asked.stream or not asked.messages:
            return False
        for one in asked.messages:
            if one.role not in plain or one.tool_calls is not msgspec.UNSET or len(one.content) > longest:
                return False
        return True

    def read(text: str) -> str:
        if is_chat and "model" in first and is_plain(text):
            return text
        body = _decode(text)
        if not isinstance(body, dict):
            raise Misfit(f"`body` is {told(body)}, not an object")
        check_body(body, job, "`body`")
        if "model" in first and "model" not in body:
            return f"{head},{text[1:]}"
        if "model" not in first and "model" in body:
            return _encode({name: value for name, value in _raw(text).items() if name != "model"}).decode()
        return text

    return read


def check_body(body: Mapping[str, Any], job: Job, where: str) -> None:
    """Whether a request, as far as its endpoint's fields are known, can be one of this job. Raises Misfit.

    Holes of a body that differs from row to row are passed over.
    """
    endpoint, model = job.model.endpoint, body.get("model", job.model.name)
    if not isinstance(model, Hole) and model != job.model.name:
        _other_model(where, model, job)
    if body.get("stream") not in (None, False) and not isinstance(body.get("stream"), Hole):
        raise Misfit(f"{where} sets `stream`", "a batch cannot stream: remove it")
    name = _ASKED[endpoint]
    asked = body.get(name)
    if asked is None:
        if not any(body.get(other) is not None for other in _INSTEAD.get(endpoint, ())):
            raise Misfit(f"{where} has no `{name}`, which `{endpoint}` needs")
        return
    inside = f"`{name}` of {where}"
    if name == "messages" or (endpoint == RESPONSES and isinstance(asked, list)):
        if isinstance(asked, Hole):
            return
        turns = _list_in(asked, inside, "messages")
        if not turns:
            raise Misfit(f"{inside} is an empty list")
        for number, turn in enumerate(turns, 1):
            if not _is_open(turn):
                check_turn(
                    turn,
                    f"message {number} of {where}",
                    job.roles or ROLES,
                    job.message_chars,
                    has_items=endpoint == RESPONSES,
                )
    elif endpoint == RESPONSES and not isinstance(asked, str | Hole):
        raise Misfit(f"{inside} is {told(asked)} and must be text or a list")


def _is_open(value: Any) -> bool:
    """Whether it holds a hole, so that only a row tells what it is."""
    match value:
        case Hole():
            return True
        case dict():
            return any(map(_is_open, value.values()))
        case list():
            return any(map(_is_open, value))
        case _:
            return False


def model_in(job: Job, what: str) -> Shape:
    """The JSON of a model's name, where it is the one that is asked. Raises Misfit."""

    def read(text: str) -> str:
        if _decode(text) != job.model.name:
            _other_model(what, _decode(text), job)
        return text

    return read


def _other_model(where: str, model: Any, job: Job) -> NoReturn:
    given = job.prompt.body
    asked = f"`{job.model.name}` is asked"
    if given is not None and given.head is not None:
        asked = f"the first line, at `{given.head}`, `{job.model.name}`"
    words = f"{where} names the model {named(model)}, and {asked}"
    raise Misfit(words, "a job asks one model: give the others a job of their own")


def body_in(column: str, job: Job, first: Mapping[str, Any], params: Mapping[str, Any]) -> Shape:
    """The JSON of a column of bodies -> the body that is sent: what every body of the job begins with, the params of
    the model that it does not set itself, and then its own fields in their order. Raises Misfit."""
    where = f"`{column}`"

    def read(text: str) -> str:
        body = _decode(text)
        if not isinstance(body, dict):
            raise Misfit(f"{where} is {told(body)} and must be an object, the body of a request")
        check_body(body, job, where)
        ours = {name: value for name, value in {**first, **params}.items() if name not in body}
        is_model_outside = "model" in body and "model" not in first  # the batch as a whole names it
        if not ours and not is_model_outside:
            return text
        rest = {name: value for name, value in body.items() if not (is_model_outside and name == "model")}
        return _encode({**ours, **rest}).decode()

    return read
