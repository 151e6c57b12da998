"""The answer in a response: what a user asked for, cut out of what the vendor wrapped around it.

Text and vectors are spliced as the remote wrote them, never decoded and encoded again, so a U+2028 in an answer or a
30-digit number in a vector arrives byte for byte.
"""

from __future__ import annotations

from typing import Any

import msgspec
from msgspec import Raw, Struct

from runner.results.parse import ABSENT
from runner.results.values import values_of

NULL = b"null"


class _Message(Struct, gc=False):
    content: Raw = ABSENT


class _Choice(Struct, gc=False):
    message: _Message | None = None
    text: Raw = ABSENT


class _Datum(Struct, gc=False):
    embedding: Raw = ABSENT


class _Body(Struct, gc=False):
    choices: list[_Choice] | None = None  # chat and completions
    output: Raw = ABSENT  # responses
    data: list[_Datum] | None = None  # embeddings
    text: Raw = ABSENT  # transcripts


decode_body = msgspec.json.Decoder(_Body).decode
_decode_text = msgspec.json.Decoder(str).decode
_encode = msgspec.json.Encoder().encode


def answer_of(body: bytes | Raw, *, parse_json: bool = False) -> bytes:
    """The answer as JSON: a string, a vector, or `null` for tool calls, refusals and shapes we do not know.

    parse_json: the request asked for JSON; an answer that parses becomes that value, on one line.
    """
    try:
        answer = _cut(decode_body(body))
    except (msgspec.MsgspecError, ValueError):
        answer = _cut_leniently(values_of(body))
    return parsed(answer) if parse_json else answer


def parsed(answer: bytes) -> bytes:
    """The JSON value written in a text answer; the answer itself if it is not JSON."""
    if answer[:1] != b'"':
        return answer
    try:
        return msgspec.json.format(_decode_text(answer).encode(), indent=-1)
    except (msgspec.MsgspecError, RecursionError):
        return answer


def _cut(body: _Body) -> bytes:
    if body.choices:
        choice = body.choices[0]
        content = choice.text if choice.message is None else choice.message.content
        found = bytes(content) or NULL
        return found if found[0] in b'"n' else _text_of_parts(values_of(found))
    if body.output is not ABSENT:
        return _text_of_output(values_of(body.output))
    if body.data:
        return bytes(body.data[0].embedding) or NULL
    found = bytes(body.text)
    return found if found[:1] == b'"' else NULL


def _cut_leniently(body: Any) -> bytes:
    """The same for a body in which some other part has an odd type."""
    if isinstance(body, str):  # a transcript as plain text
        return _encode(body)
    if not isinstance(body, dict):
        return NULL
    choices = body.get("choices")
    if isinstance(choices, list) and choices and isinstance(choices[0], dict):
        message = choices[0].get("message")
        content = message.get("content") if isinstance(message, dict) else choices[0].get("text")
        return _text_of_parts(content)
    if isinstance(body.get("output"), list):
        return _text_of_output(body["output"])
    data = body.get("data")
    if isinstance(data, list) and data and isinstance(data[0], dict) and "embedding" in data[0]:
        return _encode(data[0]["embedding"])
    text = body.get("text")
    return _encode(text) if isinstance(text, str) else NULL


def _text_of_output(output: Any) -> bytes:
    """The text of the messages in the `output` of a response; reasoning and tool calls have none."""
    if not isinstance(output, list):
        return NULL
    messages = [one for one in output if isinstance(one, dict) and one.get("type") == "message"]
    texts = [text for one in messages if (text := _joined(one.get("content"), "output_text")) is not None]
    return _encode("".join(texts)) if texts else NULL


def _text_of_parts(content: Any) -> bytes:
    text = content if isinstance(content, str) else _joined(content, "text")
    return NULL if text is None else _encode(text)


def _joined(parts: Any, kind: str) -> str | None:
    if not isinstance(parts, list):
        return None
    texts = [part.get("text") for part in parts if isinstance(part, dict) and part.get("type") == kind]
    found = [text for text in texts if isinstance(text, str)]
    return "".join(found) if found else None
