"""Digests of recordings: read once, remembered by stat, and not believed of files that were just written."""

from __future__ import annotations

import hashlib
import os
import stat
from pathlib import Path

import pytest

from runner.data import contents
from runner.data.audio import AudioFile, Selection, find
from runner.data.contents import Contents, FileContent, FileMemo
from runner.errors import DataError, Mark
from tests.data import sounds

LATER = 10_000_000_000  # ns after the file was written


def looked_at(root: Path, name: str = "1.flac") -> AudioFile:
    return find(Selection("calls", Mark("s.yaml"), [name]), root)[0]


def hashes(root: Path, memo: contents.Memo, later_ns: int = LATER) -> Contents:
    now_ns = max(path.stat().st_ctime_ns for path in root.iterdir()) + later_ns
    return Contents(root, memo, now_ns=lambda: now_ns)


class Spy(FileMemo):
    """Counts what is kept."""

    def __init__(self, path: Path) -> None:
        super().__init__(path)
        self.puts = 0

    def put(self, key: bytes, value: bytes) -> None:
        self.puts += 1
        super().put(key, value)


@pytest.mark.parametrize("size", [0, 300_000, 1 << 18, (1 << 18) + 1])
def test_digest_format_and_length(tmp_path: Path, size: int) -> None:
    data = sounds.flac() + bytes(max(0, size - len(sounds.flac())))
    (tmp_path / "1.flac").write_bytes(data)
    found = hashes(tmp_path, FileMemo(tmp_path / ".memo"))
    assert found.content(looked_at(tmp_path)) == FileContent(hashlib.sha256(data).digest(), "flac", 1.5)
    assert found.of(looked_at(tmp_path)) == hashlib.sha256(data).digest()


def test_headers_far_into_the_file_are_found(tmp_path: Path) -> None:
    (tmp_path / "1.flac").write_bytes(sounds.mp4(sound_bytes=400_000))
    assert hashes(tmp_path, FileMemo(tmp_path / ".memo")).content(looked_at(tmp_path)).seconds == 1.5


def test_a_second_run_reads_no_file(tmp_path: Path) -> None:
    root, memo = tmp_path / "root", tmp_path / "memo/audio"
    root.mkdir()
    for number in range(50):
        (root / f"{number}.flac").write_bytes(sounds.flac() + bytes([number]))
    first = FileMemo(memo)
    files = list(find(Selection("calls", Mark("s.yaml"), ["*.flac"]), root))
    digests = [hashes(root, first).of(file) for file in files]
    first.save()
    assert stat.S_IMODE(memo.stat().st_mode) == 0o600
    second = hashes(root, FileMemo(memo))
    for file in files:
        os.truncate(root / file.path, 0)  # whoever opened it now would notice
    assert [second.of(file) for file in files] == digests
    assert second.known(files[0]) == FileContent(digests[0], "flac", 1.5)


@pytest.mark.parametrize("field", ["size_bytes", "mtime_ns", "ctime_ns", "inode", "path"])
def test_every_part_of_the_stamp_counts(tmp_path: Path, field: str) -> None:
    (tmp_path / "1.flac").write_bytes(sounds.flac())
    found = hashes(tmp_path, FileMemo(tmp_path / ".memo"))
    file = looked_at(tmp_path)
    found.of(file)
    assert found.known(file)
    other = {"path": "2.flac"} if field == "path" else {field: getattr(file, field) + 1}
    assert found.known(file._replace(**other)) is None  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("later_ns", "is_kept"), [(0, False), (1_999_999_999, False), (2_000_000_000, True), (-5, False)]
)
def test_a_file_that_was_just_written_is_read_again(tmp_path: Path, later_ns: int, is_kept: bool) -> None:
    (tmp_path / "1.flac").write_bytes(sounds.flac())
    memo = Spy(tmp_path / ".memo")
    found = hashes(tmp_path, memo, later_ns)
    found.of(looked_at(tmp_path))
    assert (found.known(looked_at(tmp_path)) is not None) is is_kept
    assert memo.puts == is_kept


def test_a_changed_file_has_another_digest(tmp_path: Path) -> None:
    (tmp_path / "1.flac").write_bytes(sounds.flac())
    memo = FileMemo(tmp_path / ".memo")
    before = hashes(tmp_path, memo).of(looked_at(tmp_path))
    about = (tmp_path / "1.flac").stat()
    (tmp_path / "1.flac").write_bytes(sounds.flac()[:-1] + b"!")
    os.utime(tmp_path / "1.flac", ns=(about.st_atime_ns, about.st_mtime_ns))
    assert hashes(tmp_path, memo).of(looked_at(tmp_path)) != before


def test_a_file_that_changed_since_it_was_listed_is_not_digested(tmp_path: Path) -> None:
    (tmp_path / "1.flac").write_bytes(sounds.flac())
    file = looked_at(tmp_path)
    (tmp_path / "1.flac").write_bytes(sounds.flac() + b"more")
    with pytest.raises(DataError, match="changed while it was read") as caught:
        hashes(tmp_path, FileMemo(tmp_path / ".memo")).of(file)
    assert caught.value.mark == Mark("1.flac")


def test_what_is_no_recording_is_refused_and_not_remembered(tmp_path: Path) -> None:
    (tmp_path / "1.flac").write_bytes(b"<html>not found</html>")
    memo = Spy(tmp_path / ".memo")
    with pytest.raises(DataError, match="a web page or XML") as caught:
        hashes(tmp_path, memo).of(looked_at(tmp_path))
    assert caught.value.mark == Mark("1.flac")
    assert memo.puts == 0


def test_a_file_that_is_gone_is_an_error_of_its_own(tmp_path: Path) -> None:
    (tmp_path / "1.flac").write_bytes(sounds.flac())
    (tmp_path / "2.flac").write_bytes(sounds.flac())
    file = looked_at(tmp_path)
    (tmp_path / "1.flac").unlink()
    with pytest.raises(DataError, match="cannot read the recording: No such file"):
        hashes(tmp_path, FileMemo(tmp_path / ".memo")).of(file)


def test_the_memo_keeps_what_it_had(tmp_path: Path) -> None:
    value = bytes(48)
    path = tmp_path / "memo"
    for number in range(5):
        memo = FileMemo(path)
        memo.put(bytes(8) + number.to_bytes(8, "big"), value)  # the same first half: told apart by the second
        memo.save()
    memo = FileMemo(path)
    assert all(memo.get(bytes(8) + number.to_bytes(8, "big")) == value for number in range(5))
    assert memo.get(bytes(8) + b"\0\0\0\0\0\0\0\x05") is None
    assert memo.get(b"\xff" * 16) is None


@pytest.mark.parametrize("damage", ["cut", "flip", "empty", "foreign"])
def test_a_damaged_memo_counts_as_empty(tmp_path: Path, damage: str) -> None:
    path = tmp_path / "memo"
    memo = FileMemo(path)
    memo.put(b"k" * 16, bytes(48))
    memo.save()
    data = bytearray(path.read_bytes())
    if damage == "flip":
        data[-1] ^= 1
    path.write_bytes({"cut": data[:-1], "empty": b"", "foreign": b"diskcache"}.get(damage, bytes(data)))
    assert FileMemo(path).get(b"k" * 16) is None
