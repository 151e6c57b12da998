"""A packed file reads as the plain one does, whatever is read of it and in which order."""

from __future__ import annotations

import hashlib
import random
import shutil
import struct
import subprocess
from collections.abc import Sequence
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from runner import rawfile
from runner.results.lines import RawLines, scan

zstd = pytest.importorskip("runner.zstd")

BLOCK = rawfile.BLOCK_BYTES
LINES = st.lists(
    st.one_of(
        st.binary(max_size=40).map(lambda line: line.replace(b"\n", b"\x85")),
        st.integers(0, 3 * BLOCK).map(lambda length: b"long " * (length // 5)),
        st.sampled_from([b"x" * (BLOCK - 1), b"y" * BLOCK, b"z" * (BLOCK + 1)]),  # a newline at the end of a block
    ),
    max_size=30,
)


def packed(folder: Path, lines: Sequence[bytes], *, ends_whole: bool = True) -> tuple[Path, Path]:
    """The same lines in two files, and the second is packed."""
    plain, other = folder / "plain.jsonl", folder / "0.jsonl"
    plain.write_bytes(b"\n".join(lines) + b"\n" * (ends_whole and bool(lines)))
    shutil.copyfile(plain, other)
    assert rawfile.pack(other) == plain.stat().st_size
    assert not other.exists() and rawfile.packed_of(other).is_file()
    return plain, other


def answers(rows: int) -> list[bytes]:
    """Lines as long as those of results; hard to pack, so that blocks are as many as they would be."""
    rng = random.Random(7)
    return [b'{"custom_id":"row-%d","answer":"%s"}' % (n, rng.randbytes(200).hex().encode()) for n in range(rows)]


@given(lines=LINES, ends_whole=st.booleans(), seed=st.integers(0, 1 << 16))
@settings(deadline=None)
def test_random_lines_read_alike(
    tmp_path_factory: pytest.TempPathFactory, lines: list[bytes], ends_whole: bool, seed: int
) -> None:
    plain, small = packed(tmp_path_factory.mktemp("packed"), lines, ends_whole=ends_whole)
    assert rawfile.size_of(small) == rawfile.size_of(plain) == plain.stat().st_size
    with rawfile.opened(small) as file:
        assert file.read() == plain.read_bytes()
    found = list(scan(plain))
    rng = random.Random(seed)
    with RawLines() as raw:
        for offset, line in rng.choices(found, k=40) if found else ():
            assert raw.at(small, offset) == raw.at(plain, offset) == line


def test_a_shuffled_file_is_read_within_bounds(tmp_path: Path) -> None:
    """Lines asked for in another order than that of the file: all are right, before it is unpacked and after."""
    plain, small = packed(tmp_path, answers(20_000))
    found = list(scan(plain))
    random.Random(3).shuffle(found)
    before = sorted(path.name for path in tmp_path.iterdir())
    with RawLines() as raw:
        assert all(raw.at(small, offset) == line for offset, line in found)
    assert sorted(path.name for path in tmp_path.iterdir()) == before, "nothing is left of what was unpacked"


def test_a_small_file_leaves_a_large_one_its_room(tmp_path: Path) -> None:
    """Of a batch of a few edited rows, beside that of all others: the large one is unpacked once."""
    _, large = packed(tmp_path, answers(20_000))
    small = tmp_path / "small.jsonl"
    small.write_bytes(b"\n".join(answers(30)) + b"\n")
    rng = random.Random(4)
    places = [offset for offset, _ in scan(tmp_path / "plain.jsonl")]
    with RawLines() as raw:
        for offset in rng.sample(places, 2_000):
            raw.at(large, offset)
        held = raw.whole(large)
        assert held
        for offset, line in rng.sample(list(scan(small)), 30):
            assert raw.at(small, offset) == line
            raw.at(large, rng.choice(places))
            assert raw.whole(large) is held


def test_what_was_changed_is_noticed(tmp_path: Path) -> None:
    """A byte that flipped, anywhere: an error, or the bytes as they came, and never others."""
    plain, small = packed(tmp_path, answers(400))
    lies = rawfile.packed_of(small)
    content, whole = plain.read_bytes(), lies.read_bytes()
    sha256 = hashlib.sha256(content).hexdigest()
    assert rawfile.is_whole(small, len(content), sha256)
    rng = random.Random(5)
    noticed = 0
    for at in [*range(12), *range(len(whole) - 60, len(whole)), *rng.sample(range(len(whole)), 200)]:
        lies.write_bytes(whole[:at] + bytes([whole[at] ^ 1 << rng.randrange(8)]) + whole[at + 1 :])
        try:
            with rawfile.opened(small) as file:
                assert file.read() == content
        except OSError as error:
            assert str(lies) in str(error)
            assert not rawfile.is_whole(small, len(content), sha256)
            noticed += 1
    assert noticed > 200
    for size in (0, 3, len(whole) // 2, len(whole) - 1):
        lies.write_bytes(whole[:size])
        with pytest.raises(OSError, match="not as it was packed"):
            rawfile.size_of(small)


def test_a_frame_that_unfolds_to_more_is_refused(tmp_path: Path) -> None:
    """Of a state file that somebody made: it says a block, and holds a hundred megabytes."""
    bomb = zstd.ZstdCompressor().compress(bytes(100 << 20), zstd.ZstdCompressor.FLUSH_FRAME)
    table = struct.pack("<II", len(bomb), BLOCK) + struct.pack("<IBI", 1, 0, 0x8F92EAB1)
    path = tmp_path / "0.jsonl"
    rawfile.packed_of(path).write_bytes(bomb + struct.pack("<II", 0x184D2A5E, len(table)) + table)
    assert rawfile.size_of(path) == BLOCK
    with RawLines() as raw, pytest.raises(OSError, match="not as it was packed"):
        raw.at(path, 0)


def test_packing_that_was_cut_short(tmp_path: Path) -> None:
    """A kill after the packed file has its name leaves both: the plain one counts, and is packed again."""
    plain, small = packed(tmp_path, answers(100))
    rawfile.packed_of(small).write_bytes(b"of an earlier kill")
    shutil.copyfile(plain, small)
    with RawLines() as raw:
        assert raw.at(small, 0) == answers(1)[0]
    rawfile.pack(small)
    with rawfile.opened(small) as file:
        assert file.read() == plain.read_bytes()
    with pytest.raises(FileNotFoundError):
        rawfile.opened(tmp_path / "1.jsonl")


@pytest.mark.skipif(shutil.which("zstd") is None, reason="the command line of zstd is not here")
def test_others_read_it(tmp_path: Path) -> None:
    plain, small = packed(tmp_path, answers(400))
    assert (
        subprocess.run(["zstd", "-dc", rawfile.packed_of(small)], check=True, capture_output=True).stdout
        == plain.read_bytes()
    )
