"""Scoring: answers of settled jobs held to the checks of their specs. It costs no request.

Results are written before, and a check that fails on a row stops nothing but the scores of its job. What scores were
made of is on record, so that an apply with nothing new scores nothing: edit a check, and only scoring runs again.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import suppress
from itertools import islice
from pathlib import Path

from msgspec.structs import replace

from runner.apply import keep, pairs
from runner.apply.answers import is_quiet, lines_to, made_of, spec_of
from runner.apply.errors import StepError
from runner.apply.judging import Judging, judging_of
from runner.apply.outputs import Drift, Rewrite
from runner.apply.planning import gated_by, scores_made_of
from runner.apply.result import Awaited, Scoring
from runner.apply.session import Session
from runner.checks import gates
from runner.checks.paired import Paired
from runner.checks.program import Program
from runner.checks.sheet import Sheet
from runner.checks.tally import Form
from runner.errors import Conflict, DataError, RunnerError
from runner.files import whole
from runner.job.desired import Desired
from runner.job.expect import Expectation
from runner.job.project import AnyJob, Evals
from runner.job.recorded import JobRecord
from runner.job.scored import CheckSummary, Gate, Pooled, Scores, scores_path
from runner.plan.change import Action
from runner.plan.plan import Plan, Recorded
from runner.plan.remaining import JobRows
from runner.results import scores as files
from runner.results.joined import Joined
from runner.results.judged import Judged, judged_of
from runner.results.scorer import RowsNotScored, Scorer, classes_of
from runner.results.wholefile import target_of

_AT_ONCE = 1000  # rows


def score(session: Session, plan: Plan, recorded: Recorded, scoring: Scoring) -> None:
    """Score what is settled and was not scored as it is now, and hold it to what is expected."""
    if session.sandbox is not None:  # answers of a rehearsal are made up
        return
    records = session.records.jobs()
    scoring.current, scoring.gates, scoring.waits = {}, {}, {}
    for job, part, rows in zip(session.desired, plan.jobs, plan.rows, strict=True):
        evals, record = spec_of(session, job.address).evals, records.get(job.address)
        if record is None:
            continue
        if not (evals.checks or evals.expect):
            _forget(session, record)
        elif is_quiet(rows) and not part.is_held_back and not part.waits:
            judging = judging_of(session, job, plan, recorded)
            _score(session, job, rows, recorded, record, scoring, judging)
            scoring.waits[job.address] = {
                check: _awaited(plan, address) for check, address in judging.waits_for.items()
            }
    _judge(session, scoring)
    _pool(session, scoring)


def due(session: Session, plan: Plan, recorded: Recorded) -> list[Rewrite]:
    """The scores files that an apply would write, of jobs whose results are as they are to be."""
    found = []
    for job, part, rows in zip(session.desired, plan.jobs, plan.rows, strict=True):
        record = session.records.jobs().get(job.address)
        if record is None or not is_quiet(rows) or part.is_held_back or part.waits:
            continue
        if not spec_of(session, job.address).evals.checks:
            continue
        with suppress(RunnerError, OSError):  # who scores says what is wrong with it
            judging = judging_of(session, job, plan, recorded)
            if (drift := _drift(session, job, rows, recorded, record, judging)) is not None:
                found.append(Rewrite(job, rows, drift, scores=scores_path(job.output)))
    return found


def _awaited(plan: Plan, address: str) -> Awaited:
    """A judge's job that is not settled, and what is left to be asked of it."""
    changes = [change for part in plan.jobs if part.address == address for change in part.changes]
    ahead = [change for change in changes if change.action in (Action.SUBMIT, Action.AFTER)]
    costs = [change.usd for change in ahead]
    usd = None if None in costs else sum(filter(None, costs))
    return Awaited(address, sum(change.rows for change in ahead), usd)


def _drift(
    session: Session, job: Desired, rows: JobRows, recorded: Recorded, record: JobRecord, judging: Judging
) -> Drift | None:
    results = made_of(session, job, rows, recorded)
    if record.written_sha256 != results or record.output != job.output:
        return None
    if record.scores is None:
        return Drift.UNSCORED
    if record.scores.made_of != scores_made_of(session, job, results, judging):
        return Drift.CHECKS
    return None if _is_as_left(session, record.scores) else Drift.SCORES


def _score(
    session: Session,
    job: Desired,
    rows: JobRows,
    recorded: Recorded,
    record: JobRecord,
    scoring: Scoring,
    judging: Judging,
) -> None:
    """One job. What goes wrong stops its scores, and nothing else."""
    results = made_of(session, job, rows, recorded)
    if record.written_sha256 != results or record.output != job.output:
        return  # its results could not be written, which is told
    try:
        made = scores_made_of(session, job, results, judging)
        if record.scores is not None and record.scores.made_of == made and _is_as_left(session, record.scores):
            scoring.current[job.address] = record.scores
        elif scoring.failed_of.get(job.address) != made:
            scoring.failed_of[job.address] = made
            found = _made(session, job, rows, recorded, record, made, judging)
            session.records.save(replace(record, scores=found))
            scoring.current[job.address] = found
            scoring.made.add(job.address)
            scoring.errors.pop(job.address, None)
            if found.path:
                session.reporter.step(f"{job.address}: scored, see `{found.path}`")
    except Conflict:
        raise
    except OSError as error:
        path = scores_path(job.output)
        words = f"{job.address}: `{path}` cannot be written: {error.strerror or error}"
        scoring.errors[job.address] = StepError(
            RunnerError(words, hint="put the path right, and run the command again"), job.address
        )
    except RunnerError as error:
        scoring.errors[job.address] = StepError(error, job.address)


def _is_as_left(session: Session, scores: Scores) -> bool:
    path = session.outputs_root / scores.path
    return not scores.path or (path.is_file() and session.digests.of(path).hex() == scores.sha256)


def _made(
    session: Session,
    job: Desired,
    rows: JobRows,
    recorded: Recorded,
    record: JobRecord,
    made: str,
    judging: Judging,
) -> Scores:
    """Score every line of a job. Raises DataError for a check that fails on rows, RunnerError, OSError."""
    whole_evals = spec_of(session, job.address).evals
    evals = whole_evals.without(judging.waits_for)
    joined = Joined(evals.references, session.project.root) if evals.references else None
    program = Program(evals, classes_of(evals, session.compiled[job.address].rows(), joined))
    name = scores_path(job.output) if whole_evals.checks else ""
    judged = judged_of(program, judging.verdicts)
    sheet = _written(session, job, rows, recorded, record, program, joined, judged, name)
    sheet.add_bad(job.bad)
    pairs.add_to(sheet, session, spec_of(session, job.address))
    wrote = session.digests.of(session.outputs_root / name, is_ours=True).hex() if name else ""
    return Scores(
        path=name,
        sha256=wrote,
        made_of=made,
        wanted=sheet.wanted,
        checks=tuple(
            sheet.summary(held.name, better=held.better, signature=held.signature(_n_of(sheet, held.name), _by(evals)))
            for held in program.checks
        ),
        gates=tuple(
            gates.judged(one, sheet, is_said=_is_said(evals, one))
            if one.bound and one.check not in judging.waits_for
            else gates.not_yet(one)
            for one in whole_evals.expect
        ),
        waits_for=judging.waits_for,
    )


def _written(
    session: Session,
    job: Desired,
    rows: JobRows,
    recorded: Recorded,
    record: JobRecord,
    program: Program,
    joined: Joined | None,
    judged: Mapping[str, Judged],
    name: str,
) -> Sheet:
    """Write the scores file; it appears whole or not at all. name: of the file; empty where there is none."""
    if not name:
        return _lines(session, job, rows, recorded, Scorer(program, None, joined, judged))
    path = session.outputs_root / name
    _refuse_strangers(path)
    with (
        keep.keeping(session, path, _as_written(record)) as kept,
        whole(target_of(path, session.outputs_root), keeps_equal=True) as out,
    ):
        writer = files.ScoresWriter(out, [held.name for held in program.checks], list(program.slices))
        sheet = _lines(session, job, rows, recorded, Scorer(program, writer, joined, judged))
    if kept:
        session.reporter.warn(f"{job.address}: `{name}` was changed since it was written: kept as `{kept[0]}`")
    return sheet


def _lines(session: Session, job: Desired, rows: JobRows, recorded: Recorded, scorer: Scorer) -> Sheet:
    try:
        lines_to(scorer, session, job, rows, recorded)
        scorer.finish()
    finally:
        scorer.close()
    if scorer.count:
        raise RowsNotScored(job.address, scorer.problems, scorer.count, job.declared_at)
    return scorer.sheet


def _refuse_strangers(path: Path) -> None:
    if path.is_file() and path.stat().st_size and not files.is_ours(path):
        raise DataError(
            f"`{path.name}` is there already, and runner did not write it",
            hint="move it away: scores go beside the results",
        )


def _as_written(record: JobRecord) -> JobRecord | None:
    """A record of the scores file as one of a results file, to tell whether somebody changed it."""
    if record.scores is None or not record.scores.path:
        return None
    return replace(record, output_sha256=record.scores.sha256, written_sha256=record.scores.made_of)


def _forget(session: Session, record: JobRecord) -> None:
    """The specs check nothing any more: what was scored before goes, unless somebody changed it."""
    if record.scores is None:
        return
    path = session.outputs_root / record.scores.path
    if record.scores.path and path.is_file():
        if _is_as_left(session, record.scores):
            path.unlink()
        else:
            session.reporter.warn(
                f"{record.address}: `{record.scores.path}` was changed since it was written, and stays as it is"
            )
    session.records.save(replace(record, scores=None))


def _n_of(sheet: Sheet, check: str) -> int:
    return sheet.columns[check].tally.numbers().n


def _by(evals: Evals) -> str:
    """What rows are clustered by, in a word; empty for nothing."""
    if evals.cluster is None:
        return ""
    return evals.cluster.column or "template"


def _is_said(evals: Evals, expected: Expectation) -> bool:
    return any(check.name == expected.check and check.unanswered is not None for check in evals.checks)


# --- gates --------------------------------------------------------------------------------------------------------


def _judge(session: Session, scoring: Scoring) -> None:
    """The gates of every job: of those that are settled as they came out, comparisons once both sides are."""
    for job in session.desired:
        evals = spec_of(session, job.address).evals
        mine = scoring.current.get(job.address)
        if not evals.expect or job.address in scoring.errors:
            continue
        if mine is None:
            scoring.gates[job.address] = tuple(map(gates.not_yet, evals.expect))
            continue
        others = {one.not_worse_than for one in evals.expect if one.not_worse_than}
        known = {address: scoring.current[address] for address in others if address in scoring.current}
        made_of_them = gated_by(mine, known)
        if others and mine.gated_by != made_of_them:
            found = tuple(
                _compared(session, evals, one, mine, known.get(one.not_worse_than)) if one.not_worse_than else gate
                for one, gate in zip(evals.expect, mine.gates, strict=True)
            )
            mine = replace(mine, gates=found, gated_by=made_of_them)
            scoring.current[job.address] = mine
            session.records.save(replace(session.records.jobs()[job.address], scores=mine))
        scoring.gates[job.address] = mine.gates


def _compared(session: Session, evals: Evals, expected: Expectation, mine: Scores, other: Scores | None) -> Gate:
    """An expectation against another cell, on the rows that both were asked."""
    if other is None or expected.check in mine.waits_for or expected.check in other.waits_for:
        return gates.not_yet(expected)
    held = next(held for held in Program(evals).checks if held.name == expected.check)
    paired = Paired(held.counting)
    root = session.outputs_root
    try:
        paired.add_all(
            (one.checks[expected.check], two.checks[expected.check], one.cluster)
            for one, two in files.paired(root / mine.path, root / other.path)
            if expected.check in one.checks and expected.check in two.checks and held.is_counted_by(one.custom_id)
        )
    except (OSError, RunnerError):
        return gates.not_yet(expected)
    is_said = held.check.unanswered is not None
    without = paired.difference().figure
    with_them = without if is_said else paired.difference(unanswered_is_wrong=True).figure
    return gates.of_difference(
        expected,
        without,
        with_them,
        paired.unanswered,
        better=held.better,
        is_share=held.form is not Form.NUMBER,
    )


# --- replicates ---------------------------------------------------------------------------------------------------


def _pool(session: Session, scoring: Scoring) -> None:
    """Cells that differ in `replicate` alone are asked the same rows: together they say more, and rows are clusters."""
    groups: dict[tuple[str, str], list[str]] = {}
    for spec in session.project.jobs:
        if "replicate" in spec.cell and spec.evals.checks and spec.evals.cluster is None:
            others = sorted((axis, value) for axis, value in spec.cell.items() if axis != "replicate")
            groups.setdefault((spec.name, repr(others)), []).append(spec.address)
    for addresses in groups.values():
        if len(addresses) > 1 and all(address in scoring.current for address in addresses):
            first, cells = addresses[0], [scoring.current[address] for address in addresses]
            made = " ".join(one.made_of for one in cells)
            if cells[0].pooled is None or cells[0].pooled.made_of != made:
                try:
                    paths = [session.outputs_root / one.path for one in cells]
                    spec = spec_of(session, first)
                    awaited = {name for one in cells for name in one.waits_for}
                    spec = replace(spec, evals=spec.evals.without(awaited))
                    pooled = Pooled(made, len(cells), pooled_in(session, spec, paths))
                except (OSError, RunnerError):
                    continue  # a file of scores that is gone is made again by the next apply
                scoring.current[first] = replace(cells[0], pooled=pooled)
                session.records.save(replace(session.records.jobs()[first], scores=scoring.current[first]))


def pooled_in(session: Session, spec: AnyJob, paths: Sequence[Path]) -> tuple[CheckSummary, ...]:
    """The checks over the scores of several replicates, of which this is one; each row is a cluster.

    Raises DataError, StateError, OSError.
    """
    evals = spec.evals
    program = Program(replace(evals, expect=()), {held.name: () for held in Program(evals).checks})
    sheet = program.sheet()
    for path in paths:
        rows = files.read(path)
        while some := list(islice(rows, _AT_ONCE)):
            scored = {held.name: [row.checks[held.name] for row in some] for held in program.checks}
            answered = [True] * len(some)  # how many are, each cell says for itself
            ids = [row.custom_id for row in some]
            sheet.add(scored, answered, ids, ids=ids)
        pairs.add_to(sheet, session, spec, is_pooled=True)
    return tuple(
        sheet.summary(held.name, better=held.better, signature=held.signature(_n_of(sheet, held.name), "row"))
        for held in program.checks
    )
