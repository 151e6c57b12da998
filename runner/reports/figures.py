"""Numbers as words: the same digits in every form of a report."""

from __future__ import annotations

import math
from collections.abc import Mapping

from runner.reports.facts import Check, Form, Number, OnSameRows, StatusWord, Usage

NONE = "–"
MINUS = "−"
_IN_PERCENT: Mapping[Form, bool] = {"rate": True, "score": True, "ratio": True, "number": False}


def is_in_percent(form: Form) -> bool:
    return _IN_PERCENT[form]


def count(number: int) -> str:
    return f"{number:,}"


def counted(number: int, noun: str) -> str:
    """`1 row`, `10,000 rows`."""
    return f"{number:,} {noun}{'' if number == 1 else 's'}"


def figure(value: float | None, form: Form, *, places: int | None = None) -> str:
    """`84.1` for a share (of 100), `3.26` for any other number; a dash where there is none.

    places: digits behind the point of any other number, instead of three that count.
    """
    if value is None or not math.isfinite(value):
        return NONE
    if is_in_percent(form):
        return _signed(f"{value * 100:.1f}")
    return _signed(plain(value) if places is None else f"{value:,.{places}f}")


def plain(value: float) -> str:
    """Three significant digits, and all of those before the point."""
    if value == 0 or abs(value) >= 100:
        return f"{value:,.0f}"
    return f"{value:.{max(0, 2 - math.floor(math.log10(abs(value))))}f}"


def _signed(text: str) -> str:
    """With a real minus, and none before a zero."""
    bare = text.lstrip("-")
    return bare if bare == text or not bare.strip("0.,") else MINUS + bare


def estimate(number: Number, form: Form) -> str:
    """`84.1`, `3.26`: of any other number as many digits as its interval bears."""
    return figure(number.value, form, places=_places(number))


def measure(number: Number, form: Form) -> str:
    """The same with its unit: `84.1 %`, `3.26`."""
    text = estimate(number, form)
    return text if text == NONE else text + unit(form)


def _places(number: Number) -> int | None:
    """Digits behind the point: three of the value that count, and more where half the interval is narrower.

    None where there is no width to go by.
    """
    if number.low is None or number.high is None or not number.high > number.low:
        return None
    half = -math.floor(math.log10((number.high - number.low) / 2))
    of_value = 2 - math.floor(math.log10(abs(number.value))) if number.value else 0
    return max(0, half, min(of_value, half + 1))


def unit(form: Form) -> str:
    return " %" if is_in_percent(form) else ""


def interval(number: Number, form: Form, *, between: str = "–") -> str:
    """`83.3–84.8`; empty where there is no number."""
    if number.value is None:
        return ""
    places = _places(number)
    low = figure(number.low, form, places=places) if number.low is not None else f"{MINUS}∞"
    high = figure(number.high, form, places=places) if number.high is not None else "∞"
    return f"{low}{between}{high}"


def difference(found: OnSameRows, form: Form, *, better: str = "higher") -> str:
    """By how much the first is better: `+1.6`."""
    return plus(_turned(found.difference.value, better), form, places=_places(found.difference))


def difference_interval(found: OnSameRows, form: Form, *, better: str = "higher", between: str = " to ") -> str:
    """`+0.6 to +2.5`, of the same."""
    low, high = _turned(found.difference.low, better), _turned(found.difference.high, better)
    low, high = (high, low) if better == "lower" else (low, high)
    places = _places(found.difference)
    return f"{plus(low, form, end=MINUS, places=places)}{between}{plus(high, form, end='+', places=places)}"


def _turned(value: float | None, better: str) -> float | None:
    return -value if value is not None and better == "lower" else value


def plus(value: float | None, form: Form, *, end: str = "", places: int | None = None) -> str:
    """A number with its sign. end: the sign of what has no end."""
    if value is None:
        return f"{end}∞" if end else NONE
    text = figure(value, form, places=places)
    return text if text.startswith(MINUS) or not text.strip("0.,") else f"+{text}"


def p_value(p: float | None) -> str:
    """`0.0011`, `< 0.0001`; two digits where they are enough."""
    if p is None:
        return NONE
    if p < 0.0001:
        return "< 0.0001"
    return f"{p:.4f}" if p < 0.01 else f"{p:.2f}" if p >= 0.1 else f"{p:.3f}"


def p_words(p: float | None) -> str:
    """`p = 0.0011`, `p < 0.0001`; empty for none."""
    text = p_value(p)
    return "" if p is None else f"p {text}" if text.startswith("<") else f"p = {text}"


def beside(value: float, bound: float, form: Form) -> str:
    """A value with as many digits as tell it from a bound: never `99.5 %` where 99.5 % is missed."""
    if not is_in_percent(form):
        return plain(value) if plain(value) != plain(bound) or value == bound else _signed(f"{value:.6g}")
    digits = 1
    while value != bound and digits < 6 and float(f"{value * 100:.{digits}f}") == round(bound * 100, digits):
        digits += 1
    return _signed(f"{value * 100:.{digits}f}") + unit(form)


def money(usd: float | None) -> str:
    """`$5.20`; four digits below a dollar's cents."""
    if usd is None:
        return NONE
    return f"${usd:,.2f}" if usd >= 0.1 or usd == 0 else f"${usd:.4f}"


def tokens(number: int | None) -> str:
    """`2.1 M`, `940 k`, `812`."""
    if number is None:
        return NONE
    if number >= 999_500:
        return f"{number / 1e6:.2f} M" if number < 10e6 else f"{number / 1e6:.1f} M"
    return f"{number / 1e3:.0f} k" if number >= 10_000 else f"{number:,}"


def usage(used: Usage) -> str:
    """`2.10 M / 900 k` tokens in and out, or how long the sound is: `12.3 min`; and of how many nobody knows."""
    if used.seconds is None and used.input_tokens is None:
        return "not known" if used.untold else f"{NONE} / {NONE}"
    untold = f", and {counted(used.untold, 'answer')} not known" if used.untold else ""
    if used.seconds is not None and used.input_tokens is None:
        return (f"{used.seconds / 60:,.1f} min" if used.seconds >= 60 else f"{used.seconds:.1f} s") + untold
    return f"{tokens(used.input_tokens)} / {tokens(used.output_tokens)}{untold}"


def cost(used: Usage) -> str:
    """`$5.20`, `at least $5.20` where some answers do not say what they used."""
    told = money(used.usd)
    return f"at least {told}" if used.untold and told != NONE else told


def short(digest: str) -> str:
    """The first twelve digits: enough to compare by eye."""
    return digest[:12]


SIGNS: Mapping[StatusWord, str] = {
    "right": "✓",
    "wrong": "✕",
    "partly": "½",
    "measured": "·",
    "unreadable": "?",
    "unanswered": "–",
    "no_reference": "∅",
    "skipped": "○",
}
WORDS: Mapping[StatusWord, str] = {
    "right": "right",
    "wrong": "wrong",
    "partly": "partly",
    "measured": "measured",
    "unreadable": "not readable",
    "unanswered": "no answer",
    "no_reference": "no reference",
    "skipped": "skipped",
}


_OF_DUELS: Mapping[StatusWord, str] = {"right": "won", "wrong": "lost", "partly": "tied"}


def word_of(status: StatusWord, check: Check) -> str:
    """What a status is called, of this check: of a preference nobody is right."""
    return _OF_DUELS.get(status, WORDS[status]) if check.kind == "preference" else WORDS[status]


def total(check: Check) -> int:
    return sum(check.statuses.values())
