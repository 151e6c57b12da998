"""`.runner/` is gone, or a clone is fresh: what the remote and the outputs remember is not paid for again."""

from __future__ import annotations

import csv
import json
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest

from tests.journeys.foretold import apply_as_foretold, planned, rehearsed
from tests.journeys.lab import SPEC, Lab
from tests.journeys.rounds import at, killed


@pytest.mark.parametrize("outputs", [True, False], ids=["with-outputs", "without-outputs"])
def test_after_it_was_done(lab: Lab, outputs: bool) -> None:
    lab.apply()
    before = lab.results()
    lab.forget()
    if not outputs:
        shutil.rmtree(lab.root / "results")
    apply_as_foretold(lab)
    assert lab.server.creates() == 1
    assert lab.results() == before
    assert lab.apply().stdout == "Nothing to do\n"


def test_while_it_runs(lab: Lab) -> None:
    lab.server.fault(hold=0.5)
    lab.apply("--no-wait", code=3)
    lab.forget()
    apply_as_foretold(lab, "--no-wait", code=3)
    assert lab.server.creates() == 1
    lab.server.fault(hold=None)
    lab.apply()
    assert lab.server.creates() == 1
    assert all(row["error"] is None for row in lab.results())


@pytest.mark.parametrize("outputs", [True, False], ids=["with-outputs", "without-outputs"])
@pytest.mark.parametrize("running", [True, False], ids=["running", "done"])
def test_and_one_row_was_edited_meanwhile(lab: Lab, outputs: bool, running: bool) -> None:
    if running:
        lab.server.fault(hold=0.5)
        lab.apply("--no-wait", code=3)
        lab.server.fault(hold=None)
    else:
        lab.apply()
    lab.forget()
    if not outputs and not running:
        shutil.rmtree(lab.root / "results")
    lab.rows({**{f"r{n}": f"word {n}" for n in range(10)}, "r4": "edited"})
    apply_as_foretold(lab)
    assert lab.server.sent()[1:] == [["r4"]]
    assert [row["custom_id"] for row in lab.results()] == [f"r{n}" for n in range(10)]
    assert lab.results()[4]["answer"] == "echo: Say edited"


def test_what_was_read_back_can_be_asked_again_at_once(lab: Lab) -> None:
    """Its batch lies at the remote, younger than the last search reached: that nobody wanted it is known."""
    lab.apply()
    lab.forget()
    lab.apply()
    lab.run("retry", "answers", "--replace")
    lab.apply()
    assert lab.server.creates() == 2
    assert [row["error"] for row in lab.results()] == [None] * 10


@pytest.mark.parametrize("suffix", ["csv", "parquet"])
def test_answers_are_read_back_from_tables(lab: Lab, suffix: str) -> None:
    path = lab.root / "specs/lab.yaml"
    path.write_text(path.read_text().replace("answers.jsonl", f"answers.{suffix}"))
    lab.apply()
    before = (lab.root / f"results/answers.{suffix}").read_bytes()
    lab.forget()
    reads = lab.server.asked()
    assert planned(lab)["requests"] == rehearsed(lab) == 0
    lab.apply()
    assert lab.server.asked() == reads  # the outputs held everything: the remote was not even asked
    assert (lab.root / f"results/answers.{suffix}").read_bytes() == before or suffix == "parquet"


@pytest.mark.parametrize("suffix", ["jsonl", "csv", "parquet"])
@pytest.mark.parametrize("columns", ["usd", "finish, input_tokens, output_tokens, usd, error", "output_tokens, status"])
def test_what_a_file_without_responses_says_of_its_answers_is_kept(lab: Lab, suffix: str, columns: str) -> None:
    """Nothing else says any more what they cost: neither lost state nor an edit of other rows may empty it."""
    path = lab.root / "specs/lab.yaml"
    chosen = f"columns: [custom_id, word, answer, {columns}, digest, origin]"
    text = path.read_text().replace("answers.jsonl", f"answers.{suffix}\n    {chosen}")
    path.write_text(text.replace("    name: echo\n", "    name: echo\n    price: {input: 0.7, output: 300}\n"))
    output = lab.root / f"results/answers.{suffix}"
    lab.apply()
    before, cells = output.read_bytes(), cells_in(output)
    assert all(value not in (None, "") for name, value in cells[0].items() if name != "error"), cells[0]
    lab.forget()
    plan = planned(lab)
    assert (plan["requests"], rehearsed(lab)) == (0, 0), plan
    lab.apply()
    assert output.read_bytes() == before
    lab.forget()
    lab.rows({**{f"r{n}": f"word {n}" for n in range(10)}, "r4": "edited"})
    lab.apply()
    assert lab.server.sent()[1:] == [["r4"]]
    after = cells_in(output)
    assert after[:4] + after[5:] == cells[:4] + cells[5:]
    assert all(value not in (None, "") for name, value in after[4].items() if name != "error"), after[4]


def cells_in(output: Path) -> list[dict[str, Any]]:
    match output.suffix:
        case ".jsonl":
            return [json.loads(line) for line in output.read_text().splitlines()]
        case ".csv":
            with output.open(encoding="utf-8-sig", newline="") as file:
                return list(csv.DictReader(file))
        case _:
            return list(pq.read_table(output).to_pylist())


def test_a_lost_lineage_is_found_whole(lab: Lab) -> None:
    lab.server.fault(expire_at={"value": 0.5, "count": 2})
    lab.apply()
    assert len(lab.server.sent()) == 3
    before = lab.results()
    lab.forget()
    shutil.rmtree(lab.root / "results")
    apply_as_foretold(lab)
    assert len(lab.server.sent()) == 3
    assert lab.results() == before


def test_a_missing_output_is_written_again(lab: Lab) -> None:
    lab.apply()
    before = lab.results()
    (lab.root / "results/answers.jsonl").unlink()
    assert "output file missing" in lab.run("plan").stdout
    lab.apply()
    assert lab.results() == before
    assert lab.server.creates() == 1


def test_a_search_that_was_cut_off_goes_on_before_anything_counts_as_an_outcome(lab: Lab) -> None:
    """What was refused first, and answered when it was asked again, is in two batches; only one is on record."""
    lab.server.fault(row_error={"value": 1.0, "status": 400})
    lab.apply(code=4)
    lab.server.fault(row_error=None)
    lab.run("retry", "answers")
    lab.apply()
    answers = lab.results()
    lab.apply_anew()
    crossed = killed(lab, 0).crossed
    lab.apply_anew()
    assert killed(lab, at(crossed, "after write batch,project")).is_dead
    lab.apply()
    assert lab.results() == answers
    assert [len(ids) for ids in lab.server.sent()] == [10, 10]
    assert lab.apply().stdout == "Nothing to do\n"


def test_a_fresh_clone_without_a_key_is_told_the_same_by_all_three(lab: Lab) -> None:
    lab.apply()
    asked = lab.server.asked()
    lab.forget()
    plan = planned(lab, LAB_KEY="")
    assert (plan["requests"], plan["usd"], plan["is_empty"]) == (0, 0.0, True)
    assert plan["not_asked"] == {"lab": "nothing is to be sent to it"}
    assert rehearsed(lab, LAB_KEY="") == 0
    assert lab.apply(LAB_KEY="").stdout == "Nothing to do\n"
    again = json.loads(lab.run("plan", "-o", "json", LAB_KEY="").stdout)
    assert again["not_asked"] == {}  # it is on record now, as after any apply
    assert lab.server.asked() == asked


def test_a_fresh_clone_without_outputs_is_told_the_same_with_a_key_that_only_reads(lab: Lab) -> None:
    lab.apply()
    before = lab.results()
    lab.forget()
    shutil.rmtree(lab.root / "results")
    apply_as_foretold(lab, RUNNER_READONLY="1")
    assert lab.results() == before


# --- answers that are held to checks -------------------------------------------------------------------------------

CHECKED = SPEC.replace(
    "    output: results/answers.jsonl\n",
    "    output: results/answers.{suffix}\n"
    '    checks: {{said: {{contains: "{{{{ word }}}}"}}, short: {{expression: "{{{{ answer | length < 13 }}}}"}}}}\n'
    '    expect: {{said: "{bound}"}}\n',
)
SCORES = "results/answers.scores.jsonl"


def told_by_all_three(lab: Lab, words: str, code: int = 0) -> subprocess.CompletedProcess[str]:
    """What one apply says, of which a plan and a rehearsal before it say these words too; nobody is asked anything."""
    asked = lab.server.asked()
    assert words in lab.run("plan", "specs/", "--detailed-exitcode", code=2, LAB_KEY="").stdout
    assert words in lab.run("apply", "specs/", "--rehearse", LAB_KEY="").stdout
    done = lab.apply(code=code, LAB_KEY="")
    assert lab.server.asked() == asked
    assert lab.run("plan", "specs/", "--detailed-exitcode", LAB_KEY="").stdout == "Nothing to do\n"
    return done


@pytest.mark.parametrize(
    ("suffix", "bound", "code"), [("jsonl", ">= 1", 0), ("csv", ">= 1", 0), ("parquet", ">= 1", 0), ("jsonl", "< 1", 4)]
)
def test_scores_of_a_fresh_clone_are_as_they_are(lab: Lab, suffix: str, bound: str, code: int) -> None:
    lab.spec(CHECKED, suffix=suffix, bound=bound)
    first = lab.apply(code=code)
    before, asked = results_of(lab), lab.server.asked()
    lab.forget()
    plan = lab.run("plan", "specs/", "--detailed-exitcode", LAB_KEY="")
    assert plan.stdout.endswith("Nothing to do\n") and "rewrite" not in plan.stdout
    rehearsed = lab.run("apply", "specs/", "--rehearse", LAB_KEY="").stdout
    assert rehearsed.startswith("1 job unchanged\n") and "would send nothing" in rehearsed
    done = lab.apply(code=code, LAB_KEY="")
    assert done.stdout.splitlines() == [line for line in first.stdout.splitlines() if line]
    assert "wrote" not in done.stderr and "scored" not in done.stderr
    assert results_of(lab) == before and lab.server.asked() == asked
    assert lab.run("plan", "specs/", "--detailed-exitcode", LAB_KEY="").stdout == "Nothing to do\n"
    again = lab.apply(code=code, LAB_KEY="")
    assert again.stdout == ("Nothing to do\n" if code == 0 else done.stdout)  # what is not met is told each time


def results_of(lab: Lab) -> dict[str, tuple[int, int, int]]:
    """The files of a project that an apply made, by when they were written and as which file."""
    return {name: about for name, about in lab.files().items() if name.startswith("results/")}


def test_scores_that_somebody_edited_before_the_clone_was_made_are_told(lab: Lab) -> None:
    lab.spec(CHECKED, suffix="jsonl", bound=">= 1")
    lab.apply()
    path, results = lab.root / SCORES, (lab.root / "results/answers.jsonl").stat()
    before = path.read_bytes()
    edited = before.replace(b"right", b"wrong", 5)  # of the second row the first check
    path.write_bytes(edited)
    lab.forget()
    done = told_by_all_three(
        lab, f"`{SCORES}`  the file that is there differs: line 1; the file that is there is kept as"
    )
    assert f"scored, wrote `{SCORES}` (the file that is there differs: line 1)" in done.stderr
    assert path.read_bytes() == before and Path(f"{path}.bak").read_bytes() == edited
    assert (lab.root / "results/answers.jsonl").stat() == results


def test_a_check_that_was_edited_before_the_clone_was_made_is_told(lab: Lab) -> None:
    lab.spec(CHECKED, suffix="jsonl", bound=">= 1")
    lab.apply()
    lab.spec(CHECKED.replace("< 13", "< 17"), suffix="jsonl", bound=">= 1")
    lab.forget()
    told_by_all_three(lab, f"~ rewrite  `{SCORES}`  the file that is there differs: line 1\n")
    assert not Path(f"{lab.root / SCORES}.bak").exists()
    assert {row["checks"]["short"]["status"] for row in lab.results(SCORES)} == {"right"}


def test_scores_that_a_clone_lacks_are_told(lab: Lab) -> None:
    lab.spec(CHECKED, suffix="jsonl", bound=">= 1")
    lab.apply()
    before = (lab.root / SCORES).read_bytes()
    (lab.root / SCORES).unlink()
    lab.forget()
    told_by_all_three(lab, f"~ rewrite  `{SCORES}`  answers that were not scored before")
    assert (lab.root / SCORES).read_bytes() == before


@pytest.mark.parametrize("bound", [">= 1", "< 1"])
def test_scores_of_what_is_read_from_the_remote_with_a_key_that_only_reads(lab: Lab, bound: str) -> None:
    code = 4 if bound == "< 1" else 0
    lab.spec(CHECKED, suffix="jsonl", bound=bound)
    lab.apply(code=code)
    before, scores = lab.results(), (lab.root / SCORES).read_bytes()
    lab.forget()
    shutil.rmtree(lab.root / "results")
    apply_as_foretold(lab, code=code, RUNNER_READONLY="1")
    assert lab.results() == before and (lab.root / SCORES).read_bytes() == scores
    assert lab.run("plan", "specs/", "--detailed-exitcode", RUNNER_READONLY="1").stdout == "Nothing to do\n"


def test_a_file_of_somebody_else_is_told_before_it_stands_in_the_way(lab: Lab) -> None:
    lab.spec(CHECKED, suffix="jsonl", bound=">= 1")
    lab.apply()
    (lab.root / SCORES).write_text("my own notes\n")
    lab.forget()
    words = "`answers.scores.jsonl` is there already, and runner did not write it"
    assert words in lab.run("plan", "specs/", "--detailed-exitcode", code=2).stderr
    assert words in lab.run("apply", "specs/", "--rehearse").stderr
    assert words in lab.apply(code=1).stderr
    assert (lab.root / SCORES).read_text() == "my own notes\n"


def test_a_plan_says_of_whom_it_has_not_asked_and_why(lab: Lab) -> None:
    lab.apply()
    lab.forget()
    shutil.rmtree(lab.root / "results")
    plan = planned(lab, LAB_KEY="")
    assert plan["requests"] == 10
    assert plan["not_asked"] == {"lab": "no API key for `lab`: `LAB_KEY` is not set"}
    told = lab.run("plan", LAB_KEY="").stdout
    assert "`lab` was not asked what it holds of this project: no API key for `lab`: `LAB_KEY` is not set" in told
    asked = lab.server.asked()
    assert planned(lab, "--offline")["not_asked"] == {"lab": "`--offline` asks no remote"}
    assert "`--offline` asks no remote" in lab.run("plan", "--offline").stdout
    assert lab.server.asked() == asked
    assert "`lab` was not asked" in lab.run("apply", "specs/", "--rehearse", LAB_KEY="").stderr


def test_a_plan_of_what_is_in_sync_asks_nobody(lab: Lab) -> None:
    lab.apply()
    asked = lab.server.asked()
    assert lab.run("plan").stdout == "Nothing to do\n"
    assert planned(lab)["not_asked"] == {}
    assert lab.server.asked() == asked
