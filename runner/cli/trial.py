"""`runner try`: a few rows asked now, their answers as they come, kept for the job they are of."""

from __future__ import annotations

import shlex
import sys
import textwrap
import threading
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import click
import msgspec

from runner.cli.options import Dollars, addresses, option
from runner.cli.saying import columns_of, cut, say, say_json, width

if TYPE_CHECKING:
    from runner.apply.trying import Tried

VERSION = 1
USUAL_ROWS = 3
FAILED, INTERRUPTED = 4, 130
WIDE_WHERE_NOBODY_LOOKS = 100  # columns, through a pipe
_NARROWEST = 24  # characters of one of several columns; else they stand below each other
_MOST_LINES = 40  # of one answer
_BETWEEN = 2


class CellView(msgspec.Struct, frozen=True):
    """What one job answers to a row. came: asked, known, in flight, held, not sent."""

    address: str
    came: str
    answer: msgspec.Raw
    error: str
    input_tokens: int | None
    output_tokens: int | None
    usd: float | None
    ms: float | None
    flaw: str  # why the answer is none: cut, refused, not the JSON asked for


class RowView(msgspec.Struct, frozen=True):
    id: str
    prompt: str  # a line of what is asked: the last one that is not the same in all rows
    cells: tuple[CellView, ...]


class TryView(msgspec.Struct, frozen=True):
    """The rows in the order in which their answers came; what was asked just now, and what that cost."""

    version: int
    rows: tuple[RowView, ...]
    asked: int
    known: int
    usd: float | None  # None: not known
    kept: bool
    errors: tuple[str, ...]


@click.command("try")
@click.argument("address", shell_complete=addresses)
@click.argument("paths", nargs=-1, type=click.Path())
@option(
    "--rows", type=click.IntRange(1, 100), metavar="N", default=USUAL_ROWS, show_default=True, help="Ask the first N."
)
@click.option("--row", "ids", multiple=True, metavar="ID", help="Ask this row instead; may be repeated.")
@click.option("--again", is_flag=True, help="Ask anew what is answered already, and keep nothing.")
@option("--max-usd", type=Dollars(), metavar="N", help="Send nothing if it may cost more than N US dollars.")
@option("-o", "--output", "form", type=click.Choice(["text", "json"]), default="text", show_default=True)
@click.pass_context
def command(
    ctx: click.Context,
    address: str,
    paths: tuple[str, ...],
    rows: int,
    ids: tuple[str, ...],
    again: bool,
    max_usd: float | None,
    form: str,
) -> int:
    """Ask a few rows of the job at ADDRESS now, one by one, and show the answers as they come.

    They are kept: `runner apply` asks the others only. A job with a matrix asks all of its cells, side by side. What is
    answered already is shown and not asked. It costs the full price, whatever a batch of the job costs; `budget` and
    --max-usd hold.

    Exit codes: 0 answered, 1 error, 4 some were not, 5 blocked, 6 locked.
    """
    from runner.apply import trying
    from runner.apply.narrow import jobs_meant
    from runner.apply.reconcile import begin
    from runner.cli import keys
    from runner.cli.apply import finish_on_interrupt
    from runner.cli.opening import opened
    from runner.cli.progress import aside
    from runner.clock import RealClock
    from runner.errors import RunnerError
    from runner.plan.guard import Guards

    stop = threading.Event()
    finish_on_interrupt(stop, lambda words: say(words, err=True))
    shown = Shown(form, columns_of(sys.stdout) or WIDE_WHERE_NOBODY_LOOKS)
    errors: list[RunnerError] = []
    with opened(
        ctx.obj, paths or ("specs",), aside(RealClock()), writes=True, stop=stop, consent=keys.asker(yes=False)
    ) as session:
        meant = jobs_meant(session, address)
        guards = Guards(max_usd=max_usd, project_budget_usd=session.project.budget)
        command_words = f"runner try {shlex.quote(address)}"
        with session.memory.lock(command_words, clock=session.clock, wait_seconds=60.0):
            begin(session)
            picked = trying.pick(session, meant, rows, ids)
            shown.expect({one.job.address: [view.custom_id for _, view in one.rows] for one in picked})
            errors = trying.ask(session, picked, guards, shown.take, again=again)
    shown.end(errors, kept=not again)
    if errors:
        raise errors[0]
    return 0 if shown.is_whole else INTERRUPTED if stop.is_set() else FAILED


class Shown:
    """Draws each row once all of its jobs have answered. From any thread."""

    def __init__(self, form: str, columns: int) -> None:
        self._form = form
        self._columns = columns
        self._lock = threading.Lock()
        self._addresses: list[str] = []
        self._wanted: dict[str, int] = {}  # by id: how many jobs have such a row
        self._came: dict[str, list[Tried]] = {}
        self._done: list[list[Tried]] = []

    def expect(self, ids: Mapping[str, Sequence[str]]) -> None:
        """The rows of each job, by its address."""
        self._addresses = list(ids)
        for of_job in ids.values():
            for one in of_job:
                self._wanted[one] = self._wanted.get(one, 0) + 1

    def take(self, tried: Tried) -> None:
        with self._lock:
            cells = self._came.setdefault(tried.id, [])
            cells.append(tried)
            if len(cells) == self._wanted[tried.id]:
                cells.sort(key=lambda one: self._addresses.index(one.address))
                self._done.append(cells)
                if self._form == "text":
                    say(text_of_row(cells, self._columns) + "\n")

    @property
    def is_whole(self) -> bool:
        return all(one.is_answered for cells in self._done for one in cells)

    def end(self, errors: Sequence[Exception], *, kept: bool) -> None:
        every = [one for cells in self._done for one in cells]
        asked = [one for one in every if one.came == "asked"]
        known = sum(one.came == "known" for one in every)
        costs = [one.usd for one in asked if not one.error]  # what was refused costs nothing
        usd = None if None in costs else sum(filter(None, costs))
        if self._form == "json":
            rows = tuple(RowView(cells[0].id, cells[0].prompt, tuple(map(_cell, cells))) for cells in self._done)
            say_json(TryView(VERSION, rows, len(asked), known, usd, kept, tuple(str(error) for error in errors)))
            return
        say(_summary(len(asked), known, usd, kept=kept), err=True)


def _cell(one: Tried) -> CellView:
    return CellView(
        one.address,
        str(one.came),
        msgspec.Raw(one.answer),
        one.error,
        one.input_tokens,
        one.output_tokens,
        one.usd,
        None if one.ms is None else round(one.ms),
        one.flaw,
    )


def _summary(asked: int, known: int, usd: float | None, *, kept: bool) -> str:
    from runner.cli import voice

    told = [f"{voice.count(asked, 'request')} asked ({_money(usd)})"] if asked else ["nothing asked"]
    told += [f"{known:,} answered before"] if known else []
    if not asked:
        return ", ".join(told) + (". `--again` asks anew" if known else "")
    after = "kept: `runner apply` asks the others only" if kept else "not kept"
    return f"{', '.join(told)}; {after}"


def _money(usd: float | None) -> str:
    """Of few rows: a hundredth of a cent is told too."""
    if usd is None:
        return "cost ?"
    return f"${usd:.2f}" if usd == 0 or usd >= 0.1 else f"${usd:.6f}".rstrip("0")


def text_of_row(cells: Sequence[Tried], columns: int) -> str:
    """One row in each of its jobs: side by side where there is room, else below each other."""
    from runner.cli import voice

    colour = voice.has_colour()
    first = cells[0]
    head = voice.bold(voice.one_line(first.id), colour=colour)
    prompts = {one.prompt for one in cells}
    if len(prompts) == 1:
        room = max(columns - width(voice.one_line(first.id)) - 2, 10)
        head += f"  {cut(voice.one_line(first.prompt), room)}"
    each = (columns - 4 - _BETWEEN * (len(cells) - 1)) // len(cells)
    if len(cells) > 1 and each >= _NARROWEST:
        blocks = [_block(one, each, prompts, is_named=True) for one in cells]
        longest = max(map(len, blocks))
        rows = [[*block, *[""] * (longest - len(block))] for block in blocks]
        body = [
            "    " + (" " * _BETWEEN).join(_padded(text, each) for text in line).rstrip()
            for line in zip(*rows, strict=True)
        ]
    else:
        blocks = [_block(one, columns - 4, prompts, is_named=len(cells) > 1) for one in cells]
        body = [f"    {line}".rstrip() for block in blocks for line in block]
    return "\n".join([head, *body])


def _block(one: Tried, columns: int, prompts: set[str], *, is_named: bool) -> list[str]:
    """The lines of one answer, none wider than so many columns."""
    from runner.cli import voice

    lines = _folded(voice.one_line(one.address.partition(":")[2] or one.address), columns) if is_named else []
    if len(prompts) > 1:
        lines.append(cut(f"? {voice.one_line(one.prompt)}", columns))
    said = _folded(_words(one), columns)
    lines += said[:_MOST_LINES]
    if len(said) > _MOST_LINES:
        lines.append(f"and {len(said) - _MOST_LINES:,} more lines")
    return [*lines, *_folded(_facts(one), columns)]


def _words(one: Tried) -> str:
    """The answer, or what is there in its place."""
    if one.error:
        return f"! {one.error}"
    if one.came not in ("asked", "known"):
        return f"! {_WHY[str(one.came)]}"
    found = msgspec.json.decode(one.answer)
    return found if isinstance(found, str) else one.answer.decode()


_WHY = {
    "in flight": "in flight in a batch, or the same request as another row",
    "held": "a person decides about it first: `runner status` says how",
    "not sent": "not sent",
}


def _facts(one: Tried) -> str:
    """`9 + 5 tokens, $0.00012, 340 ms`."""
    told = []
    if one.input_tokens is not None:
        told.append(f"{one.input_tokens:,} + {one.output_tokens or 0:,} tokens")
    if one.came in ("asked", "known") and not one.error:
        told.append(_money(one.usd))
    if one.flaw:
        told.append(one.flaw)
    if one.came == "known":
        told.append("answered before")
    elif one.ms:
        told.append(f"{one.ms:,.0f} ms")
    return f"({', '.join(told)})" if told else ""


def _folded(text: str, columns: int) -> list[str]:
    """Somebody else's words in lines of so many columns, their own line ends kept."""
    from runner.cli import voice

    out: list[str] = []
    for line in text.splitlines():
        shown = voice.plain(line.rstrip())
        if width(shown) > len(shown):  # letters of two columns: half as many go on a line
            out += textwrap.wrap(shown, max(columns // 2, 1)) or [""]
        else:
            out += textwrap.wrap(shown, columns) or [""]
    return out


def _padded(text: str, columns: int) -> str:
    return text + " " * max(columns - width(text), 0)
