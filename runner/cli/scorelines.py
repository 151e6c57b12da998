"""The lines of a job's checks: what was counted, how far the number can be trusted, and what was expected of it."""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence

from runner.apply.asfacts import agreement_of, corrected_of, duel_of
from runner.apply.result import Awaited, Scoring
from runner.checks.gates import shown, way_out
from runner.checks.score import Status
from runner.cli import voice
from runner.job.scored import CheckSummary, Figure, Gate, Pooled, Scores, Verdict
from runner.reports.sentences import agreement_parts, duel_parts

_SIGNS = {Verdict.MET: "✓", Verdict.UNMET: "✕", Verdict.UNDECIDED: "?", Verdict.NOT_YET: "–"}
_PLAIN = {Verdict.MET: "+", Verdict.UNMET: "x", Verdict.UNDECIDED: "?", Verdict.NOT_YET: "-"}
_WORDS = {"no_reference": "no reference"}
_OF_DUELS = {"right": "won", "wrong": "lost", "partly": "tied"}
_GAP = "  "
_LONG = 90  # characters of a cell that does not push the others away


def of_job(address: str, scoring: Scoring) -> list[str]:
    """What an apply says of a job's checks; nothing where it has none."""
    gates = scoring.gates.get(address, ())
    scores = scoring.current.get(address)
    waits = scoring.waits.get(address, {})
    lines = lines_of(scores, gates, waits) if scores else lines_of_gates(gates)
    if address in scoring.removed:
        lines.append(f"  - `{scoring.removed[address]}` is removed: the specs check nothing of it any more")
    undecided = [gate for gate in gates if gate.verdict is Verdict.UNDECIDED]
    return lines + [f"  ! {words}" for words in dict.fromkeys(way_out(address, gate) for gate in undecided)]


def lines_of(
    scores: Scores, gates: Sequence[Gate] | None = None, waits: Mapping[str, Awaited] | None = None
) -> list[str]:
    """A line for each check, then one for each other expectation, then what is told of judges and people.

    gates: as they stand now. waits: what the checks wait for that have no verdicts yet, where that is known.
    """
    gates = scores.gates if gates is None else gates
    rows: list[tuple[str, str, str, str, str]] = []
    left = list(gates)
    for check in scores.checks:
        mine = next((gate for gate in left if gate.check == check.name and gate.is_plain), None)
        if mine is not None:
            left.remove(mine)
        is_share = check.form != "number"
        value, interval = _figure(check.figure, is_share=is_share)
        rows.append((check.name, value, interval, _counts(check), _told(mine)))
    for name, judge in scores.waits_for.items():
        mine = next((gate for gate in left if gate.check == name and gate.is_plain), None)
        if mine is not None:
            left.remove(mine)
        awaited = (waits or {}).get(name) or Awaited(judge)
        rows.append((name, "", "", _awaited(awaited), _told(mine)))
    pooled = scores.pooled or Pooled("", 0, ())
    for check in pooled.checks:
        value, interval = _figure(check.figure, is_share=check.form != "number")
        rows.append((f"{check.name}, {pooled.cells} replicates", value, interval, _counts(check), ""))
    forms = {check.name: check.form for check in scores.checks}
    for gate in left:
        value, interval = _figure(gate.figure, is_share=forms.get(gate.check, "rate") != "number")
        name = f"{gate.metric} of {gate.slice}" if gate.slice else gate.metric
        rows.append((name, value, interval, "", _told(gate)))
    lines = _aligned(rows)
    for at, check in reversed(list(enumerate(scores.checks))):
        lines[at + 1 : at + 1] = [f"{_GAP}{_GAP}{part}" for part in _more_of(check)]
    return lines


def _more_of(check: CheckSummary) -> list[str]:
    """What is told below the line of a check."""
    if check.duel is not None:
        return duel_parts(duel_of(check.duel))
    if check.agreement is not None:
        return agreement_parts(agreement_of(check.agreement), corrected_of(check))
    return []


def _awaited(judge: Awaited) -> str:
    """`waits for reply.helpful:model=qwen (about 9,979 requests, at most $2.20)`."""
    if not judge.requests:
        return f"waits for {judge.address}"
    cost = "at a cost that is not known" if judge.usd is None else "at no cost"
    if judge.usd:
        cost = f"at most {voice.money(max(judge.usd, 0.01))}"
    return f"waits for {judge.address} (about {voice.count(judge.requests, 'request')}, {cost})"


def lines_of_gates(gates: Sequence[Gate]) -> list[str]:
    """The expectations of a job that is not settled, each on a line."""
    return _aligned([(gate.metric, "", "", "", _told(gate)) for gate in gates])


def _aligned(rows: Sequence[tuple[str, str, str, str, str]]) -> list[str]:
    widths = [max((len(row[column]) for row in rows if len(row[column]) <= _LONG), default=0) for column in range(4)]
    lines = []
    for row in rows:
        name, value, interval, counts, told = row
        cells = [f"{name:<{widths[0]}}", f"{value:>{widths[1]}}", f"{interval:<{widths[2]}}", f"{counts:<{widths[3]}}"]
        cells = [cell for cell, width in zip(cells, widths, strict=True) if width]
        lines.append((_GAP + _GAP.join([*cells, told])).rstrip())
    return lines


def _figure(figure: Figure, *, is_share: bool) -> tuple[str, str]:
    value = shown(figure.value, is_share=is_share)
    if figure.low is None or figure.high is None:
        return value, ""
    if is_share:
        return value, f"({100 * figure.low:.1f} to {100 * figure.high:.1f})"
    return value, f"({figure.low:,.4g} to {figure.high:,.4g})"


def _counts(check: CheckSummary) -> str:
    """`8,391 right, 1,529 wrong, 59 unreadable; 21 unanswered`: after the semicolon what the number leaves out."""
    counts = {status.value: check.counts.get(status.value, 0) for status in Status}  # records keep no order
    words = {**_WORDS, **_OF_DUELS} if check.duel else _WORDS
    told = {status: f"{rows:,} {words.get(status, status)}" for status, rows in counts.items() if rows}
    counted = [words for status, words in told.items() if status not in check.left_out]
    left_out = [words for status, words in told.items() if status in check.left_out]
    text = "; ".join(filter(None, (", ".join(counted), ", ".join(left_out))))
    if check.form == "ratio" and check.units:
        unit = "character" if check.kind == "cer" else "word"
        text += f"; {voice.count(int(check.units), unit)}"
    return text


def _told(gate: Gate | None) -> str:
    """`✕ expected >= 85 %`; of one that is met the sign alone."""
    if gate is None:
        return ""
    sign = _sign(gate.verdict)
    match gate.verdict:
        case Verdict.MET:
            return sign
        case Verdict.NOT_YET:
            return f"{sign} expected {gate.expected}: not yet"
        case _:
            return f"{sign} expected {gate.expected}" + (f": {gate.sentence}" if gate.sentence else "")


def _sign(verdict: Verdict) -> str:
    """A sign that the terminal can show."""
    try:
        _SIGNS[verdict].encode(sys.stdout.encoding or "ascii")
    except UnicodeEncodeError:
        return _PLAIN[verdict]
    return _SIGNS[verdict]
