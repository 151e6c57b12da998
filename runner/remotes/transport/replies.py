"""From a remote's refusal to our errors: one place that knows status classes and error bodies.

OpenAI sends `{"error": {"message", "type", "param", "code"}}`. Gateways leave the wrapper out, send `{"error": "..."}`,
`{"detail": ...}`, an integer code, plain text or an HTML page; all of them are read.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from datetime import datetime
from typing import Any

import msgspec

from runner import mending
from runner.errors import AuthFailed, NotFound, OutcomeUnknown, RateLimited, Refused, RemoteError
from runner.job.outcomes import is_out_of_money
from runner.remotes.transport.redaction import clean
from runner.remotes.transport.retry import FailedTry, retry_after_of, should_retry_of

WORDS = 256  # characters of the remote's own words that are kept
_REQUEST_ID_HEADERS = ("x-request-id", "apim-request-id", "x-ms-request-id", "request-id")
_READ = 64 * WORDS
_IN_MARKUP = re.compile(r"<(?:Message|title)>([^<]{1,256})<")  # of an XML error, or of an HTML page


class Reply(msgspec.Struct, frozen=True):
    """A whole answer. `headers` are looked up without regard to case."""

    status: int
    headers: Mapping[str, str]
    body: bytes


class Words(msgspec.Struct, frozen=True):
    """What the remote said: its message, and its code (or type where it gave none)."""

    message: str
    code: str | None


def plain(text: str) -> str:
    """One line of at most 256 characters, without secrets and control characters."""
    visible = "".join(c if c.isprintable() else " " for c in clean(text[:_READ]))
    return " ".join(visible.split())[:WORDS]


def shown(answer: Any) -> str:
    """The JSON of an answer, as `plain` makes it fit for a message."""
    return plain(json.dumps(answer, ensure_ascii=False))


def object_in(answer: Any, what: str) -> Mapping[str, Any]:
    """The JSON object an answer has to be. Raises OutcomeUnknown."""
    if not isinstance(answer, Mapping):
        raise OutcomeUnknown(f"the answer to {what} is not a JSON object: {shown(answer)}")
    return answer


def mended_in(body: bytes, who: str) -> Mapping[str, Any]:
    """The object of an answer; half of a surrogate pair and control characters in texts are mended.

    Raises OutcomeUnknown for what is no JSON object.
    """
    try:
        found = mending.decode(body)
    except ValueError as error:
        said = plain(body[:1024].decode("utf-8", "replace"))
        raise OutcomeUnknown(f"`{who}` answered with something that is not JSON: {said}") from error
    if not isinstance(found, Mapping):
        raise OutcomeUnknown(f"`{who}` answered with something that is not a JSON object")
    return found


def within(raw: Any, path: str) -> Mapping[str, Any] | None:
    """The object at `a.b` of an answer, at its top for an empty path; None where there is none."""
    for step in filter(None, path.split(".")):
        raw = raw.get(step) if isinstance(raw, Mapping) else None
    return raw if isinstance(raw, Mapping) else None


def text_in(raw: Mapping[str, Any], key: str) -> str:
    """A text field; missing, null and `""` are the same absence."""
    value = raw.get(key)
    return value if isinstance(value, str) else ""


def map_in(raw: Mapping[str, Any], key: str) -> Mapping[str, Any]:
    """An object within; empty where there is none."""
    value = raw.get(key)
    return value if isinstance(value, Mapping) else {}


def must_be_about(asked: str, told: str) -> None:
    """Raises OutcomeUnknown where the remote answered about another object than was asked about.

    A reply that was sent twice on a connection stands as the answer to the next request.
    """
    if told != asked:
        raise OutcomeUnknown(f"asked about `{plain(asked)}`, the remote answered about `{plain(told)}`")


def words_of(body: bytes) -> Words:
    try:
        found = msgspec.json.decode(body)
    except (msgspec.MsgspecError, ValueError, RecursionError):
        text = body[:_READ].decode("utf-8", "replace")
        if text.lstrip()[:1] == "<":
            said = _IN_MARKUP.search(text)
            return Words(plain(said[1]) if said else "an HTML page", None)
        return Words(plain(text), None)
    if isinstance(found, Mapping) and isinstance(found.get("error"), Mapping):
        found = found["error"]
    return _words_in(found)


def _words_in(found: Any) -> Words:
    if not isinstance(found, Mapping):
        return Words(plain(_text(found)), None)
    message = next((found[key] for key in ("message", "error", "detail", "msg", "title") if found.get(key)), found)
    codes = [found[key] for key in ("code", "type") if found.get(key)]
    code = next((code for code in codes if isinstance(code, str)), codes[0] if codes else None)  # some send the status
    return Words(plain(_text(message)), plain(_text(code)) if code is not None else None)


def _text(value: Any) -> str:
    return value if isinstance(value, str) else msgspec.json.encode(value).decode()


def request_id_of(headers: Mapping[str, str]) -> str | None:
    found = next((headers[name] for name in _REQUEST_ID_HEADERS if headers.get(name)), None)
    return plain(found) if found else None


def failed_try_of(reply: Reply, *, who: str, call: str, key_name: str, now: datetime) -> FailedTry:
    """What a reply that is not 2xx means. `call` is `POST /batches`, `key_name` where the key comes from."""
    words = words_of(reply.body)
    request_id = request_id_of(reply.headers)
    advice = retry_after_of(reply.headers, now)
    message = f"`{who}` answered {reply.status} to `{call}`" + (f": {words.message}" if words.message else "")
    facts = [f"code `{words.code}`"] if words.code else []
    facts += [f"request id `{request_id}`"] if request_id else []
    message += f" ({', '.join(facts)})" if facts else ""
    more: dict[str, Any] = {"status": reply.status, "code": words.code, "request_id": request_id}
    more["words"] = words.message
    hint = _hint(reply.status, words.code, key_name)
    kind = Refused if reply.status == 429 and is_out_of_money(words.code or "") else _class_of(reply.status)
    if kind is RateLimited:
        more["retry_after"] = advice
    error = kind(message, hint=hint, **more)
    return FailedTry(error, retry_after=advice, should_retry=should_retry_of(reply.headers))


def _class_of(status: int) -> type[RemoteError]:
    """Refused only where the remote provably did nothing.

    408 and 499 are gateways that stopped waiting (gRPC's `CANCELLED` comes as either), and 303 points at something that
    exists: all may have had their effect.
    """
    match status:
        case 401 | 403:
            return AuthFailed
        case 404:
            return NotFound
        case 429:
            return RateLimited
        case 303 | 408 | 499:
            return OutcomeUnknown
        case _ if 300 <= status < 500:
            return Refused
        case _:
            return OutcomeUnknown


def _hint(status: int, code: str | None, key_name: str) -> str:
    match status:
        case 401:
            return f"check the key in {key_name}"
        case 403:
            return f"the key in {key_name} may not do this: check its project and permissions"
        case 402:
            return "check the plan and billing details of the account"
        case 429 if is_out_of_money(code or ""):
            return "the account is out of quota: check its plan and billing details"
        case _ if 300 <= status < 400:
            return "the address redirects: check `base_url` of the provider"
        case _:
            return ""
