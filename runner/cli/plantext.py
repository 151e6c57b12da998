"""A plan as a terminal shows it: drawn from its view, as JSON and Markdown are."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from runner.apply.outputs import Rewrite
from runner.cli import voice
from runner.cli.lines import LineView
from runner.cli.saying import width
from runner.cli.views import GroupView, JobView, PlanView, files_of, told_deletions
from runner.job.address import name_of
from runner.plan.compared import RECORDED, Changed, RequestDiff

_BELOW = " " * 13  # under the words of a line, behind its sign and verb
_MOST_OF_AN_ID = 40
_MOST_WAYS = 3  # commands of one line that are shown; the JSON has them all
_MOST_OF_A_VALUE = 60
_ASKS, _ASKS_TOO = "; `runner apply` asks before it sends anything", ", and asks before it sends anything"
_SIGNS = {"-": "31", "+": "32", "@": "36"}


def text_of_plan(view: PlanView, *, colour: bool, columns: int | None = None) -> str:
    """The plan as a terminal of so many columns shows it; None: lines may be as long as they are."""
    jobs = {job.address: job for job in view.jobs}
    out: list[str] = []
    for group in view.groups:
        out += [*_group(group, [jobs[address] for address in group.jobs], colour=colour, columns=columns), ""]
    if view.leftovers:
        out += ["Not in the specs any more", *_rows(view.leftovers, colour=colour, columns=columns), ""]
    if view.notes and not view.is_empty:
        out += [*view.notes, ""]
    if since := sorted({group.since for group in view.groups} - {"", RECORDED}):
        out += [f"What changed is told against {' and '.join(since)}", ""]
    if view.unchanged and not view.is_empty:
        out += [unchanged(view.unchanged), ""]
    if view.deletes:
        out += [*told_deletions(view), ""]
    if view.not_asked:
        out += [*told_not_asked(view.not_asked), ""]
    out.append(view.summary)
    if view.environments:
        out.append(f"Environment: {environment_in(view)}")
    if view.digest and not view.digest.startswith("0-"):
        out.append(f"Digest: {view.digest}")
    return "\n".join(out)


def environment_in(view: PlanView) -> str:
    """Where the plan is to happen, in words."""
    if view.environment:
        return view.environment
    shown = [f"`--env {name}`" for name in view.environments[:4]]
    return f"none, the specs as they stand; others are {', '.join(shown)}"


def text_of_files(files: Sequence[Rewrite], *, colour: bool, columns: int | None = None) -> str:
    """The files that would be written or removed, as a plan shows them."""
    out: list[str] = []
    for address, declared_at, lines in files_of(files):
        out.append(f"{voice.bold(address, colour=colour)}  {declared_at}")
        out += [*_rows(lines, colour=colour, columns=columns), ""]
    return "\n".join(out)


def unchanged(number: int) -> str:
    return f"{voice.count(number, 'job')} unchanged"


def told_not_asked(not_asked: Mapping[str, str]) -> list[str]:
    """What a reader has to know of a plan for which a remote was not asked."""
    return [
        f"`{name}` was not asked what it holds of this project: {why}{_ASKS_TOO if '`runner apply`' in why else _ASKS}"
        for name, why in sorted(not_asked.items())
    ]


def heading(group: GroupView, jobs: Sequence[JobView]) -> tuple[str, str]:
    """What a group is about, and where that is declared: `14 jobs: prompts/base.md.j2:3`."""
    places = {job.declared_at for job in jobs}
    place = places.pop() if len(places) == 1 else ""
    if len(jobs) == 1:
        return jobs[0].address, place
    number = voice.count(len(jobs), "job")
    if not group.changed:
        return f"{name_of(jobs[0].address)}: {number}", place
    return f"{number}: {', '.join(map(_cause, group.changed))}", place


def _cause(one: Changed) -> str:
    return scalar(one) if one.kind == "value" else one.at or one.what


def scalar(one: Changed) -> str:
    """`params.temperature: 0 -> 0.7`."""
    return f"{one.what}: {_value(one.before)} -> {_value(one.after)}"


def _value(value: str | None) -> str:
    if value is None:
        return "not set"
    shown = voice.one_line(value)
    return shown if len(shown) <= _MOST_OF_A_VALUE else f"{shown[: _MOST_OF_A_VALUE - 1]}…"


def _group(group: GroupView, jobs: Sequence[JobView], *, colour: bool, columns: int | None) -> Iterator[str]:
    what, place = heading(group, jobs)
    is_of_cause = bool(group.changed) and len(jobs) > 1
    yield voice.bold(what, colour=colour) + ("" if is_of_cause else f"  {place}".rstrip())
    for one in group.changed:
        yield from _changed(one, is_said=len(jobs) > 1, colour=colour)
    yield from _rows(group.lines, colour=colour, columns=columns)
    if len(jobs) > 1:
        if is_of_cause and place:
            yield f"      declared at {place}"
        yield from _table(jobs, has_places=not place, columns=columns)
    for diffs, mine in same_diffs(jobs):
        yield from _diffs(diffs, mine if len(jobs) > 1 else (), colour=colour)


def same_diffs(jobs: Sequence[JobView]) -> list[tuple[tuple[RequestDiff, ...], list[str]]]:
    """Requests side by side, and the jobs of which they are: cells often differ in nothing that they show."""
    found: dict[tuple[RequestDiff, ...], list[str]] = {}
    for job in jobs:
        if job.diffs:
            found.setdefault(job.diffs, []).append(job.address)
    return [*found.items()]


def of_whom(addresses: Sequence[str]) -> str:
    """`compare:model=a and 3 more jobs`."""
    more = len(addresses) - 1
    return addresses[0] + (f" and {voice.count(more, 'more job')}" if more else "")


def _diffs(diffs: Sequence[RequestDiff], addresses: Sequence[str], *, colour: bool) -> Iterator[str]:
    """Requests as they were asked and as they would be."""
    for diff in diffs:
        yield ""
        name = voice.one_line(diff.id)
        if addresses:
            name = f"{of_whom(addresses)}  {name}".rstrip()
        yield f"  {voice.bold(name, colour=colour)}" + (f"  ({voice.plain(diff.note)})" if diff.note else "")
        yield from (f"    {painted(line, colour=colour)}".rstrip() for line in diff.lines)


def _changed(one: Changed, *, is_said: bool, colour: bool) -> Iterator[str]:
    """is_said: whether the heading names it, so that only its lines are left to be told."""
    if not is_said:
        yield f"    {scalar(one) if one.kind == 'value' else one.what}  {one.at}".rstrip()
    yield from (f"      {line}" for line in lines_of_text(one, colour=colour))


def lines_of_text(one: Changed, *, colour: bool) -> Iterator[str]:
    """The first line in which a text differs, as it was and as it is; of anything else none."""
    if one.kind != "text":
        return
    for sign, line in (("-", one.before), ("+", one.after)):
        if line is not None:
            yield painted(f"{sign} {line}", colour=colour)
    if one.more:
        yield f"  and {voice.count(one.more, 'more line')}"


def painted(line: str, *, colour: bool) -> str:
    """A line of a diff in its colour, on one line, without what a terminal would obey."""
    shown = voice.plain(line).rstrip()
    code = _SIGNS.get(line[:1])
    return f"\x1b[{code}m{shown}\x1b[0m" if colour and code else shown


def _table(jobs: Sequence[JobView], *, has_places: bool, columns: int | None) -> list[str]:
    """One line a job: what it sends and what that costs, in columns."""
    names = [f"{job.address}  {job.declared_at}" if has_places else job.address for job in jobs]
    cells = [amounts(job) for job in jobs]
    widths = [max(map(len, column)) for column in zip(*cells, strict=True)]
    longest = max(map(width, names))
    out = []
    is_narrow = columns is not None and 6 + longest + sum(widths) + 2 * len(widths) > columns
    for name, row in zip(names, cells, strict=True):
        amount = "  ".join(cell.rjust(size) for cell, size in zip(row, widths, strict=True) if size).rstrip()
        if not amount or is_narrow:
            out += [f"      {name}", *([f"{_BELOW}{amount}"] if amount else [])]
        else:
            out.append(f"      {name}{' ' * (longest - width(name))}  {amount}")
    return out


def amounts(job: JobView) -> tuple[str, str, str, str]:
    """What one of several jobs sends: requests, bytes, tokens, dollars; empty where it sends nothing."""
    if not job.requests:
        rows = max((line.rows for line in job.lines), default=0)
        return (voice.count(rows, job.kind[:-1]) if rows else "", "", "", "")
    tokens = voice.count(job.tokens, "token") if job.kind == "requests" else ""
    return voice.count(job.requests, job.kind[:-1]), voice.size(job.size_bytes), tokens, voice.money(job.usd)


def _told_ids(line: LineView) -> str:
    """`r1, r7, r9 and 4 more`."""
    shown = [voice.one_line(one) for one in line.ids]
    cut = [one if len(one) <= _MOST_OF_AN_ID else f"{one[: _MOST_OF_AN_ID - 1]}…" for one in shown]
    more = line.rows - len(cut)
    return ", ".join(cut) + (f" and {more:,} more" if more > 0 else "")


def _rows(lines: Sequence[LineView], *, colour: bool, columns: int | None) -> list[str]:
    """One line a change; its reason on a line of its own where the terminal is too narrow for both."""
    widest = max(len(line.what) for line in lines)
    rows = []
    for line in lines:
        start = f"{voice.glyph(line.sign, colour=colour)} {line.verb:<8} "
        is_narrow = columns is not None and len(_BELOW) + widest + 2 + len(line.why) > columns
        if is_narrow and line.what:
            rows += [f"{start}{line.what}", f"{_BELOW}{line.why}"]
        else:
            rows.append(f"{start}{line.what:<{0 if is_narrow else widest}}  {line.why}".rstrip())
        rows += [f"{_BELOW}{_told_ids(line)}"] if line.ids else []
        rows += [f"{_BELOW}{'or ' if n else ''}`{way}`" for n, way in enumerate(line.unblock[:_MOST_WAYS])]
        if (more := len(line.unblock) - _MOST_WAYS) > 0:
            rows.append(f"{_BELOW}and {voice.count(more, 'more command')} (`-o json` lists them)")
    return rows
