from __future__ import annotations

import hashlib
import time
from pathlib import Path

from runner.data.contents import FileMemo
from runner.data.digests import Digests, Forgetful

DAY_NS = 86_400_000_000_000


def digest(data: bytes) -> bytes:
    return hashlib.sha256(data).digest()


def later() -> int:
    return time.time_ns() + DAY_NS


def test_a_file_that_was_read_is_not_read_again(tmp_path: Path) -> None:
    file = tmp_path / "a"
    file.write_bytes(b"one")
    memo = FileMemo(tmp_path / "memo")
    assert Digests(memo, now_ns=later).of(file) == digest(b"one")
    memo.save()
    file.write_bytes(bytes(50_000_000))
    again = FileMemo(tmp_path / "memo")
    assert Digests(again, now_ns=later).of(file) == digest(bytes(50_000_000))
    again.save()
    before = _bytes_read()
    assert Digests(FileMemo(tmp_path / "memo"), now_ns=later).of(file) == digest(bytes(50_000_000))
    assert _bytes_read() - before < 1_000_000


def test_a_change_within_a_tick_of_the_clock_is_seen(tmp_path: Path) -> None:
    file = tmp_path / "a"
    memo = FileMemo(tmp_path / "memo")
    for content in (b"one", b"two", b"six"):
        file.write_bytes(content)
        assert Digests(memo).of(file) == digest(content)


def test_what_we_wrote_ourselves_is_known_at_once(tmp_path: Path) -> None:
    file = tmp_path / "a"
    file.write_bytes(bytes(50_000_000))
    digests = Digests(FileMemo(tmp_path / "memo"))
    digests.of(file, is_ours=True)
    before = _bytes_read()
    digests.of(file)
    assert _bytes_read() - before < 1_000_000


def test_without_a_memo_each_is_read(tmp_path: Path) -> None:
    file = tmp_path / "a"
    file.write_bytes(b"one")
    assert Digests(Forgetful()).of(file) == digest(b"one")


def _bytes_read() -> int:
    """By this process so far, whether or not they came from the disk."""
    words = Path("/proc/self/io").read_text().split()
    return int(words[words.index("rchar:") + 1])
