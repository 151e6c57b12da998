"""A report as CI systems read it: a suite for each job, a case for each expectation, then rows that are wrong."""

from __future__ import annotations

import re
from collections.abc import Iterator
from xml.sax.saxutils import escape, quoteattr

from runner.reports import gates, sentences
from runner.reports.facts import Cell, Check, Facts, Gate, Group, Held, Row, Rows, no_rows
from runner.reports.shown import shown

MOST_ROWS = 20
_MOST_CHARS = 2000  # of one answer
_WRONG = ("wrong", "partly", "unreadable", "unanswered")
_NO_XML = re.compile("[^\t\n\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")  # what XML 1.0 has no way to write


def page(facts: Facts, rows: Rows = no_rows, *, most_rows: int = MOST_ROWS) -> Iterator[bytes]:
    """JUnit's XML. An expectation that is not met, or undecided, is a failure; one not yet known is skipped.

    most_rows: failing rows told of each check of each job. A row is a case only where it is wrong, so the counts of a
    suite are those of its expectations and of the rows that are told.
    """
    yield b'<?xml version="1.0" encoding="UTF-8"?>\n'
    yield f"<testsuites name={_quoted(facts.project)}>\n".encode()
    for group in facts.groups:
        failing = _failing(group, rows, most_rows)
        for at, cell in enumerate(group.cells):
            yield _suite(cell, failing[at], facts).encode()
    yield b"</testsuites>\n"


def _failing(group: Group, rows: Rows, most: int) -> list[list[tuple[str, Row, Held, str | None]]]:
    """Of each cell: (check, row, what became of it, the answer), check by check, in input order."""
    found: list[list[list[tuple[str, Row, Held, str | None]]]] = [[[] for _ in cell.checks] for cell in group.cells]
    wanted = sum(len(cell.checks) for cell in group.cells) * most
    told = 0
    for row in rows(group.name) if wanted else ():
        for cell, answer, mine in zip(group.cells, row.answers, found, strict=False):
            for check, held, listed in zip(cell.checks, answer.checks if answer else (), mine, strict=False):
                if answer is not None and len(listed) < most and is_wrong(held, check):
                    listed.append((check.name, row, held, answer.text if answer.text is not None else answer.error))
                    told += 1
        if told == wanted:
            break
    return [[one for listed in mine for one in listed] for mine in found]


def is_wrong(held: Held, check: Check) -> bool:
    """Whether a row is worth a look: a transcript is wrong where it has an error, and a tie is no defeat."""
    if check.kind == "preference" and held.status == "partly":
        return False
    return held.status in _WRONG or (held.status == "measured" and check.form == "ratio" and bool(held.score))


def _suite(cell: Cell, failing: list[tuple[str, Row, Held, str | None]], facts: Facts) -> str:
    cases = [_gate(cell, gate) for gate in cell.gates]
    cases += [_row(cell, *one) for one in failing]
    failures = sum(gate.verdict in ("unmet", "undecided") for gate in cell.gates) + len(failing)
    skipped = sum(gate.verdict == "not_yet" for gate in cell.gates)
    properties = [("runner", facts.made_by), *((word, str(rows)) for word, rows in sentences.accounting(cell))]
    properties += [(f"signature.{check.name}", check.signature) for check in cell.checks if check.signature]
    agreements = ((check.name, sentences.of_agreement(cell, check)) for check in cell.checks)
    properties += [(f"agreement.{name}", words) for name, words in agreements if words]
    told = "".join(f"      <property name={_quoted(name)} value={_quoted(value)}/>\n" for name, value in properties)
    when = f" timestamp={_quoted(facts.when[:19])}" if facts.when else ""
    return (
        f'  <testsuite name={_quoted(cell.address)} tests="{len(cases)}" failures="{failures}" '
        f'errors="0" skipped="{skipped}" time="0"{when}>\n'
        f"    <properties>\n{told}    </properties>\n{''.join(cases)}  </testsuite>\n"
    )


def _gate(cell: Cell, gate: Gate) -> str:
    part = "".join(f", {name} = {value}" for name, value in gate.slice.items())
    name = f"expect {gate.metric} {gate.expected}{part}"
    start = f'    <testcase classname={_quoted(cell.address)} name={_quoted(name)} time="0"'
    words = "; ".join(filter(None, (gate.sentence, gate.way_out))) or gates.words_of(gate, gates.form_of(cell, gate))
    match gate.verdict:
        case "met":
            return f"{start}/>\n"
        case "not_yet":
            return f"{start}><skipped message={_quoted(words)}/></testcase>\n"
        case "unmet" | "undecided":
            return (
                f'{start}><failure type="{gate.verdict}" message={_quoted(words)}>{_text(words)}</failure></testcase>\n'
            )


def _row(cell: Cell, check: str, row: Row, held: Held, answer: str | None) -> str:
    told = [f"expected: {held.expected}"] * (held.expected is not None) + [f"got: {held.got}"] * (held.got is not None)
    told += [f"because: {held.reason}"] * (held.reason is not None)
    message = f"{held.status}{f', {told[0]}' if told else ''}"
    body = "\n".join([*told, f"answer: {(answer or '')[:_MOST_CHARS]}"])
    return (
        f'    <testcase classname={_quoted(cell.address)} name={_quoted(f"{check} {row.custom_id}")} time="0">'
        f'<failure type="{held.status}" message={_quoted(message)}>{_text(body)}</failure></testcase>\n'
    )


def _text(value: str) -> str:
    return escape(_NO_XML.sub("\N{REPLACEMENT CHARACTER}", shown(value)))


def _quoted(value: str) -> str:
    return quoteattr(_NO_XML.sub("\N{REPLACEMENT CHARACTER}", " ".join(shown(value).split())))
