"""Reading some rows of a dataset without decoding the others."""

from __future__ import annotations

from array import array
from bisect import bisect_left
from collections.abc import Iterable, Sequence


class Picks:
    """Walks over all rows of a dataset in order and says which ones are asked for.

    positions: row numbers from 0 over the whole dataset, ascending; None asks for every row, and then `take` is not to
    be called.
    """

    __slots__ = ("_at", "_positions", "every", "position")

    def __init__(self, positions: Iterable[int] | None = None) -> None:
        self.every = positions is None
        self.position = -1  # of the row seen last
        if not isinstance(positions, array | range | list):
            positions = array("Q", positions or ())
        self._positions: Sequence[int] = positions
        self._at = 0

    @property
    def done(self) -> bool:
        """Whether no later row can be asked for."""
        return not self.every and self._at == len(self._positions)

    def take(self) -> bool:
        """Step to the next row; whether it is asked for."""
        self.position += 1
        if self._at == len(self._positions) or self._positions[self._at] != self.position:
            return False
        self._at += 1
        return True

    def step(self) -> bool:
        """`take`, also where every row is asked for: for readers that leave rows out."""
        if not self.every:
            return self.take()
        self.position += 1
        return True

    def among(self, rows: int) -> Sequence[int]:
        """Step over the next `rows` rows; the numbers of those that are asked for."""
        first, self.position = self.position + 1, self.position + rows
        if self.every:
            return range(first, first + rows)
        start, self._at = self._at, bisect_left(self._positions, first + rows, self._at)
        return self._positions[start : self._at]

    def skip(self, rows: int) -> bool:
        """Step over the next `rows` rows if none of them is asked for."""
        if self.every or (not self.done and self._positions[self._at] <= self.position + rows):
            return False
        self.position += rows
        return True
