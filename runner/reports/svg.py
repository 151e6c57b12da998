"""Figures of our own: a dot and its interval on a scale, and a bar that adds up. No library, no script, no style."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from typing import NamedTuple

from markupsafe import Markup, escape

WIDTH, HEIGHT = 170, 36
_PAD = 8


class Scale(NamedTuple):
    """What a panel shows, from its left end to its right one, and where its lines stand."""

    low: float
    high: float
    ticks: tuple[float, ...]

    def at(self, value: float) -> float:
        """The place of a value, held within the panel."""
        share = (value - self.low) / (self.high - self.low)
        return round(_PAD + min(1.0, max(0.0, share)) * (WIDTH - 2 * _PAD), 2)


def scale_of(values: Iterable[float | None], *, least: float = -math.inf, most: float = math.inf) -> Scale:
    """Round ends around all of the values, three to six ticks, never beyond `least` and `most`."""
    known = [value for value in values if value is not None and math.isfinite(value)]
    low, high = (min(known), max(known)) if known else (0.0, 1.0)
    if high - low < 1e-9:
        room = abs(high) * 0.05 or 0.5
        low, high = low - room, high + room
    step = _step((high - low) / 3)
    first = max(least, math.floor(low / step + 1e-9) * step)
    last = min(most, math.ceil(high / step - 1e-9) * step)
    number = max(1, round((last - first) / step))
    return Scale(first, first + number * step, tuple(round(first + n * step, 10) for n in range(number + 1)))


def _step(rough: float) -> float:
    """1, 2 or 5 times a power of ten, not below `rough`."""
    power = 10.0 ** math.floor(math.log10(rough))
    return next(power * times for times in (1, 2, 5, 10) if power * times >= rough * 0.999)


def panel(
    scale: Scale,
    value: float | None,
    low: float | None,
    high: float | None,
    *,
    title: str,
    gate: float | None = None,
    is_best: bool = False,
) -> Markup:
    """A dot and its interval between the lines of its panel; the gate dashed. Without a value only the lines."""
    parts = [_line(scale.at(tick), "grid") for tick in scale.ticks]
    if gate is not None and scale.low <= gate <= scale.high:
        parts.append(_line(scale.at(gate), "gate"))
    if value is not None:
        middle = HEIGHT / 2
        left = scale.at(scale.low if low is None else low)
        right = scale.at(scale.high if high is None else high)
        parts.append(f'<line class="bar" x1="{left}" x2="{right}" y1="{middle}" y2="{middle}"/>')
        parts.append(f'<circle class="dot" cx="{scale.at(value)}" cy="{middle}" r="5"/>')
    return _drawn("panel best" if is_best else "panel", HEIGHT, title, parts)


def axis(scale: Scale, labels: Sequence[str], *, title: str) -> Markup:
    """The numbers under a panel."""
    parts = [
        f'<text x="{scale.at(tick)}" y="14" text-anchor="middle">{escape(label)}</text>'
        for tick, label in zip(scale.ticks, labels, strict=True)
    ]
    return _drawn("axis", 20, title, parts)


def shares(parts: Sequence[tuple[str, int, str]]) -> Markup:
    """One bar of (class, rows, title), which adds up to its whole width."""
    whole = sum(rows for _, rows, _ in parts)
    drawn, at = [], 0
    for name, rows, title in parts:
        if rows:
            left, width = at * 1000 / whole, rows * 1000 / whole
            drawn.append(
                f'<rect class="{name}" x="{left:.3f}" width="{width:.3f}" height="12">'
                f"<title>{escape(title)}</title></rect>"
            )
        at += rows
    told = escape(", ".join(title for _, rows, title in parts if rows))
    return Markup(  # noqa: S704 - every text in it is escaped
        f'<svg class="shares" viewBox="0 0 1000 12" preserveAspectRatio="none" role="img" aria-label="{told}">'
        f"{''.join(drawn)}</svg>"
    )


def _line(x: float, name: str) -> str:
    return f'<line class="{name}" x1="{x}" x2="{x}" y1="0" y2="{HEIGHT}"/>'


def _drawn(name: str, height: int, title: str, parts: Iterable[str]) -> Markup:
    told = escape(title)
    return Markup(  # noqa: S704 - every text in it is escaped
        f'<svg class="{name}" viewBox="0 0 {WIDTH} {height}" width="{WIDTH}" height="{height}" role="img">'
        f"<title>{told}</title>{''.join(parts)}</svg>"
    )
