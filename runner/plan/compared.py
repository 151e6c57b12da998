"""What became of a job since it was asked, as a plan tells it: data only, since most plans have none of it."""

from __future__ import annotations

import msgspec

RECORDED = "what was asked"  # of what is on record as sent


class Changed(msgspec.Struct, frozen=True):
    """One thing that the requests of a job are made of, and that is not what it was."""

    what: str  # `prompt.user`, `params.temperature`, `model`, `dataset`, ...
    at: str = ""  # where it is written now, `file:line`; of a text its first line that differs
    before: str | None = None  # a value, or that line; None: there was none, or it is not to be told
    after: str | None = None
    more: int = 0  # further lines of the text that differ
    kind: str = "value"  # `text`: the first line that differs; `content`: it differs, and that is all there is to say


class RequestDiff(msgspec.Struct, frozen=True):
    """One request as it was asked, and as it would be."""

    id: str  # of its row
    before: str = ""  # where the older text is from; empty where there is none
    note: str = ""  # why there is none, or what is not sure of it
    lines: tuple[str, ...] = ()  # of a unified diff, each with its ` `, `-`, `+` or `@`


class Compared(msgspec.Struct, frozen=True):
    """What became of a job since it was asked."""

    changed: tuple[Changed, ...] = ()
    since: str = ""  # what it is compared with, in words; empty for nothing
    diffs: tuple[RequestDiff, ...] = ()
