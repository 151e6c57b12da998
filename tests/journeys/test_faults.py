"""The remote loses replies, expires, fails rows and cuts downloads: nothing is lost and nothing is paid twice."""

from __future__ import annotations

import time

import pytest

from tests.journeys.lab import SPEC, Lab, until

CANNOT_DELETE = SPEC.replace("overrides: {{", "overrides: {{can_delete_files: false, ")


@pytest.mark.parametrize(
    "fault",
    [
        {"lose_create_reply": 1},
        {"lose_create_reply": 1, "list_lag": 0.3},
        {"fail_after": {"value": 1, "route": "POST /v1/batches"}},
        {"drop": {"value": 1, "route": "POST /v1/batches"}},
        {"fail_before": {"value": 1, "route": "POST /v1/batches"}},
        {"rate_limit": {"value": 2, "retry_after": 0.1, "route": "POST /v1/batches"}},
    ],
    ids=lambda fault: "-".join(fault),
)
def test_an_unanswered_create_makes_one_batch(lab: Lab, fault: dict[str, object]) -> None:
    lab.server.fault(**fault)
    lab.apply()
    assert [len(ids) for ids in lab.server.sent()] == [10]
    assert all(row["error"] is None for row in lab.results())
    assert lab.apply().stdout == "Nothing to do\n"


def test_a_create_that_takes_effect_after_it_was_given_up_is_stopped_and_counted(lab: Lab) -> None:
    """Its rows were edited meanwhile: what was sent since is another set, and no duplicate by its label."""
    lab.spec(CANNOT_DELETE)
    lab.server.fault(lose_create_reply=1, list_lag=60, hold=0.3)
    lab.apply("--no-wait", code=3)
    assert [len(ids) for ids in lab.server.sent()] == [], "nobody can see the first one yet"
    lab.rows({f"r{n}": f"word {n}" for n in range(9)})
    lab.apply("--no-wait", code=3)
    lab.server.fault(list_lag=None)
    assert [len(ids) for ids in lab.server.sent()] == [10, 9]
    done = lab.apply("--no-wait", code=3)
    assert "was given up, and its requests were sent since; it was cancelled (9 requests overlap)" in done.stderr
    lab.server.fault(hold=None)
    lab.apply()
    assert [batch["status"] for batch in lab.server.batches()] == ["cancelled", "completed"]
    assert [row["error"] for row in lab.results()] == [None] * 9
    assert lab.apply().stdout == "Nothing to do\n"
    lab.rows(10)  # the first set again: it is no first attempt any more
    lab.apply()
    assert [len(ids) for ids in lab.server.sent()] == [10, 9, 1]


def test_of_two_equal_batches_the_older_stays_though_no_list_shows_ours(lab: Lab) -> None:
    lab.spec(CANNOT_DELETE)
    lab.server.fault(lose_create_reply=1, list_lag=60, hold=0.3)
    lab.apply("--no-wait", code=3)
    time.sleep(6)
    lab.apply("--no-wait", code=3)  # nobody sees the first one: it is given up, and sent again
    lab.server.fault(list_lag=6)
    done = lab.apply("--no-wait", code=3)
    assert "is a duplicate of" in done.stderr
    lab.server.fault(hold=None, list_lag=None)
    lab.apply()
    assert [batch["status"] for batch in lab.server.batches()] == ["completed", "cancelled"]
    assert [row["error"] for row in lab.results()] == [None] * 10
    assert lab.apply().stdout == "Nothing to do\n"


def test_a_lost_upload_reply_costs_an_orphan_file_at_most(lab: Lab) -> None:
    lab.server.fault(lose_upload_reply=1)
    lab.apply(code=None)
    lab.apply()
    assert [len(ids) for ids in lab.server.sent()] == [10]


def test_an_expired_batch_keeps_its_paid_rows(lab: Lab) -> None:
    lab.server.fault(expire_at=0.5)
    lab.apply()
    first, second = lab.server.sent()
    assert len(first) == 10
    assert len(second) == 5
    assert set(second) < set(first)
    assert [row["custom_id"] for row in lab.results()] == first
    assert all(row["error"] is None for row in lab.results())
    assert len({row["batch"] for row in lab.results()}) == 2


def test_failing_rows_are_asked_three_times_and_then_reported(lab: Lab) -> None:
    lab.rows(100)
    lab.server.fault(row_error={"value": 0.1, "status": 500})
    done = lab.apply(code=4)
    sent = lab.server.sent()
    assert len(sent) == 3
    assert sent[1] and set(sent[1]) == set(sent[2]) < set(sent[0])
    failed = [row for row in lab.results() if row["error"]]
    assert {row["custom_id"] for row in failed} == set(sent[2])
    assert len(lab.results()) == 100
    assert f"{100 - len(failed)} ok, {len(failed)} error of 100" in done.stdout
    assert lab.run("plan").stdout == "Nothing to do\n"
    lab.apply(code=4)
    assert lab.server.creates() == 3


def test_retry_asks_the_failed_rows_again(lab: Lab) -> None:
    lab.server.fault(row_error={"value": 0.0001, "status": 400, "match": "r3- r7-"})
    lab.apply(code=4)
    assert lab.server.creates() == 1  # a 400 is final at once
    assert "r3" in lab.run("show", "answers").stdout
    lab.server.fault(row_error=None)
    lab.run("retry", "answers", "--row", "r3")
    lab.apply(code=4)
    assert lab.server.sent()[1:] == [["r3"]]
    lab.run("retry", "answers")
    lab.apply()
    assert lab.server.sent()[2:] == [["r7"]]
    lab.run("retry", "answers", "--replace", "--row", "r1")
    lab.apply()
    assert lab.server.sent()[3:] == [["r1"]]
    assert all(row["error"] is None for row in lab.results())


def test_strange_separators_survive_in_answers(lab: Lab) -> None:
    lab.server.fault(unicode=True)
    lab.apply()
    assert len(lab.results()) == 10
    for character in "\u2028\u0085\x0c":
        assert all(character in row["answer"] for row in lab.results())


@pytest.mark.parametrize(
    "fault",
    [
        {"truncate_download": 2},
        {"late_output_id": 3},
        {"empty_string_ids": True},
        {"no_has_more": True},
        {"unknown_status": 3},
        {"duplicate_lines": 3},
        {"rate_limit": {"value": 3, "retry_after": 0.05, "route": "GET *"}},
        {"fail_before": {"value": 3, "route": "GET *"}},
    ],
    ids=lambda fault: "-".join(fault),
)
def test_a_troubled_collection_is_whole_in_the_end(lab: Lab, fault: dict[str, object]) -> None:
    lab.server.fault(**fault)
    lab.apply()
    assert [row["custom_id"] for row in lab.results()] == [f"r{n}" for n in range(10)]
    assert all(row["error"] is None for row in lab.results())
    assert [len(ids) for ids in lab.server.sent()] == [10]


def test_counted_rows_that_are_in_no_file_are_not_paid_for_again(lab: Lab) -> None:
    lab.server.fault(missing_lines=2)
    done = lab.apply("--wait", "2s", code=3)
    assert "10 rows have finished, and its files hold 8 of 10" in done.stderr
    assert [len(ids) for ids in lab.server.sent()] == [10]


def test_a_full_queue_and_an_unseen_file_use_the_same_upload_again(lab: Lab) -> None:
    lab.spec(SPEC.replace("min_poll_s: 0.05", "min_poll_s: 0.05, defer_s: 0.2"))
    lab.server.fault(file_invisible=1)
    lab.apply()
    batches = lab.server.batches()
    assert [batch["status"] for batch in batches] == ["failed", "completed"]
    assert len({batch["input_file_id"] for batch in batches}) == 1
    assert all(row["error"] is None for row in lab.results())


def test_a_file_that_is_never_seen_is_uploaded_once_more_and_then_its_words_are_the_end(lab: Lab) -> None:
    window = "min_poll_s: 0.05, defer_s: 0.2, file_visibility_error: {{window_s: 2.5}}"
    lab.spec(SPEC.replace("min_poll_s: 0.05", window))
    lab.server.fault(file_invisible=1000)
    done = lab.apply(code=4)
    assert "Cannot find file" in done.stderr
    assert "10 error" in done.stdout
    batches = lab.server.batches()
    assert {batch["status"] for batch in batches} == {"failed"}
    uploads = [batch["input_file_id"] for batch in batches]
    assert len(set(uploads)) == 2
    assert all(uploads.count(one) > 1 for one in uploads), "within the window, the same upload again"
    assert all("Cannot find file" in row["error"]["message"] for row in lab.results())
    lab.apply(code=4)
    assert len(lab.server.batches()) == len(batches), "nobody has asked again"
    lab.server.fault(file_invisible=None)
    lab.run("retry", "answers")
    lab.apply()
    assert all(row["error"] is None for row in lab.results())


def test_a_second_upload_may_be_seen(lab: Lab) -> None:
    window = "min_poll_s: 0.05, defer_s: 0.2, file_visibility_error: {{window_s: 0}}"
    lab.spec(SPEC.replace("min_poll_s: 0.05", window))
    lab.server.fault(file_invisible=1)
    lab.apply()
    batches = lab.server.batches()
    assert [batch["status"] for batch in batches] == ["failed", "completed"]
    assert len({batch["input_file_id"] for batch in batches}) == 2
    assert all(row["error"] is None for row in lab.results())


def test_what_was_put_off_is_not_sent_again_beside_a_batch_that_appeared_meanwhile(lab: Lab) -> None:
    """The state that knew of the first one was lost before any list showed it."""
    lab.spec(SPEC.replace("min_poll_s: 0.05", "min_poll_s: 0.05, defer_s: 2"))
    lab.server.fault(hold=0.0, list_lag=60)
    lab.apply("--no-wait", code=3)
    lab.forget()
    lab.rows(11)
    lab.server.fault(file_invisible=1)
    lab.apply("--no-wait", code=3)  # sends all eleven, and the remote puts them off
    time.sleep(2)
    assert "the same upload is submitted again" in lab.apply("--no-wait", code=3).stderr
    time.sleep(2)
    lab.server.fault(hold=None, list_lag=None)
    lab.apply()
    assert [len(ids) for ids in lab.server.sent()] == [10, 1]
    assert [row["error"] for row in lab.results()] == [None] * 11
    assert lab.apply().stdout == "Nothing to do\n"


def test_a_refused_batch_is_not_sent_again_until_it_changes(lab: Lab) -> None:
    lab.spec(SPEC.replace("min_poll_s: 0.05", "min_poll_s: 0.05, limits: {{lines: 60000}}"))
    lab.rows(50_001)
    done = lab.apply(code=4)
    assert "50,001 error" in done.stdout
    assert lab.results()[0]["error"]["code"]
    lab.apply(code=4)
    assert lab.server.creates() == 1


def test_another_address_is_another_origin(lab: Lab) -> None:
    lab.apply()
    lab.spec()
    path = lab.root / "specs/lab.yaml"
    path.write_text(path.read_text().replace("127.0.0.1", "localhost"))
    before = lab.server.asked()
    done = lab.apply(code=5)
    assert "runner state accept-origin lab" in done.stdout
    assert "runner retry answers specs/ --replace" in done.stdout
    assert lab.server.asked() == before
    assert lab.server.creates() == 1
    lab.run("state", "accept-origin", "lab")
    lab.apply()
    assert lab.server.creates() == 1


def test_replacing_answers_of_another_origin(lab: Lab) -> None:
    lab.apply()
    path = lab.root / "specs/lab.yaml"
    path.write_text(path.read_text().replace("127.0.0.1", "localhost"))
    lab.apply(code=5)
    lab.run("retry", "answers", "--replace")
    lab.apply()
    assert [len(ids) for ids in lab.server.sent()] == [10, 10]
    assert all("localhost" in row["origin"] for row in lab.results())


def test_a_wrong_key_sends_nothing_and_names_the_variable(lab: Lab) -> None:
    done = lab.apply(code=1, LAB_KEY="wrong")
    assert "LAB_KEY" in done.stderr
    assert lab.server.creates() == 0
    lab.apply()
    assert lab.server.creates() == 1


def test_read_only_lets_nothing_out(lab: Lab) -> None:
    lab.apply(code=None, RUNNER_READONLY="1")
    assert lab.server.creates() == 0


def test_a_full_queue_is_waited_for_with_the_same_upload(lab: Lab) -> None:
    lab.spec(SPEC.replace("min_poll_s: 0.05", "min_poll_s: 0.05, defer_s: 0.2, limits: {{lines: 5}}"))
    lab.server.fault(hold=0.0)
    lab.apply("--no-wait", code=3)
    until(lambda: {batch["status"] for batch in lab.server.batches()} == {"in_progress"})
    lab.rows({f"m{n}": f"more {n}" for n in range(10)})
    lab.server.fault(enqueued_tokens=1)
    waiting = lab.start("apply", "specs/", "-y")
    until(lambda: any(batch["status"] == "failed" for batch in lab.server.batches()))
    lab.server.fault(enqueued_tokens=None, hold=None)
    waiting.communicate(timeout=60)
    assert waiting.returncode == 0
    assert all(row["error"] is None for row in lab.results())
    done = [batch for batch in lab.server.batches() if batch["status"] == "completed"]
    refused = [batch for batch in lab.server.batches() if batch["status"] == "failed"]
    assert {batch["input_file_id"] for batch in refused} <= {batch["input_file_id"] for batch in done}
    assert len(done) == 4


def test_a_changed_key_stops_the_wait(lab: Lab) -> None:
    lab.server.fault(hold=0.0)
    lab.apply("--no-wait", code=3)
    done = lab.apply(code=1, LAB_KEY="wrong")
    assert "LAB_KEY" in done.stderr
    lab.server.fault(hold=None)
    lab.apply()
    assert lab.server.creates() == 1
