"""Answers held to checks: every row is in one sum, every gate is decided or says why not, nothing is sent for it."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from runner.stats.intervals import of_rate
from runner.stats.paired import Pairs, of_pairs
from tests.journeys.rounds import killed
from tests.journeys.scorelab import EXPIRED, FAILED, SILENT, SPEC, ScoreLab, score_lab

CHECKS = """\
checks:
  intent: {choice: "{{ intent }}", extract: '^Intent: (\\w+)', where: "{{ kind != 'chat' }}"}
  said: {contains: "{{ word }}"}
"""
ROWS = [
    {"id": "r0", "word": "a0", "intent": "refund"},
    {"id": "r1", "word": "a1", "intent": "refund"},
    {"id": "r2", "word": "a2", "intent": "order"},
    {"id": "r3", "word": "a3", "intent": "order"},
    {"id": "r4", "word": "a4", "intent": "order"},  # an error
    {"id": "r5", "word": "a5", "intent": "refund"},  # not asked in time
    {"id": "r6", "word": "a6", "intent": "refund"},  # refused
    {"id": "r7", "word": "a7", "intent": "refund"},  # names two
    {"id": "r8", "word": "a8", "intent": None},  # no reference
    {"id": "r9", "word": "a9", "intent": "refund", "kind": "chat"},  # does not apply
]
ANSWERS = {
    "r0": "Intent: refund, a0",
    "r1": "Intent: order",
    "r2": "a2\nIntent: order\n",
    "r3": "Intent: ORDER a3",
    "r4": FAILED,
    "r5": EXPIRED,
    "r6": {"content": None, "refusal": "I would rather not"},
    "r7": "Intentions: none, a7",
    "r8": "Intent: refund a8",
    "r9": "Intent: refund a9",
}


@pytest.fixture
def lab(tmp_path: Path) -> Iterator[ScoreLab]:
    with score_lab(tmp_path / "project") as made:
        made.table([{"kind": "task", **row} for row in ROWS])
        made.answers = ANSWERS
        yield made


def test_every_row_is_in_one_sum(lab: ScoreLab) -> None:
    lab.job(CHECKS)
    done = lab.apply(code=4)
    assert lab.statuses("intent") == "rwrrmmuu0s"
    assert lab.statuses("said") == "rwrrmmurrr"
    lines = done.stdout.splitlines()
    assert lines[0] == "answers  8 ok, 1 of them refused, 2 error of 10  results/answers.jsonl"
    told = [" ".join(line.split()) for line in lines if line.startswith("  ") and "!" not in line]
    assert told == [
        "intent 50.0 % (18.8 to 81.2) 3 right, 1 wrong, 2 unreadable; 2 unanswered, 1 no reference, 1 skipped",
        "said 75.0 % (40.9 to 92.9) 6 right, 1 wrong, 1 unreadable; 2 unanswered",
    ]
    for check in lab.status_of()["scores"]["checks"]:
        assert sum(check["counts"].values()) == 10


def test_a_line_says_what_was_read_and_what_was_expected(lab: ScoreLab) -> None:
    lab.job(CHECKS)
    lab.apply(code=4)
    scores, results = lab.scores(), lab.results()
    assert [row["custom_id"] for row in scores] == [row["custom_id"] for row in results]
    assert [row["digest"] for row in scores] == [row["digest"] for row in results]
    entries = [row["checks"]["intent"] for row in scores]
    assert entries[1] == {"status": "wrong", "score": 0, "got": "order", "expected": "refund"}
    assert entries[4] == {"status": "unanswered", "score": None, "got": None, "expected": "order"}
    assert entries[7] == {"status": "unreadable", "score": None, "got": None, "expected": "refund"}
    assert entries[9] == {"status": "skipped", "score": None, "got": None, "expected": None, "over": 0, "under": 0}


def test_results_are_byte_for_byte_what_they_are_without_checks(lab: ScoreLab, tmp_path: Path) -> None:
    lab.job()
    lab.apply(code=4)
    bare = (lab.root / "results/answers.jsonl").read_bytes()
    lab.job(CHECKS)
    lab.apply(code=4)
    assert (lab.root / "results/answers.jsonl").read_bytes() == bare
    assert len(lab.remote.created) == 1


GATES = [
    ("intent", '{is: ">= 0.4"}', "undecided"),  # 3 of 6, or of 8
    ("intent", '{is: ">= 0.3"}', "met"),
    ("intent", '{is: ">= 0.6"}', "unmet"),
    ("intent", '{is: ">= 0.15", by: interval}', "undecided"),
    ("answered", '{is: ">= 80 %"}', "met"),
    ("answered", '{is: "> 80 %"}', "unmet"),
    ("said", '{is: "<= 0.75"}', "met"),
    ("said", '{is: ">= 0.5", slice: {kind: chat}}', "met"),
    ("said", '{is: ">= 0.7", slice: {kind: task}}', "undecided"),  # 5 of 7, or of 9
    ("intent.unreadable", '{is: "<= 0.34"}', "undecided"),  # 2 of 6, or 4 of 8
    ("intent.unreadable", '{is: "<= 0.5"}', "met"),
    ("intent.macro_f1", '{is: ">= 0.9"}', "unmet"),
]


def test_gates_are_met_unmet_or_undecided(lab: ScoreLab) -> None:
    expect = {metric: ", ".join(said for name, said, _ in GATES if name == metric) for metric, _, _ in GATES}
    lines = "".join(f"  {metric}: [{said}]\n" for metric, said in expect.items())
    lab.job(f"{CHECKS}slices: [kind]\nexpect:\n{lines}")
    done = lab.apply(code=4)
    found = lab.status_of()["scores"]["gates"]
    assert [(gate["metric"], gate["verdict"]) for gate in found] == [
        (metric, verdict) for name in expect for metric, _, verdict in GATES if metric == name
    ]
    for sign, verdict in (("✓", "met"), ("✕ expected", "unmet"), ("? expected", "undecided")):
        assert done.stdout.count(sign) == sum(one == verdict for _, _, one in GATES)


def test_an_undecided_gate_says_which_rows_decide_and_the_way_out(lab: ScoreLab) -> None:
    lab.job(f'{CHECKS}expect: {{intent: ">= 0.4"}}\n')
    done = lab.apply(code=4)
    assert "? expected >= 40 %: 2 unanswered rows decide: 50.0 % without them, 37.5 % if they are wrong" in done.stdout
    assert (
        "`runner retry answers specs/` asks again what failed; or write `unanswered: excluded` in check `intent`"
        in (done.stdout)
    )
    lab.job(f'{CHECKS.replace("extract", "unanswered: excluded, extract")}expect: {{intent: ">= 0.4"}}\n')
    assert lab.apply(code=4).stdout.count("✓") == 1
    lab.job(f'{CHECKS.replace("extract", "unanswered: wrong, extract")}expect: {{intent: ">= 0.4"}}\n')
    assert "✕ expected >= 40 %" in lab.apply(code=4).stdout
    assert len(lab.remote.created) == 1


def test_an_unmet_gate_fails_also_when_nothing_was_sent(lab: ScoreLab) -> None:
    lab.answers = {row["id"]: f"Intent: {row['intent']} {row['word']}" for row in ROWS}
    lab.job(f'{CHECKS}expect: {{said: "> 1"}}\n')
    first = lab.apply(code=4)
    assert "✕ expected > 100 %" in first.stdout
    again = lab.apply(code=4)
    assert "✕ expected > 100 %" in again.stdout
    assert "Not everything is as expected" in again.stderr
    lab.job(f'{CHECKS}expect: {{said: ">= 1"}}\n')
    assert "✓" in lab.apply().stdout
    assert lab.apply().stdout == "Nothing to do\n"
    assert len(lab.remote.created) == 1


def test_status_shows_what_apply_said_and_signs_are_ascii_where_nothing_else_can_be(lab: ScoreLab) -> None:
    lab.job(f'{CHECKS}expect: {{answered: ">= 0.5", intent: ">= 0.9", said.unreadable: "<= 0.2"}}\n')
    done = lab.apply(code=4, PYTHONIOENCODING="ascii")
    lines = [line for line in done.stdout.splitlines() if "%" in line]
    assert ["  x expected" in lines[0], lines[2].endswith("  +"), "  ? expected" in lines[3]] == [True] * 3
    told = [line for line in lab.run("status", "specs/", "--offline").stdout.splitlines() if "%" in line]
    assert [line.replace("✕", "x").replace("✓", "+") for line in told] == lines


def test_an_apply_says_it_as_json(lab: ScoreLab) -> None:
    lab.job(f'{CHECKS}expect: {{intent: ">= 0.4", said: ">= 0.9"}}\n')
    lab.ending = "in_progress"
    view = json.loads(lab.apply("--no-wait", "-o", "json", code=3).stdout)
    assert [gate["verdict"] for gate in view["gates"]["answers"]] == ["not_yet"] * 2
    lab.ending = "completed"
    view = json.loads(lab.apply("-o", "json", code=4).stdout)
    (job,) = view["jobs"]
    assert (view["exit_code"], job["ok"], job["error"]) == (4, 8, 2)
    assert [gate["verdict"] for gate in view["gates"]["answers"]] == ["undecided", "unmet"]
    assert job["scores"]["checks"][0]["figure"]["value"] == 0.5
    assert job["scores"]["checks"][0]["signature"].endswith("|checks/1")


def test_a_job_that_runs_is_not_evaluated(lab: ScoreLab) -> None:
    lab.ending = "in_progress"
    lab.job(f'{CHECKS}expect: {{said: ">= 1"}}\n')
    done = lab.apply("--no-wait", code=3)
    assert "– expected >= 100 %: not yet" in done.stdout
    assert not (lab.root / "results/answers.scores.jsonl").exists()
    lab.ending = "completed"
    assert "✕ expected >= 100 %" in lab.apply(code=4).stdout


def test_an_edited_check_is_scored_again_and_nothing_is_sent(lab: ScoreLab) -> None:
    lab.job(CHECKS)
    lab.apply(code=4)
    before = lab.files()
    again = lab.apply(code=4)
    assert "intent" in again.stdout  # errors are told each time
    changed = {name for name, about in lab.files().items() if before.get(name) != about}
    assert not {name for name in changed if name.startswith("results/")}
    lab.job(CHECKS.replace("{{ word }}", "{{ word | upper }}"))
    asked = len(lab.remote.asked)
    lab.apply(code=4)
    assert lab.statuses("said") == "wwwwmmuwww"
    assert [route for route in lab.remote.asked[asked:] if route.startswith("POST")] == []
    assert len(lab.remote.created) == 1
    results = {name: about for name, about in lab.files().items() if name == "results/answers.jsonl"}
    assert results == {"results/answers.jsonl": before["results/answers.jsonl"]}


def test_a_plan_says_what_would_be_scored(lab: ScoreLab) -> None:
    lab.answers = {}
    lab.job()
    lab.apply()
    for checks, why in (
        (CHECKS, "answers that were not scored before"),
        (CHECKS.replace("{{ word }}", "remote"), "checks, expectations or references changed"),
    ):
        lab.job(checks)
        told = lab.run("plan", "specs/", "--detailed-exitcode", code=2).stdout
        assert " ".join(told.split()).endswith(f"`results/answers.scores.jsonl` {why} Plan: 1 file to write")
        lab.apply()
        assert "Nothing to do" in lab.run("plan", "specs/", "--detailed-exitcode").stdout
    (lab.root / "results/answers.scores.jsonl").unlink()
    assert "output file missing" in lab.run("plan", "specs/", "--detailed-exitcode", code=2).stdout


def test_an_edited_expectation_writes_no_file(lab: ScoreLab) -> None:
    lab.answers = {}
    checks = 'checks: {said: {contains: "remote"}}\n'
    lab.job(checks + 'expect: {said: ">= 50 %"}\n')
    lab.apply()
    before = lab.files()["results/answers.scores.jsonl"]
    for expect, code in ((">= 1 %", 0), ("<= 1 %", 4), (">= 2 %", 0)):
        lab.job(checks + f'expect: {{said: "{expect}"}}\n')
        assert "Nothing to do" in lab.run("plan", "specs/", "--detailed-exitcode").stdout
        done = lab.apply(code=code)
        assert ("✕ expected <= 1 %" in done.stdout) is (code == 4)
        assert "scored, wrote" not in done.stderr
        assert lab.files()["results/answers.scores.jsonl"] == before
        [gate] = lab.status_of("answers")["scores"]["gates"]
        assert gate["verdict"] == ("unmet" if code else "met")


def test_a_new_answer_is_scored(lab: ScoreLab) -> None:
    lab.job(CHECKS)
    lab.apply(code=4)
    lab.answers = {**ANSWERS, "r4": "Intent: order a4", "r5": "Intent: order"}
    lab.run("retry", "answers", "specs/")
    done = lab.apply()
    assert lab.statuses("intent") == "rwrrrwuu0s"
    # the results were written just before, and are the only thing that is new
    assert "scored, wrote `results/answers.scores.jsonl` (outcomes, rows or columns changed)" in done.stderr
    lab.job(CHECKS.replace("{{ word }}", "remote"))
    assert "(checks, expectations or references changed)" in lab.apply().stderr


def test_removed_checks_remove_the_scores_and_edited_scores_stay(lab: ScoreLab) -> None:
    lab.job(CHECKS)
    lab.apply(code=4)
    path = lab.root / "results/answers.scores.jsonl"
    lab.job()
    lab.apply(code=4)
    assert not path.exists()
    assert lab.status_of()["scores"] is None
    lab.job(CHECKS)
    lab.apply(code=4)
    path.write_bytes(path.read_bytes().replace(b"right", b"wrong"))
    lab.apply(code=4)
    assert (lab.root / "results/answers.scores.jsonl.bak").exists()
    assert lab.statuses("intent") == "rwrrmmuu0s"
    path.write_bytes(path.read_bytes().replace(b"right", b"wrong"))
    lab.job()
    assert "stays as it is" in lab.apply(code=4).stderr
    assert path.exists()


def test_what_becomes_of_scores_without_checks_is_said_before(lab: ScoreLab) -> None:
    """By a plan, and by a rehearsal, in the words of the apply that does it."""
    words = "`results/answers.scores.jsonl`  the specs check nothing of it any more"
    path = lab.root / "results/answers.scores.jsonl"
    lab.answers = {}
    for left in ("", 'expect: {answered: ">= 1"}'):  # expectations without checks have no file either
        lab.job(CHECKS)
        lab.apply()
        assert path.exists()
        lab.job(left)
        plan = lab.run("plan", "specs/", "--detailed-exitcode", code=2).stdout
        assert f"- remove   {words}" in plan and plan.endswith("Plan: 1 file to remove\n")
        assert f"- remove   {words}" in lab.run("apply", "specs/", "--rehearse").stdout
        assert path.exists()
        done = lab.apply()
        assert "- `results/answers.scores.jsonl` is removed: the specs check nothing of it any more" in done.stdout
        assert not path.exists()
        assert lab.run("plan", "specs/", "--detailed-exitcode").stdout == "Nothing to do\n"
        assert lab.apply().stdout == "Nothing to do\n"


def test_edited_scores_without_checks_stay_and_all_three_say_so(lab: ScoreLab) -> None:
    lab.answers = {}
    lab.job(CHECKS)
    lab.apply()
    path = lab.root / "results/answers.scores.jsonl"
    path.write_bytes(path.read_bytes().replace(b"wrong", b"right"))
    lab.job()
    words = "`results/answers.scores.jsonl` was changed since it was written, and stays as it is"
    plan = lab.run("plan", "specs/", "--detailed-exitcode")
    assert plan.stdout == "Nothing to do\n" and words in plan.stderr
    assert words in lab.run("apply", "specs/", "--rehearse").stderr
    assert words in lab.apply().stderr
    assert path.exists() and words not in lab.apply().stderr


def test_scores_go_where_the_output_goes(lab: ScoreLab) -> None:
    """What was written under the earlier name stays, as results do."""
    lab.answers = {}
    lab.job(CHECKS)
    lab.apply()
    before = (lab.root / "results/answers.scores.jsonl").read_bytes()
    lab.job(CHECKS, SPEC.replace("answers.jsonl", "replies.jsonl"))
    for words in (("plan", "specs/"), ("apply", "specs/", "--rehearse")):
        told = " ".join(lab.run(*words).stdout.split())
        assert "~ rewrite `results/replies.jsonl` output path or format changed" in told
        assert "~ rewrite `results/replies.scores.jsonl` output path or format changed" in told
    lab.apply()
    assert (lab.root / "results/replies.scores.jsonl").read_bytes() == before
    assert (lab.root / "results/answers.scores.jsonl").read_bytes() == before
    assert lab.run("plan", "specs/", "--detailed-exitcode").stdout == "Nothing to do\n"


def test_somebody_elses_file_is_never_written_over(lab: ScoreLab) -> None:
    path = lab.root / "results/answers.scores.jsonl"
    path.parent.mkdir()
    path.write_text("my own notes\n")
    lab.job(CHECKS)
    done = lab.apply(code=1)
    assert "`answers.scores.jsonl` is there already, and runner did not write it" in done.stderr
    assert path.read_text() == "my own notes\n"
    assert len(lab.results()) == 10


def test_a_check_that_fails_on_rows_stops_its_scores_and_not_the_results(lab: ScoreLab) -> None:
    lab.job('checks: {odd: {expression: "{{ 1 // (word[1:] | int) > 0 }}"}}')
    done = lab.apply(code=1)
    assert "1 row of job `answers` cannot be scored; its results are written" in done.stderr
    assert "r0: `expression` of check" in done.stderr
    assert "modulo by zero" in done.stderr
    assert len(lab.results()) == 10
    assert not (lab.root / "results/answers.scores.jsonl").exists()
    lab.apply(code=1)  # and again, since nothing is put right
    lab.job('checks: {odd: {expression: "{{ (word[1:] | int) > 0 }}"}}')
    lab.apply(code=4)
    assert lab.statuses("odd")[:4] == "wrrr"


def test_twenty_rows_that_fail_are_listed_and_all_of_them_counted(lab: ScoreLab) -> None:
    lab.table([{"id": f"r{n}", "word": "x", "n": n % 2} for n in range(1000)])
    lab.answers = {}
    lab.job('checks: {odd: {expression: "{{ 1 // n > 0 }}"}}')
    done = lab.apply(code=1)
    assert "500 rows of job `answers` cannot be scored" in done.stderr
    assert done.stderr.count("modulo by zero") == 20
    assert "and 480 more" in done.stderr


def test_a_reference_that_cannot_be_used_is_told_with_its_row(lab: ScoreLab) -> None:
    lab.job('checks: {count: {number: "{{ word }}"}}')
    done = lab.apply(code=1)
    assert "r0: the reference of check `count` (specs/lab.yaml:" in done.stderr
    assert "`a0`" in done.stderr


def test_a_pattern_that_never_ends_does_not_hang_an_apply(lab: ScoreLab) -> None:
    lab.answers = {**ANSWERS, "r3": "a" * 40 + "!"}
    lab.job("checks: {odd: {regex: '^(a+)+$'}, said: {contains: \"{{ word }}\"}}")
    done = lab.apply(code=1)
    assert "takes more than half a second of processor time for the row at `r3`" in done.stderr
    assert len(lab.results()) == 10


def test_a_fresh_clone_scores_what_its_outputs_hold(lab: ScoreLab) -> None:
    lab.answers = {row["id"]: f"Intent: {row['intent']} {row['word']}" for row in ROWS}
    lab.job(f'{CHECKS}expect: {{said: ">= 1"}}\n')
    first = lab.apply()
    scores = (lab.root / "results/answers.scores.jsonl").read_bytes()
    lab.forget()
    lab.remote.lists = False
    done = lab.apply()
    assert len(lab.remote.created) == 1
    assert [line for line in done.stdout.splitlines() if "%" in line] == [
        line for line in first.stdout.splitlines() if "%" in line
    ]
    assert (lab.root / "results/answers.scores.jsonl").read_bytes() == scores
    assert not (lab.root / "results/answers.scores.jsonl.bak").exists()
    (lab.root / "results/answers.scores.jsonl").unlink()
    lab.forget()
    lab.apply()
    assert (lab.root / "results/answers.scores.jsonl").read_bytes() == scores


@pytest.mark.parametrize("suffix", ["jsonl", "csv", "parquet"])
def test_a_fresh_clone_tells_of_answers_that_are_none_beside_their_scores(lab: ScoreLab, suffix: str) -> None:
    """The file is not written again, and holds no responses: its `finish` says how many."""
    lab.answers = {"r6": ANSWERS["r6"]}
    chosen = "columns: [custom_id, answer, finish, status, digest, origin]\n"
    lab.job(f"{CHECKS}{chosen}", SPEC.replace("answers.jsonl", f"answers.{suffix}"))
    first = lab.apply().stdout
    assert first.startswith("answers  10 ok, 1 of them refused, 0 error of 10")
    lab.forget()
    lab.remote.lists = False
    assert lab.apply().stdout == first
    assert len(lab.remote.created) == 1


def test_signatures_stand_with_every_number(lab: ScoreLab) -> None:
    lab.job(f"{CHECKS}cluster: kind\n")
    lab.apply(code=4)
    found = [check["signature"] for check in lab.status_of()["scores"]["checks"]]
    extract = "choice|extract:^Intent: (\\w+)|where:{{ kind != 'chat' }}|ignore:case,space"
    assert found == [
        f"{extract}|unreadable:wrong|unanswered:excluded|n:6|ci:wilson-neff,kind,95|checks/1",
        "contains|unreadable:wrong|unanswered:excluded|n:8|ci:wilson-neff,kind,95|checks/1",
    ]


def test_a_rehearsal_scores_nothing(lab: ScoreLab) -> None:
    lab.job(CHECKS)
    lab.run("apply", "specs/", "--rehearse")
    assert "scores" not in json.dumps(sorted(lab.files()))


# --- killed -------------------------------------------------------------------------------------------------------


def test_killed_at_every_boundary_of_scoring_the_next_apply_ends_it(lab: ScoreLab) -> None:
    lab.job(CHECKS)
    lab.apply(code=4)
    first = (lab.root / "results/answers.scores.jsonl").read_bytes()
    results = lab.files()["results/answers.jsonl"]
    edited = CHECKS.replace("{{ word }}", "{{ word | upper }}")
    lab.job(edited)
    lab.apply(code=4)
    second = (lab.root / "results/answers.scores.jsonl").read_bytes()
    assert first != second
    wanted = {edited: second, CHECKS: first}
    names: list[str] = []
    for number in range(1, 10):
        checks = CHECKS if number % 2 else edited
        lab.job(checks)
        found = killed(lab, number, "--once")
        names = found.crossed
        left = (lab.root / "results/answers.scores.jsonl").read_bytes()
        assert left in (first, second)
        lab.apply(code=4)
        assert (lab.root / "results/answers.scores.jsonl").read_bytes() == wanted[checks]
        assert lab.files()["results/answers.jsonl"] == results
        assert not list((lab.root / "results").glob("*.bak"))
        if not found.is_dead:
            break
    assert names == [
        "open answers.scores.jsonl",
        "rename answers.scores.jsonl",
        "renamed answers.scores.jsonl",
        "before write job",
        "after write job",
    ]
    assert len(lab.remote.created) == 1


# --- two cells ----------------------------------------------------------------------------------------------------

TWO = (
    SPEC.replace(
        'ask: {user: "Say {{ word }}"}', 'ask: {user: "Say {{ word }}"}\n  beg: {user: "Please say {{ word }}"}'
    )
    .replace("    prompt: ask\n", "    matrix: {prompt: [ask, beg]}\n")
    .replace("answers.jsonl", "{{ prompt }}.jsonl")
)


def two_cells(lab: ScoreLab, right: dict[str, int], margin: float, more: str = "", rows: int = 40) -> None:
    """So many of each prompt's answers are right: the last ones of `ask`, the first ones of `beg`."""
    lab.table([{"id": f"r{n}", "word": f"w{n}", "customer": f"c{n % 8}"} for n in range(rows)])
    lab.answers = {}

    def said(row: str, prompt: str) -> str:
        number = int(row[1:])
        return f"w{number}" if number < right[prompt] else "no"

    lab.says = said
    checks = f'checks: {{said: {{equals: "{{{{ word }}}}"}}}}\n{more}'
    lab.job(f"{checks}expect: {{said: {{not_worse_than: {{prompt: ask}}, margin: {margin}}}}}\n", TWO)


@pytest.mark.parametrize(
    ("beg", "margin", "verdict"), [(30, 0.15, "met"), (30, 0.05, "unmet"), (36, 0.0, "met"), (20, 0.1, "unmet")]
)
def test_a_cell_is_held_to_another_on_the_same_rows(lab: ScoreLab, beg: int, margin: float, verdict: str) -> None:
    two_cells(lab, {"ask": 30, "beg": beg}, margin)
    done = lab.apply(code=0 if verdict == "met" else 4)
    (gate,) = lab.status_of("answers:prompt=beg")["scores"]["gates"]
    assert gate["verdict"] == verdict
    assert gate["figure"]["value"] == pytest.approx((beg - 30) / 40)
    pairs = Pairs(min(beg, 30), max(0, beg - 30), max(0, 30 - beg), 40 - max(beg, 30))
    assert (gate["figure"]["low"], gate["figure"]["high"]) == of_pairs(pairs)
    assert lab.status_of("answers:prompt=ask")["scores"]["gates"] == []
    assert ("✓" if verdict == "met" else "✕ expected not worse than answers:prompt=ask") in done.stdout
    assert lab.apply(code=0 if verdict == "met" else 4).stderr.count("scored") == 0


def test_clusters_widen_the_interval_of_a_difference(lab: ScoreLab) -> None:
    two_cells(lab, {"ask": 30, "beg": 36}, 0.0, "cluster: customer\n")
    lab.apply(code=None)
    (gate,) = lab.status_of("answers:prompt=beg")["scores"]["gates"]
    assert gate["figure"]["clusters"] == 8
    assert gate["figure"]["n"] == 40


def test_replicates_are_pooled_and_their_rows_are_clusters(lab: ScoreLab) -> None:
    spec = SPEC.replace("    max_attempts: 1\n", "    max_attempts: 1\n    matrix: {replicate: [1, 2, 3]}\n")
    lab.table([{"id": f"r{n}", "word": f"w{n}"} for n in range(20)])
    lab.answers = {f"r{n}": f"w{n}" for n in range(15)}
    lab.job('checks: {said: {equals: "{{ word }}"}}', spec.replace("answers.jsonl", "a{{ replicate }}.jsonl"))
    done = lab.apply()
    alone = of_rate(15, 20)
    assert done.stdout.count(f"({100 * alone.low:.1f} to {100 * alone.high:.1f})") == 3
    pooled = lab.status_of("answers:replicate=1")["scores"]["pooled"]
    (check,) = pooled["checks"]
    assert check["counts"] == {"right": 45, "wrong": 15}
    assert (check["figure"]["n"], check["figure"]["clusters"]) == (60, 20)
    # three equal answers to a row are worth one: the interval is that of 20 rows, with t for z
    assert check["figure"]["low"] < alone.low
    assert "ci:wilson-neff,row,95" in check["signature"]
    assert "said, 3 replicates" in done.stdout
    assert lab.apply().stdout == "Nothing to do\n"


# --- references, clusters, slices, files --------------------------------------------------------------------------


def test_references_are_joined_and_the_prompt_does_not_see_them(lab: ScoreLab) -> None:
    lab.job('checks: {said: {contains: "{{ word }}"}}')
    lab.apply(code=4)
    spec = SPEC.replace("datasets:\n", "datasets:\n  refs: {files: data/refs.jsonl}\n")
    lab.table([{"key": f"r{n}", "truth": f"a{n}"} for n in range(8)], "data/refs.jsonl")
    keys = 'references: {dataset: refs, on: {row: id, reference: key}}\nchecks: {said: {contains: "{{ truth }}"}}\n'
    lab.job(keys, spec)
    lab.apply(code=4)
    assert lab.statuses("said") == "rwrrmmur00"
    assert len(lab.remote.created) == 1
    lab.table([{"key": f"r{n}", "truth": f"a{n}" if n else "b"} for n in range(10)], "data/refs.jsonl")
    lab.apply(code=4)  # other references, and only scoring runs again
    assert lab.statuses("said") == "wwrrmmurrr"
    assert len(lab.remote.created) == 1
    lab.table([{"key": "r1", "truth": "a"}, {"key": "r1", "truth": "b"}], "data/refs.jsonl")
    assert "is there twice" in lab.apply(code=1).stderr


def test_slices_and_clusters_stand_in_the_lines(lab: ScoreLab) -> None:
    more = "slices: [kind, {first: \"{{ 'low' if word < 'a5' else 'high' }}\"}]\ncluster: intent\n"
    lab.job(f"{CHECKS}{more}")
    lab.apply(code=4)
    rows = lab.scores()
    assert rows[0]["slices"] == {"kind": "task", "first": "low"}
    assert rows[9]["slices"] == {"kind": "chat", "first": "high"}
    assert rows[0]["cluster"] == "refund"
    assert "cluster" not in rows[8]


@pytest.mark.parametrize("suffix", [".csv", ".parquet"])
def test_scores_lie_beside_tables_of_every_kind(lab: ScoreLab, suffix: str) -> None:
    lab.job(CHECKS, SPEC.replace("answers.jsonl", f"answers{suffix}"))
    lab.apply(code=4)
    assert lab.statuses("intent") == "rwrrmmuu0s"


def test_answers_that_are_json_are_held_to_columns_as_json(lab: ScoreLab) -> None:
    spec = SPEC.replace('{user: "Say {{ word }}"}', '{user: "Say {{ word }}", response_format: {type: json_object}}')
    lab.table([{"id": f"r{n}", "word": f"a{n}", "want": {"n": n}, "kinds": ["x", "y"]} for n in range(5)])
    lab.answers = {"r0": '{"n": 0}', "r1": '{"n": 2}', "r2": '{"n": 2.0}', "r3": "so it is not JSON", "r4": '{"m": 1}'}
    lab.job('checks: {same: {equals: {column: want}}, n: {number: "{{ want.n }}", text: "{{ answer.n }}"}}', spec)
    lab.apply()
    assert lab.statuses("same") == "rwrww"
    assert lab.statuses("n") == "rwruu"


# --- what an apply with nothing new does --------------------------------------------------------------------------

WATCH = """\
import os, sys
def seen(event, given):
    if event == "open" and isinstance(given[0], str) and "/project/" in os.path.abspath(given[0]):
        os.write(log, (os.path.abspath(given[0]) + "\\n").encode())
log = os.open(os.environ["OPENED"], os.O_WRONLY | os.O_CREAT | os.O_APPEND)
sys.addaudithook(seen)
"""


def test_with_nothing_new_no_row_and_no_score_is_read(lab: ScoreLab, tmp_path: Path) -> None:
    lab.answers = {row["id"]: f"Intent: {row['intent']} {row['word']}" for row in ROWS}
    lab.job(f'{CHECKS}expect: {{said: ">= 1"}}\n')
    lab.apply()
    (tmp_path / "watch").mkdir()
    (tmp_path / "watch/sitecustomize.py").write_text(WATCH)
    opened = tmp_path / "opened"
    assert lab.apply(PYTHONPATH=str(tmp_path / "watch"), OPENED=str(opened)).stdout == "Nothing to do\n"
    found = {Path(line).relative_to(lab.root).as_posix() for line in opened.read_text().splitlines()}
    assert any(name.startswith(".runner/") for name in found)
    assert not {name for name in found if name.startswith(("results/", "data/"))}


def test_rows_that_wait_for_a_decision_are_unanswered(lab: ScoreLab) -> None:
    """A batch that was stopped: what it did not answer is asked again only when somebody says so."""
    lab.ending = "in_progress"
    lab.job(f'{CHECKS}expect: {{said: ">= 0.5"}}\n')
    lab.apply("--no-wait", code=3)
    lab.ending = "cancelled"
    lab.says = lambda row, _: f"Intent: refund {row.replace('r', 'a')}" if row < "r4" else SILENT
    done = lab.apply(code=None)
    assert lab.statuses("said") == "rrrrmmmmmm"
    assert "6 need a decision of 10" in done.stdout
    (gate,) = lab.status_of()["scores"]["gates"]
    assert gate["sentence"] == "6 unanswered rows decide: 100.0 % without them, 40.0 % if they are wrong"
    assert done.returncode == 5
