"""A report as a pull request shows it: the gates and one table in the first screen, the rest folded away.

GitHub cuts a comment at 65,536 characters; what does not fit here is left out from the end, and said.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence

from runner.reports import figures, gates, sentences
from runner.reports.facts import STATUSES, Cell, Check, Comparison, Facts, Group
from runner.reports.shown import line

MOST_CHARS = 60_000
_ROOM = 200  # for what is said where something is left out
_MARKS = {"met": "✅", "unmet": "❌", "undecided": "❔", "not_yet": "⏳"}
_SPECIAL = re.compile(r"([\\`*_{}\[\]<>()#|~!&$+-])")
# What GitHub makes links, mentions and pictures of, escaped or not: parted by what is not seen.
_LIVE = re.compile(r"(?<=:)(?=//)|(?<=@)(?=\w)|(?<=#)(?=\d)|(?<=:)(?=[\w+-]+:)|(?<=www)(?=\.)", re.IGNORECASE)
_MOST_FAILURES = 10


def page(facts: Facts) -> str:
    """Markdown as GitHub reads it, below `MOST_CHARS` characters. No text of it is read as anything but text."""
    parts = [*_first_screen(facts)]
    for group in facts.groups:
        parts += _details(group, is_alone=len(facts.groups) == 1)
    parts.append(_made(facts))
    return _fitting(parts)


def text(value: str) -> str:
    """A stranger's words on one line, where nothing of them is a mark, a mention or a link."""
    return _SPECIAL.sub(r"\\\1", _still(value))


def _still(value: str) -> str:
    return _LIVE.sub("\N{WORD JOINER}", line(value))


def code(value: str) -> str:
    """The same in the letters of code; within a table a bar would end the cell."""
    plain = line(value).replace("`", "ˋ").replace("|", "¦")
    return f"`{plain}`" if plain else "–"


def _first_screen(facts: Facts) -> Iterator[str]:
    alone = facts.groups[0].name if len(facts.groups) == 1 else ""
    yield f"## {text(facts.project)}{f' / {text(alone)}' if alone else ''}"
    for group in facts.groups:
        said = "".join(map(_part, sentences.answer(group)))
        yield said if alone else f"**{text(group.name)}**: {said}"
    if verdict := gates.verdict(facts):
        yield f"**{text(verdict)}**"
        yield "\n".join(map(_gate, gates.chips(facts)))
    yield from (f"> {text(note)}" for note in (*gates.ways_out(facts), *facts.notes))
    for group in facts.groups:
        yield from filter(None, [_table_of(group, has_name=not alone)])
        yield from (text(sentences.of_pooled(one)) for one in group.pooled)


def _part(part: sentences.Part) -> str:
    """With the blanks at its ends, which part it from its neighbours."""
    start, end = (" " if blank else "" for blank in (part.text[:1].isspace(), part.text[-1:].isspace()))
    said = f"{start}{text(part.text)}{end}"
    return f"**{said.strip()}**" if part.is_strong else said


def _gate(chip: gates.Chip) -> str:
    words = f": {text(chip.words)}" if chip.words else ""
    return f"- {_MARKS[chip.verdict]} {text(chip.expected)}, {text(chip.whose)}{words}"


def _table_of(group: Group, *, has_name: bool) -> str:
    """The cells and all checks of a group."""
    if not group.cells:
        return ""
    head = [
        "#",
        text(group.name) if has_name else "job",
        *(text(check.name) for check in group.cells[0].checks),
        "ok",
        "cost",
    ]
    rows = [
        [
            str(at),
            text(cell.label),
            *(_number(check) for check in cell.checks),
            f"{cell.accounting.ok:,} of {cell.accounting.wanted:,}",
            text(figures.cost(cell.usage)),
        ]
        for at, cell in enumerate(group.cells, 1)
    ]
    return table(head, rows, numbers_from=2)


def _number(check: Check) -> str:
    if check.number.value is None:
        return figures.NONE
    return f"**{figures.measure(check.number, check.form)}** ({figures.interval(check.number, check.form)})"


def _details(group: Group, *, is_alone: bool) -> Iterator[str]:
    name = "" if is_alone else f"{group.name}: "
    for check in group.cells[0].checks if group.cells else ():
        rows = [
            [
                text(_label_of(group, one.second)),
                _difference(one, check),
                figures.p_value(one.p).replace("<", "&lt;"),
                *(figures.NONE if number is None else f"{number:,}" for number in (one.only_first, one.only_second)),
                f"{one.difference.n:,}",
            ]
            for one in group.comparisons
            if one.check == check.name
        ]
        if rows:
            unit = ", points" if figures.is_in_percent(check.form) else ""
            head = [
                f"{text(group.cells[0].label)} against",
                f"better by{unit}",
                "p",
                "only the best right",
                "only the other right",
                "rows",
            ]
            power = text(sentences.of_power(group, check))
            yield folded(f"{name}is the lead real? {check.name}", [table(head, rows), power])
    yield from _outcomes(group, name)
    yield from _slices(group, name)


def _difference(found: Comparison, check: Check) -> str:
    better = figures.difference(found, check.form, better=check.better)
    return f"{better} ({figures.difference_interval(found, check.form, better=check.better)})"


def _label_of(group: Group, address: str) -> str:
    return next((cell.label for cell in group.cells if cell.address == address), address)


def _outcomes(group: Group, name: str) -> Iterator[str]:
    """Where it goes wrong: statuses of each check, then errors by code and cut answers."""
    for number, check in enumerate(group.cells[0].checks if group.cells else ()):
        words = [word for word in STATUSES if any(cell.checks[number].statuses.get(word) for cell in group.cells)]
        rows = [
            [
                text(cell.label),
                *(f"{cell.checks[number].statuses.get(word, 0):,}" for word in words),
                _mistakes(cell.checks[number]),
            ]
            for cell in group.cells
        ]
        titles = (f"{figures.SIGNS[word]} {figures.word_of(word, check)}" for word in words)
        head = ["job", *titles, "most often mistaken"]
        duels = ((cell.label, cell.checks[number].duel) for cell in group.cells)
        said = [text(f"{label}: {sentences.of_duel(duel)}") for label, duel in duels if duel is not None]
        people = (sentences.of_agreement(cell, cell.checks[number]) for cell in group.cells)
        said += [text(one) for one in people if one]
        yield folded(f"{name}where it goes wrong: {check.name}", [table(head, rows), *said])
    failed = [line for cell in group.cells for line in _failures(cell)]
    if failed:
        yield folded(f"{name}errors and cut answers", ["\n".join(failed)])


def _mistakes(check: Check) -> str:
    return ", ".join(
        f"{text(one.expected)} → {text(one.got or 'not readable')} ({one.rows:,})" for one in check.confusion[:3]
    )


def _failures(cell: Cell) -> Iterator[str]:
    for one in cell.failures[:_MOST_FAILURES]:
        yield f"- {text(cell.label)}: {one.rows:,} × {code(one.code or 'error')} {text(one.message[:200])}"
    for ending in cell.endings:
        yield f"- {text(cell.label)}: {ending.rows:,} {text(ending.words)}"


def _slices(group: Group, name: str) -> Iterator[str]:
    for check in group.cells[0].checks if group.cells else ():
        values = dict.fromkeys((one.name, one.value) for one in group.slices if one.check == check.name)
        if not values:
            continue
        found = {(one.name, one.value, one.address): one for one in group.slices if one.check == check.name}
        rows = []
        for slice_name, value in values:
            cells = [found.get((slice_name, value, cell.address)) for cell in group.cells]
            most = max(one.rows for one in cells if one)
            told = [
                figures.NONE if one is None else f"{figures.estimate(one.number, check.form)}{_WAYS[one.direction]}"
                for one in cells
            ]
            rows.append([f"{text(slice_name)} = {text(value)}", f"{most:,}", *told])
        head = ["slice", "rows", *(text(cell.label) for cell in group.cells)]
        said = "▼ worse, ▲ better than on the job's other rows, at a false discovery rate of 5 %."
        yield folded(f"{name}slices: {check.name}", [table(head, rows), said])


_WAYS = {"": "", "worse": " ▼", "better": " ▲"}


def _made(facts: Facts) -> str:
    head = ["job", "model", "requests", "tokens in / out, or sound", "output"]
    rows = [
        [
            code(cell.address),
            code(cell.provenance.model) + "".join(f" → {code(name)}" for name in cell.provenance.answered_as),
            code(figures.short(cell.provenance.requests_sha256)),
            figures.usage(cell.usage),
            code(cell.provenance.output),
        ]
        for group in facts.groups
        for cell in group.cells
    ]
    signed = [
        f"- {code(cell.address)} {text(check.name)}: {code(check.signature)}"
        for group in facts.groups
        for cell in group.cells
        for check in cell.checks
        if check.signature
    ]
    return folded("how it was made", [table(head, rows), "\n".join(signed), f"Made by {text(facts.made_by)}."])


def table(head: Sequence[str], rows: Iterable[Sequence[str]], *, numbers_from: int = 1) -> str:
    ruled = ["---" if at < numbers_from else "---:" for at in range(len(head))]
    return "\n".join(f"| {' | '.join(cells)} |" for cells in (head, ruled, *rows))


def folded(title: str, parts: Iterable[str]) -> str:
    plain = _still(title).replace("&", "&amp;").replace("<", "&lt;")
    title = plain[:1].upper() + plain[1:]
    return "\n\n".join((f"<details><summary>{title}</summary>", *filter(None, parts), "</details>"))


def _fitting(parts: Sequence[str]) -> str:
    """The parts that fit; what does not is counted."""
    taken: list[str] = []
    length = 0
    for at, part in enumerate(parts):
        length += len(part) + 2
        if length > MOST_CHARS - _ROOM:
            left = len(parts) - at
            taken.append(f"_{figures.counted(left, 'part')} left out to fit: `runner report -o html` has all of it._")
            break
        taken.append(part)
    return "\n\n".join(taken) + "\n"
