"""The class that an answer names: one of a few words or phrases."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable

from runner.checks.text import normal
from runner.job.checks import Ignore


class Classes:
    """The classes of one check, ready to be looked for in any number of answers."""

    def __init__(self, classes: Iterable[str], ignore: Collection[Ignore]) -> None:
        self._ignore = ignore
        self._by_text = {normal(one, ignore): one for one in classes}
        # The longest first: `very good` is not `good` as well. A class is a whole word; `_` is no letter here.
        longest_first = sorted(filter(None, self._by_text), key=len, reverse=True)
        words = "|".join(map(re.escape, longest_first))
        self._any = re.compile(rf"(?<![^\W_])(?:{words})(?![^\W_])") if words else None

    def called(self, reference: str) -> str | None:
        """The class that a reference is, as it is declared; None where it is none."""
        return self._by_text.get(normal(reference, self._ignore))

    def named_in(self, text: str) -> str | None:
        """The one class that `text` names, as it is declared; None for none, and for two."""
        text = normal(text, self._ignore)
        if text in self._by_text:
            return self._by_text[text]
        named = set(self._any.findall(text)) if self._any else set()
        return self._by_text[named.pop()] if len(named) == 1 else None
