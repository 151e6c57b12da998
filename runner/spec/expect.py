"""What a job has to reach: metrics that there are, bounds that can be met and missed, cells and axes of its matrix."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import NamedTuple

from runner.fields import hours_of
from runner.job.address import address_of
from runner.job.checks import Check, Kind
from runner.job.expect import ANSWERED, Bound, By, Expectation, Part, bound
from runner.spec.declared import Entry
from runner.spec.evalfields import ExpectSpec
from runner.spec.nodes import Mapping as MappingNode
from runner.spec.nodes import Node, Scalar, kind_of
from runner.spec.nodes import Sequence as SequenceNode
from runner.spec.placed import Placed, text_of
from runner.spec.problems import Problems
from runner.spec.violations import Subject, near_or_all

Lists = Mapping[str, Sequence[str]]  # of a matrix: axis -> its values, as they stand in an address

_NUMBERS = frozenset({Kind.WER, Kind.CER, Kind.MEASURE})  # no share of something: 1 is not the end of it


class Wanted(NamedTuple):
    """One expectation as it is written, for all cells of a job."""

    expectation: Expectation
    only: Mapping[str, str]  # axis -> value: the cells that have to meet it
    baseline: Mapping[str, str]  # one axis and its value; empty where it is no comparison

    def of_cell(self, job: str, cell: Mapping[str, str]) -> Expectation | None:
        """What it means to one cell; None where it means nothing, and for the cell that others are compared with."""
        if any(cell[axis] != value for axis, value in self.only.items()):
            return None
        if not self.baseline:
            return self.expectation
        if self.baseline.items() <= cell.items():
            return None
        from msgspec.structs import replace

        return replace(self.expectation, not_worse_than=address_of(job, {**cell, **self.baseline}))


class Known(NamedTuple):
    """What expectations of a job may name."""

    checks: Mapping[str, Check | None]  # None: one with a problem
    slices: Sequence[str]
    lists: Lists | None  # None: not known, since the matrix has a problem


def expectations_of(entry: Entry, known: Known, problems: Problems) -> list[Wanted]:
    """Those without a problem, in the order in which they are written."""
    node = entry.value("expect")
    if node is None:
        return []
    if not isinstance(node, MappingNode):
        hint = 'write a metric and what it has to reach, such as `answered: ">= 99 %"`'
        problems.error(node.mark, f"`expect` of {entry.subject} must be a mapping, not {kind_of(node)}", hint)
        return []
    found = []
    for key, value in node.entries.values():
        metric = _metric(entry, key, known, problems)
        for item in value.items if isinstance(value, SequenceNode) else [value]:
            placed = Placed(Subject("expectation", key.source[:80], str(entry.subject)), key, item, problems)
            wanted = _wanted(placed, metric, known)
            if wanted is not None:
                found.append(wanted)
    return found


class _Metric(NamedTuple):
    check: str
    part: Part
    kind: Kind | None  # None: of no check, or of one with a problem

    @property
    def is_share(self) -> bool:
        return self.part is not Part.VALUE or self.kind not in _NUMBERS


def _metric(entry: Entry, key: Scalar, known: Known, problems: Problems) -> _Metric | None:
    """The metric that is named, or None after a problem."""
    name = key.source
    if name == ANSWERED:
        return _Metric("", Part.VALUE, None)
    if name in known.checks:
        check = known.checks[name]
        return _Metric(name, Part.VALUE, check.kind if check else None)
    owner, _, last = name.rpartition(".")
    if owner in known.checks and last in (Part.MACRO_F1, Part.UNREADABLE):
        check = known.checks[owner]
        if check and last == Part.MACRO_F1 and check.kind is not Kind.CHOICE:
            words = (
                f"`{name[:80]}` in `expect` of {entry.subject}: check `{owner}` is not a `choice` and has no `macro_f1`"
            )
            problems.error(key.mark, words, f"expect `{owner}`, or make it a `choice`")
            return None
        return _Metric(owner, Part(last), check.kind if check else None)
    choices = [ANSWERED]
    for one, check in known.checks.items():
        parts = [part for part in (Part.MACRO_F1, Part.UNREADABLE) if check is None or _has(check, part)]
        choices += [one, *(f"{one}.{part}" for part in parts)]
    hint = near_or_all(name, choices, problems)
    problems.error(key.mark, f"`expect` of {entry.subject} names the unknown metric `{name[:80]}`", hint)
    return None


def _has(check: Check, part: Part) -> bool:
    return part is not Part.MACRO_F1 or check.kind is Kind.CHOICE


def _wanted(placed: Placed, metric: _Metric | None, known: Known) -> Wanted | None:
    before = placed.problems.errors
    if isinstance(placed.node, MappingNode):
        found = _written(placed, metric, known)
    else:
        reached = _bound(placed, placed.node, metric)
        found = Wanted(_expectation(placed, metric, reached), {}, {})
    return found if placed.problems.errors == before and metric is not None else None


def _expectation(placed: Placed, metric: _Metric | None, reached: Bound | None) -> Expectation:
    check, part = (metric.check, metric.part) if metric else ("", Part.VALUE)
    return Expectation(metric=placed.key.source, check=check, part=part, bound=reached, mark=placed.key.mark)


def _written(placed: Placed, metric: _Metric | None, known: Known) -> Wanted | None:
    """An expectation with more than a bound; problems may be found on the way."""
    from msgspec.structs import replace

    spec = placed.fields(ExpectSpec)
    has_bound, is_compared = placed.value("is") is not None, placed.value("not_worse_than") is not None
    if has_bound and is_compared:
        words = f"{placed.subject} has both `is` and `not_worse_than`"
        placed.error(placed.key_mark("not_worse_than"), words, "write a list of two")
    elif not has_bound and not is_compared:
        placed.error(placed.node.mark, f"{placed.subject} needs `is`, or `not_worse_than`", 'such as `is: ">= 0.85"`')
    for name, owner in (("by", "is"), ("margin", "not_worse_than")):
        if placed.value(name) is not None and placed.value(owner) is None:
            words = f"`{name}` of {placed.subject} means nothing without `{owner}`"
            placed.error(placed.key_mark(name), words, "remove the line")
    if is_compared:
        _check_compared(placed, metric)
    node = placed.value("is")
    reached = _bound(placed, node, metric) if node is not None else None
    only = dict(_cells(placed, "only", known))
    baseline = dict(_cells(placed, "not_worse_than", known))
    compared = placed.value("not_worse_than")
    if isinstance(compared, MappingNode) and len(compared.entries) != 1:
        words = f"`not_worse_than` of {placed.subject} must name one axis and its value"
        placed.error(compared.mark, words, "such as `{prompt: short}`")
    part = _slice(placed, known)
    if spec is None:
        return None
    expectation = _expectation(placed, metric, reached)
    more = replace(expectation, by=By(spec.by or By.ESTIMATE), slice=part, margin=spec.margin or 0.0)
    return Wanted(more, only, baseline)


def _check_compared(placed: Placed, metric: _Metric | None) -> None:
    """Two cells are compared row by row, by the number of a check over all of its rows and by nothing else."""
    mark = placed.key_mark("not_worse_than")
    if metric is not None and (not metric.check or metric.part is not Part.VALUE):
        words = f"{placed.subject} has no number for each row, by which two cells are compared"
        hint = f"compare `{metric.check}`" if metric.check else "compare a check, or write `is`"
        placed.error(mark, words, hint)
    if placed.value("slice") is not None:
        words = f"{placed.subject} has both `not_worse_than` and `slice`: two cells are compared over all of their rows"
        placed.error(mark, words, "keep one of the two")


def _bound(placed: Placed, node: Node, metric: _Metric | None) -> Bound | None:
    text = text_of(node)
    if text is None:
        words = f"{placed.subject} must be a comparison with a number, not {kind_of(node)}"
        placed.error(node.mark, words, 'such as `">= 0.85"` or `"<= 12 %"`')
        return None
    try:
        found = bound(text)
    except ValueError:
        words = f"{placed.subject} must be a comparison with a number, such as `>= 0.85` or `<= 12 %`"
        bare = isinstance(node, Scalar) and isinstance(node.value, int | float)
        placed.error(node.mark, words, f'write `">= {text}"`' if bare else "")
        return None
    _check_range(placed, node, found, metric)
    return found


def _check_range(placed: Placed, node: Node, found: Bound, metric: _Metric | None) -> None:
    """A bound that every value keeps to, or none, is a mistake: of a share, most likely the `%` was left out."""
    if metric is None or (metric.check and metric.kind is None) or metric.kind is Kind.MEASURE:
        return
    if found.number < 0 or (metric.is_share and found.number > 1):
        limits = "lies between 0 and 1, which is 100 %" if metric.is_share else "is never below 0"
        forgot_percent = 1 < found.number <= 100 and "%" not in found.written
        hint = f'write `"{found.comparison} {found.number:g} %"`' if forgot_percent else ""
        placed.error(node.mark, f"{placed.subject}: the metric {limits}, so `{found.written}` decides nothing", hint)


def _cells(placed: Placed, name: str, known: Known) -> Iterator[tuple[str, str]]:
    """Axes of the matrix and their values, as they stand in an address."""
    node = placed.value(name)
    if not isinstance(node, MappingNode) or known.lists is None:
        return
    for axis, (key, value) in node.entries.items():
        if axis not in known.lists:
            words = f"`{name}` of {placed.subject} names `{axis[:60]}`, which is not an axis of its matrix"
            has_none = "without a `matrix` there is one cell: remove the line"
            hint = near_or_all(axis, list(known.lists), placed.problems) if known.lists else has_none
            placed.error(key.mark, words, hint)
            continue
        text = text_of(value)
        if text is None:
            continue
        shown = _as_in_address(axis, text)
        if shown in known.lists[axis]:
            yield axis, shown
            continue
        words = f"`{name}` of {placed.subject}: `{text[:60]}` is not a value of the axis `{axis}`"
        placed.error(value.mark, words, near_or_all(text, list(known.lists[axis]), placed.problems))


def _as_in_address(axis: str, text: str) -> str:
    if axis != "window":
        return text
    try:
        return f"{hours_of(text)}h"
    except ValueError:
        return text


def _slice(placed: Placed, known: Known) -> tuple[str, str] | None:
    node = placed.value("slice")
    if not isinstance(node, MappingNode):
        return None
    if len(node.entries) != 1:
        words = f"`slice` of {placed.subject} must name one slice and its value"
        placed.error(node.mark, words, "such as `{language: de}`")
        return None
    [(name, (key, value))] = node.entries.items()
    if name not in known.slices:
        words = f"`slice` of {placed.subject} names `{name[:60]}`, which is not a slice of its job"
        hint = near_or_all(name, list(known.slices), placed.problems) if known.slices else "declare it under `slices`"
        placed.error(key.mark, words, hint)
    return name, text_of(value) or ""
