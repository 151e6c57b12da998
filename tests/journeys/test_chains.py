"""Jobs about the answers of other jobs: a chain goes through in one apply, and only what changed is asked again."""

from __future__ import annotations

import hashlib
import json
import random
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.journeys.audio.lab import AudioLab
from tests.journeys.boundaries import crossed_by, missing_in, rig_of
from tests.journeys.lab import serving
from tests.journeys.rounds import at
from tests.journeys.scorelab import EXPIRED, FAILED, REMOTE, ScoreLab, score_lab
from tests.journeys.terminal import terminal

MOST = 160  # more boundaries than there are

HEARD = """\
project: lab
models:
  ear: {{provider: fireworks-audio, name: whisper-v3, params: {{response_format: json}}, price: {{per_minute: 0.0015}}}}
  echo: {{provider: lab, name: echo, params: {{max_tokens: 100}}, price: {{input: 1, output: 2}}}}
prompts:
  summarise: {{user: "Summarise {{{{ transcript }}}} of {{{{ file }}}}"}}
  judge: {{user: "Is {{{{ answer }}}} a summary of {{{{ transcript }}}}, {{{{ duration_s }}}} seconds?"}}
datasets:
  heard: {{from: calls, as: transcript}}
  summed: {{from: summary}}
jobs:
  calls: {{audio: "calls/*.wav", model: ear, output: results/calls.jsonl}}
  grade: {{dataset: summed, prompt: judge, model: echo, output: results/grade.jsonl}}
  summary: {{dataset: heard, prompt: summarise, model: echo, output: results/summary.csv}}
providers:
  fireworks-audio: {{overrides: {{min_poll_s: 0.02, max_poll_s: 0.1, defer_s: 0.1}}}}
  lab: {{kind: openai, base_url: "{url}", api_key_env: LAB_KEY, overrides: {{settle_s: 0.1, min_poll_s: 0.02}}}}
"""


def test_recordings_their_summaries_and_a_judge_go_through_in_one_apply(tmp_path: Path) -> None:
    root = tmp_path / "project"
    root.mkdir()
    with serving(tmp_path / "server") as server:
        lab = AudioLab(root, server)
        lab.spec(HEARD)
        lab.record(3)
        told = lab.run("plan", "specs/", code=5).stdout  # a first run of a remote that shows nothing
        assert "? after    about 3 requests, under $0.01  known after `calls`" in told
        assert "? after    about 3 requests, under $0.01  known after `summary`" in told
        assert "Plan: about 6 requests after others, at most $0.01" in told
        lab.apply("--first-run")
        files = [f"calls/c{n:03}.wav" for n in range(3)]
        on_the_wire = [file.translate(str.maketrans("/.", "__")) for file in files]
        assert lab.posts() == 3 and lab.server.sent() == [on_the_wire, on_the_wire]
        grades = lab.results("results/grade.jsonl")
        assert [row["custom_id"] for row in grades] == files
        assert grades[0]["row"]["answer"].startswith("echo: Summarise ") and grades[0]["row"]["transcript"]
        # again: nothing
        assert lab.apply().stdout == "Nothing to do\n" and lab.run("plan").stdout == "Nothing to do\n"
        # one recording more: one of each
        lab.record(["c100"])
        lab.apply()
        assert lab.posts() == 4 and lab.server.sent()[2:] == [["calls_c100_wav"]] * 2
        # a fresh clone with its outputs: parents and children are read back
        shutil.rmtree(root / ".runner")
        assert lab.run("plan").stdout.endswith("\nNothing to do\n")
        assert lab.apply().stdout == "Nothing to do\n"
        assert lab.posts() == 4 and server.creates() == 4
        assert [row["custom_id"] for row in lab.results("results/grade.jsonl")] == [*files, "calls/c100.wav"]


SPEC = (
    """\
project: lab
models:
  echo: {provider: lab, name: echo, params: {max_tokens: 16}}
datasets:
  rows: {files: data/rows.jsonl, id: id}
  truth: {files: data/truth.jsonl}
  said: {from: reply}
prompts:
  ask: {user: "Say {{ word }}"}
  grade: {user: "Please grade {{ answer }} of {{ word }}"}
jobs:
  grade: {dataset: said, prompt: grade, model: echo, output: results/grade.jsonl}
  reply:
    dataset: rows
    prompt: ask
    model: echo
    max_attempts: 1
    output: results/reply.jsonl
%s
"""
    + REMOTE
)


@pytest.fixture
def lab(tmp_path: Path) -> Iterator[ScoreLab]:
    with score_lab(tmp_path / "project") as lab:
        lab.table([{"id": f"r{n}", "word": f"w{n}"} for n in range(3)])
        lab.table([{"id": f"r{n}", "class": f"c{n}"} for n in range(3)], "data/truth.jsonl")
        lab.job("", SPEC)
        lab.says = lambda row, kind: f"{kind} {row}"
        yield lab


def sent(lab: ScoreLab) -> list[list[str]]:
    return [sorted(rows) for rows in lab.remote.sent]


def asked(lab: ScoreLab) -> list[str]:
    """What was asked about in the last batch."""
    last = list(lab.remote.created.values())[-1]
    lines = lab.remote.files[last["input_file_id"]].splitlines()
    return [json.loads(line)["body"]["messages"][0]["content"] for line in lines]


ALL = ["r0", "r1", "r2"]


def test_an_answer_that_is_the_same_is_not_asked_about_again(lab: ScoreLab) -> None:
    lab.apply()
    assert sent(lab) == [ALL, ALL] and asked(lab)[0] == "Please grade ask r0 of w0"
    # the prompt is another, and so is one answer of three
    lab.job("", SPEC.replace("Say {{ word }}", "Do say {{ word }}"))
    lab.says = lambda row, kind: f"{kind} {'anew' if row == 'r1' else row}"
    assert "? after    about 3 requests" in lab.run("plan", "specs/").stdout
    before = lab.results("results/grade.jsonl")
    lab.apply("--confirm-repay", "reply", "--confirm-repay", "grade")
    assert sent(lab)[2:] == [ALL, ["r1"]] and asked(lab) == ["Please grade ask anew of w1"]
    after = lab.results("results/grade.jsonl")
    assert [after[n] == before[n] for n in range(3)] == [True, False, True]


def test_rows_without_an_answer_have_no_child(lab: ScoreLab) -> None:
    says: dict[str, Any] = {"r0": FAILED, "r1": {"content": None, "refusal": "No."}, "r2": "fine"}
    lab.says = lambda row, kind: says[row] if kind == "ask" else "graded"
    done = lab.apply(code=4)
    assert sent(lab) == [ALL, ["r2"]]
    assert "1 answer of `reply` holds no text, and is not asked about" in done.stderr
    assert [row["custom_id"] for row in lab.results("results/grade.jsonl")] == ["r2"]
    # what failed is asked again, and only that row has a child to be asked
    says["r0"] = "now fine"
    lab.run("retry", "reply", "specs/", code=None)
    lab.apply(code=None)
    assert sent(lab)[2:] == [["r0"], ["r0"]]
    assert [row["custom_id"] for row in lab.results("results/grade.jsonl")] == ["r0", "r2"]


def test_nothing_is_sent_of_a_child_while_its_parent_runs(lab: ScoreLab) -> None:
    life, lab.remote.life = lab.remote.life, lambda batch, polls: {"status": "in_progress"}
    for _ in range(2):
        assert "? known after `reply`" in lab.apply("--no-wait", code=3).stdout
        assert sent(lab) == [ALL]
    told = lab.run("status", "specs/", "--offline").stdout
    assert "  ? about 3 requests, known after `reply`" in told
    assert lab.run("plan", "specs/", "--detailed-exitcode", code=2).stdout.count("? after") == 1
    lab.remote.life = life
    lab.apply("--no-wait", code=3)
    lab.apply()
    assert sent(lab) == [ALL, ALL]


def test_a_parent_that_is_blocked_sends_nothing_of_its_child(lab: ScoreLab) -> None:
    (lab.root / "results").mkdir()
    (lab.root / "results/reply.jsonl").write_text("not ours\n")
    lab.apply(code=5)
    assert sent(lab) == []


def test_a_parent_that_is_cancelled_sends_nothing_of_its_child_until_it_is_asked_again(lab: ScoreLab) -> None:
    life, lab.remote.life = lab.remote.life, lambda batch, polls: {"status": "in_progress"}
    lab.apply("--no-wait", code=3)
    lab.remote.life = lambda batch, polls: {"status": "cancelled"}
    lab.run("cancel", "reply", "specs/", "-y", code=None)
    assert "grade  0 ok, 0 error of 0" in lab.apply(code=5).stdout  # it has no answer to ask about
    assert "runner retry reply" in lab.apply(code=5).stdout and sent(lab) == [ALL]
    lab.remote.life = life
    lab.run("retry", "reply", "specs/", code=None)
    lab.apply()
    assert sent(lab) == [ALL, ALL, ALL] and asked(lab)[0].startswith("Please grade")
    assert lab.apply().stdout == "Nothing to do\n"


def test_columns_of_references_are_seen_by_the_child_alone(lab: ScoreLab) -> None:
    with_class = SPEC.replace("of {{ word }}", "of {{ word }}, a {{ class }}")
    lab.job("references: {dataset: truth, on: id}", with_class)
    lab.apply()
    assert asked(lab) == [f"Please grade ask r{n} of w{n}, a c{n}" for n in range(3)]


def test_where_and_sample_choose_among_the_answers(lab: ScoreLab) -> None:
    lab.job("", SPEC.replace("{from: reply}", "{from: reply, as: said, where: \"{{ said != 'ask r1' }}\"}").replace(
        "grade {{ answer }}", "grade {{ said }}"))  # fmt: skip
    lab.apply()
    assert sent(lab) == [ALL, ["r0", "r2"]]


def test_each_cell_has_a_child(lab: ScoreLab) -> None:
    spec = SPEC.replace("    prompt: ask\n", "    matrix: {prompt: [ask, beg]}\n")
    spec = spec.replace("  ask: {", '  beg: {user: "Please say {{ word }}"}\n  ask: {')
    spec = spec.replace("results/reply.jsonl", '"results/reply-{{ prompt }}.jsonl"')
    lab.job("", spec.replace("results/grade.jsonl", '"results/grade-{{ prompt }}.jsonl"'))
    lab.apply()
    assert sent(lab) == [ALL] * 4
    assert lab.results("results/grade-beg.jsonl")[0]["row"]["answer"] == "beg r0"
    assert lab.results("results/grade-ask.jsonl")[0]["row"]["answer"] == "ask r0"
    # of one cell alone
    lab.job("", spec.replace("from: reply", 'from: "reply:prompt=beg"'))
    lab.apply()
    assert len(sent(lab)) == 4 and len(lab.results("results/grade.jsonl")) == 3


def test_two_cells_of_a_chain_are_compared_on_rows_whose_answers_differ(lab: ScoreLab) -> None:
    lab.table([{"id": f"r{n}", "word": f"w{n}"} for n in range(3)])
    spec = SPEC.replace("    prompt: ask\n", "    matrix: {prompt: [ask, beg]}\n")
    spec = spec.replace(
        "  ask: {", '  beg: {user: "Please say {{ word }}"}\n  last: {user: "{{ heard }}{{ answer }}"}\n  ask: {'
    )
    spec = spec.replace("  said: {from: reply}", "  said: {from: reply, as: heard}\n  graded: {from: grade}")
    spec = spec.replace("grade {{ answer }}", "grade {{ heard }}")
    spec = spec.replace("results/reply.jsonl", '"results/reply-{{ prompt }}.jsonl"')
    spec = spec.replace("results/grade.jsonl", '"results/grade-{{ prompt }}.jsonl"')
    last = '  last: {dataset: graded, prompt: last, model: echo, output: "results/last-{{ prompt }}.jsonl"}\n'
    lab.job("", spec.replace("jobs:\n", f"jobs:\n{last}"))
    lab.apply()
    for job in ("grade", "last"):
        told = lab.run("diff", f"{job}:prompt=ask", f"{job}:prompt=beg").stdout
        assert "3 rows compared; 0 only in A, 0 only in B, 0 changed" in told
    # what was asked about is still what pairs them
    path = lab.root / "results/grade-ask.jsonl"
    path.write_text(path.read_text().replace('"word":"w1"', '"word":"w7"'))
    told = lab.run("diff", "grade:prompt=ask", "grade:prompt=beg").stdout
    assert "2 rows compared; 0 only in A, 0 only in B, 1 changed" in told


def test_a_rehearsal_goes_through_the_chain(lab: ScoreLab) -> None:
    done = lab.run("apply", "--rehearse", "specs/")
    assert "grade" in done.stdout and sent(lab) == []
    assert len((lab.root / ".runner/rehearsal/outputs/results/grade.jsonl").read_text().splitlines()) == 3


def test_a_child_that_cannot_be_asked_is_told_of_before_anything_is_sent(lab: ScoreLab) -> None:
    lab.job("", SPEC.replace("grade {{ answer }}", "grade {{ answr }}"))
    for words in (["validate"], ["plan"], ["apply", "-y"]):
        assert "uses `answr`, which is not a column" in lab.run(*words, code=1).stderr
    lab.job("", SPEC.replace("{from: reply}", "{from: reply, as: word}"))
    assert (
        "specs/lab.yaml:7:16: error: the rows of `reply` have a column `word` already"
        in lab.run("validate", code=1).stderr
    )
    assert sent(lab) == []


def test_held_rows_of_a_parent_wait_for_a_person_and_the_others_go_on(lab: ScoreLab) -> None:
    says: dict[str, Any] = {"r0": EXPIRED, "r1": "one", "r2": "two"}
    lab.says = lambda row, kind: says[row] if kind == "ask" else "graded"
    lab.ending = "expired"
    lab.apply(code=None)
    assert sent(lab)[0] == ALL and sent(lab)[-1] == ["r1", "r2"]


def test_what_is_known_of_a_child_is_written_by_the_apply_that_leaves_its_parent_to_a_person(lab: ScoreLab) -> None:
    spec = SPEC.replace(" of {{ word }}", "").replace("max_attempts: 1", "max_attempts: 3")
    lab.job("", spec.replace("overrides: {", "overrides: {limits: {lines: 1}, "))
    life = lab.remote.life
    lab.remote.life = lambda batch, polls: (
        {"status": "expired"} if lab.remote.rows_of(batch) == ["r4"] else life(batch, polls)
    )
    lab.says = lambda row, kind: "the same"  # so that all that is asked about is one request
    lab.apply()
    assert sent(lab) == [["r0"], ["r1"], ["r2"], ["r0"]]
    lab.table([{"id": f"r{n}", "word": f"w{n}"} for n in range(5)])
    told = lab.apply(code=5).stdout  # nothing of r4 was answered
    assert sent(lab)[4:] == [["r3"], ["r4"]]
    assert "grade  4 ok, 0 error of 4" in told
    assert [row["custom_id"] for row in lab.results("results/grade.jsonl")] == [*ALL, "r3"]
    there = (lab.root / "results/grade.jsonl").stat().st_mtime_ns
    assert "wrote" not in lab.apply(code=5).stderr and (lab.root / "results/grade.jsonl").stat().st_mtime_ns == there


def test_a_lock_holds_a_chain_to_the_answers_it_is_about(lab: ScoreLab) -> None:
    lab.apply()
    lab.run("lock", "specs/")
    text = (lab.root / "runner.lock").read_text()
    digest = hashlib.sha256((lab.root / "results/reply.jsonl").read_bytes()).hexdigest()
    assert f'from: {{reply: "{digest}"}}' in text or f'      reply: "{digest}"' in text, text
    lab.apply()
    assert (lab.root / "runner.lock").read_text() == text
    # a stranger's clone: no key, no state, another address of the remote
    shutil.rmtree(lab.root / ".runner")
    spec = (lab.root / "specs/lab.yaml").read_text()
    (lab.root / "specs/lab.yaml").write_text(spec.replace(lab.remote.url, "http://127.0.0.1:9"))
    for words in (["verify"], ["verify", "--deep"]):
        assert "grade" in lab.run(*words, LAB_KEY="").stdout
    (lab.root / "specs/lab.yaml").write_text(spec)
    # CI: nothing is sent that was not locked
    assert lab.apply("--locked").stdout == "Nothing to do\n"
    assert len(sent(lab)) == 2
    answers = (lab.root / "results/reply.jsonl").read_text()
    (lab.root / "results/reply.jsonl").write_text(answers.replace("ask r1", "ask r7"))
    assert "reply" in lab.run("verify", "grade", code=1).stderr


def test_the_question_counts_the_whole_chain_and_is_asked_once(lab: ScoreLab) -> None:
    with terminal(lab.root, lab.environ(), "apply", "specs/") as screen:
        question = "Send 3 requests in 1 batch, then about 3 requests about their answers, at a cost that is not known?"
        screen.wait_for(question)
        screen.wait_for("[y/N]:")
        screen.type("y\n")
        assert screen.end() == 0
    assert sent(lab) == [ALL, ALL]


def test_a_limit_counts_the_whole_chain(lab: ScoreLab) -> None:
    done = lab.apply("--max-requests", "5", code=5)
    assert "this plan is estimated at 6 requests" in done.stdout and sent(lab) == []
    lab.apply("--max-requests", "6")
    assert sent(lab) == [ALL, ALL]


def test_an_answer_that_a_prompt_cannot_take_is_named_by_its_job(lab: ScoreLab) -> None:
    lab.job("", SPEC.replace("grade {{ answer }}", "grade {{ answer.score }}"))
    error = lab.apply(code=1).stderr
    assert "3 rows of dataset `said` cannot become requests" in error and "answers of reply:1" in error
    assert "/answers/" not in error and sent(lab) == [ALL]
    assert not (lab.root / "results/grade.jsonl").exists()
    # all is recorded, and goes on once the prompt is right
    lab.job("", SPEC)
    lab.apply()
    assert sent(lab) == [ALL, ALL]


def test_results_stay_where_new_answers_cannot_be_asked_about(lab: ScoreLab) -> None:
    lab.apply()
    before = lab.results("results/grade.jsonl")
    assert len(before) == 3
    edited = SPEC.replace("Say", "Do say").replace("grade {{ answer }}", "grade {{ answer.score }}")
    lab.job("", edited)
    lab.says = lambda row, kind: f"{kind} anew {row}"
    for _ in range(2):
        lab.apply("--confirm-repay", "reply", "--confirm-repay", "grade", code=1)
        assert lab.results("results/grade.jsonl") == before
    assert sent(lab) == [ALL] * 3
    assert lab.results("results/reply.jsonl")[0]["answer"] == "ask anew r0"


def test_rows_that_are_left_out_are_named_by_their_job(lab: ScoreLab) -> None:
    lab.says = lambda row, kind: "no" if row == "r0" else f"{kind} {row}"
    spec = SPEC.replace("{from: reply}", "{from: reply, skip_bad: true}")
    lab.job("", spec.replace("grade {{ answer }}", "grade {{ 1 // (answer | length - 2) }}"))
    lab.apply(code=4)
    assert sent(lab) == [ALL, ["r1", "r2"]]
    where = "answers of reply:1: the user message of prompt `grade`"
    for words in (["plan", "specs/"], ["show", "grade"]):
        done = lab.run(*words)
        told = done.stdout + done.stderr
        assert where in told and ".runner/memo" not in told and str(lab.root) not in told


def test_killed_while_a_chain_goes_from_one_job_to_the_next(tmp_path: Path) -> None:
    with rig_of("openai-chain", tmp_path) as rig:
        crossed = crossed_by(rig)
        assert missing_in("openai-chain", crossed) == []
        last = len(crossed) - crossed[::-1].index("after submit")
        assert crossed.count("after submit") == 3, "a batch of each job"
        # what the parent came to is on record; its child is scored and its judge unasked; the judge's batch is sent
        for number in (at(crossed, "after write batch") + 12, at(crossed, "renamed grade.scores.jsonl"), last):
            assert rig.round(number), crossed[number - 1]


@pytest.mark.sweep
@pytest.mark.timeout(1800)
def test_killed_at_every_boundary(tmp_path: Path) -> None:
    with rig_of("openai-chain", tmp_path) as rig:
        figures = rig.sweep(range(1, MOST))
    assert 40 < figures.rounds < MOST - 1


@pytest.mark.sweep
@pytest.mark.timeout(900)
def test_killed_again_and_again(tmp_path: Path) -> None:
    with rig_of("openai-chain", tmp_path) as rig:
        assert rig.again_and_again(20, 120, random.Random(3)).kills > 20
