"""Jobs: one create, adopted on doubt; seen in our words; continued; stopped without throwing results away."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import msgspec
import pytest
from msgspec.structs import replace

from runner.clock import FastClock
from runner.errors import NotFound, OutcomeUnknown, RateLimited, Refused, RemoteError
from runner.job.observed import Counts, Failure, FailureKind, Found, Observed, Phase, ResultFile
from runner.remotes.fireworks import wire
from runner.remotes.fireworks.creates import mirrored
from runner.remotes.fireworks.names import ids_of
from runner.remotes.fireworks.provider import FireworksProvider
from runner.remotes.fireworks.stalls import stall_of
from runner.remotes.vendor import Submission, Uploaded
from tests.remotes.fireworks_jobs.fake import ACCOUNT, Fake, job_named
from tests.remotes.fireworks_jobs.made import IDS, MODEL, ROWS, SENT, Opener, sent_body

NOW = datetime(2031, 2, 3, 12, tzinfo=UTC)
UPLOAD = Uploaded(IDS.input_dataset_id, len(ROWS))
JOB = IDS.job_id
NAMES = f"accounts/{ACCOUNT}"
OK = b'{"custom_id":"a","response":{}}\n'
ERROR = b'{"custom_id":"b","error":{"code":400}}\n'


def attempt(number: int, parent: str = "") -> Submission:
    name = SENT.name.removesuffix("1") + str(number)
    return replace(SENT, name=name, continued_from=parent)


# -- create


def test_a_create_says_everything_once(fake: Fake, provider: FireworksProvider) -> None:
    params = {"max_tokens": 64, "temperature": 0.0, "top_p": 1, "stop": ["#"], "n": 2.0, "top_k": "40"}
    options = {"precision": "FP8", "placement": {"region": "US"}}
    given = replace(SENT, params=params, options=options, window_hours=12, system_prompt="Be brief.")
    seen = provider.submit(given, UPLOAD)
    assert sent_body(fake) == {
        "model": MODEL,
        "inputDatasetId": f"{NAMES}/datasets/{IDS.input_dataset_id}",
        "outputDatasetId": f"{NAMES}/datasets/{IDS.output_dataset_id}",
        "maxJobDuration": "43200s",
        "displayName": "capitals/capitals:model=llama #0",
        "inferenceParameters": {"maxTokens": 64, "temperature": 0.0, "topP": 1, "n": 2},
        "systemPrompt": "Be brief.",
        "precision": "FP8",
        "placement": {"region": "US"},
    }
    assert fake.calls[-1].query == {"batchInferenceJobId": JOB}
    assert (seen.remote_id, seen.phase, seen.window_hours) == (JOB, Phase.VALIDATING, 12)
    assert seen.input_ref == UPLOAD.ref


def test_parameters_are_mirrored_only_with_equal_values() -> None:
    assert mirrored({"max_tokens": 1.5, "n": True, "temperature": None, "top_k": 40.0}) == {"topK": 40}


@pytest.mark.parametrize(
    "wrong", [{"endpoint": "/v1/responses"}, {"options": {"systemPrompt": "x"}}, {"endpoint": "/v1/embeddings"}]
)
def test_what_the_remote_cannot_do_is_not_sent(wrong: dict[str, Any], fake: Fake, provider: FireworksProvider) -> None:
    with pytest.raises(Refused):
        provider.submit(replace(SENT, **wrong), UPLOAD)
    with pytest.raises(Refused):
        provider.submit(SENT, None)
    assert fake.calls == []


@pytest.mark.parametrize("fault", ["lose", "late"])
def test_a_create_whose_reply_was_lost_is_found(fault: str, fake: Fake, provider: FireworksProvider) -> None:
    fake.faults["POST /batchInferenceJobs"] = [fault]
    assert provider.submit(SENT, UPLOAD).remote_id == JOB
    assert fake.count("POST /batchInferenceJobs") == 1
    assert len(fake.jobs) == 1


@pytest.mark.parametrize("fault", ["drop", "503", "409"])
def test_a_create_that_left_nothing_is_unknown_and_sent_once(
    fault: str, fake: Fake, provider: FireworksProvider
) -> None:
    fake.faults["POST /batchInferenceJobs"] = [fault]
    with pytest.raises(OutcomeUnknown):
        provider.submit(SENT, UPLOAD)
    assert fake.count("POST /batchInferenceJobs") == 1
    assert provider.submit(SENT, UPLOAD).remote_id == JOB


def test_a_create_that_nobody_can_look_for_is_unknown(fake: Fake, provider: FireworksProvider) -> None:
    fake.faults["POST /batchInferenceJobs"] = ["lose"]
    fake.faults["GET /batchInferenceJobs/*"] = ["403"]
    with pytest.raises(OutcomeUnknown, match="not known whether"):
        provider.submit(SENT, UPLOAD)


def test_a_rate_limit_is_waited_for_and_then_told(fake: Fake, provider: FireworksProvider) -> None:
    fake.faults["POST /batchInferenceJobs"] = ["429"]
    assert provider.submit(SENT, UPLOAD).remote_id == JOB
    fake.faults["POST /batchInferenceJobs"] = ["429"] * 9
    with pytest.raises(RateLimited):
        provider.submit(attempt(2), UPLOAD)


def test_the_same_job_is_adopted(fake: Fake, provider: FireworksProvider) -> None:
    provider.submit(SENT, UPLOAD)
    assert provider.submit(replace(SENT, window_hours=72), UPLOAD).window_hours == 24


@pytest.mark.parametrize("other", [{"model": "accounts/x/models/y"}, {"inputDatasetId": f"{NAMES}/datasets/other"}])
def test_other_work_under_our_id_is_a_conflict(other: dict[str, str], fake: Fake, provider: FireworksProvider) -> None:
    fake.jobs[JOB] = job_named(JOB, **other)
    with pytest.raises(Refused) as caught:
        provider.submit(SENT, UPLOAD)
    assert caught.value.code == "conflict"
    assert next(iter(other.values())).rpartition("datasets/")[2] in caught.value.message
    assert "wanted" in caught.value.message


def test_a_bare_model_name_may_come_back_in_full(fake: Fake, provider: FireworksProvider) -> None:
    fake.jobs[JOB] = job_named(JOB)
    assert provider.submit(replace(SENT, model="small-chat"), UPLOAD).remote_id == JOB


def test_a_server_without_windows_is_told_about(fake: Fake, provider: FireworksProvider) -> None:
    fake.knows_windows = False
    with pytest.raises(Refused, match="window: 72h"):
        provider.submit(replace(SENT, window_hours=72), UPLOAD)
    assert fake.jobs == {}
    provider.submit(SENT, UPLOAD)
    assert "maxJobDuration" not in sent_body(fake)


def test_two_appliers_at_once_make_one_job(fake: Fake, opened: Opener, source: Path) -> None:
    fake.looks_until_ready = 2

    def work(provider: FireworksProvider) -> str:
        return provider.submit(SENT, provider.upload(source, SENT)).remote_id

    with ThreadPoolExecutor(4) as pool:
        assert set(pool.map(work, [opened() for _ in range(4)])) == {JOB}
    assert (list(fake.jobs), list(fake.datasets)) == ([JOB], [IDS.input_dataset_id])
    assert fake.stored[IDS.input_dataset_id] == {f"{SENT.name}.jsonl": ROWS}


def test_an_earlier_create_is_found_by_its_submission(fake: Fake, provider: FireworksProvider) -> None:
    assert provider.find(SENT, "", NOW) == Found()
    provider.submit(SENT, UPLOAD)
    assert [found.remote_id for found in provider.find(SENT, "", NOW).ours] == [JOB]
    with pytest.raises(Refused) as caught:
        provider.find(replace(SENT, model="accounts/x/models/y"), "", NOW)
    assert caught.value.code == "conflict"
    fake.end(JOB, "RUNNING", ok=OK)
    del fake.jobs[JOB]
    [left] = provider.find(SENT, "", NOW).ours
    assert left.phase is Phase.CANCELLED
    assert len(left.result_files) == 2


def test_a_list_of_everything_has_what_deleted_jobs_left(fake: Fake, provider: FireworksProvider) -> None:
    provider.submit(SENT, UPLOAD)
    fake.end(JOB, "RUNNING", ok=OK)
    del fake.jobs[JOB]
    [left] = provider.batches()
    assert (left.remote_id, left.phase, left.input_ref) == (JOB, Phase.CANCELLED, IDS.input_dataset_id)
    assert list(provider.batches(NOW)) == []


# -- look


@pytest.mark.parametrize(
    ("state", "phase"),
    [
        ("JOB_STATE_VALIDATING", Phase.VALIDATING),
        ("PENDING", Phase.VALIDATING),
        ("JOB_STATE_RUNNING", Phase.RUNNING),
        ("JOB_STATE_PAUSED", Phase.RUNNING),
        ("JOB_STATE_WRITING_RESULTS", Phase.FINALIZING),
        ("JOB_STATE_EXPIRED_CLEANING_UP", Phase.FINALIZING),
        ("JOB_STATE_COMPLETED", Phase.COMPLETED),
        ("JOB_STATE_EARLY_STOPPED", Phase.EXPIRED),
        ("JOB_STATE_FAILED", Phase.FAILED),
        ("JOB_STATE_DELETING_CLEANING_UP", Phase.CANCELLING),
        ("JOB_STATE_ARCHIVED", Phase.CANCELLED),
        ("JOB_STATE_UNSPECIFIED", Phase.UNKNOWN),
        ("JOB_STATE_ROLLOUT", Phase.UNKNOWN),
        ("", Phase.UNKNOWN),
    ],
)
def test_states(state: str, phase: Phase) -> None:
    assert wire.phase_of(state) is phase


def test_a_job_that_runs(fake: Fake, provider: FireworksProvider) -> None:
    progress = {"totalInputRequests": 2, "totalProcessedRequests": 3, "successfullyProcessedRequests": 1}
    fake.jobs[JOB] = job_named(
        JOB, state="JOB_STATE_RUNNING", waitingOnCapacity=True, jobProgress=progress, displayName="capitals/c #2"
    )
    seen = provider.look(JOB)
    assert seen.raw_status == "RUNNING (waiting on capacity)"
    assert seen.counts == Counts(3, 1, 0)
    assert seen.created_at == datetime(2031, 2, 3, 4, 6, 0, 1, UTC)
    assert (seen.ended_at, seen.window_hours, seen.result_files) == (None, None, ())
    assert seen.label == {
        "runner_project": "capitals",
        "runner_set": "0123456789abcdef",
        "runner_attempt": "1",
        "runner_job": "c",
        "runner_generation": "2",
        "runner_rows": "2",
    }


def test_a_job_that_ended_has_its_files_and_tokens(fake: Fake, provider: FireworksProvider) -> None:
    provider.submit(SENT, UPLOAD)
    fake.end(JOB, ok=OK, error=ERROR)
    seen = provider.look(JOB)
    assert seen.result_files == (
        ResultFile(f"{IDS.output_dataset_id}/BIJOutputSet.jsonl", "output"),
        ResultFile(f"{IDS.output_dataset_id}/error-data", "error"),
    )
    assert (seen.phase, seen.counts) == (Phase.COMPLETED, Counts(3, 1, 1))
    assert (seen.input_tokens, seen.output_tokens) == (40, 3)
    assert seen.ended_at == datetime(2031, 2, 3, 4, 14, tzinfo=UTC)
    assert seen.results_are_final
    provider.look(JOB)
    assert fake.count("GET /datasets/*:getDownloadEndpoint") == 1


def test_a_job_refused_in_validation_says_why(fake: Fake, provider: FireworksProvider) -> None:
    status = {"code": "INVALID_ARGUMENT", "message": "Dataset has a syntax error: invalid role robot"}
    fake.jobs[JOB] = job_named(JOB, state="JOB_STATE_FAILED", status=status)
    seen = provider.look(JOB)
    assert seen.failure == Failure(FailureKind.BAD_INPUT, "INVALID_ARGUMENT", status["message"])
    assert (seen.result_files, seen.results_are_final) == ((), True)


@pytest.mark.parametrize(
    ("code", "message", "kind"),
    [
        ("FAILED_PRECONDITION", "", FailureKind.BAD_INPUT),
        ("RESOURCE_EXHAUSTED", "", FailureKind.OTHER),
        ("INTERNAL", "oops", FailureKind.OTHER),
        ("OK", "", FailureKind.OTHER),
    ],
)
def test_failures(code: str, message: str, kind: FailureKind) -> None:
    found = wire.failure_in({"code": code, "message": message})
    assert found.kind is kind
    assert found.message


def test_output_that_is_late_is_waited_for_and_output_that_is_gone_is_told(fake: Fake, opened: Opener) -> None:
    clock = FastClock(datetime(2031, 2, 3, 4, 15, tzinfo=UTC))
    provider = opened(clock)
    provider.submit(SENT, UPLOAD)
    fake.end(JOB, ok=OK)
    del fake.datasets[IDS.output_dataset_id]
    assert not provider.look(JOB).results_are_final
    clock.sleep(3600)
    with pytest.raises(NotFound, match="not there any more"):
        provider.look(JOB)
    assert list(provider.batches()) == []


def test_a_look_that_fails_is_not_an_absence(fake: Fake, provider: FireworksProvider) -> None:
    provider.submit(SENT, UPLOAD)
    for status in ("500", "503"):
        fake.faults["GET /batchInferenceJobs/*"] = [status] * 5
        with pytest.raises(OutcomeUnknown):
            provider.look(JOB)
    with pytest.raises(NotFound):
        provider.look("nobody")


@pytest.mark.parametrize("answer", [[], "x", {}, {"name": ""}, {"name": 3}])
def test_an_unreadable_job_is_unknown(answer: Any, fake: Fake, provider: FireworksProvider) -> None:
    fake.hooks["GET /batchInferenceJobs/*"] = lambda call: (200, answer, {})
    with pytest.raises(OutcomeUnknown):
        provider.look(JOB)


@pytest.mark.parametrize("count", [-5, "-5", 10**30, 10**400, "9" * 5000, 1e300, True, "²", [7]])
def test_counts_that_nobody_can_have(count: Any) -> None:
    progress = dict.fromkeys(("totalInputRequests", "successfullyProcessedRequests", "inputTokens"), count)
    found = wire.observed_of(job_named(JOB, state="JOB_STATE_RUNNING", jobProgress=progress))
    assert (found.counts, found.input_tokens) == (Counts(), None)
    assert msgspec.json.decode(msgspec.json.encode(found), type=Observed) == found


@pytest.mark.parametrize(
    ("job", "hours"),
    [
        ({"maxJobDuration": "259200s"}, 72),
        ({"maxJobDuration": "12h"}, 12),
        ({"maxJobDuration": None, "createTime": "2031-02-03T00:00:00Z", "expireTime": "2031-02-05T00:00:00Z"}, 48),
        ({"maxJobDuration": "soon"}, None),
        ({"maxJobDuration": "²s"}, None),
        ({"maxJobDuration": "9" * 5000 + "s"}, None),
        ({"maxJobDuration": "9" * 15 + "s"}, None),  # no calendar reaches that far
        ({"createTime": "0001-01-01T00:00:00+23:59", "expireTime": "9999-12-31T23:59:59-23:59"}, None),
    ],
)
def test_windows(job: dict[str, Any], hours: int | None) -> None:
    assert wire.hours_in(job) == hours


# -- stamps


@pytest.mark.parametrize(
    ("project", "job", "told"),
    [
        ("capitals", "answers:model=a/b", True),
        ("My.Project_1", "answers", True),
        ("capitals", "x" * 80, False),
        ("p" * 100, "answers", False),
    ],
)
def test_a_stamp_is_read_back_from_names(project: str, job: str, told: bool) -> None:
    stamp = {"runner_project": project, "runner_job": job, "runner_generation": "7"}
    ids = ids_of(f"runner-{project}-0123456789abcdef-3")
    raw = {"name": f"accounts/a/batchInferenceJobs/{ids.job_id}", "displayName": wire.display_name_of(stamp)}
    assert len(raw["displayName"]) < 64
    found = wire.label_in(raw)
    assert (found["runner_set"], found["runner_attempt"]) == ("0123456789abcdef", "3")
    assert found.get("runner_job") == (job if told else None)
    if len(project) < 50:
        assert (found["runner_project"], found["runner_generation"]) == (project, "7")
    else:
        assert "runner_project" not in found


def test_a_job_of_somebody_else_has_no_stamp() -> None:
    assert wire.label_in({"name": "accounts/a/batchInferenceJobs/nightly", "displayName": "capitals/x #0"}) == {}


# -- lists


def test_a_list_is_read_to_its_end_in_any_order(fake: Fake, provider: FireworksProvider) -> None:
    fake.page_size = 2
    for number in (3, 1, 4, 5, 2):
        fake.jobs[f"job-{number}"] = job_named(f"job-{number}", createTime=f"2031-02-0{number}T00:00:00Z")
    assert len(list(provider.batches())) == 5
    since = datetime(2031, 2, 3, tzinfo=UTC)
    assert [seen.remote_id for seen in provider.batches(since)] == ["job-3", "job-4", "job-5"]


def test_a_list_newest_first_is_left_early(fake: Fake, provider: FireworksProvider) -> None:
    fake.page_size = 2
    for number in (9, 8, 7, 6, 5, 4, 3, 2, 1):
        fake.jobs[f"job-{number}"] = job_named(f"job-{number}", createTime=f"2031-02-0{number}T00:00:00Z")
    assert [seen.remote_id for seen in provider.batches(datetime(2031, 2, 8, tzinfo=UTC))] == ["job-9", "job-8"]
    assert fake.count("GET /batchInferenceJobs") == 2


@pytest.mark.parametrize(
    "answer",
    [
        [],
        {"jobs": []},
        {"batchInferenceJobs": [1]},
        {"batchInferenceJobs": [], "nextPageToken": "again"},
        {"batchInferenceJobs": [], "nextPageToken": ["t"]},
    ],
)
def test_a_list_that_cannot_be_read_is_unknown(answer: Any, fake: Fake, provider: FireworksProvider) -> None:
    fake.hooks["GET /batchInferenceJobs"] = lambda call: (200, answer, {})
    with pytest.raises(OutcomeUnknown):
        list(provider.batches())


def test_only_jobs_of_ours_are_asked_for_their_files(fake: Fake, provider: FireworksProvider) -> None:
    provider.submit(SENT, UPLOAD)
    fake.end(JOB, ok=OK)
    fake.jobs["nightly"] = job_named("nightly", state="JOB_STATE_COMPLETED")
    found = {seen.remote_id: len(seen.result_files) for seen in provider.batches()}
    assert found == {JOB: 2, "nightly": 0}
    assert fake.count("GET /datasets/*:getDownloadEndpoint") == 1


# -- continuations


def grown(fake: Fake, provider: FireworksProvider, links: int = 3) -> list[str]:
    """A chain of jobs, oldest first, all ended."""
    jobs = [JOB]
    provider.submit(SENT, UPLOAD)
    fake.put_dataset(UPLOAD.ref, {"in.jsonl": ROWS})
    fake.end(JOB, "EXPIRED", ok=OK)
    for number in range(2, links + 1):
        seen = provider.submit(attempt(number, jobs[-1]), None)
        jobs.append(seen.remote_id)
        fake.end(jobs[-1], "EXPIRED", ok=OK)
    return jobs


def test_a_continuation_names_its_parent_and_no_input(fake: Fake, provider: FireworksProvider) -> None:
    first, second, third = grown(fake, provider)
    body = sent_body(fake)
    assert body["continuedFromJobName"] == f"{NAMES}/batchInferenceJobs/{second}"
    assert body["outputDatasetId"].endswith("-3-out")
    assert fake.jobs[third]["inputDatasetId"].endswith(UPLOAD.ref)  # the server's own; it was not sent
    seen = provider.look(third)
    assert seen.continued_from == second
    assert seen.label["runner_parent"] == "0123456789abcdef-2"
    assert list(dict.fromkeys((link.batch, link.parent) for link in provider.lineage(third))) == [
        (first, ""),
        (second, first),
        (third, second),
    ]
    assert [found.remote_id for found in provider.find(attempt(3, second), "", NOW).ours] == [third]


def test_a_continuation_of_another_parent_is_a_conflict(fake: Fake, provider: FireworksProvider) -> None:
    first, _second, _third = grown(fake, provider)
    with pytest.raises(Refused) as caught:
        provider.submit(attempt(3, first), None)
    assert caught.value.code == "conflict"


@pytest.mark.parametrize("knows_lineage", [True, False])
def test_the_files_of_a_whole_chain(knows_lineage: bool, fake: Fake, provider: FireworksProvider) -> None:
    fake.knows_lineage = knows_lineage
    jobs = grown(fake, provider)
    files = [link.file for link in provider.lineage(jobs[-1])]
    assert [file.ref for file in files if file.kind == "output"] == [f"{job}-out/BIJOutputSet.jsonl" for job in jobs]
    assert len(files) == 6


def test_a_lineage_reaches_past_a_deleted_job_where_the_remote_tells(fake: Fake, provider: FireworksProvider) -> None:
    first, second, third = grown(fake, provider)
    output = f"{third}-out"
    fake.hooks["GET /batchInferenceJobs/*"] = lambda call: (
        (404, {"code": 5, "message": "gone"}, {}) if call.path.endswith(first) else (*fake.answer(call), {})
    )
    assert [link.dataset for link in provider.lineage(third) if link.file.kind == "output"] == [
        f"{first}-out",
        f"{second}-out",
        output,
    ]


def test_lineage_keys_with_ids_before_the_name(fake: Fake, provider: FireworksProvider, tmp_path: Path) -> None:
    jobs = grown(fake, provider, 2)

    def prefixed(dataset_id: str, urls: dict[str, str]) -> dict[str, str]:
        if len(urls) == 2:
            return urls
        return {"_".join(key.split("/")[1:]): url for key, url in urls.items()}

    fake.keys_of = prefixed
    links = [link for link in provider.lineage(jobs[-1]) if link.file.kind == "output"]
    assert [link.dataset for link in links] == [f"{job}-out" for job in jobs]
    assert provider.download(links[0].file, tmp_path / "x") == len(OK)


def test_a_chain_that_bites_its_tail(fake: Fake, provider: FireworksProvider) -> None:
    fake.jobs[JOB] = job_named(JOB, continuedFromJobName=f"{NAMES}/batchInferenceJobs/{JOB}")
    with pytest.raises(OutcomeUnknown, match="does not end"):
        provider.lineage(JOB)


def test_the_input_of_a_continuation_is_its_roots(fake: Fake, provider: FireworksProvider, tmp_path: Path) -> None:
    jobs = grown(fake, provider)
    fake.jobs[jobs[-1]]["inputDatasetId"] = ""
    to = tmp_path / "in.jsonl"
    assert provider.download_input(provider.look(jobs[-1]), to) == len(ROWS)


# -- stop


def test_a_running_job_is_deleted(fake: Fake, provider: FireworksProvider) -> None:
    provider.submit(SENT, UPLOAD)
    seen = provider.cancel(JOB)
    assert (seen.phase, seen.remote_id, seen.result_files) == (Phase.CANCELLED, JOB, ())
    assert fake.jobs == {}
    assert provider.cancel(JOB).phase is Phase.CANCELLED
    with pytest.raises(NotFound):
        provider.look(JOB)


@pytest.mark.parametrize("fault", ["lose", "503", "late"])
def test_a_delete_whose_reply_was_lost(fault: str, fake: Fake, provider: FireworksProvider) -> None:
    provider.submit(SENT, UPLOAD)
    fake.faults["DELETE /batchInferenceJobs/*"] = [fault]
    assert provider.cancel(JOB).phase is Phase.CANCELLED
    assert fake.jobs == {}


@pytest.mark.parametrize("state", ["COMPLETED", "EXPIRED", "FAILED"])
def test_a_job_that_ended_is_never_deleted(state: str, fake: Fake, provider: FireworksProvider) -> None:
    provider.submit(SENT, UPLOAD)
    fake.end(JOB, state, ok=OK)
    assert provider.cancel(JOB).phase.has_ended
    assert fake.count("DELETE /batchInferenceJobs/*") == 0


def test_a_job_that_is_slow_to_go_reads_as_cancelling(fake: Fake, provider: FireworksProvider) -> None:
    provider.submit(SENT, UPLOAD)

    def mark(call: object) -> tuple[int, Any, dict[str, str]]:
        fake.jobs[JOB]["state"] = "JOB_STATE_DELETING_CLEANING_UP"
        return 200, {}, {}

    fake.hooks["DELETE /batchInferenceJobs/*"] = mark
    assert provider.cancel(JOB).phase is Phase.CANCELLING


def test_what_a_deleted_job_had_finished_is_kept(fake: Fake, provider: FireworksProvider, tmp_path: Path) -> None:
    provider.submit(SENT, UPLOAD)
    fake.end(JOB, "RUNNING", ok=OK)
    for seen in (provider.cancel(JOB), provider.look(JOB), provider.submit(SENT, UPLOAD)):
        assert (seen.phase, seen.raw_status) == (Phase.CANCELLED, "gone")
        assert provider.download(seen.result_files[0], tmp_path / "out") == len(OK)
    assert fake.jobs == {}


def test_output_of_a_stranger_under_our_name_is_a_conflict(fake: Fake, provider: FireworksProvider) -> None:
    fake.put_dataset(IDS.output_dataset_id, {}, sourceJobName=f"{NAMES}/batchInferenceJobs/other")
    with pytest.raises(Refused) as caught:
        provider.submit(SENT, UPLOAD)
    assert caught.value.code == "conflict"


# -- stalls


@pytest.mark.parametrize(
    ("status", "hours", "window", "says"),
    [
        ("CREATING", 0.4, 24, ""),
        ("CREATING", 0.6, 24, "36 min"),
        ("PENDING", 5.9, 24, ""),
        ("PENDING", 6.1, 24, "batches"),
        ("PENDING", 6.1, 72, ""),
        ("PENDING", 6.1, None, "6 h 6 min"),
        ("RUNNING", 40, 72, ""),
        ("RUNNING (waiting on capacity)", 1, 24, "capacity"),
        ("PAUSED", 1, 24, "suspended"),
    ],
)
def test_stalls(status: str, hours: float, window: int | None, says: str) -> None:
    phase = wire.phase_of(status.partition(" ")[0])
    seen = Observed(JOB, phase, status, created_at=NOW - timedelta(hours=hours), window_hours=window)
    said = stall_of(seen, NOW)
    assert (says in said) if says else said == ""


def test_an_ended_job_does_not_stall() -> None:
    seen = Observed(JOB, Phase.COMPLETED, "COMPLETED", created_at=NOW - timedelta(days=9))
    assert stall_of(seen, NOW) == ""


def test_every_error_is_one_of_ours(fake: Fake, provider: FireworksProvider) -> None:
    for body in (b"<html>", b"\xff\xfe", b"[" * 100_000, b"null"):
        fake.hooks["GET /batchInferenceJobs/*"] = lambda call, body=body: (200, body, {})
        with pytest.raises(RemoteError):
            provider.look(JOB)
