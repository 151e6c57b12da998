"""What the results and scores of one job come to, in one pass over both."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from typing import NamedTuple, Protocol

import msgspec

from runner.apply import pairs
from runner.apply.asfacts import number_of
from runner.apply.evidence import Evidence, Folds, Shown
from runner.apply.session import Session
from runner.apply.tables import about_of
from runner.apply.usage import Spent
from runner.checks.program import Program
from runner.checks.score import Scored
from runner.checks.sheet import Sheet
from runner.checks.slicing import Slicing
from runner.checks.tally import Counting, Tally
from runner.job.desired import Desired
from runner.job.finish import FLAWS
from runner.job.infile import sha256_in
from runner.job.project import AnyJob
from runner.mending import NOT_SO
from runner.reports import facts
from runner.results.columns import Costing
from runner.results.reread import WAITING, Line, lines_in
from runner.results.splice import ERROR, OK

_CHUNK = 1000  # rows
_MOST_CODES = 50  # of errors


class _Response(msgspec.Struct):
    model: str | None = None
    system_fingerprint: str | None = None
    created: int | None = None
    created_at: float | None = None


_decode_response = msgspec.json.Decoder(_Response | None).decode


class SliceFigure(NamedTuple):
    """The headline check on the rows of one slice."""

    name: str
    value: str
    rows: int
    number: facts.Number
    p: float | None
    difference: float


class Beside(Protocol):
    """What looks at every line of the results as well, in the same pass.

    sheet: what it makes of the answers; with it, no scores are read. None where it makes nothing of them.
    """

    sheet: Sheet | None

    def take(self, line: Line) -> None: ...
    def finish(self) -> None: ...


class Gathered:
    """One pass over the files of a job."""

    def __init__(
        self, session: Session, spec: AnyJob, job: Desired, folds: Folds, beside: Beside | None = None
    ) -> None:
        self._beside = beside
        self.evidence = Evidence(session.outputs_root, spec)
        self.spec, self.job = spec, job
        self.program = Program(spec.evals.without(self.evidence.waiting))
        self.sheet = self.program.sheet()
        self.columns: dict[str, None] = {}  # of the input
        self.newest: float | None = None  # when an answer was made, in seconds since 1970
        self.session = session
        self.spent = Spent(self.evidence, Costing(about_of(spec, job)))
        self.states: Counter[str] = Counter()
        self.errors: dict[str, list[object]] = {}  # code -> message, rows, example
        self.finishes: Counter[str] = Counter()
        self.answered_as: Counter[str] = Counter()
        self.batches: Counter[tuple[str, str]] = Counter()  # (batch, origin) -> rows it answered
        self.keys = hashlib.sha256()
        headline = self.program.checks[0].counting if self.program.checks else Counting()
        self._folds = folds
        self._slicing = {name: Slicing(headline) for name in folds}
        self._tallies: dict[tuple[str, str], Tally] = {}
        self._parts: Counter[tuple[str, str]] = Counter()
        self._headline = headline
        self._gather()
        self.is_scored = self.evidence.is_scored
        if self.is_scored:
            self.sheet.add_bad(job.bad)
            pairs.add_to(self.sheet, session, spec, self._add_tied)

    @property
    def address(self) -> str:
        return self.spec.address

    @property
    def is_settled(self) -> bool:
        """Whether every row has an answer or an error."""
        return self.evidence.has_output and not any(self.states[word] for word in WAITING)

    @property
    def is_of_other_requests(self) -> bool:
        """Whether the results are of other requests than the specs say now."""
        return self.evidence.has_output and self.keys.hexdigest() != sha256_in(self.job.keys)

    # --- the pass -------------------------------------------------------------------------------------------------

    def _gather(self) -> None:
        beside = self._beside
        if beside is not None and beside.sheet is not None:
            for line in lines_in(self.evidence.output, self.evidence.own):
                beside.take(line)
                self._take(line)
            beside.finish()
            self.sheet = beside.sheet
            return
        chunk: list[Shown] = []
        for shown in self.evidence.rows():
            if beside is not None:
                beside.take(shown.line)
            self._take(shown.line)
            chunk.append(shown)
            if len(chunk) == _CHUNK:
                self._score(chunk)
                chunk = []
        self._score(chunk)
        if beside is not None:
            beside.finish()

    def _take(self, line: Line) -> None:
        self.states[line.status] += 1
        if not line.columns.keys() <= self.columns.keys():
            self.columns.update(dict.fromkeys(line.columns))
        self.keys.update(bytes.fromhex(line.digest[:32]))
        if line.batch:
            self.batches[line.batch, line.origin] += 1
        if line.status == ERROR:
            known = self.errors.get(line.error_code)
            if known is None and len(self.errors) < _MOST_CODES:
                known = self.errors[line.error_code] = [line.error_message, 0, line.custom_id]
            elif known is None:
                known = self.errors.setdefault("other", ["several reasons", 0, line.custom_id])
            known[1] += 1  # type: ignore[operator]
        elif line.status == OK and line.finish in FLAWS:
            self.finishes[line.finish or ""] += 1
        self.spent.add(line)
        self._take_response(line)

    def _take_response(self, line: Line) -> None:
        try:
            found = _decode_response(line.response)
        except NOT_SO:
            return
        if found is None:
            return
        if found.model:
            self.answered_as[" ".join(filter(None, (found.model, found.system_fingerprint)))] += 1
        made = found.created if found.created is not None else found.created_at
        if made is not None and 0 < made < 1 << 34:
            self.newest = max(made, self.newest or 0)

    def _score(self, chunk: Sequence[Shown]) -> None:
        rows = [shown.scored for shown in chunk if shown.scored is not None]
        if len(rows) < len(chunk) or not rows:
            return
        names = [held.name for held in self.program.checks]
        scored = {name: [row.checks[name] for row in rows] for name in names}
        clusters = [row.cluster for row in rows] if self.spec.evals.cluster else []
        slices = {one.name: [row.slices.get(one.name) for row in rows] for one in self.spec.evals.slices}
        ids = [row.custom_id for row in rows]
        self.sheet.add(scored, [shown.line.status == OK for shown in chunk], clusters, slices, ids)
        for name, values in self._folds.items():
            for row in rows:
                value = values.get(row.slices.get(name) or "")
                if value is not None and self.program.checks[0].is_counted_by(row.custom_id):
                    self._add_part(name, value, row.checks[names[0]], row.cluster)

    def _add_tied(
        self,
        scored: Mapping[str, Sequence[Scored]],
        clusters: Sequence[str | None],
        slices: Mapping[str, Sequence[str | None]],
    ) -> None:
        """The headline check on items of pairs that nobody was asked about, by slice."""
        headline = scored.get(self.program.checks[0].name, ())
        for name, values in self._folds.items():
            for at, one in enumerate(headline):
                value = values.get(slices[name][at] or "")
                if value is not None:
                    self._add_part(name, value, one, clusters[at] if clusters else None)

    def _add_part(self, name: str, value: str, scored: Scored, cluster: str | None) -> None:
        self._parts[name, value] += 1
        self._slicing[name].add(scored, value, cluster)
        if (name, value) not in self._tallies:
            self._tallies[name, value] = Tally(self._headline)
        self._tallies[name, value].add(scored, cluster)

    # --- what it comes to -----------------------------------------------------------------------------------------

    def headline(self) -> float | None:
        """How good the job is by its first check: the higher the better."""
        if not self.is_scored:
            return None
        held = self.program.checks[0]
        value = self.sheet.columns[held.name].tally.numbers().value
        return None if value is None else value if held.better == "higher" else -value

    @property
    def cluster(self) -> str:
        """What rows are clustered by, in a word; empty for nothing."""
        of = self.spec.evals.cluster
        return "" if of is None else of.column or "template"

    def parts(self) -> Iterator[SliceFigure]:
        """The headline check by slice: each value against the job's other rows, before any correction."""
        if not self.is_scored:
            return
        for (name, value), tally in sorted(self._tallies.items()):
            part = self._slicing[name].part(value)
            number = number_of(tally.numbers().figure)
            difference = part.difference if part else 0.0
            yield SliceFigure(name, value, self._parts[name, value], number, part.p if part else None, difference)
