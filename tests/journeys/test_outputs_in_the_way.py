"""What lies at the place of an output is looked at by every command, though no spec changed since the last one."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.journeys.lab import Lab


def _file(root: Path) -> None:
    (root / "results").write_text("in the way")


def _folder(root: Path) -> None:
    (root / "results/answers.jsonl").mkdir(parents=True)


def _link_out(root: Path) -> None:
    (root.parent / "outside").mkdir()
    (root / "results").symlink_to(root.parent / "outside")


def _link_of_the_file_out(root: Path) -> None:
    (root / "results").mkdir()
    (root / "results/answers.jsonl").symlink_to(root.parent / "outside.jsonl")


@pytest.mark.parametrize(
    "put, words",
    [
        (_file, "needs the folder `results/`, and `results` is a file"),
        (_folder, "is a folder"),
        (_link_out, "leaves the project root through a symlink"),
        (_link_of_the_file_out, "leaves the project root through a symlink"),
    ],
)
def test_what_came_in_the_way_is_an_error_before_anything_is_sent(
    lab: Lab, put: Callable[[Path], None], words: str
) -> None:
    lab.apply()
    shutil.rmtree(lab.root / "results")
    lab.rows(11)
    put(lab.root)
    for command in (("plan",), ("apply", "specs/", "-y")):
        done = lab.run(*command, code=1)
        assert words in done.stderr
    assert lab.server.creates() == 1


def test_a_link_inside_the_project_is_followed(lab: Lab) -> None:
    (lab.root / "elsewhere").mkdir()
    (lab.root / "results").symlink_to("elsewhere")
    lab.apply()
    assert lab.run("plan").stdout == "Nothing to do\n"
    lab.rows(11)
    lab.apply()
    assert len(lab.results("elsewhere/answers.jsonl")) == 11
