"""Answers made of the question: deterministic, without dependencies, and labelled synthetic.

The same request always gets the same words; `system_fingerprint` is `synthetic-echo` in every shape.
"""

from __future__ import annotations

import base64
import hashlib
import struct
from typing import Any

import msgspec

from runner.server.engines import requests, tools, turns
from runner.server.engines.base import EngineReply, EngineRequest, UnfitBody, refusal
from runner.server.engines.parts import Parts, readers
from runner.server.engines.schema import SchemaTooLarge, instance_of

FINGERPRINT = "synthetic-echo"
MOST_INPUTS = 2_048  # of one request (source: OpenAI, "Create embeddings", `input`, read 2026-11-30)
MOST_CHARACTERS = 64_000_000  # of all choices of one answer
_LETTERS_PER_TOKEN = 4


# Source: OpenAI's Python SDK, openai 3.57.0, `types/moderation.py` (2026-11-30; a test compares).
CATEGORIES = (
    "harassment",
    "harassment/threatening",
    "hate",
    "hate/threatening",
    "illicit",
    "illicit/violent",
    "self-harm",
    "self-harm/instructions",
    "self-harm/intent",
    "sexual",
    "sexual/minors",
    "violence",
    "violence/graphic",
)
_MODERATED = readers("text", "image_url")


_chat = msgspec.json.Decoder(requests.Chat)
_respond = msgspec.json.Decoder(requests.Respond)
_complete = msgspec.json.Decoder(requests.Complete)
_embed = msgspec.json.Decoder(requests.Embed)
_moderate = msgspec.json.Decoder(requests.Moderate)
_format = msgspec.json.Decoder(requests.Format)
_encode = msgspec.json.Encoder().encode

# The shape that is asked for by the hundred thousand is filled in, not built.
_CHOICE = b'{"index":%d,"message":{"role":"assistant","content":%b,"refusal":null},"logprobs":null,"finish_reason":%b}'
_CHAT_COMPLETION = (
    b'{"id":"chatcmpl-%b","object":"chat.completion","created":%d,"model":%b,"choices":[%b],"usage":'
    b'{"prompt_tokens":%d,"completion_tokens":%d,"total_tokens":%d},"system_fingerprint":"'
    + FINGERPRINT.encode()
    + b'"}'
)


class Echo:
    """The engine behind the model `echo`."""

    concurrency = 0

    def __init__(self) -> None:
        self._instances: dict[bytes, str] = {}

    def prepare(self) -> None:
        return None

    def close(self) -> None:
        return None

    def answer(self, request: EngineRequest) -> EngineReply:
        try:
            match request.endpoint:
                case "/v1/chat/completions":
                    return self._chat(request)
                case "/v1/responses":
                    return self._respond(request)
                case "/v1/completions":
                    return _completion(request)
                case "/v1/embeddings":
                    return _embeddings(request)
                case "/v1/moderations":
                    return _moderation(request)
        except UnfitBody as unfit:
            return unfit.reply
        except SchemaTooLarge as error:
            return refusal(400, "schema_too_large", str(error), param="response_format")
        except (msgspec.MsgspecError, UnicodeError, RecursionError) as error:
            return refusal(400, None, f"Invalid request body: {error}")
        return refusal(400, "unsupported_endpoint", f"The model `echo` does not answer `{request.endpoint}`.")

    def _chat(self, request: EngineRequest) -> EngineReply:
        question = requests.read(_chat, request)
        if not question.messages:
            return refusal(400, "empty_array", "Invalid 'messages': empty array.", param="messages")
        said = turns.said_in_chat(question.messages, is_hosted=requests.is_hosted(request.model))
        if question.tools or question.tool_choice:
            tool = tools.insisted_on(question.tools, question.tool_choice, is_flat=False)
            if tool is not None:
                return self._chat_call(request, tool, "".join(said))
        # the last message is what was asked; the ones before are instructions and examples
        text = self._instance(question.response_format, request.model) or f"echo: {said[-1]}"
        limit = question.max_completion_tokens or question.max_tokens
        text, reason = _cut(text, limit)
        copies = min(max(question.n or 1, 1), 128)
        if copies * len(text) > MOST_CHARACTERS:
            return refusal(400, None, f"{copies} choices of {len(text):,} characters are too much.", param="n")
        tokens = _tokens("".join(said)), copies * _tokens(text)
        choice = _encode(text), _encode(reason)
        choices = b",".join(_CHOICE % (index, *choice) for index in range(copies))
        return _chat_completion(request, choices, *tokens)

    def _chat_call(self, request: EngineRequest, tool: tools.Tool, said: str) -> EngineReply:
        arguments = self._made(_encode(tool.parameters))
        call = {
            "id": f"call_{_name(request)}",
            "type": "function",
            "function": {"name": tool.name, "arguments": arguments},
        }
        message = {"role": "assistant", "content": None, "refusal": None, "tool_calls": [call]}
        choice = _encode({"index": 0, "message": message, "logprobs": None, "finish_reason": "tool_calls"})
        return _chat_completion(request, choice, _tokens(said), _tokens(arguments))

    def _respond(self, request: EngineRequest) -> EngineReply:
        question = requests.read(_respond, request)
        said = _said_to(question, request.model)
        tool = tools.insisted_on(question.tools, question.tool_choice, is_flat=True)
        wanted = question.text.format if question.text else None
        text = self._filled(wanted, request.model, is_flat=True) if wanted else None
        text, reason = _cut(text or f"echo: {said[-1] if said else ''}", question.max_output_tokens)
        name = _name(request)
        output: dict[str, Any]
        if tool is not None:
            text, reason = self._made(_encode(tool.parameters)), "stop"
            output = {
                "type": "function_call",
                "id": f"fc_{name}",
                "call_id": f"call_{name}",
                "name": tool.name,
                "arguments": text,
                "status": "completed",
            }
        else:
            part = {"type": "output_text", "text": text, "annotations": [], "logprobs": []}
            output = {
                "type": "message",
                "id": f"msg_{name}",
                "status": "completed",
                "role": "assistant",
                "content": [part],
            }
        tokens = _tokens((question.instructions or "") + "".join(said)), _tokens(text)
        body = {
            "id": f"resp_{name}",
            "object": "response",
            "created_at": request.created,
            "status": "completed" if reason == "stop" else "incomplete",
            "error": None,
            "incomplete_details": None if reason == "stop" else {"reason": "max_output_tokens"},
            "model": request.model,
            "output": [output],
            "usage": _usage("input_tokens", "output_tokens", *tokens),
            "metadata": {},
            "parallel_tool_calls": True,
            "tool_choice": question.tool_choice or "auto",
            "tools": question.tools or [],
            "system_fingerprint": FINGERPRINT,
        }
        return EngineReply(200, _encode(body), *tokens)

    def _instance(self, raw: msgspec.Raw, model: str) -> str | None:
        return None if bytes(raw) == b"null" else self._filled(_format.decode(raw), model)

    def _filled(self, wanted: requests.Format, model: str, *, is_flat: bool = False) -> str | None:
        """The text of an answer in a JSON format; None for plain text. Raises Unfit."""
        requests.check_format(wanted, model, is_flat=is_flat)
        if wanted.type == "json_object":
            return '{"synthetic":true}'
        if wanted.type != "json_schema":
            return None
        key = bytes(wanted.schema)
        if key == b"null":
            key = _encode((wanted.json_schema or {}).get("schema", {}))
        return self._made(key)

    def _made(self, key: bytes) -> str:
        """An instance of a JSON Schema, which is given and returned as JSON."""
        # a batch asks for one schema a hundred thousand times
        if key not in self._instances:
            if len(self._instances) > 64:
                self._instances.clear()
            self._instances[key] = _encode(instance_of(msgspec.json.decode(key))).decode()
        return self._instances[key]


def _said_to(question: requests.Respond, model: str) -> list[str]:
    if isinstance(question.input, str):
        return [question.input]
    is_continued = question.previous_response_id is not None or question.conversation is not None
    return turns.said_in_items(question.input, is_hosted=requests.is_hosted(model), is_continued=is_continued)


def _chat_completion(request: EngineRequest, choices: bytes, inputs: int, outputs: int) -> EngineReply:
    body = _CHAT_COMPLETION % (
        _name(request).encode(), request.created, _encode(request.model), choices, inputs, outputs, inputs + outputs
    )  # fmt: skip
    return EngineReply(200, body, inputs, outputs)


def _completion(request: EngineRequest) -> EngineReply:
    question = requests.read(_complete, request)
    prompts = question.prompt if isinstance(question.prompt, list) else [question.prompt]
    cut = [_cut(f"echo: {_text_of(prompt)}", question.max_tokens) for prompt in prompts]
    tokens = sum(_tokens(_text_of(p)) for p in prompts), sum(_tokens(text) for text, _ in cut)
    body = {
        "id": f"cmpl-{_name(request)}",
        "object": "text_completion",
        "created": request.created,
        "model": request.model,
        "choices": [
            {"index": index, "text": text, "logprobs": None, "finish_reason": reason}
            for index, (text, reason) in enumerate(cut)
        ],
        "usage": _usage("prompt_tokens", "completion_tokens", *tokens),
        "system_fingerprint": FINGERPRINT,
    }
    return EngineReply(200, _encode(body), *tokens)


def _embeddings(request: EngineRequest) -> EngineReply:
    question = requests.read(_embed, request)
    texts: list[Any] = question.input if isinstance(question.input, list) else [question.input]
    if texts and all(isinstance(word, int) for word in texts):
        texts = [texts]  # one input, as token numbers
    if not 0 < len(texts) <= MOST_INPUTS or not 0 < question.dimensions <= 4096:
        text = f"`input` must hold 1 to {MOST_INPUTS:,} texts, `dimensions` must be from 1 to 4096."
        return refusal(400, None, text, param="input")
    words = [text if isinstance(text, str) else _encode(text).decode() for text in texts]
    vectors = [_vector(word, question.dimensions) for word in words]
    tokens = sum(map(_tokens, words))
    body = {
        "object": "list",
        "data": [
            {
                "object": "embedding",
                "index": index,
                "embedding": vector if question.encoding_format != "base64" else _packed(vector),
            }
            for index, vector in enumerate(vectors)
        ],
        "model": request.model,
        "usage": {"prompt_tokens": tokens, "total_tokens": tokens},
        "system_fingerprint": FINGERPRINT,
    }
    return EngineReply(200, _encode(body), tokens, 0)


def _moderation(request: EngineRequest) -> EngineReply:
    question = requests.read(_moderate, request).input
    # one result a text; pictures and their words are judged together
    inputs = question if isinstance(question, list) and all(isinstance(each, str) for each in question) else [question]
    if not 0 < len(inputs) <= MOST_INPUTS:
        return refusal(400, None, f"`input` must hold 1 to {MOST_INPUTS:,} texts.", param="input")
    parts = Parts(is_hosted=requests.is_hosted(request.model))
    body = {
        "id": f"modr-{_name(request)}",
        "model": request.model,
        "results": [_judgement(parts.text_of(each, _MODERATED, "input")) for each in inputs],
        "system_fingerprint": FINGERPRINT,
    }
    return EngineReply(200, _encode(body))


def _judgement(text: str) -> dict[str, Any]:
    """A text is flagged for the categories that it names: `violence`, say, or `self-harm/intent`."""
    said = text.lower()
    found = {name: name in said for name in CATEGORIES}
    return {
        "flagged": any(found.values()),
        "categories": found,
        "category_scores": {name: 0.99 if is_found else 0.01 for name, is_found in found.items()},
        "category_applied_input_types": {name: ["text"] for name in CATEGORIES},
    }


def _vector(text: str, size: int) -> list[float]:
    """A unit vector that depends on the text only."""
    # an extendable digest: as many bytes as there are dimensions
    noise = hashlib.shake_128(text.encode("utf-8", "surrogatepass")).digest(size)
    values = [byte - 127.5 for byte in noise]
    length = sum(value * value for value in values) ** 0.5
    return [round(value / length, 6) for value in values]


def _packed(vector: list[float]) -> str:
    return base64.b64encode(struct.pack(f"<{len(vector)}f", *vector)).decode()


def _text_of(content: Any) -> str:
    """The words of a message's content: a string, or the text parts of a list."""
    if isinstance(content, str):
        return content
    if isinstance(content, list):
        return "".join(part["text"] for part in content if isinstance(part, dict) and isinstance(part.get("text"), str))
    return ""


def _cut(text: str, max_tokens: int | None) -> tuple[str, str]:
    if max_tokens and len(text) > max_tokens * _LETTERS_PER_TOKEN:
        return text[: max_tokens * _LETTERS_PER_TOKEN], "length"
    return text, "stop"


def _tokens(text: str) -> int:
    return (len(text) + _LETTERS_PER_TOKEN - 1) // _LETTERS_PER_TOKEN


def _usage(question: str, answered: str, inputs: int, outputs: int) -> dict[str, int]:
    return {question: inputs, answered: outputs, "total_tokens": inputs + outputs}


def _name(request: EngineRequest) -> str:
    return hashlib.blake2b(request.body, digest_size=12).hexdigest()
