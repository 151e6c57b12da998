from __future__ import annotations

import posixpath
from collections.abc import Sequence

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from runner.errors import DataError
from runner.results.names import RESULTS, Names, base_of, key_of


def names(paths: Sequence[str], *patterns: str, suffix: str = ".txt") -> list[str]:
    made = Names(patterns or ("**/*",), suffix, lambda: paths)
    return [made.name(number, path) for number, path in enumerate(paths)]


@pytest.mark.parametrize(
    ("pattern", "base"),
    [
        ("calls/**/*.flac", "calls/"),
        ("./calls//2024/*.wav", "calls/2024/"),
        ("calls/x*.wav", "calls/"),
        ("calls/a.wav", "calls/"),
        ("*.wav", ""),
        ("a[bc]/d/*.wav", ""),
        ("a.wav", ""),
    ],
)
def test_the_base_of_a_glob_is_what_has_no_wildcard(pattern: str, base: str) -> None:
    assert base_of(pattern) == base


def test_the_tree_below_the_base_is_mirrored() -> None:
    paths = ["calls/a.wav", "calls/deep/er/b.tar.flac", "calls/deep/no_suffix", "calls/.hidden.wav"]
    assert names(paths, "calls/**/*") == ["a.txt", "deep/er/b.tar.txt", "deep/no_suffix.txt", ".hidden.txt"]


def test_two_of_one_folder_keep_their_suffixes() -> None:
    paths = ["calls/a.flac", "calls/a.wav", "calls/b.wav", "calls/c/a.wav"]
    assert names(paths, "calls/**/*") == ["a.flac.txt", "a.wav.txt", "b.txt", "c/a.txt"]


def test_each_glob_has_a_base_of_its_own() -> None:
    paths = ["x/a.wav", "x/b.wav", "y/z/a.wav"]
    assert names(paths, "x/*.wav", "y/**/*.wav") == ["a.txt", "b.txt", "z/a.txt"]
    assert names(paths, "x/*.wav", "y/z/*.wav") == ["x/a.txt", "b.txt", "y/z/a.txt"]
    both = ["x/a.flac", "x/a.wav", "y/a.wav"]
    assert names(both, "x/*", "y/*") == ["x/a.flac.txt", "x/a.wav.txt", "y/a.txt"]


def test_the_first_glob_that_means_a_recording_counts() -> None:
    assert names(["x/y/a.flac", "x/y/b.wav"], "x/**/*.wav", "x/y/*") == ["a.txt", "y/b.txt"]


def test_a_name_that_another_gives_up_for_can_be_taken_too() -> None:
    paths = ["a.flac", "a.wav", "a.wav.flac"]
    assert names(paths) == ["a.flac.txt", "a.wav.txt", "a.wav.flac.txt"]


def test_a_transcript_and_a_folder_do_not_share_a_name() -> None:
    assert names(["a.txt/b.wav", "a.wav"]) == ["a.txt/b.txt", "a.wav.txt"]
    assert names(["x/a.txt/b.wav", "x/a.wav", "x/a.wav.txt/c.wav"], "x/**/*.wav") == [
        "a.txt/b.txt",
        "x/a.wav.txt",
        "a.wav.txt/c.txt",
    ]


@pytest.mark.parametrize("paths", [[f"{RESULTS}/a.wav"], ["a.txt/b.wav", "a.wav", "a.wav.txt/b.wav"]])
def test_what_cannot_lie_beside_each_other_is_refused(paths: list[str]) -> None:
    with pytest.raises(DataError, match="has no free name"):
        names(paths)


def test_names_that_differ_in_case_or_accents_are_told_apart_where_they_can_be() -> None:
    assert names(["x/A.wav", "y/a.wav"], "x/*", "y/*") == ["x/A.txt", "y/a.txt"]
    assert names(["x/e\u0301.wav", "y/\u00e9.wav"], "x/*", "y/*") == ["x/e\u0301.txt", "y/\u00e9.txt"]
    assert names(["A.wav", "a.wav"]) == ["A.wav.txt", "a.wav.txt"]  # only a disk that knows them apart has both


def test_long_names_are_cut_and_stay_apart() -> None:
    long = ["é" * 125 + tail for tail in ("1.wav", "2.wav")]
    assert all(len(path.encode()) == 255 for path in long)
    first, second = names(long, suffix=".json")
    assert first != second and first.startswith("é" * 100) and first.endswith(".json")
    assert len(first.encode()) <= 255 and len(second.encode()) <= 255
    assert names(long, suffix=".txt") == [path.replace(".wav", ".txt") for path in long]


def test_hostile_names_stay_what_they_are() -> None:
    paths = ["a\nb.wav", "a\x1b[31m.wav", "  .wav", "-rf.wav", "…/‮x.wav"]
    assert names(paths) == [posixpath.splitext(path)[0] + ".txt" for path in paths]


PARTS = st.sampled_from(["a", "A", "b", "a.txt", "a.wav.txt", "é", "e\u0301", "\n", "x" * 250, ".a", "a.wav"])
ENDS = st.sampled_from([".wav", ".flac", ".txt", ""])
FILES = st.builds(lambda parts, end: "/".join(parts) + end, st.lists(PARTS, min_size=1, max_size=3), ENDS)
PATTERNS = st.lists(st.sampled_from(["**/*", "a/*", "a/**/*.wav", "b/**/*", "a/b/**/*"]), min_size=1, max_size=3)


@given(st.lists(FILES, unique=True, max_size=12), PATTERNS)
@example(["a/a.wav", "a/A.wav", "b/a.wav"], ["a/*", "b/**/*"])
def test_no_two_recordings_ever_share_a_name(paths: list[str], patterns: list[str]) -> None:
    paths = sorted(paths)
    try:
        found = names(paths, *patterns)
    except DataError:
        return
    assert len(set(found)) == len(paths)
    folders = {found_one[:at] for found_one in found for at, c in enumerate(found_one) if c == "/"}
    assert not folders & set(found)
    assert all(len(part.encode()) <= 255 for name in found for part in name.split("/")[-1:])
    assert found == names(paths, *patterns)
    exact = {path.casefold() for path in paths}
    if len(exact) == len(paths) and all(path.isascii() for path in paths):
        assert len({key_of(name) for name in found}) == len(paths)
