"""Paths and globs in specs."""

from __future__ import annotations

import random
import time

import pytest

from runner.spec.paths import Globs, glob_matches, is_too_long, parents


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
        ("**/**", "a.csv", True),
        ("*/a.csv", "a.csv", False),
        ("*", "a.csv", True),
        ("data/*.csv/**", "data/a.csv", True),
        ("data/**", "other/y.csv", False),
        ("*/**/*", "data/x/y.csv", True),
        ("data/?.csv", "data/ab.csv", False),
        ("data/[ab].csv", "data/b.csv", True),
        ("data/[!ab].csv", "data/b.csv", False),
        ("**/" * 40 + "x", "a/" * 40 + "y", False),
    ],
)
def test_globs(glob: str, path: str, expected: bool) -> None:
    assert glob_matches(glob, path) is expected
    assert (0 in set(Globs([glob]).matching(path))) is expected


def test_many_globs_match_as_each_alone() -> None:
    rng = random.Random(3)
    parts = ["a", "b", "*", "**", "?", "a*", "[ab]", "*.csv", "x.csv"]
    for _ in range(300):
        globs = ["/".join(rng.choices(parts, k=rng.randrange(1, 5))) for _ in range(6)]
        path = "/".join(rng.choices(["a", "b", "ab", "x.csv"], k=rng.randrange(1, 5)))
        expected = {number for number, glob in enumerate(globs) if glob_matches(glob, path)}
        assert set(Globs(globs).matching(path)) == expected, (globs, path)


def test_thousands_of_globs_and_paths_take_no_time() -> None:
    globs = Globs(f"**/*{n}/**/*.jsonl" for n in range(2000))
    started = time.process_time()
    for n in range(2000):
        assert not list(globs.matching(f"a/b/c/d/e/f{n}.jsonl"))
    assert time.process_time() - started < 1


def test_lengths() -> None:
    assert parents("a/b/c.csv") == ["a", "a/b"]
    assert not is_too_long("a/" * 60 + "x.csv")
    assert is_too_long("a/" * 70 + "x.csv")
    assert is_too_long("é" * 2001)
