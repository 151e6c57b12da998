"""Texts as they may be shown: what cannot be seen, or turns the direction of what stands beside it, is spelled out.

An answer is a stranger's text. A reviewer must see what is there: `⟨U+202E⟩`, and not a name that reads backwards.
"""

from __future__ import annotations

import re
import unicodedata

# Letters and symbols by their class that leave nothing to be seen: fillers, blanks of scripts, selectors of glyphs.
_FILLERS = (0x034F, 0x115F, 0x1160, 0x17B4, 0x17B5, 0x2800, 0x3164, 0xFFA0, 0x1D159)
_UNSEEN = frozenset((*_FILLERS, *range(0x180B, 0x1810), *range(0xFE00, 0xFE0F), *range(0xE0100, 0xE01F0)))
_HIDDEN = frozenset(("Cc", "Cf", "Cn", "Co", "Cs", "Zl", "Zp"))
_USUAL = re.compile(r"[\n\t\x20-\x7e\xa1-\xac\xae-\u02ff]*")
_JOINERS = "\u200c\u200d"
_AS_PICTURE = "\ufe0f"


def shown(text: str) -> str:
    """`text` with everything that cannot be seen as `⟨U+...⟩`. Line ends of two characters become one."""
    text = text.replace("\r\n", "\n")
    if _USUAL.fullmatch(text):
        return text
    return "".join(
        one if not _is_hidden(one) or _belongs(text, at) else f"⟨U+{ord(one):04X}⟩" for at, one in enumerate(text)
    )


def line(text: str) -> str:
    """The same on one line."""
    return " ".join(shown(text).split())


def _is_hidden(one: str) -> bool:
    if one in "\n\t" or " " <= one <= "~":
        return False
    return one == _AS_PICTURE or unicodedata.category(one) in _HIDDEN or ord(one) in _UNSEEN


def _belongs(text: str, at: int) -> bool:
    """Whether a joiner or a selector does its work here: between parts of a picture, or letters of a joined script."""
    one = text[at]
    if one not in _JOINERS + _AS_PICTURE or at == 0:
        return False
    before = text[at - 1]
    if one == _AS_PICTURE:
        return unicodedata.category(before) == "So" or before in "0123456789#*"
    if at + 1 == len(text):
        return False
    after = text[at + 1]
    if one == "\u200d" and unicodedata.category(after) == "So":
        return before == _AS_PICTURE or unicodedata.category(before) in ("So", "Sk")
    kinds = unicodedata.category(before) + unicodedata.category(after)
    return kinds in ("LoLo", "MnLo", "McLo") and min(before, after) >= "\u0600"
