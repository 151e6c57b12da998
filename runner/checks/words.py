"""Errors of transcripts: how many words, or characters, have to be changed to get from what was heard to what was said.

A rate over many recordings is summed edits over summed words, never a mean of rates: a short recording would weigh as
much as a long one. Needs `rapidfuzz`, for Whisper's English rules `whisper-normalizer` too (extra `evals`).
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from typing import NamedTuple

from runner.checks.text import normal
from runner.job.checks import Ignore, Normalize

_BASIC = (Ignore.WIDTH, Ignore.CASE, Ignore.PUNCTUATION, Ignore.SPACE)


class Errors(NamedTuple):
    edits: int  # substitutions, deletions and insertions
    units: int  # words or characters of the reference; 0 for silence, whose edits are all insertions


def word_errors(reference: str, heard: str, how: Normalize) -> Errors:
    said = _normalized(reference, how).split()
    return Errors(_distance()(said, _normalized(heard, how).split()), len(said))


def character_errors(reference: str, heard: str, how: Normalize) -> Errors:
    said = _normalized(reference, how)
    return Errors(_distance()(said, _normalized(heard, how)), len(said))


def _normalized(text: str, how: Normalize) -> str:
    match how:
        case Normalize.NONE:
            return normal(text, ())
        case Normalize.BASIC:
            return normal(text, _BASIC)
        case Normalize.ENGLISH:
            return normal(_english()(text), ())


@cache
def _distance() -> Callable[..., int]:
    from rapidfuzz.distance import Levenshtein

    return Levenshtein.distance


@cache
def _english() -> Callable[[str], str]:
    from whisper_normalizer.english import EnglishTextNormalizer

    rules: Callable[[str], str] = EnglishTextNormalizer()
    return rules
