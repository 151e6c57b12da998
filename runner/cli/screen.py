"""A few lines at the bottom of a terminal that are drawn anew in place, while other text scrolls by above them.

The cursor is neither hidden nor moved away for longer than one write, so there is nothing to restore, however a command
ends: by a second Ctrl-C, by an error, by a kill.
"""

from __future__ import annotations

import os
import shutil
import threading
from collections.abc import Callable, Sequence
from typing import TextIO

from runner.cli.saying import width

_CLEAR_BELOW = "\x1b[J"
TICK_SECONDS = 1.0


class Screen:
    """lines: what is to be drawn in so many columns and lines; asked for again about once a second."""

    def __init__(self, out: TextIO, lines: Callable[[int, int], Sequence[str]]) -> None:
        self._out = out
        self._lines = lines
        self._drawn: Sequence[str] = ()
        self._lock = threading.RLock()
        self._stop: threading.Event | None = None  # of the thread that draws, while there is something

    def draw(self) -> None:
        """Show what is there now, and go on to."""
        self._write("")

    def scroll(self, text: str) -> None:
        """Put a text above the lines."""
        self._write(f"{text}\n")

    def clear(self) -> None:
        """Take the lines away, until the next `draw`."""
        with self._lock:
            self._end()
            self._put(self._back(self._size()[0]))
            self._drawn = ()

    @staticmethod
    def _size() -> tuple[int, int]:
        size = shutil.get_terminal_size()
        return max(size.columns, 1), max(size.lines, 1)

    def _write(self, above: str) -> None:
        with self._lock:
            columns, rows = self._size()
            # A line as wide as the terminal leaves the cursor at its end or on the next one, as terminals differ
            lines = self._lines(columns - 1, max(rows - 2, 1)) if columns > 1 else ()
            told = self._back(columns) + above + "".join(f"{line}\n" for line in lines)
            self._drawn = lines
            self._put(told)
            if lines and self._stop is None:
                self._stop = threading.Event()
                threading.Thread(target=self._tick, args=(self._stop,), name="screen", daemon=True).start()
            elif not lines:
                self._end()

    def _end(self) -> None:
        if self._stop is not None:
            self._stop.set()
            self._stop = None

    def _tick(self, stop: threading.Event) -> None:
        while not stop.wait(TICK_SECONDS):
            with self._lock:
                if not stop.is_set():
                    self.draw()

    def _back(self, columns: int) -> str:
        """To where the first line stands, however many rows they take by now: a narrower terminal breaks them."""
        rows = sum(max(-(-width(line) // columns), 1) for line in self._drawn)
        return f"\r\x1b[{rows}A{_CLEAR_BELOW}" if rows else ""

    def _put(self, text: str) -> None:
        """In one write, past the buffer of the stream: a signal's handler may be what writes."""
        if not text:
            return
        self._out.flush()
        rest = memoryview(text.encode(self._out.encoding or "utf-8", errors="replace"))
        while rest:
            rest = rest[os.write(self._out.fileno(), rest) :]
