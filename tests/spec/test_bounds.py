"""Small specs that mean a lot of work or a lot of words: a second and a screenful, whatever they say."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path

import pytest

from runner.errors import Mark, Problem, SpecError
from runner.spec.load import load
from runner.spec.problems import MAX_PROBLEMS, render

NOUNS = """models: {m: {provider: embedded, name: echo}}
datasets: {d: {files: data/rows.csv}}
prompts: {p: "{{ a }}"}
"""


def many(count: int, line: Callable[[int], str]) -> str:
    return "\n".join(map(line, range(count)))


def jobs(count: int, output: str) -> str:
    return "jobs:\n" + many(count, lambda n: f"  j{n}: {{dataset: d, prompt: p, model: m, output: {output % n}}}")


GLOBS = "[" + ", ".join(f"'**/*{n}/**/*.jsonl'" for n in range(400)) + "]"
MATRIX = NOUNS + "jobs: {j: {dataset: d, prompt: p, matrix: {model: [m], replicate: [%s]}, output: '%s'}}"
SOUND = {
    "globs": NOUNS.replace("data/rows.csv", GLOBS) + jobs(400, "a/b/c/d/e/f%d.jsonl"),
}
UNSOUND = {
    "unknown models": "models:\n"
    + many(800, lambda n: f"  model-number-{n}: {{provider: embedded, name: x}}")
    + "\njobs:\n"
    + many(800, lambda n: f"  j{n}: {{dataset: d, prompt: p, model: model-numbr-{n}x, output: o{n}.csv}}"),
    "unknown fields": "models:\n  m:\n" + many(8000, lambda n: f"    a{n}: b"),
    "literal keys": many(20_000, lambda n: "# sk-a1a1a1a1a1a1a1a1") + "\nmodels: {}",
    "literal keys in one line": "x-a: '" + "sk-a1a1a1a1a1a1a1a1 " * 20_000 + "'",
    "replicates twice": MATRIX % (", ".join(str(n // 2) for n in range(2, 9000)), "o/{{ replicate }}.csv"),
    "one output": NOUNS + jobs(1500, "o.csv, max_attempts: %d"),
    "deep outputs": MATRIX % (", ".join(map(str, range(1, 9999))), "a/" * 900 + "{{ replicate }}.csv"),
    "deep files": NOUNS.replace("data/rows.csv", "a/" * 200_000 + "x.csv"),
    "languages": "models:\n"
    + many(2000, lambda n: f"  m{n}: {{provider: fireworks-audio, name: whisper-v3, params: {{language: xq{n}}}}}"),
}


def loaded(root: Path, text: str) -> tuple[Problem, ...]:
    (root / "specs").mkdir()
    (root / "specs/a.yaml").write_text(text)
    try:
        load(["specs"], root)
    except SpecError as error:
        return error.problems
    return ()


@pytest.mark.parametrize("name", [*SOUND, *UNSOUND])
def test_much_of_anything_is_read_in_a_second(name: str, tmp_path: Path) -> None:
    started = time.process_time()
    problems = loaded(tmp_path, SOUND.get(name) or UNSOUND[name])
    assert time.process_time() - started < 1.5  # a third of it where nobody else is at work
    assert bool(problems) is (name in UNSOUND)
    assert len(problems) <= MAX_PROBLEMS + 1
    assert len(render(problems, tmp_path)) < 1_000_000


def test_where_problems_are_left_out_the_last_one_says_so(tmp_path: Path) -> None:
    problems = loaded(tmp_path, UNSOUND["unknown fields"])
    assert [problem.message for problem in problems if "not shown" in problem.message] == [
        "this and more problems are not shown"
    ]
    assert problems[-1].mark.line > MAX_PROBLEMS


def test_problems_of_others_are_left_out_as_well(tmp_path: Path) -> None:
    (tmp_path / "a.yaml").write_text(many(5000, lambda n: f"line {n}"))
    problems = [Problem(Mark("a.yaml", n + 1, 1), f"problem {n}") for n in range(5000)]
    words = render(problems, tmp_path)
    assert "line 499\n" in words
    assert words.endswith("\n\n4,499 more problems are not shown: mend these first")


def test_a_path_may_not_have_too_many_folders(tmp_path: Path) -> None:
    (problem,) = loaded(tmp_path, NOUNS.replace("data/rows.csv", "a/" * 70 + "x.csv"))
    assert problem.message == "`files` of dataset `d` holds a path that is too long"


def test_recordings_neither(tmp_path: Path) -> None:
    job = f"jobs: {{j: {{audio: {'a/' * 70}x.wav, model: m, output: out/}}}}"
    (problem,) = loaded(tmp_path, NOUNS + job)
    assert problem.message == "`audio` of job `j` holds a path that is too long"


@pytest.mark.parametrize(
    ("written", "meant"), [("en-US", "en"), ("EN", "en"), ("deutsch", "de"), ("ZH-Hant", "zh-hant")]
)
def test_a_language_by_another_name(written: str, meant: str, tmp_path: Path) -> None:
    model = f"models: {{m: {{provider: fireworks-audio, name: whisper-v3, params: {{language: {written}}}}}}}"
    (problem,) = loaded(tmp_path, model)
    assert problem.hint == f"did you mean `{meant}`?"
