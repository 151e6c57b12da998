"""How numbers, times and places are written, everywhere the same; and one terminal for words, one for answers."""

from __future__ import annotations

import contextlib
import os
import re
import sys
import threading
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import TextIO

from runner.errors import defused

_CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069]")


def count(number: int, noun: str, plural: str = "") -> str:
    """`1 request`, `1,204 requests`."""
    return f"{number:,} {noun if number == 1 else plural or noun + 's'}"


def size(size_bytes: int) -> str:
    """`412 MB`, in powers of ten."""
    value = float(size_bytes)
    for unit in ("B", "kB", "MB"):
        if value < 1000:
            return f"{value:.0f} {unit}" if unit == "B" or value >= 10 else f"{value:.1f} {unit}"
        value /= 1000
    return f"{value:.1f} GB"


def short(number: int) -> str:
    """`950`, `12.3 k`, `1.20 M`."""
    value = float(number)
    for unit in ("", " k", " M"):
        if value < 1000:
            return f"{value:,.{0 if not unit or value >= 100 else 1 if value >= 10 else 2}f}{unit}"
        value /= 1000
    return f"{value:,.2f} G"


def money(usd: float | None) -> str:
    """`$1.24`; `?` where it is not known, never 0."""
    if usd is None:
        return "cost ?"
    if 0 < usd < 0.01:
        return "under $0.01"
    return f"${usd:,.2f}"


def at_most(usd: float) -> str:
    """`at most $1.24`; whole cents, so that nothing is at most under something."""
    return f"at most {money(max(usd, 0.01))}"


def minutes(seconds: float | None) -> str:
    """`312.4 minutes of sound`; `?` where it is not known."""
    if seconds is None:
        return "minutes ?"
    if 0 < seconds < 3:
        return "under 0.1 minutes of sound"
    return f"{seconds / 60:,.1f} minutes of sound"


def elapsed(seconds: float) -> str:
    """`42 s`, `3 min 05 s`, `2 h 10 min`."""
    whole = int(seconds)
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min {whole % 60:02d} s"
    return f"{whole // 3600} h {whole % 3600 // 60:02d} min"


def moment(when: datetime | None) -> str:
    """`2026-11-21 09:12 UTC`."""
    return when.astimezone(UTC).strftime("%Y-%m-%d %H:%M UTC") if when else "never"


def plain(text: str) -> str:
    """Somebody else's words on one line, without what a terminal or a CI would obey; a line's end is spelled out."""
    return defused(_CONTROL.sub("\N{REPLACEMENT CHARACTER}", text.replace("\n", "\\n").replace("\t", "\\t")))


def lines(text: str) -> str:
    """Several lines of our own, with what they quote, likewise."""
    return "\n".join(map(plain, text.split("\n")))


def one_line(text: str) -> str:
    """Somebody else's words on one line, without what a terminal would obey."""
    return plain(" ".join(text.split()))


def has_colour() -> bool:
    """Whether stdout takes colour: a terminal, and nobody said no."""
    if os.environ.get("NO_COLOR"):
        return False
    return sys.stdout.isatty() and not is_dumb()


def is_dumb() -> bool:
    """A terminal that cannot move its cursor."""
    return os.environ.get("TERM", "dumb") == "dumb"


_COLOURS = {
    "+": "32",
    "±": "32",
    "»": "36",
    "-/+": "33",
    "!": "31",
    "~": "33",
    "-": "31",
    "<": "36",
    "↓": "36",
    ".": "2",
    "=": "2",
}


def glyph(sign: str, *, colour: bool) -> str:
    """A sign in its colour, padded to the width of the longest."""
    padded = f"{sign:>3}"
    return f"\x1b[{_COLOURS[sign]}m{padded}\x1b[0m" if colour and sign in _COLOURS else padded


def bold(text: str, *, colour: bool) -> str:
    return f"\x1b[1m{text}\x1b[0m" if colour else text


@contextlib.contextmanager
def patience(doing: str, *, after_seconds: float = 1.0, out: TextIO | None = None) -> Iterator[None]:
    """Say on stderr what is being done once it takes longer than a moment; on a terminal only."""
    out = out or sys.stderr
    if not out.isatty():
        yield
        return

    def say() -> None:
        out.write(f"{doing} …\n")
        out.flush()

    timer = threading.Timer(after_seconds, say)
    timer.daemon = True
    timer.start()
    try:
        yield
    finally:
        timer.cancel()
