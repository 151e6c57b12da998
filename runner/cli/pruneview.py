"""What `runner prune` would delete, and did, as data: text and JSON are drawn from it."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import datetime, timedelta

import msgspec

from runner.apply.errors import StepError
from runner.apply.prune import Survey
from runner.cli import voice
from runner.job.stored import ORDER, Kept
from runner.plan.prune import Verdict

VERSION = 1


class ObjectView(msgspec.Struct, frozen=True):
    """One object at a remote."""

    kind: Kept
    ref: str  # as the remote knows it
    name: str
    job: str  # that asked; empty where nobody can say
    size_bytes: int | None
    since: datetime | None  # when what it is of came to its end; by the remote's clock
    batches: tuple[str, ...]
    kept: str = ""  # why it stays; empty where nothing needs it
    is_deleted: bool = False


class RemoteView(msgspec.Struct, frozen=True):
    provider: str
    origin: str
    objects: tuple[ObjectView, ...]


class PruneView(msgspec.Struct, frozen=True):
    version: int
    remotes: tuple[RemoteView, ...]
    warnings: tuple[str, ...]  # where answers would lie in one place alone
    errors: tuple[str, ...]
    needless: int  # objects that nothing needs
    needless_bytes: int  # of those whose size is known
    deleted: int


def of_surveys(
    surveys: Sequence[Survey], warnings: Sequence[str], errors: Iterable[StepError], gone: Iterable[str] = ()
) -> PruneView:
    """gone: `Stored.id` of what was deleted."""
    deleted = set(gone)
    remotes = tuple(
        RemoteView(
            one.provider.origin.provider, str(one.provider.origin), tuple(_object(v, deleted) for v in one.verdicts)
        )
        for one in surveys
    )
    needless = [one for remote in remotes for one in remote.objects if not one.kept]
    return PruneView(
        VERSION,
        remotes,
        tuple(warnings),
        tuple(f"{one.job}: {one.error.message}" for one in errors),
        len(needless),
        sum(one.size_bytes or 0 for one in needless),
        sum(one.is_deleted for one in needless),
    )


def _object(verdict: Verdict, deleted: set[str]) -> ObjectView:
    stored = verdict.stored
    return ObjectView(
        stored.kind,
        stored.ref,
        stored.name,
        verdict.owner,
        stored.size_bytes,
        verdict.since,
        stored.batches,
        str(verdict.why or ""),
        stored.id in deleted,
    )


_NOUNS = {
    Kept.BATCH: ("batch record", "batch records"),
    Kept.RESULTS: ("result file", "result files"),
    Kept.UPLOAD: ("upload", "uploads"),
}


def text_of(view: PruneView, now: datetime) -> str:
    """A line for each job and kind: how many, how large, how old."""
    lines = []
    for remote in view.remotes:
        lines.append(voice.plain(remote.provider))
        lines += _lines(remote, now) or ["  keeps nothing of this project"]
    return "\n".join(lines)


def _lines(remote: RemoteView, now: datetime) -> list[str]:
    groups: dict[tuple[str, str, Kept], list[ObjectView]] = {}
    for one in remote.objects:
        groups.setdefault((one.kept, one.job, one.kind), []).append(one)
    rows = []
    for (kept, job, kind), some in sorted(groups.items(), key=lambda item: _order(item[0])):
        what = voice.count(len(some), *_NOUNS[kind])
        stays = f"stays: {kept}" if kept else ""
        rows.append(["=" if kept else "-", voice.plain(job) or "?", what, _sized(some), _aged(some, now), stays])
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return ["  " + "  ".join(map(str.ljust, row, widths)).rstrip().replace("  ", " ", 1) for row in rows]


def _order(group: tuple[str, str, Kept]) -> tuple[bool, str, int]:
    kept, job, kind = group
    return bool(kept), job, ORDER.index(kind)


def _sized(some: Sequence[ObjectView]) -> str:
    known = [one.size_bytes for one in some if one.size_bytes is not None]
    return voice.size(sum(known)) if known else ""


def _aged(some: Sequence[ObjectView], now: datetime) -> str:
    ages = sorted(now - one.since for one in some if one.since is not None)
    if not ages:
        return ""
    low, high = _age(ages[0]), _age(ages[-1])
    return f"{low} old" if low == high else f"{low} to {high} old"


def _age(age: timedelta) -> str:
    hours = max(age, timedelta()) // timedelta(hours=1)
    return voice.count(hours // 24, "day") if hours >= 48 else voice.count(hours, "hour") if hours else "under an hour"


def summary_of(view: PruneView) -> str:
    """What is to go, in one line."""
    return f"{voice.count(view.needless, 'object')} ({voice.size(view.needless_bytes)})"
