"""What is known of the params that a model is asked with: for each, what remotes take, in words and as a test.

A param that is not known, or is not of its kind, is sent as it stands: it may be newer than what we know.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import msgspec


class ParamKind(msgspec.Struct, frozen=True):
    """One param. `words` follow `should be`; `holds` is never asked about null, which every remote takes for unset.

    reads: the types of JSON that it takes, as far as they are known: a text of a row is read as one of them.
    """

    words: str
    holds: Callable[[Any], bool]
    reads: tuple[str, ...] = ()


Params = Mapping[str, ParamKind]


def number(least: float, most: float | None = None) -> ParamKind:
    """A number from `least` up, to `most` where there is a bound."""

    def holds(value: Any) -> bool:
        is_number = isinstance(value, int | float) and not isinstance(value, bool)
        return is_number and least <= value and (most is None or value <= most)

    return ParamKind(f"a number {_range(least, most)}", holds, ("number",))


def whole(least: int, most: int | None = None) -> ParamKind:
    """The same without a fraction; `5.0` is sent as `5`."""

    def holds(value: Any) -> bool:
        is_whole = isinstance(value, int) or (isinstance(value, float) and value.is_integer())
        return is_whole and not isinstance(value, bool) and least <= value and (most is None or value <= most)

    return ParamKind(f"a whole number {_range(least, most)}", holds, ("integer",))


def each(kind: ParamKind, *names: str) -> Params:
    """Params of one kind."""
    return dict.fromkeys(names, kind)


def _range(least: float, most: float | None) -> str:
    return f"of {least:g} or more" if most is None else f"from {least:g} to {most:g}"


def one_of(*names: str) -> ParamKind:
    listed = ", ".join(f"`{name}`" for name in names[:-1])
    return ParamKind(f"{listed} or `{names[-1]}`", lambda value: value in names, ("text",))


def either(*kinds: ParamKind) -> ParamKind:
    reads = tuple(dict.fromkeys(one for kind in kinds for one in kind.reads))
    words = ", or ".join(kind.words for kind in kinds)
    return ParamKind(words, lambda value: any(kind.holds(value) for kind in kinds), reads)


INTEGER = ParamKind(
    "a whole number", lambda value: isinstance(value, int) and not isinstance(value, bool), ("integer",)
)
FLAG = ParamKind("`true` or `false`", lambda value: isinstance(value, bool), ("boolean",))
TEXT = ParamKind("text", lambda value: isinstance(value, str), ("text",))
LIST = ParamKind("a list", lambda value: isinstance(value, list), ("list",))
MAP = ParamKind("a mapping", lambda value: isinstance(value, dict), ("mapping",))
TEXTS = either(TEXT, LIST)
ANYTHING = ParamKind("anything", lambda value: True)

# What chat has nearly everywhere, under OpenAI's names.
SAMPLING: Params = {"temperature": number(0, 2), "top_p": number(0, 1)}
PENALTIES: Params = {
    **each(number(-2, 2), "frequency_penalty", "presence_penalty"),
    "logit_bias": MAP,
    "seed": INTEGER,
    "stop": TEXTS,
}
TOOLS: Params = {"parallel_tool_calls": FLAG, "tool_choice": either(TEXT, MAP), "tools": LIST}
