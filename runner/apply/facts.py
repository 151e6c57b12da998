"""The facts of a report, and its rows: from results and scores files alone, with neither network nor state."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import groupby
from typing import NamedTuple

from msgspec.structs import replace

from runner import __version__
from runner.apply.asfacts import check_of, same_rows, when
from runner.apply.evidence import Evidence, Folds, Shown, folds_of
from runner.apply.gathered import Gathered, SliceFigure
from runner.apply.reportcell import cell_of
from runner.apply.scoring import pooled_in
from runner.apply.session import Session
from runner.checks.paired import Paired
from runner.checks.program import Held, Program
from runner.job.project import AnyJob, AudioJob
from runner.reports import facts
from runner.results.scores import ScoredRow, paired
from runner.results.splice import OK
from runner.stats.multiple import benjamini_hochberg

_SIGNIFICANT = 0.05


class Report(NamedTuple):
    facts: facts.Facts
    rows: facts.Rows
    columns: Sequence[str]  # of the input, and slices: what may be left out


def report_of(session: Session, addresses: Sequence[str]) -> Report:
    """What a report says of these jobs. Raises DataError, StateError for files that are none of ours, OSError."""
    specs = [spec for spec in session.project.jobs if spec.address in addresses]
    desired = {job.address: job for job in session.desired}
    groups: dict[str, list[Gathered]] = {}
    folds: dict[str, Folds] = {}
    for name, same in groupby(specs, key=lambda spec: spec.name):
        mine = list(same)
        folds[name] = folds_of([Evidence(session.outputs_root, spec) for spec in mine])
        cells = [Gathered(session, spec, desired[spec.address], folds[name]) for spec in mine]
        groups[name] = sorted(cells, key=_rank)
    every = {cell.address: cell for cells in groups.values() for cell in cells}
    made = facts.Facts(
        project=session.project.shown,
        when=when(max((cell.newest for cell in every.values() if cell.newest is not None), default=None)),
        made_by=f"runner {__version__}",
        groups=_corrected([_group(name, cells, every) for name, cells in groups.items()]),
        budget_usd=session.project.budget,
        notes=tuple(note for cell in every.values() for note in _notes(cell)),
    )

    def rows(group: str) -> Iterator[facts.Row]:
        cells = groups[group]
        # Read anew: what a pass found out about scores is found out again
        found = [Evidence(session.outputs_root, cell.spec) for cell in cells]
        checks = [[check.name for check in one.spec.evals.checks] for one in found]
        return _rows([one.rows(has_reasons=True) for one in found], checks, folds[group])

    columns = {name: None for cell in every.values() for name in (*cell.columns, *folds[cell.spec.name])}
    return Report(made, rows, tuple(columns))


def _rank(cell: Gathered) -> tuple[bool, float]:
    """The best first; what has no number last, in the order of the specs."""
    value = cell.headline()
    return value is None, -(value or 0.0)


def _notes(cell: Gathered) -> Iterator[str]:
    if not cell.evidence.has_output:
        yield f"{cell.address} has no results yet: `runner apply` writes `{cell.spec.output}`."
    elif cell.is_of_other_requests:
        yield f"{cell.address}: its results answer other requests than the specs say now; `runner plan` shows which."
    elif not cell.is_settled:
        yield f"{cell.address} is not settled: rows wait for their answers."
    elif cell.program.checks and not cell.is_scored:
        yield f"{cell.address}: its scores belong to other results; `runner apply` scores these at no cost."
    if cell.spent.note:
        yield cell.spent.note


def _group(name: str, cells: Sequence[Gathered], every: Mapping[str, Gathered]) -> facts.Group:
    return facts.Group(
        name=name,
        cells=tuple(cell_of(cell, every) for cell in cells),
        comparisons=tuple(_comparisons(cells)),
        slices=tuple(_slices(cells)),
        cluster=cells[0].cluster,
        pooled=tuple(_pooled(cells)),
        judges=name if (chain := cells[0].spec.chain) is not None and chain.is_judged else "",
    )


def _pooled(cells: Sequence[Gathered]) -> Iterator[facts.Pooled]:
    """Cells that differ in `replicate` alone, where nothing else says which rows belong together."""
    alike: dict[str, list[Gathered]] = {}
    for cell in cells:
        if "replicate" in cell.spec.cell and cell.is_scored and cell.spec.evals.cluster is None:
            others = [value for axis, value in cell.spec.cell.items() if axis != "replicate"]
            alike.setdefault(" · ".join(others) or cell.spec.name, []).append(cell)
    for label, same in alike.items():
        if len(same) > 1:
            spec = same[0].spec
            spec = replace(spec, evals=spec.evals.without({name for one in same for name in one.evidence.waiting}))
            found = pooled_in(same[0].session, spec, [one.evidence.scores for one in same])
            checks = zip(found, Program(spec.evals).checks, strict=True)
            addresses = tuple(sorted(one.address for one in same))
            yield facts.Pooled(label, addresses, tuple(check_of(one, held) for one, held in checks))


# --- the best against the others ----------------------------------------------------------------------------------


def _comparisons(cells: Sequence[Gathered]) -> Iterator[facts.Comparison]:
    """The best cell against each other one that was asked about the same rows."""
    best = cells[0]
    others = [cell for cell in cells[1:] if cell.is_scored and _data_of(cell.spec) == _data_of(best.spec)]
    if not best.is_scored:
        return
    found = {other.address: _paired(best, other) for other in others}
    for held in best.program.checks:
        for other in others:
            yield _comparison(held, best, other, found[other.address][held.name])


def _data_of(spec: AnyJob) -> object:
    return (spec.patterns, spec.exclude) if isinstance(spec, AudioJob) else spec.dataset.key


def _paired(best: Gathered, other: Gathered) -> dict[str, Paired]:
    found = {held.name: Paired(held.counting) for held in best.program.checks}
    for mine, theirs in paired(best.evidence.scores, other.evidence.scores):
        for held in best.program.checks:
            if held.name in theirs.checks and held.is_counted_by(mine.custom_id):
                found[held.name].add(mine.checks[held.name], theirs.checks[held.name], mine.cluster)
    return found


def _comparison(held: Held, best: Gathered, other: Gathered, found: Paired) -> facts.Comparison:
    return facts.Comparison(held.name, best.address, other.address, **same_rows(found.difference()))


# --- slices -------------------------------------------------------------------------------------------------------


def _slices(cells: Sequence[Gathered]) -> Iterator[facts.Slice]:
    for cell in cells:
        for part in cell.parts():
            yield _slice(cell, part)


def _slice(cell: Gathered, part: SliceFigure) -> facts.Slice:
    is_better = (part.difference > 0) is (cell.program.checks[0].better == "higher")
    return facts.Slice(
        name=part.name,
        value=part.value,
        check=cell.program.checks[0].name,
        address=cell.address,
        rows=part.rows,
        number=part.number,
        p=part.p,
        direction="better" if is_better else "worse",  # if it is significant, which only all of them together tell
    )


def _corrected(groups: Iterable[facts.Group]) -> tuple[facts.Group, ...]:
    """Benjamini and Hochberg over all slices of the report: what is still significant keeps its direction."""
    groups = list(groups)
    tested = [one for group in groups for one in group.slices if one.p is not None]
    ps = iter(benjamini_hochberg([one.p for one in tested if one.p is not None]))
    return tuple(replace(group, slices=tuple(_judged(one, ps) for one in group.slices)) for group in groups)


def _judged(one: facts.Slice, ps: Iterator[float]) -> facts.Slice:
    if one.p is None:
        return replace(one, direction="")
    p = next(ps)
    return replace(one, p=p, direction=one.direction if p < _SIGNIFICANT else "")


# --- rows ---------------------------------------------------------------------------------------------------------


def _rows(streams: Sequence[Iterator[Shown]], checks: Sequence[Sequence[str]], folds: Folds) -> Iterator[facts.Row]:
    """The rows of all cells, by id: those of the first in its order, then what only others have.

    Cells of a matrix mostly share their rows, so their lines stand side by side; what does not is kept until it is met.
    """
    waiting: list[dict[str, Shown]] = [{} for _ in streams]
    for at, stream in enumerate(streams):
        for shown in [*waiting[at].values()] if at and waiting[at] else []:
            waiting[at].pop(shown.line.custom_id)
            yield _row([None] * at + [shown], streams, waiting, checks, folds)
        for shown in stream:
            yield _row([None] * at + [shown], streams, waiting, checks, folds)


def _row(
    known: list[Shown | None],
    streams: Sequence[Iterator[Shown]],
    waiting: Sequence[dict[str, Shown]],
    checks: Sequence[Sequence[str]],
    folds: Folds,
) -> facts.Row:
    first = known[-1]
    assert first is not None
    custom_id = first.line.custom_id
    of_all = known + [_met(custom_id, streams[at], waiting[at]) for at in range(len(known), len(streams))]
    slices = first.scored.slices if first.scored else {}
    return facts.Row(
        custom_id=custom_id,
        columns=first.line.columns,
        answers=[None if one is None else _answer(one, names) for one, names in zip(of_all, checks, strict=True)],
        slices={
            name: folds[name][value] for name, value in slices.items() if value is not None and value in folds[name]
        },
    )


def _met(custom_id: str, stream: Iterator[Shown], waiting: dict[str, Shown]) -> Shown | None:
    """The line of this id, reading on as far as it takes."""
    if (found := waiting.pop(custom_id, None)) is not None:
        return found
    for shown in stream:
        if shown.line.custom_id == custom_id:
            return shown
        waiting[shown.line.custom_id] = shown
    return None


def _answer(shown: Shown, checks: Sequence[str]) -> facts.Answer:
    line = shown.line
    error = ": ".join(filter(None, (line.error_code, line.error_message))) or line.status
    return facts.Answer(
        text=(line.text or "") if line.status == OK else None,
        error=None if line.status == OK else error,
        finish=line.finish,
        digest=line.digest,
        batch=line.batch,
        checks=[] if shown.scored is None else [_held(shown, shown.scored, name) for name in checks],
    )


def _held(shown: Shown, scored: ScoredRow, name: str) -> facts.Held:
    found = scored.checks.get(name)
    if found is None:  # its judge has not answered yet
        return facts.Held("skipped")
    is_counted = found.status.value in ("right", "wrong", "partly", "measured")
    score = found.over / found.under if is_counted and found.under else None
    reason = shown.reasons.get(name)
    return facts.Held(found.status.value, score, found.got, found.expected, None if reason == found.got else reason)
