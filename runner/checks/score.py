"""One answer held to one check: what became of it, and what it brings to the numbers.

Every wanted row ends in exactly one status, and the statuses of a check add up to what is wanted: an error, an answer
that cannot be read and a row without a reference are counted where they are, and never vanish from a denominator.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Collection, Sequence
from decimal import Decimal
from enum import StrEnum
from typing import NamedTuple

from runner.checks.choice import Classes
from runner.checks.number import number_in
from runner.checks.text import normal
from runner.checks.verdict import Verdicts
from runner.checks.words import character_errors, word_errors
from runner.job.checks import Ignore, Normalize


class Status(StrEnum):
    """What became of one row under one check."""

    RIGHT = "right"
    WRONG = "wrong"
    PARTLY = "partly"  # a graded score between
    MEASURED = "measured"  # a number that is neither: errors of a transcript, a measure
    UNREADABLE = "unreadable"  # there is an answer, and nothing can be read from it
    UNANSWERED = "unanswered"  # an error, or no outcome yet
    NO_REFERENCE = "no_reference"
    SKIPPED = "skipped"  # the check does not apply to the row


class Scored(NamedTuple):
    """over / under: what a counted row adds to the metric's two sums, such as 1 of 1, or 3 errors in 20 words."""

    status: Status
    over: float = 0
    under: float = 0
    got: str | None = None  # what was read from the answer
    expected: str | None = None


class Given(NamedTuple):
    """One row as a check sees it, its templates rendered."""

    is_answered: bool
    text: str | None  # what is looked at; None where nothing could be taken from the answer
    references: Sequence[str] = ()  # any of them will do
    applies: bool = True


class BadReference(ValueError):
    """A reference that the check cannot use, such as a word where a number is needed: the spec or the data is wrong."""


# How an answer that can be read is held to the references that are there.
Judge = Callable[[str, Sequence[str]], Scored]


def score(given: Given, judge: Judge, *, takes_references: bool, empty_counts: bool = False) -> Scored:
    """The status of one row. Raises BadReference.

    empty_counts: an empty text is a reference, as silence is in a recording.
    """
    if not given.applies:
        return Scored(Status.SKIPPED)
    references = given.references if empty_counts else [one for one in given.references if one.strip()]
    if takes_references and not references:
        return Scored(Status.NO_REFERENCE)
    shown = _shown(references) if takes_references else None
    if not given.is_answered:
        return _missed(Status.UNANSWERED, references, judge, shown)
    if given.text is None:
        return _missed(Status.UNREADABLE, references, judge, shown)
    found = judge(given.text, references)
    return found if shown is None or found.expected is not None else found._replace(expected=shown)


def _shown(references: Sequence[str]) -> str:
    return references[0] if len(references) == 1 else " | ".join(references)


def _missed(status: Status, references: Sequence[str], judge: Judge, shown: str | None) -> Scored:
    """What a row without a readable answer would bring if it counted as wrong: for a transcript, all of its words."""
    silence = judge("", references)
    all_wrong = silence if silence.status is Status.MEASURED else Scored(status, 0, 1)
    return Scored(status, all_wrong.over, all_wrong.under, None, silence.expected or shown)


def _verdict(is_right: bool, got: str | None = None, expected: str | None = None) -> Scored:
    return Scored(Status.RIGHT if is_right else Status.WRONG, int(is_right), 1, got, expected)


def _unreadable(expected: str | None = None) -> Scored:
    return Scored(Status.UNREADABLE, 0, 1, None, expected)


def turned(judge: Judge) -> Judge:
    """The same with right and wrong the other way round (`not: true`)."""

    def other(text: str, references: Sequence[str]) -> Scored:
        found = judge(text, references)
        if found.status not in (Status.RIGHT, Status.WRONG):
            return found
        return _verdict(found.status is Status.WRONG, found.got, found.expected)

    return other


# --- kinds --------------------------------------------------------------------------------------------------------


def equals(ignore: Sequence[Ignore]) -> Judge:
    """The text is one of the references, but for what is ignored."""

    def judge(text: str, references: Sequence[str]) -> Scored:
        got = normal(text, ignore)
        return _verdict(got in [normal(one, ignore) for one in references], got, _shown(references))

    return judge


def contains(ignore: Sequence[Ignore], *, every: bool = False, whole_words: bool = False) -> Judge:
    """Any of the references, or `every` one, occurs in the text; as whole words, if they have to."""

    def judge(text: str, references: Sequence[str]) -> Scored:
        inside = normal(text, ignore)
        found = (_occurs(normal(one, ignore), inside, whole_words=whole_words) for one in references)
        return _verdict(all(found) if every else any(found), inside, _shown(references))

    return judge


def _occurs(part: str, text: str, *, whole_words: bool) -> bool:
    at = text.find(part)
    while at >= 0:
        if not whole_words or not (_joins(text, at, part[:1]) or _joins(text, at + len(part), part[-1:])):
            return True
        at = text.find(part, at + 1)
    return False


def _joins(text: str, at: int, end: str) -> bool:
    """Whether a word goes on over this place of the text. end: the character of the part that stands there."""
    around = text[max(0, at - 1) : at + 1]
    return end.isalnum() and len(around) == 2 and around.isalnum()


def number(within: Decimal = Decimal(0), *, is_share: bool = False) -> Judge:
    """The number read is the reference, exactly, or within so much of it, or within a share of it."""

    def judge(text: str, references: Sequence[str]) -> Scored:
        expected = [_number_of(one) for one in references]
        got = number_in(text)
        if got is None:
            return _unreadable(_shown(references))
        is_right = any(abs(got - one) <= (abs(one) * within if is_share else within) for one in expected)
        return _verdict(is_right, f"{got:f}", _shown(references))

    return judge


def _number_of(reference: str) -> Decimal:
    found = number_in(reference)
    if found is None:
        raise BadReference(f"`{reference[:60]}` is not a number")
    return found


def choice(classes: Classes) -> Judge:
    """The class that the text names is the reference's."""

    def judge(text: str, references: Sequence[str]) -> Scored:
        expected = [_class_of(one, classes) for one in references]
        got = classes.named_in(text)
        if got is None:
            return _unreadable(expected[0])
        return _verdict(got in expected, got, expected[0])

    return judge


def _class_of(reference: str, classes: Classes) -> str:
    found = classes.called(reference)
    if found is None:
        raise BadReference(f"`{reference[:60]}` is none of the classes")
    return found


def verdict(verdicts: Verdicts) -> Judge:
    """What a judge says of an answer, in one of its verdicts. A reference is the verdict of a person."""

    def judge(text: str, references: Sequence[str]) -> Scored:
        by_hand = _by_hand(references, verdicts)
        got = verdicts.named_in(text)
        if got is None:
            return _unreadable(by_hand)
        score = verdicts.scores[got]
        status = Status.PARTLY if 0 < score < 1 else Status.RIGHT if score else Status.WRONG
        return Scored(status, score, 1, got, by_hand)

    return judge


def _by_hand(references: Sequence[str], verdicts: Verdicts) -> str | None:
    if not references:
        return None
    found = verdicts.called(references[0])
    if found is None:
        raise BadReference(f"`{references[0][:60]}` is none of the verdicts")
    return found


def finds() -> Judge:
    """Something was found: it stands where references do."""

    def judge(_: str, found: Sequence[str]) -> Scored:
        return _verdict(bool(found), found[0] if found else None)

    return judge


def holds(untrue: Collection[str]) -> Judge:
    """The text is none of those that stand for no."""

    def judge(text: str, _: Sequence[str]) -> Scored:
        return _verdict(text.strip() not in untrue, text.strip())

    return judge


def parses(is_valid: Callable[[object], bool] = lambda _: True) -> Judge:
    """The text is JSON, and what a schema wants."""

    def judge(text: str, _: Sequence[str]) -> Scored:
        try:
            value = json.loads(text, parse_constant=_no_constant)
        except (ValueError, RecursionError):
            return _verdict(False)
        return _verdict(is_valid(value))

    return judge


def _no_constant(name: str) -> object:
    raise ValueError(f"{name} is not JSON")


def words(how: Normalize, *, by_letter: bool = False) -> Judge:
    """Errors of a transcript against the reference that it is nearest to."""
    count = character_errors if by_letter else word_errors

    def judge(text: str, references: Sequence[str]) -> Scored:
        found = [count(one, text, how) for one in references]
        edits, units = min(found, key=lambda one: (one.edits / max(one.units, 1), one.edits))
        return Scored(Status.MEASURED, edits, units, f"{edits} of {units}", _shown(references))

    return judge


def measure() -> Judge:
    """The number that a template gives."""

    def judge(text: str, _: Sequence[str]) -> Scored:
        try:
            value = float(text)
        except ValueError:
            return _unreadable()
        if value != value or value in (float("inf"), float("-inf")):
            return _unreadable()
        return Scored(Status.MEASURED, value, 1, text.strip())

    return judge
