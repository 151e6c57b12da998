"""Lists of one account. The order of jobs is not documented, so an early end needs proof."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import datetime
from typing import Any

from runner.errors import OutcomeUnknown
from runner.remotes.reading.values import time_of
from runner.remotes.transport import listing
from runner.remotes.transport.http import Http
from runner.remotes.transport.replies import object_in, text_in

PAGE_SIZE = 200  # the most there is; larger values are cut to it


def walk(http: Http, path: str, field: str, since: datetime | None) -> Iterator[Mapping[str, Any]]:
    """Objects not older than `since` less ten minutes, each once.

    Ends early after a whole page of older ones, if times were seen to fall and never to rise.
    Source: contract section 2, "listing rules", read 2026-11-21.
    """

    def turn(token: str) -> listing.Page:
        answer = object_in(http.get_json(path, _query(token)), "a list")
        return listing.Page(_objects_in(answer, field), listing.place_in(answer, "nextPageToken"))

    order = listing.Order(since)
    for page in listing.walk(turn, "name", http.clock):
        times = [time_of(raw.get("createTime")) for raw in page]
        yield from (raw for raw, at in zip(page, times, strict=True) if not order.is_old(at))
        if order.has_passed(times):
            return


def _query(token: str) -> dict[str, str | int]:
    return {"pageSize": PAGE_SIZE, "pageToken": token} if token else {"pageSize": PAGE_SIZE}


def _objects_in(answer: Mapping[str, Any], field: str) -> list[Mapping[str, Any]]:
    """The objects of one page; an unset list is empty, an unreadable one is unknown."""
    found = answer.get(field)
    if found is None and (field in answer or "nextPageToken" in answer or not answer):
        return []
    if not isinstance(found, list) or not all(isinstance(raw, Mapping) and text_in(raw, "name") for raw in found):
        raise OutcomeUnknown(f"the answer to a list holds no `{field}` with names")
    return found
