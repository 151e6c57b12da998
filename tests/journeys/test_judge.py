"""Answers judged by another model: a job of its own, whose verdicts are the scores of the one that is judged."""

from __future__ import annotations

import json
import shutil
import subprocess
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from tests.journeys.scorelab import FAILED, REMOTE, ScoreLab, score_lab

SPEC = (
    """\
project: lab
models:
  echo: {provider: lab, name: echo, params: {max_tokens: 16}}
  wise: {provider: lab, name: wise, params: {max_tokens: 16}, price: {input: 1, output: 1}}
datasets:
  rows: {files: data/rows.jsonl, id: id}
prompts:
  ask: {user: "Say {{ word }}"}
  grade: {user: "Please judge what was said to {{ word }}: {{ answer | fenced }}"}
jobs:
  answers:
    dataset: rows
    prompt: ask
    model: echo
    max_attempts: 1
    output: results/answers.jsonl
%s
"""
    + REMOTE
)
HELPFUL = "{judge: grade, model: wise, verdicts: {good: 1, partly: 0.5, bad: 0}, max_attempts: 1}"
CHECKS = """\
checks:
  said: {contains: "{{ word }}"}
  helpful: HELPFUL
"""
ROWS = [{"id": f"r{n}", "word": f"a{n}", "hand": hand} for n, hand in enumerate(["good", "bad", "", "", "", ""])]
VERDICTS = {
    "r0": "good",
    "r1": "partly",
    "r2": "**Bad**.",
    "r3": '{"verdict": "good", "reason": "not bad"}',
    "r4": "good or bad",
}
VERDICT_FILE = "results/answers.helpful.jsonl"
ALL = [f"r{n}" for n in range(6)]


def checks(helpful: str = HELPFUL, more: str = "") -> str:
    return CHECKS.replace("HELPFUL", helpful) + more


@pytest.fixture
def lab(tmp_path: Path) -> Iterator[ScoreLab]:
    with score_lab(tmp_path / "project") as lab:
        lab.table(ROWS)
        lab.job(checks(), SPEC)
        lab.says = lambda row, how: VERDICTS.get(row, "good") if how == "beg" else {"r5": FAILED}.get(row, row)
        yield lab


def sent(lab: ScoreLab) -> list[list[str]]:
    return [sorted(rows) for rows in lab.remote.sent]


def statuses(lab: ScoreLab, output: str = "results/answers.scores.jsonl") -> str:
    return lab.statuses("helpful", output)


def test_one_apply_asks_and_judges_and_the_next_does_nothing(lab: ScoreLab) -> None:
    plan = lab.run("plan", "specs/").stdout
    assert "answers.helpful" in plan and "known after" in plan
    done = lab.apply(code=4)  # a row failed
    assert sent(lab) == [ALL, ALL[:5]]
    assert statuses(lab) == "rpwru" + "m"
    assert "answers.helpful  5 ok, 0 error of 5  results/answers.helpful.jsonl" in done.stdout
    assert "62.5 %" in done.stdout and "2 right, 1 wrong, 1 partly; 1 unreadable, 1 unanswered" in done.stdout
    asked = [line for name, line in lab.remote.files.items() if b"Please" in line]
    assert asked and b"```\\nr0\\n```" in asked[0]
    assert lab.apply(code=4).stdout.count("\n") <= 3 and len(lab.remote.created) == 2
    assert "waits" not in done.stdout


def test_while_the_judge_runs_the_other_checks_have_their_numbers(lab: ScoreLab) -> None:
    lab.says = lambda row, how: "good" if how == "beg" else row.replace("r", "a")
    lab.job(checks(more='expect: {said: ">= 0.9", helpful: ">= 0.9"}\n'), SPEC)
    life, is_slow = lab.remote.life, True

    def slow(batch: Mapping[str, Any], polls: int) -> Mapping[str, Any]:
        is_judge = b"Please" in lab.remote.files[batch["input_file_id"]]
        return {"status": "in_progress"} if is_slow and is_judge else life(dict(batch), polls)

    lab.remote.life = slow
    for _ in range(2):
        done = lab.apply("--no-wait", code=3)
    assert sent(lab) == [ALL, ALL]
    assert "100.0 %  (61.0 to 100.0)  6 right" in done.stdout and "✓" in done.stdout
    assert "waits for answers.helpful" in done.stdout and "expected >= 90 %: not yet" in done.stdout
    assert "waits for answers.helpful" in lab.run("status", "specs/").stdout
    assert set(lab.scores()[0]["checks"]) == {"said"}
    page = json.loads(lab.run("report", "specs/", "-o", "json").stdout)
    of_answers = next(group for group in page["groups"] if group["name"] == "answers")["cells"][0]
    assert [(check["name"], check.get("waits_for", "")) for check in of_answers["checks"]] == [
        ("said", ""),
        ("helpful", "it waits for `answers.helpful`"),
    ]
    assert [gate["verdict"] for gate in of_answers["gates"]] == ["met", "not_yet"]
    is_slow = False
    done = lab.apply()
    assert "helpful  100.0 %" in done.stdout and "waits" not in done.stdout
    assert lab.apply().stdout == "Nothing to do\n"


def test_identical_answers_are_not_judged_again_also_after_all_is_forgotten(lab: ScoreLab) -> None:
    lab.apply(code=4)
    before = lab.scores()
    for gone in (["results/answers.scores.jsonl"], [".runner"], [".runner", "results/answers.scores.jsonl"]):
        for name in gone:
            path = lab.root / name
            shutil.rmtree(path) if path.is_dir() else path.unlink()
        lab.apply(code=4)
        assert len(lab.remote.created) == 2, gone
        assert lab.scores() == before


def test_one_row_more_is_one_asked_and_one_judged(lab: ScoreLab) -> None:
    lab.apply(code=4)
    lab.table([*ROWS, {"id": "r6", "word": "a6", "hand": ""}])
    lab.apply(code=4)
    assert sent(lab)[2:] == [["r6"], ["r6"]]
    assert statuses(lab) == "rpwrumr"
    lab.says = lambda row, how: "bad" if how == "beg" else "another answer"
    lab.run("retry", "answers", "specs/", code=None)
    lab.apply()
    assert sent(lab)[4:] == [["r5"], ["r5"]], "the one that had failed is answered now, and judged"
    assert statuses(lab) == "rpwruwr"


def test_where_and_sample_leave_rows_out_that_are_skipped(lab: ScoreLab) -> None:
    lab.job(checks(HELPFUL.replace("}, max", "}, where: \"{{ id != 'r0' and answer != 'r1' }}\", max")), SPEC)
    lab.apply(code=4)
    assert sent(lab)[1] == ["r2", "r3", "r4"] and statuses(lab) == "sswrum"
    lab.job(checks(HELPFUL.replace("}, max", "}, sample: {rows: 2}, max")), SPEC)
    lab.apply(code=4)
    (asked,) = [[row["custom_id"] for row in lab.results(VERDICT_FILE)]]
    assert len(asked) == 2 and len([one for one in statuses(lab)[:5] if one != "s"]) == 2


def test_what_the_judge_failed_at_is_unreadable_and_counts_as_the_spec_says(lab: ScoreLab) -> None:
    verdicts = {"r0": FAILED, "r1": "no idea", "r2": {"content": None, "refusal": "no"}}
    lab.says = lambda row, how: verdicts.get(row, "good") if how == "beg" else row
    done = lab.apply(code=4)
    assert statuses(lab) == "uuurrr" and "100.0 %" in done.stdout and "3 right; 3 unreadable" in done.stdout
    before = len(lab.remote.created)
    lab.job(checks(HELPFUL.replace("}, max", "}, unreadable: wrong, max")), SPEC)
    done = lab.apply(code=4)
    assert " 50.0 %" in done.stdout and "3 right, 3 unreadable" in done.stdout and len(lab.remote.created) == before


def test_other_worth_of_verdicts_costs_nothing_and_another_prompt_judges_anew(lab: ScoreLab) -> None:
    lab.apply(code=4)
    lab.job(checks(HELPFUL.replace("partly: 0.5", "partly: 0.75")), SPEC)
    done = lab.apply(code=4)
    assert "68.8 %" in done.stdout and len(lab.remote.created) == 2
    assert "wrote `results/answers.scores.jsonl` (checks, expectations or references changed)" in done.stderr
    lab.job(checks(), SPEC.replace("Please judge what", "Please say how good it is what"))
    done = lab.apply("--confirm-repay", "answers.helpful", code=4)
    assert sent(lab)[2:] == [ALL[:5]] and statuses(lab) == "rpwrum"
    assert "(what its judges have said so far changed)" in done.stderr
    # by another name it asks nothing anew
    lab.job(
        checks().replace("  helpful", "  other"), SPEC.replace("Please judge what", "Please say how good it is what")
    )
    done = lab.apply(code=4)
    assert "wrote `results/answers.scores.jsonl` (checks, expectations or references changed)" in done.stderr
    assert len(lab.remote.created) == 3


def test_a_verdict_of_a_person_stands_beside_in_every_form_of_a_report(lab: ScoreLab) -> None:
    lab.job(checks(HELPFUL.replace("}, max", '}, human: "{{ hand }}", max')), SPEC)
    done = lab.apply(code=4)
    assert "    judge and person agree on 50.0 % of 2 rows, kappa 0.33 (" in done.stdout
    assert "    corrected mean 37.5 % (0.0 to 100.0), if the labelled rows were picked at random" in done.stdout
    facts = json.loads(lab.run("report", "specs/", "-o", "json").stdout)
    found = facts["groups"][0]["cells"][0]["checks"][1]
    assert found["agreement"]["raw"] == 0.5 and found["agreement"]["kappa"]["n"] == 2
    assert found["agreement"]["confusion"] == [
        {"expected": "bad", "got": "partly", "rows": 1},
        {"expected": "good", "got": "good", "rows": 1},
    ]
    assert found["corrected"]["value"] == pytest.approx(0.625 - 0.25)
    sentence = "judge and person agree on 50.0 % of 2 rows"
    assert [group["judges"] for group in facts["groups"]] == ["", "answers.helpful"]
    told = lab.run("report", "specs/", "-o", "markdown").stdout
    assert "It judges helpful of answers: what it says is counted there." in told and "held to no check" not in told
    lab.run("report", "specs/", "--out", "page.html")
    assert sentence in (lab.root / "page.html").read_text()
    for form in ("markdown", "junit"):
        assert sentence in lab.run("report", "specs/", "-o", form).stdout, form
    assert (
        "because: "
        not in lab.run("report", "specs/", "-o", "junit", "--rows", "all").stdout.split("helpful r1")[1][:200]
    )
    lab.table([{**ROWS[0], "hand": "fine"}, *ROWS[1:]])
    told = lab.apply(code=1).stderr
    assert "`fine` is none of the verdicts" in told and "check `helpful`" in told


def test_a_gate_on_verdicts_holds_back_what_needs_it(lab: ScoreLab) -> None:
    dear = "  dear: {dataset: rows, prompt: dear, model: echo, output: results/dear.jsonl, needs: [answers]}\n"
    spec = SPEC.replace("providers:", dear + "providers:").replace("prompts:\n", 'prompts:\n  dear: "Now {{ word }}"\n')
    lab.says = lambda row, how: VERDICTS.get(row, "good") if how == "beg" else row
    lab.job(checks(more='expect: {helpful: ">= 0.9"}\n'), spec)
    done = lab.apply(code=4)
    assert "✕ expected >= 90 %" in done.stdout and len(sent(lab)) == 2
    assert "needs a job that is not as good as expected: `answers`" in done.stdout
    lab.job(checks(more='expect: {helpful: ">= 0.6"}\n'), spec)
    lab.apply()
    assert sent(lab)[2:] == [ALL]


def test_under_a_budget_that_does_not_suffice_the_judge_waits_and_says_what_it_costs(lab: ScoreLab) -> None:
    lab.job(checks(HELPFUL.replace("}, max", "}, budget: 0.00001, max")), SPEC)
    done = lab.apply(code=None)
    assert done.returncode == 5 and len(sent(lab)) == 1
    assert "waits for answers.helpful (about 5 requests, at most $0.01)" in done.stdout
    assert "over budget" in done.stdout


MATRIX = SPEC.replace("    model: echo\n", "    matrix: {model: [echo, wise]}\n").replace(
    "results/answers.jsonl", "results/answers-{{ model }}.jsonl"
)


def test_each_cell_has_its_judge_and_two_cells_are_compared_by_verdicts(lab: ScoreLab) -> None:
    lab.says = lambda row, how: VERDICTS.get(row, "good") if how == "beg" else row
    lab.job(checks(), MATRIX)
    lab.apply()
    assert sorted(map(len, sent(lab))) == [6, 6, 6], "the same answers of two models are the same requests to the judge"
    assert (lab.root / "results/answers-wise.helpful.jsonl").is_file()
    assert statuses(lab, "results/answers-echo.scores.jsonl") == "rpwrur"
    told = lab.run("diff", "answers:model=echo", "answers:model=wise", "specs/", "-o", "json", "--fail-if-worse").stdout
    found = {check["name"]: check for check in json.loads(told)["checks"]}["helpful"]
    assert found["difference"]["value"] == 0 and found["first"]["n"] == 5
    (lab.root / "results/answers-wise.helpful.jsonl").unlink()
    left = json.loads(lab.run("diff", "answers:model=echo", "answers:model=wise", "specs/", "-o", "json").stdout)
    assert [check["name"] for check in left["checks"]] == ["said"]
    told = lab.run("diff", "answers:model=echo", "answers:model=wise", "specs/").stdout
    assert "check `helpful` is not compared: of `answers:model=wise` there is no `answers-wise.helpful.jsonl`" in told
    assert lab.run("diff", "answers:model=echo", "answers:model=wise", "specs/", "--fail-if-worse", code=4)


def test_two_revisions_are_compared_by_the_verdicts_committed_with_each(lab: ScoreLab) -> None:
    lab.says = lambda row, how: VERDICTS.get(row, "good") if how == "beg" else row
    lab.apply()
    git = ["git", "-c", "user.name=a", "-c", "user.email=a@example.org"]
    for words in (["init", "-q"], ["add", "specs", "data", "results"], ["commit", "-qm", "one"]):
        subprocess.run([*git, *words], cwd=lab.root, check=True)
    lab.says = lambda row, how: "good" if how == "beg" else row
    lab.job(checks(), SPEC.replace("Please judge what", "Please say how good it is what"))
    lab.apply("--confirm-repay", "answers.helpful")
    found = json.loads(lab.run("diff", "HEAD:answers", "answers", "specs/", "-o", "json").stdout)
    helpful = next(check for check in found["checks"] if check["name"] == "helpful")
    # of the five rows that count in both: 1, 0.5, 0, 1 and 1 before, and all of them 1 now
    assert (helpful["first"]["value"], helpful["second"]["value"], helpful["first"]["n"]) == (0.7, 1.0, 5)
    assert helpful["difference"]["value"] == pytest.approx(0.3) and helpful["better_rows"] == 2


def test_a_strangers_clone_verifies_the_verdicts(lab: ScoreLab) -> None:
    lab.job(checks(HELPFUL.replace("}, max", '}, human: "{{ hand }}", max')), SPEC)
    lab.apply(code=4)
    lab.run("lock", "specs/")
    written = (lab.root / "runner.lock").read_bytes()
    assert b"corrected:" in written and b"by_hand:" in written
    lab.apply(code=4)
    assert (lab.root / "runner.lock").read_bytes() == written
    shutil.rmtree(lab.root / ".runner")
    lab.run("verify", "specs/", LAB_KEY="")
    path = lab.root / VERDICT_FILE
    path.write_bytes(path.read_bytes().replace(b'"answer":"partly"', b'"answer":"good"'))
    assert VERDICT_FILE in lab.run("verify", "specs/", code=1, LAB_KEY="").stderr


def test_other_verdicts_on_the_same_answers_come_into_the_lock(lab: ScoreLab) -> None:
    lab.apply(code=4)
    lab.run("lock", "specs/")
    lab.says = lambda row, how: "good" if how == "beg" else row
    lab.job(checks(), SPEC.replace("Please judge what", "Please say how good it is what"))
    lab.apply("--confirm-repay", "answers.helpful", code=4)
    lab.run("verify", "specs/")
    assert b"value: 1.0" in (lab.root / "runner.lock").read_bytes()


def test_recordings_are_judged_too_beside_their_folder(lab: ScoreLab) -> None:
    from runner.job.scored import verdicts_path

    assert verdicts_path("calls/", "helpful") == "calls.helpful.jsonl"


def test_the_embedded_server_judges_what_it_has_answered(tmp_path: Path) -> None:
    """No remote at all: a model of this machine answers, and another prompt of it judges."""
    from tests.journeys.lab import Lab

    root = tmp_path / "project"
    lab = Lab(root, None)  # type: ignore[arg-type]  # no server but that of the command itself
    (root / "specs").mkdir(parents=True)
    (root / "specs/a.yaml").write_text("""\
models: {echo: {provider: embedded, name: echo, params: {max_tokens: 64}}}
datasets: {rows: {files: data/rows.csv, id: id}}
prompts:
  ask: "{{ word }}"
  grade: "{% if 'fine' in answer %}good{% else %}bad{% endif %}"
jobs:
  answers:
    dataset: rows
    prompt: ask
    model: echo
    output: results/answers.jsonl
    checks: {helpful: {judge: grade, model: echo, verdicts: {good: 1, bad: 0}}}
    expect: {helpful: ">= 0.6"}
""")
    lab.rows({"r0": "fine", "r1": "poor", "r2": "fine too"})
    done = lab.apply()
    assert "helpful  66.7 %" in done.stdout and "2 right, 1 wrong" in done.stdout and "✓" in done.stdout
    assert lab.apply().stdout == "Nothing to do\n"
