"""Output templates and globs."""

from __future__ import annotations

import pytest

from runner.spec.outputs import glob_matches, rendered


@pytest.mark.parametrize(
    ("glob", "path", "expected"),
    [
        ("data/*.csv", "data/a.csv", True),
        ("data/*.csv", "data/sub/a.csv", False),
        ("data/**/*.csv", "data/a.csv", True),
        ("data/**/*.csv", "data/x/y/a.csv", True),
        ("data/**", "data/x/y.csv", True),
        ("**", "a.csv", True),
        ("**/a.csv", "a.csv", True),
        ("data/?.csv", "data/ab.csv", False),
        ("data/[ab].csv", "data/b.csv", True),
        ("data/[!ab].csv", "data/b.csv", False),
        ("**/" * 40 + "x", "a/" * 40 + "y", False),
    ],
)
def test_globs(glob: str, path: str, expected: bool) -> None:
    assert glob_matches(glob, path) is expected


def test_templates() -> None:
    assert rendered("r/{{model}}/../{{ prompt }}.csv", {"model": "m", "prompt": "p"}) == "r/p.csv"
