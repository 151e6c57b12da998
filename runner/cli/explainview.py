"""What `runner explain` shows, as data, and as a terminal shows it."""

from __future__ import annotations

from collections.abc import Iterator

import msgspec

from runner.apply.explained import Explained, PartOf, RowOf
from runner.cli import voice
from runner.cli.plantext import lines_of_text, painted
from runner.plan.compared import RECORDED

VERSION = 1
_LONGEST = 60  # characters of a value in its column


class ExplainView(msgspec.Struct, frozen=True):
    version: int
    jobs: tuple[Explained, ...]
    warnings: tuple[str, ...] = ()


def text_of(view: ExplainView, *, colour: bool) -> str:
    return "\n\n".join("\n".join(_lines(job, colour=colour)) for job in view.jobs)


def _lines(job: Explained, *, colour: bool) -> Iterator[str]:
    yield f"{voice.bold(job.address, colour=colour)}  {job.declared_at}"
    lines = {one.what: one for one in job.changed if one.kind == "text"}
    places = [lines[part.what].at if part.what in lines else part.at for part in job.parts]
    name, width = max(len(part.what) for part in job.parts), max(map(len, places))
    for part, at in zip(job.parts, places, strict=True):
        sign = {True: "~", False: "=", None: " "}[part.differs]
        yield f"{voice.glyph(sign, colour=colour)} {part.what:<{name}}  {at:<{width}}  {_value(part)}"
        if part.what in lines:
            yield from (f"      {line}" for line in lines_of_text(lines[part.what], colour=colour))
    yield from _rows(job, colour=colour)


def _value(part: PartOf) -> str:
    now = part.value if part.before is None else f"{_shown(part.before)} -> {_shown(part.value)}"
    return f"sha256 {now}" if part.is_digest else _shown(now)


def _shown(value: str) -> str:
    shown = voice.one_line(value)
    return shown if len(shown) <= _LONGEST else f"{shown[: _LONGEST - 1]}…"


def _rows(job: Explained, *, colour: bool) -> Iterator[str]:
    yield f"  {voice.count(job.wanted, 'row')} wanted: " + ", ".join(
        f"{n:,} {state}" for state, n in job.states.items()
    )
    if job.first_new is not None:
        place = f" at {job.first_new.at}" if job.first_new.at else ""
        yield f"  the first row that was not asked as it is now is {voice.one_line(job.first_new.id)}{place}"
    if not job.since:
        yield "  nothing is on record of how it was asked; `--against REV` compares it with a git revision"
    elif job.since != RECORDED:
        yield f"  compared with {job.since}"
    for row in filter(None, [job.row or job.first_new]):
        yield ""
        yield from _row(row, colour=colour)


def _row(row: RowOf, *, colour: bool) -> Iterator[str]:
    yield f"  {voice.bold(voice.one_line(row.id), colour=colour)}  {row.at}".rstrip() + f"  {row.state}"
    yield f"    digest     {row.digest}"
    yield f"    custom_id  {row.custom_id}"
    if row.request.note:
        yield f"    ({voice.plain(row.request.note)})"
    yield from (f"    {painted(line, colour=colour)}".rstrip() for line in row.request.lines)
