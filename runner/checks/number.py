"""The number that an answer gives: the last one in it, exactly, or none."""

from __future__ import annotations

import re
from decimal import Decimal

_GROUPED = r"\d{1,3}(?P<group>[,'’])\d{3}(?:(?P=group)\d{3})*(?!\d)"
_NUMBER = re.compile(rf"(?=\.?\d)(?P<whole>{_GROUPED}|\d+)?(?P<part>\.\d+)?(?:[eE](?P<power>[+-]?\d{{1,3}})(?!\d))?")
_THIN = re.compile(r"(?<=\d)[\u00a0\u2009\u202f](?=\d{3}(?!\d))")  # spaces that group digits: 1 000 000
_DIGIT = re.compile(r"\d")
_PARTED = re.compile(r"(?<!\S)\d{1,3} \Z")  # before three digits: `1 000`, or two numbers

_MINUS = "-\u2212"
_DASHES = "-\u2010\u2011\u2012\u2013\u2014\u2212"
_CURRENCY = "$€£¥₹"
_JOINS = "./:^,'’\\"  # between digits they make a date, a time, a version, a fraction, a power


def number_in(text: str) -> Decimal | None:
    """The last number of `text` as an exact decimal; None where there is none, or more than one way to read it.

    Dates, times, versions, fractions and powers are no numbers, nor are digits behind letters (`B12`, `GPT-4`).
    Units and signs of money may touch it: `5km`, `50%`, `$1,234.50`. `1,5` could be two numbers, or one and a half.
    """
    text = _THIN.sub("'", text)
    chunks = re.finditer(r"\S+", text)
    with_digits = [chunk for chunk in chunks if _DIGIT.search(chunk.group())]
    if not with_digits:
        return None
    start, chunk = with_digits[-1].start(), with_digits[-1].group()
    last = list(_NUMBER.finditer(chunk))[-1]
    before = chunk[: last.start()]
    if re.match(r"\d{3}(?!\d)", chunk) and _PARTED.search(text, max(0, start - 4), start):
        return None
    sign = _sign_of(before)
    if sign is None or not _may_follow(chunk[last.end() :]):
        return None
    whole = re.sub(r"\D", "", last["whole"] or "0")
    value = Decimal(f"{whole}{last['part'] or ''}E{last['power'] or 0}")
    return sign * value


def _sign_of(before: str) -> int | None:
    """1 or -1 for a number behind these characters; None where they join it to something else."""
    before = before.rstrip(_CURRENCY)
    if before and before[-1] in _DASHES + "+":
        dash, before = before[-1], before[:-1]
        rest = before.rstrip(_CURRENCY)
        if rest and rest[-1].isdigit():  # `10-5`: from ten to five; but not `2026-11-29`
            return None if any(one in rest.lstrip(_DASHES) for one in _DASHES + "/") else 1
        if rest and (rest[-1].isalpha() or rest[-1] in _DASHES + "+"):
            return None
        return -1 if dash in _MINUS else 1
    if not before:
        return 1
    if before[-1].isalnum():
        return None
    if before[-1] in _JOINS and (before[-1] in "/^\\" or (before[-2:-1].isalnum() and not _is_named(before))):
        return None
    return 1


def _is_named(before: str) -> bool:
    """Whether a word and a colon or a comma stand before the number: `answer:42`."""
    return before[-1] in ":," and before[-2:-1].isalpha()


def _may_follow(after: str) -> bool:
    """Whether what touches the number on its right leaves it a number: a unit, punctuation."""
    return not any(one.isnumeric() or one == "^" for one in after)
