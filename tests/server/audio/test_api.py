"""The audio batch API as its pages have it: submit, status, results, errors."""

from __future__ import annotations

import hashlib
import re
import time
import warnings
from pathlib import Path
from typing import Any

import httpx
import msgspec
import openai
import pytest

from tests.server.audio.conftest import (
    RECORDINGS,
    TRANSCRIPTIONS,
    TRANSLATIONS,
    VERBOSE,
    Audio,
    running,
    tone,
)
from tests.server.conftest import TOKENS

SUBMIT = f"{TRANSCRIPTIONS}?endpoint_id=audio-prod"
SEGMENT = {"id", "text", "start", "end"}
WORD = {"word", "start", "end", "language", "probability", "hallucination_score"}


def problem(response: httpx.Response) -> tuple[int, str | None]:
    """The status of a refusal, and the field it names; its shape is looked at on the way."""
    body = response.json()
    assert set(body) == {"error", "request_id"} and response.headers["content-type"] == "application/json"
    assert set(body["error"]) == {"message", "param", "code", "type"} and body["error"]["type"] == "error"
    assert body["error"]["message"] and body["error"]["code"]
    return response.status_code, body["error"]["param"]


def test_submit_and_status_have_just_their_fields(audio: Audio) -> None:
    sent = audio.send(model="whisper-v3").json()
    assert re.fullmatch(r"b-[0-9a-f]{24}", sent.pop("batch_id"))
    assert sent == {
        "status": "submitted",
        "account_id": "runner",
        "endpoint_id": "audio-prod",
        "message": "Request submitted successfully",
    }
    audio.lab.faults(audio_processing=1)
    batch_id = audio.submit()
    empty = {"message": None, "content_type": None, "body": None}
    assert audio.look(batch_id).json() == {"status": "processing", "batch_id": batch_id, **empty}
    done = audio.wait(batch_id)
    body = msgspec.json.decode(done.pop("body"))
    assert done == {
        "status": "completed",
        "batch_id": batch_id,
        "message": None,
        "content_type": "application/json",
    }
    named = hashlib.sha256(tone()).hexdigest()[:16]
    assert body == {"text": f"synthetic transcript of {len(tone())} bytes {named}"}


def test_nothing_but_a_file_is_needed(audio: Audio) -> None:
    response = audio.http.post(
        TRANSCRIPTIONS,
        params={"endpoint_id": "audio-turbo"},
        headers={"authorization": TOKENS[0]},
        files={"file": ("a.wav", tone())},
    )
    assert response.json()["endpoint_id"] == "audio-turbo"


@pytest.mark.parametrize(
    ("headers", "params", "status"),
    [
        ({"authorization": "token-a"}, {}, 200),
        ({"authorization": "Bearer token-a"}, {}, 200),
        ({}, {"api_key": "token-a"}, 200),
        ({}, {}, 401),
        ({"authorization": "token-x"}, {}, 403),
        ({"authorization": "Bearer token-x"}, {"api_key": "token-a"}, 403),
        ({}, {"api_key": "token-x"}, 403),
    ],
)
def test_where_the_key_may_be(audio: Audio, headers: dict[str, str], params: dict[str, str], status: int) -> None:
    place = {"endpoint_id": "audio-prod", **params}
    response = audio.http.post(TRANSCRIPTIONS, headers=headers, params=place, files={"file": ("a.wav", tone())})
    assert response.status_code == status
    if status != 200:
        assert problem(response) == (status, None)
        assert "token-x" not in response.text
        return
    sent = response.json()
    path = f"/v1/accounts/{sent['account_id']}/batch_job/{sent['batch_id']}"
    assert audio.http.get(path, headers=headers, params=params).status_code == 200
    assert problem(audio.http.get(path)) == (401, None)


def test_jobs_belong_to_a_token_and_its_account(audio: Audio) -> None:
    mine = audio.submit()
    other = audio.send(token=TOKENS[1]).json()
    assert other["account_id"] != "runner"
    assert audio.look(other["batch_id"], other["account_id"], TOKENS[1]).status_code == 200
    for response in (
        audio.look(mine, token=TOKENS[1]),
        audio.look(mine, other["account_id"], TOKENS[1]),
        audio.look(other["batch_id"], other["account_id"]),
        audio.look(mine, "acme"),
        audio.look("b-000"),
    ):
        assert problem(response) == (404, None)
    assert audio.look(mine).status_code == 200


@pytest.mark.parametrize(
    ("fields", "param"),
    [
        ({"model": ""}, "model"),
        ({"vad_model": "gold"}, "vad_model"),
        ({"alignment_model": "x"}, "alignment_model"),
        ({"language": "english"}, "language"),
        ({"temperature": "warm"}, "temperature"),
        ({"temperature": "0.0,2"}, "temperature"),
        ({"temperature": "nan"}, "temperature"),
        ({"temperature": ""}, "temperature"),
        ({"response_format": "xml"}, "response_format"),
        ({"response_format": "json", "timestamp_granularities": "word"}, "timestamp_granularities"),
        ({"timestamp_granularities": "segment"}, "timestamp_granularities"),
        ({**VERBOSE, "timestamp_granularities": "letter"}, "timestamp_granularities"),
        ({**VERBOSE, "timestamp_granularities[]": ["word", "letter"], "timestamp_granularities": None}, None),
        ({"diarize": "maybe"}, "diarize"),
        ({"diarize": "true"}, "diarize"),
        ({"diarize": "true", "response_format": "verbose_json"}, "diarize"),
        ({"diarize": "true", "response_format": "srt"}, "diarize"),
        ({"min_speakers": "2"}, "min_speakers"),
        ({**VERBOSE, "diarize": "true", "max_speakers": "0"}, "max_speakers"),
        ({**VERBOSE, "diarize": "true", "max_speakers": "two"}, "max_speakers"),
        ({**VERBOSE, "diarize": "true", "min_speakers": "3", "max_speakers": "2"}, "min_speakers"),
        ({"preprocessing": "loud"}, "preprocessing"),
        ({"max_clip_len": "-1"}, "max_clip_len"),
        ({"skip_vad": "2"}, "skip_vad"),
        ({"prompt": "a\0b"}, "prompt"),
        ({"languages": "en"}, "languages"),
        ({"language": ["en", "de"]}, "language"),
        ({"model[]": ["a", "b"]}, "model[]"),
    ],
)
def test_a_wrong_field_is_named(audio: Audio, fields: dict[str, Any], param: str | None) -> None:
    status, named = problem(audio.send(**fields))
    assert status == 400 and named == (param or "timestamp_granularities")
    assert audio.lab.log()["audio_jobs_created"] == 0


@pytest.mark.parametrize(
    "fields",
    [
        {"model": "whisper-v3-turbo", "vad_model": "whisperx-pyannet", "alignment_model": "mms_fa", "language": "yue"},
        {"temperature": "0.0,0.2,0.4", "prompt": "Über\n\u2028", "preprocessing": "soft_dynamic", "skip_vad": "true"},
        {"temperature[]": ["0.0", "0.4"], "max_clip_len": "30"},
        {**VERBOSE, "diarize": "true", "min_speakers": "1", "max_speakers": "2", "diarization_model": "pyannote"},
        {"response_format": "verbose_json", "timestamp_granularities": "word, segment", "diarize": "True"},
        {"model": "echo"},
    ],
)
def test_right_fields_are_taken(audio: Audio, fields: dict[str, Any]) -> None:
    assert audio.result(**fields)["status"] == "completed"


@pytest.mark.parametrize("field", ["diarize", "min_speakers", "max_speakers"])
def test_translations_know_no_speakers(audio: Audio, field: str) -> None:
    fields = {**VERBOSE, field: "true" if field == "diarize" else "1"}
    assert problem(audio.send(path=TRANSLATIONS, **fields)) == (400, field)


def test_the_endpoint_is_one_of_two(audio: Audio) -> None:
    assert problem(audio.send(params={"endpoint_id": "audio-best"})) == (400, "endpoint_id")
    assert audio.send(params={"endpoint_id": "audio-turbo"}).json()["endpoint_id"] == "audio-turbo"


def test_only_files_are_recordings(audio: Audio) -> None:
    headers = {"authorization": TOKENS[0]}
    url = audio.http.post(SUBMIT, headers=headers, files={"file": (None, b"https://example.com/a.mp3")})
    assert problem(url) == (400, "file") and "URL" in url.json()["error"]["message"]
    text = audio.http.post(SUBMIT, headers=headers, files={"file": (None, b"hello")})
    assert problem(text) == (400, "file")
    none = audio.http.post(SUBMIT, headers=headers, files={"model": (None, b"whisper-v3")})
    assert problem(none) == (400, "file")
    empty = audio.http.post(SUBMIT, headers=headers, files={"file": ("a.wav", b"")})
    assert problem(empty) == (400, "file")
    json = audio.http.post(SUBMIT, headers=headers, json={"file": "x"})
    assert problem(json) == (400, None)
    half = {**headers, "content-type": "multipart/form-data; boundary=xyz"}
    body = b'--xyz\r\ncontent-disposition: form-data; name="file"; filename="a"\r\n\r\nabc'
    assert problem(audio.http.post(SUBMIT, headers=half, content=body)) == (400, None)
    home = audio.lab.service.site.home.root
    assert [*(home / "audio").iterdir(), *(home / "incoming").iterdir()] == []


def test_more_than_a_gigabyte_is_refused_by_its_length(audio: Audio) -> None:
    """What is announced is not waited for to its end; the client sends 600 MB of it in vain."""
    chunk = b"\0" * (1 << 20)
    size = 960 * len(chunk)
    headers = {"authorization": TOKENS[0], "content-length": str(size), "content-type": "multipart/form-data"}

    def body() -> Any:
        for _ in range(960):
            yield chunk

    try:
        response = audio.http.post(SUBMIT, headers=headers, content=body())
    except httpx.TransportError:
        pass  # it hung up on us, as servers do
    else:
        assert problem(response) == (413, "file")
    assert audio.lab.log()["requests"][f"POST {TRANSCRIPTIONS}"] == 1 and audio.lab.log()["audio_jobs_created"] == 0


def test_verbose_results_hold_what_was_asked_for(audio: Audio) -> None:
    def verbose(granularities: str | None, **more: str) -> dict[str, Any]:
        fields = {"response_format": "verbose_json", "timestamp_granularities": granularities, **more}
        return msgspec.json.decode(audio.result(tone(20), **fields)["body"])

    default, words, both = verbose(None), verbose("word"), verbose("word,segment", diarize="true")
    assert set(default) == {"task", "language", "duration", "text", "words", "segments"}
    assert (default["task"], default["language"], default["duration"]) == ("transcribe", "en", 20.0)
    assert default["words"] is None and words["segments"] is None
    assert set(words["words"][0]) == WORD and set(default["segments"][0]) == SEGMENT
    assert set(both["words"][0]) == WORD | {"speaker_id"} and set(both["segments"][0]) == SEGMENT | {"speaker_id"}
    assert {one["speaker_id"] for one in [*both["words"], *both["segments"]]} == {"SPEAKER_00"}
    assert len(default["segments"]) > 1
    for found in (words["words"], default["segments"]):
        times = [time for one in found for time in (one["start"], one["end"])]
        assert times == sorted(times) and times[0] >= 0 and times[-1] <= 20
    assert default["text"] == " ".join(one["text"] for one in default["segments"])
    assert words["text"] == " ".join(one["word"] for one in words["words"]) == default["text"]
    assert verbose(None, language="de")["language"] == "de"


def test_repeated_granularities_are_as_good_as_joined_ones(audio: Audio) -> None:
    repeated = {"response_format": "verbose_json", "timestamp_granularities[]": ["word", "segment"]}
    assert audio.result(**repeated)["body"] == audio.result(**VERBOSE)["body"]


def test_translations_are_english(audio: Audio) -> None:
    done = audio.result(path=TRANSLATIONS, language="de", response_format="verbose_json")
    body = msgspec.json.decode(done["body"])
    assert (body["task"], body["language"]) == ("translate", "en") and body["text"].startswith("synthetic translation")


def test_plain_formats(audio: Audio) -> None:
    found = {name: audio.result(response_format=name) for name in ("text", "srt", "vtt")}
    assert {one["content_type"] for one in found.values()} == {"text/plain; charset=utf-8"}
    text = found["text"]["body"]
    assert text.startswith("synthetic transcript")
    assert found["srt"]["body"] == f"1\n00:00:00,000 --> 00:00:00,983\n{text}\n\n"
    assert found["vtt"]["body"] == f"WEBVTT\n\n00:00:00.000 --> 00:00:00.983\n{text}\n\n"


def test_the_same_bytes_give_the_same_words(audio: Audio) -> None:
    first, again, other = (
        audio.result(data, name=name) for data, name in ((tone(), "a"), (tone(), "b"), (tone(2), "a"))
    )
    assert first["body"] == again["body"] != other["body"]


def test_durations_come_from_headers(audio: Audio) -> None:
    for name, seconds in (("weather.wav", 2.33), ("letter.flac", 2.445)):
        done = audio.result((RECORDINGS / name).read_bytes(), name=name, response_format="verbose_json")
        assert msgspec.json.decode(done["body"])["duration"] == seconds
    done = audio.result(b"ID3" + bytes(31_997), response_format="verbose_json")
    assert msgspec.json.decode(done["body"])["duration"] == 2.0


def test_a_name_that_is_not_known_needs_a_default(tmp_path: Path) -> None:
    with running(tmp_path) as audio:
        assert problem(audio.send(model="whisper-v3")) == (400, "model")
        assert audio.result(model="echo")["status"] == "completed"
    with running(tmp_path, engine="pocketsphinx") as audio:
        assert problem(audio.send(model="whisper-v3", **VERBOSE, diarize="true")) == (400, "diarize")
        assert problem(audio.send(model="pocketsphinx", language="de")) == (400, "language")
        assert problem(audio.send(model="pocketsphinx", path=TRANSLATIONS)) == (400, "model")
    with running(tmp_path, engine="echo", stands_in=True) as audio:
        assert audio.result(model="pocketsphinx", language="de", path=TRANSLATIONS)["status"] == "completed"


def test_recordings_are_kept_no_longer_than_needed(audio: Audio) -> None:
    batch_id = audio.submit()
    audio.wait(batch_id)
    root = audio.lab.service.site.home.root
    until = time.monotonic() + 10  # the end of a job is recorded first, then its recording goes
    while list((root / "audio").iterdir()) and time.monotonic() < until:
        time.sleep(0.01)
    assert [*(root / "audio").iterdir(), *(root / "incoming").iterdir()] == []
    assert audio.wait(batch_id)["status"] == "completed"


def test_other_methods_and_paths(audio: Audio) -> None:
    headers = {"authorization": f"Bearer {TOKENS[0]}"}
    assert audio.http.get(TRANSCRIPTIONS, headers=headers).status_code == 405
    assert audio.http.post("/v1/audio/alignments", headers=headers).status_code == 404
    assert audio.http.delete("/v1/accounts/runner/batch_job/b-1", headers=headers).status_code in (404, 405)


def test_the_openai_sdk_is_taken(audio: Audio) -> None:
    client: openai.OpenAI = audio.lab.client()
    with (RECORDINGS / "weather.wav").open("rb") as file:
        sent: Any = client.audio.transcriptions.create(
            file=file,
            model="whisper-v3",
            response_format="verbose_json",
            timestamp_granularities=["word", "segment"],
            temperature=0.0,
            language="en",
            extra_query={"endpoint_id": "audio-prod"},
        )
    assert (sent.status, sent.account_id, sent.endpoint_id) == ("submitted", "runner", "audio-prod")
    body = msgspec.json.decode(audio.wait(sent.batch_id)["body"])
    assert body["words"] and body["segments"]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # the SDK's own, of a parameter's type
        translated: Any = client.audio.translations.create(
            file=("a.wav", tone()), model="whisper-v3", extra_query={"endpoint_id": "audio-prod"}
        )
    assert audio.wait(translated.batch_id)["status"] == "completed"
    with pytest.raises(openai.BadRequestError) as caught:
        client.audio.transcriptions.create(
            file=("a.wav", tone()), model="whisper-v3", language="klingon", extra_query={"endpoint_id": "audio-prod"}
        )
    assert "`language`" in str(caught.value)
