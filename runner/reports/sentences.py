"""What a reader is told in sentences: the answer, first of all, and what the numbers do not show by themselves."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import NamedTuple

from runner.reports import figures
from runner.reports.facts import Agreement, Cell, Check, Comparison, Duel, Form, Group, Number, Pooled
from runner.stats.power import FEW_CLUSTERS

_FEW_RECORDINGS = 50
_FEW_IN_CLUSTERS = 10  # rows that are wrong, or right
_FEW_ROWS = 3  # the same without clusters
_FEW_FOR_F1 = 100  # rows
_MOST_APART = 3  # ways in which a judge and a person differ


class Part(NamedTuple):
    """A piece of a sentence; what matters in it is strong."""

    text: str
    is_strong: bool = False


def plain(parts: list[Part]) -> str:
    return "".join(part.text for part in parts)


def headline(group: Group) -> Check | None:
    """The check that decides which cell is the best: the first, where there is a number."""
    checks = group.cells[0].checks if group.cells else ()
    return checks[0] if checks else None


def answer(group: Group) -> list[Part]:
    """The answer in a sentence or two; what is still missing where there is none."""
    if not group.cells:
        return [Part(f"{group.name} has no rows.")]
    best, check = group.cells[0], headline(group)
    if check is None:
        done = best.accounting
        return [
            Part(best.label, True),
            Part(" has answered "),
            Part(f"{done.ok:,} of {figures.counted(done.wanted, 'row')}", True),
            Part(f". {_unchecked(group)}"),
        ]
    if check.number.value is None:
        why = check.waits_for or "no row was counted"
        return [Part(best.label, True), Part(f" has no number for {check.name} yet: {why}.")]
    return [*_of_best(best, check, len(group.cells)), *_of_lead(group, check)]


def _unchecked(group: Group) -> str:
    if not group.judges:
        return "It is held to no check."
    job, _, check = group.judges.rpartition(".")
    return f"It judges {check} of {job}: what it says is counted there."


def _of_best(best: Cell, check: Check, cells: int) -> list[Part]:
    number = check.number
    within = f"(95 % interval {figures.interval(number, check.form, between=' to ')})"
    value = Part(figures.measure(number, check.form), True)
    rows = figures.counted(number.n, "row")
    name = Part(best.label, True)
    if check.duel is not None:
        beaten = Part(f" is preferred to {check.duel.first} in ")
        pairs = figures.counted(number.n, "pair")
        return [Part(check.duel.second, True), beaten, value, Part(f" of {pairs}, a tie counted half {within}.")]
    match check.form:
        case "rate":
            return [name, Part(f" gets {check.name} right in "), value, Part(f" of {rows} {within}.")]
        case "score":
            return [name, Part(" scores "), value, Part(f" in {check.name}, over {rows} {within}.")]
        case "ratio":
            return [
                name,
                Part(" makes errors in "),
                value,
                Part(f" of what is said ({check.name}), over {rows} {within}."),
            ]
        case "number":
            return [
                name,
                Part(" has a mean "),
                Part(check.name, True),
                Part(" of "),
                value,
                Part(f", over {rows} {within}."),
            ]


def _of_lead(group: Group, check: Check) -> list[Part]:
    """How the best stands to the next."""
    second = group.cells[1].address if len(group.cells) > 1 else ""
    found = next((one for one in group.comparisons if one.check == check.name and one.second == second), None)
    if found is None or found.difference.value is None:
        return []
    other = group.cells[1].label
    low, high = found.difference.low, found.difference.high
    details = f"({figures.difference_interval(found, check.form, better=check.better)}"
    details += f", {figures.p_words(found.p)}" if found.p is not None else ""
    details += ", on the same rows)"
    if low is None or high is None or low <= 0 <= high:
        return [Part(" Its lead over "), Part(other), Part(" may be chance "), Part(details + ".")]
    return [
        Part(" It is "),
        Part(f"{_bare(found, check.form)} better", True),
        Part(f" than {other} {details}."),
    ]


def _bare(found: Comparison, form: Form) -> str:
    """`1.6 points`: how much, without a sign."""
    value = figures.difference(found, form).lstrip("+" + figures.MINUS)
    return f"{value} points" if figures.is_in_percent(form) else value


def of_power(group: Group, check: Check) -> str:
    """What this run can show at all; empty where nothing is compared."""
    found = [one.detectable for one in group.comparisons if one.check == check.name and one.detectable]
    if not found:
        return ""
    size = figures.figure(max(found), check.form)
    size = f"{size} points" if figures.is_in_percent(check.form) else size
    return f"This run can show a difference of about {size} (80 % power)."


def of_pooled(pooled: Pooled) -> str:
    """`All 3 replicates of short: intent 84.1 % (83.0 to 85.1), ...`."""
    told = [
        f"{check.name} {figures.measure(check.number, check.form)} "
        f"({figures.interval(check.number, check.form, between=' to ')})"
        for check in pooled.checks
        if check.number.value is not None
    ]
    return f"All {len(pooled.addresses)} replicates of {pooled.label}: {', '.join(told)}; each row is a cluster."


def of_duel(duel: Duel) -> str:
    """`45 won, 20 tied, 25 lost; 12 ties where ..., p = 0.02; both orders agree on ...`."""
    return f"{duel.wins:,} won, {duel.ties:,} tied, {duel.losses:,} lost; {'; '.join(duel_parts(duel))}."


def duel_parts(duel: Duel) -> list[str]:
    """What is told of a preference beside how many were won, tied and lost."""
    why = [f"{duel.inconsistent:,} where the two orders disagree"] * bool(duel.inconsistent)
    why += [f"{duel.equal:,} of equal answers, which nobody was asked about"] * bool(duel.equal)
    told = [f"of the ties {' and '.join(why)}"] * bool(why)
    if duel.consistency is not None and duel.consistency.value is not None:
        told.append(f"both orders agree on {_share(duel.consistency)} of the pairs")
    if duel.place.value is not None:
        told.append(f"the place shown first wins {_share(duel.place)}, 50 % is fair")
    if duel.p is not None:
        told.append(f"{figures.p_words(duel.p)} for no difference")
    for alone, address in ((duel.only_first, duel.first), (duel.only_second, duel.second)):
        if alone:
            told.append(f"{figures.counted(alone, 'row')} that only {address} answered, in none of these numbers")
    return told


def _share(number: Number) -> str:
    return f"{figures.measure(number, 'rate')} ({figures.interval(number, 'rate', between=' to ')})"


def of_agreement(cell: Cell, check: Check) -> str:
    """How far a judge and a person agree, and what the judge's mean is once that is put right; empty without one."""
    if check.agreement is None:
        return ""
    return f"{cell.label}: {'; '.join(agreement_parts(check.agreement, check.corrected))}."


def agreement_parts(found: Agreement, corrected: Number | None) -> list[str]:
    """What is told of a judge that is held to a person."""
    kappa = found.kappa
    told = f"judge and person agree on {figures.figure(found.raw, 'rate')} % of {figures.counted(kappa.n, 'row')}, "
    told += f"kappa {figures.estimate(kappa, 'number')}"
    if kappa.low is not None:
        told += f" ({figures.interval(kappa, 'number', between=' to ')})"
    parts = [told]
    apart = sorted((one for one in found.confusion if one.expected != one.got), key=lambda one: -one.rows)[:_MOST_APART]
    if apart:
        pairs = (f"{one.expected} to the person and {one.got} to the judge ({one.rows:,})" for one in apart)
        parts.append(f"they differ on {', '.join(pairs)}")
    if corrected is not None:
        parts.append(f"corrected mean {_share(corrected)}, if the labelled rows were picked at random")
    return parts


def cautions(group: Group) -> list[str]:
    """What makes the intervals of a group worth less than they look."""
    said = []
    counted = [check.number for cell in group.cells for check in cell.checks if check.number.value is not None]
    fewest = min((number.clusters for number in counted), default=0)
    if counted and group.cluster and fewest < FEW_CLUSTERS:
        said.append(
            f"Only {figures.counted(fewest, 'cluster')} of {group.cluster}: the intervals are themselves uncertain."
        )
    elif counted and not group.cluster and fewest < FEW_CLUSTERS:
        said.append(f"Only {figures.counted(fewest, 'row')}: the intervals are wide, and themselves uncertain.")
    said += [f"{name} rests on few recordings: {_LESS_OFTEN}." for name in _names_of(group, _rests_on_little)]
    few = _FEW_IN_CLUSTERS if group.cluster else _FEW_ROWS
    one_sided = _names_of(group, lambda check: _is_nearly_one_sided(check, few))
    said += [f"Few rows decide {name}: {_LESS_OFTEN}." for name in one_sided]
    said += [f"{name}.macro_f1 rests on few rows: {_LESS_OFTEN}." for name in _names_of(group, _has_f1_of_few)]
    return said


def _names_of(group: Group, has: Callable[[Check], bool]) -> list[str]:
    checks = [check for cell in group.cells for check in cell.checks if check.number.value is not None]
    return list(dict.fromkeys(check.name for check in checks if has(check)))


# Where simulated intervals hold the truth less often than they say, see `docs/statistics.md`.
_LESS_OFTEN = "its interval holds the truth somewhat less often than 95 %"


def _rests_on_little(check: Check) -> bool:
    return check.form == "ratio" and check.number.clusters < _FEW_RECORDINGS


def _is_nearly_one_sided(check: Check, few: int) -> bool:
    counts = [check.statuses.get(word, 0) for word in ("right", "wrong")]
    return check.form == "rate" and 0 < min(counts) < few


def _has_f1_of_few(check: Check) -> bool:
    return check.macro_f1 is not None and check.number.n < _FEW_FOR_F1


def accounting(cell: Cell) -> Iterator[tuple[str, int]]:
    """Where the wanted rows of a cell stand; waiting words only where there are any."""
    done = cell.accounting
    yield "ok", done.ok
    yield "error", done.error
    for word in ("not_sent", "in_flight", "unknown", "needs_decision", "missing"):
        if number := getattr(done, word):
            yield word.replace("_", " "), number
