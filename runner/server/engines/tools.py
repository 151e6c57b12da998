"""The tools that a request offers, and the one that it insists on; in the shape of chats and, flat, of responses.

Source: OpenAI's Python SDK, openai 3.57.0, `ChatCompletionToolParam`, `FunctionToolParam` (2026-11-30). The words of
errors are from general knowledge of the API.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

from runner.server.engines.base import UnfitBody

_WORDS = ("none", "auto", "required")


class Tool(NamedTuple):
    """A function, and the JSON Schema of its arguments."""

    name: str
    parameters: Any


def insisted_on(tools: list[Any] | None, choice: Any, *, is_flat: bool) -> Tool | None:
    """The function that has to be called; None where the model is free to answer. Raises UnfitBody.

    is_flat: as in responses, where a tool has its `name` beside its `type`, and no `function` around it.
    """
    offered = {tool.name: tool for tool in _functions(tools or [], is_flat=is_flat)}
    if choice is None or choice in ("none", "auto"):
        return None
    if not tools:
        text = "Invalid value for 'tool_choice': 'tool_choice' is only allowed when 'tools' are specified."
        raise UnfitBody(400, None, text, param="tool_choice")
    if isinstance(choice, str):
        if choice not in _WORDS:
            text = f"Invalid value: '{choice[:64]}'. Supported values are: {', '.join(map(repr, _WORDS))}."
            raise UnfitBody(400, "invalid_value", text, param="tool_choice")
        return next(iter(offered.values()), None) if choice == "required" else None
    if choice.get("type") != "function":
        return None
    name = (choice if is_flat else choice.get("function") or {}).get("name")
    if name not in offered:
        text = f"Invalid value for 'tool_choice': no function named '{str(name)[:64]}' was specified in the 'tools'."
        raise UnfitBody(400, "invalid_value", text, param="tool_choice")
    return offered[name]


def _functions(tools: list[Any], *, is_flat: bool) -> list[Tool]:
    out = []
    for index, tool in enumerate(tools):
        place = f"tools[{index}]"
        if not isinstance(tool.get("type"), str):
            raise _missing(f"{place}.type")
        if tool["type"] != "function":
            continue
        inner = tool if is_flat else tool.get("function")
        if not isinstance(inner, Mapping):
            raise _missing(f"{place}.function")
        if not isinstance(inner.get("name"), str):
            raise _missing(f"{place}.name" if is_flat else f"{place}.function.name")
        out.append(Tool(inner["name"], inner.get("parameters") or {"type": "object"}))
    return out


def _missing(place: str) -> UnfitBody:
    text = f"Missing required parameter: '{place}'."
    return UnfitBody(400, "missing_required_parameter", text, param=place)
