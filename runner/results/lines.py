"""Raw files by line: a streaming scan with offsets, and lines read again at an offset.

Lines end at b"\\n" and nowhere else: U+2028, U+0085 and form feeds are ordinary characters of an answer.
"""

from __future__ import annotations

import os
from collections import OrderedDict
from collections.abc import Iterator
from pathlib import Path
from types import TracebackType

from runner import rawfile

CHUNK_BYTES = 1 << 18
_SMALL, _LARGE = 1 << 12, 1 << 16  # bytes to read ahead
_WHOLE_BYTES = 1 << 25  # of a file that may be held as a whole
_READ_APART = 1 << 13  # bytes of a file for each line that is read far from the one before it, until it is
_HELD_BLOCKS = 64  # of packed files, unpacked
LONGEST_LINE_BYTES = 1 << 28
_STUMP_BYTES = 1024  # what is kept of such a line: no JSON object is whole in it, so it is reported


def scan(path: Path, *, longest_bytes: int = LONGEST_LINE_BYTES) -> Iterator[tuple[int, bytes]]:
    """(offset, line without its newline) of every line; the last one may lack its newline.

    A line of more than longest_bytes comes as its first kilobyte, so that memory stays bounded.
    """
    for offset, lines in scan_runs(path, longest_bytes=longest_bytes):
        for line in lines:
            yield offset, line
            offset += len(line) + 1


def scan_runs(path: Path, *, longest_bytes: int = LONGEST_LINE_BYTES) -> Iterator[tuple[int, list[bytes]]]:
    """The same, many lines at a time: the offset of the first, and what follows it without a gap."""
    with path.open("rb", buffering=0) as source:
        offset = 0
        parts: list[bytes] = []  # of a line that began in an earlier chunk
        held = 0  # its length so far, also of what is not kept
        while chunk := source.read(CHUNK_BYTES):
            lines = chunk.split(b"\n")
            last = lines.pop()
            if held and lines:
                length = held + len(lines[0])
                lines[0] = _whole(parts, held, lines[0], longest_bytes)
                if len(lines[0]) != length:  # a stump: what follows is not where its length says
                    yield offset, [lines.pop(0)]
                    offset += length + 1
                parts, held = [], 0
            if lines:
                yield offset, lines
                offset += sum(map(len, lines)) + len(lines)
            if last:
                held += len(last)
                if held <= longest_bytes:
                    parts.append(last)
                else:
                    del parts[1:]
                    parts = parts or [last[:_STUMP_BYTES]]
        if held:
            yield offset, [_whole(parts, held, b"", longest_bytes)]


def count_lines(path: Path) -> int:
    """Lines that are not empty bytes: every b"\\n", and what follows the last one. Raises OSError."""
    lines, ends_whole = 0, True
    with path.open("rb", buffering=0) as source:
        while chunk := source.read(CHUNK_BYTES):
            lines += chunk.count(b"\n")
            ends_whole = chunk.endswith(b"\n")
    return lines + (not ends_whole)


def _whole(parts: list[bytes], held: int, piece: bytes, longest_bytes: int) -> bytes:
    """The line out of its parts, or only a stump of it when it is too long to be held."""
    if held + len(piece) > longest_bytes:
        return parts[0][:_STUMP_BYTES]
    return b"".join((*parts, piece))


class RawLines:
    """Lines at known offsets of many files, packed or not: few open files, and a block read ahead for neighbours.

    Result files come in any order. A block holds about one line of the file, and more as long as the offsets asked
    for run forward. Of a file of which many are asked for in another order all is read in one go, and held as long as
    there is room for it beside others.
    """

    OPEN_FILES = 32

    def __init__(self) -> None:
        self._open: OrderedDict[Path, _Window | _PackedWindow] = OrderedDict()
        self._path: Path | None = None  # of the last line: neighbours mostly share a file
        self._window: _Window | _PackedWindow
        self._held = _Held()
        self._room = _Room()
        self._expected: dict[Path, int] = {}  # lines

    def expect(self, path: Path, lines: int) -> None:
        """So many lines of this file will be asked for, in any order: whether it is worth while to hold it as a whole
        need not be found out."""
        self._expected[path] = lines

    def at(self, path: Path, offset: int) -> bytes:
        """The line that begins at `offset`, without its newline. Raises OSError.

        Give the same Path object for the same file where you can: it is compared by identity first.
        """
        if path is not self._path:
            self._window, self._path = self._window_of(path), path
        return self._window.line(offset)

    def whole(self, path: Path) -> bytes:
        """All of a file that is held as a whole; empty for every other one."""
        window = self._open.get(path)
        return window.whole if window is not None else b""

    def _window_of(self, path: Path) -> _Window | _PackedWindow:
        window = self._open.get(path)
        if window is None:
            expected = self._expected.pop(path, 0)  # of what is let go it has to show once more
            try:
                window = _Window(os.open(path, os.O_RDONLY | os.O_CLOEXEC), self._room, expected)
            except FileNotFoundError:
                window = _PackedWindow(path, self._held, self._room, expected)
            if len(self._open) >= self.OPEN_FILES:
                self._open.popitem(last=False)[1].close()
            self._open[path] = window
        elif len(self._open) == self.OPEN_FILES:  # else nothing is ever closed, and order is idle
            self._open.move_to_end(path)
        return window

    def close(self) -> None:
        self._path = None
        while self._open:
            self._open.popitem()[1].close()

    def __enter__(self) -> RawLines:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, _: TracebackType | None) -> None:
        self.close()


class _Room:
    """For files that are held as a whole: a small one takes the room of no large one."""

    def __init__(self) -> None:
        self._taken: list[_Window | _PackedWindow] = []

    def take(self, window: _Window | _PackedWindow, size_bytes: int) -> None:
        self._taken = [one for one in self._taken if one.whole and one is not window]
        while self._taken and sum(len(one.whole) for one in self._taken) + size_bytes > _WHOLE_BYTES:
            self._taken.pop(0).let_go()
        self._taken.append(window)


class _Window:
    """One open file and the last block read from it."""

    __slots__ = ("_ahead", "_apart", "_block", "_fd", "_next", "_room", "_size", "_start", "_usual", "whole")

    def __init__(self, fd: int, room: _Room, expected: int = 0) -> None:
        self._fd = fd
        self._room = room
        self.whole = b""
        self._size = os.fstat(fd).st_size
        self._apart = expected  # lines that were read far from the one before them, or will be
        self._block = b""
        self._start = 0  # where the block begins
        self._next = 0  # where the line after the last one begins
        self._usual = _SMALL  # bytes that most lines of this file fit in
        self._ahead = _SMALL  # bytes to read while the offsets run forward

    def line(self, offset: int) -> bytes:
        block = self._block
        position = offset - self._start
        if 0 <= position < len(block):
            end = block.find(b"\n", position)
            if end >= 0:
                self._next = self._start + end + 1
                return block[position:end]
        if 0 <= offset - self._next < _LARGE:
            size = self._ahead = min(4 * self._ahead, _LARGE)
        else:
            size = self._ahead = self._usual
            self._apart += 1
            if self._apart * _READ_APART > self._size and self._take_whole(offset):
                return self.line(offset)
        block = os.pread(self._fd, size, offset)
        end = block.find(b"\n")
        if end < 0:
            block, end = self._longer(block, offset)
        if not end < self._usual <= end + end // 2 + 256:
            wanted = min(end + end // 4 + 128, _LARGE)
            self._usual += (wanted - self._usual) // 16  # towards somewhat more than the mean
        self._next = offset + end + 1
        # A line of many megabytes is not worth keeping.
        self._start, self._block = (offset, block) if len(block) <= 4 * _LARGE else (0, b"")
        return block[:end]

    def _take_whole(self, offset: int) -> bool:
        """Whether the file is held as a whole now, and the line at `offset` is whole in it."""
        self._apart = 0  # if it is let go it has to be worth while again
        if self._size > _WHOLE_BYTES:
            return False
        self._room.take(self, self._size)
        self._start, self._block = 0, os.pread(self._fd, self._size, 0)
        self.whole = self._block
        return self._block.find(b"\n", offset) >= 0

    def let_go(self) -> None:
        """Hold nothing more of it."""
        self._start, self._block, self.whole = 0, b"", b""

    def _longer(self, block: bytes, offset: int) -> tuple[bytes, int]:
        """A block that holds the whole line, and where the line ends in it."""
        while more := os.pread(self._fd, max(len(block), _SMALL), offset + len(block)):
            end = more.find(b"\n")
            block, before = block + more, len(block)
            if end >= 0:
                return block, before + end
        return block, len(block)

    def close(self) -> None:
        self.let_go()
        os.close(self._fd)


class _Held(OrderedDict[tuple[Path, int], bytes]):
    """Blocks of packed files that were read last, by file and number."""

    def block(self, path: Path, number: int) -> bytes | None:
        block = self.get((path, number))
        if block is not None:
            self.move_to_end((path, number))
        return block

    def hold(self, path: Path, number: int, block: bytes) -> None:
        self[path, number] = block
        if len(self) > _HELD_BLOCKS:
            self.popitem(last=False)


class _PackedWindow:
    """One packed file, and the block of the last line.

    A line costs a block, so lines in another order than that of the file cost a block each. When half as many blocks
    were read as the file has, it is unpacked as a whole, a large one into a file without a name. That costs as much as
    all blocks, so it is at most three times the work of somebody who had known what would be read.
    """

    __slots__ = ("_block", "_blocks", "_held", "_left", "_loose", "_path", "_room", "_start", "whole")

    def __init__(self, path: Path, held: _Held, room: _Room, expected: int = 0) -> None:
        self._blocks = rawfile.Blocks(path)
        self._path, self._held, self._room = path, held, room
        self.whole = b""
        self._left = max(len(self._blocks) // 2, _HELD_BLOCKS)  # blocks to be read before that
        if expected > self._left and self._blocks.size <= _WHOLE_BYTES:
            self._left = 0
        self._loose: _Window | None = None
        self._block = b""
        self._start = 0  # where the block begins

    def line(self, offset: int) -> bytes:
        position = offset - self._start
        if not 0 <= position < len(self._block):
            if self._left <= 0 and self._loose is None:
                self._unpack()
            if self._loose is not None:
                return self._loose.line(offset)
            if 0 <= offset - self._start < len(self._block):
                return self.line(offset)
            number, position = divmod(offset, rawfile.BLOCK_BYTES)
            self._start, self._block = offset - position, self._at(number)
        end = self._block.find(b"\n", position)
        return self._block[position:end] if end >= 0 else self._longer(position)

    def _longer(self, position: int) -> bytes:
        """The line that begins there in the block, and goes on in the next ones."""
        parts = [self._block[position:]]
        held = self._start + len(self._block)
        for number in range(-(-held // rawfile.BLOCK_BYTES), len(self._blocks)):
            line, newline, _ = self._at(number).partition(b"\n")
            parts.append(line)
            if newline:
                break
        return b"".join(parts)

    def _at(self, number: int) -> bytes:
        block = self._held.block(self._path, number)
        if block is None:
            if number >= len(self._blocks):
                return b""
            self._left -= 1
            block = self._blocks.block(number)
            self._held.hold(self._path, number, block)
        return block

    def _unpack(self) -> None:
        self._left = len(self._blocks)  # if it is let go, or there is room later
        if self._blocks.size <= _WHOLE_BYTES:
            self._room.take(self, self._blocks.size)
            self._start, self._block = 0, self._blocks.whole()
            self.whole = self._block
        elif (descriptor := self._blocks.loose()) is not None:
            self._loose = _Window(descriptor, self._room)

    def let_go(self) -> None:
        """Hold nothing more of it."""
        self._start, self._block, self.whole = 0, b"", b""

    def close(self) -> None:
        self.let_go()
        self._blocks.close()
        if self._loose is not None:
            self._loose.close()
