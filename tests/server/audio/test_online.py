"""Recordings that are transcribed while the caller waits: OpenAI's endpoints, through its SDK."""

from __future__ import annotations

import hashlib
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import openai
import pytest

from runner.server.engines import pocketsphinx
from tests.server.audio.conftest import RECORDINGS, TRANSCRIPTIONS, Audio, running, tone
from tests.server.conftest import TOKENS

SOUND = tone(2.0)
WORDS = f"synthetic transcript of {len(SOUND)} bytes {hashlib.sha256(SOUND).hexdigest()[:16]}"


def ask(audio: Audio, data: bytes = SOUND, name: str = "a.wav", **fields: Any) -> httpx.Response:
    form = {"model": "echo", **fields}
    return audio.http.post(
        TRANSCRIPTIONS,
        headers={"authorization": f"Bearer {TOKENS[0]}"},
        files={"file": (name, data, "audio/wav")},
        data={key: value for key, value in form.items() if value is not None},
    )


def test_the_sdk_gets_each_format(audio: Audio) -> None:
    sdk = audio.lab.client().audio
    file = ("a.wav", SOUND)
    raw = sdk.transcriptions.with_raw_response.create(model="echo", file=file)
    assert raw.parse().text == WORDS and int(raw.headers["x-ratelimit-remaining-requests"]) > 0
    assert sdk.transcriptions.create(model="echo", file=file, response_format="text") == WORDS
    srt = sdk.transcriptions.create(model="echo", file=file, response_format="srt")
    assert srt.startswith("1\n00:00:00,000 --> ") and "synthetic transcript" in srt
    assert sdk.transcriptions.create(model="echo", file=file, response_format="vtt").startswith(
        "WEBVTT\n\n00:00:00.000"
    )
    verbose = sdk.transcriptions.create(
        model="echo", file=file, response_format="verbose_json", timestamp_granularities=["word", "segment"]
    )
    assert (verbose.text, verbose.language, float(verbose.duration)) == (WORDS, "english", 2.0)
    assert verbose.words is not None and [word.word for word in verbose.words] == WORDS.split()
    assert verbose.segments is not None and verbose.segments[0].start == 0 and verbose.usage is not None
    segments = sdk.transcriptions.create(model="echo", file=file, response_format="verbose_json", language="de")
    assert segments.words is None and segments.segments and segments.language == "german"
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # the SDK's own, of a parameter's type
        translated = sdk.translations.create(model="echo", file=file)
    assert translated.text == WORDS.replace("transcript", "translation")


@pytest.mark.parametrize(
    ("fields", "status", "param", "words"),
    [
        ({"model": None}, 400, "model", "Missing required parameter"),
        ({"model": "nobody"}, 404, "model", "does not exist"),
        ({"response_format": "yaml"}, 400, "response_format", "'yaml'"),
        ({"temperature": "hot"}, 400, "temperature", "from 0 to 1"),
        ({"temperature": "1.5"}, 400, "temperature", "from 0 to 1"),
        ({"stream": "true"}, 400, "stream", "does not support true"),
        ({"timestamp_granularities[]": "word"}, 400, "timestamp_granularities", "verbose_json"),
        (
            {"timestamp_granularities[]": "day", "response_format": "verbose_json"},
            400,
            "timestamp_granularities",
            "day",
        ),
        ({"language": "klingon"}, 400, "language", "ISO-639-1"),
        ({"mood": "calm"}, 400, None, "Unrecognized request argument supplied: mood"),
        ({"name": "a.txt"}, 400, None, "Invalid file format"),
        ({"data": b""}, 400, None, "too short"),
    ],
)
def test_what_openai_refuses_is_refused_in_its_words(
    tmp_path: Path, fields: dict[str, Any], status: int, param: str | None, words: str
) -> None:
    with running(tmp_path / "home") as audio:
        answer = ask(audio, **fields)
        error = answer.json()["error"]
        assert (answer.status_code, error["param"], error["type"]) == (status, param, "invalid_request_error")
        assert words in error["message"]
        assert not list((tmp_path / "home" / "incoming").iterdir()) and audio.lab.log()["rows_asked"] == 0


def test_a_form_without_a_recording_or_a_key(audio: Audio) -> None:
    headers = {"authorization": f"Bearer {TOKENS[0]}"}
    nothing = audio.http.post(TRANSCRIPTIONS, headers=headers, files={"model": (None, "echo")})
    assert nothing.status_code == 400 and nothing.json()["error"]["param"] == "file"
    assert audio.http.post(TRANSCRIPTIONS, headers=headers, content=b"x").status_code == 400
    assert audio.http.post(TRANSCRIPTIONS, files={"file": ("a.wav", SOUND)}).status_code == 401
    big = ask(audio, bytes(26 * 1024 * 1024))
    assert big.status_code == 413 and "26214400" in big.json()["error"]["message"]


def test_recordings_meet_the_same_faults_as_other_calls(audio: Audio) -> None:
    audio.lab.faults(lose_answer=1, requests_per_minute=2)
    with pytest.raises(httpx.RemoteProtocolError):
        ask(audio)
    assert [ask(audio).status_code for _ in range(2)] == [200, 429]
    assert audio.lab.log()["rows_asked"] == 2


@pytest.fixture
def speech(tmp_path: Path) -> Iterator[Audio]:
    if not pocketsphinx.is_installed():
        pytest.skip("needs the extra `asr`")
    with running(tmp_path / "home") as audio:
        yield audio


# Loads the model: two seconds.
def test_speech_is_understood_while_one_waits(speech: Audio) -> None:
    recording = RECORDINGS / "call-back.wav"
    online = speech.lab.client().audio.transcriptions.create(model="pocketsphinx", file=recording)
    of_batch = speech.result(recording.read_bytes(), model="pocketsphinx", name=recording.name)
    assert online.text and f'"text":"{online.text}"' in of_batch["body"]
    with pytest.raises(openai.BadRequestError, match="could not be decoded"):
        speech.lab.client().audio.transcriptions.create(model="pocketsphinx", file=("a.wav", b"no recording"))
