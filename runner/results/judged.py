"""What the judge of a check said, row by row, read from the results of its job beside the answers that it judged."""

from __future__ import annotations

from collections.abc import Generator, Iterator, Mapping, Sequence
from pathlib import Path

from runner.checks.program import Program, text_reading
from runner.checks.verdict import NOT_ASKED, Said
from runner.compile.readings import AnsweredRow, Read, Reader
from runner.errors import DataError
from runner.job.checks import Check
from runner.results.answered import Names
from runner.results.reread import merged_in


def judged_of(program: Program, verdicts: Mapping[str, Path]) -> dict[str, Judged]:
    """For one pass: of every check with a judge. verdicts: by check, the results of its judge's job.

    Raises as `Judged` does.
    """
    return {held.name: Judged(held.check, verdicts[held.name]) for held in program.checks if held.check.judge}


class Judged:
    """For one pass over the rows of a job. Its judge was asked of some of them, in the same order. Close it."""

    def __init__(self, check: Check, output: Path) -> None:
        """output: the results of the judge's job. Raises DataError for what is none, OSError."""
        self._output = output
        self._lines = _said_in(check, output)
        self._next = next(self._lines, None)

    def of(self, rows: Sequence[AnsweredRow]) -> list[Said]:
        """Of each row. Raises DataError for results that are none, and where a row takes too much time or memory."""
        return [self._of(row.custom_id) for row in rows]

    def finish(self) -> None:
        """Raise DataError where the judge was asked of rows that did not come by."""
        if self._next is not None:
            raise DataError(
                f"`{self._output.name}` holds a verdict on row `{self._next[0]}`, which has no such answer",
                hint="`runner apply` brings answers and verdicts together",
            )

    def close(self) -> None:
        self._lines.close()

    def _of(self, custom_id: str) -> Said:
        if self._next is None or self._next[0] != custom_id:
            return NOT_ASKED
        found = self._next[1]
        self._next = next(self._lines, None)
        return found


def _said_in(check: Check, output: Path) -> Generator[tuple[str, Said], None, None]:
    reading = text_reading(check)
    mentions = reading.template.mentions if reading.template else frozenset()
    names = Names(has_usage="usage" in mentions)
    reader = Reader([reading])
    try:
        for merged in merged_in(output):
            row = AnsweredRow(merged.custom_id, merged.row, names.of(merged), merged.digest)
            for read in reader.push(row):
                yield from _told(check, read)
        for read in reader.rest():
            yield from _told(check, read)
    finally:
        reader.close()


def _told(check: Check, read: Read) -> Iterator[tuple[str, Said]]:
    for at, failure in read.failures:
        problem = failure.problem(read.rows[at])
        raise DataError(f"the judge of check `{check.name}`: {problem.message}", hint=problem.hint, mark=problem.mark)
    for row, text in zip(read.rows, read.texts[0], strict=True):
        yield row.custom_id, Said(True, text)
