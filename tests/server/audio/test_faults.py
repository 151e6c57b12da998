"""The fault lab, seen through the audio API."""

from __future__ import annotations

import time

import httpx
import msgspec
import pytest

from tests.server.audio.conftest import TRANSCRIPTIONS, TRANSLATIONS, Audio, tone

ROUTE = f"POST {TRANSCRIPTIONS}"


def test_a_lost_reply_keeps_the_job(audio: Audio) -> None:
    audio.lab.faults(lose_create_reply={"value": 1, "route": ROUTE})
    audio.submit(path=TRANSLATIONS)
    with pytest.raises(httpx.TransportError):
        audio.send()
    assert audio.send().status_code == 200
    assert audio.lab.log()["audio_jobs_created"] == 3
    assert audio.lab.log()["requests"][ROUTE] == 2


def test_failing_before_and_after_the_effect(audio: Audio) -> None:
    audio.lab.faults(fail_before={"value": 1, "route": ROUTE, "status": 503})
    assert audio.send().status_code == 503 and audio.lab.log()["audio_jobs_created"] == 0
    audio.lab.faults(fail_after={"value": 1, "route": ROUTE})
    assert audio.send().status_code == 500 and audio.lab.log()["audio_jobs_created"] == 1


def test_rate_limits_and_slow_answers(audio: Audio) -> None:
    audio.lab.faults(rate_limit={"value": 1, "retry_after": 0.25, "route": ROUTE})
    answer = audio.send()
    assert answer.status_code == 429 and answer.headers["retry-after-ms"] == "250"
    assert answer.json()["error"]["code"] == "rate_limit_exceeded"
    audio.lab.faults(slow={"value": 0.3, "route": ROUTE})
    began = time.monotonic()
    batch_id = audio.submit()
    assert time.monotonic() - began >= 0.3
    assert audio.wait(batch_id)["status"] == "completed"


def test_looks_that_are_counted_for_each_job(audio: Audio) -> None:
    audio.lab.faults(audio_processing=2)
    for _ in range(2):
        batch_id = audio.submit()
        assert [audio.look(batch_id).json()["status"] for _ in range(3)][:2] == ["processing"] * 2
        assert audio.wait(batch_id)["status"] == "completed"
    audio.lab.faults(audio_processing=0, audio_missing=2)
    batch_id = audio.submit()
    assert [audio.look(batch_id).status_code for _ in range(3)] == [404, 404, 200]
    audio.lab.faults(audio_missing=0, audio_status={"value": 1, "word": "rebalancing"})
    batch_id = audio.submit()
    assert audio.look(batch_id).json()["status"] == "rebalancing"
    assert audio.wait(batch_id)["body"]


def test_recordings_that_fail_are_always_the_same(audio: Audio) -> None:
    audio.lab.faults(audio_failed={"value": 0.5, "word": "error", "message": "too noisy"})
    kinds = [tone(0.1 + n / 100) for n in range(20)]
    first = [audio.result(kind)["status"] for kind in kinds]
    assert first == [audio.result(kind)["status"] for kind in kinds] and set(first) == {"error", "completed"}
    failed = audio.result(kinds[first.index("error")])
    assert (failed["message"], failed["body"], failed["content_type"]) == ("too noisy", None, None)
    audio.lab.faults(audio_failed={"match": "bad ugly"})
    assert [audio.result(name=name)["status"] for name in ("good.wav", "the-bad.wav")] == ["completed", "failed"]


def test_bodies_that_are_wrong(audio: Audio) -> None:
    audio.lab.faults(audio_error_body={"match": "object"}, audio_no_body={"match": "none"})
    wrong = audio.result(name="object.wav", response_format="srt")
    assert (wrong["status"], wrong["content_type"]) == ("completed", "application/json")
    assert set(msgspec.json.decode(wrong["body"])["error"]) == {"object", "type", "message"}
    none = audio.result(name="none.wav")
    assert (none["status"], none["body"], none["content_type"]) == ("completed", None, "application/json")
    audio.lab.faults(
        audio_error_body={"match": "text", "form": "text"}, audio_content_type={"match": "odd", "type": "image/png"}
    )
    assert isinstance(msgspec.json.decode(audio.result(name="text.wav")["body"])["error"], str)
    odd = audio.result(name="odd.wav")
    assert odd["content_type"] == "image/png" and "synthetic" in odd["body"]


def test_what_a_fault_ended_stays_ended(audio: Audio) -> None:
    audio.lab.faults(audio_failed=1)
    batch_id = audio.submit()
    assert audio.wait(batch_id)["status"] == "failed"
    audio.lab.faults(audio_failed=0)
    assert audio.wait(batch_id)["status"] == "failed" and audio.result()["status"] == "completed"
