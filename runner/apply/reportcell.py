"""One job as a report has it: what its results and scores come to, in one pass over both."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from typing import NamedTuple

import msgspec

from runner.apply import pairs
from runner.apply.asfacts import check_of, number_of
from runner.apply.evidence import Evidence, Folds, Shown
from runner.apply.session import Session
from runner.apply.tables import about_of
from runner.apply.usage import Spent
from runner.checks import gates
from runner.checks.paired import Paired
from runner.checks.program import Held, Program
from runner.checks.score import Scored
from runner.checks.slicing import Slicing
from runner.checks.tally import Counting, Form, Tally
from runner.job.desired import Desired
from runner.job.expect import Expectation
from runner.job.finish import FLAWS
from runner.job.project import AnyJob, AudioJob, Job, Prompt
from runner.job.scored import Gate as Judged
from runner.job.scored import Verdict, judge_address
from runner.mending import NOT_SO
from runner.reports import facts
from runner.results.columns import Costing
from runner.results.names import RESULTS
from runner.results.reread import WAITING, Line
from runner.results.scores import paired
from runner.results.splice import ERROR, OK

_CHUNK = 1000  # rows
_MOST_CODES = 50  # of errors


class _Response(msgspec.Struct):
    model: str | None = None
    system_fingerprint: str | None = None
    created: int | None = None
    created_at: float | None = None


_decode_response = msgspec.json.Decoder(_Response | None).decode


class Part(NamedTuple):
    """The headline check on the rows of one slice."""

    name: str
    value: str
    rows: int
    number: facts.Number
    p: float | None
    difference: float


class Gathered:
    """One pass over the files of a job."""

    def __init__(self, session: Session, spec: AnyJob, job: Desired, folds: Folds) -> None:
        self.evidence = Evidence(session.outputs_root, spec)
        self.spec, self.job = spec, job
        self.evals = spec.evals.without(self.evidence.waiting)
        self.program = Program(self.evals)
        self.sheet = self.program.sheet()
        self.columns: dict[str, None] = {}  # of the input
        self.newest: float | None = None  # when an answer was made, in seconds since 1970
        self.session = session
        self.spent = Spent(self.evidence, Costing(about_of(spec, job)))
        self._states: Counter[str] = Counter()
        self._errors: dict[str, list[object]] = {}  # code -> message, rows, example
        self._finishes: Counter[str] = Counter()
        self._answered_as: Counter[str] = Counter()
        self.batches: Counter[tuple[str, str]] = Counter()  # (batch, origin) -> rows it answered
        self._keys = hashlib.sha256()
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
        return self.evidence.has_output and not any(self._states[word] for word in WAITING)

    @property
    def is_of_other_requests(self) -> bool:
        """Whether the results are of other requests than the specs say now."""
        return self.evidence.has_output and self._keys.digest() != hashlib.sha256(self.job.keys).digest()

    # --- the pass -------------------------------------------------------------------------------------------------

    def _gather(self) -> None:
        chunk: list[Shown] = []
        for shown in self.evidence.rows():
            self._take(shown.line)
            chunk.append(shown)
            if len(chunk) == _CHUNK:
                self._score(chunk)
                chunk = []
        self._score(chunk)

    def _take(self, line: Line) -> None:
        self._states[line.status] += 1
        if not line.columns.keys() <= self.columns.keys():
            self.columns.update(dict.fromkeys(line.columns))
        self._keys.update(bytes.fromhex(line.digest[:32]))
        if line.batch:
            self.batches[line.batch, line.origin] += 1
        if line.status == ERROR:
            known = self._errors.get(line.error_code)
            if known is None and len(self._errors) < _MOST_CODES:
                known = self._errors[line.error_code] = [line.error_message, 0, line.custom_id]
            elif known is None:
                known = self._errors.setdefault("other", ["several reasons", 0, line.custom_id])
            known[1] += 1  # type: ignore[operator]
        elif line.status == OK and line.finish in FLAWS:
            self._finishes[line.finish or ""] += 1
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
            self._answered_as[" ".join(filter(None, (found.model, found.system_fingerprint)))] += 1
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

    def cell(self, others: Mapping[str, Gathered]) -> facts.Cell:
        """others: all jobs of the report, by address: an expectation may compare with one."""
        states = self._states
        wanted = sum(states.values()) + self.job.bad if self.evidence.has_output else self.job.rows + self.job.bad
        return facts.Cell(
            address=self.address,
            label=" · ".join(self.spec.cell.values()) or self.spec.name,
            axes=dict(self.spec.cell),
            accounting=facts.Accounting(
                wanted=wanted,
                ok=states[OK],
                error=states[ERROR] + self.job.bad,
                missing=states["missing"] if self.evidence.has_output else self.job.rows,
                **{word: states[word] for word in WAITING - {"missing"}},
            ),
            checks=tuple(self._check(held) for held in Program(self.spec.evals).checks),
            gates=tuple(self._gate(one, others) for one in self.spec.evals.expect),
            failures=tuple(self._failures()),
            endings=tuple(
                facts.Ending(finish, FLAWS[finish].counted, rows) for finish, rows in self._finishes.most_common()
            ),
            usage=self.spent.usage,
            provenance=self._provenance(),
        )

    def _failures(self) -> Iterator[facts.Failure]:
        found = [facts.Failure(code, *told) for code, told in self._errors.items()]  # type: ignore[arg-type]
        if self.job.bad:
            found.append(facts.Failure("", f"cannot be sent: `runner show {self.address}` lists why", self.job.bad))
        yield from sorted(found, key=lambda one: (-one.rows, one.code))

    def _check(self, held: Held) -> facts.Check:
        if not self.is_scored or held.name in self.evidence.waiting:
            return facts.Check(
                name=held.name,
                kind=held.kind.value,
                form=held.form.value,
                number=facts.Number(None),
                statuses={},
                better=held.check.better.value,
                waits_for=self._why_unscored(held),
            )
        column = self.sheet.columns[held.name]
        found = self.sheet.summary(
            held.name, better=held.better, signature=held.signature(column.tally.numbers().n, self.cluster)
        )
        return check_of(found, held)

    def _why_unscored(self, held: Held) -> str:
        if not self.evidence.has_output:
            return "there are no results yet"
        if held.name in self.evidence.waiting:
            return f"it waits for `{judge_address(self.spec, held.name)}`"
        return "these answers are not scored yet; `runner apply` does that at no cost"

    @property
    def cluster(self) -> str:
        """What rows are clustered by, in a word; empty for nothing."""
        of = self.spec.evals.cluster
        return "" if of is None else of.column or "template"

    def _gate(self, expected: Expectation, others: Mapping[str, Gathered]) -> facts.Gate:
        judged = self._judged(expected, others)
        number = number_of(judged.figure)
        return facts.Gate(
            metric=judged.metric,
            expected=judged.expected,
            verdict=judged.verdict.value,
            sentence=judged.sentence,
            number=None if number.value is None else number,
            bound=expected.bound.number if expected.bound else None,
            slice=dict([expected.slice]) if expected.slice else {},
            way_out=gates.way_out(self.address, judged) if judged.verdict is Verdict.UNDECIDED else "",
        )

    def _judged(self, expected: Expectation, others: Mapping[str, Gathered]) -> Judged:
        is_known = self.is_settled and (self.is_scored or not self.program.checks)
        if not is_known or expected.check in self.evidence.waiting:
            return gates.not_yet(expected)
        is_said = any(check.name == expected.check and check.unanswered is not None for check in self.spec.evals.checks)
        if expected.bound is not None:
            return gates.judged(expected, self.sheet, is_said=is_said)
        other = others.get(expected.not_worse_than)
        if other is None or not (other.is_settled and other.is_scored) or expected.check in other.evidence.waiting:
            return gates.not_yet(expected)
        held = next(held for held in self.program.checks if held.name == expected.check)
        found = Paired(held.counting)
        for mine, theirs in paired(self.evidence.scores, other.evidence.scores):
            if held.name in mine.checks and held.name in theirs.checks and held.is_counted_by(mine.custom_id):
                found.add(mine.checks[held.name], theirs.checks[held.name], mine.cluster)
        without = found.difference().figure
        return gates.of_difference(
            expected,
            without,
            without if is_said else found.difference(unanswered_is_wrong=True).figure,
            found.unanswered,
            better=held.better,
            is_share=held.form is not Form.NUMBER,
        )

    def parts(self) -> Iterator[Part]:
        """The headline check by slice: each value against the job's other rows, before any correction."""
        if not self.is_scored:
            return
        for (name, value), tally in sorted(self._tallies.items()):
            part = self._slicing[name].part(value)
            number = number_of(tally.numbers().figure)
            difference = part.difference if part else 0.0
            yield Part(name, value, self._parts[name, value], number, part.p if part else None, difference)

    def _provenance(self) -> facts.Provenance:
        session, spec, evidence = self.session, self.spec, self.evidence
        table = evidence.output / RESULTS if evidence.output.is_dir() else evidence.output
        prompt = spec.prompt if isinstance(spec, Job) else None
        return facts.Provenance(
            provider=spec.model.provider,
            model=spec.model.name,
            answered_as=dict(sorted(self._answered_as.items())),
            params=dict(spec.model.params),
            data=_data_of(spec),
            requests_sha256=self._keys.hexdigest() if evidence.has_output else "",
            prompt="" if prompt is None else prompt.key,
            prompt_sha256="" if prompt is None else prompt_digest(prompt),
            output=spec.output if evidence.has_output else "",
            output_sha256=session.digests.of(table).hex() if evidence.has_output else "",
            scores=evidence.scores.relative_to(session.outputs_root).as_posix() if self.is_scored else "",
            scores_sha256=session.digests.of(evidence.scores).hex() if self.is_scored else "",
            batches=tuple(dict.fromkeys(batch for batch, _ in self.batches)),
        )


def _data_of(spec: AnyJob) -> tuple[str, ...]:
    """Files or globs; of rows that are answers the jobs that gave them."""
    if isinstance(spec, AudioJob):
        return spec.patterns
    return spec.dataset.files if spec.chain is None else spec.chain.parents


def prompt_digest(prompt: Prompt) -> str:
    """SHA-256 (hex) of a prompt as it is written, with the form of its answers and its tools."""
    parts = [[one.role, one.content] for one in prompt.messages], prompt.response_format, prompt.tools
    return hashlib.sha256(msgspec.json.encode(parts, order="deterministic")).hexdigest()
