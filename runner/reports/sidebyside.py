"""Two jobs side by side, in words: as a terminal shows it, and as a pull request does."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import msgspec

from runner.reports import figures
from runner.reports.diff import Check, Diff, Row, Side
from runner.reports.markdown import code, folded, table, text
from runner.reports.shown import line

_MOST_CHARS = 60  # of what was read from an answer
_HEAD = ["check", "A", "B", "B − A", "p", "both right", "only A right", "only B right", "rows"]


def plain(diff: Diff) -> str:
    """Lines for a terminal."""
    return "\n".join(_lines(diff))


def _lines(diff: Diff) -> Iterator[str]:
    names = [_name(side) for side in (diff.first, diff.second)]
    width = max(map(len, names))
    for letter, name, side in zip("AB", names, (diff.first, diff.second), strict=True):
        yield f"{letter}  {name.ljust(width)}  {'  '.join(_standing(side))}"
    yield from (f"   {one.what}: {line(one.first)} → {line(one.second)}" for one in diff.differs)
    yield _pairs(diff)
    for check in diff.checks:
        yield ""
        first, second = (figures.measure(one, check.form) for one in (check.first, check.second))
        yield f"{check.name}  A {first}, B {second}"
        yield f"  B − A  {_difference(check)}, {figures.p_words(check.p) or 'no p'}, {_who(check)}"
        if f1 := _of_f1(check):
            first, second = (figures.measure(one, f1.form) for one in (f1.first, f1.second))
            yield f"  macro F1  A {first}, B {second}; B − A {_difference(f1)}, {figures.p_words(f1.p) or 'no p'}"
        yield from _changed(check)
    if diff.notes or diff.unmet:
        yield ""
    yield from (f"note: {line(note)}" for note in diff.notes)
    yield from (f"✕ {line(sentence)}" for sentence in diff.unmet)


def _name(side: Side) -> str:
    return f"{side.revision}:{side.address} ({side.commit[:7]})" if side.revision else side.address


def _standing(side: Side) -> Iterator[str]:
    waiting = f", {side.waiting:,} waiting" if side.waiting else ""
    yield f"{side.ok:,} ok, {side.error:,} error{waiting} of {side.wanted:,}"
    used = side.usage
    if used.input_tokens is not None:
        yield f"{figures.usage(msgspec.structs.replace(used, untold=0))} tokens"
    elif used.seconds is not None:
        yield figures.usage(msgspec.structs.replace(used, untold=0))
    if used.untold:
        yield f"what {figures.counted(used.untold, 'answer')} used is not known"
    if used.usd is not None:
        yield figures.cost(used)


def _pairs(diff: Diff) -> str:
    only = f"{diff.only_first:,} only in A, {diff.only_second:,} only in B, {diff.changed:,} changed"
    return f"{figures.counted(diff.compared, 'row')} compared; {only}"


def _difference(check: Check) -> str:
    """`+1.6 points (+0.6 to +2.5)`."""
    if check.difference.value is None:
        return figures.NONE
    points = " points" if figures.is_in_percent(check.form) else ""
    by = figures.difference(check, check.form)
    turned = "; lower is better" if check.better == "lower" else ""
    return f"{by}{points} ({figures.difference_interval(check, check.form)}{turned})"


def _of_f1(check: Check) -> Check | None:
    """Its macro F1, as a check of its own."""
    if (f1 := check.macro_f1) is None:
        return None
    name = f"{check.name}.macro_f1"
    return Check(name, check.kind, "score", check.better, f1.first, f1.second, difference=f1.difference, p=f1.p)


def _who(check: Check) -> str:
    rows = f"{figures.counted(check.difference.n, 'row')}"
    if check.difference.clusters not in (0, check.difference.n):
        rows += f" in {figures.counted(check.difference.clusters, 'cluster')}"
    missing = f", {check.unanswered:,} not answered by one of them" if check.unanswered else ""
    if check.both is None:
        return rows + missing
    return f"both right {check.both:,}, only A {check.only_first:,}, only B {check.only_second:,} of {rows}{missing}"


def _changed(check: Check) -> Iterator[str]:
    for words, count, rows in (("worse", check.worse, check.worst), ("better", check.better_rows, check.best)):
        if count:
            more = f", {len(rows)} of them" if count > len(rows) else ""
            yield f"  {words} in B: {figures.counted(count, 'row')}{more}"
            yield from (f"    {line(row.custom_id)}  {_told(row)}" for row in rows)


def _told(row: Row) -> str:
    expected = f"expected {_cut(row.expected)}: " if row.expected is not None else ""
    return f"{expected}A {_read(row.first, row.first_status)}, B {_read(row.second, row.second_status)}"


def _read(got: str | None, status: str) -> str:
    return _cut(got) if got is not None else figures.WORDS[status]  # type: ignore[index]


def _cut(value: str | None) -> str:
    shown = line(value or "") or "nothing"
    return shown if len(shown) <= _MOST_CHARS else f"{shown[: _MOST_CHARS - 1]}…"


# --- as a pull request shows it -----------------------------------------------------------------------------------


def markdown(diff: Diff) -> str:
    """Markdown as GitHub reads it: one table, the rows that changed folded away."""
    return "\n\n".join(filter(None, _parts(diff))) + "\n"


def _parts(diff: Diff) -> Iterator[str]:
    yield "\n".join(f"- ❌ {text(sentence)}" for sentence in diff.unmet)
    sides = [
        f"- **{letter}** {code(_name(side))}: {text(', '.join(_standing(side)))}"
        for letter, side in zip("AB", (diff.first, diff.second), strict=True)
    ]
    sides += [f"- {text(one.what)}: {code(one.first)} → {code(one.second)}" for one in diff.differs]
    yield "\n".join(sides)
    yield text(_pairs(diff))
    if diff.checks:
        each = (one for check in diff.checks for one in (check, _of_f1(check)) if one is not None)
        yield table(_HEAD, [_cells(one) for one in each])
    yield "\n".join(f"> {text(note)}" for note in diff.notes)
    for check in diff.checks:
        for words, count, rows in (("worse", check.worse, check.worst), ("better", check.better_rows, check.best)):
            if count:
                listed = "\n".join(f"- {code(row.custom_id)} {text(_told(row))}" for row in rows)
                title = f"{check.name}: {words} in B, {figures.counted(count, 'row')}"
                yield folded(title, [listed])


def _cells(check: Check) -> Sequence[str]:
    counts = (check.both, check.only_first, check.only_second)
    return [
        text(check.name),
        *(
            f"{figures.measure(one, check.form)} ({figures.interval(one, check.form)})"
            for one in (check.first, check.second)
        ),
        text(_difference(check)),
        figures.p_value(check.p).replace("<", "&lt;"),
        *(figures.NONE if count is None else f"{count:,}" for count in counts),
        f"{check.difference.n:,}",
    ]
