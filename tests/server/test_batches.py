"""`/v1/batches`: every state, every file, every error the contract names."""

from __future__ import annotations

from typing import Any

import openai
import pytest

from runner.clock import FastClock
from tests.server.conftest import Lab, jsonl, line, lines

CHAT = "/v1/chat/completions"


def test_all_good_has_an_output_and_no_error_file(lab: Lab) -> None:
    made = lab.submit(lines(5), metadata={"runner_key": "k"})
    assert made.status == "validating" and made.id.startswith("batch_") and len(made.id) == 38
    assert made.expires_at == made.created_at + 86_400
    assert (made.output_file_id, made.error_file_id, made.errors) == (None, None, None)
    batch = lab.wait(made.id)
    assert batch.status == "completed" and batch.metadata == {"runner_key": "k"} and batch.model == "echo"
    counts = batch.request_counts
    assert (counts.total, counts.completed, counts.failed) == (5, 5, 0)
    assert batch.created_at <= batch.in_progress_at <= batch.finalizing_at <= batch.completed_at
    assert batch.error_file_id is None and batch.failed_at is None
    assert batch.usage.output_tokens > 0
    rows = lab.rows(batch.output_file_id)
    assert {row["custom_id"] for row in rows} == {f"row-{n}" for n in range(5)}
    assert [row["custom_id"] for row in rows] != [f"row-{n}" for n in range(5)]
    for row in rows:
        assert set(row) == {"id", "custom_id", "response", "error"} and row["error"] is None
        assert row["id"].startswith("batch_req_") and len(row["id"]) == 34
        assert row["response"]["status_code"] == 200 and len(row["response"]["request_id"]) == 28
        number = row["custom_id"].removeprefix("row-")
        assert row["response"]["body"]["choices"][0]["message"]["content"] == f"echo: question {number}"
        assert row["response"]["body"]["system_fingerprint"] == "synthetic-echo"
    file = lab.client().files.retrieve(batch.output_file_id)
    assert (file.purpose, file.filename) == ("batch_output", f"{batch.id}_output.jsonl")
    assert file.expires_at is None


def test_mixed_has_both_files_and_http_errors_have_no_error(lab: Lab) -> None:
    lab.faults(row_error={"value": 0, "match": "bad", "status": 400})
    made = lab.submit(jsonl([line("good-1"), line("bad-1"), line("good-2")]))
    batch = lab.wait(made.id)
    assert batch.status == "completed" and batch.request_counts.completed == 2 and batch.request_counts.failed == 1
    assert {row["custom_id"] for row in lab.rows(batch.output_file_id)} == {"good-1", "good-2"}
    (row,) = lab.rows(batch.error_file_id)
    assert row["error"] is None and row["response"]["status_code"] == 400
    assert set(row["response"]["body"]["error"]) == {"message", "type", "param", "code"}


def test_all_failed_is_completed_without_an_output(lab: Lab) -> None:
    batch = lab.wait(lab.submit(lines(3, model="nobody")).id)
    assert batch.status == "completed" and batch.output_file_id is None
    assert (batch.request_counts.completed, batch.request_counts.failed) == (0, 3)
    errors = [row["response"] for row in lab.rows(batch.error_file_id)]
    assert [error["status_code"] for error in errors] == [404] * 3
    assert errors[0]["body"]["error"]["code"] == "model_not_found"


def test_a_row_that_never_got_an_answer_has_no_response(lab: Lab) -> None:
    lab.faults(row_error={"match": "slow", "status": 0})
    batch = lab.wait(lab.submit(jsonl([line("slow-1"), line("ok")])).id)
    (row,) = lab.rows(batch.error_file_id)
    assert row["response"] is None and row["error"]["code"] == "request_timeout"


BAD_LINES: list[tuple[bytes, str, str | None, int | None]] = [
    (b"", "empty_file", None, None),
    (b"{not json}\n", "invalid_json_line", None, 1),
    (b"\n" + jsonl([line("a")]), "invalid_json_line", None, 1),
    (jsonl([line("a")]) + b"\n" + jsonl([line("b")]), "invalid_json_line", None, 2),
    (b'"text"\n', "invalid_json_line", None, 1),
    (b"\xef\xbb\xbf" + jsonl([line("a")]), "invalid_json_line", None, 1),
    (jsonl([line("a")]).replace(b"hello", b"\xff"), "invalid_json_line", None, 1),
    (jsonl([line("a"), line("a")]), "duplicate_custom_id", "custom_id", 2),
    (jsonl([line("a"), line("b", model="other")]), "mismatched_model", "body.model", 2),
    (jsonl([{**line("a"), "url": "/v1/embeddings"}]), "url_mismatch", "url", 1),
    (jsonl([{**line("a"), "method": "GET"}]), "invalid_method", "method", 1),
    (jsonl([{"method": "POST", "url": CHAT, "body": {"model": "echo"}}]), "missing_required_parameter", "custom_id", 1),
    (jsonl([{**line("a"), "custom_id": 7}]), "missing_required_parameter", "custom_id", 1),
    (jsonl([{**line("a"), "body": {"messages": []}}]), "missing_required_parameter", "body.model", 1),
    (jsonl([{**line("a"), "body": None}]), "missing_required_parameter", "body", 1),
    (jsonl([line("a", stream=True)]), "invalid_request", "body.stream", 1),
]


@pytest.mark.parametrize(("content", "code", "param", "number"), BAD_LINES)
def test_bad_input_fails_the_whole_batch(
    lab: Lab, content: bytes, code: str, param: str | None, number: int | None
) -> None:
    batch = lab.wait(lab.submit(content).id)
    assert batch.status == "failed" and batch.failed_at
    assert (batch.output_file_id, batch.error_file_id) == (None, None)
    assert (batch.request_counts.total, batch.request_counts.completed, batch.request_counts.failed) == (0, 0, 0)
    problem = batch.errors.data[0]
    assert (problem.code, problem.param, problem.line) == (code, param, number)


def test_at_most_a_hundred_problems_are_shown(lab: Lab) -> None:
    batch = lab.wait(lab.submit(b"{\n" * 250).id)
    assert [one.line for one in batch.errors.data] == list(range(1, 101))


def test_fifty_thousand_lines_are_the_limit(lab: Lab) -> None:
    lab.faults(hold=True)
    one = b'{"custom_id":"%d","method":"POST","url":"/v1/chat/completions","body":{"model":"echo"}}\n'
    full = b"".join(one % n for n in range(50_000))
    assert lab.wait(lab.submit(full).id, "in_progress", "failed").request_counts.total == 50_000
    over = lab.wait(lab.submit(full + one % 50_000).id, "in_progress", "failed")
    assert over.errors.data[0].code == "too_many_tasks"


def test_embedding_inputs_are_counted_over_all_lines(lab: Lab) -> None:
    def embed(name: str, words: Any) -> dict[str, Any]:
        return {
            "custom_id": name,
            "method": "POST",
            "url": "/v1/embeddings",
            "body": {"model": "echo", "input": words},
        }

    many = lab.submit(jsonl([embed("a", ["x"] * 30_000), embed("b", ["x"] * 20_001)]), "/v1/embeddings")
    assert lab.wait(many.id).errors.data[0].code == "too_many_inputs"
    few = lab.wait(lab.submit(jsonl([embed("a", ["x", "y"]), embed("b", [1, 2, 3])]), "/v1/embeddings").id)
    rows = {row["custom_id"]: row["response"]["body"]["data"] for row in lab.rows(few.output_file_id)}
    assert [len(rows["a"]), len(rows["b"])] == [2, 1]


def test_an_unknown_file_is_judged_later(lab: Lab) -> None:
    made = lab.client().batches.create(input_file_id="file-nope", endpoint=CHAT, completion_window="24h")
    assert made.status == "validating"
    batch = lab.wait(made.id)
    assert (batch.errors.data[0].code, batch.errors.data[0].param) == ("invalid_request", "file_id")


@pytest.mark.parametrize(
    ("change", "param"),
    [
        ({"input_file_id": None}, "input_file_id"),
        ({"input_file_id": 7}, "input_file_id"),
        ({"endpoint": "/v1/audio/transcriptions"}, "endpoint"),
        ({"endpoint": None}, "endpoint"),
        ({"completion_window": "12h"}, "completion_window"),
        ({"metadata": {f"k{n}": "v" for n in range(17)}}, "metadata"),
        ({"metadata": {"k" * 65: "v"}}, "metadata"),
        ({"metadata": {"k": "v" * 513}}, "metadata.k"),
        ({"metadata": {"k": 7}}, "metadata.k"),
        ({"metadata": ["k"]}, "metadata"),
        ({"output_expires_after": {"anchor": "created_at", "seconds": 60}}, "output_expires_after.seconds"),
        ({"output_expires_after": {"anchor": "now", "seconds": 3600}}, "output_expires_after.anchor"),
    ],
)
def test_wrong_parameters_are_refused_at_once(lab: Lab, change: dict[str, Any], param: str) -> None:
    body = {"input_file_id": "file-x", "endpoint": CHAT, "completion_window": "24h", **change}
    with lab.http() as http:
        answer = http.post("/v1/batches", json=body)
        assert answer.status_code == 400 and answer.json()["error"]["param"] == param, answer.text
        assert http.get("/v1/batches").json()["data"] == []
        assert http.post("/v1/batches", content=b"{").status_code == 400
        assert http.post("/v1/batches", content=b"[]").status_code == 400


def test_metadata_at_its_limits_is_kept(lab: Lab) -> None:
    metadata = {f"{n:064d}": "v" * 512 for n in range(16)}
    assert lab.submit(lines(1), metadata=metadata).metadata == metadata


def test_batches_list_newest_first_and_page_by_themselves(lab: Lab) -> None:
    made = [lab.submit(lines(1)).id for _ in range(5)]
    assert [batch.id for batch in lab.client().batches.list(limit=2)] == made[::-1]


def test_an_unknown_batch_is_not_found(lab: Lab) -> None:
    for verb in (lab.client().batches.retrieve, lab.client().batches.cancel):
        with pytest.raises(openai.NotFoundError):
            verb("batch_nope")


def test_cancel_keeps_what_is_done_and_counts_no_more(lab: Lab) -> None:
    lab.faults(hold=0.5)
    made = lab.submit(lines(8))
    lab.wait_for(made.id, lambda batch: batch.request_counts.completed == 4)
    lab.faults(stuck_cancelling=True)
    assert lab.client().batches.cancel(made.id).status == "cancelling"
    assert lab.client().batches.cancel(made.id).status == "cancelling"
    lab.faults(stuck_cancelling=False)
    batch = lab.wait(made.id)
    assert batch.status == "cancelled" and batch.cancelling_at <= batch.cancelled_at
    counts = batch.request_counts
    assert (counts.total, counts.completed, counts.failed) == (8, 4, 0)
    assert len(lab.rows(batch.output_file_id)) == 4
    errors = lab.rows(batch.error_file_id)
    assert len(errors) == 4 and {row["error"]["code"] for row in errors} == {"batch_cancelled"}
    assert all(row["response"] is None for row in errors)
    assert lab.client().batches.cancel(made.id).status == "cancelled"


def test_a_batch_cancelled_while_validating_has_no_files(lab: Lab) -> None:
    lab.faults(stuck_validating=True)
    made = lab.submit(lines(2))
    lab.client().batches.cancel(made.id)
    batch = lab.wait(made.id)
    assert batch.status == "cancelled" and batch.output_file_id is None and batch.error_file_id is None


def test_cancelling_what_has_ended_is_a_conflict(lab: Lab) -> None:
    done = lab.wait(lab.submit(lines(1)).id)
    with pytest.raises(openai.ConflictError) as caught:
        lab.client().batches.cancel(done.id)
    assert "Cannot cancel a batch with status 'completed'" in caught.value.message
    assert (caught.value.type, caught.value.code) == ("invalid_request_error", None)
    failed = lab.wait(lab.submit(b"{").id)
    with pytest.raises(openai.ConflictError):
        lab.client().batches.cancel(failed.id)


def test_an_expired_batch_keeps_its_partial_results(lab: Lab) -> None:
    lab.faults(expire_at=0.25)
    batch = lab.wait(lab.submit(lines(8)).id)
    assert batch.status == "expired" and batch.expired_at
    assert len(lab.rows(batch.output_file_id)) == 2
    errors = lab.rows(batch.error_file_id)
    assert len(errors) == 6 and {row["error"]["code"] for row in errors} == {"batch_expired"}
    assert lab.wait(lab.submit(lines(8)).id).status == "completed"


def test_a_batch_that_expired_unstarted_has_only_errors(lab: Lab) -> None:
    lab.faults(expire_at=0)
    batch = lab.wait(lab.submit(lines(3)).id)
    assert batch.status == "expired" and batch.output_file_id is None
    assert len(lab.rows(batch.error_file_id)) == 3


def test_the_input_may_be_deleted_while_the_batch_runs(lab: Lab) -> None:
    lab.faults(hold=0.5)
    made = lab.submit(lines(4))
    lab.wait_for(made.id, lambda batch: batch.request_counts.completed == 2)
    lab.client().files.delete(made.input_file_id)
    lab.faults(hold=None)
    assert len(lab.rows(lab.wait(made.id).output_file_id)) == 4


def test_time_limits_follow_the_clock(tmp_path: Any) -> None:
    from tests.server.conftest import begin

    clock = FastClock()
    lab = begin(tmp_path / "home", clock)
    try:
        lab.faults(hold=0.5)
        made = lab.submit(lines(4), output_expires_after={"anchor": "created_at", "seconds": 3600})
        lab.wait_for(made.id, lambda batch: batch.request_counts.completed == 2)
        clock.sleep(86_399)
        assert lab.client().batches.retrieve(made.id).status == "in_progress"
        clock.sleep(1)
        batch = lab.wait(made.id)
        assert batch.status == "expired"
        file = lab.client().files.retrieve(batch.output_file_id)
        assert file.expires_at == file.created_at + 3600
        clock.sleep(3600)
        with pytest.raises(openai.NotFoundError):
            lab.client().files.content(batch.output_file_id)
        assert [f.id for f in lab.client().files.list()] == [made.input_file_id]
    finally:
        lab.stop()


def test_models_are_listed(lab: Lab) -> None:
    assert {model.id for model in lab.client().models.list()} == {"echo", "pocketsphinx", "smollm2-135m"}
    assert lab.client().models.retrieve("echo").owned_by == "runner"
    with pytest.raises(openai.NotFoundError):
        lab.client().models.retrieve("gpt")


def test_the_sdk_reads_error_bodies(lab: Lab) -> None:
    with pytest.raises(openai.BadRequestError) as caught:
        lab.client().batches.create(input_file_id="f", endpoint=CHAT, completion_window="1h")  # type: ignore[arg-type]
    assert caught.value.param == "completion_window"
    assert caught.value.request_id and caught.value.request_id.startswith("req_")
