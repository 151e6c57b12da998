"""Which jobs the words of --select and --exclude mean."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from runner.errors import UsageError
from runner.job.project import AnyJob
from runner.job.selection import Selection, State, chosen, named
from runner.spec.load import load

SPEC = """\
project: t
models:
  llama: {provider: embedded, name: echo}
  qwen: {provider: openai, name: qwen-7b, params: {max_tokens: 9}}
datasets:
  rows: {files: data/rows.csv, id: id}
  said: {from: ask}
  said_of_cell: {from: "compare:model=qwen,replicate=2"}
prompts:
  p: {user: "Say {{ word }}"}
  q: {file: prompts/q.md}
jobs:
  ask: {dataset: rows, prompt: p, model: llama, output: results/ask.jsonl, tags: [nightly]}
  grade: {dataset: said, prompt: q, model: qwen, output: results/grade.jsonl, tags: [eval, weekly]}
  last: {dataset: rows, prompt: p, model: qwen, replicate: 7, output: results/last.jsonl, needs: grade}
  alone: {dataset: rows, prompt: p, model: llama, replicate: 5, output: results/alone.jsonl, tags: eval}
  compare:
    matrix: {model: [llama, qwen], replicate: [2, 3]}
    dataset: rows
    prompt: p
    output: "results/compare-{{ model }}-{{ replicate }}.jsonl"
  follow: {dataset: said_of_cell, prompt: q, model: llama, output: results/follow.jsonl}
"""
CELLS = tuple(f"compare:model={model},replicate={number}" for model in ("llama", "qwen") for number in (2, 3))
ADDRESSES = ("alone", "ask", *CELLS, "follow", "grade", "last")


@pytest.fixture(scope="module")
def jobs(tmp_path_factory: pytest.TempPathFactory) -> tuple[AnyJob, ...]:
    root = tmp_path_factory.mktemp("project")
    for name, text in {
        "specs/a.yaml": SPEC,
        "data/rows.csv": "id,word\na,b\n",
        "prompts/q.md": "{{ answer }}?",
    }.items():
        (root / name).parent.mkdir(exist_ok=True)
        (root / name).write_text(text)
    return load(("specs",), root).jobs


def only(jobs: tuple[AnyJob, ...], *select: str, exclude: tuple[str, ...] = ()) -> str:
    return " ".join(named(Selection(select, exclude), jobs, STATES))


STATES = {
    **dict.fromkeys(ADDRESSES, frozenset[State]()),
    "ask": frozenset({State.FAILED, State.EXPIRED}),
    "last": frozenset({State.NEW}),
}


def test_words(jobs: tuple[AnyJob, ...]) -> None:
    assert tuple(job.address for job in jobs) == ADDRESSES
    assert only(jobs) == " ".join(ADDRESSES)
    assert only(jobs, "last", "ask") == "ask last"
    assert only(jobs, "compare") == " ".join(CELLS)
    assert only(jobs, "compare:replicate=2,model=qwen") == only(jobs, "compare:model=qwen,replicate=2") == CELLS[2]
    assert only(jobs, "compare:model=l*") == " ".join(CELLS[:2])
    assert only(jobs, "a*") == "alone ask"
    assert only(jobs, "tag:nightly") == "ask" and only(jobs, "tag:e*") == "alone grade"
    assert only(jobs, "model:llama") == only(jobs, "model:echo") == only(jobs, "provider:embedded")
    assert only(jobs, "provider:openai,tag:eval") == "grade"
    assert only(jobs, "compare:model=qwen,replicate=3,provider:openai") == CELLS[3]
    assert only(jobs, "state:failed") == only(jobs, "state:expired") == "ask"
    assert only(jobs, "state:failed", "state:new") == "ask last"
    assert only(jobs, "state:blocked") == ""
    assert only(jobs, "path:specs") == only(jobs, "path:./specs/") == only(jobs, "path:specs/*.yaml") == only(jobs)
    assert only(jobs, "path:prompts/q.md") == "follow grade"
    assert only(jobs, "path:data/rows.csv") == " ".join(("alone", "ask", *CELLS, "last"))
    assert only(jobs, exclude=("compare",)) == "alone ask follow grade last"
    assert only(jobs, "tag:eval", exclude=("model:qwen",)) == "alone"


def test_what_is_selected_brings_what_it_depends_on(jobs: tuple[AnyJob, ...]) -> None:
    assert chosen(Selection(("last",)), jobs) == ("ask", "grade", "last")
    assert chosen(Selection(("follow",)), jobs) == (CELLS[2], "follow")
    assert chosen(Selection((), ("ask",)), jobs) == ("alone", *CELLS, "follow")
    assert chosen(Selection(("last",), ("ask",)), jobs) == ()
    assert chosen(Selection(("state:new",)), jobs, STATES) == ("ask", "grade", "last")


@pytest.mark.parametrize(
    ("word", "message", "hint"),
    [
        ("aks", "there is no job `aks`", "did you mean `ask`?"),
        (
            "compare:model=lama",
            "there is no job `compare:model=lama`",
            "did you mean `compare:model=llama,replicate=3`?",
        ),
        ("z*", "there is no job `z*`", "jobs are `alone`, `ask`, `compare:model=llama"),
        ("tag:nigthly", "no job has the tag `nigthly`", "did you mean `nightly`?"),
        ("state:fialed", "there is no state `fialed`", "did you mean `failed`?"),
        ("ask,model:lama", "no job has the model `lama`", "did you mean `llama`?"),
        ("path:spec", "no job is made of `spec`", "there are `specs/a.yaml`"),
        ("", "is given a term without a word", "write terms as `tag:a,state:new`"),
        ("ask,", "is given a term without a word", "write terms as `tag:a,state:new`"),
        ("ask,alone", "no job meets all of it", "terms with a comma between them all have to hold"),
    ],
)
def test_a_word_that_means_nothing(jobs: tuple[AnyJob, ...], word: str, message: str, hint: str) -> None:
    for selection in (Selection((word,)), Selection((), (word,))):
        with pytest.raises(UsageError) as found:
            chosen(selection, jobs)
        assert found.value.message.endswith(message) and str(found.value.hint).startswith(hint)


WORDS = st.lists(
    st.sampled_from(["ask", "grade", "last", "alone", "compare", "follow", "tag:eval", "model:qwen", "a*", CELLS[2]]),
    max_size=3,
).map(tuple)


@given(WORDS, WORDS)
def test_a_selection_is_closed_and_has_no_order(
    jobs: tuple[AnyJob, ...], select: tuple[str, ...], exclude: tuple[str, ...]
) -> None:
    selection = Selection(select, exclude)
    wanted, alone = set(chosen(selection, jobs)), set(named(selection, jobs))
    assert chosen(Selection(select[::-1], exclude[::-1]), jobs) == chosen(selection, jobs)
    by_name = {job.name: job.address for job in jobs}
    for job in jobs:
        before = {*(job.chain.parents if job.chain else ()), *(by_name[name] for name in job.needs)}
        if job.address in wanted:
            assert before <= wanted
    gone = set(named(Selection(exclude), jobs)) if exclude else set()
    assert not wanted & gone and not alone & gone
    if not exclude:
        assert alone <= wanted


def test_pictures_are_files_that_a_job_is_made_of(tmp_path: Path) -> None:
    (tmp_path / "specs").mkdir()
    (tmp_path / "specs/a.yaml").write_text(
        """\
models: {llama: {provider: embedded, name: echo}}
datasets: {rows: {files: data/rows.csv}, album: {paths: "album/*.png"}}
prompts:
  named: {user: [{image: "pictures/{{ name }}.png"}, {image: logo.png}]}
  whole: {user: [{image: "{{ path }}"}]}
jobs:
  a: {dataset: rows, prompt: named, model: llama, output: results/a.jsonl}
  b: {dataset: album, prompt: whole, model: llama, output: results/b.jsonl}
"""
    )
    jobs = load(("specs",), tmp_path).jobs
    found = {path: only(jobs, f"path:{path}") for path in ("pictures/cat.png", "logo.png", "album/cat.png")}
    assert found == {"pictures/cat.png": "a", "logo.png": "a", "album/cat.png": "b"}
    with pytest.raises(UsageError):
        only(jobs, "path:other/cat.png")
