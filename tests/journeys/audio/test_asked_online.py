"""Recordings asked a call each, of the embedded server as OpenAI has it and of a server of one's own."""

from __future__ import annotations

import email.parser
import email.policy
import hashlib
import json
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest

from tests.journeys.audio.lab import AudioLab
from tests.journeys.lab import KEY, until

SPEC = """\
project: lab
providers:
  mine: {{kind: openai, base_url: "{url}/v1", api_key_env: LAB_KEY, parallelism: 4}}
models:
  ear: {{provider: mine, name: whisper-1, params: {{PARAMS}}, price: {{per_minute: 0.006}}}}
jobs:
  calls: {{audio: "calls/**/*.wav", model: ear, output: results/calls.OUTMORE}}
"""


def spec(lab: AudioLab, params: str = "", output: str = "jsonl", more: str = "", url: str = "") -> None:
    """The specs of a job; more: further fields of it."""
    text = SPEC.replace("PARAMS", params).replace("OUT", output).replace("MORE", f", {more}" if more else "")
    lab.spec(text.replace("{url}", url) if url else text)
    if not url:
        path = lab.root / "specs/lab.yaml"
        path.write_text(path.read_text().replace("/v1/v1", "/v1"))


def asked(lab: AudioLab) -> int:
    return int(lab.server.get("/_log")["rows_asked"])


def said(lab: AudioLab, name: str) -> str:
    data = (lab.root / name).read_bytes()
    return f"synthetic transcript of {len(data)} bytes {hashlib.sha256(data).hexdigest()[:16]}"


def test_each_recording_is_one_call_and_only_new_ones_are_asked(lab: AudioLab) -> None:
    spec(lab)
    before = asked(lab)
    planned = lab.run("plan", "specs/").stdout
    assert "20 recordings" in planned
    done = lab.first()
    assert "20 ok, 0 error of 20" in done.stdout and asked(lab) == before + 20
    rows = {row["custom_id"]: row for row in lab.results("results/calls.jsonl")}
    assert {name: row["text"] for name, row in rows.items()} == {name: said(lab, name) for name in rows}
    assert lab.posts() == 20 and lab.looks() == 0
    lab.apply("-y")
    lab.record(["new"])
    assert "21 ok" in lab.apply("-y").stdout and asked(lab) == before + 21
    # what was answered is read back from the results, and not asked anew
    lab.forget()
    lab.apply("-y")
    assert asked(lab) == before + 21


@pytest.mark.parametrize("form", ["text", "srt", "vtt", "verbose_json"])
def test_every_format_of_a_transcript(lab: AudioLab, form: str) -> None:
    granular = ", timestamp_granularities: [word, segment]" if form == "verbose_json" else ""
    spec(lab, f"response_format: {form}{granular}", "d/")
    path = lab.root / "specs/lab.yaml"
    path.write_text(path.read_text().replace("results/calls.d/", "transcripts/"))
    lab.first()
    suffix = {"text": "txt", "verbose_json": "json"}.get(form, form)
    text = (lab.root / f"transcripts/c000.{suffix}").read_text()
    first = said(lab, "calls/c000.wav").split()[0]
    match form:
        case "text":
            assert text.strip() == said(lab, "calls/c000.wav")
        case "srt":
            assert text.startswith("1\n00:00:00,000 --> ")
        case "vtt":
            assert text.startswith("WEBVTT\n\n00:00:00.000")
        case _:
            found = json.loads(text)
            assert found["words"][0]["word"] == first and found["segments"]


def test_a_lost_reply_is_held_and_a_storm_is_waited_out(lab: AudioLab) -> None:
    spec(lab)
    before = asked(lab)
    lab.server.fault(lose_answer={"value": 2}, rate_limit={"value": 30, "share": 0.5, "retry_after": 0.05})
    done = lab.first(code=5)
    assert "18 ok, 0 error, 2 unknown of 20" in done.stdout and asked(lab) == before + 20
    lab.server.calm()
    assert "2 unknown" in lab.apply("-y", code=5).stdout and asked(lab) == before + 20
    lab.run("state", "resolve", "calls", "--resubmit")
    assert "20 ok" in lab.apply("-y").stdout and asked(lab) == before + 22
    assert sum(batch["possible_duplicates"] for batch in lab.batches()) == 2


def test_lost_replies_are_asked_again_where_the_spec_allows_it(lab: AudioLab) -> None:
    spec(lab, more="on_unknown: resubmit")
    before = asked(lab)
    lab.server.fault(lose_answer={"value": 2})
    done = lab.first()
    assert "20 ok" in done.stdout and asked(lab) == before + 22


def test_one_without_a_reply_that_is_asked_again_on_purpose_may_be_there_twice(lab: AudioLab) -> None:
    spec(lab, more="on_unknown: resubmit, max_attempts: 1")
    lab.server.fault(lose_answer={"value": 2})
    lab.first(code=4)
    assert "2 requests will be asked again, 2 of them maybe twice" in lab.run("retry", "calls").stdout


def test_what_a_remote_refuses_is_the_outcome_of_that_recording(lab: AudioLab) -> None:
    spec(lab)
    lab.server.fault(fail_before={"value": 1, "status": 400})
    done = lab.first(code=4)
    assert "19 ok, 1 error of 20" in done.stdout


def test_what_no_call_can_be_is_said_before_anything_is_sent(lab: AudioLab) -> None:
    spec(lab, more="transport: batch")
    assert "takes recordings one by one" in lab.run("plan", "specs/", code=1).stderr
    spec(lab, "timestamp_granularities: [word]")
    assert "needs `response_format: verbose_json`" in lab.run("plan", "specs/", code=1).stderr
    spec(lab, "diarize: true")
    assert "diarize" in lab.run("plan", "specs/", code=1).stderr


def test_the_embedded_server_is_asked_for_later_or_now(lab: AudioLab) -> None:
    for path in list((lab.root / "calls").iterdir())[3:]:
        path.unlink()
    text = """\
project: lab
models:
  ear: {{provider: embedded, name: echo, params: {{response_format: verbose_json, timestamp_granularities: [word]}}}}
jobs:
  calls: {{audio: "calls/**/*.wav", model: ear, output: results/calls.jsonl}}
"""
    lab.spec(text.replace("output:", "transport: online, output:"))
    lab.first()
    rows = lab.results("results/calls.jsonl")
    assert [row["text"] for row in rows] == [said(lab, row["custom_id"]) for row in rows] and len(rows) == 3
    assert rows[0]["words"][0]["word"] == "synthetic" and rows[0]["segments"] is None
    # the same recordings are the same requests, however they are asked
    lab.spec(text)
    assert "Nothing to" in lab.apply("-y").stdout
    lab.record(["later"])
    assert "4 ok" in lab.apply("-y").stdout


class _Whisper(BaseHTTPRequestHandler):
    """A server of one's own, whose texts come as JSON."""

    forms: list[dict[str, Any]]
    protocol_version = "HTTP/1.1"

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["content-length"]))
        head = f"content-type: {self.headers['content-type']}\r\n\r\n".encode()
        parsed = email.parser.BytesParser(policy=email.policy.HTTP).parsebytes(head + body)
        form: dict[str, Any] = {"path": self.path, "authorization": self.headers["authorization"]}
        for part in parsed.iter_parts():  # type: ignore[attr-defined]
            form.setdefault(str(part.get_param("name", header="content-disposition")), []).append(
                part.get_payload(decode=True)
            )
        self.forms.append(form)
        answer = json.dumps("so it was said").encode()
        self.send_response(200)
        self.send_header("content-type", "application/json")
        self.send_header("content-length", str(len(answer)))
        self.end_headers()
        self.wfile.write(answer)

    def log_message(self, *_: object) -> None:
        """Nothing is printed."""


@contextmanager
def whisper() -> Iterator[tuple[str, list[dict[str, Any]]]]:
    forms: list[dict[str, Any]] = []
    server = ThreadingHTTPServer(("127.0.0.1", 0), type("Own", (_Whisper,), {"forms": forms}))
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}", forms
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def test_a_server_of_ones_own_gets_the_very_file_and_its_form(lab: AudioLab) -> None:
    for path in (lab.root / "calls").iterdir():
        path.unlink()
    (path,) = lab.record(["short"])
    with whisper() as (url, forms):
        spec(lab, "response_format: text, language: de, temperature: 0.2, prompt: names", url=url)
        lab.first()
        (form,) = forms
        assert form["path"] == "/v1/audio/transcriptions" and form["authorization"] == f"Bearer {KEY}"
        assert form["file"] == [path.read_bytes()]
        wanted = {"model": "whisper-1", "response_format": "text", "language": "de", "temperature": "0.2"}
        assert {name: form[name] for name in wanted} == {name: [text.encode()] for name, text in wanted.items()}
        (row,) = lab.results("results/calls.jsonl")
        assert row["text"] == "so it was said"
        # every value of a list is a part of its own
        spec(lab, "response_format: verbose_json, timestamp_granularities: [word, segment]", url=url)
        assert "1 unknown" in lab.apply("-y", code=5).stdout  # its answer has no `text`
        assert forms[-1]["timestamp_granularities[]"] == [b"word", b"segment"]


def test_a_killed_command_leaves_in_doubt_what_was_under_way(lab: AudioLab) -> None:
    spec(lab)
    before = asked(lab)
    lab.server.fault(slow={"value": 0.3, "route": "POST /v1/audio/transcriptions"})
    begun = lab.start("apply", "specs/", "-y", "--first-run")
    until(lambda: asked(lab) >= before + 6)
    begun.send_signal(signal.SIGKILL)
    begun.communicate()
    lab.server.calm()
    done = lab.apply("-y", code=None)
    held = len(lab.held())
    assert held <= 4 and done.returncode == (5 if held else 0)  # one a connection
    if held:
        lab.run("state", "resolve", "calls", "--resubmit")
        lab.apply("-y")
    assert len([row for row in lab.results("results/calls.jsonl") if row["text"]]) == 20
    assert asked(lab) <= before + 20 + held
