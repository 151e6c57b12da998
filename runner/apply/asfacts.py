"""What scoring found, as a report has it."""

from __future__ import annotations

import math
from datetime import UTC, datetime
from typing import Any

from runner.checks.paired import Difference
from runner.checks.program import Held
from runner.checks.tally import counted_by
from runner.job.scored import Agreement, CheckSummary, Duel, Figure
from runner.reports import facts
from runner.stats.power import detectable

_MAY_BE_WRONG = frozenset(("wrong", "unreadable", "unanswered"))


def check_of(found: CheckSummary, held: Held) -> facts.Check:
    """The numbers of one check, as a report has them."""
    counted = counted_by(held.counting)
    return facts.Check(
        name=found.name,
        kind=found.kind,
        form=held.form.value,
        number=number_of(found.figure),
        statuses=dict(found.counts),  # type: ignore[arg-type]
        counts_wrong=tuple(word for word in facts.STATUSES if word in _MAY_BE_WRONG and word in counted),
        better=held.check.better.value,
        signature=found.signature,
        macro_f1=None if found.macro_f1 is None else number_of(found.macro_f1),
        confusion=_mistakes(found),
        duel=None if found.duel is None else duel_of(found.duel),
        agreement=None if found.agreement is None else agreement_of(found.agreement),
        corrected=corrected_of(found),
    )


def duel_of(found: Duel) -> facts.Duel:
    sides = found.sides
    return facts.Duel(
        sides.first,
        sides.second,
        found.wins,
        found.ties,
        found.losses,
        found.inconsistent,
        found.equal,
        number_of(found.place),
        None if found.consistency is None else number_of(found.consistency),
        found.p,
        sides.only_first,
        sides.only_second,
    )


def agreement_of(found: Agreement) -> facts.Agreement:
    """How far a judge and a person agree."""
    confusion = tuple(facts.Confused(*cell) for cell in found.confusion)
    return facts.Agreement(found.raw, number_of(found.kappa), confusion)


def corrected_of(found: CheckSummary) -> facts.Number | None:
    """A judge's mean, put right; None where no person has judged."""
    if found.agreement is None or found.agreement.corrected.value is None:
        return None
    return number_of(found.agreement.corrected)


def _mistakes(found: CheckSummary) -> tuple[facts.Confused, ...]:
    wrong = [facts.Confused(*cell) for cell in found.confusion if cell[0] != cell[1]]
    return tuple(sorted(wrong, key=lambda one: (-one.rows, one.expected, one.got or "")))


def same_rows(found: Difference, *, is_turned: bool = False) -> dict[str, Any]:
    """The fields of `facts.OnSameRows`. is_turned: the difference is the second minus the first."""
    figure = found.figure
    both, one, other, neither = found.pairs or (None, None, None, None)
    return {
        "difference": number_of(figure),
        "p": None if figure.value is None else found.p,
        "both": both,
        "only_first": other if is_turned else one,
        "only_second": one if is_turned else other,
        "neither": neither,
        "detectable": detectable(figure.se) if figure.se and figure.clusters > 1 else None,
    }


def number_of(figure: Figure) -> facts.Number:
    """A figure with None for an end that is not there."""
    low, high = (None if end is None or not math.isfinite(end) else end for end in (figure.low, figure.high))
    return facts.Number(figure.value, low, high, figure.n, figure.clusters)


def when(newest: float | None) -> str:
    """ISO 8601 in UTC; empty where nobody knows."""
    return "" if newest is None else datetime.fromtimestamp(int(newest), UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
