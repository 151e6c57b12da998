"""Result lines as most remotes write them, told apart by what stands in them.

Vendors agree on little but `custom_id`: some wrap the answer in `{"status_code", "body"}`, some do not, some mix
failures into the output file. The fast path decodes only what the verdict needs; whatever it does not recognise goes
through the lenient path, which never crashes and says why a line cannot be read.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from operator import attrgetter, itemgetter
from typing import Annotated, Any, Generic, TypeVar

import msgspec
from msgspec import Meta, Raw, Struct

from runner.job.outcomes import Outcome
from runner.mending import NOT_SO, bare, repaired, values_of
from runner.remotes.reading.answers import answer_of, decode_plain
from runner.remotes.reading.codes import fault_in, is_empty, outcome_of, whole
from runner.remotes.reading.folded import LISTS, body_of, object_in, unfolded
from runner.remotes.reading.folded import SHAPES as BODIES
from runner.remotes.reading.verdict import ABSENT, NULL, Fault, Parsed, Plain, Shape, Unreadable, Usage

_encode = msgspec.json.Encoder().encode


class _Any(Struct, gc=False):
    """An object whose content is for others to judge."""


_Filled = Annotated[list[_Any], Meta(min_length=1)]


class _Chat(Struct, gc=False):
    """The body of chat and completions. What it lacks, or has no content in, is no answer, and does not decode."""

    choices: _Filled
    error: None = None
    usage: Usage | None = None


class _Response(Struct, gc=False):
    output: _Filled
    error: None = None
    usage: Usage | None = None


class _Embedding(Struct, gc=False):
    data: _Filled
    error: None = None
    usage: Usage | None = None


class _Transcript(Struct, gc=False):
    text: str
    error: None = None
    usage: Usage | None = None


_Body = TypeVar("_Body", bound="_Chat | _Response | _Embedding | _Transcript")


class _Reply(Struct, Generic[_Body], gc=False):
    status_code: Annotated[int, Meta(ge=200, lt=300)]
    body: _Body
    error: None = None


class _Wrapped(Struct, Generic[_Body], gc=False):
    """A success in the wrapped form. The types are the verdict: whatever is none does not decode."""

    custom_id: str
    response: _Reply[_Body]
    error: None = None


class _BareChat(_Chat):
    status_code: None = None
    body: None = None


class _BareResponse(_Response):
    status_code: None = None
    body: None = None


class _BareEmbedding(_Embedding):
    status_code: None = None
    body: None = None


_BareBody = TypeVar("_BareBody", bound="_BareChat | _BareResponse | _BareEmbedding")


class _Bare(Struct, Generic[_BareBody], gc=False):
    """The same without a wrapper."""

    custom_id: str
    response: _BareBody
    error: None = None


_WRAPPED, _BARE = attrgetter("response.body.usage"), attrgetter("response.usage")
SHAPES = (  # the most frequent first
    Shape(msgspec.json.Decoder(_Wrapped[_Chat]).decode, _WRAPPED),
    Shape(msgspec.json.Decoder(_Bare[_BareChat]).decode, _BARE),
    Shape(msgspec.json.Decoder(_Wrapped[_Response]).decode, _WRAPPED),
    Shape(msgspec.json.Decoder(_Wrapped[_Embedding]).decode, _WRAPPED),
    Shape(msgspec.json.Decoder(_Wrapped[_Transcript]).decode, _WRAPPED),
    Shape(msgspec.json.Decoder(_Bare[_BareResponse]).decode, _BARE),
    Shape(msgspec.json.Decoder(_Bare[_BareEmbedding]).decode, _BARE),
)


class _Wrapper(Struct, gc=False):
    """`{"status_code", "body"}` around an answer; a vendor without it leaves `body` absent."""

    body: Raw = ABSENT


class _Parts(Struct, gc=False):
    custom_id: str
    response: _Wrapper | None = None


class _BareParts(Struct, gc=False):
    custom_id: str
    response: Raw = ABSENT


_decode_wrapped = msgspec.json.Decoder(_Parts).decode
_decode_many = msgspec.json.Decoder(_Parts).decode_lines
_decode_bare = msgspec.json.Decoder(_BareParts).decode
_decode_wrapper = msgspec.json.Decoder(_Wrapper).decode
_ODD = (b'""', b"nu")
_CUSTOM_ID, _BODY = attrgetter("custom_id"), attrgetter("response.body")
_CONTENT, _ENDING = attrgetter("message.content"), attrgetter("finish_reason")


def plain(line: bytes) -> Plain | None:
    """The usual success, which is wrapped, fast; None for everything else."""
    try:
        if not line.isascii():
            line.decode()  # strings that are skipped are not checked by the decoder
        wrapped = _decode_wrapped(line)
        body = bytes(wrapped.response.body)  # type: ignore[union-attr]
        choice = decode_plain(body).choices[0]
    except (AttributeError, TypeError, IndexError, *NOT_SO):
        return None
    text = bytes(choice.message.content)
    if text[:2] in _ODD or text[:1] != b'"':
        return None
    return wrapped.custom_id, body, text, choice.finish_reason


def plains(lines: Sequence[bytes]) -> list[Plain | None]:
    """`plain` of each of these lines, for half of its price."""
    wrapped = _wrapped(lines)
    try:
        bodies = list(map(bytes, map(_BODY, wrapped)))
    except AttributeError:
        bodies = []
    if len(bodies) < len(lines):
        return list(map(plain, lines))
    read = _decoded(decode_plain, bodies)
    with suppress(AttributeError, IndexError):  # of one that is none, or has no choice
        choices = [one.choices[0] for one in read]
        texts = list(map(bytes, map(_CONTENT, choices)))
        if min(map(len, texts), default=0) > 2 and bytes(map(itemgetter(0), texts)).count(b'"') == len(texts):
            return list(zip(map(_CUSTOM_ID, wrapped), bodies, texts, map(_ENDING, choices), strict=True))
    return _one_by_one(wrapped, bodies, read)


def _wrapped(lines: Sequence[bytes]) -> list[_Parts]:
    """All of these lines, decoded; fewer where one of them is no text, or no result."""
    together = b"\n".join(lines)
    try:
        if not together.isascii():
            together.decode()  # strings that are skipped are not checked by the decoder
        return _decode_many(together)  # one that goes on in the next line makes them fewer
    except NOT_SO:
        return []


def _one_by_one(wrapped: Sequence[_Parts], bodies: Sequence[bytes], read: Sequence[Any]) -> list[Plain | None]:
    found: list[Plain | None] = []
    for one, body, answer in zip(wrapped, bodies, read, strict=True):
        if answer is None or not answer.choices:
            found.append(None)
            continue
        choice = answer.choices[0]
        text = bytes(choice.message.content)
        is_odd = text[:2] in _ODD or text[:1] != b'"'
        found.append(None if is_odd else (one.custom_id, body, text, choice.finish_reason))
    return found


def _decoded(decode: Callable[[bytes], Any], lines: Sequence[bytes]) -> list[Any]:
    """What each line is decoded to; None where it is not."""
    found: list[Any] = []
    left = map(decode, lines)
    while len(found) < len(lines):
        try:
            found.extend(left)  # those before the one that raises stay
        except NOT_SO:
            found.append(None)
    return found


def parts(line: bytes) -> tuple[str, bytes]:
    """The custom_id of a line and the body of its answer, as it was written. Raises one of NOT_SO."""
    if not line.isascii():
        line.decode()  # strings that are skipped are not checked by the decoder
    try:
        wrapped = _decode_wrapped(line)
    except msgspec.ValidationError:
        bare = _decode_bare(line)
        return bare.custom_id, _body_in(bytes(bare.response) or NULL)
    wrapper = wrapped.response
    if wrapper is None:
        return wrapped.custom_id, NULL
    body = bytes(_decode_bare(line).response if wrapper.body is ABSENT else wrapper.body)
    if body == NULL:  # a wrapper's, or a stray key beside an answer
        body = _encode(body_of(tree_of(line)[0]["response"]))
    return wrapped.custom_id, _body_in(body)


def _body_in(response: bytes) -> bytes:
    """The body that a response holds which is JSON text, with or without a wrapper; any other response as it is."""
    if response[:1] != b'"':
        return response
    held = unfolded(response)
    body = held if held is response else bytes(_decode_wrapper(held).body) or held
    return unfolded(body) if body[:1] == b'"' else body


def parse(line: bytes) -> Parsed:
    """Judge one raw line (without its newline).

    Success is: `error` null, `response` not null, a status from 200 to 299 (or no status and the body of an answer).
    Raises Unreadable for what is not JSON, has no `custom_id`, or has no known shape.
    """
    found, is_repaired = tree_of(line)
    custom_id = found.get("custom_id")
    if not isinstance(custom_id, str):
        raise Unreadable("`custom_id` is not text" if "custom_id" in found else "no `custom_id`")
    fault, outcome = _judge(found)
    usage = _usage_of(body_of(found.get("response")))  # of what holds no answer too: it was paid for
    return Parsed(custom_id, outcome, *usage[:2], is_repaired, fault, usage[2])


def tree_of(line: bytes) -> tuple[dict[str, Any], bool]:
    """The whole line as plain values, and whether it had to be repaired first. Raises Unreadable."""
    is_repaired = False
    try:
        line.decode()
        found = values_of(line)
    except RecursionError:
        raise Unreadable("nested too deeply") from None
    except (msgspec.MsgspecError, ValueError):
        is_repaired = True
        if not _is_framed(line):  # no repair makes an object of it, and a page may be long
            raise Unreadable("not JSON") from None
        try:
            found = values_of(repaired(line))
        except RecursionError:
            raise Unreadable("nested too deeply") from None
        except (msgspec.MsgspecError, ValueError):
            raise Unreadable("not JSON") from None
    if not isinstance(found, dict):
        raise Unreadable("not a JSON object")
    return found, is_repaired


def _is_framed(line: bytes) -> bool:
    """Whether a line could be an object, by its ends."""
    text = bare(line)
    return text[:1] == b"{" and text[-1:] == b"}"


def _judge(found: Mapping[str, Any]) -> tuple[Fault | None, Outcome | None]:
    """(what went wrong, outcome): (None, OK) for a success, (None, None) for a request line."""
    response, error = found.get("response"), found.get("error")
    if is_empty(error):
        error = None
    if response is None:
        if error is not None:
            fault = fault_in(error, None)
            return fault, outcome_of(fault)
        if "body" in found or "messages" in found:
            return None, None
        return Fault("no_result", "the remote gave neither a response nor an error"), Outcome.RETRY
    response = object_in(response)
    if not isinstance(response, dict):
        raise Unreadable("`response` is not an object")
    if response.get("status_code") is not None and whole(response["status_code"]) is None:
        raise Unreadable("`status_code` is not an HTTP status")
    status, body = whole(response.get("status_code")), body_of(response)
    if error is None:
        error = next((e for part in (body, response) if not is_empty(e := _error_in(part))), None)
    if error is None:
        if status is None and body != {} and not (isinstance(body, dict) and any(name in body for name in BODIES)):
            raise Unreadable("`response` has no known shape")
        if status is None or 200 <= status < 300:
            if lack := _lack(body):
                fault = Fault("no_answer", f"the remote reported success and gave no answer: {lack}", status)
                return fault, outcome_of(fault)
            return None, Outcome.OK
        error = body if isinstance(body, dict | str) else {}
    fault = fault_in(error, status)
    return fault, outcome_of(fault)


def _lack(body: Any) -> str:
    """Why a body holds no answer at all; empty where it holds something."""
    if body is None or (isinstance(body, dict | list) and not body):
        return "its body is empty"
    if isinstance(body, str):
        return "" if body.strip() else "its body is empty"
    if not isinstance(body, dict):
        return "its body is not an object"
    told = [name for name in BODIES if body.get(name) not in (None, [], [None])]
    if told or body.get("status") == "incomplete":
        return ""
    return next((f"`{name}` is empty" for name in LISTS if name in body), "")


def _usage_of(body: Any) -> tuple[int, int, int]:
    """Tokens of the input, of the output, and cached ones of the input; 0 where the body does not say."""
    usage = body.get("usage") if isinstance(body, dict) else None
    if not isinstance(usage, dict):
        return 0, 0, 0
    asked = whole(usage.get("prompt_tokens")) or whole(usage.get("input_tokens")) or 0
    told = whole(usage.get("completion_tokens")) or whole(usage.get("output_tokens")) or 0
    details = usage.get("prompt_tokens_details") or usage.get("input_tokens_details")
    cached = whole(details.get("cached_tokens")) if isinstance(details, dict) else None
    return asked, told, cached or 0


def _error_in(part: Any) -> Any:
    return part.get("error") if isinstance(part, dict) else None


class Common:
    """Implements `remotes.vendor.Reader`."""

    shapes = SHAPES
    plains = staticmethod(plains)
    parts = staticmethod(parts)
    parse = staticmethod(parse)
    answer = staticmethod(answer_of)


COMMON = Common()
