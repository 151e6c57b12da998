"""What scoring a job came to, as it is remembered and shown: numbers with intervals, and gates."""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum
from typing import Protocol

import msgspec

from runner.job.address import address_of
from runner.job.written import Written


class Cell(Protocol):
    """A cell of a job."""

    @property
    def name(self) -> str: ...
    @property
    def cell(self) -> Mapping[str, str]: ...


IN_FOLDER = "_scores.jsonl"


def scores_path(output: str) -> str:
    """Where a job's scores go: `results/a.scores.jsonl` beside `results/a.csv`, `calls/_scores.jsonl` in a folder."""
    return f"{output}{IN_FOLDER}" if output.endswith("/") else f"{output.rpartition('.')[0]}.scores.jsonl"


def judge_of(job: str, check: str) -> str:
    """The name of the job that gives the verdicts of a check: `reply.helpful`."""
    return f"{job}.{check}"


def judge_address(spec: Cell, check: str) -> str:
    """The cell of that job which judges the answers of a cell."""
    return address_of(judge_of(spec.name, check), spec.cell)


def verdicts_path(output: str, check: str) -> str:
    """Where they go: `results/a.helpful.jsonl` beside `results/a.csv`, `calls.helpful.jsonl` beside a folder."""
    stem = output.rstrip("/") if output.endswith("/") else output.rpartition(".")[0]
    return f"{stem}.{check}.jsonl"


class Verdict(StrEnum):
    """Whether an expectation is met."""

    MET = "met"
    UNMET = "unmet"
    UNDECIDED = "undecided"  # rows without an answer decide
    NOT_YET = "not_yet"  # the job, or the one it is compared with, is not settled


class Figure(msgspec.Struct, frozen=True):
    """A metric. Without any counted row there is no value; None for an end of the interval that is not there."""

    value: float | None = None
    low: float | None = None
    high: float | None = None
    n: int = 0  # rows counted
    clusters: int = 0  # of which: rows, where there are none
    se: float | None = None


class Sides(msgspec.Struct, frozen=True):
    """The two jobs of a duel, and the items that only one of them answered: those are in none of its numbers."""

    first: str = ""  # the address of the baseline
    second: str = ""
    only_first: int = 0
    only_second: int = 0


class Duel(msgspec.Struct, frozen=True):
    """What is told of a preference beside its win rate, in items: the second job against the baseline."""

    wins: int
    ties: int  # inconsistent and equal ones among them
    losses: int
    inconsistent: int  # the two orders do not agree
    equal: int  # both answers are the same, and nobody was asked
    place: Figure  # the share won by the first place, of all verdicts that name one: 0.5 is fair
    consistency: Figure | None = None  # of the items read in both orders; None where there is one order only
    p: float | None = None  # that neither is better
    sides: Sides = Sides()


class Agreement(msgspec.Struct, frozen=True):
    """A judge against a person, on the rows that both judged."""

    raw: float  # the share on which they agree
    kappa: Figure  # Cohen's
    confusion: tuple[tuple[str, str, int], ...] = ()  # the person's verdict, the judge's, rows
    # The judge's mean over all rows, put right by the rows that a person judged too; n: of those. It assumes that they
    # were picked at random.
    corrected: Figure = Figure()


class CheckSummary(msgspec.Struct, frozen=True):
    """One check over all wanted rows: `counts` add up to them. Of a preference they are items, equal ones too."""

    name: str
    kind: str
    form: str  # rate, score, ratio or number
    better: str  # higher or lower
    signature: str  # how it was counted
    counts: Mapping[str, int]  # by status
    figure: Figure
    left_out: tuple[str, ...] = ()  # statuses of rows that the number is not made of
    units: float = 0.0  # of a ratio: words or characters of the references
    macro_f1: Figure | None = None  # of choice
    confusion: tuple[tuple[str, str | None, int], ...] = ()  # class expected, class read (None: none), rows
    duel: Duel | None = None  # of preference
    agreement: Agreement | None = None  # of a judge, where a person has judged too


class Gate(msgspec.Struct, frozen=True):
    """One expectation, held to what was found."""

    metric: str  # as written: `answered`, `intent.macro_f1`
    expected: str  # `>= 85 %`, `not worse than reply:model=qwen,prompt=short by 1 %`
    verdict: Verdict
    check: str = ""
    is_plain: bool = False  # of the check's own number over all rows
    slice: str = ""  # `language=de`: of these rows alone
    figure: Figure = Figure()  # of a comparison: the difference
    sentence: str = ""  # why it is not met, or not decided


class Pooled(msgspec.Struct, frozen=True):
    """Several cells that differ in `replicate` alone, as one: their rows are clusters."""

    made_of: str  # the scores that were pooled
    cells: int
    checks: tuple[CheckSummary, ...]


class Scores(msgspec.Struct, frozen=True):
    """What was last scored for a job."""

    path: str  # of the scores file
    sha256: str  # of it, as we wrote it
    made_of: str  # the results and the checks that these are the scores of
    wanted: int
    checks: tuple[CheckSummary, ...]
    results: str = ""  # of what that is made of, the results, and what the judges said; empty: not on record
    verdicts: str = ""
    waits_for: Mapping[str, str] = {}  # a check whose judge has not answered yet -> the address of its job
    gated_by: str = ""  # what the gates were made of
    gates: tuple[Gate, ...] = ()
    pooled: Pooled | None = None  # of the first of such cells

    @property
    def written(self) -> Written | None:
        """The scores file; None where there are no checks, but expectations alone."""
        return Written(self.path, self.made_of, self.sha256) if self.path else None
