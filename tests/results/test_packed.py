"""A packed file reads as the plain one does, whatever is read of it and in which order."""

from __future__ import annotations

import random
import subprocess
from collections.abc import Sequence
from pathlib import Path
from shutil import which

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from runner.results import packed
from runner.results.lines import RawLines, scan

zstd = pytest.importorskip("runner.zstd")

BLOCK = packed.BLOCK_BYTES
LINES = st.lists(
    st.one_of(
        st.binary(max_size=40).map(lambda line: line.replace(b"\n", b"\x85")),
        st.integers(0, 3 * BLOCK).map(lambda length: b"long " * (length // 5)),
        st.sampled_from([b"x" * (BLOCK - 1), b"y" * BLOCK, b"z" * (BLOCK + 1)]),  # a newline at the end of a block
    ),
    max_size=30,
)


def written(folder: Path, lines: Sequence[bytes], *, ends_whole: bool = True) -> tuple[Path, Path]:
    """The same lines as they came, and packed."""
    plain, small = folder / "0.jsonl", folder / "0.jsonl.zst"
    plain.write_bytes(b"\n".join(lines) + b"\n" * (ends_whole and bool(lines)))
    assert packed.pack(plain, small) == plain.stat().st_size
    return plain, small


def answers(rows: int) -> list[bytes]:
    """Lines as long as those of results; hard to pack, so that blocks are as many as they would be."""
    rng = random.Random(7)
    return [b'{"custom_id":"row-%d","answer":"%s"}' % (n, rng.randbytes(200).hex().encode()) for n in range(rows)]


@given(lines=LINES, ends_whole=st.booleans(), seed=st.integers(0, 1 << 16))
@settings(deadline=None)
def test_random_lines_read_alike(
    tmp_path_factory: pytest.TempPathFactory, lines: list[bytes], ends_whole: bool, seed: int
) -> None:
    plain, small = written(tmp_path_factory.mktemp("packed"), lines, ends_whole=ends_whole)
    assert packed.size_of(small) == packed.size_of(plain) == plain.stat().st_size
    with packed.opened(small) as file:
        assert file.read() == plain.read_bytes()
    found = list(scan(plain))
    assert list(scan(small)) == found
    rng = random.Random(seed)
    with RawLines() as raw:
        for offset, line in rng.choices(found, k=40) if found else ():
            assert raw.at(small, offset) == raw.at(plain, offset) == line


def test_a_shuffled_file_is_read_within_bounds(tmp_path: Path) -> None:
    """Lines asked for in another order than that of the file: all are right, before it is unpacked and after."""
    plain, small = written(tmp_path, answers(20_000))
    found = list(scan(plain))
    random.Random(3).shuffle(found)
    before = sorted(path.name for path in tmp_path.iterdir())
    with RawLines() as raw:
        assert all(raw.at(small, offset) == line for offset, line in found)
    assert sorted(path.name for path in tmp_path.iterdir()) == before, "nothing is left of what was unpacked"


def test_what_was_changed_is_noticed(tmp_path: Path) -> None:
    """A byte that flipped, anywhere: an error, or the bytes as they came, and never others."""
    plain, small = written(tmp_path, answers(400))
    content, whole = plain.read_bytes(), small.read_bytes()
    rng = random.Random(5)
    noticed = 0
    for at in [*range(12), *range(len(whole) - 60, len(whole)), *rng.sample(range(len(whole)), 200)]:
        small.write_bytes(whole[:at] + bytes([whole[at] ^ 1 << rng.randrange(8)]) + whole[at + 1 :])
        try:
            with packed.opened(small) as file:
                assert file.read() == content
        except OSError as error:
            assert str(small) in str(error)
            noticed += 1
    assert noticed > 200
    for size in (0, 3, len(whole) // 2, len(whole) - 1):
        small.write_bytes(whole[:size])
        with pytest.raises(OSError, match="not as it was packed"):
            packed.size_of(small)


@pytest.mark.skipif(which("zstd") is None, reason="the command line of zstd is not here")
def test_others_read_it(tmp_path: Path) -> None:
    plain, small = written(tmp_path, answers(400))
    assert subprocess.run(["zstd", "-dc", small], check=True, capture_output=True).stdout == plain.read_bytes()
