"""Each recording is sent once: again only when it, or what is asked of it, is another one."""

from __future__ import annotations

import pytest

from tests.journeys.audio.lab import SPEC, AudioLab, sound


def test_every_recording_is_answered_once(lab: AudioLab) -> None:
    done = lab.first()
    assert "calls: sending 20 recordings" in done.stderr
    assert "20 ok, 0 error of 20" in done.stdout
    lab.whole(20)
    assert lab.posts() == 20
    lab.done()


def test_what_was_added_or_edited_is_sent_and_what_was_renamed_is_not(lab: AudioLab) -> None:
    lab.first()
    before = {row["custom_id"]: row["text"] for row in lab.whole(20)}
    lab.record(["new0", "new1", "deep/new2"])
    lab.put("calls/c000.wav", sound("another"))
    for n in range(5, 10):
        (lab.root / f"calls/c{n:03}.wav").rename(lab.root / f"calls/renamed{n}.wav")
    assert "4 of 23 recordings in 1 calls batch" in lab.run("plan").stdout
    lab.apply("-y")
    assert lab.posts() == 24
    after = {row["custom_id"]: row["text"] for row in lab.whole(23)}
    assert after["calls/renamed7.wav"] == before["calls/c007.wav"]
    assert after["calls/c000.wav"] != before["calls/c000.wav"]
    lab.done()


def test_equal_recordings_are_sent_once_and_answered_each(lab: AudioLab) -> None:
    lab.put("calls/duplicate.wav", sound("c003"))
    plan = lab.run("plan", code=5).stdout
    assert "1 recording" in plan and "the same content as an earlier one, sent once" in plan
    lab.first()
    assert lab.posts() == 20
    rows = {row["custom_id"]: row["text"] for row in lab.whole(21)}
    assert rows["calls/duplicate.wav"] == rows["calls/c003.wav"]
    lab.done()


def test_another_question_is_asked_of_every_recording(lab: AudioLab) -> None:
    lab.first()
    lab.spec(SPEC.replace("response_format: json", "response_format: json, language: de"))
    line = lab.plan()["jobs"][0]["lines"][0]
    assert (line["sign"], line["rows"]) == ("-/+", 20)
    lab.apply("-y")
    assert lab.posts() == 40


def test_a_folder_gets_a_transcript_for_each(lab: AudioLab) -> None:
    lab.spec(
        SPEC.replace("results/calls.jsonl", "transcripts/").replace("response_format: json", "response_format: vtt")
    )
    lab.first()
    folder = lab.root / "transcripts"
    assert len(list(folder.glob("*.vtt"))) == 20
    assert (folder / "c007.vtt").read_text().startswith("WEBVTT")
    assert len(lab.results("transcripts/_results.jsonl")) == 20
    (folder / "c007.vtt").unlink()
    lab.apply("-y")
    assert (folder / "c007.vtt").exists()
    assert lab.posts() == 20
    lab.done()


def test_the_plan_says_how_much_sound_it_is_and_what_it_costs(lab: AudioLab) -> None:
    lab.record(["long"], seconds=600)
    plan = lab.run("plan", code=5).stdout
    assert "+ create   21 recordings in 1 calls batch, 9.6 MB, 10.0 minutes of sound, under $0.01 (40 % batch" in plan
    line = lab.plan()["jobs"][0]["lines"][0]
    assert lab.plan()["jobs"][0]["kind"] == "recordings"
    assert (line["rows"], line["batches"], line["minutes"]) == (21, 1, 10.03)
    assert line["usd"] == pytest.approx(602 / 60 * 0.0015 * 0.6)


def test_minutes_that_are_not_known_are_not_made_up(lab: AudioLab) -> None:
    amr = b"#!AMR\n" + b"\x0c" + b"\0" * 99
    lab.put("calls/x.wav", amr)
    line = lab.plan()["jobs"][0]["lines"][0]
    assert "minutes ?, cost ?" in line["what"]
    assert (line["minutes"], line["usd"]) == (None, None)
