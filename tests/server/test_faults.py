"""The fault lab: each switch does what it says, and says so."""

from __future__ import annotations

import time

import httpx
import openai
import pytest

from runner.errors import UsageError
from runner.server.faults.switches import FAULTS, FaultSwitches, parsed
from tests.server.conftest import Lab, jsonl, line, lines

CHAT = "/v1/chat/completions"


def _create(lab: Lab, file_id: str) -> openai.types.Batch:
    return lab.client().batches.create(input_file_id=file_id, endpoint=CHAT, completion_window="24h")


def test_a_lost_create_reply_leaves_one_batch(lab: Lab) -> None:
    file_id = lab.upload(lines(1))
    lab.faults(lose_create_reply=1)
    with pytest.raises(openai.APIConnectionError):
        _create(lab, file_id)
    assert len(list(lab.client().batches.list())) == 1
    _create(lab, file_id)
    assert lab.log()["batches_created"] == 2


def test_a_lost_upload_reply_leaves_one_file(lab: Lab) -> None:
    lab.faults(lose_upload_reply=1)
    with pytest.raises(openai.APIConnectionError):
        lab.upload(lines(2_000))
    assert len(list(lab.client().files.list())) == 1
    assert lab.log()["files_created"] == 1


def test_failing_before_and_after_the_effect(lab: Lab) -> None:
    file_id = lab.upload(lines(1))
    lab.faults(fail_before={"value": 1, "route": "POST /v1/batches"})
    lab.client().batches.list()
    with pytest.raises(openai.InternalServerError):
        _create(lab, file_id)
    assert list(lab.client().batches.list()) == []
    lab.faults(fail_after={"value": 1, "route": "POST /v1/batches", "status": 503})
    with pytest.raises(openai.InternalServerError):
        _create(lab, file_id)
    assert len(list(lab.client().batches.list())) == 1


def test_dropping_before_the_effect(lab: Lab) -> None:
    file_id = lab.upload(lines(1))
    lab.faults(drop={"value": 1, "route": "POST /v1/batches"})
    with pytest.raises(openai.APIConnectionError):
        _create(lab, file_id)
    assert lab.log()["batches_created"] == 0


def test_rate_limits_say_how_long_to_wait(lab: Lab) -> None:
    lab.faults(rate_limit={"value": 2, "retry_after": 0.25})
    with lab.http() as http:
        for _ in range(2):
            answer = http.get("/v1/batches")
            assert answer.status_code == 429
            assert (answer.headers["retry-after"], answer.headers["retry-after-ms"]) == ("1", "250")
            assert answer.json()["error"]["code"] == "rate_limit_exceeded"
        assert http.get("/v1/batches").status_code == 200


def test_a_cut_download_promises_more_than_it_gives(lab: Lab) -> None:
    content = b"0123456789" * 100_000
    file_id = lab.upload(content)
    lab.faults(truncate_download={"value": 1, "at": 0.3})
    with lab.http() as http:
        read = b""
        with (
            pytest.raises(httpx.RemoteProtocolError),
            http.stream("GET", f"/v1/files/{file_id}/content") as response,
        ):
            assert response.headers["content-length"] == str(len(content))
            for chunk in response.iter_raw():
                read += chunk
        assert read == content[:300_000]
        assert http.get(f"/v1/files/{file_id}/content").content == content


def test_slow_answers_are_slow(lab: Lab) -> None:
    lab.faults(slow={"value": 0.2, "route": "GET /v1/batches"})
    with lab.http() as http:
        began = time.monotonic()
        http.get("/v1/batches")
        assert time.monotonic() - began >= 0.2


def test_output_ids_come_late(lab: Lab) -> None:
    lab.faults(late_output_id=2)
    made = lab.submit(lines(1))
    batch = lab.wait(made.id)
    assert batch.output_file_id is None and batch.request_counts.completed == 1
    assert lab.client().batches.retrieve(made.id).output_file_id is None
    assert lab.client().batches.retrieve(made.id).output_file_id


def test_absent_ids_can_be_empty_strings(lab: Lab) -> None:
    lab.faults(empty_string_ids=True)
    assert lab.wait(lab.submit(lines(1)).id).error_file_id == ""


def test_lists_without_has_more(lab: Lab) -> None:
    lab.submit(lines(1))
    lab.faults(no_has_more=True)
    with lab.http() as http:
        assert "has_more" not in http.get("/v1/batches").json()
    assert len(list(lab.client().batches.list())) == 1


def test_a_file_can_be_invisible_for_a_while(lab: Lab) -> None:
    lab.faults(file_invisible=1)
    file_id = lab.upload(lines(1))
    first = lab.wait(_create(lab, file_id).id)
    assert (first.errors.data[0].code, first.errors.data[0].param) == ("invalid_request", "file_id")
    assert lab.wait(_create(lab, file_id).id).status == "completed"


def test_the_queue_quota_is_freed_when_batches_end(lab: Lab) -> None:
    lab.faults(enqueued_tokens=60, hold=True)
    first = lab.submit(lines(1))
    lab.wait(first.id, "in_progress")
    second = lab.wait(lab.submit(lines(1)).id)
    assert second.errors.data[0].code == "token_limit_exceeded"
    assert second.errors.data[0].message.startswith("Enqueued token limit reached for echo in organization")
    lab.faults(hold=None)
    lab.wait(first.id)
    assert lab.wait(lab.submit(lines(1)).id).status == "completed"


def test_an_unknown_file_can_be_refused_at_once(lab: Lab) -> None:
    lab.faults(strict_file=True)
    with pytest.raises(openai.NotFoundError):
        _create(lab, "file-nope")


def test_rows_fail_the_same_way_each_time(lab: Lab) -> None:
    lab.faults(row_error={"value": 0.3, "status": 429})
    first, second = (lab.wait(lab.submit(lines(200)).id) for _ in range(2))
    failed = [{row["custom_id"] for row in lab.rows(batch.error_file_id)} for batch in (first, second)]
    assert failed[0] == failed[1] and 30 < len(failed[0]) < 90


def test_lines_can_be_doubled_or_missing(lab: Lab) -> None:
    lab.faults(duplicate_lines=2, missing_lines=1)
    batch = lab.wait(lab.submit(lines(6)).id)
    names = [row["custom_id"] for row in lab.rows(batch.output_file_id)]
    assert len(names) == 7 and len(set(names)) == 5 and batch.request_counts.completed == 6


def test_answers_can_hold_odd_line_ends(lab: Lab) -> None:
    lab.faults(unicode=True)
    batch = lab.wait(lab.submit(lines(2)).id)
    content = lab.client().files.content(batch.output_file_id).content
    assert "\u2028\u2029\u0085".encode() in content and content.count(b"\n") == 2
    said = [row["response"]["body"]["choices"][0]["message"]["content"] for row in lab.rows(batch.output_file_id)]
    assert all(text.startswith("\u2028\u2029\u0085\x0cecho: question") for text in said)


def test_an_unknown_status_is_shown_for_a_few_looks(lab: Lab) -> None:
    made = lab.submit(lines(1))
    lab.wait(made.id)
    lab.faults(unknown_status={"value": 1, "word": "odd"})
    assert [lab.client().batches.retrieve(made.id).status for _ in range(2)] == ["odd", "completed"]


def test_a_new_batch_can_be_missing_from_the_list(lab: Lab) -> None:
    lab.faults(list_lag=60)
    made = lab.submit(lines(1))
    assert list(lab.client().batches.list()) == []
    lab.faults(list_lag=0)
    assert [batch.id for batch in lab.client().batches.list()] == [made.id]


def test_stuck_batches_move_on_when_let_go(lab: Lab) -> None:
    lab.faults(stuck_validating=True)
    made = lab.submit(lines(1))
    time.sleep(0.3)
    assert lab.client().batches.retrieve(made.id).status == "validating"
    lab.faults(stuck_validating=None)
    assert lab.wait(made.id).status == "completed"


def test_rows_can_take_their_time_and_counts_grow(lab: Lab) -> None:
    lab.faults(row_delay=0.02)
    made = lab.submit(lines(40))
    seen = lab.wait_for(made.id, lambda batch: batch.request_counts.completed > 0)
    assert seen.request_counts.completed < 40 and seen.output_file_id is None
    lab.faults(row_delay=None)
    assert lab.wait(made.id).request_counts.completed == 40


def test_the_log_counts_requests_by_route(lab: Lab) -> None:
    batch = lab.wait(lab.submit(jsonl([line("a"), line("b")])).id)
    lab.client().files.content(batch.output_file_id)
    log = lab.log()
    assert log["requests"]["POST /v1/files"] == 1 and log["requests"]["POST /v1/batches"] == 1
    assert log["requests"]["GET /v1/files/{id}/content"] == 1
    assert (log["batches_created"], log["files_created"], log["rows_asked"]) == (1, 1, 2)


def test_faults_are_shown_and_wrong_ones_refused(lab: Lab) -> None:
    lab.faults(drop={"value": 2, "route": "POST /nowhere"})
    with lab.http() as http:
        shown = http.get("/_faults").json()
        assert shown["faults"] == {"drop": {"value": 2.0, "route": "POST /nowhere", "share": 1.0}}
        assert set(shown["known"]) == set(FAULTS)
        refused = http.put("/_faults", json={"slow": 1, "nonsense": 1})
        assert refused.status_code == 400 and "nonsense" in refused.json()["error"]["message"]
        assert set(http.get("/_faults").json()["faults"]) == {"drop"}


@pytest.mark.parametrize(
    ("word", "name", "value", "options"),
    [
        ("drop", "drop", 1, {"route": "*", "share": 1.0}),
        ("drop=3", "drop", 3, {"route": "*", "share": 1.0}),
        (
            "rate_limit=3,retry_after=0.5,route=POST /v1/*",
            "rate_limit",
            3,
            {"route": "POST /v1/*", "share": 1.0, "retry_after": 0.5, "code": "rate_limit_exceeded"},
        ),
        ("hold", "hold", 0, {}),
        ("hold=0.5", "hold", 0.5, {}),
        ("expire_at=0,count=2", "expire_at", 0, {"count": 2}),
        ("row_error=0.1,status=429", "row_error", 0.1, {"status": 429, "match": ""}),
        ("row_error,match=a b", "row_error", 0, {"status": 500, "match": "a b"}),
    ],
)
def test_words_on_the_command_line(word: str, name: str, value: float, options: dict[str, object]) -> None:
    setting = FaultSwitches([word]).get(name)
    assert setting is not None and setting.value == value and setting.options == options


def test_wrong_words_are_refused() -> None:
    for word in ("nonsense=1", "drop=many", "drop=1,at=2", "slow=-1"):
        with pytest.raises(UsageError):
            FaultSwitches([word])
    assert FaultSwitches(["drop=0"]).get("drop") is None
    assert parsed("slow=2,route=GET *") == ("slow", {"value": 2, "route": "GET *"})
