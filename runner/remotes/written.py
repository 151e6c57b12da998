"""How a field of a profile is written in specs, said where the field is declared: what has no such mark is not written.

A profile is a struct of the client and needs no pydantic; `overrides` makes of these marks what checks specs, and the
JSON Schema.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, TypeVar

from msgspec import Meta

T = TypeVar("T")
MARK = "written"
MOST_CHARACTERS = 16_000_000  # of one text: templates are rendered in a process of little memory


def _as(word: str) -> Meta:
    return Meta(extra={MARK: word})


def told(description: str) -> Meta:
    """What is said of a field where it is not plain: `Annotated[Count, told("of one recording")]`."""
    return Meta(description=description)


Flag = Annotated[bool, _as("flag")]
Count = Annotated[int, _as("count")]  # at least 1
Characters = Annotated[int, _as("characters")]  # at least 1
Whole = Annotated[int, _as("whole")]  # at least 0
Parallelism = Annotated[int, _as("parallelism")]
Hours = Annotated[int, _as("hours")]  # whole hours, or a duration such as `2d`
HoursList = Annotated[tuple[int, ...], _as("hours list")]
Seconds = Annotated[float, _as("seconds")]
Share = Annotated[float, _as("share")]  # from 0 to 1
Text = Annotated[str, _as("text")]
RawText = Annotated[str, _as("raw text")]  # may be empty
Words = Annotated[tuple[str, ...], _as("words")]  # a list of texts
Texts = Annotated[tuple[str, ...], _as("texts")]  # the same, or one of them
Path = Annotated[str, _as("path")]
Header = Annotated[str, _as("header")]
Endpoints = Annotated[tuple[str, ...], _as("endpoints")]
Phases = Annotated[Mapping[str, str], _as("phases")]
RawTexts = Annotated[Mapping[str, str], _as("raw texts")]
JsonMap = Annotated[Mapping[str, Any], _as("json map")]
Choice = Annotated[T, _as("choice")]  # of a Literal
