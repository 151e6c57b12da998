"""Globs: what each matches, alone and among thousands, on disk and of names only."""

from __future__ import annotations

import os
import random
import time
from pathlib import Path

import pytest

from runner.globs import Globs


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
        ("data/*.csv/**", "data/a.csv", False),  # a file is no folder
        ("data/**", "other/y.csv", False),
        ("*/**/*", "data/x/y.csv", True),
        ("data/?.csv", "data/ab.csv", False),
        ("data/[ab].csv", "data/b.csv", True),
        ("data/[!ab].csv", "data/b.csv", False),
        ("**/" * 40 + "x", "a/" * 40 + "y", False),
    ],
)
def test_globs(glob: str, path: str, expected: bool) -> None:
    assert Globs([glob], any_case=False).matching(path) == [0] * expected


def test_many_globs_match_as_each_alone() -> None:
    rng = random.Random(3)
    parts = ["a", "b", "*", "**", "?", "a*", "[ab]", "*.csv", "x.csv"]
    for _ in range(300):
        globs = ["/".join(rng.choices(parts, k=rng.randrange(1, 5))) for _ in range(6)]
        path = "/".join(rng.choices(["a", "b", "ab", "x.csv"], k=rng.randrange(1, 5)))
        expected = [number for number, glob in enumerate(globs) if Globs([glob]).matching(path)]
        assert Globs(globs).matching(path) == expected, (globs, path)


def test_thousands_of_globs_and_paths_take_no_time() -> None:
    globs = Globs(f"**/*{n}/**/*.jsonl" for n in range(2000))
    started = time.process_time()
    for n in range(2000):
        assert not globs.matching(f"a/b/c/d/e/f{n}.jsonl")
    assert time.process_time() - started < 1


def test_thousands_of_folders_take_no_time() -> None:
    globs = Globs(f"in/{n}/**/*.jsonl" for n in range(2000))
    started = time.process_time()
    assert [globs.matching(f"in/{n}/a/b/c{n}.jsonl") for n in range(2000)] == [[n] for n in range(2000)]
    assert time.process_time() - started < 3


@pytest.mark.parametrize(
    ("glob", "path", "as_input", "as_written"),
    [
        ("in/*.wav", "in/a.WAV", True, False),
        ("in/*", "in/.a.wav", False, True),
        ("in/.*", "in/.a.wav", True, True),
        ("**/*.wav", ".in/a.wav", False, True),
        ("in/[a].wav", "in/a.wav", True, True),
    ],
)
def test_how_wildcards_are_read(glob: str, path: str, as_input: bool, as_written: bool) -> None:
    assert bool(Globs([glob]).matching(path)) is as_input
    assert bool(Globs([glob], takes_hidden=True, any_case=False).matching(path)) is as_written


def test_a_name_that_looks_like_a_pattern() -> None:
    assert Globs(["in/[a].wav"], literal=["in/[a].wav"]).matching("in/[a].wav") == [0]
    assert Globs(["in/[a].wav"]).matching("in/[a].wav") == []


def test_names_are_matched_as_a_walk_matches_files(tmp_path: Path) -> None:
    rng = random.Random(5)
    names = ["a", "b", ".c", "x.csv", "y.CSV"]
    paths = {"/".join([*rng.choices(names[:3], k=rng.randrange(3)), rng.choice(names[3:])]) for _ in range(40)}
    for path in paths:
        (tmp_path / path).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / path).touch()
    parts = ["a", "*", "**", "?", "[ab]", "*.csv", ".*"]
    for _ in range(200):
        globs = Globs("/".join(rng.choices(parts, k=rng.randrange(1, 4))) for _ in range(4))
        pending, walked = [("", globs.start)], dict[str, list[int]]()
        while pending:
            folder, state = pending.pop()
            for entry in os.scandir(tmp_path / folder):
                step, path = globs.step(state, entry.name, is_folder=entry.is_dir()), folder + entry.name
                if entry.is_dir():
                    pending.append((f"{path}/", step.inside))
                elif step.hits:
                    walked[path] = sorted(step.hits)
        assert walked == {path: found for path in paths if (found := globs.matching(path))}
