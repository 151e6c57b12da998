"""Reading some rows of a dataset without decoding the others."""

from __future__ import annotations

from collections.abc import Iterable


class Picks:
    """Walks over all rows of a dataset in order and says which ones are asked for.

    positions: row numbers from 0 over the whole dataset, ascending; None asks for every row, and then nothing here
    needs to be called.
    """

    __slots__ = ("_next", "_positions", "done", "every", "position")

    def __init__(self, positions: Iterable[int] | None = None) -> None:
        self.every = positions is None
        self.position = -1  # of the row seen last
        self._positions = iter(positions or ())
        self._next = next(self._positions, -1)
        self.done = not self.every and self._next < 0

    def take(self) -> bool:
        """Step to the next row; whether it is asked for. `done` is set once no later row can be."""
        self.position += 1
        if self.position != self._next:
            return False
        self._next = next(self._positions, -1)
        self.done = self._next < 0
        return True

    def skip(self, rows: int) -> bool:
        """Step over the next `rows` rows if none of them is asked for."""
        if self.every or self._next <= self.position + rows:
            return False
        self.position += rows
        return True
