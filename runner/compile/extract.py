"""The part of an answer that a pattern takes."""

from __future__ import annotations

import re

from runner.job.checks import Occurrence


def extracted(pattern: re.Pattern[str], text: str, occurrence: Occurrence) -> str | None:
    """The first group of a match, or all of it where the pattern has no group, with blanks cut off; None for no match.

    The pattern is compiled with `re.MULTILINE`. A group that took no part in the match is no match.
    """
    found = None
    for number, match in enumerate(pattern.finditer(text)):
        if number and occurrence is Occurrence.ONLY:
            return None
        found = match
        if occurrence is Occurrence.FIRST:
            break
    taken: str | None = None if found is None else found.group(1 if pattern.groups else 0)
    return None if taken is None else taken.strip()
