"""Datasets that are answers of other jobs: whose they are, which cells that makes, and what identifies their rows."""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from contextlib import suppress
from graphlib import CycleError, TopologicalSorter
from typing import TYPE_CHECKING

from msgspec.structs import replace

from runner.job.address import address_of, name_of
from runner.job.pairs import FIRST, ID_COLUMN, OF_RECORDINGS, Orders
from runner.job.project import Chain, Dataset
from runner.spec.declared import Declared, Entry
from runner.spec.nodes import Scalar
from runner.spec.nodes import Sequence as SequenceNode
from runner.spec.placed import is_template, text_of
from runner.spec.problems import Problems

if TYPE_CHECKING:
    from runner.spec.expect import Lists
    from runner.spec.model import DatasetSpec

LONGEST = 100  # jobs before the last one of a chain


def chain_of(entry: Entry) -> Chain | None:
    """What a dataset says of the job it follows, by its name as it is written; None for rows of files."""
    spec: DatasetSpec = entry.spec
    if spec.pairs is not None:
        return Chain(tuple(spec.pairs), FIRST, entry.value_mark("pairs"), Orders(spec.orders or Orders.BOTH))
    if spec.from_ is None:
        return None
    return Chain((spec.from_,), spec.as_ or "answer", entry.value_mark("from"))


def followed(entry: Entry) -> list[tuple[str, Scalar]]:
    """The jobs that a dataset names, each with its place, whether or not the rest of it is right."""
    node, pairs = entry.value("from"), entry.value("pairs")
    nodes = [node, *(pairs.items if isinstance(pairs, SequenceNode) else ())]
    found = ((text_of(one), one) for one in nodes)
    return [(text, one) for text, one in found if text is not None and isinstance(one, Scalar)]


def datasets_in(job: Entry, declared: Declared) -> list[Entry]:
    """The datasets that a job names, and that there are."""
    found = []
    for node in (job.value("dataset"), job.value("matrix", "dataset")):
        for item in node.items if isinstance(node, SequenceNode) else [node]:
            name = text_of(item)
            if name in declared.entries["datasets"]:
                found.append(declared.entries["datasets"][name])
    return found


def judged_by(written: str, jobs: Mapping[str, Entry]) -> str:
    """The check whose judge is meant by the name of a job that no spec declares; empty where none is."""
    name, _, check = name_of(written).partition(".")
    job = jobs.get(name)
    return check if check and job is not None and job.value("checks", check, "judge") is not None else ""


class Following:
    """Which jobs follow which, and the cells they have from them."""

    def __init__(self, declared: Declared, lists: Mapping[str, Lists | None], problems: Problems) -> None:
        """lists: of each job, the axes of a matrix of its own; None where they have a problem."""
        self._declared, self._problems = declared, problems
        self._jobs = declared.entries["jobs"]
        self._axes: dict[str, Lists | None] = {}
        self._leaders: dict[str, str] = {}  # of jobs that have the cells of the one they follow
        self._depths: dict[str, int] = {}
        parents = {name: self._parents(entry) for name, entry in self._jobs.items()}
        sorter = TopologicalSorter({name: [name_of(text) for text in texts] for name, texts in parents.items()})
        with suppress(CycleError):  # those in a circle are told of it, and have no axes
            sorter.prepare()
        while ready := sorter.get_ready():
            for name in ready:
                self._place(name, parents[name], lists.get(name))
            sorter.done(*ready)

    def _place(self, name: str, parents: Sequence[str], own: Lists | None) -> None:
        self._depths[name] = 1 + max((self._depths[name_of(text)] for text in parents), default=-1)
        for text in parents:
            if ":" not in text and self._axes[text] != {} and text in self._led_by(self._jobs[name]):
                self._leaders[name] = text
                self._axes[name] = self._axes[text] if own == {} else None  # a matrix beside it is told of
                return
        self._axes[name] = own

    def _parents(self, job: Entry) -> list[str]:
        datasets = datasets_in(job, self._declared)
        return [text for dataset in datasets for text, _ in followed(dataset) if name_of(text) in self._jobs]

    def _led_by(self, job: Entry) -> list[str]:
        """The jobs whose cells a job has: a pair is of two single cells."""
        datasets = datasets_in(job, self._declared)
        return [text for one in datasets if one.value("pairs") is None for text, _ in followed(one)]

    def check(self) -> None:
        """Every job that a dataset follows is declared, with the cell that is named."""
        for entry in self._declared.entries["datasets"].values():
            for text, node in followed(entry):
                self._check_one(entry, text, node)
        for name, job in self._jobs.items():
            self._check_matrix(job)
            if self._depths.get(name) == LONGEST + 1:
                words = f"{job.subject} is the last of {LONGEST + 2} jobs that follow each other"
                self._problems.error(job.key.mark, words, f"a chain has at most {LONGEST + 1}")

    def inherits(self, job: str) -> bool:
        """Whether the cells of a job are those of the one it follows."""
        return job in self._leaders

    def axes(self, job: str) -> Lists | None:
        """The axes of a job, its own or those of the job it follows; None where they are not known."""
        return self._axes.get(job)

    def of_cell(self, dataset: Dataset, cell: Mapping[str, str]) -> Dataset:
        """The dataset as one cell of a job reads it, by the addresses of the cells it follows."""
        if dataset.chain is None:
            return dataset
        parents = tuple(self._address(parent, cell) for parent in dataset.chain.parents)
        found = dataset.id or (ID_COLUMN if dataset.chain.orders is not None else self._id_of(parents[0]))
        return replace(dataset, id=found, chain=replace(dataset.chain, parents=parents))

    def address_of(self, written: str) -> str:
        """The address of a job, or of one cell, as it is written; its axes in their order."""
        return self._address(written, {}) if ":" in written else written

    def _address(self, written: str, cell: Mapping[str, str]) -> str:
        name, _, values = written.partition(":")
        if values:
            return address_of(name, _cell_in(values))
        axes = self.axes(name)
        return address_of(name, {key: cell.get(key, "") for key in axes}) if axes else name

    def _id_of(self, address: str) -> str:
        """The column that tells the rows of a job apart."""
        seen = set[str]()
        while True:
            name, _, values = address.partition(":")
            if name not in self._jobs or address in seen:
                return ID_COLUMN  # an unknown job, or a circle: both are told of
            seen.add(address)
            entry, cell = self._jobs[name], _cell_in(values)
            if entry.value("audio") is not None:
                return OF_RECORDINGS
            named = None if self.inherits(name) else cell.get("dataset")
            dataset = self._declared.entries["datasets"].get(named or text_of(entry.value("dataset")) or "")
            if dataset is None or dataset.spec is None or dataset.spec.pairs is not None:
                return ID_COLUMN
            if dataset.spec.id is not None:
                return ID_COLUMN if is_template(dataset.spec.id) else str(dataset.spec.id)
            parents = followed(dataset)
            if not parents:
                return ID_COLUMN
            address = self._address(parents[0][0], cell)

    # --- problems -------------------------------------------------------------------------------------------------

    def _check_one(self, entry: Entry, text: str, node: Scalar) -> None:
        name = name_of(text)
        if name not in self._jobs:
            if check := judged_by(name, self._jobs):
                words = f"{entry.subject} follows `{name[:120]}`, which is the judge of check `{check[:60]}`"
                hint = f"declare it as a job of its own, with a dataset `from: {name.partition('.')[0]}`"
                self._problems.error(node.mark, words, hint)
            elif self._declared.is_whole:
                near = self._problems.nearest(name, self._jobs)
                hint = f"did you mean `{near}`?" if near else "declare it under `jobs`"
                self._problems.error(node.mark, f"{entry.subject} follows the unknown job `{name[:60]}`", hint)
            return
        axes = self.axes(name)
        if axes is None:
            return
        if text.endswith(":"):
            which = f"`{name}`, or one cell of it, such as {self._first_cell(name)}" if axes else f"`{name}`"
            self._problems.error(
                node.mark, f"{entry.subject} follows `{text[:80]}`, which names no cell", f"write {which}"
            )
            return
        if ":" not in text:
            if axes and entry.value("pairs") is not None:
                words = f"{entry.subject} pairs `{name}`, which has several cells"
                self._problems.error(node.mark, words, f"name one of them in quotes, such as {self._first_cell(name)}")
            return
        known = [address_of(name, dict(zip(axes, one, strict=True))) for one in _cells(axes)]
        if self._address(text, {}) not in known:
            near = self._problems.nearest(text, known)
            hint = f"did you mean `{near}`?" if near else f"there is `{known[0]}`"
            self._problems.error(
                node.mark, f"{entry.subject} follows `{text[:80]}`, which is no cell of `{name}`", hint
            )

    def _check_matrix(self, job: Entry) -> None:
        """Cells come from the job that is followed, or from a matrix: two of them would be cells of cells."""
        leader = self._leaders.get(job.name)
        if leader is None or job.value("matrix") is None:
            return
        hint = f"remove it, or follow one cell of `{leader}`, such as `from: {self._first_cell(leader)}`"
        words = f"{job.subject} has the cells of `{leader}`, which it follows, and no `matrix` of its own"
        self._problems.error(job.key_mark("matrix"), words, hint)

    def _first_cell(self, name: str) -> str:
        axes = self.axes(name)
        first = next(iter(_cells(axes)), ()) if axes else ()
        return f'"{address_of(name, dict(zip(axes, first, strict=True)))}"' if axes else name


def _cell_in(values: str) -> dict[str, str]:
    """`model=qwen,prompt=short` as axes and values."""
    return dict(one.partition("=")[::2] for one in values.split(",")) if values else {}


def _cells(axes: Lists) -> itertools.product[tuple[str, ...]]:
    return itertools.product(*axes.values())
