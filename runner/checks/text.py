"""Two texts are compared after the same steps: what of them does not matter is taken away first."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Collection

from runner.job.checks import Ignore

# Marks only, and not what lies between them: to pair them costs a square of the length, and an answer may be long.
# A mark touches a word on one side; `2 * 3` and `snake_case` keep theirs.
_BLOCK_MARKS = re.compile(r"^[ \t]{0,3}(?:#{1,6}[ \t]+|>[ \t]?)", re.MULTILINE)
_INLINE_MARKS = re.compile(r"`+|(?<![\w*_])[*_]{1,3}(?=\S)|(?<=[^\s*_])[*_]{1,3}(?!\w)")
_LINK = re.compile(r"!?\[([^\[\]\n]{0,1000})\]\([^()\s]{0,2000}\)")
_ARTICLE = re.compile(r"\b(?:a|an|the)\b\s*", re.IGNORECASE)
_SPACE = re.compile(r"\s+")


class _Dropped(dict[int, "int | None"]):
    """A table for `str.translate` that drops characters of one Unicode class, made as characters come."""

    def __init__(self, initial: str) -> None:
        super().__init__()
        self._initial = initial

    def __missing__(self, code: int) -> int | None:
        kept = None if unicodedata.category(chr(code)).startswith(self._initial) else code
        self[code] = kept
        return kept


_PUNCTUATION = _Dropped("P")
_ACCENTS = _Dropped("Mn")


def normal(text: str, ignore: Collection[Ignore]) -> str:
    """`text` without what is ignored. Characters are composed (NFC) and the ends trimmed in any case."""
    text = unicodedata.normalize("NFKC" if Ignore.WIDTH in ignore else "NFC", text)
    if Ignore.CASE in ignore:
        text = text.casefold()
    if Ignore.ACCENTS in ignore:
        text = unicodedata.normalize("NFC", unicodedata.normalize("NFD", text).translate(_ACCENTS))
    if Ignore.MARKDOWN in ignore:
        text = _INLINE_MARKS.sub("", _LINK.sub(r"\1", _BLOCK_MARKS.sub("", text)))
    if Ignore.PUNCTUATION in ignore:
        text = text.translate(_PUNCTUATION)
    if Ignore.ARTICLES in ignore:
        text = _ARTICLE.sub("", text)
    if Ignore.SPACE in ignore:
        text = _SPACE.sub(" ", text)
    return text.strip()
