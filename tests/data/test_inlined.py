"""Files of requests: read once, remembered by their stat, and the same bytes when they are sent."""

from __future__ import annotations

import base64
import os
import time
from hashlib import sha256
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from runner.data.contents import FileMemo, key_of
from runner.data.inlined import ENCODED_AT_ONCE, Inlined, InlinedFiles, Unfit, _packed, encoded, is_as
from runner.data.kinds import Kind
from runner.errors import DataError
from tests.data import pictures

MOST = 10_000_000
CALM_NS = 100 * 10**9


@pytest.fixture
def root(tmp_path: Path) -> Path:
    (tmp_path / "cat.png").write_bytes(pictures.png(30, 20))
    before = time.time() - 100
    os.utime(tmp_path / "cat.png", (before, before))
    return tmp_path


def files(root: Path, *, later_ns: int = CALM_NS) -> InlinedFiles:
    return InlinedFiles(root, FileMemo(root / "memo"), now_ns=lambda: time.time_ns() + later_ns)


def test_what_was_read_is_remembered_and_not_read_again(root: Path) -> None:
    first = files(root)
    found = first.of("cat.png", MOST)
    assert (found.sha256, found.kind) == (sha256(pictures.png(30, 20)).digest(), Kind("png", 30, 20))
    first.save()
    assert files(root).of("cat.png", MOST) == found
    # what is remembered is believed: a file of which something else is remembered was not opened
    other = Inlined(found.stamp, bytes(32), Kind("gif", 7, 5))
    memo = FileMemo(root / "other")
    memo.put(key_of(found.stamp), _packed(other))
    assert InlinedFiles(root, memo).of("cat.png", MOST) == other


def test_what_was_written_just_now_is_read_again(root: Path) -> None:
    hasty = files(root, later_ns=0)
    hasty.of("cat.png", MOST)
    hasty.save()
    assert not (root / "memo").exists()


def test_a_file_that_changed_is_not_as_it_was(root: Path) -> None:
    found = files(root).of("cat.png", MOST)
    assert is_as(str(root), found.stamp)
    about = (root / "cat.png").stat()
    (root / "cat.png").write_bytes(pictures.png(30, 20, seed=1))
    os.utime(root / "cat.png", ns=(about.st_atime_ns, about.st_mtime_ns))
    assert not is_as(str(root), found.stamp)
    with pytest.raises(DataError):
        list(encoded(root, found))
    (root / "cat.png").unlink()
    assert not is_as(str(root), found.stamp)
    with pytest.raises(DataError):
        list(encoded(root, found))


def test_a_file_above_the_limit_is_not_read(root: Path) -> None:
    with open(root / "huge.png", "wb") as file:
        file.truncate(1 << 40)  # to read it would take an hour
    with pytest.raises(Unfit) as caught:
        files(root).of("huge.png", MOST)
    assert "1,099,511,627,776 bytes, and its provider takes 10,000,000" in str(caught.value)


@given(st.integers(-3, 3), st.integers(1, 3))
def test_pieces_are_the_base64_of_the_whole(tmp_path_factory: pytest.TempPathFactory, odd: int, times: int) -> None:
    root = tmp_path_factory.mktemp("pieces")
    data = os.urandom(64) * (ENCODED_AT_ONCE // 64 * times)
    data = data[:odd] if odd < 0 else data + bytes(odd)
    (root / "a.bin").write_bytes(data)
    found = InlinedFiles(root).of("a.bin", MOST)
    whole = b"".join(encoded(root, found))
    assert whole == base64.b64encode(data)
    assert len(whole) == found.encoded_bytes
