"""From globs to recordings: which files, in which order, and which of them cannot be sent."""

from __future__ import annotations

import os
import sys
import tracemalloc
from collections.abc import Sequence
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from runner.data.audio import LARGEST, AudioFault, AudioFile, AudioListing, Selection, find
from runner.errors import DataError, Mark

MARK = Mark("specs/calls.yaml", 7, 12)


def made(root: Path, *paths: str, data: bytes = b"sound") -> None:
    for path in paths:
        (root / path).parent.mkdir(parents=True, exist_ok=True)
        (root / path).write_bytes(data)


def listing(
    root: Path, *patterns: str, exclude: Sequence[str] = (), allow_empty: bool = False, largest_bytes: int = LARGEST
) -> AudioListing:
    return find(Selection("calls", MARK, patterns, exclude, allow_empty), root, largest_bytes)


def found(root: Path, *patterns: str, exclude: Sequence[str] = ()) -> list[str]:
    return [file.path for file in listing(root, *patterns, exclude=exclude)]


TREE = ("a.wav", "calls/1.wav", "calls/a/2.flac", "calls/a/b/3.wav", "calls/a-b.wav", "calls/a.wav", "other/4.wav")


@pytest.mark.parametrize(
    ("patterns", "expected"),
    [
        (["calls/*.wav"], ["calls/1.wav", "calls/a-b.wav", "calls/a.wav"]),
        (["calls/**/*.wav"], ["calls/1.wav", "calls/a-b.wav", "calls/a.wav", "calls/a/b/3.wav"]),
        (["**/*.flac"], ["calls/a/2.flac"]),
        (["calls/**"], ["calls/1.wav", "calls/a-b.wav", "calls/a.wav", "calls/a/2.flac", "calls/a/b/3.wav"]),
        (["calls/a/**/*"], ["calls/a/2.flac", "calls/a/b/3.wav"]),
        (["*/*.wav"], ["calls/1.wav", "calls/a-b.wav", "calls/a.wav", "other/4.wav"]),
        (["./calls//1.wav"], ["calls/1.wav"]),
        (["calls/[0-9].wav"], ["calls/1.wav"]),
        (["calls/[!0-9].wav"], ["calls/a.wav"]),
        (["calls/?.wav"], ["calls/1.wav", "calls/a.wav"]),
        (["other/*.wav", "calls/1.wav", "**/1.wav"], ["calls/1.wav", "other/4.wav"]),
        (["**/b/*"], ["calls/a/b/3.wav"]),
        (["**/a/**/*.wav"], ["calls/a/b/3.wav"]),
    ],
)
def test_patterns(tmp_path: Path, patterns: list[str], expected: list[str]) -> None:
    made(tmp_path, *TREE)
    assert found(tmp_path, *patterns) == expected


@pytest.mark.parametrize(
    ("exclude", "expected"),
    [
        (["calls/a"], ["calls/1.wav", "calls/a-b.wav", "calls/a.wav"]),
        (["calls/a/**"], ["calls/1.wav", "calls/a-b.wav", "calls/a.wav"]),
        (["b"], ["calls/1.wav", "calls/a-b.wav", "calls/a.wav", "calls/a/2.flac"]),
        (["a*.wav", "*.flac"], ["calls/1.wav", "calls/a/b/3.wav"]),
        (["calls/*.wav"], ["calls/a/2.flac", "calls/a/b/3.wav"]),
    ],
)
def test_exclude(tmp_path: Path, exclude: list[str], expected: list[str]) -> None:
    made(tmp_path, *TREE)
    assert found(tmp_path, "calls/**/*", exclude=exclude) == expected
    assert listing(tmp_path, "calls/**/*", exclude=exclude).excluded > 0


def test_hidden_files_and_folders_are_not_meant(tmp_path: Path) -> None:
    made(tmp_path, "calls/.tmp.wav", "calls/.old/1.wav", "calls/2.wav", ".runner/3.wav")
    assert found(tmp_path, "**/*.wav") == ["calls/2.wav"]


def test_suffixes_count_in_any_case(tmp_path: Path) -> None:
    made(tmp_path, "calls/A.WAV", "calls/b.wav", "calls/c.Wav", "calls/d.mp3", "calls/x/E.WAV")
    assert found(tmp_path, "calls/*.wav") == ["calls/A.WAV", "calls/b.wav", "calls/c.Wav"]
    assert found(tmp_path, "**/*.WaV") == ["calls/A.WAV", "calls/b.wav", "calls/c.Wav", "calls/x/E.WAV"]
    assert found(tmp_path, "calls/**", exclude=["*.wav"]) == ["calls/d.mp3"]


def test_a_file_whose_name_looks_like_a_pattern(tmp_path: Path) -> None:
    made(tmp_path, "calls/[1].wav", "calls/1.wav")
    assert found(tmp_path, "calls/[1].wav") == ["calls/[1].wav"]


def test_an_entry_is_what_stat_says(tmp_path: Path) -> None:
    made(tmp_path, "ü/1.wav", "ü/2.wav", data=b"1234567")
    os.utime(tmp_path / "ü/1.wav", ns=(1, 1_900_000_000_123_456_789))
    about = (tmp_path / "ü/1.wav").stat()
    whole = listing(tmp_path, "ü/*")
    assert whole[0] == AudioFile("ü/1.wav", 7, 1_900_000_000_123_456_789, about.st_ctime_ns, about.st_ino)
    assert len(whole) == 2
    assert whole.size_bytes == 14
    assert whole[-1].path == "ü/2.wav"
    assert whole[0:2] == list(whole)
    with pytest.raises(IndexError):
        whole[2]


NAMES = st.text("ab-.Z1é ", min_size=1, max_size=4).filter(lambda name: name.strip(". ") and not name.startswith("."))


@given(paths=st.sets(st.lists(NAMES, min_size=1, max_size=3).map("/".join), max_size=12))
@settings(max_examples=40, deadline=None)
def test_sorted_by_path_as_a_whole(tmp_path_factory: pytest.TempPathFactory, paths: set[str]) -> None:
    root = tmp_path_factory.mktemp("tree")
    kept = {path for path in paths if not any(other.startswith(f"{path}/") for other in paths)}
    made(root, *kept)
    assert [file.path for file in listing(root, "**/*", allow_empty=True)] == sorted(kept)


def test_files_that_cannot_be_sent_are_named_one_by_one(tmp_path: Path) -> None:
    root = tmp_path / "project"
    made(root, "c/good.wav", "c/large.wav")
    made(root, "c/empty.wav", data=b"")
    made(tmp_path, "outside.wav", "elsewhere/1.wav")
    made(root, "c/large.wav", data=b"sound" * 3)
    os.mkfifo(root / "c/pipe.wav")
    (root / "c/link.wav").symlink_to("good.wav")
    (root / "c/out.wav").symlink_to(tmp_path / "outside.wav")
    (root / "c/gone.wav").symlink_to("nowhere.wav")
    (root / "c/self.wav").symlink_to("self.wav")
    (root / os.fsdecode(b"c/bad\xff.wav")).write_bytes(b"sound")
    whole = listing(root, "c/*.wav", largest_bytes=14)
    assert [file.path for file in whole] == ["c/good.wav", "c/link.wav"]
    reasons = {fault.path: fault.reason for fault in whole.faults}
    assert reasons.pop("c/bad?.wav").startswith("has a name that is not valid UTF-8")
    assert reasons.pop("c/large.wav") == "has 15 bytes; the remote takes 14: split it"
    assert reasons.pop("c/gone.wav").startswith("cannot be looked at: No such file")
    assert reasons.pop("c/self.wav").startswith("cannot be looked at: ")
    assert reasons == {
        "c/empty.wav": "is empty",
        "c/out.wav": f"is a link that leads out of the project, to `{tmp_path / 'outside.wav'}`",
        "c/pipe.wav": "is not a regular file",
    }


@pytest.mark.parametrize("pattern", ["dirlink/*.wav", "dirlink/o.wav", "dirlink/**/*.wav", "**/*.wav", "*/o.wav"])
def test_a_linked_folder_that_leads_out_is_named_and_not_called_empty(tmp_path: Path, pattern: str) -> None:
    root = tmp_path / "project"
    root.mkdir()
    made(tmp_path, "elsewhere/o.wav")
    (root / "dirlink").symlink_to(tmp_path / "elsewhere")
    whole = listing(root, pattern)
    words = f"is a link that leads out of the project, to `{tmp_path / 'elsewhere'}`"
    assert (list(whole), whole.faults) == ([], [AudioFault("dirlink", words)])
    with pytest.raises(DataError, match="no file matches `other/"):
        listing(root, pattern, "other/*.wav")
    with pytest.raises(DataError, match=r"no file matches `\*\*/p.wav"):
        listing(root, pattern, "**/p.wav")


def test_linked_folders(tmp_path: Path) -> None:
    root = tmp_path / "project"
    made(root, "store/1.wav")
    made(tmp_path, "elsewhere/2.wav")
    (root / "calls").mkdir()
    (root / "calls/in").symlink_to("../store")
    (root / "calls/loop").symlink_to(".")
    (root / "calls/out").symlink_to(tmp_path / "elsewhere")
    assert found(root, "calls/in/*.wav") == ["calls/in/1.wav"]
    (root / "calls/empty").symlink_to(tmp_path / "nothing")
    made(tmp_path, "nothing/notes.txt")
    out = AudioFault("calls/out", f"is a link that leads out of the project, to `{tmp_path / 'elsewhere'}`")
    for pattern, inside in (
        ("calls/*/*.wav", ["calls/in/1.wav"]),
        ("**/*.wav", ["store/1.wav"]),  # which enters no link
        ("calls/**", []),
        ("calls/**/2.wav", []),
    ):
        whole = listing(root, pattern, allow_empty=True)
        assert ([file.path for file in whole], [fault for fault in whole.faults if fault.path == out.path]) == (
            inside,
            [out],
        )
    assert not listing(root, "calls/**/3.wav", allow_empty=True).faults  # nothing there is meant
    assert not listing(root, "**/*.wav", exclude=["calls"]).faults
    assert not listing(root, "**/*.wav", exclude=["calls/out"]).faults


@pytest.mark.skipif(os.geteuid() == 0, reason="root may look into every folder")
def test_a_folder_that_cannot_be_looked_into_is_named(tmp_path: Path) -> None:
    made(tmp_path, "calls/secret/1.wav", "calls/2.wav")
    (tmp_path / "calls/secret").chmod(0)
    try:
        whole = listing(tmp_path, "calls/**/*.wav")
    finally:
        (tmp_path / "calls/secret").chmod(0o700)
    assert [fault.path for fault in whole.faults] == ["calls/secret/"]


@pytest.mark.parametrize(
    ("patterns", "exclude", "message", "hint"),
    [
        (["calls/*.flac"], [], "no file matches `calls/*.flac` of job `calls`", "paths are relative to"),
        (["calls/*.wav", "none/*"], [], "no file matches `none/*`", "paths are relative to"),
        (["calls"], [], "no file matches `calls`", "for example `calls/**/*.flac`"),
        (["calls/*.{wav,mp3}"], [], "no file matches", "braces are not expanded"),
        (["/etc/*.wav"], [], "not a path inside the project", "without `..`"),
        (["calls/../../*.wav"], [], "not a path inside the project", "without `..`"),
        (["calls/*.wav"], ["../x"], "`../x` of job `calls` is not a path inside", ""),
        ([""], [], "not a path inside the project", ""),
        (["calls/*.wav"], ["*.wav"], "`exclude` takes out every file", ""),
    ],
)
def test_patterns_that_mean_nothing(
    tmp_path: Path, patterns: list[str], exclude: list[str], message: str, hint: str
) -> None:
    made(tmp_path, "calls/1.wav")
    with pytest.raises(DataError) as caught:
        listing(tmp_path, *patterns, exclude=exclude)
    assert message in caught.value.message
    assert hint in caught.value.hint
    assert caught.value.mark == MARK


def test_an_empty_folder_may_be_all_right(tmp_path: Path) -> None:
    assert list(listing(tmp_path, "calls/*.wav", allow_empty=True)) == []


def test_a_few_tens_of_bytes_a_file(tmp_path: Path) -> None:
    made(tmp_path, *(f"calls/{number // 500}/call-{number:05}.flac" for number in range(2000)))
    listing(tmp_path, "calls/0/*.flac")
    tracemalloc.start()
    try:
        whole = listing(tmp_path, "calls/**/*.flac")
        size, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert len(whole) == 2000
    assert size / len(whole) < 110, "the path has 24 bytes, its numbers 36; arrays grow ahead"
    assert sys.getsizeof(whole[0]) > size / len(whole) / 2
