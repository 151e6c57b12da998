"""What `runner show` shows, as data: a job, its batches as a tree, its failed rows."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from runner.apply.lineage import Link
from runner.cli import sums, voice
from runner.cli.batchview import BatchView, of_batch, origin_words
from runner.cli.failures import Failed, FailureReason, Failures, lines_of
from runner.cli.standing import JobStanding, counted_lines

VERSION = 2


class LinkView(msgspec.Struct, frozen=True):
    """One batch, `depth` steps below the first of its tree. Others go by their `name`."""

    depth: int
    continues: str
    asks_again: tuple[str, ...]
    batch: BatchView


class ChainJob(msgspec.Struct, frozen=True):
    standing: JobStanding
    batches: tuple[LinkView, ...]  # each tree from its first batch downwards
    failures: tuple[Failed, ...] = ()  # the first failed rows of the results file
    reasons: tuple[FailureReason, ...] = ()  # why rows failed, and why answers are none, the most frequent first


class ShowView(msgspec.Struct, frozen=True):
    version: int
    jobs: tuple[ChainJob, ...]


def of_links(links: Sequence[Link]) -> tuple[LinkView, ...]:
    return tuple(LinkView(link.depth, link.continues, link.asks_again, of_batch(link.batch)) for link in links)


def text_of(view: ShowView) -> str:
    return "\n\n".join("\n".join(_job_lines(job)) for job in view.jobs)


def _job_lines(job: ChainJob) -> list[str]:
    at = job.standing
    lines = [f"{at.address}  {at.declared_at}"]
    lines.append(f"  {at.wanted:,} wanted: {', '.join(sums.parts_of(at))}")
    lines += counted_lines(at)
    lines += _tree_lines(job.batches)
    lines += lines_of(Failures(job.reasons, job.failures))
    return lines


def _tree_lines(links: Sequence[LinkView]) -> list[str]:
    """One line a batch under its branch, in columns; what is to be said of it on lines below."""
    branches = _branches([link.depth for link in links])
    rows = [
        (f"  {branch}{voice.plain(link.batch.name)}", link) for (branch, _), link in zip(branches, links, strict=True)
    ]
    wide = max((len(name) for name, _ in rows), default=0)
    wider = max((len(link.batch.state) for link in links), default=0)
    told = [f"{link.batch.answered:,} of {link.batch.asked:,} answered" for link in links]
    widest = max(map(len, told), default=0)
    lines = []
    for (name, link), (_, below), answered in zip(rows, branches, told, strict=True):
        batch = link.batch
        line = f"{name:<{wide}}  {batch.state:<{wider}}  {answered:<{widest}}  {voice.moment(batch.asked_at)}"
        lines.append(f"{line}  {_why(link)}".rstrip())
        lines += [f"  {below}   {words}" for words in _notes(link)]
    return lines


def _why(link: LinkView) -> str:
    """What it came after, and where it was found."""
    parts = [f"continues {_named([link.continues])}"] if link.continues else []
    parts += [f"asks again what {_named(link.asks_again)} left"] if link.asks_again else []
    parts += [origin_words(link.batch)] if link.batch.adopted_from else []
    return ", ".join(parts)


def _notes(link: LinkView) -> list[str]:
    duplicates = [
        f"! `{voice.plain(duplicate)}` is a duplicate of it and was cancelled" for duplicate in link.batch.duplicates
    ]
    return [*([f"! {voice.one_line(link.batch.note)}"] if link.batch.note else []), *duplicates]


def _named(names: Sequence[str]) -> str:
    shown = ", ".join(f"`{voice.plain(name)}`" for name in names[:3])
    return shown + (f" and {len(names) - 3:,} more" if len(names) > 3 else "")


def _branches(depths: Sequence[int]) -> list[tuple[str, str]]:
    """What is drawn before each name, and before a line below it. Depths are those of a walk down each tree."""
    drawn = []
    for at, depth in enumerate(depths):
        goes_on = [_has_another(depths, at, level) for level in range(1, depth + 1)]
        trunk = "".join("│  " if on else "   " for on in goes_on)
        is_parent = at + 1 < len(depths) and depths[at + 1] > depth
        branch = trunk[:-3] + ("├─ " if goes_on[-1] else "└─ ") if depth else ""
        drawn.append((branch, trunk + ("│" if is_parent else " ")))
    return drawn


def _has_another(depths: Sequence[int], at: int, level: int) -> bool:
    """Whether a later batch hangs on the same branch at `level`."""
    for depth in depths[at + 1 :]:
        if depth < level:
            return False
        if depth == level:
            return True
    return False
