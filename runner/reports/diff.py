"""What two jobs come to, side by side: `-o json` prints it, and the other forms are drawn from it.

A field that is added has a default; a field that changes its meaning is a new `VERSION`. Differences are the second
minus the first.
"""

from __future__ import annotations

from typing import Any, Literal

import msgspec
from msgspec import Struct

from runner.reports.facts import Form, Number, OnSameRows, StatusWord, Usage

VERSION = 1


class Side(Struct, frozen=True):
    """One job, as it stands or as it was committed. wanted = ok + error + waiting."""

    address: str
    output: str
    wanted: int
    ok: int
    error: int
    waiting: int
    usage: Usage
    revision: str = ""  # as it was named
    commit: str = ""


class Differs(Struct, frozen=True):
    """Something that was asked otherwise."""

    what: str  # model, params, prompt, dataset
    first: str
    second: str


class Row(Struct, frozen=True):
    """A row that came out otherwise under a check."""

    custom_id: str
    expected: str | None
    first: str | None  # what was read from its answer
    second: str | None
    first_status: StatusWord
    second_status: StatusWord


class MacroF1(Struct, frozen=True):
    """Of a `choice`, on the same rows."""

    first: Number
    second: Number
    difference: Number
    p: float | None = None


class Check(OnSameRows, frozen=True):
    """One check on the rows that count in both: each by itself, and the difference. Shares are from 0 to 1."""

    name: str
    kind: str
    form: Form
    better: Literal["higher", "lower"]
    first: Number
    second: Number
    unanswered: int = 0  # rows that one of the two did not answer
    worse: int = 0  # rows
    better_rows: int = 0
    worst: tuple[Row, ...] = ()  # of them, those that changed most
    best: tuple[Row, ...] = ()
    macro_f1: MacroF1 | None = None


class Diff(Struct, frozen=True):
    first: Side
    second: Side
    compared: int  # rows that both have, with the same content
    only_first: int
    only_second: int
    changed: int  # rows that both have, with another content
    differs: tuple[Differs, ...] = ()
    checks: tuple[Check, ...] = ()
    notes: tuple[str, ...] = ()  # what is not compared, and why
    unmet: tuple[str, ...] = ()  # what was asked for on the command line, and is not so
    version: int = VERSION


def encode(diff: Diff) -> bytes:
    """As JSON, indented, with a newline at its end."""
    return msgspec.json.format(msgspec.json.encode(diff, order="deterministic"), indent=2) + b"\n"


def schema() -> dict[str, Any]:
    """The JSON Schema of it."""
    found = msgspec.json.schema(Diff)
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", "title": "runner diff", **found}
