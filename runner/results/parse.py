"""One line of a raw result file, judged: whose it is and what became of it.

Vendors agree on little but `custom_id`: some wrap the answer in `{"status_code", "body"}`, some do not, some mix
failures into the output file. The fast path decodes only what the verdict needs; whatever it does not recognise goes
through the lenient path, which never crashes and says why a line cannot be read.
"""

from __future__ import annotations

import re
import struct
from binascii import Error as Base64Error
from binascii import a2b_base64, b2a_base64
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from operator import attrgetter
from typing import Annotated, Any, Generic, NamedTuple, TypeVar

import msgspec
from msgspec import Meta, Raw, Struct

from runner.job.outcomes import Outcome, Unsettled, is_out_of_money
from runner.job.packed import KEY_BYTES
from runner.results.finish import FLAWS
from runner.results.repair import bare
from runner.results.repair import repaired as repaired
from runner.results.values import values_of

KEY_CHARS = 22  # 128 bits in base64url without padding
_URL_SAFE = bytes.maketrans(b"+/", b"-_")
_URL_UNSAFE = bytes.maketrans(b"-_", b"+/")
_CODED = struct.Struct("16s2x")  # what such characters and "AA" for their padding stand for
_CODED_CHARS = KEY_CHARS + 2
_HEX = re.compile(r"[0-9a-f]{64}")

# Codes of our own, of requests that a remote may have: `held` in files of earlier versions.
MAY_BE_SENT = frozenset(("held", Unsettled.UNKNOWN.word, Unsettled.IN_FLIGHT.word))
_RETRY_CODES = frozenset(
    (
        "batch_expired",
        "expired",
        "request_timeout",
        "timeout",
        "rate_limit_exceeded",
        "server_error",
        "internal_error",
        "internal_server_error",
        "service_unavailable",
        "overloaded",
        "no_result",
        "no_answer",  # a success that holds none
        "no_body",  # a recording that is completed and has no answer
        "not_sent",  # a recording whose file was gone: nothing was asked
    )
)
_LOST_CODES = frozenset(("batch_cancelled", "batch_canceled", "cancelled", "canceled", "lost"))
_RETRY_STATUS = frozenset((408, 409, 425, 429))
# google.rpc codes, as gateways put them in `code`: unknown, deadline, exhausted, aborted, internal, unavailable.
_RETRY_RPC = frozenset((2, 4, 8, 10, 13, 14))
_LISTS = ("choices", "output", "data")  # what the body of an answer holds, by endpoint
_SHAPES = (*_LISTS, "text")


NOT_SO = (msgspec.MsgspecError, ValueError, RecursionError)  # what decoding bytes of a stranger may raise


class Unreadable(Exception):
    """A line that says nothing about any request; the message is the reason, fit for display."""


class Parsed(NamedTuple):
    """The verdict on one line. `outcome` is None for a request line that strayed into the results."""

    key: bytes | None  # None: the custom_id is not one of ours
    custom_id: str
    outcome: Outcome | None
    input_tokens: int = 0
    output_tokens: int = 0
    is_repaired: bool = False


class Fault(NamedTuple):
    """An error in the remote's own words."""

    code: str
    message: str
    status: int | None = None


ABSENT = Raw()


class Usage(Struct, gc=False):
    """Tokens, under the names of either API."""

    prompt_tokens: int = 0
    completion_tokens: int = 0
    input_tokens: int = 0
    output_tokens: int = 0


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


class Wrapped(Struct, Generic[_Body], gc=False):
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


class Bare(Struct, Generic[_BareBody], gc=False):
    """The same without a wrapper."""

    custom_id: str
    response: _BareBody
    error: None = None


Success = Wrapped[Any] | Bare[Any]


class Own(Struct):
    """A line of a results file that runner wrote: it names its request by digest, and whose answer it is."""

    digest: str
    origin: str | None  # None for a request that was not asked
    custom_id: str = ""
    batch: str | None = None
    answer: Raw = ABSENT
    finish: str | None = None
    response: Raw = ABSENT
    error: Raw = ABSENT


class _OwnError(Struct):
    code: str = ""
    status: int | None = None
    retryable: bool = True


class Shape(msgspec.Struct, frozen=True):
    """One of the ways a success is written: with a wrapper or without, by endpoint."""

    decode: Callable[[bytes], Success]  # raises one of NOT_SO for all else; does not see broken UTF-8
    usage_of: Callable[[Success], Usage | None]

    def read(self, line: bytes) -> Success:
        """A success in this shape. Raises one of NOT_SO for all else."""
        seen = self.decode(line)
        if not line.isascii():
            line.decode()  # strings that are skipped are not checked by the decoder
        return seen

    def successes(self, lines: Iterable[bytes], *, is_text: bool) -> list[Success]:
        """What lines begin with, up to the first that is no success. is_text: they are known to be UTF-8."""
        decode = self.decode if is_text else self.read
        seen: list[Success] = []
        with suppress(*NOT_SO):
            seen.extend(map(decode, lines))  # those before the one that raises stay
        return seen


_WRAPPED, _BARE = attrgetter("response.body.usage"), attrgetter("response.usage")
SHAPES = (  # the most frequent first
    Shape(msgspec.json.Decoder(Wrapped[_Chat]).decode, _WRAPPED),
    Shape(msgspec.json.Decoder(Bare[_BareChat]).decode, _BARE),
    Shape(msgspec.json.Decoder(Wrapped[_Response]).decode, _WRAPPED),
    Shape(msgspec.json.Decoder(Wrapped[_Embedding]).decode, _WRAPPED),
    Shape(msgspec.json.Decoder(Wrapped[_Transcript]).decode, _WRAPPED),
    Shape(msgspec.json.Decoder(Bare[_BareResponse]).decode, _BARE),
    Shape(msgspec.json.Decoder(Bare[_BareEmbedding]).decode, _BARE),
)
_decode_own = msgspec.json.Decoder(Own).decode
_decode_text = msgspec.json.Decoder(str).decode
_decode_own_error = msgspec.json.Decoder(_OwnError | None).decode
_OK = Outcome.OK


def key_of(custom_id: str) -> bytes | None:
    """The 16-byte key in the last 22 characters of a wire custom_id, None where it is not one of ours.

    The 22 characters may hold `-` and `_` themselves, so they are counted from the right. The last one carries
    two bits only: another spelling of the same bits is not ours.
    """
    if len(custom_id) <= KEY_CHARS or custom_id[-23] != "-" or custom_id[-1] not in "AQgw":
        return None
    text = custom_id[-KEY_CHARS:]
    if "+" in text or "/" in text:
        return None
    try:
        return a2b_base64(text.replace("-", "+").replace("_", "/") + "==", strict_mode=True)
    except (Base64Error, ValueError):  # ValueError: characters outside ASCII
        return None


def coded(key: bytes) -> str:
    """How a wire custom_id ends that names this 16-byte key: a dash and 22 characters."""
    return "-" + b2a_base64(key, newline=False)[:KEY_CHARS].translate(_URL_SAFE).decode()


def keys_of(custom_ids: list[str]) -> Sequence[bytes | None]:
    """`key_of` for many ids, at a fraction of the cost: one decode for all of them.

    With "AA" in place of padding each id is 18 bytes: the key, a byte that is zero in the one spelling that is ours,
    and a zero.
    """
    count = len(custom_ids)
    ends = "AA".join([*[custom_id[-KEY_CHARS - 1 :] for custom_id in custom_ids], ""])
    if len(ends) == (_CODED_CHARS + 1) * count and ends[:: _CODED_CHARS + 1] == "-" * count and ends.isascii():
        text = bytearray(ends.encode())
        del text[:: _CODED_CHARS + 1]  # the dashes
        if b"+" not in text and b"/" not in text:
            with suppress(Base64Error):
                packed = a2b_base64(text.translate(_URL_UNSAFE), strict_mode=True)
                if not any(packed[KEY_BYTES :: _CODED.size]):
                    return [key for (key,) in _CODED.iter_unpack(packed)]
    return [key_of(custom_id) for custom_id in custom_ids]


def read(line: bytes) -> Parsed:
    """Judge one raw line (without its newline).

    Success is: `error` null, `response` not null, a status from 200 to 299 (or no status and the body of an answer).
    Raises Unreadable for what is not JSON, has no `custom_id`, or has no known shape.
    """
    for shape in SHAPES:
        try:
            seen = shape.read(line)
        except NOT_SO:
            continue
        return Parsed(key_of(seen.custom_id), seen.custom_id, _OK, *tokens_of([shape.usage_of(seen)]))
    return read_leniently(line)


def tokens_of(usages: Iterable[Usage | None]) -> tuple[int, int]:
    """(input, output) tokens in sum, 0 where an answer does not say."""
    asked = told = 0
    for usage in usages:
        if usage is not None:
            asked += usage.prompt_tokens or usage.input_tokens
            told += usage.completion_tokens or usage.output_tokens
    return asked, told


def read_leniently(line: bytes) -> Parsed:
    """Judge a line that is no plain success. Raises Unreadable."""
    found, is_repaired = tree_of(line)
    custom_id = found.get("custom_id")
    if not isinstance(custom_id, str):
        raise Unreadable("`custom_id` is not text" if "custom_id" in found else "no `custom_id`")
    _, outcome = _judge(found)
    usage = usage_of(body_of(found.get("response")))  # of what holds no answer too: it was paid for
    return Parsed(key_of(custom_id), custom_id, outcome, *usage, is_repaired)


def read_own(line: bytes) -> tuple[Own, Outcome]:
    """Judge one line of a results file that runner wrote: an answer, a definite error, or anything else (RETRY).

    An answer that a job took for an error since it is none, see `finish`, was paid for all the same: it is an answer.
    Raises Unreadable for what is no such line.
    """
    try:
        own = _decode_own(line)
        error = _decode_own_error(own.error) if bytes(own.error) else None
        if not line.isascii():
            line.decode()
    except RecursionError:
        raise Unreadable("nested too deeply") from None
    except (msgspec.MsgspecError, ValueError):
        raise Unreadable("not a line of a results file") from None
    if not _HEX.fullmatch(own.digest) or not (own.origin or (own.origin is None and error)):
        raise Unreadable("no digest or no origin")
    has_answer = any(bytes(part) not in (b"", b"null") for part in (own.response, own.answer))
    if error is None or (has_answer and error.code in FLAWS):
        return own, Outcome.OK if has_answer else Outcome.RETRY
    is_final = not error.retryable and error.status is not None
    return own, Outcome.FINAL if is_final else Outcome.RETRY


def may_be_sent(own: Own) -> bool:
    """Whether the line says that the remote may have its request, and that no outcome was here."""
    error = _decode_own_error(own.error) if own.origin is None and bytes(own.error) else None
    return error is not None and error.code in MAY_BE_SENT


def fault_of(line: bytes) -> Fault:
    """What went wrong, of a line whose outcome is an error. Raises Unreadable."""
    fault, _ = _judge(tree_of(line)[0])
    if fault is None:
        raise Unreadable("not an error")
    return fault


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
    if _is_empty(error):
        error = None
    if response is None:
        if error is not None:
            fault = _fault(error, None)
            return fault, outcome_of(fault)
        if "body" in found or "messages" in found:
            return None, None
        return Fault("no_result", "the remote gave neither a response nor an error"), Outcome.RETRY
    response = _unfolded(response)
    if not isinstance(response, dict):
        raise Unreadable("`response` is not an object")
    if response.get("status_code") is not None and _whole(response["status_code"]) is None:
        raise Unreadable("`status_code` is no HTTP status")
    status, body = _whole(response.get("status_code")), body_of(response)
    if error is None:
        error = next((e for part in (body, response) if not _is_empty(e := _error_in(part))), None)
    if error is None:
        if status is None and body != {} and not (isinstance(body, dict) and any(name in body for name in _SHAPES)):
            raise Unreadable("`response` has no known shape")
        if status is None or 200 <= status < 300:
            if lack := _lack(body):
                fault = Fault("no_answer", f"the remote reported success and gave no answer: {lack}", status)
                return fault, outcome_of(fault)
            return None, Outcome.OK
        error = body if isinstance(body, dict | str) else {}
    fault = _fault(error, status)
    return fault, outcome_of(fault)


def outcome_of(fault: Fault) -> Outcome:
    """Whether asking again may help: by code first, then by HTTP status.

    What is neither is final, such as a recording that the remote says has `failed`: the same bytes fail again, each
    time at full price. `runner retry` asks again all the same.
    """
    code, status = fault.code, fault.status
    if code in _LOST_CODES:
        return Outcome.LOST
    if is_out_of_money(code, status):
        return Outcome.UNPAID
    if code in _RETRY_CODES or (code.isdecimal() and len(code) < 3 and int(code) in _RETRY_RPC):
        return Outcome.RETRY
    if status is not None and (status in _RETRY_STATUS or status >= 500):
        return Outcome.RETRY
    return Outcome.FINAL


def body_of(response: Any) -> Any:
    """The answer's body: out of its `{"status_code", "body"}` wrapper where there is one.

    Some look-alikes write the body, or the response, as text that holds JSON (llama-stack): that is read as what it
    holds.
    """
    response = _unfolded(response)
    if isinstance(response, dict) and (response.get("body") is not None or response.get("status_code") is not None):
        return _unfolded(response.get("body"))
    return response


def _unfolded(value: Any) -> Any:
    """The object that a text holds as JSON; any other value itself."""
    if not isinstance(value, str):
        return value
    try:
        found = values_of(unfolded(msgspec.json.encode(value)))
    except NOT_SO:
        return value
    return found if isinstance(found, dict) else value


def unfolded(body: bytes) -> bytes:
    """The JSON object, on one line, that a JSON text holds where it is the body of an answer or of an error.

    Whatever else it is stays as it is: a transcript as text, say.
    """
    try:
        text = _decode_text(body).strip()
        found = values_of(text.encode()) if text.startswith("{") and text.endswith("}") else None
        is_body = isinstance(found, dict) and any(name in found for name in (*_SHAPES, "error", "body"))
        return msgspec.json.format(text.encode(), indent=-1) if is_body else body
    except NOT_SO:
        return body


def _lack(body: Any) -> str:
    """Why a body holds no answer at all; empty where it holds something."""
    if body is None or (isinstance(body, dict | list) and not body):
        return "its body is empty"
    if isinstance(body, str):
        return "" if body.strip() else "its body is empty"
    if not isinstance(body, dict):
        return "its body is no object"
    told = [name for name in _SHAPES if body.get(name) not in (None, [], [None])]
    if told or body.get("status") == "incomplete":
        return ""
    return next((f"`{name}` is empty" for name in _LISTS if name in body), "")


def usage_of(body: Any) -> tuple[int, int]:
    """(input, output) tokens, 0 where the body does not say."""
    usage = body.get("usage") if isinstance(body, dict) else None
    if not isinstance(usage, dict):
        return 0, 0
    asked = _whole(usage.get("prompt_tokens")) or _whole(usage.get("input_tokens")) or 0
    told = _whole(usage.get("completion_tokens")) or _whole(usage.get("output_tokens")) or 0
    return asked, told


def _error_in(part: Any) -> Any:
    return part.get("error") if isinstance(part, dict) else None


def _is_empty(error: Any) -> bool:
    """Some dialects write `""`, `{}` or an object of nulls where others write null."""
    if isinstance(error, dict):
        return all(value is None or value == "" for value in error.values())
    return error is None or error == ""


def _fault(error: Any, status: int | None) -> Fault:
    if not isinstance(error, dict):
        return Fault("error", error if isinstance(error, str) else _text(error), status)
    codes = [_text(error[name]) for name in ("code", "type") if not _is_empty(error.get(name))]
    code = next(filter(is_out_of_money, codes), codes[0] if codes else "error")  # some put the status in `code`
    message = next((_text(error[name]) for name in ("message", "detail") if not _is_empty(error.get(name))), "")
    if status is None or 200 <= status < 300:
        said = _whole(error.get("status_code")) or _whole(error.get("status")) or _whole(error.get("code"))
        if said is not None and 400 <= said < 600:
            status = said
    return Fault(code, message, status)


def _text(value: Any) -> str:
    return value if isinstance(value, str) else msgspec.json.encode(value).decode()


def _whole(value: Any) -> int | None:
    """A small whole number, also where a dialect writes `200.0` or `"200"`."""
    if isinstance(value, str) and value.isdecimal() and len(value) < 16:
        value = int(value)
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    if isinstance(value, bool) or not isinstance(value, int):
        return None
    return value if abs(value) < 1 << 53 else None
