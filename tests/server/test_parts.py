"""Pictures, recordings, files and turns of tools: judged as OpenAI does, and named in what echo answers."""

from __future__ import annotations

import base64
import hashlib
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import msgspec
import openai
import pytest
from openai.types.moderation import Categories

from runner.server.engines.base import EngineRequest
from runner.server.engines.echo import CATEGORIES, Echo
from tests.server.conftest import Lab, jsonl, line

PNG = b"\x89PNG\r\n\x1a\n" + bytes(range(60))
WEBP = b"RIFF\x24\0\0\0WEBPVP8 " + bytes(20)
WAV = b"RIFF\x24\0\0\0WAVEfmt " + bytes(20)
PDF = b"%PDF-1.7 of no pages"
WEATHER = {"name": "weather", "parameters": {"type": "object", "properties": {"city": {"enum": ["Oslo"]}}}}


def packed(data: bytes) -> str:
    return base64.b64encode(data).decode()


def named(data: bytes) -> str:
    return f"{len(data)} bytes sha256:{hashlib.sha256(data).hexdigest()}"


def image(url: str, **more: Any) -> dict[str, Any]:
    return {"type": "image_url", "image_url": {"url": url, **more}}


def of_png(data: bytes = PNG, kind: str = "image/png") -> str:
    return f"data:{kind};base64,{packed(data)}"


def echo(endpoint: str, model: str = "echo", **body: Any) -> tuple[int, Any]:
    reply = Echo().answer(EngineRequest(endpoint, model, msgspec.json.encode({"model": model, **body}), 7))
    return reply.status, msgspec.json.decode(reply.body)


def chat(content: Any, model: str = "echo", role: str = "user") -> tuple[int, Any]:
    return echo("/v1/chat/completions", model, messages=[{"role": role, "content": content}])


@pytest.mark.parametrize(
    ("parts", "said"),
    [
        ([{"type": "text", "text": "what "}, {"type": "text", "text": "now?"}], "what now?"),
        ([{"type": "text", "text": "see"}, image(of_png())], f"see [image image/png {named(PNG)}]"),
        ([image(of_png(WEBP, "image/webp"), detail="low")], f"[image image/webp {named(WEBP)}]"),
        ([image("https://a.test/x.png?y=1"), {"type": "text", "text": "!"}], "[image https://a.test/x.png?y=1] !"),
        (
            [{"type": "input_audio", "input_audio": {"data": packed(WAV), "format": "wav"}}],
            f"[audio wav {named(WAV)}]",
        ),
        (
            [{"type": "file", "file": {"filename": "a.pdf", "file_data": of_png(PDF, "application/pdf")}}],
            f"[file a.pdf application/pdf {named(PDF)}]",
        ),
        ([{"type": "file", "file": {"file_id": "file-abc"}}], "[file file-abc]"),
    ],
)
def test_a_chat_is_answered_with_the_digest_of_what_it_holds(parts: list[Any], said: str) -> None:
    status, answer = chat(parts)
    assert status == 200 and answer["choices"][0]["message"]["content"] == f"echo: {said}"
    assert chat(parts, "gpt-4o-mini")[0] == 200


def test_a_response_is_too() -> None:
    parts = [
        {"type": "input_text", "text": "see"},
        {"type": "input_image", "image_url": of_png(), "detail": "auto"},
        {"type": "input_image", "image_url": "https://a.test/x.png"},
        {"type": "input_file", "filename": "a.pdf", "file_data": of_png(PDF, "application/pdf")},
        {"type": "input_file", "file_url": "https://a.test/a.pdf"},
    ]
    status, answer = echo("/v1/responses", input=[{"role": "user", "content": parts}])
    assert status == 200 and answer["output"][0]["content"][0]["text"] == (
        f"echo: see [image image/png {named(PNG)}] [image https://a.test/x.png]"
        f" [file a.pdf application/pdf {named(PDF)}] [file https://a.test/a.pdf]"
    )


@pytest.mark.parametrize(
    ("parts", "param", "code"),
    [
        ([], "", "empty_array"),
        (["words"], "[0]", "invalid_type"),
        ([{"text": "x"}], "[0].type", "missing_required_parameter"),
        ([{"type": "text"}], "[0].text", "missing_required_parameter"),
        ([{"type": "input_text", "text": "x"}], "[0].type", "invalid_value"),
        ([{"type": "image_url"}], "[0].image_url", "missing_required_parameter"),
        ([{"type": "image_url", "image_url": "https://a.test"}], "[0].image_url", "invalid_type"),
        ([image("ftp://a.test/x.png")], "[0].image_url.url", "invalid_value"),
        ([image("data:image/png,abc")], "[0].image_url.url", "invalid_value"),
        ([image("data:image/png;base64,###")], "[0].image_url.url", "invalid_base64"),
        ([image("data:image/png;base64,")], "[0].image_url.url", "invalid_base64"),
        ([image("data:image/png;base64,AAAA====")], "[0].image_url.url", "invalid_base64"),
        ([image(of_png(PDF))], "[0].image_url.url", "invalid_image_format"),
        ([image(of_png(WAV, "image/webp"))], "[0].image_url.url", "invalid_image_format"),
        ([image(of_png(PNG, "image/tiff"))], "[0].image_url.url", "invalid_image_format"),
        ([image(of_png(), detail="most")], "[0].image_url.detail", "invalid_value"),
        (
            [{"type": "input_audio", "input_audio": {"data": packed(WAV), "format": "ogg"}}],
            "[0].input_audio.format",
            "invalid_value",
        ),
        (
            [{"type": "input_audio", "input_audio": {"data": packed(PNG), "format": "mp3"}}],
            "[0].input_audio.data",
            "invalid_value",
        ),
        ([{"type": "input_audio", "input_audio": {"format": "mp3"}}], "[0].input_audio.data", None),
        ([{"type": "file", "file": {}}], "[0].file.file_id", "missing_required_parameter"),
        ([{"type": "file", "file": {"file_data": packed(PDF)}}], "[0].file.file_data", "invalid_value"),
    ],
)
def test_parts_that_no_model_could_read_are_refused(parts: list[Any], param: str, code: str | None) -> None:
    for model in ("echo", "gpt-4o-mini"):
        status, answer = chat(parts, model)
        assert status == 400 and answer["error"]["param"] == f"messages[0].content{param}"
        assert code in (None, answer["error"]["code"])


def test_kinds_that_only_others_know_are_refused_by_openai_alone() -> None:
    video = [{"type": "video_url", "video_url": {"url": "https://a.test/v.mp4"}}]
    assert chat(video)[1]["choices"][0]["message"]["content"] == "echo: [video_url]"
    assert chat(video, "gpt-4o-mini")[1]["error"]["param"] == "messages[0].content[0].type"
    assert chat([image(of_png())], role="system")[1]["error"]["code"] == "invalid_value"


def test_all_parts_of_a_request_count_against_one_limit() -> None:
    half = of_png(PNG + bytes(26 * 1024 * 1024))
    assert chat([image(half)])[0] == 200
    status, answer = chat([image(half), image(half)])
    assert status == 400 and answer["error"]["code"] == "request_too_large"


def asks(call_id: str = "c1", **more: Any) -> dict[str, Any]:
    call = {"id": call_id, "type": "function", "function": {"name": "weather", "arguments": "{}"}, **more}
    return {"role": "assistant", "content": None, "tool_calls": [call]}


def tells(call_id: str = "c1") -> dict[str, Any]:
    return {"role": "tool", "tool_call_id": call_id, "content": "rain"}


HELLO = {"role": "user", "content": "hello", "name": "ann"}


def test_turns_of_tools_are_taken() -> None:
    two = {**asks(), "tool_calls": asks()["tool_calls"] + asks("c2")["tool_calls"]}
    for messages in (
        [HELLO, asks(), tells()],
        [HELLO, two, tells("c2"), tells(), {"role": "assistant", "content": "rain"}, HELLO],
        [{"role": "developer", "content": "be brief"}, HELLO, {"role": "assistant", "refusal": "no"}, HELLO],
    ):
        status, answer = echo("/v1/chat/completions", "gpt-4o", messages=messages)
        assert status == 200, answer
    items = [
        {"role": "user", "content": "hello"},
        {"type": "reasoning", "summary": []},
        {"type": "function_call", "call_id": "c1", "name": "weather", "arguments": "{}"},
        {"type": "function_call_output", "call_id": "c1", "output": "rain"},
    ]
    status, answer = echo("/v1/responses", "gpt-4o", input=items)
    assert status == 200 and answer["output"][0]["content"][0]["text"] == "echo: rain"
    assert echo("/v1/responses", input=items[3:], previous_response_id="resp_1")[0] == 200
    assert echo("/v1/responses", input=items[3:])[1]["error"]["message"].startswith("No tool call found")
    assert echo("/v1/responses", input=items[:3])[1]["error"]["message"].startswith("No tool output found")


@pytest.mark.parametrize(
    ("messages", "param", "words"),
    [
        ([HELLO, tells()], "messages[1].role", "must be a response to a preceeding message"),
        ([HELLO, asks(), tells("c2")], "messages[2].role", "must be a response"),
        ([HELLO, asks(), HELLO], "messages", "did not have response messages: c1"),
        ([HELLO, asks()], "messages", "did not have response messages: c1"),
        ([HELLO, {**asks(), "tool_calls": []}, HELLO], "messages[1].tool_calls", "empty array"),
        ([HELLO, asks(id=None)], "messages[1].tool_calls[0].id", "Missing"),
        ([HELLO, asks(type="hammer")], "messages[1].tool_calls[0].type", "'function' and 'custom'"),
        ([HELLO, asks(function={"name": "x"})], "messages[1].tool_calls[0].function.arguments", "Missing"),
        ([{**HELLO, "name": "a b"}], "messages[0].name", "does not match pattern"),
        ([{"role": "user"}], "messages[0].content", "expected one of a string or array"),
        ([{"role": "robot", "content": "x"}], "messages[0].role", "'robot'"),
        ([{"content": "x"}], "messages[0].role", "Missing"),
    ],
)
def test_turns_that_do_not_fit_are_refused(messages: list[Any], param: str, words: str) -> None:
    status, answer = echo("/v1/chat/completions", messages=messages)
    assert status == 400 and answer["error"]["param"] == param and words in answer["error"]["message"]


def test_a_tool_that_is_insisted_on_is_called(lab: Lab) -> None:
    sdk = lab.client()
    nested: Any = [{"type": "function", "function": WEATHER}]
    choice = sdk.chat.completions.create(
        model="echo", messages=[{"role": "user", "content": "x"}], tools=nested, tool_choice="required"
    ).choices[0]
    call: Any = (choice.message.tool_calls or [])[0]
    assert (choice.finish_reason, call.function.name, call.function.arguments) == (
        "tool_calls",
        "weather",
        '{"city":"Oslo"}',
    )
    flat: Any = [{"type": "function", **WEATHER, "strict": False}]
    wanted: Any = {"type": "function", "name": "weather"}
    item: Any = sdk.responses.create(model="echo", input="x", tools=flat, tool_choice=wanted).output[0]
    assert (item.type, item.name, item.arguments) == ("function_call", "weather", '{"city":"Oslo"}')
    assert sdk.responses.create(model="echo", input="x", tools=flat).output_text == "echo: x"
    with pytest.raises(openai.BadRequestError, match=r"tools\[0\].name"):
        sdk.responses.create(model="echo", input="x", tools=nested)
    with pytest.raises(openai.BadRequestError, match=r"tools\[0\].function"):
        sdk.chat.completions.create(model="echo", messages=[{"role": "user", "content": "x"}], tools=flat)
    with pytest.raises(openai.BadRequestError, match="no function named 'wind'"):
        sdk.responses.create(model="echo", input="x", tools=flat, tool_choice={"type": "function", "name": "wind"})
    with pytest.raises(openai.BadRequestError, match="only allowed when 'tools'"):
        sdk.responses.create(model="echo", input="x", tool_choice="required")


def test_texts_are_flagged_for_what_they_name(lab: Lab) -> None:
    assert {field.alias or name for name, field in Categories.model_fields.items()} == set(CATEGORIES)
    found = lab.client().moderations.create(model="echo", input=["calm words", "some violence"]).results
    assert [one.flagged for one in found] == [False, True]
    assert found[1].categories.violence and not found[1].categories.hate and found[1].category_scores.violence > 0.9
    mixed: Any = [{"type": "text", "text": "hate"}, image(of_png())]
    assert [one.flagged for one in lab.client().moderations.create(model="echo", input=mixed).results] == [True]


# In a process of its own, whose memory is only the server's: about 55 MB at rest. The rows are 85 MB together.
def test_rows_as_long_as_a_picture_do_not_fill_the_memory(tmp_path: Path) -> None:
    picture = of_png(PNG + os.urandom(4 * 1024 * 1024))
    rows = 16
    command = [sys.executable, "-m", "runner", "serve", "--dir", str(tmp_path / "home"), "--port", "0"]
    server = subprocess.Popen([*command, "--until-stdin-closes"], stdin=subprocess.PIPE, stderr=subprocess.DEVNULL)
    try:
        live = _live(tmp_path / "home")
        with openai.OpenAI(base_url=f"{live['url']}/v1", api_key=live["token"], max_retries=0) as sdk:

            def lines() -> Iterator[bytes]:
                for number in range(rows):
                    yield jsonl([line(f"row-{number}", "", messages=[{"role": "user", "content": [image(picture)]}])])

            source = tmp_path / "in.jsonl"
            with source.open("wb") as out:
                out.writelines(lines())
            with source.open("rb") as content:
                file = sdk.files.create(file=content, purpose="batch")
            batch = sdk.batches.create(input_file_id=file.id, endpoint="/v1/chat/completions", completion_window="24h")
            while (batch := sdk.batches.retrieve(batch.id)).status not in ("completed", "failed"):
                time.sleep(0.1)
            assert batch.request_counts is not None and batch.request_counts.completed == rows
            answers = sdk.files.content(batch.output_file_id or "").content
            assert (
                answers.count(hashlib.sha256(base64.b64decode(picture.partition(",")[2])).hexdigest().encode()) == rows
            )
        peak = next(
            int(row.split()[1]) // 1024
            for row in Path(f"/proc/{server.pid}/status").read_text().splitlines()
            if row.startswith("VmHWM")
        )
        assert peak < 115, f"{peak} MB"
    finally:
        server.stdin.close()  # type: ignore[union-attr]
        server.wait(20)


def _live(home: Path) -> dict[str, str]:
    while True:
        try:
            found = msgspec.json.decode((home / "server.json").read_bytes(), type=dict[str, Any])
            httpx.get(found["url"], trust_env=False)
            return found
        except (OSError, httpx.HTTPError):
            time.sleep(0.05)
