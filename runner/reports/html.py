"""The page: one file, which asks nobody for anything.

All but the rows is there without script. The rows are drawn by a script that puts every text into the page as text;
the page's policy lets no other script run, and nothing be fetched.
"""

from __future__ import annotations

import base64
import hashlib
import json
from collections.abc import Iterator, Sequence
from functools import cache
from pathlib import Path
from typing import NamedTuple

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup

from runner.reports import figures, gates, pack, sentences, svg
from runner.reports.facts import (
    STATUSES,
    Cell,
    Check,
    Comparison,
    Facts,
    Gate,
    Group,
    Number,
    Rows,
    Slice,
    StatusWord,
    Usage,
    no_rows,
)
from runner.reports.pack import Limit, Packed
from runner.reports.shown import line, shown

_PAGE = Path(__file__).parent / "page"
_PANELS = 3  # checks beside each other; more of them stand below
_ALWAYS: tuple[StatusWord, ...] = ("right", "wrong", "unreadable", "unanswered")
_MISTAKES = 3


def page(facts: Facts, rows: Rows = no_rows, *, limit: Limit = pack.USUAL) -> Iterator[bytes]:
    """The page in pieces, so that it is never held as one text. Reads each group's rows twice, and no texts for a
    limit of none.
    """
    groups = [pack.packed(group, rows, limit) for group in facts.groups]
    style, script = _text("page.css"), _text("page.js")
    context = {
        "facts": facts,
        "groups": [View(group, one) for group, one in zip(facts.groups, groups, strict=True)],
        "chips": gates.chips(facts),
        "verdict": gates.verdict(facts),
        "ways_out": gates.ways_out(facts),
        "style": Markup(style),  # noqa: S704 - both are files of ours
        "script": Markup(script),  # noqa: S704
        "policy": policy(style, script),
        "meta": in_script([one.meta for one in groups]),
    }
    for part in _environment().get_template("page.html").generate(context):
        yield part.encode()


def policy(style: str, script: str) -> str:
    """Of the page: its own style and script by their digests, and nothing else."""
    return (
        f"default-src 'none'; script-src '{_digest(script)}'; style-src '{_digest(style)}'; "
        "base-uri 'none'; form-action 'none'"
    )


def _digest(text: str) -> str:
    return f"sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}"


def in_script(value: object) -> Markup:
    """JSON for the inside of a `<script>`: nothing in it ends that, or a line."""
    text = json.dumps(value, ensure_ascii=False, separators=(",", ":"))
    return Markup(  # noqa: S704 - nothing is left in it that could end the script
        text.replace("<", "\\u003c").replace("\u2028", "\\u2028").replace("\u2029", "\\u2029")
    )


@cache
def _text(name: str) -> str:
    return (_PAGE / name).read_text(encoding="utf-8")


@cache
def _environment() -> Environment:
    found = Environment(
        loader=FileSystemLoader(_PAGE),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        finalize=lambda value: shown(value) if type(value) is str else value,
    )
    found.globals.update(figures=figures, sentences=sentences, line=line)
    return found


# --- a group --------------------------------------------------------------------------------------------------------


class Dot(NamedTuple):
    """A cell's number in one panel."""

    drawn: Markup
    value: str
    interval: str
    title: str
    is_best: bool


class Panel(NamedTuple):
    """One check over all cells."""

    name: str
    about: str
    dots: Sequence[Dot]
    axis: Markup


class Bar(NamedTuple):
    """One cell's rows under one check: the bar, and the counts it is drawn from."""

    label: str
    drawn: Markup
    counts: Sequence[tuple[StatusWord, str]]
    mistakes: Sequence[str]


class Part(NamedTuple):
    """One slice: a number of each cell."""

    name: str
    value: str
    rows: int
    cells: Sequence[Slice | None]


class View:
    """One group as the template draws it."""

    def __init__(self, group: Group, rows: Packed) -> None:
        self.group = group
        self.cells = group.cells
        self.rows = rows
        self.answer = sentences.answer(group)
        self.headline = sentences.headline(group)
        self.cautions = sentences.cautions(group)
        self.power = sentences.of_power(group, self.headline) if self.headline else ""
        self.checks = group.cells[0].checks if group.cells else ()

    def called(self, word: StatusWord) -> str:
        """What its checks call a status: `right`, of preferences `won`, of both `right or won`."""
        return " or ".join(dict.fromkeys(figures.word_of(word, check) for check in self.checks))

    @property
    def wanted(self) -> int:
        return max((cell.accounting.wanted for cell in self.cells), default=0)

    @property
    def cost(self) -> str:
        """Of all cells; empty where nobody knows."""
        known = [cell.usage.usd for cell in self.cells if cell.usage.usd is not None]
        untold = sum(cell.usage.untold for cell in self.cells)
        return figures.cost(Usage(usd=sum(known), untold=untold)) if known else ""

    @property
    def data(self) -> Sequence[str]:
        return list(dict.fromkeys(one for cell in self.cells for one in cell.provenance.data))

    @property
    def clusters(self) -> int:
        return max((check.number.clusters for cell in self.cells for check in cell.checks), default=0)

    def label_of(self, address: str) -> str:
        return next((cell.label for cell in self.cells if cell.address == address), address)

    def number_of(self, address: str) -> int:
        """The place of a cell in the order of the page, from 1."""
        return next(at for at, cell in enumerate(self.cells, 1) if cell.address == address)

    # --- comparison -----

    def bands(self) -> list[list[Panel]]:
        """Panels, as many beside each other as there is room for."""
        panels = [self._panel(number) for number in range(len(self.checks))]
        return [panels[at : at + _PANELS] for at in range(0, len(panels), _PANELS)]

    def _panel(self, number: int) -> Panel:
        checks = [cell.checks[number] for cell in self.cells]
        one = checks[0]
        gate = self._gate_of(one.name)
        bound = gate.bound if gate else None
        ends = [end for check in checks for end in (check.number.value, check.number.low, check.number.high)]
        lowest, highest = (0.0, 1.0) if one.form in ("rate", "score") else (-float("inf"), float("inf"))
        scale = svg.scale_of([*ends, bound], least=0.0 if one.form == "ratio" else lowest, most=highest)
        best = self._best(checks)
        dots = [
            self._dot(cell, check, scale, bound, is_best=best is not None and check.number.value == best)
            for cell, check in zip(self.cells, checks, strict=True)
        ]
        labels = [_tick(tick, scale, in_percent=figures.is_in_percent(one.form)) for tick in scale.ticks]
        about = one.kind + (", lower is better" if one.better == "lower" else "")
        about += f", expected {gates.expected_words(gate).removeprefix(one.name).strip()}" if gate else ""
        return Panel(one.name, about, dots, svg.axis(scale, labels, title=f"scale of {one.name}"))

    def _gate_of(self, name: str) -> Gate | None:
        found = (gate for cell in self.cells for gate in cell.gates)
        return next((gate for gate in found if gate.metric == name and gate.bound is not None and not gate.slice), None)

    def _best(self, checks: Sequence[Check]) -> float | None:
        known = [check.number.value for check in checks if check.number.value is not None]
        if len(known) < 2:
            return None
        return min(known) if checks[0].better == "lower" else max(known)

    def _dot(self, cell: Cell, check: Check, scale: svg.Scale, bound: float | None, *, is_best: bool) -> Dot:
        number = check.number
        value, interval = figures.estimate(number, check.form), figures.interval(number, check.form)
        title = f"{cell.label}, {check.name}: {value}{figures.unit(check.form)}, {interval}, {_of(number)}"
        if number.value is None:
            title = f"{cell.label}, {check.name}: {check.waits_for or 'no row was counted'}"
        drawn = svg.panel(scale, number.value, number.low, number.high, title=shown(title), gate=bound, is_best=is_best)
        return Dot(drawn, value, interval, title, is_best)

    # --- differences -----

    def differences(self) -> list[tuple[str, list[tuple[Comparison, Check]]]]:
        """By check, the headline first."""
        found = []
        for check in self.checks:
            same = [(one, check) for one in self.group.comparisons if one.check == check.name]
            if same:
                found.append((check.name, same))
        return found

    # --- where it goes wrong -----

    def statuses_of(self, number: int) -> list[StatusWord]:
        """The statuses that have a column: the four, and what else occurs."""
        checks = [cell.checks[number] for cell in self.cells]
        there = {word for check in checks for word, rows in check.statuses.items() if rows}
        is_usual = checks[0].form == "rate" or checks[0].kind == "preference"
        usual = _ALWAYS if is_usual else ("unreadable", "unanswered")
        return [word for word in STATUSES if word in there or word in usual]

    def bars(self, number: int) -> list[Bar]:
        return [self._bar(cell, cell.checks[number], self.statuses_of(number)) for cell in self.cells]

    def _bar(self, cell: Cell, check: Check, words: Sequence[StatusWord]) -> Bar:
        counts = [(word, check.statuses.get(word, 0)) for word in words]
        parts = [(word, rows, f"{rows:,} {figures.word_of(word, check)}") for word, rows in counts]
        mistakes = [
            f"{one.expected} → {figures.WORDS['unreadable'] if one.got is None else one.got} ({one.rows:,})"
            for one in check.confusion[:_MISTAKES]
        ]
        return Bar(cell.label, svg.shares(parts), [(word, f"{rows:,}") for word, rows in counts], mistakes)

    # --- slices -----

    def slices(self) -> list[tuple[Check, list[Part]]]:
        """By check, the headline first; each value with its numbers in the order of the cells."""
        return [(check, parts) for check in self.checks if (parts := self._parts(check.name))]

    def _parts(self, check: str) -> list[Part]:
        found: dict[tuple[str, str], dict[str, Slice]] = {}
        for one in self.group.slices:
            if one.check == check:
                found.setdefault((one.name, one.value), {})[one.address] = one
        return [
            Part(name, value, max(one.rows for one in mine.values()), [mine.get(cell.address) for cell in self.cells])
            for (name, value), mine in found.items()
        ]

    @property
    def tests(self) -> int:
        """How many slices were tested, over which significance is corrected."""
        return sum(one.p is not None for one in self.group.slices)


def _of(number: Number) -> str:
    rows = figures.counted(number.n, "row")
    return rows if number.clusters in (0, number.n) else f"{rows}, {figures.counted(number.clusters, 'cluster')}"


def _tick(value: float, scale: svg.Scale, *, in_percent: bool) -> str:
    step = (scale.ticks[1] - scale.ticks[0]) * (100 if in_percent else 1) if len(scale.ticks) > 1 else 1.0
    digits = 0
    while digits < 4 and abs(round(step, digits) - step) > 1e-9 * max(1.0, step):
        digits += 1
    return f"{value * (100 if in_percent else 1):.{digits}f}".replace("-", figures.MINUS)
