"""One of two jobs that are compared: its results and scores as they stand, or as they were committed."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from itertools import chain
from pathlib import Path

import msgspec

from runner.apply.evidence import Evidence, Shown
from runner.apply.revision import Revision
from runner.apply.usage import Spent
from runner.checks.program import Program
from runner.compile.compiled import RowView
from runner.errors import DataError, RunnerError, UsageError
from runner.job.address import matches, unknown
from runner.job.project import AnyJob, AudioJob, Project
from runner.job.scored import scores_path, verdicts_path
from runner.remotes.registry import priced
from runner.results.columns import About, Costing
from runner.results.names import RESULTS
from runner.results.reread import WAITING, Line, holds_rows, merged_in
from runner.results.scorer import Scorer, score_all
from runner.results.splice import OK
from runner.spec.chosen import NOTHING, Chosen
from runner.spec.load import load


class Side:
    """spec: as it is today. then: as it was at the revision; None where that is not known."""

    def __init__(
        self, project: Project, word: str, paths: Sequence[str], folder: Path, chosen: Chosen = NOTHING
    ) -> None:
        """word: an address, or `REV:ADDRESS`. folder: an empty one of our own, for what was committed.

        Raises UsageError for what means no single cell, or a revision that has no results of it; OSError.
        """
        self.word = word
        revision, self.spec = _meant(project, word)
        self.then: AnyJob | None = self.spec
        self.revision, self.commit, self.note = revision, "", ""
        self._folder = folder
        root = project.root
        if revision:
            found = Revision(project.root, revision)
            self.commit, root = found.commit, folder / "committed"
            self._copy(found, root)
            self.then = self._spec_at(found, paths, chosen)
        self.evidence = Evidence(root, self.spec)
        if not self.evidence.has_output:
            raise DataError(
                f"`{word}` has no results yet: there is no `{self.spec.output}`", hint="`runner apply` makes them"
            )
        self.unjudged: dict[str, str] = {}  # a check whose judge's results are not there -> where they would be
        self.states: Counter[str] = Counter()
        self._of_answers = _columns_of_answers(project, self.spec)
        self.spent = Spent(self.evidence, costing_of(project, self.spec))

    def _copy(self, revision: Revision, root: Path) -> None:
        spec = self.spec
        output = spec.output + RESULTS if spec.output.endswith("/") else spec.output
        judged = [verdicts_path(spec.output, check.name) for check in spec.evals.checks if check.judge]
        for path in (output, scores_path(spec.output), *judged):
            (root / path).parent.mkdir(parents=True, exist_ok=True)
            with (root / path).open("wb") as out:
                has = revision.copy(path, out)
            if not has:
                (root / path).unlink()
                if path == output:
                    raise UsageError(
                        f"`{self.word}`: there is no `{path}` in {revision.commit[:12]}",
                        hint="results can be compared where they are committed",
                    )

    def _spec_at(self, revision: Revision, paths: Sequence[str], chosen: Chosen) -> AnyJob | None:
        """The job as the specs of the revision have it."""
        try:
            folder = self._folder / "specs"
            revision.copy_specs(folder)
            jobs = load(paths, folder, chosen).jobs
        except (RunnerError, OSError):
            self.note = f"the specs of {revision.name} cannot be read here: what was asked otherwise is not told"
            return None
        found = next((job for job in jobs if job.address == self.spec.address), None)
        if found is None:
            self.note = f"{revision.name} has no job `{self.spec.address}`: what was asked otherwise is not told"
        return found

    # --- scores ---------------------------------------------------------------------------------------------------

    def holds_rows(self) -> bool:
        """Whether answers can be scored from the results alone."""
        return holds_rows(self.evidence.output, Program(self.spec.evals).mentions)

    def row_views(self) -> Iterator[RowView]:
        return (RowView(one.custom_id, one.row, bytes.fromhex(one.digest)) for one in merged_in(self.evidence.output))

    def score(self, both: Sequence[Side], root: Path) -> str:
        """Score the answers by the checks of today; why that cannot be, or empty.

        both: the two that are compared: classes are those of all their references. Raises DataError, OSError.
        """
        evals = self.spec.evals
        if not evals.checks:
            return f"`{self.spec.address}` has no checks"
        if not self.holds_rows():
            outputs = {name: verdicts_path(self.spec.output, name) for name in self.evidence.waiting}
            self.unjudged = {name: Path(output).name for name, output in outputs.items()}
            if not self.evidence.is_scored:
                return (
                    f"`{self.word}` has no scores, and `{self.spec.output}` does not hold its rows as they were scored"
                )
            return ""
        verdicts = self._verdicts()
        evals = evals.without(self.unjudged)
        views = chain.from_iterable(side.row_views() for side in both if side.holds_rows())
        path = self._folder / "scores.jsonl"
        with path.open("wb") as out:
            scorer = score_all(evals, root, views, self._feed, out, verdicts)
        if not self.revision:
            scorer.check(self.spec.address, self.spec.mark)
        if scorer.count:
            first = scorer.problems[0]
            return f"`{self.word}` cannot be held to the checks of today: {first.mark}: {first.message}"
        self.evidence.scores, self.evidence.is_scored = path, True
        self.evidence.waiting = tuple(self.unjudged)
        return ""

    def _feed(self, scorer: Scorer) -> None:
        for merged in merged_in(self.evidence.output):
            scorer.write(merged)

    def _verdicts(self) -> dict[str, Path]:
        """By check, the results of its judge's job, as they stand or were committed; those that are not are noted."""
        found = {}
        for check in self.spec.evals.checks:
            path = self.evidence.root / verdicts_path(self.spec.output, check.name)
            if check.judge is not None and path.is_file():
                found[check.name] = path
            elif check.judge is not None:
                self.unjudged[check.name] = path.name
        return found

    # --- lines ----------------------------------------------------------------------------------------------------

    def rows(self) -> Iterator[Shown]:
        """Every row, counted as it passes. Raises as `Evidence.rows` does."""
        for shown in self.evidence.rows():
            line = shown.line
            self.states[line.status] += 1
            self.spent.add(line)
            yield shown

    def content_of(self, line: Line) -> bytes:
        """What the row holds, whatever the order of its columns; of a recording which one it is.

        Answers of the jobs that it follows are left out: they are what the two may differ in.
        """
        columns = {name: value for name, value in line.columns.items() if name not in self._of_answers}
        if isinstance(self.spec, AudioJob):
            columns = {"file": columns.get("file", line.custom_id)}
        return msgspec.json.encode(columns, order="sorted")

    @property
    def waiting(self) -> int:
        return sum(self.states[word] for word in WAITING)

    @property
    def ok(self) -> int:
        return self.states[OK]


def _columns_of_answers(project: Project, spec: AnyJob) -> set[str]:
    """What answers of other jobs are called in the rows of a job: of the one it follows, and of all before that."""
    known = {job.address: job for job in project.jobs}
    found: set[str] = set()
    waiting = [spec]
    while waiting:
        if (chain := waiting.pop().chain) is not None:
            found.update(chain.columns)
            waiting += [known[parent] for parent in chain.parents if parent in known]
    return found


def costing_of(project: Project, spec: AnyJob) -> Costing:
    """What the answers of a job cost, at the prices of today."""
    price = priced(project.providers[spec.model.provider], spec.model.name, spec.model.price)
    return Costing(
        About(
            usd_per_million=(price.input, price.output) if price and price.per_minute is None else None,
            usd_per_minute=price.per_minute if price else None,
        )
    )


def _meant(project: Project, word: str) -> tuple[str, AnyJob]:
    """The revision (empty for none) and the cell that a word means. Raises UsageError."""
    revision, address = "", word
    if not any(matches(job.address, word) for job in project.jobs) and ":" in word:
        revision, _, address = word.partition(":")
    found = [job for job in project.jobs if matches(job.address, address)]
    exact = [job for job in found if job.address == address]
    if not found:
        raise unknown(address, [job.address for job in project.jobs], "write REV:ADDRESS for a revision")
    if len(found) > 1 and not exact:
        listed = ", ".join(f"`{job.address}`" for job in found[:10])
        raise UsageError(f"`{address}` means {len(found)} jobs", hint=f"name one of {listed}")
    return revision, (exact or found)[0]
