"""One row's request: body, wire id and line, spliced from bytes that were encoded once per job.

The order of keys is fixed here and is part of a request's identity: golden digests in the tests hold it.
"""

from __future__ import annotations

import binascii
import math
import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import msgspec

from runner.compile.compiled import KEY_BYTES
from runner.errors import Problem, SpecError
from runner.job.capabilities import LineFormat
from runner.job.project import Job

MAX_READABLE = 40  # characters of the user's id in a custom_id
KEY_CHARACTERS = 22  # base64url of 16 bytes without padding
_ENCODED_BYTES = KEY_CHARACTERS + 3  # with padding and a newline
CHAT, RESPONSES, EMBEDDINGS, COMPLETIONS = (
    "/v1/chat/completions",
    "/v1/responses",
    "/v1/embeddings",
    "/v1/completions",
)
_AUTHORS_ORDER = frozenset({"response_format", "tools", "text"})  # params that carry schemas
_OURS = frozenset({"model", "messages", "input", "prompt"})
_EXACT = 2**53  # integral floats below it are the integers they print as
_SAFE = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_-"
_UNSAFE = re.compile(r"[^A-Za-z0-9_-]")
_TO_URL = bytes.maketrans(b"+/\n", b"-_-")
_TO_PLAIN = bytes.maketrans(b"-_", b"+/")
_encode = msgspec.json.Encoder().encode


def custom_id_of(readable: str, key: bytes) -> str:
    """The id on the wire: at most 40 safe characters of the user's id, a dash, the key in base64url.

    At most 63 of [A-Za-z0-9_-], which every remote accepts.
    """
    return custom_ids((readable,), (key,))[0].decode()


def custom_ids(readable: Sequence[str], keys: Sequence[bytes]) -> list[bytes]:
    """`custom_id_of` of each."""
    whole = "".join(readable)
    is_safe = whole.isascii() and not whole.encode().translate(None, _SAFE)
    if not is_safe or not all(readable) or max(map(len, readable), default=0) > MAX_READABLE:
        readable = [_UNSAFE.sub("_", text[:MAX_READABLE]) or "r" for text in readable]
    # the newline that ends one key's base64 becomes the dash before the next
    encoded = b"".join((b"\n", *map(binascii.b2a_base64, keys))).translate(_TO_URL)
    starts = range(0, len(encoded) - 1, _ENCODED_BYTES)
    return [
        text.encode() + encoded[start : start + 1 + KEY_CHARACTERS]
        for text, start in zip(readable, starts, strict=True)
    ]


def key_of(custom_id: str) -> bytes | None:
    """The 16-byte key a custom_id of ours names, read from the right; None for anybody else's id."""
    readable, dash, text = custom_id[:-KEY_CHARACTERS], custom_id[-KEY_CHARACTERS - 1 : -KEY_CHARACTERS], ""
    text = custom_id[-KEY_CHARACTERS:]
    if dash != "-" or len(readable) < 2 or len(text) != KEY_CHARACTERS or not text.isascii():
        return None
    try:
        key = binascii.a2b_base64(text.encode().translate(_TO_PLAIN) + b"==", strict_mode=True)
    except binascii.Error:
        return None
    # one key has one spelling: the last character carries four bits that must be zero
    return key if len(key) == KEY_BYTES and custom_id_of("", key)[-KEY_CHARACTERS:] == text else None


class Body(msgspec.Struct, frozen=True):
    """The body of every request of a job: fixed bytes around JSON texts.

    pieces: one more than there are slots. slots: for each text of the body, the messages whose contents it joins.
    """

    pieces: tuple[bytes, ...]
    slots: tuple[tuple[int, ...], ...]

    def bodies(self, texts: Iterable[Sequence[str]]) -> list[bytes]:
        """For each row the contents of its messages -> body bytes. Raises UnicodeEncodeError for half a surrogate
        pair."""
        if self.slots == ((0,),):
            head, tail = self.pieces
            return [head + _encode(of_row[0]) + tail for of_row in texts]
        return [self._body(of_row) for of_row in texts]

    def _body(self, texts: Sequence[str]) -> bytes:
        parts = [self.pieces[0]]
        for slot, piece in zip(self.slots, self.pieces[1:], strict=True):
            text = texts[slot[0]] if len(slot) == 1 else "\n\n".join([texts[i] for i in slot])
            parts += (_encode(text), piece)
        return b"".join(parts)


def body_of(job: Job, line_format: LineFormat) -> Body:
    """How the job's bodies are put together. Raises SpecError for params that cannot be sent."""
    head = _encode(_static(job, line_format))[:-1]
    head += b"," if len(head) > 1 else b""
    messages = job.prompt.messages
    match job.model.endpoint:
        case "/v1/embeddings":
            return Body((head + b'"input":', b"}"), (tuple(range(len(messages))),))
        case "/v1/completions":
            return Body((head + b'"prompt":', b"}"), (tuple(range(len(messages))),))
        case "/v1/responses":
            head += b'"input":['
        case _:
            head += b'"messages":['
    roles = [b'{"role":' + _encode(message.role) + b',"content":' for message in messages]
    if not roles:
        return Body((head + b"]}",), ())
    pieces = [head + roles[0], *(b"}," + role for role in roles[1:]), b"}]}"]
    return Body(tuple(pieces), tuple((i,) for i in range(len(messages))))


def with_static(body: Body, texts: Mapping[int, str]) -> tuple[Body, tuple[int, ...]]:
    """The same body with the messages that are the same for every row in place, and the numbers of those left.

    Slots of the new body count the messages that are left. Texts that share a slot with others are left as well.
    Raises UnicodeEncodeError for half a surrogate pair.
    """
    pieces, slots = [body.pieces[0]], []
    for slot, piece in zip(body.slots, body.pieces[1:], strict=True):
        if len(slot) == 1 and slot[0] in texts:
            pieces[-1] += _encode(texts[slot[0]]) + piece
        else:
            pieces.append(piece)
            slots.append(slot)
    left = tuple(sorted({number for slot in slots for number in slot}))
    return Body(tuple(pieces), tuple(tuple(left.index(n) for n in slot) for slot in slots)), left


def envelope(endpoint: str, line_format: LineFormat) -> tuple[bytes, bytes, bytes]:
    """The bytes of a request line before the custom_id, between it and the body, and after the body."""
    match line_format:
        case LineFormat.OPENAI:
            return b'{"custom_id":"', b'","method":"POST","url":' + _encode(endpoint) + b',"body":', b"}"
        case LineFormat.FIREWORKS:
            return b'{"custom_id":"', b'","body":', b"}"


def _static(job: Job, line_format: LineFormat) -> dict[str, Any]:
    """Everything of a body but its messages, in the order it is sent."""
    prompt = job.prompt
    body: dict[str, Any] = {} if line_format is LineFormat.FIREWORKS else {"model": job.model.name}
    _check_params(job)
    body.update(params_of(job))
    if prompt.response_format is not None:
        if job.model.endpoint == RESPONSES:
            body["text"] = {**body.pop("text", {}), "format": _flat_format(prompt.response_format)}
        else:
            body["response_format"] = prompt.response_format
    if prompt.tools is not None:
        body["tools"] = prompt.tools
    return body


def params_of(job: Job) -> dict[str, Any]:
    """The model's params as sent: sorted by key, integral floats as integers. Raises SpecError for NaN and infinity."""
    try:
        return {key: _canonical(value, key) for key, value in sorted(job.model.params.items())}
    except ValueError as error:
        raise SpecError([Problem(job.model.mark, f"model `{job.model.key}`: {error}")]) from error


def _check_params(job: Job) -> None:
    ours = _OURS | ({"response_format"} if job.prompt.response_format is not None else frozenset())
    ours |= {"tools"} if job.prompt.tools is not None else frozenset()
    clash = sorted(ours & job.model.params.keys())
    if clash:
        hint = "set it in the prompt or in the model, not in both"
        if clash[0] in _OURS:
            hint = "the model's `name` and the prompt set it"
        words = f"`{clash[0]}` cannot be one of the params of model `{job.model.key}`"
        raise SpecError([Problem(job.model.mark, words, hint)])


def _canonical(value: Any, top: str) -> Any:
    """One spelling for equal params. Keys inside a schema keep the author's order, which models can see."""
    match value:
        case float():
            if not math.isfinite(value):
                raise ValueError(f"`{top}` is {value}, which cannot be sent")
            return int(value) if value.is_integer() and abs(value) < _EXACT else value
        case Mapping():
            items = value.items() if top in _AUTHORS_ORDER else sorted(value.items())
            return {key: _canonical(item, top) for key, item in items}
        case list() | tuple():
            return [_canonical(item, top) for item in value]
        case _:
            return value


def _flat_format(response_format: Mapping[str, Any]) -> Mapping[str, Any]:
    """A chat `response_format` as the Responses API has it: a json_schema's fields beside its type."""
    schema = response_format.get("json_schema")
    if response_format.get("type") != "json_schema" or not isinstance(schema, Mapping):
        return response_format
    return {"type": "json_schema", **schema}
