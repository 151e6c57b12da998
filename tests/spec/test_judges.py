"""A check with a judge is a job of its own: whom it asks about what, and where its verdicts go."""

from __future__ import annotations

from pathlib import Path

import pytest

from runner.apply.checkable import problems_in_evals
from runner.compile.render import check_templates
from runner.job.project import AudioJob, Job
from runner.spec.load import load
from runner.spec.memo import load as load_remembered
from tests.spec.test_evals import MATRIX, NOUNS, ONE, jobs_of

GRADE = NOUNS.replace("prompts:\n", 'prompts:\n  grade: "{{ text }} {{ answer | fenced }}"\n')
HELPFUL = """\
    checks:
      helpful: {judge: grade, model: llama, verdicts: {good: 1, bad: 0}}
"""
WHOLE = """\
    checks:
      helpful:
        judge: grade
        model: llama
        verdicts: {good: 1, bad: 0}
        where: "{{ language == 'de' and answer != '' }}"
        sample: {rows: 5, seed: 3}
        window: 7d
        budget: 2
        max_attempts: 5
"""


def with_judge(root: Path, text: str) -> dict[str, Job | AudioJob]:
    jobs_of(root, ONE)
    (root / "specs/a.yaml").write_text(GRADE + text)
    return {job.address: job for job in load(["specs"], root).jobs}


def test_it_asks_about_the_answers_of_the_job_that_is_checked(tmp_path: Path) -> None:
    found = with_judge(tmp_path, ONE + WHOLE)
    judge, asked = found["reply.helpful"], found["reply"]
    assert isinstance(judge, Job) and judge.chain is not None
    assert (judge.chain.parents, judge.chain.column) == (("reply",), "answer")
    assert (judge.model.key, judge.prompt.key, judge.output) == ("llama", "grade", "results/reply.helpful.jsonl")
    assert (judge.window_hours, judge.budget, judge.max_attempts) == (168, 2, 5)
    assert (judge.dataset.sample_rows, judge.dataset.sample_seed, judge.dataset.id) == (5, 3, "id")
    assert judge.dataset.where == "{{ language == 'de' and answer != '' }}"
    assert judge.mark == asked.evals.checks[0].mark, "what is wrong with it stands where the check does"
    assert judge.evals.checks == () and judge.needs == ()


def test_every_cell_has_one_and_each_beside_its_output(tmp_path: Path) -> None:
    found = with_judge(tmp_path, MATRIX + HELPFUL)
    judges = {address: job for address, job in found.items() if job.name == "reply.helpful"}
    assert len(found) == 16 and len(judges) == 8
    one = judges["reply.helpful:model=qwen,prompt=short,window=48h"]
    assert isinstance(one, Job) and one.chain is not None
    assert one.chain.parents == ("reply:model=qwen,prompt=short,window=48h",)
    assert (one.model.key, one.output) == ("llama", "results/reply-qwen-short-48h.helpful.jsonl")
    assert one.window_hours == 24, "the window of a cell is that of its answers"


def test_recordings_are_judged_beside_their_folder(tmp_path: Path) -> None:
    heard = "  calls:\n    audio: calls/*.wav\n    model: ear\n    output: results/calls/\n"
    (judge,) = [job for job in with_judge(tmp_path, heard + HELPFUL).values() if job.name == "calls.helpful"]
    assert isinstance(judge, Job)
    assert (judge.output, judge.dataset.id) == ("results/calls.helpful.jsonl", "file")


def test_it_comes_back_from_the_memo_of_specs(tmp_path: Path) -> None:
    with_judge(tmp_path, ONE + WHOLE)
    memo = tmp_path / "memo"
    memo.mkdir()
    first, again = (load_remembered(["specs"], tmp_path, memo, keeps=True) for _ in range(2))
    assert first == again and "reply.helpful" in {job.address for job in again.jobs}


def test_a_column_called_as_the_answer_is_told_before_anything_is_sent(tmp_path: Path) -> None:
    (tmp_path / "data").mkdir()
    (tmp_path / "data/tickets.csv").write_text("id,text,answer\n1,a,b\n")
    with_judge(tmp_path, ONE + HELPFUL)
    (problem,) = check_templates(load(["specs"], tmp_path))
    assert (problem.mark.line, problem.mark.column) == (19, 7)
    assert problem.message == "the rows of `reply` have a column `answer` already"
    assert problem.hint == "rename it in the files of the dataset"


@pytest.mark.parametrize(
    ("written", "words"),
    [
        ("where: \"{{ finish_reason == 'stop' }}\"", "`finish_reason`, which is not a column"),
        ('human: "{{ nobody }}"', "`nobody`, which is not a column"),
        ('human: "{{ answer }}"', "`answer`, which is not a column"),
        ('text: "{{ answer.verdict }} {{ nobody }}"', "`nobody`, which is not a column"),
        ("verdicts: {good: 1, Good: 0}", "the verdicts `good` and `Good` of check"),
    ],
)
def test_what_its_templates_cannot_see_is_told_before_anything_is_sent(
    tmp_path: Path, written: str, words: str
) -> None:
    (tmp_path / "data").mkdir()
    (tmp_path / "data/tickets.csv").write_text("id,text\n1,a\n")
    check = "judge: grade, model: llama"
    check += f", {written}" if written.startswith("verdicts") else f", verdicts: {{good: 1}}, {written}"
    with_judge(tmp_path, f"{ONE}    checks:\n      helpful: {{{check}}}\n")
    found = problems_in_evals(load(["specs"], tmp_path))
    assert len(found) == 1 and words in found[0].message and found[0].mark.column, found
