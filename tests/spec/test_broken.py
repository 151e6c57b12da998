"""Every broken spec of `broken/` says what is wrong with it, where, and what to do.

A case is `NAME.yaml` and `NAME.expect`, or a folder with a whole project and a file `expect` in it.
"""

from __future__ import annotations

import re
import shutil
from pathlib import Path

import pytest

from runner.errors import SpecError
from runner.spec.load import load
from runner.spec.problems import render

BROKEN = Path(__file__).parent / "broken"
CASES = sorted(path for path in BROKEN.iterdir() if path.suffix == ".yaml" or path.is_dir())


def place(case: Path, root: Path) -> None:
    """A project at `root` with the case in it."""
    if case.is_dir():
        shutil.copytree(case, root, dirs_exist_ok=True)
    else:
        (root / "specs").mkdir()
        shutil.copy(case, root / "specs" / case.name)


def expected(case: Path) -> str:
    file = case / "expect" if case.is_dir() else case.with_suffix(".expect")
    return file.read_text(encoding="utf-8").rstrip("\n")


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.stem)
def test_it_is_refused_in_these_words(case: Path, tmp_path: Path) -> None:
    place(case, tmp_path)
    with pytest.raises(SpecError) as caught:
        load(["specs"], tmp_path)
    assert render(caught.value.problems, tmp_path) == expected(case)


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.stem)
def test_places_are_inside_the_file(case: Path, tmp_path: Path) -> None:
    place(case, tmp_path)
    with pytest.raises(SpecError) as caught:
        load(["specs"], tmp_path)
    for problem in caught.value.problems:
        lines = (tmp_path / problem.mark.file).read_bytes().decode("utf-8", "replace").split("\n")
        assert problem.mark.line <= len(lines)
        if problem.mark.line:
            assert problem.mark.column <= len(lines[problem.mark.line - 1]) + 1


def test_there_are_many_of_them() -> None:
    assert len(CASES) >= 45


def test_every_error_has_a_line_and_a_column() -> None:
    heads = [line for case in CASES for line in expected(case).split("\n") if re.match(r"\S*: (error|warning): ", line)]
    assert len(heads) >= len(CASES)
    assert [one for one in heads if not re.match(r"\S+:[1-9]\d*:[1-9]\d*: ", one)] == []
