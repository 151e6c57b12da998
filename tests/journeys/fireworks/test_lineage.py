"""A job that ended early is continued, not repeated; what it continued is shown and fetched as one chain."""

from __future__ import annotations

import hashlib
import json

import pytest

from tests.journeys.fireworks.lab import DATASETS, ERRORS, JOBS, RESULTS, UPLOAD, FireLab
from tests.journeys.lab import until


def test_twice_expired_is_continued_twice_and_nothing_is_asked_again(lab: FireLab) -> None:
    lab.account.fault(expire_at={"value": 0.5, "count": 2})
    lab.apply()
    lab.whole()
    first, second, third = lab.account.jobs()
    assert lab.account.states() == ["EXPIRED", "EXPIRED", "COMPLETED"]
    assert [job["continuedFromJobName"] for job in (first, second, third)] == ["", first["name"], second["name"]]
    assert len({job["inputDatasetId"] for job in (first, second, third)}) == 1
    asked = lab.account.asked()
    assert [asked[route] for route in (DATASETS, UPLOAD, JOBS)] == [1, 1, 3]
    assert lab.account.asked_of_jobs() == [10, 5, 3]
    assert lab.account.rows_asked() == 10
    assert len({row["batch"] for row in lab.results()}) == 3
    lab.done()


def test_each_step_asks_just_the_rows_that_were_missing(lab: FireLab) -> None:
    lab.rows(101)
    lab.account.fault(expire_at={"value": 0.3, "count": 2})
    lab.apply()
    lab.whole(101)
    outputs = [job["outputDatasetId"].rpartition("/")[2] for job in lab.account.jobs()]
    answered = [{row["custom_id"] for row in lab.account.rows(output, RESULTS)} for output in outputs]
    assert [len(ids) for ids in answered] == [30, 21, 50]
    assert len(set.union(*answered)) == 101
    assert lab.account.asked_of_jobs() == [101, 71, 50]


def test_each_of_several_jobs_is_continued_by_one_of_its_own(lab: FireLab) -> None:
    lab.knobs("limits: {{lines: 4}}")
    lab.account.fault(expire_at={"value": 0.5, "count": 3})
    lab.apply()
    lab.whole()
    jobs = lab.account.jobs()
    assert lab.account.asked_of_jobs()[:3] == [4, 4, 2] and sorted(lab.account.asked_of_jobs()[3:]) == [1, 2, 2]
    assert {job["continuedFromJobName"] for job in jobs[3:]} == {job["name"] for job in jobs[:3]}
    assert len(lab.account.uploads()) == 3 and lab.account.rows_asked() == 10
    lab.done()


def test_show_draws_the_chain(lab: FireLab) -> None:
    lab.account.fault(expire_at={"value": 0.5, "count": 2})
    lab.apply()
    shown = [line for line in lab.run("show", "answers").stdout.splitlines() if "runner-lab-" in line]
    ids = [job["name"].rpartition("/")[2] for job in lab.account.jobs()]
    drawn = [f"  {ids[0]} ", f"  └─ {ids[1]} ", f"     └─ {ids[2]} "]
    told = [("expired", "5 of 10 answered"), ("expired", "2 of 5 answered"), ("completed", "3 of 3 answered")]
    for line, start, words, parent in zip(shown, drawn, told, ["", *ids], strict=False):
        assert line.startswith(start) and all(word in line for word in words)
        assert (f"continues `{parent}`" in line) is bool(parent)
    assert len(shown) == 3


@pytest.mark.parametrize("fault", [{}, {"ignore_lineage": True, "no_error_file": True}], ids="-".join)
def test_fetch_brings_the_files_of_the_whole_lineage(fault: dict[str, bool], lab: FireLab) -> None:
    lab.account.fault(expire_at={"value": 0.5, "count": 2})
    lab.apply()
    lab.account.fault(**fault)
    before = lab.account.asked()
    lab.run("fetch", "answers", "--lineage", "--to", "taken")
    jobs = lab.account.jobs()
    outputs = [job["outputDatasetId"].rpartition("/")[2] for job in jobs]
    taken = {str(path.relative_to(lab.root / "taken")) for path in (lab.root / "taken").rglob("*") if path.is_file()}
    names = [RESULTS] if "no_error_file" in fault else [RESULTS, ERRORS]
    assert taken == {"manifest.json", *(f"{output}/{name}" for output in outputs for name in names)}
    told = json.loads((lab.root / "taken/manifest.json").read_bytes())
    ids = [job["name"].rpartition("/")[2] for job in jobs]
    chain = list(zip(ids, ["", *ids[:2]], outputs, strict=True))
    assert [(one["job"], one["parent"], one["dataset"]) for one in told["files"] if one["kind"] == "output"] == chain
    for one in told["files"]:
        content = (lab.root / "taken" / one["path"]).read_bytes()
        assert content == lab.account.bytes_of(*one["path"].split("/"))
        assert (one["size_bytes"], one["rows"]) == (len(content), content.count(b"\n"))
        assert one["sha256"] == hashlib.sha256(content).hexdigest()
    assert sum(one["rows"] for one in told["files"]) == 10
    after = lab.account.asked()
    assert (after[JOBS], after[DATASETS]) == (before[JOBS], before[DATASETS])
    lab.done()


# -- when a continuation would ask other rows than those that are missing


def test_a_final_error_among_the_remainder_makes_a_dataset_of_just_the_others(lab: FireLab) -> None:
    lab.account.fault(expire_at=0.5, row_error={"value": 0, "status": 400, "match": "r1-"})
    lab.apply(code=4)
    _, second = lab.account.jobs()
    assert second["continuedFromJobName"] == ""
    assert [len(ids) for ids in lab.account.sent()] == [10, 5]
    assert "r1" not in lab.account.sent()[1]
    assert [row["custom_id"] for row in lab.results() if row["error"]] == ["r1"]
    assert len(lab.results()) == 10
    assert lab.run("plan").stdout == "Nothing to do\n"


def test_a_row_edited_meanwhile_makes_a_dataset_of_just_the_missing_ones(lab: FireLab) -> None:
    lab.account.fault(expire_at=0.5)
    lab.apply("--no-wait", code=3)
    until(lambda: lab.account.states() == ["EXPIRED"])
    lab.rows({**{f"r{n}": f"word {n}" for n in range(10)}, "r9": "edited"})
    lab.apply()
    jobs = lab.account.jobs()
    assert [job["continuedFromJobName"] for job in jobs] == [""] * len(jobs)
    assert sorted(row for ids in lab.account.sent()[1:] for row in ids) == ["r5", "r6", "r7", "r8", "r9"]
    assert [row["answer"] for row in lab.results()][8:] == ["echo: Say word 8", "echo: Say edited"]
    assert lab.account.rows_asked() == 10
    lab.done()


def test_a_row_added_meanwhile_stands_beside_the_continuation(lab: FireLab) -> None:
    lab.account.fault(expire_at=0.5)
    lab.apply("--no-wait", code=3)
    until(lambda: lab.account.states() == ["EXPIRED"])
    lab.rows({**{f"r{n}": f"word {n}" for n in range(10)}, "more": "more"})
    lab.apply()
    assert [len(ids) for ids in lab.account.sent()] == [10, 1]
    assert sorted(bool(job["continuedFromJobName"]) for job in lab.account.jobs()) == [False, False, True]
    assert len(lab.results()) == 11
    assert lab.account.rows_asked() == 11


def delete_only_job(lab: FireLab) -> None:
    (job,) = lab.account.jobs()
    path = f"batchInferenceJobs/{job['name'].rpartition('/')[2]}"
    lab.account.delete(path)
    until(lambda: not lab.account.is_there(path))


def test_a_parent_deleted_before_its_continuation_was_created_is_not_continued(lab: FireLab) -> None:
    lab.account.fault(expire_at=0.5)
    lab.apply("--no-wait", code=3)
    until(lambda: lab.account.states() == ["EXPIRED"])
    lab.account.fault(rate_limit={"value": 1000, "retry_after": 0.01, "route": JOBS})
    lab.knobs("defer_s: 0.1")
    lab.apply("--no-wait", code=3)  # its answers are here, and a continuation is put off
    lab.account.fault(rate_limit=None)
    delete_only_job(lab)
    lab.apply()
    lab.whole()
    assert [len(ids) for ids in lab.account.sent()] == [10, 5]
    assert lab.account.rows_asked() == 10
    lab.done()


def test_a_job_deleted_before_its_answers_were_here_leaves_them_and_a_decision(lab: FireLab) -> None:
    lab.account.fault(expire_at=0.5)
    lab.apply("--no-wait", code=3)
    until(lambda: lab.account.states() == ["EXPIRED"])
    delete_only_job(lab)
    done = lab.apply(code=5)
    assert "5 ok" in done.stdout and "runner retry answers" in done.stdout
    assert len(lab.account.uploads()) == 1
    lab.run("retry", "answers")
    lab.apply()
    lab.whole()
    assert [len(ids) for ids in lab.account.sent()] == [10, 5]
    assert lab.account.rows_asked() == 10


@pytest.mark.parametrize("state", ["FAILED", "EARLY_STOPPED"])
def test_an_end_with_output_is_continued(state: str, lab: FireLab) -> None:
    lab.account.fault(expire_at=0.5, ends_as={"value": 1, "state": state})
    lab.apply()
    lab.whole()
    first, second = lab.account.jobs()
    assert lab.account.states() == [state, "COMPLETED"]
    assert second["continuedFromJobName"] == first["name"]
    assert lab.account.rows_asked() == 10
    lab.done()


def test_failed_rows_of_a_completed_job_are_asked_by_a_continuation(lab: FireLab) -> None:
    lab.account.fault(row_error={"value": 0, "status": 500, "match": "r3- r7-"})
    lab.apply("--no-wait", code=3)
    until(lambda: lab.account.states() == ["COMPLETED"])
    lab.account.fault(row_error=None)
    lab.apply()
    lab.whole()
    first, second = lab.account.jobs()
    assert second["continuedFromJobName"] == first["name"]
    assert lab.account.asked_of_jobs() == [10, 2]
    lab.done()


def test_rows_that_fail_every_time_end_after_three_attempts(lab: FireLab) -> None:
    lab.account.fault(row_error={"value": 0, "status": 500, "match": "r3- r7-"})
    done = lab.apply(code=4)
    assert "8 ok, 2 error of 10" in done.stdout
    assert lab.account.asked_of_jobs() == [10, 2, 2]
    assert [bool(job["continuedFromJobName"]) for job in lab.account.jobs()] == [False, True, True]
    assert len(lab.account.uploads()) == 1
    assert [row["custom_id"] for row in lab.results() if row["error"]] == ["r3", "r7"]


def test_a_job_refused_as_a_whole_is_not_sent_again_until_it_changes(lab: FireLab) -> None:
    lab.account.fault(file_invisible=1)
    done = lab.apply(code=4)
    assert "10 error" in done.stdout
    assert lab.results()[0]["error"]["message"]
    lab.apply(code=4)
    assert lab.account.states() == ["FAILED"]
    lab.run("retry", "answers")
    lab.apply()
    lab.whole()
    assert lab.account.rows_asked() == 10
