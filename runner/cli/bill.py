"""What `runner cost` shows, as data: text, JSON and Markdown are drawn from the same view."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC

import msgspec
from msgspec.structs import replace

from runner.cli import voice
from runner.cli.saying import width
from runner.job.cost import Used
from runner.job.recorded import Batch, Stage
from runner.plan.spent import NOTHING, Spent

VERSION = 1


class CostLine(msgspec.Struct, frozen=True):
    """What some batches cost. Dollars are those that are known; beside them stands of how much they are not."""

    name: str  # a job, a model, a provider or a month; empty where that is not known, as of a batch that was found
    batches: int = 0
    requests: int = 0
    answers: int = 0
    untold: int = 0  # answers among them that do not say what they used
    input_tokens: int = 0
    cached_tokens: int = 0  # among those of the input
    output_tokens: int = 0
    seconds: float = 0.0  # of sound
    estimated_usd: float = 0.0  # at most, before it was sent: of what has ended
    estimated: int = 0  # batches among those that ended of which it is known
    spent: Spent = NOTHING

    @property
    def unknown(self) -> int:
        """Answers, and requests in flight, whose cost nobody knows."""
        return self.spent.unknown + self.spent.in_flight_unknown


class CostView(msgspec.Struct, frozen=True):
    version: int
    by: str
    lines: tuple[CostLine, ...]  # the dearest first; months in their order
    total: CostLine


def of_batches(spent: Iterable[tuple[Batch, Spent]], by: str, models: Mapping[str, str]) -> CostView:
    """models: of the jobs in the specs, by address; for batches that were found, which do not say theirs."""
    lines: dict[str, CostLine] = {}
    total = CostLine("total")
    for batch, one in spent:
        if not _counts(batch):
            continue
        name = _name_of(batch, by, models)
        lines[name] = _plus(lines.get(name, CostLine(name)), batch, one)
        total = _plus(total, batch, one)
    ordered = sorted(lines.values(), key=lambda line: line.name if by == "month" else (-line.spent.most_usd, line.name))
    return CostView(VERSION, by, tuple(ordered), total)


def _counts(batch: Batch) -> bool:
    """Whether anything of it was asked, as far as anybody knows."""
    return batch.stage is not Stage.DROPPED and (batch.stage is not Stage.INTENT or batch.create_tries > 0)


def _name_of(batch: Batch, by: str, models: Mapping[str, str]) -> str:
    match by:
        case "job":
            return batch.owner
        case "model":
            return batch.model or models.get(batch.owner, "")
        case "provider":
            return batch.origin.provider
        case _:
            return (batch.submitted_at or batch.intent_at).astimezone(UTC).strftime("%Y-%m")


def _plus(line: CostLine, batch: Batch, spent: Spent) -> CostLine:
    used = batch.used or Used()
    has_ended = batch.stage is Stage.COLLECTED
    estimate = batch.estimated_usd if has_ended else None
    return replace(
        line,
        batches=line.batches + 1,
        requests=line.requests + batch.rows,
        answers=line.answers + (used.answers if batch.used else batch.tally.ok),
        untold=line.untold + (used.untold if batch.used else batch.tally.ok),
        input_tokens=line.input_tokens + used.input_tokens,
        cached_tokens=line.cached_tokens + used.cached_tokens,
        output_tokens=line.output_tokens + used.output_tokens,
        seconds=line.seconds + used.seconds,
        estimated_usd=line.estimated_usd + (estimate or 0.0),
        estimated=line.estimated + (estimate is not None),
        spent=line.spent.plus(spent),
    )


# -- as a table

_HEAD = ("answers", "input", "cached", "output", "expected", "spent", "in flight")


def _cells(line: CostLine) -> tuple[str, ...]:
    return (
        f"{line.answers:,}",
        _tokens(line.input_tokens, line),
        _tokens(line.cached_tokens, line),
        _tokens(line.output_tokens, line),
        _usd(line.estimated_usd, is_known=line.estimated > 0),
        _spent(line.spent),
        _in_flight(line.spent),
    )


def _tokens(number: int, line: CostLine) -> str:
    return f"{number:,}" if line.answers > line.untold and (line.input_tokens or line.output_tokens) else "-"


def _usd(usd: float, *, is_known: bool = True) -> str:
    return voice.money(usd) if is_known else "-"


def _spent(spent: Spent) -> str:
    """`$5.84`, `$5.84 + $0.20 + ?`: by the answers, at most, and what nobody knows."""
    parts = [voice.money(spent.usd)] if spent.usd or not (spent.at_most_usd or spent.unknown) else []
    parts += [voice.at_most(spent.at_most_usd)] if spent.at_most_usd else []
    return " + ".join([*parts, *["?"] * bool(spent.unknown)])


def _in_flight(spent: Spent) -> str:
    parts = [voice.at_most(spent.in_flight_usd)] if spent.in_flight_usd else []
    return " + ".join([*parts, *["?"] * bool(spent.in_flight_unknown)]) or "-"


def _notes(view: CostView) -> list[str]:
    """What a reader has to know of the sums."""
    notes = []
    if view.total.unknown:
        notes.append(
            f"?: {voice.count(view.total.unknown, 'request')} at a cost that is not known, which no sum holds; "
            "`price:` of a model in the specs says what its tokens cost"
        )
    if view.total.seconds:
        notes.append(f"Recordings: {voice.minutes(view.total.seconds)}")
    return notes


def text_of(view: CostView, columns: int | None = None) -> str:
    """A line for each, as a table; where a terminal is too narrow for that, a paragraph for each."""
    if not view.lines:
        return "Nothing was sent yet"
    lines = [*view.lines, *([view.total] if len(view.lines) > 1 else [])]
    rows = [(view.by, *_HEAD), *((_name(line), *_cells(line)) for line in lines)]
    widths = [max(map(width, column)) for column in zip(*rows, strict=True)]
    if columns is not None and sum(widths) + 2 * (len(widths) - 1) > columns:
        told = [part for row in rows[1:] for part in (row[0], f"  {_in_words(row[1:])}")]
    else:
        told = ["  ".join(_padded(cell, widths, at) for at, cell in enumerate(row)).rstrip() for row in rows]
    notes = _notes(view)
    return "\n".join([*told, *([""] if notes else []), *notes])


def _padded(cell: str, widths: Sequence[int], at: int) -> str:
    pad = " " * (widths[at] - width(cell))
    return cell + pad if at == 0 else pad + cell


def _in_words(cells: Sequence[str]) -> str:
    return ", ".join(f"{head} {cell}" for head, cell in zip(_HEAD, cells, strict=True) if cell != "-")


def _name(line: CostLine) -> str:
    return voice.plain(line.name) or "(not known)"


def markdown_of(view: CostView) -> str:
    """The same for a comment or a page."""
    from runner.reports.markdown import table, text

    if not view.lines:
        return "Nothing was sent yet"
    rows = [[text(cell) for cell in (_name(line), *_cells(line))] for line in view.lines]
    if len(view.lines) > 1:
        rows.append([f"**{text(cell)}**" for cell in (_name(view.total), *_cells(view.total))])
    return "\n\n".join([table((view.by, *_HEAD), rows), *_notes(view)])
