"""A plan as the comment of a pull request: what it costs and what holds it back in the first line, the rest folded.

GitHub takes 65,536 characters; what does not fit is left out from the least, and counted. Rows, prompts and names are a
stranger's: nothing of them is read as a mark, a link or a mention.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from typing import NamedTuple

from runner.cli import voice
from runner.cli.lines import LineView
from runner.cli.plantext import amounts, environment_in, heading, of_whom, same_diffs, scalar, unchanged
from runner.cli.views import GroupView, JobView, PlanView
from runner.errors import defused
from runner.plan.compared import RECORDED, Changed, RequestDiff
from runner.reports.markdown import code, folded, table, text
from runner.reports.shown import line as shown_line
from runner.reports.shown import shown

MOST_CHARS = 60_000
_ROOM = 700  # for what is said where something is left out, and for the last lines
_PLAIN = re.compile(r"[^A-Za-z0-9_.@~]+")
_GATES = ("met", "unmet", "undecided", "not_yet")
_MOST_JOBS = 200  # of a group in its table
_MOST_NOTES, _MOST_OF_A_NOTE = 20, 500


def marker(project: str, environment: str = "") -> str:
    """The first line of a comment, which no reader sees: by it that of an earlier plan is found, and edited."""
    return f"<!-- runner plan {_PLAIN.sub('_', f'{project}@{environment}' if environment else project)} -->"


def markdown_of(view: PlanView, command: str) -> str:
    """The comment, with a newline at its end. command: what applies it."""
    jobs = {job.address: job for job in view.jobs}
    groups = [_of_group(group, [jobs[address] for address in group.jobs]) for group in view.groups]
    start = [marker(view.project, view.environment), _first_line(view), *_told(view)]
    end = [*_leftovers(view), *_last_lines(view, command)]
    left = MOST_CHARS - _ROOM - sum(len(part) + 2 for part in [*start, *end])
    whole = "\n\n".join([*start, *_fitting(groups, left), *end]) + "\n"
    return "\n".join(map(defused, whole.split("\n")))  # it may pass through the log of a CI on its way


class _Group(NamedTuple):
    """What is said of one group: its head; then what may be left out, from behind."""

    head: str
    more: Sequence[str]  # a table of jobs, and requests side by side, each folded


def _first_line(view: PlanView) -> str:
    """`**at most $9.42** · 56 requests to send in 14 batches · 🚫 2 jobs blocked · gates: 3 met`."""
    if view.is_empty:
        parts = [f"**{'Nothing to do' if view.parts else view.summary}**"]
    else:
        parts = [f"**{_plain(view.cost or ('free' if view.requests else 'nothing to pay'))}**"]
    parts += [f"🚫 **{part}**" if part.endswith(" blocked") else _plain(part) for part in view.parts]
    if told := [f"{view.gates[name]} {name.replace('_', ' ')}" for name in _GATES if view.gates.get(name)]:
        parts.append(f"{'❌ ' if view.gates.get('unmet') else ''}gates: {', '.join(told)}")
    if view.unchanged:
        parts.append(unchanged(view.unchanged))
    if view.environments:
        parts.append(f"environment: {_quoted(environment_in(view))}")
    return " · ".join(parts)


def _told(view: PlanView) -> Iterator[str]:
    since = sorted({group.since for group in view.groups} - {"", RECORDED})
    if since:
        yield f"What changed is told against {' and '.join(map(_quoted, since))}."
    notes = [f"> ⚠️ {_quoted(_cut(words))}" for words in view.warnings]
    notes += [f"> {_quoted(_cut(note))}" for note in view.notes]
    for name, why in sorted(view.not_asked.items()):
        notes.append(f"> {code(_cut(name))} was not asked what it holds of this project: {_quoted(_cut(why))}")
    yield from notes[:_MOST_NOTES]
    if (more := len(notes) - _MOST_NOTES) > 0:
        yield f"> and {voice.count(more, 'more note')}"


def _of_group(group: GroupView, jobs: Sequence[JobView]) -> _Group:
    what, place = heading(group, jobs)
    head = [f"#### {text(what)}" + (f" <sub>{code(place)}</sub>" if place else "")]
    head += [part for one in group.changed for part in _of_change(one, is_said=len(jobs) > 1)]
    head.append("\n".join(_of_line(line) for line in group.lines))
    more = []
    if len(jobs) > 1:
        more.append(_table(jobs, has_places=not place))
    for diffs, addresses in same_diffs(jobs):
        whose = of_whom(addresses) if len(jobs) > 1 else addresses[0]
        more += [_of_diff(diff, whose) for diff in diffs]
    return _Group("\n\n".join(head), more)


def _of_change(one: Changed, *, is_said: bool) -> Iterator[str]:
    if one.kind == "value":
        if not is_said:
            yield f"{code(scalar(one))} {code(one.at) if one.at else ''}".rstrip()
        return
    if not is_said:
        yield f"{code(one.what)} {code(one.at) if one.at else ''}".rstrip()
    if one.kind == "text":
        lines = [f"{sign} {line}" for sign, line in (("-", one.before), ("+", one.after)) if line is not None]
        if one.more:
            lines.append(f"# and {voice.count(one.more, 'more line')}")
        yield fenced(lines)


def _of_line(line: LineView) -> str:
    words = [f"`{line.sign}` **{line.verb}**", _quoted(line.what), f"– {_quoted(line.why)}" if line.why else ""]
    out = [f"- {' '.join(filter(None, words))}"]
    if line.ids:
        more = line.rows - len(line.ids)
        out.append(f"  - rows {', '.join(map(code, line.ids))}" + (f" and {more:,} more" if more > 0 else ""))
    out += [f"  - {'or ' if n else ''}{code(way)}" for n, way in enumerate(line.unblock[:3])]
    return "\n".join(out)


def _table(jobs: Sequence[JobView], *, has_places: bool) -> str:
    head = ["job", *(["declared at"] if has_places else []), "requests", "bytes", "tokens", "cost"]
    rows = [
        [
            code(job.address),
            *([text(job.declared_at)] if has_places else []),
            *map(text, (f"{job.requests:,}", *amounts(job)[1:])),
        ]
        for job in jobs[:_MOST_JOBS]
    ]
    left = len(jobs) - len(rows)
    more = [f"{voice.count(left, 'more job')}, cheaper than these."] if left else []
    return folded(voice.count(len(jobs), "job"), [table(head, rows, numbers_from=2 if has_places else 1), *more])


def _of_diff(diff: RequestDiff, whose: str) -> str:
    note = f"{text(diff.note)}" if diff.note else ""
    title = f"Row {diff.id} of {whose}" if diff.id else f"Of {whose}"
    return folded(title, [note, fenced(diff.lines)])


def fenced(lines: Iterable[str]) -> str:
    """Lines as a diff that nothing in them can end."""
    told = [voice.plain(shown(line).replace("\n", " ")) for line in lines]
    longest = max((len(run) for line in told for run in re.findall("`+", line)), default=0)
    fence = "`" * max(3, longest + 1)
    return "\n".join([f"{fence}diff", *told, fence]) if told else ""


def _fitting(groups: Sequence[_Group], left: int) -> list[str]:
    """Heads first, then what belongs to them, as far as there is room; what was left out is counted."""
    taken: list[list[str]] = []
    for group in groups:
        if (size := len(group.head) + 2) > left:
            break
        taken.append([group.head])
        left -= size
    cut = 0
    for parts, group in zip(taken, groups, strict=False):
        for part in group.more:
            if (size := len(part) + 2) <= left:
                parts.append(part)
                left -= size
            else:
                cut += 1
    said = []
    if unsaid := groups[len(taken) :]:
        said.append(f"{voice.count(len(unsaid), 'group')} of jobs")
    if cut := cut + sum(len(group.more) for group in unsaid):
        said.append(f"{voice.count(cut, 'folded part')}")
    note = [f"_Left out to fit into a comment: {' and '.join(said)}; `runner plan` says it all._"] if said else []
    return [part for parts in taken for part in parts] + note


def _leftovers(view: PlanView) -> list[str]:
    if not view.leftovers:
        return []
    lines = [_of_line(line) for line in view.leftovers[:20]]
    more = len(view.leftovers) - len(lines)
    if more > 0:
        lines.append(f"- and {more:,} more")
    return [folded("Not in the specs any more", ["\n".join(lines)])]


def _last_lines(view: PlanView, command: str) -> list[str]:
    if view.is_empty:
        return []
    if not view.goes_on:
        return ["<sub>Nothing was sent, and nothing would be sent before you decide about what is blocked.</sub>"]
    return [f"<sub>Nothing was sent. {code(_cut(command))} does this.</sub>"]


def _cut(words: str) -> str:
    return words if len(words) <= _MOST_OF_A_NOTE else f"{words[:_MOST_OF_A_NOTE]}…"


def _quoted(words: str) -> str:
    """Our own words, in which a stranger's may be quoted: what stands in backticks stays code."""
    parts = shown_line(words).split("`")
    if len(parts) % 2 == 0:  # one that is not ended quotes nothing
        return text(words)
    return "".join(code(part) if at % 2 else _plain(part) for at, part in enumerate(parts))


def _plain(words: str) -> str:
    """The same with the blanks at its ends, which part it from its neighbours."""
    start, end = (" " if blank else "" for blank in (words[:1].isspace(), words[-1:].isspace()))
    return f"{start}{text(words)}{end}" if words.strip() else words
