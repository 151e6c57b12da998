"""Lines of results held to the rows that they answer, and scores to what comes of them again: all in one pass."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from itertools import zip_longest
from typing import IO, Any

import msgspec

from runner.checks.sheet import Sheet
from runner.compile.compiled import RowView
from runner.errors import DataError, Mark, RunnerError
from runner.results.reread import Line
from runner.results.scorer import Scorer

_decode_line = msgspec.json.Decoder(dict[str, Any]).decode


class OddLine(DataError):
    """The first line of results that does not answer its row."""

    def __init__(self, number: int, why: str) -> None:
        super().__init__(why)
        self.number = number


class Matching:
    """Implements `gathered.Beside`: what goes along while the lines of some results pass by.

    failure: why the scores do not come out again. The pass goes on without them: where a line is odd as well, that is
    the reason of it.
    """

    def __init__(
        self, rows: Iterator[RowView], total: int, at: Callable[[int], str], again: Again | None = None
    ) -> None:
        """rows: that are wanted, so many in total. at: where a line is, in words."""
        self._rows, self._total, self._at = rows, total, at
        self._again = again
        self.sheet: Sheet | None = again.sheet if again is not None else None
        self.number = 0  # of lines that answer their rows
        self.is_over = False  # all of them were read
        self.failure: RunnerError | None = None

    def take(self, line: Line) -> None:
        """Raises OddLine, DataError where the dataset changed meanwhile."""
        row = next(self._rows, None)
        number = self.number + 1
        if row is None:
            raise OddLine(number, f"{self._at(number)} answers a row too many, of {self._total:,} wanted")
        if line.digest != row.digest.hex() or line.custom_id != row.custom_id:
            asked = f"answers another request of row `{line.custom_id}` than the specs ask"
            raise OddLine(number, f"{self._at(number)} {asked}")
        self.number = number
        if self._again is not None:
            try:
                self._again.take(row, line)
            except RunnerError as failure:
                self._again, self.failure = None, failure

    def finish(self) -> None:
        """Raises as `take` does."""
        if next(self._rows, None) is not None:
            raise OddLine(self.number, f"it ends after {self.number:,} of {self._total:,} wanted rows")
        self.is_over = True
        if self._again is not None:
            try:
                self._again.finish()
            except RunnerError as failure:
                self.failure = failure


class Unlike(DataError):
    """The first line of a scores file that is not what comes out again."""

    def __init__(self, number: int, one: bytes, other: bytes) -> None:
        super().__init__(_unlike(one, other))
        self.number = number


class Compared:
    """Takes in what a scores file has to hold, and holds it to one."""

    def __init__(self, file: IO[bytes]) -> None:
        self._file = file
        self._number = 0

    def write(self, data: bytes, /) -> None:
        """Whole lines. Raises Unlike."""
        mine = self._file.read(len(data))
        if mine != data:
            mine += self._file.readline()
            pairs = zip_longest(mine.splitlines(True), data.splitlines(True), fillvalue=b"")
            for number, (one, other) in enumerate(pairs, self._number + 1):
                if one != other:
                    raise Unlike(number, one, other)
        self._number += data.count(b"\n")

    def finish(self) -> None:
        """Raises Unlike where the file holds more."""
        more = self._file.readline()
        if more:
            raise Unlike(self._number + 1, more, b"")


class Again:
    """Scores that are made again, and held to those that are there. sheet: what they come to."""

    def __init__(self, scorer: Scorer, out: Compared, address: str, mark: Mark) -> None:
        """scorer: writes to `out`. address, mark: of the job."""
        self._scorer, self._out = scorer, out
        self._address, self._mark = address, mark
        self.sheet = scorer.sheet

    def take(self, row: RowView, line: Line) -> None:
        """Raises Unlike, DataError for a row that takes too much time or memory."""
        self._scorer.take(row, line)

    def finish(self) -> None:
        """Raises as `take` does, and RowsNotScored."""
        self._scorer.finish()
        self._out.finish()
        self._scorer.check(self._address, self._mark)


def _unlike(one: bytes, other: bytes) -> str:
    """What differs between two lines of scores, in words."""
    if not one or not other:
        return "a line is missing" if not one else "a line too many is there"
    try:
        mine, theirs = _decode_line(one), _decode_line(other)
        checks = {**theirs["checks"]}
        for name, entry in mine["checks"].items():
            if entry != checks.get(name):
                return f"`{name}` of row `{theirs['custom_id']}` is not what comes out"
    except (msgspec.MsgspecError, ValueError, KeyError, TypeError, AttributeError, RecursionError):
        pass
    return "the line is not what comes out"
