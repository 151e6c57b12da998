"""Lists of files and batches, page by page, in the few ways look-alikes page."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from runner.errors import OutcomeUnknown
from runner.remotes.openai.profiles import Listing
from runner.remotes.transport import listing
from runner.remotes.transport.http import Http
from runner.remotes.transport.replies import object_in, text_in

Query = dict[str, str | int]


def walk(
    http: Http, path: str, how: Listing, what: str, query: Mapping[str, str | int] | None = None
) -> Iterator[list[Mapping[str, Any]]]:
    """Pages of objects not seen before, until the list says it is over. Raises `listing.Incomplete`.

    Over is: `has_more` false, or, where `has_more` is missing, an empty page, or one that is not full and brings
    nothing new, for servers that ignore `after` (source: openai 3.54.0 `pagination.py`, read 2026-11-21, which takes
    every empty page for the end).
    """

    def turn(place: str) -> listing.Page:
        answer = http.get_json(path, _query(how, query, place))
        objects = _objects_in(answer, what)
        return listing.Page(objects, *_following(answer, objects, how))

    return iter(()) if how.style == "absent" else listing.walk(turn, "id", http.clock)


def _query(how: Listing, query: Mapping[str, str | int] | None, place: str) -> Query:
    if how.style == "none":
        return {}
    at: Query = {how.token_param if how.style == "token" else "after": place} if place else {}
    return {"limit": how.limit_max, **(query or {}), **at}


def _following(answer: Any, objects: list[Mapping[str, Any]], how: Listing) -> tuple[str, bool]:
    """Where the next page begins, empty after the last; and whether the remote says that there is one."""
    told: Mapping[str, Any] = answer if isinstance(answer, Mapping) else {}
    match how.style:
        case "cursor":
            more = told.get("has_more")
            if more is True and not objects:
                raise listing.Incomplete("a list of the remote promises more after an empty page")
            last = text_in(objects[-1], "id") if objects and more is not False else ""
            return last, more is True or len(objects) >= how.limit_max
        case "token":
            return listing.place_in(told, how.token_field), True
        case "none" | "absent":
            return "", True


def _objects_in(answer: Any, what: str) -> list[Mapping[str, Any]]:
    """The objects of one page; a bare array is one too. An unreadable list is unknown, never empty."""
    found = answer if isinstance(answer, list) else object_in(answer, what).get("data")
    if found is None and isinstance(answer, Mapping) and answer.get("object") == "list":
        found = []
    if not isinstance(found, list) or not all(isinstance(raw, Mapping) and text_in(raw, "id") for raw in found):
        raise OutcomeUnknown(f"the answer to {what} is not a list of objects with ids")
    return found
