"""What a run had to reach, in words: unmet first, since that is what a reviewer decides by."""

from __future__ import annotations

from typing import NamedTuple

from runner.reports import figures
from runner.reports.facts import Cell, Facts, Form, Gate, Group, Verdict

_URGENCY: tuple[Verdict, ...] = ("unmet", "undecided", "not_yet", "met")


def ordered(facts: Facts) -> list[tuple[Group, Cell, Gate]]:
    """All expectations: unmet first, then what is undecided, not yet known, and met."""
    found = [(group, cell, gate) for group in facts.groups for cell in group.cells for gate in cell.gates]
    return sorted(found, key=lambda one: _URGENCY.index(one[2].verdict))


def ways_out(facts: Facts) -> list[str]:
    """What decides the expectations that are not decided, each said once."""
    return list(dict.fromkeys(gate.way_out for _, _, gate in ordered(facts) if gate.way_out))


VERDICTS = {"met": "met", "unmet": "not met", "undecided": "undecided", "not_yet": "not yet known"}


def verdict(facts: Facts) -> str:
    """All expectations in a line: `2 of 5 expectations are not met, 1 is undecided`; empty without any."""
    counts = dict.fromkeys(_URGENCY, 0)
    for _, _, gate in ordered(facts):
        counts[gate.verdict] += 1
    number = sum(counts.values())
    if not number:
        return ""
    if counts["met"] == number:
        return "The expectation is met" if number == 1 else f"All {number} expectations are met"
    parts = [f"{counts[word]} {VERDICTS[word]}" for word in _URGENCY if counts[word]]
    return f"Of {figures.counted(number, 'expectation')}: {', '.join(parts)}"


def words_of(gate: Gate, form: Form) -> str:
    """`is only 84.1 %`: what stands there instead, short."""
    if gate.verdict == "not_yet":
        return "not yet known"
    value = None if gate.number is None else gate.number.value
    if gate.verdict == "undecided" or value is None:
        return gate.sentence or VERDICTS[gate.verdict]
    if gate.bound is None:
        return f"is {figures.figure(value, form)}"
    text = figures.beside(value, gate.bound, form)
    found = f"is only {text}" if ">" in gate.expected and value < gate.bound else f"is {text}"
    if "by interval" not in gate.expected or gate.number is None:
        return found
    ends = [figures.beside(end, gate.bound, form) for end in (gate.number.low, gate.number.high) if end is not None]
    return f"{found}, its interval {' to '.join(ends)}" if len(ends) == 2 else found


def form_of(cell: Cell, gate: Gate) -> Form:
    """What kind of number an expectation is about: `check.macro_f1` and the share of answers are shares."""
    name, _, part = gate.metric.partition(".")
    found = next((check for check in cell.checks if check.name == gate.metric), None)
    if found is None and not part:
        found = next((check for check in cell.checks if check.name == name), None)
    return found.form if found is not None else "rate"


class Chip(NamedTuple):
    """One expectation, or one that all jobs of a group meet."""

    verdict: str
    sign: str
    expected: str
    whose: str
    words: str
    sentence: str


_SIGNS = {"met": "✓", "unmet": "✕", "undecided": "?", "not_yet": "–"}


def expected_words(gate: Gate) -> str:
    """`intent ≥ 85 %`, with the slice it is about."""
    bound = gate.expected.replace(">=", "≥").replace("<=", "≤")
    part = "".join(f", {name} = {value}" for name, value in gate.slice.items())
    return f"{gate.metric} {bound}{part}"


def chips(facts: Facts) -> list[Chip]:
    """Unmet first. What several jobs of one group meet is one chip."""
    found: list[Chip] = []
    met: dict[tuple[str, str], list[tuple[Group, Cell, Gate]]] = {}
    for group, cell, gate in ordered(facts):
        if gate.verdict == "met":
            met.setdefault((group.name, expected_words(gate)), []).append((group, cell, gate))
        else:
            found.append(_chip(group, cell, gate))
    for same in met.values():
        group, cell, gate = same[0]
        if len(same) == 1:
            found.append(_chip(group, cell, gate))
        else:
            whose = f"all {len(same)}" if len(same) == len(group.cells) else f"{len(same)} jobs"
            found.append(Chip("met", _SIGNS["met"], expected_words(gate), f"{whose} of {group.name}", "", ""))
    return found


def _chip(group: Group, cell: Cell, gate: Gate) -> Chip:
    whose = cell.label if cell.label == group.name or not cell.axes else f"{cell.label}"
    words = words_of(gate, form_of(cell, gate))
    return Chip(gate.verdict, _SIGNS[gate.verdict], expected_words(gate), whose, words, gate.sentence)
