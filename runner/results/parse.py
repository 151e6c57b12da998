"""One line of a raw result file, judged: whose it is and what became of it.

Vendors agree on little but `custom_id`: some wrap the answer in `{"status_code", "body"}`, some do not, some mix
failures into the output file. The fast path decodes only what the verdict needs; whatever it does not recognise goes
through the lenient path, which never crashes and says why a line cannot be read.
"""

from __future__ import annotations

import re
from binascii import Error as Base64Error
from binascii import a2b_base64
from collections.abc import Mapping
from typing import Any, NamedTuple

import msgspec
from msgspec import UNSET, Raw, Struct, UnsetType

from runner.job.outcomes import Outcome

KEY_CHARS = 22  # 128 bits in base64url without padding
BOM = b"\xef\xbb\xbf"

_RETRY_CODES = frozenset(
    (
        "batch_expired",
        "request_timeout",
        "timeout",
        "rate_limit_exceeded",
        "server_error",
        "internal_error",
        "internal_server_error",
        "service_unavailable",
        "overloaded",
        "no_result",
    )
)
_LOST_CODES = frozenset(("batch_cancelled", "batch_canceled", "cancelled", "canceled"))
_RETRY_STATUS = frozenset((408, 409, 425, 429))
# google.rpc codes, as gateways put them in `code`: unknown, deadline, exhausted, aborted, internal, unavailable.
_RETRY_RPC = frozenset((2, 4, 8, 10, 13, 14))
_SHAPES = ("choices", "output", "data", "text")  # what the body of an answer holds, by endpoint


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


class _Present(Struct):
    """Any object: only that it is there matters."""


class _Usage(Struct):
    prompt_tokens: int = 0
    completion_tokens: int = 0
    input_tokens: int = 0
    output_tokens: int = 0


class _Body(Struct):
    error: _Present | None = None
    usage: _Usage | None = None


class _Reply(Struct):
    status_code: int | None = None
    body: _Body | UnsetType | None = UNSET
    error: _Present | None = None
    usage: _Usage | None = None
    choices: Raw = ABSENT
    output: Raw = ABSENT
    data: Raw = ABSENT


class _Line(Struct):
    custom_id: str
    response: _Reply | None = None
    error: _Present | None = None


class Own(Struct):
    """A line of a results file that runner wrote: it names its request by digest, and whose answer it is."""

    digest: str
    origin: str
    custom_id: str = ""
    batch: str | None = None
    answer: Raw = ABSENT
    response: Raw = ABSENT
    error: Raw = ABSENT


class _OwnError(Struct):
    code: str = ""
    status: int | None = None
    retryable: bool = True


_decode = msgspec.json.Decoder(_Line).decode
_decode_own = msgspec.json.Decoder(Own).decode
_decode_own_error = msgspec.json.Decoder(_OwnError | None).decode
_decode_any = msgspec.json.Decoder().decode
_OK = Outcome.OK


def key_of(custom_id: str) -> bytes | None:
    """The 16-byte key in the last 22 characters of a wire custom_id, None where it is not one of ours.

    The 22 characters may hold `-` and `_` themselves, so they are counted from the right. The last one carries
    two bits only: another spelling of the same bits is not ours.
    """
    if len(custom_id) <= KEY_CHARS or custom_id[-23] != "-" or custom_id[-1] not in "AQgw":
        return None
    coded = custom_id[-KEY_CHARS:]
    if "+" in coded or "/" in coded:
        return None
    try:
        return a2b_base64(coded.replace("-", "+").replace("_", "/") + "==", strict_mode=True)
    except (Base64Error, ValueError):  # ValueError: characters outside ASCII
        return None


def read(line: bytes) -> Parsed:
    """Judge one raw line (without its newline).

    Success is: `error` null, `response` not null, a status from 200 to 299 (or no status and the body of an answer).
    Raises Unreadable for what is not JSON, has no `custom_id`, or has no known shape.
    """
    try:
        seen = _decode(line)
        if not line.isascii():
            line.decode()  # strings that are skipped are not checked by the decoder
    except (msgspec.MsgspecError, ValueError, RecursionError):
        return _read_leniently(line)
    reply = seen.response
    if reply is None or seen.error is not None or reply.error is not None:
        return _read_leniently(line)
    status, body, usage = reply.status_code, reply.body, reply.usage
    if isinstance(body, _Body):
        if body.error is not None:
            return _read_leniently(line)
        usage = body.usage
    if status is None:
        if body is not UNSET or (reply.choices is ABSENT and reply.output is ABSENT and reply.data is ABSENT):
            return _read_leniently(line)
    elif not 200 <= status < 300:
        return _read_leniently(line)
    if usage is None:
        return Parsed(key_of(seen.custom_id), seen.custom_id, _OK)
    return Parsed(
        key_of(seen.custom_id),
        seen.custom_id,
        _OK,
        usage.prompt_tokens or usage.input_tokens,
        usage.completion_tokens or usage.output_tokens,
    )


def _read_leniently(line: bytes) -> Parsed:
    found, is_repaired = tree_of(line)
    custom_id = found.get("custom_id")
    if not isinstance(custom_id, str):
        raise Unreadable("`custom_id` is not text" if "custom_id" in found else "no `custom_id`")
    fault, outcome = _judge(found)
    usage = usage_of(body_of(found.get("response"))) if fault is None else (0, 0)
    return Parsed(key_of(custom_id), custom_id, outcome, *usage, is_repaired)


def read_own(line: bytes) -> tuple[Own, Outcome]:
    """Judge one line of a results file that runner wrote: an answer, a definite error, or anything else (RETRY).

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
    if not _HEX.fullmatch(own.digest) or not own.origin:
        raise Unreadable("no digest or no origin")
    if error is None:
        has_answer = any(bytes(part) not in (b"", b"null") for part in (own.response, own.answer))
        return own, Outcome.OK if has_answer else Outcome.RETRY
    is_final = not error.retryable and error.status is not None
    return own, Outcome.FINAL if is_final else Outcome.RETRY


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
        found = _decode_any(line)
    except (msgspec.MsgspecError, ValueError, RecursionError):
        is_repaired = True
        try:
            found = _decode_any(repaired(line))
        except RecursionError:
            raise Unreadable("nested too deeply") from None
        except (msgspec.MsgspecError, ValueError):
            raise Unreadable("not JSON") from None
    if not isinstance(found, dict):
        raise Unreadable("not a JSON object")
    return found, is_repaired


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
    if not isinstance(response, dict):
        raise Unreadable("`response` is not an object")
    if response.get("status_code") is not None and _whole(response["status_code"]) is None:
        raise Unreadable("`status_code` is no HTTP status")
    status, body = _whole(response.get("status_code")), body_of(response)
    if error is None:
        error = next((e for part in (body, response) if not _is_empty(e := _error_in(part))), None)
    if error is None:
        if status is None and not (isinstance(body, dict) and any(shape in body for shape in _SHAPES)):
            raise Unreadable("`response` has no known shape")
        if status is None or 200 <= status < 300:
            return None, Outcome.OK
        error = body if isinstance(body, dict | str) else {}
    fault = _fault(error, status)
    return fault, outcome_of(fault)


def outcome_of(fault: Fault) -> Outcome:
    """Whether asking again may help: by code first, then by HTTP status."""
    code, status = fault.code, fault.status
    if code in _LOST_CODES:
        return Outcome.LOST
    if code in _RETRY_CODES or (code.isdecimal() and len(code) < 3 and int(code) in _RETRY_RPC):
        return Outcome.RETRY
    if status is not None and (status in _RETRY_STATUS or status >= 500):
        return Outcome.RETRY
    return Outcome.FINAL


def body_of(response: Any) -> Any:
    """The answer's body: out of its `{"status_code", "body"}` wrapper where there is one."""
    if isinstance(response, dict) and "body" in response:
        return response["body"]
    return response


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
    code = next((_text(error[name]) for name in ("code", "type") if not _is_empty(error.get(name))), "error")
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


# --- repair ---------------------------------------------------------------------------------------------------

_HEX = re.compile(r"[0-9a-f]{64}")
# A string (or the rest of a cut one), or a word that JSON lacks. Possessive, so a cut line costs one pass.
_TOKEN = re.compile(r'"[^"\\]*+(?:\\.[^"\\]*+)*+(?:"|\\?\Z)|-?\b(?:NaN|Infinity)\b', re.DOTALL)
_SUSPECT = re.compile(r"[\x00-\x1f]|\\u[dD][89a-fA-F]")
_PIECE = re.compile(
    r"(?P<pair>\\u[dD][89abAB][0-9a-fA-F]{2}\\u[dD][c-fC-F][0-9a-fA-F]{2})"
    r"|(?P<lone>\\u[dD][89a-fA-F][0-9a-fA-F]{2})|(?P<control>[\x00-\x1f])|\\.",
    re.DOTALL,
)


def repaired(line: bytes) -> bytes:
    """The line with what strict JSON forbids and vendors nevertheless write put right, everything else untouched.

    Bytes that are not UTF-8 and lone surrogates become U+FFFD, NaN and infinities null, raw control characters
    escapes; a byte order mark and padding NULs go. An answer that was paid for is worth more than one character of it.
    """
    text = line.removeprefix(BOM).strip(b"\x00 \t\r").decode("utf-8", "replace")
    return _TOKEN.sub(_mend, text).encode()


def _mend(token: re.Match[str]) -> str:
    text = token[0]
    if text[0] != '"':
        return "null"
    return _PIECE.sub(_mend_piece, text) if _SUSPECT.search(text) else text


def _mend_piece(piece: re.Match[str]) -> str:
    if piece["lone"]:
        return "\\ufffd"
    if piece["control"]:
        return f"\\u{ord(piece[0]):04x}"
    return piece[0]
