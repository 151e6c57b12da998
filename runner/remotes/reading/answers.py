"""The answer in a response: what a user asked for, cut out of what the vendor wrapped around it, and how it ended.

Text and vectors are spliced as the remote wrote them, never decoded and encoded again, so a U+2028 in an answer or a
30-digit number in a vector arrives byte for byte.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal

import msgspec
from msgspec import Meta, Raw, Struct

from runner.job import finish
from runner.mending import values_of
from runner.remotes.reading.folded import unfolded
from runner.remotes.reading.verdict import ABSENT, NULL, TEXT, Answer, Expected, is_wanted, parsed

_None = Annotated[list[Raw], Meta(max_length=0)] | None


class _PlainMessage(Struct, gc=False):
    content: Raw
    refusal: None = None
    tool_calls: _None = None
    function_call: None = None


class _PlainChoice(Struct, gc=False):
    message: _PlainMessage
    finish_reason: Literal["stop", "length"]


class Plain(Struct, gc=False):
    """The usual answer: text, whole or cut. The types are the verdict: whatever is none does not decode."""

    choices: list[_PlainChoice]


class _Message(Struct, gc=False):
    content: Raw = ABSENT
    refusal: str | None = None
    tool_calls: Raw = ABSENT
    function_call: Raw = ABSENT


class _Choice(Struct, gc=False):
    message: _Message | None = None
    text: Raw = ABSENT
    finish_reason: str | None = None


class _Datum(Struct, gc=False):
    embedding: Raw = ABSENT


class _Body(Struct, gc=False):
    choices: list[_Choice] | None = None  # chat and completions
    output: Raw = ABSENT  # responses
    data: list[_Datum] | None = None  # embeddings
    results: list[Raw] | None = None  # moderations
    text: Raw = ABSENT  # transcripts


decode_plain = msgspec.json.Decoder(Plain).decode
_decode_body = msgspec.json.Decoder(_Body).decode
_encode = msgspec.json.Encoder().encode
_NOTHING = (b"", NULL, b'""', b"[]")
# Tools that the remote ran itself: nobody is asked to answer these calls, and the text beside them is the answer.
# Source: OpenAI's Python SDK, openai 3.57.0, `types/responses` (2026-11-30).
_DONE_THERE = frozenset(
    ("web_search_call", "file_search_call", "code_interpreter_call", "image_generation_call", "mcp_call")
)


def answer_of(body: bytes | Raw, wanted: Expected = TEXT) -> Answer:
    """The answer in the body of a response. A body that is text which holds a body is read as that.

    wanted: of several messages the one that is the JSON asked for is taken.
    """
    if bytes(body[:1]) == b'"':
        body = unfolded(bytes(body))
    try:
        return _cut(_decode_body(body), body, wanted)
    except (msgspec.MsgspecError, ValueError):
        return _cut_leniently(values_of(body), wanted)


def _cut(body: _Body, raw: bytes | Raw, wanted: Expected) -> Answer:
    if body.choices:
        choice = body.choices[0]
        message = choice.message
        content = bytes(choice.text if message is None else message.content) or NULL
        if content[0] not in b'"n':
            content = _text_of_parts(values_of(content), content)
        has_calls = message is not None and any(
            bytes(calls) not in _NOTHING for calls in (message.tool_calls, message.function_call)
        )
        has_refused = message is not None and bool(message.refusal)
        return Answer(content, _finish(choice.finish_reason, content, has_calls, has_refused))
    if body.output is not ABSENT:
        return _of_output(values_of(raw), wanted)
    if body.data:
        content = bytes(body.data[0].embedding) or NULL
        return Answer(content, finish.EMPTY if content in _NOTHING else None)
    if body.results and (verdict := bytes(body.results[0])) and _is_verdict(verdict):
        return Answer(verdict, None)
    found = bytes(body.text)
    return Answer(found, None) if found[:1] == b'"' else Answer(NULL, finish.EMPTY)  # silence is an answer


# Servers that rank documents have `results` too.
def _is_verdict(result: bytes) -> bool:
    """Whether it is what a moderation says of a text: whether it is flagged, and for what."""
    return b'"flagged"' in result and isinstance(values_of(result), dict)


def _cut_leniently(body: Any, wanted: Expected) -> Answer:
    """The same for a body in which some other part has an odd type."""
    if isinstance(body, str):  # a transcript as plain text
        return Answer(_encode(body), None)
    if not isinstance(body, dict):
        return Answer(NULL, finish.EMPTY)
    choices = body.get("choices")
    if isinstance(choices, list) and choices and isinstance(choices[0], dict):
        message = choices[0].get("message")
        content = _text_of_parts(message.get("content") if isinstance(message, dict) else choices[0].get("text"))
        reason = choices[0].get("finish_reason")
        told = message if isinstance(message, dict) else {}
        has_calls = bool(told.get("tool_calls") or told.get("function_call"))
        word = reason if isinstance(reason, str) else None
        return Answer(content, _finish(word, content, has_calls, bool(told.get("refusal"))))
    if isinstance(body.get("output"), list):
        return _of_output(body, wanted)
    data = body.get("data")
    if isinstance(data, list) and data and isinstance(data[0], dict) and "embedding" in data[0]:
        content = _encode(data[0]["embedding"])
        return Answer(content, finish.EMPTY if content in _NOTHING else None)
    results = body.get("results")
    if isinstance(results, list) and results and isinstance(results[0], dict) and "flagged" in results[0]:
        return Answer(_encode(results[0]), None)
    text = body.get("text")
    return Answer(_encode(text), None) if isinstance(text, str) else Answer(NULL, finish.EMPTY)


def _finish(word: str | None, content: bytes, has_calls: bool, has_refused: bool) -> str | None:
    """How an answer ended, by the remote's word and by what came."""
    told = finish.finish_of(word)
    if has_refused:
        return finish.REFUSAL
    if told in finish.FLAWS:
        return told
    if has_calls:
        return finish.TOOL_CALLS
    return finish.EMPTY if content in _NOTHING else told


def _of_output(body: Any, wanted: Expected) -> Answer:
    """The text of the messages in the `output` of a response; reasoning and tool calls have none.

    Of several messages the one that is the JSON asked for; else all of them, joined.
    """
    items = body.get("output") if isinstance(body, dict) else None
    items = [one for one in items if isinstance(one, dict)] if isinstance(items, list) else []
    messages = [one.get("content") for one in items if one.get("type") == "message"]
    texts = [text for parts in messages if (text := _joined(parts, "output_text")) is not None]
    has_refused = not texts and any(_joined(parts, "refusal", "refusal") is not None for parts in messages)
    has_calls = any((kind := str(one.get("type", ""))).endswith("_call") and kind not in _DONE_THERE for one in items)
    content = _encode(_one_of(texts, wanted)) if texts else NULL
    return Answer(content, _finish(_word_of(body), content, has_calls, has_refused))


def _one_of(texts: list[str], wanted: Expected) -> str:
    if wanted.is_json and len(texts) > 1:
        for text in reversed(texts):
            encoded = _encode(text)
            if is_wanted(parsed(encoded), encoded, wanted):
                return text
    return "".join(texts)


def _word_of(body: Any) -> str | None:
    """How a response of the responses endpoint ended, in its own words."""
    status, details = body.get("status"), body.get("incomplete_details")
    if status == "incomplete" and isinstance(details, dict) and isinstance(details.get("reason"), str):
        word: str = details["reason"]
        return word if finish.finish_of(word) in finish.FLAWS else finish.INCOMPLETE
    return status if isinstance(status, str) else None


def _text_of_parts(content: Any, raw: bytes = b"") -> bytes:
    """The text of a message: as it is, of its parts, or the JSON in place of one, which some give where JSON was asked.

    raw: the same as the remote wrote it.
    """
    text = content if isinstance(content, str) else _joined([content] if isinstance(content, dict) else content, "text")
    if text is None and isinstance(content, dict) and content:
        text = (raw or _encode(content)).decode()
    return NULL if text is None else _encode(text)


def _joined(parts: Any, kind: str, field: str = "text") -> str | None:
    if not isinstance(parts, list):
        return None
    texts = [part.get(field) for part in parts if isinstance(part, dict) and part.get("type") == kind]
    found = [text for text in texts if isinstance(text, str)]
    return "".join(found) if found else None
