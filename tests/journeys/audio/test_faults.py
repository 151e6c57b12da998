"""Whatever the remote does to single recordings: every one has an outcome, and none is sent more often than needed."""

from __future__ import annotations

from tests.journeys.audio.lab import LOOK, SPEC, SUBMIT, AudioLab


def test_too_many_at_once_are_sent_later(lab: AudioLab) -> None:
    lab.server.fault(rate_limit={"value": 12, "retry_after": 0.2, "route": SUBMIT})
    lab.first()
    assert lab.kept() == 20
    assert lab.posts() == 32
    lab.whole(20)
    lab.done()


def test_a_connection_that_is_dropped_before_anything_was_done_is_still_unknown(lab: AudioLab) -> None:
    lab.server.fault(drop={"value": 2, "route": SUBMIT})
    lab.first(code=5)
    assert len(lab.held()) == 2
    assert lab.kept() == 18
    lab.run("state", "resolve", "calls", "--clear")
    lab.apply("-y")
    assert lab.kept() == 20
    lab.whole(20)


def test_a_recording_that_is_not_there_yet_is_looked_for_again(lab: AudioLab) -> None:
    lab.server.fault(audio_missing=3)
    lab.first()
    assert lab.posts() == 20
    lab.whole(20)


def test_words_that_are_not_documented_are_waited_for(lab: AudioLab) -> None:
    lab.server.fault(audio_status={"value": 3, "word": "diarizing"})
    lab.first()
    lab.whole(20)


def test_looks_that_are_refused_for_now_are_repeated(lab: AudioLab) -> None:
    lab.server.fault(rate_limit={"value": 9, "retry_after": 0.05, "route": LOOK})
    lab.first()
    assert lab.posts() == 20
    lab.whole(20)


def test_those_that_failed_are_named_and_asked_again_on_purpose_only(lab: AudioLab) -> None:
    lab.server.fault(audio_failed=0.5)
    done = lab.first(code=4)
    failed = [row for row in lab.results("results/calls.jsonl") if row["error"]]
    assert 0 < len(failed) < 20
    assert all("could not be processed" in row["error"]["message"] for row in failed)
    assert f"{20 - len(failed)} ok, {len(failed)} error" in done.stdout
    assert lab.apply("-y", code=4).returncode == 4
    assert lab.posts() == 20
    lab.server.fault(audio_failed=None)
    lab.run("retry", "calls")
    lab.apply("-y")
    assert lab.posts() == 20 + len(failed)
    lab.whole(20)
    lab.done()


def test_an_error_in_place_of_an_answer_is_an_error(lab: AudioLab) -> None:
    lab.server.fault(audio_error_body={"value": 1, "form": "text"})
    lab.first(code=4)
    assert all("could not be processed" in row["error"]["message"] for row in lab.results("results/calls.jsonl"))
    assert lab.posts() == 20


def test_an_error_of_the_server_is_asked_again(lab: AudioLab) -> None:
    lab.server.fault(audio_error_body={"value": 1, "form": "object"})
    lab.first("--no-wait", code=3)
    lab.server.fault(audio_error_body=None)
    lab.apply("-y")
    lab.whole(20)


def test_completed_without_an_answer_is_asked_again_as_often_as_the_job_says(lab: AudioLab) -> None:
    lab.with_job("max_attempts: 2")
    lab.server.fault(audio_no_body=0.5)
    lab.first(code=4)
    empty = [row for row in lab.results("results/calls.jsonl") if row["error"]]
    assert 0 < len(empty) < 20
    assert lab.posts() == 20 + len(empty)


def test_an_answer_of_an_odd_content_type_is_kept(lab: AudioLab) -> None:
    lab.server.fault(audio_content_type=1)
    lab.first()
    lab.whole(20)


def test_a_recording_that_is_refused_does_not_stop_the_others(lab: AudioLab) -> None:
    lab.server.fault(fail_before={"value": 3, "status": 413, "route": SUBMIT})
    lab.first(code=4)
    rows = lab.results("results/calls.jsonl")
    assert sum(row["error"] is not None for row in rows) == 3
    assert lab.posts() == 20


def test_a_wrong_key_stops_at_once_and_holds_nothing(lab: AudioLab) -> None:
    said = lab.first(code=1, FIREWORKS_API_KEY="another-key").stderr
    assert "401" in said or "key" in said
    assert lab.kept() == 0
    assert lab.held() == []
    lab.apply("-y")
    assert lab.kept() == 20
    lab.whole(20)


def test_a_server_that_is_not_there_holds_nothing(lab: AudioLab) -> None:
    lab.first(code=None, FIREWORKS_AUDIO_BASE_URL="http://127.0.0.1:9")
    assert lab.held() == []
    assert lab.posts() == 0


def test_text_and_subtitles_are_kept_as_they_came(lab: AudioLab) -> None:
    for form in ("text", "srt"):
        lab.spec(SPEC.replace("response_format: json", f"response_format: {form}"))
        lab.apply("-y", "--first-run")
        lab.whole(20)
