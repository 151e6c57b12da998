"""Lists, page by page. The order of jobs is not documented, so an early end needs proof."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import datetime, timedelta
from typing import Any

from runner.errors import OutcomeUnknown
from runner.providers.fireworks.wire import object_in, text_in, time_in
from runner.providers.http import Http

SLACK = timedelta(minutes=10)  # between our clock and the remote's
PAGE_SIZE = 200  # the most there is; larger values are cut to it


def walk(http: Http, path: str, field: str, since: datetime | None) -> Iterator[Mapping[str, Any]]:
    """Objects not older than `since` less ten minutes, each once.

    Ends early after a whole page of older ones, if times were seen to fall and never to rise.
    Source: contract section 2, "listing rules", read 2026-11-21.
    """
    oldest = None if since is None else since - SLACK
    seen: set[str] = set()
    tokens: set[str] = set()
    order = _Order()
    token = ""
    while True:
        answer = object_in(http.get_json(path, _query(token)), "a list")
        page = _objects_in(answer, field)
        times = [time_in(raw, "createTime") for raw in page]
        for raw, at in zip(page, times, strict=True):
            if text_in(raw, "name") not in seen and (oldest is None or at is None or at >= oldest):
                seen.add(text_in(raw, "name"))
                yield raw
        order.follow(times)
        is_old = oldest is not None and bool(times) and all(at is not None and at < oldest for at in times)
        token = text_in(answer, "nextPageToken")
        if not token or (is_old and order.is_newest_first):
            return
        if token in tokens:
            raise OutcomeUnknown("a list of the remote does not end: it gave the same page token twice")
        tokens.add(token)


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


class _Order:
    """Whether times so far only fell, and did fall."""

    def __init__(self) -> None:
        self._last: datetime | None = None
        self._fell = self._rose = False

    @property
    def is_newest_first(self) -> bool:
        return self._fell and not self._rose

    def follow(self, times: list[datetime | None]) -> None:
        for at in times:
            if at is not None and self._last is not None:
                self._fell |= at < self._last
                self._rose |= at > self._last
            self._last = at or self._last
