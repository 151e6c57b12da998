"""A submission whose reply is lost: held and named for a person, or sent again and counted where the spec allows it."""

from __future__ import annotations

import pytest

from tests.journeys.audio.lab import LOOK, SPEC, SUBMIT, AudioLab

LOST = {"lose_create_reply": {"value": 3, "route": SUBMIT}}


def with_held(lab: AudioLab) -> list[str]:
    """Apply while three replies are lost; the paths that are held now."""
    lab.server.fault(**LOST)
    done = lab.first(code=5)
    held = [one["row"] for one in lab.held()]
    assert len(held) == 3
    for path in held:
        assert f"`{path}` is held" in done.stderr
        assert f"runner state resolve calls specs/ --row {path}" in done.stderr
    assert "17 ok, 0 error, 3 unknown of 20" in done.stdout
    assert "3 recordings" in done.stdout and "no answer came, and asking again may pay twice" in done.stdout
    assert "`runner state resolve calls specs/`" in done.stdout
    return held


def test_held_ones_are_named_and_never_sent_twice(lab: AudioLab) -> None:
    held = with_held(lab)
    assert lab.kept() == lab.posts() == 20
    again = lab.apply("-y", code=5)
    assert "3 unknown" in again.stdout
    assert lab.posts() == 20
    listed = lab.run("state", "resolve", "calls", code=5).stdout
    for path in held:
        assert f"calls  {path}  it is not known whether it was accepted" in listed
    for way in ("--adopt REMOTE_ID", "--clear", "--resubmit"):
        assert way in listed
    rows = {row["custom_id"]: row for row in lab.results("results/calls.jsonl")}
    assert len(rows) == 20
    assert all((rows[path]["error"] is not None) == (path in held) for path in rows)


def test_cleared_ones_are_sent_by_the_next_apply(lab: AudioLab) -> None:
    with_held(lab)
    told = lab.run("state", "resolve", "calls", "--clear")
    assert told.stdout.count("is free again") == 3
    assert lab.run("state", "resolve", "calls").stdout == "Nothing of `calls` is held\n"
    assert lab.posts() == 20
    lab.apply("-y")
    assert lab.posts() == 23
    assert sum(batch["possible_duplicates"] for batch in lab.batches()) == 0
    lab.whole(20)
    lab.done()


def test_resubmitted_ones_are_counted_as_possible_duplicates(lab: AudioLab) -> None:
    held = with_held(lab)
    one = ("--row", held[0])
    assert "will be sent again" in lab.run("state", "resolve", "calls", *one, "--resubmit").stdout
    done = lab.apply("-y", code=5)
    assert "1 possible duplicate" in done.stdout + done.stderr
    assert lab.posts() == 21
    assert [entry["row"] for entry in lab.held()] == held[1:]
    lab.run("state", "resolve", "calls", "--resubmit")
    done = lab.apply("-y")
    assert "3 possible duplicates" in done.stdout
    assert lab.posts() == 23
    assert "3 possible duplicates" in lab.run("show", "calls").stdout
    lab.whole(20)
    lab.done()


def test_an_adopted_one_is_looked_at_and_not_sent(lab: AudioLab) -> None:
    for path in with_held(lab):
        told = lab.run("state", "resolve", "calls", "--row", path, "--adopt", lab.ids_of(path)[-1])
        assert f"{path}  will be looked at as `b-" in told.stdout
    lab.apply("-y")
    assert lab.posts() == 20
    lab.whole(20)
    lab.done()


def test_on_unknown_resubmit_answers_all_and_counts(lab: AudioLab) -> None:
    lab.with_job("on_unknown: resubmit")
    lab.server.fault(**LOST)
    done = lab.first()
    assert "3 possible duplicates" in done.stdout
    assert (lab.posts(), lab.kept()) == (23, 23)
    assert "3 possible duplicates" in lab.run("status").stdout
    lab.whole(20)
    lab.done()


def test_resubmit_stops_at_the_attempts_of_the_job(lab: AudioLab) -> None:
    lab.with_job("on_unknown: resubmit\n    max_attempts: 2")
    lab.server.fault(lose_create_reply={"value": 1000, "route": SUBMIT})
    lab.first(code=5)
    assert lab.posts() == 40
    assert len(lab.held()) == 20


def test_a_retry_sends_held_ones_in_a_wave_of_their_own(lab: AudioLab) -> None:
    held = with_held(lab)
    told = lab.run("retry", "calls", "--row", held[0]).stdout
    assert "1 request will be asked again, 1 of them maybe twice" in told
    assert [entry["row"] for entry in lab.held()] == held[1:]  # it is decided
    lab.apply("-y", code=5)
    assert lab.posts() == 21
    lab.run("retry", "calls")
    assert "3 possible duplicates" in lab.apply("-y").stdout
    assert lab.posts() == 23
    lab.whole(20)
    lab.done()
    assert lab.held() == []
    assert "3 possible duplicates" in lab.run("status").stdout


def test_a_retried_one_is_not_decided_about_a_second_time(lab: AudioLab) -> None:
    held = with_held(lab)
    lab.run("retry", "calls", "--row", held[0])
    lab.run("state", "resolve", "calls", "--clear")
    assert "1 possible duplicate:" in lab.apply("-y").stdout
    assert lab.posts() == 23
    lab.whole(20)
    lab.done()


def test_what_the_remote_forgot_is_held_with_its_id(lab: AudioLab) -> None:
    lab.server.fault(audio_missing=1000)
    done = lab.first(code=5)
    assert "the remote no longer knows it" in done.stderr
    held = lab.held()
    assert len(held) == 20
    assert all(one["remote_id"].startswith("b-") and one["remote_id"] in one["why"] for one in held)
    lab.server.fault(audio_missing=None)
    for one in held[:2]:
        lab.run("state", "resolve", "calls", "--row", one["row"], "--adopt", one["remote_id"])
    assert "2 ok, 0 error, 18 unknown" in lab.apply("-y", code=5).stdout
    assert lab.posts() == 20


def test_decisions_that_cannot_be(lab: AudioLab) -> None:
    held = with_held(lab)
    row = ("--row", held[0])
    answered = next(path for path in (f"calls/c{n:03}.wav" for n in range(20)) if path not in held)
    for words, said in (
        (("--clear", "--resubmit"), "Give only one of --adopt, --look, --clear and --resubmit"),
        (("--account", "a"), "--account says whose id --adopt gives"),
        (("--adopt", "b-1"), "3 are held: name one with `--row`"),
        (("--row", "calls/nobody.wav", "--clear"), "`calls/nobody.wav` of `calls` is not held"),
        ((*row, "--adopt", " "), "takes the id that the remote gave"),
        ((*row, "--adopt", lab.ids_of(answered)[-1]), "which is not held"),
    ):
        assert said in lab.run("state", "resolve", "calls", *words, code=64).stderr
    assert "there is no job `nobody`" in lab.run("state", "resolve", "nobody", code=64).stderr
    assert len(lab.held()) == 3
    lab.apply("-y", code=5)
    assert lab.posts() == 20


def test_what_nobody_wants_any_more_is_resolved_by_its_key(lab: AudioLab) -> None:
    held = with_held(lab)
    (lab.root / held[0]).unlink()
    rows = [one["row"] for one in lab.held()]
    gone = next(row for row in rows if row not in held)
    assert len(gone) == 32
    lab.run("state", "resolve", "calls", "--row", gone, "--clear")
    lab.apply("-y", code=5)
    assert lab.posts() == 20  # there is no file to send
    assert [one["row"] for one in lab.held()] == held[1:]


def test_a_wave_of_a_job_that_is_gone_can_be_resolved(lab: AudioLab) -> None:
    held = with_held(lab)
    lab.spec(SPEC.replace("  calls:\n", "  others:\n"))
    listed = lab.run("state", "resolve", "calls", code=5).stdout
    assert all(path in listed for path in held)
    assert "3 recordings held" in lab.run("state", "resolve", "others", code=5).stdout  # it wants them now
    lab.run("state", "resolve", "others", "--clear")
    lab.apply("-y")
    assert lab.posts() == 23
    lab.whole(20)


@pytest.mark.parametrize("status", [500, 503])
def test_an_error_after_the_work_was_done_is_no_refusal(lab: AudioLab, status: int) -> None:
    lab.server.fault(fail_after={"value": 2, "status": status, "route": SUBMIT})
    lab.first(code=5)
    assert lab.posts() == lab.kept() == 20
    assert len(lab.held()) == 2


def test_a_look_that_fails_is_no_absence(lab: AudioLab) -> None:
    lab.server.fault(fail_before={"value": 5, "status": 502, "route": LOOK})
    lab.first()
    assert lab.posts() == 20
    lab.whole(20)
