"""What a run has to reach, and whether it does.

A gate is decided only where it comes out the same both without the rows that have no answer and with them counted
wrong. Elsewhere errors vanish from the denominator, and a run that failed for half its rows passes (inspect_ai#3707:
80 of 100 shown as 88.9 %). Here such a gate is undecided, and says which rows decide it.
"""

from __future__ import annotations

from runner.checks.sheet import Sheet
from runner.checks.tally import Form, Measured, Numbers
from runner.job.expect import Bound, By, Expectation, Part
from runner.job.scored import Figure, Gate, Verdict


def verdict(expected: Bound, by: By, without: Measured, counted_wrong: Measured) -> Verdict:
    """Whether a metric is as expected.

    without: leaving out the rows without an answer. counted_wrong: the same rows and those, wrong. Where the spec
    itself leaves them out, or counts them wrong, both are the same.
    """
    return _verdict(_meets(expected, by, without), _meets(expected, by, counted_wrong))


def _verdict(without: bool, counted_wrong: bool) -> Verdict:
    if without is not counted_wrong:
        return Verdict.UNDECIDED
    return Verdict.MET if without else Verdict.UNMET


def _meets(expected: Bound, by: By, measured: Measured) -> bool:
    """A metric of no rows meets nothing."""
    if by is By.INTERVAL:
        return measured.interval is not None and all(
            map(expected.holds, (measured.interval.low, measured.interval.high))
        )
    return measured.value is not None and expected.holds(measured.value)


def judged(expected: Expectation, sheet: Sheet, *, is_said: bool) -> Gate:
    """An expectation of a number, held to the numbers of a job.

    is_said: somebody wrote what a row without an answer counts as for this check, so that there is nothing to decide.
    """
    assert expected.bound is not None
    rows = sheet.parts[expected.slice] if expected.slice else sheet
    form = rows.columns[expected.check].tally.counting.form if expected.check else Form.RATE
    if is_said or form is Form.NUMBER or not expected.check:
        is_wrong = bool(expected.check) and rows.columns[expected.check].tally.counting.unanswered_is_wrong
        without = counted_wrong = rows.numbers_of(expected.check, expected.part, unanswered_is_wrong=is_wrong)
    else:
        without = rows.numbers_of(expected.check, expected.part, unanswered_is_wrong=False)
        counted_wrong = rows.numbers_of(expected.check, expected.part, unanswered_is_wrong=True)
    found = verdict(expected.bound, expected.by, without.measured, counted_wrong.measured)
    is_share = form is not Form.NUMBER
    return Gate(
        metric=expected.metric,
        expected=_bound(expected.bound, is_share=is_share) + (" by interval" if expected.by is By.INTERVAL else ""),
        verdict=found,
        check=expected.check,
        is_plain=bool(expected.check) and expected.part is Part.VALUE and expected.slice is None,
        slice="=".join(expected.slice) if expected.slice else "",
        figure=without.figure,
        sentence=_sentence(found, rows.unanswered(expected.check), without, counted_wrong, is_share=is_share),
    )


def not_yet(expected: Expectation) -> Gate:
    """The same of a job that is not settled, or is compared with one that is not."""
    return Gate(
        metric=expected.metric,
        expected=_bound(expected.bound, is_share=True) if expected.bound else worse_than(expected),
        verdict=Verdict.NOT_YET,
        check=expected.check,
    )


def worse_than(expected: Expectation) -> str:
    by = f" by {share(expected.margin)}" if expected.margin else ""
    return f"not worse than {expected.not_worse_than}{by}"


def of_difference(
    expected: Expectation, without: Figure, counted_wrong: Figure, unanswered: int, *, better: str, is_share: bool
) -> Gate:
    """An expectation of a difference, this cell minus the other one on the same rows.

    without: of the rows both answered. counted_wrong: with those that one of them did not, wrong.
    """
    both = [is_not_worse(one, expected.margin, better=better) for one in (without, counted_wrong)]
    found = _verdict(*both)
    ends = [shown(one.low if better == "higher" else one.high, is_share=is_share) for one in (without, counted_wrong)]
    sentence = ""
    if found is Verdict.UNDECIDED:
        sentence = f"{_rows(unanswered)}: {ends[0]} at worst without them, {ends[1]} if they are wrong"
    elif found is Verdict.UNMET:
        sentence = f"{ends[0]} at worst" if without.low is not None else "no row was counted"
    return Gate(
        metric=expected.metric,
        expected=worse_than(expected),
        verdict=found,
        check=expected.check,
        figure=without,
        sentence=sentence,
    )


def is_not_worse(difference: Figure, margin: float, *, better: str) -> bool:
    """Whether the whole interval of a difference is above `-margin`, or below `margin` where lower is better."""
    if difference.low is None or difference.high is None:
        return False
    return difference.low > -margin if better == "higher" else difference.high < margin


def _sentence(found: Verdict, unanswered: int, without: Numbers, counted_wrong: Numbers, *, is_share: bool) -> str:
    match found:
        case Verdict.UNDECIDED:
            ends = [shown(one.value, is_share=is_share) for one in (without, counted_wrong)]
            return f"{_rows(unanswered)}: {ends[0]} without them, {ends[1]} if they are wrong"
        case Verdict.UNMET if without.value is None:
            return "no row was counted"
        case _:
            return ""


def way_out(address: str, gate: Gate) -> str:
    """What a user does about an expectation that is not decided."""
    written = f"; or write `unanswered: excluded` in check `{gate.check}`" if gate.check else ""
    return f"`runner retry {address}` asks again what failed{written}"


def _rows(unanswered: int) -> str:
    return "1 unanswered row decides" if unanswered == 1 else f"{unanswered:,} unanswered rows decide"


def shown(value: float | None, *, is_share: bool) -> str:
    """`84.1 %`, or a number as it is."""
    if value is None:
        return "no number"
    return share(value) if is_share else f"{value:,.4g}"


def share(value: float) -> str:
    """`84.1 %`."""
    return f"{100 * value:.1f} %"


def _bound(bound: Bound, *, is_share: bool) -> str:
    return f"{bound.comparison} {100 * bound.number:g} %" if is_share else f"{bound.comparison} {bound.number:g}"
