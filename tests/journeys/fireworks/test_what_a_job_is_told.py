"""The body of a create: window, precision, placement, and what every row says as well."""

from __future__ import annotations

from typing import Any

import pytest

from tests.journeys.fireworks.lab import DATASETS, JOBS, SPEC, FireLab

PARAMS = "params: {{max_tokens: 64, temperature: 0}}"


def only_job(lab: FireLab) -> dict[str, Any]:
    (job,) = lab.account.jobs()
    return job


def test_everything_is_said_once_in_the_job_and_again_in_every_row(lab: FireLab) -> None:
    params = "params: {{max_tokens: 32, temperature: 0.5, top_p: 0.25, top_k: 4, n: 1, seed: 7}}"
    options = "options: {{precision: FP8, placement: {{multiRegion: EUROPE}}}}"
    lab.spec(SPEC.replace(PARAMS, f"{params}\n    {options}").replace("    output:", "    window: 12h\n    output:"))
    lab.apply()
    job = only_job(lab)
    assert job["model"] == "accounts/fireworks/models/echo"
    assert job["maxJobDuration"] == "43200s"
    assert job["precision"] == "FP8"
    assert job["placement"]["multiRegion"] == "EUROPE"
    assert job["systemPrompt"] == "Be brief"
    told = {"maxTokens": 32, "temperature": 0.5, "topP": 0.25, "topK": 4, "n": 1}
    assert {key: job["inferenceParameters"][key] for key in told} == told
    assert job["displayName"].startswith("lab/answers")
    (dataset,) = lab.account.uploads()
    assert lab.account.datasets()[dataset]["exampleCount"] == "10"
    for row in lab.account.inputs(dataset):
        assert row["body"].keys() == {"messages", "max_tokens", "temperature", "top_p", "top_k", "n", "seed"}
        assert row["body"]["messages"][0] == {"role": "system", "content": "Be brief"}
        assert row["body"]["max_tokens"] == 32 and row["body"]["seed"] == 7


def test_a_system_prompt_that_differs_by_row_stays_in_the_rows(lab: FireLab) -> None:
    lab.spec(SPEC.replace("system: Be brief", 'system: "Be {{{{ id }}}}"'))
    lab.apply()
    assert only_job(lab)["systemPrompt"] == ""
    (dataset,) = lab.account.uploads()
    said = [row["body"]["messages"][0]["content"] for row in lab.account.inputs(dataset)]
    assert said == [f"Be r{n}" for n in range(10)]


@pytest.mark.parametrize(("window", "seconds"), [("48h", "172800s"), ("72h", "259200s")])
def test_windows(window: str, seconds: str, lab: FireLab) -> None:
    lab.spec(SPEC.replace("    output:", f"    window: {window}\n    output:"))
    lab.apply("--no-wait", code=3)
    assert only_job(lab)["maxJobDuration"] == seconds


def test_a_window_that_the_remote_does_not_have_is_refused_with_its_place(lab: FireLab) -> None:
    lab.spec(SPEC.replace("    output:", "    window: 36h\n    output:"))
    for command in ("plan", "apply"):
        refused = lab.run(command, code=1)
        assert "specs/lab.yaml:16:" in refused.stderr
        assert "no window of 36h" in refused.stderr and "12h, 24h, 48h, 72h" in refused.stderr
    assert not lab.account.asked()


def test_a_server_that_knows_no_windows_says_so_and_is_asked_for_the_only_one_it_has(lab: FireLab) -> None:
    lab.account.fault(no_max_job_duration=True)
    lab.spec(SPEC.replace("    output:", "    window: 12h\n    output:"))
    refused = lab.apply(code=1)
    assert "does not know completion windows" in refused.stderr and "`window: 12h`" in refused.stderr
    assert "`window: 24h`" in refused.stderr
    assert lab.account.jobs() == []
    lab.spec()
    lab.apply()
    lab.whole()
    assert len(lab.account.jobs()) == 1
    assert lab.account.asked()[DATASETS] == 1  # the upload of the refused job was good for this one
    assert lab.account.asked()[JOBS] == 3


def test_an_option_that_no_job_has_is_found_before_anything_is_sent(lab: FireLab) -> None:
    lab.spec(SPEC.replace(PARAMS, f"{PARAMS}\n    options: {{{{precision: FP3}}}}"))
    refused = lab.apply(code=1)
    assert "FP3" in refused.stderr and "specs/lab.yaml:7:" in refused.stderr
    assert not lab.account.asked()


def test_without_an_account_the_variable_is_named(lab: FireLab) -> None:
    assert "FIREWORKS_ACCOUNT_ID" in lab.apply(code=1, FIREWORKS_ACCOUNT_ID="").stderr
    wrong = lab.apply(code=1, FIREWORKS_API_KEY="wrong")
    assert "FIREWORKS_API_KEY" in wrong.stderr
    assert lab.account.uploads() == []
