"""A raw file, as it came or packed: read in both by offsets of the bytes as they came.

Packed it lies beside its name, which is gone then. It is zstd in its seekable format: a frame for each block of bytes,
and at the end, in a frame that other readers skip, how long each is. `zstd -dc` gives the file as it came. Sizes and
digests on record are of those bytes. Where both are there, the plain one counts: packing was cut short.
"""

from __future__ import annotations

import errno
import hashlib
import io
import os
import shutil
import struct
import sys
import tempfile
from array import array
from functools import partial
from itertools import accumulate
from pathlib import Path
from typing import Any

from runner.files import BUFFER_BYTES, PRIVATE, bytes_at, whole

SUFFIX = ".zst"
BLOCK_BYTES = 1 << 15  # 64 KiB would pack 5 % better, and a line read by itself would cost half as much again
_LEVEL = 1  # 3 takes longer and packs lines of results no better
_TABLE = struct.Struct("<II")  # before it: the magic of a frame that is skipped, and its length
_FRAME = struct.Struct("<II")  # of a block: its bytes packed, and as they came
_END = struct.Struct("<IBI")  # after it: the number of frames, what their entries hold, and the magic of the format
_SKIPPED, _SEEKABLE = 0x184D2A5E, 0x8F92EAB1
_SHARE = 4  # of what is free on the disk at most the fourth part, see `Blocks.loose`


def packed_of(path: Path) -> Path:
    """Where a raw file lies once it is packed."""
    return path.with_name(path.name + SUFFIX)


def pack(path: Path) -> int:
    """Put the packed file in the place of the plain one; how many bytes came. A kill leaves one of them, or both.

    Raises OSError, and ImportError where zstd is not installed; then the plain file is as it was.
    """
    size = _write(path, packed_of(path))
    path.unlink()
    return size


def _write(source: Path, target: Path) -> int:
    from runner.zstd import CompressionParameter, ZstdCompressor

    parameters = CompressionParameter
    packer = ZstdCompressor(options={parameters.compression_level: _LEVEL, parameters.checksum_flag: 1})
    table = bytearray()
    size = 0
    with source.open("rb", buffering=BUFFER_BYTES) as plain, whole(target, mode=PRIVATE) as out:
        while block := plain.read(BLOCK_BYTES):
            packer.set_pledged_input_size(len(block))
            frame = packer.compress(block, packer.FLUSH_FRAME)
            out.write(frame)
            table += _FRAME.pack(len(frame), len(block))
            size += len(block)
        out.write(_TABLE.pack(_SKIPPED, len(table) + _END.size))
        out.write(table + _END.pack(len(table) // _FRAME.size, 0, _SEEKABLE))
    return size


def opened(path: Path) -> io.BufferedReader[Any]:
    """A raw file to be read from its first byte to its last, as it came. Raises OSError."""
    try:
        return path.open("rb")
    except FileNotFoundError:
        return io.BufferedReader(_Unpacked(Blocks(path)), BLOCK_BYTES)


def size_of(path: Path) -> int:
    """How many bytes came. Raises OSError."""
    try:
        return path.stat().st_size
    except FileNotFoundError:
        blocks = Blocks(path)
        blocks.close()
        return blocks.size


def is_whole(path: Path, size_bytes: int, sha256: str) -> bool:
    """Whether a raw file is what came: so many bytes, of this digest. sha256: as hex; empty where none was kept."""
    try:
        if size_of(path) != size_bytes:
            return False
        return not sha256 or sha256_of(path) == sha256
    except OSError:
        return False


def sha256_of(path: Path) -> str:
    """Of the bytes as they came, 64 hex characters. Raises OSError."""
    with opened(path) as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


class Blocks:
    """The blocks of a packed file. Close it."""

    def __init__(self, path: Path) -> None:
        """path: of the plain file. Raises OSError, also for what is no packed file of ours."""
        from runner.zstd import DecompressionParameter, ZstdDecompressor, ZstdError

        self._path = packed_of(path)
        # Of a state file that was made to harm, a frame takes no more memory than one of ours
        bounds: dict[int, int] = {DecompressionParameter.window_log_max: BLOCK_BYTES.bit_length() - 1}
        self._unpacker, self._error = partial(ZstdDecompressor, options=bounds), ZstdError
        try:
            self._fd = os.open(self._path, os.O_RDONLY | os.O_CLOEXEC)
        except FileNotFoundError as error:
            raise FileNotFoundError(error.errno, error.strerror, str(path)) from None
        try:
            self._starts, self.size = self._table(os.fstat(self._fd).st_size)
        except BaseException:
            self.close()
            raise

    def _table(self, end: int) -> tuple[array[int], int]:
        """Where each block begins, and behind the last one where it ends; how long all are as they came."""
        footer = bytes_at(self._fd, _END.size, max(end - _END.size, 0))
        if len(footer) < _END.size:
            raise self._damaged()
        frames, kind, magic = _END.unpack(footer)
        length = frames * _FRAME.size
        begins = end - _END.size - length
        if magic != _SEEKABLE or kind or begins < _TABLE.size:
            raise self._damaged()
        sizes = array("I", bytes_at(self._fd, length, begins))
        if sys.byteorder == "big":
            sizes.byteswap()
        starts = array("Q", accumulate(sizes[0::2], initial=0))
        size = sum(sizes[1::2])
        # Blocks are found by counting: all of them are of one size but the last
        is_even = frames == -(-size // BLOCK_BYTES) and (frames < 2 or set(sizes[1:-2:2]) == {BLOCK_BYTES})
        if not is_even or starts[-1] != begins - _TABLE.size:
            raise self._damaged()
        return starts, size

    def __len__(self) -> int:
        return len(self._starts) - 1

    def block(self, number: int) -> bytes:
        """One as it came: BLOCK_BYTES, the last one what is left. Raises OSError where it is not what was packed."""
        start, end = self._starts[number], self._starts[number + 1]
        length = min(BLOCK_BYTES, self.size - number * BLOCK_BYTES)
        unpacker = self._unpacker()
        try:
            block = unpacker.decompress(bytes_at(self._fd, end - start, start), length)
            if not unpacker.eof:  # its checksum comes last
                unpacker.decompress(b"", 1)
        except (self._error, EOFError) as error:
            raise self._damaged() from error
        if len(block) != length or not unpacker.eof:
            raise self._damaged()
        return block

    def whole(self) -> bytes:
        """All of it as it came."""
        out = io.BytesIO()  # which gives away what it holds; blocks that are joined would be there twice
        out.seek(max(self.size - 1, 0))
        out.write(bytes(min(self.size, 1)))  # all of its room at once
        out.seek(0)
        for number in range(len(self)):
            out.write(self.block(number))
        return out.getvalue()

    def loose(self) -> int | None:
        """A descriptor of all of it as it came, in a file without a name; None where there is no room for that."""
        folder = self._path.parent
        try:
            if self.size > shutil.disk_usage(folder).free // _SHARE:
                return None
            with tempfile.TemporaryFile(dir=folder, buffering=0) as file:
                for number in range(len(self)):
                    block = self.block(number)
                    if file.write(block) != len(block):
                        return None
                return os.dup(file.fileno())
        except OSError as error:
            if error.errno == errno.EIO:
                raise
            return None  # a disk that is full, a memory that may only be read

    def close(self) -> None:
        os.close(self._fd)

    def _damaged(self) -> OSError:
        return OSError(errno.EIO, "not as it was packed", str(self._path))


class _Unpacked(io.RawIOBase):
    """A packed file, unpacked as it is read."""

    def __init__(self, blocks: Blocks) -> None:
        self._blocks = blocks
        self._next = 0
        self._rest = memoryview(b"")

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: bytearray | memoryview) -> int:  # type: ignore[override]  # any buffer that is written to
        if not self._rest and self._next < len(self._blocks):
            self._rest = memoryview(self._blocks.block(self._next))
            self._next += 1
        count = min(len(buffer), len(self._rest))
        buffer[:count], self._rest = self._rest[:count], self._rest[count:]
        return count

    def close(self) -> None:
        if not self.closed:
            self._blocks.close()
        super().close()
