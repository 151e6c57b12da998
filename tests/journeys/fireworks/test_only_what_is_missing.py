"""Through Fireworks' API as through any other: what is sent is what the specs want, less what is there or under way."""

from __future__ import annotations

from tests.journeys.fireworks.lab import DATASETS, JOBS, SPEC, UPLOAD, FireLab
from tests.journeys.lab import until


def test_one_dataset_one_job_one_file_and_then_nothing(lab: FireLab) -> None:
    done = lab.apply()
    assert "10 ok, 0 error of 10" in done.stdout
    lab.whole()
    asked = lab.account.asked()
    assert [asked[route] for route in (DATASETS, UPLOAD, JOBS)] == [1, 1, 1]
    lab.done()


def test_rows_added_edited_and_reordered(lab: FireLab) -> None:
    words = {f"r{n}": f"word {n}" for n in range(250)}
    lab.rows(words)
    lab.apply()
    words |= {f"n{n}": f"new {n}" for n in range(50)}
    lab.rows(words)
    assert "±" in lab.run("plan").stdout
    lab.apply()
    assert [len(ids) for ids in lab.account.sent()] == [250, 50]
    words |= {"r7": "another"}
    lab.rows(words)
    lab.apply()
    assert lab.account.sent()[2:] == [["r7"]]
    lab.rows(dict(reversed(words.items())))
    lab.apply()
    assert len(lab.account.jobs()) == 3
    assert lab.account.rows_asked() == 301
    assert [row["custom_id"] for row in lab.results()] == list(reversed(words))
    assert all(row["answer"] == f"echo: Say {words[row['custom_id']]}" for row in lab.results())


def test_a_window_is_no_part_of_a_request_but_a_precision_is(lab: FireLab) -> None:
    lab.apply()
    lab.spec(SPEC.replace("    output:", "    window: 72h\n    output:"))
    assert lab.apply().stdout == "Nothing to do\n"
    lab.spec(SPEC.replace("temperature: 0}}", "temperature: 0}}\n    options: {{placement: {{multiRegion: US}}}}"))
    assert lab.apply().stdout == "Nothing to do\n"
    assert len(lab.account.jobs()) == 1
    lab.spec(SPEC.replace("temperature: 0}}", "temperature: 0}}\n    options: {{precision: FP8}}"))
    lab.apply()
    assert [len(ids) for ids in lab.account.sent()] == [10, 10]


def test_a_job_that_runs_is_waited_for_and_its_rows_are_not_sent_again(lab: FireLab) -> None:
    lab.account.fault(hold=0.5)
    lab.apply("--no-wait", code=3)
    until(lambda: lab.account.states() == ["RUNNING"])
    assert "wait" in lab.run("plan").stdout
    lab.rows({**{f"r{n}": f"word {n}" for n in range(10)}, "more": "more"})
    lab.apply("--no-wait", code=3)
    lab.account.fault(hold=None)
    lab.apply()
    assert [len(ids) for ids in lab.account.sent()] == [10, 1]
    assert len(lab.results()) == 11


def test_more_rows_than_one_job_takes(lab: FireLab) -> None:
    lab.knobs("limits: {{lines: 4}}")
    lab.apply()
    assert [len(ids) for ids in lab.account.sent()] == [4, 4, 2]
    lab.whole()
    lab.done()


def test_what_an_edit_took_back_is_left_to_finish_and_a_cancel_deletes_it(lab: FireLab) -> None:
    lab.account.fault(hold=0.5)
    lab.apply("--no-wait", code=3)
    until(lambda: lab.account.states() == ["RUNNING"])
    lab.run("cancel", "answers")
    until(lambda: lab.account.jobs() == [])
    lab.account.fault(hold=None)
    assert lab.account.asked()["DELETE /v1/accounts/{account}/batchInferenceJobs/{job}"] == 1
