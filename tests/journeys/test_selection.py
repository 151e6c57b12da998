"""Commands about some of the jobs: `--select`, `--exclude`, `--sample`."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.journeys.scorelab import FAILED, REMOTE, ScoreLab, score_lab

SPEC = (
    """\
project: lab
models:
  echo: {provider: lab, name: echo, params: {max_tokens: 16}, price: {input: 1, output: 2}}
datasets:
  rows: {files: data/rows.jsonl, id: id}
  more: {files: data/more.jsonl, id: id}
  said: {from: first}
prompts:
  ask: {user: "Say {{ word }}"}
  grade: {user: "Please grade {{ answer }}"}
jobs:
  first: {dataset: rows, prompt: ask, model: echo, output: results/first.jsonl, tags: [nightly], max_attempts: 1}
  grade: {dataset: said, prompt: grade, model: echo, output: results/grade.jsonl}
  other: {dataset: more, prompt: ask, model: echo, output: results/other.jsonl, tags: [weekly], max_attempts: 1}
%s
"""
    + REMOTE
)
ROWS, MORE = [f"r{n}" for n in range(4)], ["r3", "m0", "m1"]  # r3 is asked by both


@pytest.fixture
def lab(tmp_path: Path) -> Iterator[ScoreLab]:
    with score_lab(tmp_path / "project") as lab:
        lab.table([{"id": row, "word": row} for row in ROWS])
        lab.table([{"id": row, "word": row} for row in MORE], "data/more.jsonl")
        lab.job("", SPEC)
        lab.says = lambda row, kind: f"{kind} {row}"
        yield lab


def sent(lab: ScoreLab) -> list[list[str]]:
    return [sorted(rows) for rows in lab.remote.sent]


def test_only_what_is_selected_is_sent_and_the_rest_is_left_alone(lab: ScoreLab) -> None:
    told = lab.run("plan", "specs/", "--select", "tag:weekly")
    assert "first" not in told.stdout and "Plan: 3 requests to send in 1 batch" in told.stdout
    assert told.stderr.endswith("run `runner apply specs/ --select tag:weekly`\n")
    life, lab.remote.life = lab.remote.life, lambda batch, polls: {"status": "in_progress"}
    lab.apply("-s", "other", "--no-wait", code=3)
    assert sent(lab) == [sorted(MORE)]
    # while that runs, its rows are in flight for everybody; nobody calls its batch unwanted
    lab.table([{"id": row, "word": row} for row in MORE[:1]], "data/more.jsonl")
    for words in (("-s", "first"), ("--exclude", "other")):
        told = lab.run("plan", "specs/", *words)
        assert "3 of 4 requests in 1 batch" in told.stdout and "no spec wants it" not in told.stdout
    assert "no spec wants it" not in lab.apply("-s", "first", "--no-wait", code=3).stdout
    assert sent(lab) == [sorted(MORE), ROWS[:3]]
    lab.remote.life = life
    lab.table([{"id": row, "word": row} for row in MORE], "data/more.jsonl")
    lab.apply("-s", "first")
    assert len(sent(lab)) == 2 and not (lab.root / "results/other.jsonl").exists()
    lab.apply()
    assert [len(rows) for rows in sent(lab)] == [3, 3, 4]  # of the grades: all four
    assert len(lab.results("results/other.jsonl")) == 3 and lab.apply("-s", "state:new").stdout.startswith("Nothing")


def test_what_it_depends_on_comes_with_it(lab: ScoreLab) -> None:
    lab.apply("-s", "grade")
    assert [len(rows) for rows in sent(lab)] == [4, 4]
    assert {path.name for path in (lab.root / "results").iterdir()} == {"first.jsonl", "grade.jsonl"}
    assert "grade" not in lab.run("plan", "specs/", "--exclude", "first").stdout


def test_a_fresh_clone_reads_back_what_others_have_answered(lab: ScoreLab) -> None:
    lab.apply("-s", "other")
    lab.forget()
    lab.remote.created.clear()  # only the outputs tell
    lab.apply("-s", "first", "--first-run")
    assert sent(lab) == [ROWS[:3]]
    lab.apply()
    assert [len(rows) for rows in sent(lab)] == [3, 4]


def test_a_fresh_clone_finds_what_was_not_selected_at_the_remote_later(lab: ScoreLab) -> None:
    lab.apply("-s", "other")
    lab.apply("-s", "first")
    lab.forget()
    (lab.root / "results/other.jsonl").unlink()
    (lab.root / "results/first.jsonl").unlink()
    lab.apply("-s", "first")
    assert [len(rows) for rows in sent(lab)] == [3, 3]
    lab.apply("-s", "other")
    assert [len(rows) for rows in sent(lab)] == [3, 3] and len(lab.results("results/other.jsonl")) == 3


def test_states_and_commands_about_each_job(lab: ScoreLab) -> None:
    lab.says = lambda row, kind: FAILED if row == "m0" else f"{kind} {row}"
    lab.apply(code=4)
    told = lab.run("status", "specs/", "-s", "state:failed").stdout
    assert told.startswith("other  2 ok, 1 error of 3") and len(told.splitlines()) == 1
    told = lab.run("retry", "-s", "tag:nightly", "specs/").stdout
    assert told == "Nothing of 1 selected job has failed; `--replace` asks answered requests again\n"
    assert "1 request will be asked again" in lab.run("retry", "-s", "state:failed", "specs/").stdout
    told = lab.run("fetch", "--select", "tag:*", "specs/").stdout
    assert told.endswith("2 files, 6 lines, 1.5 kB in `selected-files`\n")
    facts = json.loads(lab.run("report", "specs/", "-s", "f*", "-o", "json").stdout)
    assert [cell["address"] for group in facts["groups"] for cell in group["cells"]] == ["first"]
    lab.says = lambda row, kind: f"{kind} {row}"
    lab.apply("-s", "other")
    assert sent(lab)[-1] == ["m0"]
    for words, complaint in ((["retry"], "ADDRESS or --select"), (["cancel", "-s", "nobody"], "there is no job")):
        assert complaint in lab.run(*words, code=64).stderr
    assert "no batch of the selected jobs is in flight" in lab.run("cancel", "-s", "first", code=64).stderr


def test_a_sample_first_and_then_the_rest(lab: ScoreLab) -> None:
    told = lab.run("plan", "specs/", "-s", "first", "--sample", "2")
    assert "2 of 4 requests in 1 batch" in told.stdout and "kept for later, beside the sample" in told.stdout
    assert told.stderr.endswith("`runner apply specs/ --select first --sample 2`\n")
    for _ in range(2):
        told = lab.apply("-s", "grade", "--sample", "2")
        assert "  = 2 requests kept for later, beside the sample" in told.stdout and "grade" in told.stdout
        assert [len(rows) for rows in sent(lab)] == [2]
    assert len(lab.results("results/first.jsonl")) == 4
    lab.forget()
    lab.apply("--sample", "2", "-s", "first")
    lab.apply("-s", "first")
    assert [len(rows) for rows in sent(lab)] == [2, 2] and len({*sent(lab)[0], *sent(lab)[1]}) == 4
    # every request changed: a sample of the new ones
    lab.job("", SPEC.replace("Say {{ word }}", "Say {{ word }}!"))
    lab.apply("--sample", "1", "-s", "first", "--confirm-repay")
    assert [len(rows) for rows in sent(lab)] == [2, 2, 1]


def test_a_plan_to_be_reviewed_is_of_what_was_selected(lab: ScoreLab) -> None:
    told = lab.run("plan", "specs/", "-s", "first", "--sample", "2", "--out", "plan.json").stderr
    assert "`runner apply plan.json`" in told
    for path in ("other", "grade"):
        assert path not in (lab.root / "plan.json").read_text()
    assert "a plan names its own jobs" in lab.run("apply", "plan.json", "-s", "other", code=64).stderr
    lab.run("apply", "plan.json")
    assert [len(rows) for rows in sent(lab)] == [2]
    (lab.root / "folder.json").mkdir()
    assert "`--out folder.json` is a folder" in lab.run("plan", "--out", "folder.json", code=64).stderr


def test_a_plan_sends_what_was_selected_by_its_state_where_that_is_another(lab: ScoreLab) -> None:
    lab.apply("-s", "first")
    lab.table([{"id": row, "word": row} for row in [*ROWS, "r9"]])
    root, lab.root = lab.root, lab.root.with_name("clone")
    shutil.copytree(root, lab.root, ignore=shutil.ignore_patterns(".runner", "results"))
    lab.run("plan", "specs/", "-s", "state:new,first", "--out", "plan.json")
    shutil.copy(lab.root / "plan.json", root)
    lab.root = root
    assert lab.run("plan", "specs/", "-s", "state:new,first").stdout.startswith("Nothing")  # here it is `modified`
    assert "5 ok, 0 error of 5" in lab.run("apply", "plan.json").stdout and sent(lab) == [ROWS, ["r9"]]


def test_where_no_job_is_selected_it_is_said(lab: ScoreLab) -> None:
    nothing = "Nothing to do: no job is selected"
    assert lab.run("plan", "specs/", "-s", "state:failed").stdout == f"{nothing}\n"
    assert lab.run("plan", "specs/", "--exclude", "*", "-o", "markdown").stdout.count(f"**{nothing}**") == 1
    assert lab.run("status", "specs/", "-s", "state:running").stdout == "No job is selected\n"
    assert lab.run("retry", "-s", "state:failed").stdout == "No job is selected\n"
    assert lab.apply("-s", "state:failed").stdout == f"{nothing}\n"
    # what can be none of it is mistyped
    told = lab.run("plan", "specs/", "-s", "first,other", code=64).stderr
    assert "`--select first,other`: no job meets all of it" in told and "repeat `--select`" in told
    assert "a term without a word" in lab.run("plan", "--exclude", "first,", code=64).stderr
    # an agreement about a job that is left out is none too many
    assert "2 of 3 requests" not in lab.run("plan", "specs/", "-s", "other", "--confirm-repay=first").stdout
    assert "there is no job `nix`" in lab.run("plan", "-s", "other", "--confirm-repay=nix", code=64).stderr


def test_what_an_apply_of_a_plan_suggests_is_about_that_plan(lab: ScoreLab) -> None:
    lab.job("", SPEC + "vars: {lang: en}\nenvironments: {dev: {}}\n")
    words = ("--env", "dev", "--var", "lang=it", "-s", "other")
    lab.run("plan", "specs/", *words, "--out", "plan.json")
    lab.table([{"id": row, "word": row} for row in [*MORE, "m9"]], "data/more.jsonl")
    told = " ".join(lab.run("apply", "plan.json", code=5).stderr.split())
    again = told.partition("what would be sent now: `runner ")[2].partition("`")[0]
    assert again == "--env dev --var lang=it plan specs/ --select other" and not sent(lab)
    lab.run(*again.split(), "--out", "plan.json")
    lab.says = lambda row, kind: FAILED
    told = " ".join(lab.run("apply", "plan.json", code=4).stderr.split())
    assert "`runner --env dev --var lang=it retry other specs/`" in told and len(sent(lab)) == 1
