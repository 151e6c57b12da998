"""The turns of a conversation, judged as OpenAI judges them: who may say what, and that calls of tools are answered.

Source of the words of errors: general knowledge of the API (2026-11-30).
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Any

import msgspec

from runner.server.engines.base import UnfitBody
from runner.server.engines.parts import Parts, readers

_USER = readers("text", "image_url", "input_audio", "file")
_CONTENTS = {
    "system": readers("text"),
    "developer": readers("text"),
    "user": _USER,
    "assistant": readers("text", "refusal"),
    "tool": readers("text"),
    "function": readers("text"),
}
_INPUTS = readers("input_text", "input_image", "input_file", "input_audio")
_OUTPUTS = readers("output_text", "refusal")
_ITEM_CONTENTS = {"system": _INPUTS, "developer": _INPUTS, "user": _INPUTS, "assistant": {**_OUTPUTS, **_INPUTS}}
_NAME = re.compile(r"[^\s<|\\/>]{1,64}")


class Message(msgspec.Struct):
    """A message of a chat. The names of the fields are those of the wire."""

    role: str = ""
    content: Any = None
    name: Any = None
    tool_calls: Any = None
    tool_call_id: Any = None
    function_call: Any = None
    refusal: Any = None
    audio: Any = None

    @property
    def is_a_call(self) -> bool:
        """Whether it may go without a content."""
        return any(part is not None for part in (self.tool_calls, self.function_call, self.refusal, self.audio))


class Item(msgspec.Struct):
    """One item of a response's input: a message, or what a tool was asked and answered, or something else."""

    type: str = "message"
    role: str = ""
    content: Any = None
    call_id: Any = None
    name: Any = None
    arguments: Any = None
    output: Any = None


def said_in_chat(messages: list[Message], *, is_hosted: bool) -> list[str]:
    """What each message says. Raises UnfitBody for a conversation that no remote would go on with."""
    parts = Parts(is_hosted=is_hosted)
    said: list[str] = []
    open_calls: list[str] = []
    for index, message in enumerate(messages):
        place = f"messages[{index}]"
        allowed = _CONTENTS.get(message.role)
        if allowed is None:
            raise _bad_role(message.role, _CONTENTS, f"{place}.role")
        if message.role == "tool":
            _answer(message, open_calls, place)
        elif open_calls:
            break
        if message.name is not None:
            _check_name(message.name, f"{place}.name")
        if message.role == "assistant" and message.tool_calls is not None:
            open_calls = _calls(message.tool_calls, f"{place}.tool_calls")
        if message.content is None and message.role == "assistant" and message.is_a_call:
            said.append("")
        else:
            said.append(parts.text_of(message.content, allowed, f"{place}.content"))
    if open_calls:
        text = (
            "An assistant message with 'tool_calls' must be followed by tool messages responding to each"
            f" 'tool_call_id'. The following tool_call_ids did not have response messages: {', '.join(open_calls)}"
        )
        raise UnfitBody(400, "invalid_value", text[:512], param="messages")
    return said


def said_in_items(items: list[Item], *, is_hosted: bool, is_continued: bool) -> list[str]:
    """What each item of a response's input says. is_continued: calls may have been made in a response before."""
    parts = Parts(is_hosted=is_hosted)
    said: list[str] = []
    open_calls: dict[str, None] = {}
    for index, item in enumerate(items):
        place = f"input[{index}]"
        if item.type == "message":
            allowed = _ITEM_CONTENTS.get(item.role)
            if allowed is None:
                raise _bad_role(item.role, _ITEM_CONTENTS, f"{place}.role")
            said.append(parts.text_of(item.content, allowed, f"{place}.content"))
        elif item.type == "function_call":
            for name in ("call_id", "name", "arguments"):
                _check_text(getattr(item, name), f"{place}.{name}")
            open_calls[item.call_id] = None
            said.append(f"{item.name}({item.arguments})")
        elif item.type == "function_call_output":
            _check_text(item.call_id, f"{place}.call_id")
            if item.call_id not in open_calls and not is_continued:
                text = f"No tool call found for function call output with call_id {item.call_id[:64]}."
                raise UnfitBody(400, None, text, param="input")
            open_calls.pop(item.call_id, None)
            said.append(parts.text_of(item.output, _INPUTS, f"{place}.output"))
        else:  # reasoning, and what hosted tools did: theirs to judge
            said.append("")
    if open_calls:
        raise UnfitBody(
            400, None, f"No tool output found for function call {next(iter(open_calls))[:64]}.", param="input"
        )
    return said


def _answer(message: Message, open_calls: list[str], place: str) -> None:
    """One call is answered; several answers may come in any order."""
    _check_text(message.tool_call_id, f"{place}.tool_call_id")
    if message.tool_call_id not in open_calls:
        text = (
            "Invalid parameter: messages with role 'tool' must be a response to a preceeding message with 'tool_calls'."
        )
        raise UnfitBody(400, "invalid_value", text, param=f"{place}.role")
    open_calls.remove(message.tool_call_id)


def _calls(calls: Any, place: str) -> list[str]:
    """The ids of the calls that an assistant's message makes."""
    if not isinstance(calls, list):
        raise UnfitBody(400, "invalid_type", f"Invalid type for '{place}': expected an array.", param=place)
    if not calls:
        raise UnfitBody(400, "empty_array", f"Invalid '{place}': empty array.", param=place)
    ids = []
    for index, call in enumerate(calls):
        at = f"{place}[{index}]"
        if not isinstance(call, dict):
            raise UnfitBody(400, "invalid_type", f"Invalid type for '{at}': expected an object.", param=at)
        _check_text(call.get("id"), f"{at}.id")
        _check_text(call.get("type"), f"{at}.type")
        if call["type"] not in ("function", "custom"):
            text = f"Invalid value: '{call['type'][:64]}'. Supported values are: 'function' and 'custom'."
            raise UnfitBody(400, "invalid_value", text, param=f"{at}.type")
        inner = call.get(call["type"])
        for name in ("name", "arguments" if call["type"] == "function" else "input"):
            _check_text(inner.get(name) if isinstance(inner, dict) else None, f"{at}.{call['type']}.{name}")
        ids.append(call["id"])
    return ids


def _check_text(value: Any, place: str) -> None:
    if value is None:
        text = f"Missing required parameter: '{place}'."
        raise UnfitBody(400, "missing_required_parameter", text, param=place)
    if not isinstance(value, str):
        raise UnfitBody(400, "invalid_type", f"Invalid type for '{place}': expected a string.", param=place)


def _check_name(value: Any, place: str) -> None:
    _check_text(value, place)
    if not _NAME.fullmatch(value):
        text = f"Invalid '{place}': string does not match pattern. Expected a string that matches the pattern"
        raise UnfitBody(400, "invalid_value", f"{text} '^[^\\s<|\\\\/>]+$'.", param=place)


def _bad_role(role: str, known: Iterable[str], place: str) -> UnfitBody:
    if not role:
        return UnfitBody(400, "missing_required_parameter", f"Missing required parameter: '{place}'.", param=place)
    names = ", ".join(f"'{name}'" for name in known)
    text = f"Invalid value: '{role[:64]}'. Supported values are: {names}."
    return UnfitBody(400, "invalid_value", text, param=place)
