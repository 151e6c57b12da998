"""What a job says of its answers: checks, what they have to reach, how rows are parted and joined. Read once a job."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from runner.job.checks import Slice
from runner.job.project import Dataset, Evals, Join
from runner.job.source import Value
from runner.spec.cells import Written
from runner.spec.checks import checks_of
from runner.spec.declared import Declared, Entry
from runner.spec.evalfields import ReferencesSpec
from runner.spec.expect import Known, Lists, expectations_of
from runner.spec.nodes import Mapping as MappingNode
from runner.spec.nodes import Node, Scalar, Sequence, kind_of
from runner.spec.placed import Placed, text_of, value_of
from runner.spec.problems import Problems
from runner.spec.violations import Subject


def evals_of(
    entry: Entry,
    lists: Lists | None,
    declared: Declared,
    datasets: Mapping[str, Dataset | None],
    root: Path,
    problems: Problems,
) -> Written:
    """What is right of it; the rest are problems. lists: the axes of the matrix, None where they are not known.

    Looks at what is written, so that other problems of the job hide none of these.
    """
    if not isinstance(entry.node, MappingNode):
        return Written(entry.name, Evals(), ())
    checks = checks_of(entry, root, problems)
    slices = _slices(entry, problems)
    wanted = expectations_of(entry, Known(checks, [one.name for one in slices], lists), problems)
    evals = Evals(
        checks=tuple(filter(None, checks.values())),
        slices=tuple(slices),
        cluster=_cluster(entry, problems),
        references=_references(entry, declared, datasets, problems),
    )
    return Written(entry.name, evals, tuple(wanted))


def _cluster(entry: Entry, problems: Problems) -> Value | None:
    node = entry.value("cluster")
    return None if text_of(node) is None else value_of(node, f"`cluster` of {entry.subject}", problems)


def _slices(entry: Entry, problems: Problems) -> list[Slice]:
    node = entry.value("slices")
    found: dict[str, Slice] = {}
    for item in node.items if isinstance(node, Sequence) else []:
        for name, key, value in _named(entry, item, problems):
            if name in found:
                problems.error(
                    key.mark, f"slice `{name[:60]}` of {entry.subject} is there twice", "rename one of the two"
                )
            elif value is not None:
                found[name] = Slice(name, value, key.mark)
    return list(found.values())


def _named(entry: Entry, item: Node, problems: Problems) -> list[tuple[str, Scalar, Value | None]]:
    """A column under its own name, or templates under names that are given to them."""
    if isinstance(item, MappingNode):
        if not item.entries:
            problems.error(item.mark, f"a slice of {entry.subject} is empty", "remove it")
        return [
            (name, key, value_of(value, f"slice `{name[:60]}` of {entry.subject}", problems))
            for name, (key, value) in item.entries.items()
        ]
    text = text_of(item)
    if text is None or not isinstance(item, Scalar):
        hint = "write a column, or `{name: template}`"
        problems.error(item.mark, f"a slice of {entry.subject} must be a column, not {kind_of(item)}", hint)
        return []
    value = value_of(item, f"a slice of {entry.subject}", problems)
    if value is not None and value.template is not None:
        problems.error(
            item.mark, f"a slice of {entry.subject} is a template without a name", "write `{name: template}`"
        )
        return []
    return [(text, item, value)]


def _references(
    entry: Entry, declared: Declared, datasets: Mapping[str, Dataset | None], problems: Problems
) -> Join | None:
    node = entry.value("references")
    if node is None or not isinstance(entry.node, MappingNode):
        return None
    placed = Placed(Subject("`references`", "", str(entry.subject)), entry.node.key("references"), node, problems)
    before = problems.errors
    if not isinstance(node, MappingNode):
        problems.error(
            node.mark, f"{placed.subject} must be a mapping, not {kind_of(node)}", "write `{dataset: ..., on: ...}`"
        )
        return None
    spec = placed.fields(ReferencesSpec)
    on = placed.value("on")
    row, reference = _keys(placed, on) if on is not None else (None, None)
    name = text_of(placed.value("dataset"))
    if name is not None and name not in datasets and declared.is_whole:
        near = problems.nearest(name, datasets)
        hint = f"did you mean `{near}`?" if near else "declare it under `datasets`"
        dataset_node = placed.value("dataset")
        assert dataset_node is not None
        problems.error(dataset_node.mark, f"{placed.subject} use the unknown dataset `{name[:60]}`", hint)
    dataset = datasets.get(name or "")
    if dataset is not None and dataset.chain is not None:
        words = (
            f"{placed.subject} are of dataset `{dataset.key}`, which is what job `{dataset.chain.parents[0]}` answers"
        )
        problems.error(placed.key.mark, words, "references are rows of files")
    if problems.errors > before or spec is None or dataset is None or row is None or reference is None:
        return None
    return Join(dataset, row, reference, placed.key.mark)


def _keys(placed: Placed, on: Node) -> tuple[Value | None, Value | None]:
    """How the keys of both sides are found."""
    what = f"`on` of {placed.subject}"
    if not isinstance(on, MappingNode):
        found = value_of(on, what, placed.problems)
        return found, found
    unknown = [key for name, (key, _) in on.entries.items() if name not in ("row", "reference")]
    for key in unknown:
        placed.error(key.mark, f"unknown field `{key.source[:60]}` in {what}", "use one of `row`, `reference`")
    for name in ("row", "reference"):
        if on.get(name) is None and not unknown:
            placed.error(on.mark, f"{what} needs `{name}`")
    row, reference = on.get("row"), on.get("reference")
    return (
        value_of(row, f"`on.row` of {placed.subject}", placed.problems),
        value_of(reference, f"`on.reference` of {placed.subject}", placed.problems),
    )
