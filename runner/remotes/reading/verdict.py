"""What is read out of one line of a raw result file: whose it is, what became of it, and the answer in it."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from typing import Any, NamedTuple

import msgspec
from msgspec import Raw, Struct

from runner.job import finish
from runner.job.outcomes import Outcome
from runner.mending import NOT_SO
from runner.schemas import AnswerSchema

ABSENT = Raw()
NULL = b"null"


class Unreadable(Exception):
    """A line that says nothing about any request; the message is the reason, fit for display."""


class Fault(NamedTuple):
    """An error in the remote's own words."""

    code: str
    message: str
    status: int | None = None


class Parsed(NamedTuple):
    """The verdict on one line. `outcome` is None for a request line that strayed into the results."""

    custom_id: str
    outcome: Outcome | None
    input_tokens: int = 0
    output_tokens: int = 0
    is_repaired: bool = False
    fault: Fault | None = None  # what went wrong; None for an answer
    cached_tokens: int = 0  # of the input


# The usual success, a text answer that ended by itself or was cut: custom_id, body, the text as JSON, and how it ended.
# A bare tuple, since one is made for nearly every line.
Plain = tuple[str, bytes, bytes, str]


class Expected(msgspec.Struct, frozen=True):
    """What was asked for beside text."""

    is_json: bool = False
    is_object: bool = False  # a JSON object, and no other JSON
    schema: AnswerSchema | None = None  # that it has to be what it wants

    def __repr__(self) -> str:
        """Digests of results are made with it: what asks for no schema prints as it did before there were any."""
        of_schema = f", schema={self.schema!r}" if self.schema else ""
        return f"Expected(is_json={self.is_json}, is_object={self.is_object}{of_schema})"


TEXT = Expected()


class Answer(NamedTuple):
    """`content` is JSON: a string, a vector, a value; `null` for tool calls, refusals and shapes we do not know."""

    content: bytes
    finish: str | None  # one of `finish`, or the remote's own word; None where it does not say


class Details(Struct, gc=False):
    cached_tokens: int | None = None


class Usage(Struct, gc=False):
    """Tokens, under the names of either API."""

    prompt_tokens: int = 0
    completion_tokens: int = 0
    input_tokens: int = 0
    output_tokens: int = 0
    prompt_tokens_details: Details | None = None
    input_tokens_details: Details | None = None


class Shape(Struct, frozen=True):
    """One of the ways a success is written, as a decoder that takes nothing else."""

    decode: Callable[[bytes], Any]  # has a `custom_id`; raises one of NOT_SO for all else; does not see broken UTF-8
    usage_of: Callable[[Any], Usage | None]

    def read(self, line: bytes) -> Any:
        """A success in this shape. Raises one of NOT_SO for all else."""
        seen = self.decode(line)
        if not line.isascii():
            line.decode()  # strings that are skipped are not checked by the decoder
        return seen

    def successes(self, lines: Iterable[bytes], *, is_text: bool) -> list[Any]:
        """What lines begin with, up to the first that is no success. is_text: they are known to be UTF-8."""
        decode = self.decode if is_text else self.read
        seen: list[Any] = []
        with suppress(*NOT_SO):
            seen.extend(map(decode, lines))  # those before the one that raises stay
        return seen


def is_text(lines: Sequence[bytes]) -> bool:
    """Whether all is UTF-8; False where it has to be asked line by line."""
    if all(map(bytes.isascii, lines)):
        return True
    try:
        b"\n".join(lines).decode()
    except UnicodeDecodeError:
        return False
    return True


def tokens_of(usages: Iterable[Usage | None]) -> tuple[int, int, int, int]:
    """(input, output) tokens in sum, of how many answers they are not known, and how much of the input was cached."""
    asked = told = untold = cached = 0
    for usage in usages:
        if usage is None:
            untold += 1
        else:
            asked += usage.prompt_tokens or usage.input_tokens
            told += usage.completion_tokens or usage.output_tokens
            if details := usage.prompt_tokens_details or usage.input_tokens_details:
                cached += details.cached_tokens or 0
    return asked, told, untold, cached


def parsed(answer: bytes) -> bytes:
    """The JSON value written in a text answer; the answer itself if it is not JSON."""
    if answer[:1] != b'"':
        return answer
    try:
        return msgspec.json.format(_decode_text(answer).encode(), indent=-1)
    except (msgspec.MsgspecError, RecursionError):
        return answer


def is_wanted(value: bytes, text: bytes, wanted: Expected) -> bool:
    """Whether `value`, made of a text answer by `parsed`, is the JSON asked for."""
    if value is text or (wanted.is_object and value[:1] != b"{"):
        return False
    return wanted.schema is None or wanted.schema.fits(value)


def as_wanted(found: Answer, wanted: Expected) -> Answer:
    """The JSON asked for in place of its text; else the answer, and that it is none, or not what the schema wants."""
    if not wanted.is_json or found.content[:1] != b'"':
        return found
    value = parsed(found.content)
    if found.finish not in finish.FLAWS and not is_wanted(value, found.content, wanted):
        is_none = value is found.content or wanted.schema is None
        return Answer(value, finish.NOT_JSON if is_none else finish.INVALID)
    return found._replace(content=value)


def kept_as_wanted(kept: Answer, wanted: Expected) -> Answer:
    """The same of an answer that a results file holds without its response, as it was written there.

    How it ended is what the file says; a schema it is held to all the same: that may be newer. Its JSON may be a text,
    as tables have it, or one that is JSON itself.
    """
    if not wanted.is_json:
        return kept
    value = parsed(kept.content)
    if wanted.schema is None or value == NULL or kept.finish in finish.FLAWS or wanted.schema.fits(value):
        return kept._replace(content=value)
    return Answer(value, finish.INVALID)


_decode_text = msgspec.json.Decoder(str).decode
