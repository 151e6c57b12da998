"""What `runner state list` and `state show` print, as data: records as they are kept, in lines or as JSON."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

import msgspec

from runner.cli import voice
from runner.cli.batchview import of_batch
from runner.job.recorded import Batch, JobRecord, Retry

VERSION = 1


class RecordsView(msgspec.Struct, frozen=True):
    """Fields of records are called as they are in the state."""

    version: int
    jobs: tuple[JobRecord, ...] = ()  # what was done last for each, by address
    batches: tuple[Batch, ...] = ()  # in the order of submission
    retries: tuple[Retry, ...] = ()  # decisions to ask again, the oldest first


def listed(view: RecordsView) -> str:
    """A line a batch, by address and then in the order of submission; of a job without one, its address."""
    told = [of_batch(batch) for batch in view.batches]
    rows = [
        (one.owner, one.key, one.state, f"{one.answered:,}/{one.asked:,}", voice.moment(one.asked_at)) for one in told
    ]
    owners = {one.owner for one in told}
    rows += [(job.address, "", "", "", "") for job in view.jobs if job.address not in owners]
    rows.sort(key=lambda row: row[0])
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    padded = (["{:<{}}".format(*cell) for cell in zip(row, widths, strict=True)] for row in rows)
    return "\n".join("  ".join(row).rstrip() for row in padded)


def shown(view: RecordsView) -> str:
    """A paragraph a record: a line for each field that says something."""
    heads = [
        *((f"job {one.address}", one) for one in view.jobs),
        *((f"batch {voice.plain(one.remote_id or one.key)} of {one.owner}", one) for one in view.batches),
        *((f"retry of {one.address}", one) for one in view.retries),
    ]
    return "\n\n".join("\n".join([head, *_fields(record, 2)]) for head, record in heads)


def _fields(record: msgspec.Struct, indent: int) -> Iterator[str]:
    """Of a struct; what stands as it was made is not said."""
    found = []
    for field in msgspec.structs.fields(record):
        value = getattr(record, field.name)
        usual = field.default_factory() if callable(field.default_factory) else field.default
        if value not in (usual, "") and field.name != "schema":
            found.append((field.name, value))
    yield from _lines(found, indent)


def _lines(pairs: Sequence[tuple[str, Any]], indent: int) -> Iterator[str]:
    wide = max((len(name) for name, value in pairs if not _is_nested(value)), default=0)
    for name, value in pairs:
        if not _is_nested(value):
            yield f"{' ' * indent}{name:<{wide}}  {_said(value)}".rstrip()
            continue
        yield f"{' ' * indent}{name}"
        yield from _nested(value, indent + 2)


def _nested(value: Any, indent: int) -> Iterator[str]:
    if isinstance(value, msgspec.Struct):
        yield from _fields(value, indent)
    elif isinstance(value, Mapping):
        yield from _lines([(voice.plain(str(key)), one) for key, one in value.items()], indent)
    else:
        for one in value:
            lines = list(_nested(one, indent + 2)) if _is_nested(one) else [f"{' ' * (indent + 2)}{_said(one)}"]
            yield from (f"{' ' * indent}- {lines[0].lstrip()}", *lines[1:])


def _is_nested(value: Any) -> bool:
    if isinstance(value, list | tuple):
        return any(map(_is_nested, value))
    return bool(value) and isinstance(value, Mapping | msgspec.Struct)


def _said(value: Any) -> str:
    match value:
        case datetime():
            return value.astimezone(UTC).strftime("%Y-%m-%d %H:%M:%S UTC")
        case bool() | None:
            return {True: "yes", False: "no", None: "not known"}[value]
        case list() | tuple():
            return ", ".join(map(_said, value))
        case int():
            return f"{value:,}"
        case _:
            return voice.one_line(str(value))
