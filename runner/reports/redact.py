"""A report without some columns: they stand in no row, no slice, and not where an answer was held to them."""

from __future__ import annotations

from collections.abc import Collection, Iterator

from msgspec.structs import replace

from runner.reports.facts import Answer, Facts, Row, Rows

GONE = "⟨redacted⟩"


def of_facts(facts: Facts, names: Collection[str]) -> Facts:
    """Without the slices by these columns. What is counted over all rows stays: it names no row."""
    groups = [
        replace(group, slices=tuple(one for one in group.slices if one.name not in names)) for group in facts.groups
    ]
    return replace(facts, groups=tuple(groups))


def of_rows(rows: Rows, names: Collection[str]) -> Rows:
    """Without these columns. What was expected is gone where it is the value of such a column.

    An answer may still repeat what it was told, and an id what a row holds: those are for whoever shares them to judge.
    """

    def without(group: str) -> Iterator[Row]:
        for row in rows(group):
            hidden = {value for name, value in row.columns.items() if name in names and value}
            yield Row(
                row.custom_id,
                {name: value for name, value in row.columns.items() if name not in names},
                [None if answer is None else _without(answer, hidden) for answer in row.answers],
                {name: value for name, value in row.slices.items() if name not in names},
            )

    return without


def _without(answer: Answer, hidden: Collection[str]) -> Answer:
    checks = [
        one._replace(expected=GONE) if one.expected is not None and _shows(one.expected, hidden) else one
        for one in answer.checks
    ]
    return answer._replace(checks=checks)


def _shows(expected: str, hidden: Collection[str]) -> bool:
    return any(value in expected for value in hidden)
