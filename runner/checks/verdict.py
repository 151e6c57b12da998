"""The verdict that a judge gives on an answer: one of a few words, each worth a score from 0 to 1."""

from __future__ import annotations

import json
from collections.abc import Collection, Mapping
from typing import NamedTuple

from runner.checks.choice import Classes
from runner.compile.texts import Null, text_of
from runner.job.checks import Ignore

KEY, REASON = "verdict", "reason"  # of a judge's answer that is a JSON object


class Said(NamedTuple):
    """What a judge said of one row. text: what its verdict is read from; None where there is nothing to read."""

    is_asked: bool
    text: str | None = None


NOT_ASKED = Said(False)


class Verdicts:
    """The verdicts of one check, ready to be read from any number of answers of its judge."""

    def __init__(self, scores: Mapping[str, float], ignore: Collection[Ignore]) -> None:
        self.scores = dict(scores)
        self._classes = Classes(scores, ignore)

    def called(self, verdict: str) -> str | None:
        """The verdict that a person's word is, as it is declared; None where it is none."""
        return self._classes.called(verdict)

    def named_in(self, text: str) -> str | None:
        """The one verdict that a judge's answer names, as it is declared; None for none, and for two.

        Of a JSON object with a key `verdict` that key alone is read: its reasons may name any verdict.
        """
        said = _said_in(text)
        return None if said is None else self._classes.named_in(said)


def reason_in(text: str) -> str:
    """What a judge says beside its verdict: of a JSON object its `reason`, of any other answer all of it."""
    try:
        found = json.loads(text) if text.lstrip().startswith("{") else None
    except (ValueError, RecursionError):
        found = None
    if not isinstance(found, dict) or KEY not in found:
        return text.strip()
    reason = found.get(REASON)
    return reason.strip() if isinstance(reason, str) else ""


def _said_in(text: str) -> str | None:
    """What a verdict is read from."""
    if not text.lstrip().startswith("{"):
        return text
    try:
        found = json.loads(text)
    except (ValueError, RecursionError):
        return text
    if not isinstance(found, dict) or KEY not in found:
        return text
    try:
        return text_of(found[KEY])
    except (Null, ValueError):
        return None
