"""Lines of results held to checks, as they stream by: what became of each goes to a file, and into the numbers."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import closing
from pathlib import Path

import msgspec
from msgspec.structs import replace

from runner.checks.preference import tied
from runner.checks.program import Program
from runner.checks.score import Scored
from runner.checks.sheet import Sheet
from runner.compile.compiled import RowView
from runner.compile.readings import AnsweredRow, Read, Reader
from runner.errors import DataError, Mark, Problem
from runner.job.checks import Kind
from runner.job.pairs import Orders
from runner.job.project import Evals
from runner.results.answered import Answered, Names
from runner.results.joined import Joined
from runner.results.judged import Judged, judged_of
from runner.results.scores import ScoresWriter, Sink
from runner.results.splice import Merged

LISTED = 20
MOST_CLASSES = 1_000  # that the references of a check may take

Texts = Sequence[str | None]
Columns = Mapping[str, Sequence[Scored]]  # by check, what it makes of each row
Each = Callable[[Columns, Texts, Mapping[str, Texts]], None]  # clusters and slices beside it


class RowsNotScored(DataError):
    """Rows on which a check of a job fails: `problems` of the first ones, and `count` of all."""

    def __init__(self, job: str, problems: Iterable[Problem], count: int, mark: Mark) -> None:
        self.problems = tuple(problems)
        self.count = count
        first = self.problems[0]
        lines = [f"{count:,} row{'' if count == 1 else 's'} of job `{job}` cannot be scored; its results are written"]
        lines += [f"  {problem.mark}: {problem.message}" for problem in self.problems]
        lines += [f"  and {count - len(self.problems):,} more"] if count > len(self.problems) else []
        super().__init__("", hint=first.hint or "put the check right and run the same command again", mark=mark)
        self.message = "\n".join(lines)  # each of its lines is printable already


class Scorer:
    """Implements `merge.Writer`. Call `finish` when all lines are written, and `close` in any case: see `score_all`."""

    def __init__(
        self,
        program: Program,
        out: ScoresWriter | None,
        joined: Joined | None = None,
        judged: Mapping[str, Judged] | None = None,
    ) -> None:
        """joined: columns beside those of the rows. judged: by check, what its judge said.

        Raises SpecError for what does not compile.
        """
        self.program = program
        self.sheet: Sheet = program.sheet()
        self.count = 0  # rows that cannot be scored
        self.problems: list[Problem] = []  # of the first of them
        self._out = out
        self._joins = joined.reader() if joined else None
        self._reader = Reader(program.readings, needs_values=program.needs_values, keeps_pairs=program.keeps_pairs)
        self._judged = judged or {}
        self._names = Names(has_usage="usage" in program.mentions)

    def write(self, merged: Merged) -> None:
        """Raises DataError when a row takes too much time or memory."""
        self.push(AnsweredRow(merged[0], merged[1], self._names.of(merged), merged[6]))

    def take(self, row: RowView, line: Answered) -> None:
        """Take in a row, and what its line of results says of it; raises as `write` does."""
        self.push(AnsweredRow(row.custom_id, row.row_json, self._names.of(line), row.digest.hex()))

    def push(self, row: AnsweredRow) -> None:
        """Take in a row; raises as `write` does."""
        if self._joins is None:
            for read in self._reader.push(row):
                self._take(read)
        else:
            self._push_all(self._joins.push(row))

    def finish(self) -> None:
        """Raises as `write` does."""
        if self._joins is not None:
            self._push_all(self._joins.rest())
        for read in self._reader.rest():
            self._take(read)
        for judged in self._judged.values():
            judged.finish()

    def close(self) -> None:
        self._reader.close()
        for judged in self._judged.values():
            judged.close()
        if self._joins is not None:
            self._joins.close()

    def check(self, job: str, mark: Mark) -> None:
        """Raises RowsNotScored if there are rows on which a check fails. mark: where the job is declared."""
        if self.count:
            raise RowsNotScored(job, self.problems, self.count, mark)

    def _push_all(self, rows: Iterable[tuple[AnsweredRow, Problem | None]]) -> None:
        for row, problem in rows:
            self._fail([(0, problem)] if problem else [])
            for read in self._reader.push(row):
                self._take(read)

    def _take(self, read: Read) -> None:
        program, rows = self.program, read.rows
        said = {name: judged.of(rows) for name, judged in self._judged.items()}
        scored, unusable = program.scored(read, said)
        self._fail([(at, failure.problem(rows[at])) for at, failure in read.failures] + unusable)
        clusters = [] if program.cluster is None else read.texts[program.cluster]
        slices = {name: read.texts[number] for name, number in program.slices.items()}
        self._add(rows, scored, clusters, slices)

    def _add(self, rows: Sequence[AnsweredRow], scored: Columns, clusters: Texts, slices: Mapping[str, Texts]) -> None:
        is_answered = [row.names is not None for row in rows]
        self.sheet.add(scored, is_answered, clusters, slices, [row.custom_id for row in rows])
        if self._out is not None:
            self._out.write(rows, scored, clusters, slices)

    def _fail(self, problems: list[tuple[int, Problem]]) -> None:
        """Several checks may fail on a row: it counts once, with the first."""
        of_rows = dict(reversed(problems))
        self.count += len(of_rows)
        if len(self.problems) < LISTED:
            self.problems += [of_rows[at] for at in sorted(of_rows)][: LISTED - len(self.problems)]


class TiedScorer(Scorer):
    """Items of pairs whose answers are the same, as preferences count them: `push` them, as if nothing was answered."""

    def __init__(
        self,
        evals: Evals,
        sheet: Sheet,
        joined: Joined | None = None,
        each: Each | None = None,
        *,
        is_pooled: bool = False,
    ) -> None:
        """sheet: of all checks, to which they are added. each: is shown what is added. is_pooled: an item is a cluster.

        Raises SpecError for what does not compile.
        """
        # an item is one row here, whatever the number of orders in which the others are asked about
        checks = [replace(one, orders=Orders.ONE) for one in evals.checks if one.kind is Kind.PREFERENCE]
        super().__init__(Program(replace(evals, checks=tuple(checks), expect=())), None, joined)
        self.sheet = sheet
        self._each = each
        self._is_pooled = is_pooled

    def _add(self, rows: Sequence[AnsweredRow], scored: Columns, clusters: Texts, slices: Mapping[str, Texts]) -> None:
        ties = {name: tied(column) for name, column in scored.items()}
        if self._is_pooled:
            clusters = [row.custom_id for row in rows]
        self.sheet.add_tied(ties, clusters, slices)
        if self._each is not None:
            self._each(ties, clusters, slices)


def score_all(
    evals: Evals,
    root: Path,
    rows: Iterable[RowView],
    feed: Callable[[Scorer], object],
    out: Sink | None,
    verdicts: Mapping[str, Path],
) -> Scorer:
    """Answers held to the checks of a job: the numbers of all of them, and in `out` what became of each row.

    root: of the project, where references lie. rows: of the job: the classes of references are found in them, where the
    specs declare none. feed: hands over every line, in order. out: None where the numbers are all that is wanted.
    verdicts: by check, the results of its judge's job.

    Raises as `Scorer` and `classes_of` do. Of rows that cannot be scored the scorer tells: see `Scorer.check`.
    """
    with closing(scorer_of(evals, root, rows, out, verdicts)) as scorer:
        feed(scorer)
        scorer.finish()
    return scorer


def scorer_of(
    evals: Evals, root: Path, rows: Iterable[RowView], out: Sink | None, verdicts: Mapping[str, Path]
) -> Scorer:
    """What `score_all` feeds; raises as `Scorer` and `classes_of` do."""
    joined = Joined(evals.references, root) if evals.references else None
    program = Program(evals, classes_of(evals, rows, joined))
    writer = ScoresWriter(out, [held.name for held in program.checks], list(program.slices)) if out else None
    return Scorer(program, writer, joined, judged_of(program, verdicts))


def classes_of(evals: Evals, rows: Iterable[RowView], joined: Joined | None = None) -> Mapping[str, list[str]]:
    """The classes that references take, of the checks that do not declare theirs: a pass over the rows alone.

    Raises DataError where there are too many of them, or a reference cannot be rendered.
    """
    lacking = [held.check for held in Program(evals).checks if held.lacks_classes]
    if not lacking:
        return {}
    program = Program(msgspec.structs.replace(evals, checks=tuple(lacking), slices=(), cluster=None, expect=()))
    found: dict[str, dict[str, None]] = {}
    reader = Reader(program.readings, needs_values=program.needs_values)
    try:
        for row in _bare(rows, joined):
            for read in reader.push(row):
                _take_classes(program, read, found)
        for read in reader.rest():
            _take_classes(program, read, found)
    finally:
        reader.close()
    return {name: sorted(classes) for name, classes in found.items()}


def _bare(rows: Iterable[RowView], joined: Joined | None) -> Iterator[AnsweredRow]:
    """Rows as if nothing was answered, with their joined columns."""
    bare = (AnsweredRow(row.custom_id, row.row_json, None) for row in rows)
    if joined is None:
        yield from bare
        return
    joins = joined.reader()
    try:
        for row in bare:
            yield from (found for found, _ in joins.push(row))
        yield from (found for found, _ in joins.rest())
    finally:
        joins.close()


def _take_classes(program: Program, read: Read, found: dict[str, dict[str, None]]) -> None:
    program.classes_in(read, found)
    for name, classes in found.items():
        if len(classes) > MOST_CLASSES:
            check = next(held.check for held in program.checks if held.name == name)
            raise DataError(
                f"the references of check `{name}` take more than {MOST_CLASSES:,} classes",
                hint="declare `classes`, or compare texts with `equals`",
                mark=check.mark,
            )
