"""What travels between us and a process of ours: length-prefixed frames over two pipes.

What the one that renders is told in them stands here, too. It is JSON and not msgpack, because datasets hold integers
of more than 64 bits.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from typing import IO, Any

import msgspec

from runner.job.capabilities import MESSAGE_CHARS

LENGTH = struct.Struct(">I")


class Setup(msgspec.Struct, tag=True):
    """Templates to compile. `where` is the index of the one that filters rows, -1 without; `values` are the indices of
    those that are one expression, whose value is given as JSON."""

    templates: list[str]
    where: int
    longest: int = MESSAGE_CHARS  # characters of one text
    values: list[int] = []


class Reading(msgspec.Struct):
    """What is worked out of every row for checks: the text of a template, or what patterns take of that text."""

    template: str
    takes_null: bool = False  # null is written as `None`; else there is no text
    may_miss: bool = False  # what is not in a value gives no text; else it is an error
    is_of_answer: bool = False  # without an answer there is no text
    looks_at_it: bool = False  # at the answer itself: one without a text, such as a refusal, gives none either
    extract: str | None = None  # a pattern: the text is its first group
    occurrence: str = "last"
    search: str | None = None  # a pattern: the text is what it finds


class Readings(msgspec.Struct, tag=True):
    """Readings to do. Rows of the chunks that follow are pairs: the row, and the names that stand for its answer."""

    readings: list[Reading]
    longest: int = MESSAGE_CHARS  # characters of one text


class Chunk(msgspec.Struct, tag=True):
    """Rows to render through the templates, or to read, by what was set up last."""

    rows: list[Any]  # objects; on our side still encoded


class RenderFailure(msgspec.Struct):
    """Why one row could not be rendered: which template, its line (from 1), and in what words."""

    template: int
    line: int
    message: str
    name: str = ""  # the name that is not defined, where that is the reason
    length: int = 0  # characters, where these are too many


class Ready(msgspec.Struct, tag=True):
    """The answer to a Setup, or to Readings: the number of the template or reading that cannot be used."""

    failure: RenderFailure | None = None


class Done(msgspec.Struct, tag=True):
    """The answer to a Chunk: for each row its texts, None if `where` drops it, or why not.

    Only a reading gives None for a text.
    """

    results: list[list[str | None] | RenderFailure | None]


Request = Setup | Readings | Chunk
Reply = Ready | Done

encode = msgspec.json.Encoder().encode
decode_request = msgspec.json.Decoder(Request).decode
decode_reply = msgspec.json.Decoder(Reply).decode


def framed(data: bytes) -> bytes:
    return LENGTH.pack(len(data)) + data


def frames_of(source: IO[bytes]) -> Iterator[bytes]:
    """What is in each frame, to the end of the source."""
    while head := source.read(LENGTH.size):
        yield source.read(LENGTH.unpack(head)[0])
