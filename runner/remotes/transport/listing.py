"""Lists of a remote, page by page: read to their end, or said to be unknown.

What is missing from half a list would be taken for absent, and asked and paid a second time. So a remote that says
that more follows and gives no more is no end of a list.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any

import msgspec

from runner.clock import Clock
from runner.errors import OutcomeUnknown
from runner.remotes.transport.replies import shown

SLACK = timedelta(minutes=10)  # between the clock a remote tells by and the one it dates its objects with
MOST_PAGES = 10_000  # a million objects and more: such a list does not end
LONGEST_SECONDS = 600.0  # for one list
MOST_BARREN = 20  # pages in a row without anything new

Object = Mapping[str, Any]


class Incomplete(OutcomeUnknown):
    """A list that could not be read to its end."""


class Page(msgspec.Struct, frozen=True):
    """Some objects. `following` is where the next page begins, empty after the last.

    is_sure: the remote says itself that more follows; otherwise a page without anything new ends the list.
    """

    objects: Sequence[Object]
    following: str
    is_sure: bool = True


def place_in(answer: Object, field: str) -> str:
    """Where the next page begins, as an answer says it, in words or as a number; empty after the last.

    Raises Incomplete for anything else: more may follow, and nobody can ask for it.
    """
    match answer.get(field):
        case None | False:
            return ""
        case str() as place:
            return place
        case int() as place if place is not True:
            return str(place)
        case other:
            raise Incomplete(f"a list of the remote goes on at something that is not a place: {shown(other)}")


def walk(turn: Callable[[str], Page], name: str, clock: Clock) -> Iterator[list[Object]]:
    """Pages of objects not seen before, `turn` by `turn` from the first (whose place is empty).

    name: the field that tells objects apart. Raises Incomplete when the list goes round, or never ends.
    """
    seen: set[Any] = set()
    places: set[str] = {""}
    place, barren, spent = "", 0, 0.0
    for number in range(MOST_PAGES):
        if spent > LONGEST_SECONDS:
            raise Incomplete(f"a list of the remote does not end: {number:,} pages came in {spent / 60:.0f} minutes")
        since = clock.monotonic()
        page = turn(place)
        spent += clock.monotonic() - since
        fresh = [raw for raw in page.objects if raw[name] not in seen]
        seen.update(raw[name] for raw in fresh)
        if fresh:
            yield fresh
        if not page.following or not (fresh or page.is_sure):
            return
        place, barren = page.following, 0 if fresh else barren + 1
        if place in places or barren > MOST_BARREN:
            raise Incomplete("a list of the remote does not end: it promises more, and gives nothing new")
        places.add(place)
    raise Incomplete(f"a list of the remote does not end: {MOST_PAGES:,} pages were read")


class Order:
    """Whether the times of a list so far only fell, and did fall: only then do older ones say that it is over.

    since: how far back the list is of interest, by the remote's clock; None for all of it.
    """

    def __init__(self, since: datetime | None) -> None:
        self._oldest = None if since is None else since - SLACK
        self._last: datetime | None = None
        self._fell = self._rose = False

    def is_old(self, at: datetime | None) -> bool:
        return self._oldest is not None and at is not None and at < self._oldest

    def has_passed(self, times: Sequence[datetime | None]) -> bool:
        """Take the times of a page; whether nothing newer can follow it."""
        for at in times:
            if at is not None and self._last is not None:
                self._fell |= at < self._last
                self._rose |= at > self._last
            self._last = at or self._last
        return self._fell and not self._rose and bool(times) and all(self.is_old(at) for at in times)
