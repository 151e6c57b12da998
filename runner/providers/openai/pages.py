"""Lists of files and batches, page by page, in the few ways look-alikes page."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from runner.errors import OutcomeUnknown
from runner.providers.http import Http
from runner.providers.openai.profiles import Listing
from runner.providers.openai.wire import object_in, text_in

Page = list[Mapping[str, Any]]


def walk(
    http: Http, path: str, listing: Listing, what: str, query: Mapping[str, str | int] | None = None
) -> Iterator[Page]:
    """Pages of objects not seen before, until the list says it is over.

    Over is: `has_more` false, an empty page, or, where `has_more` is missing, a page that brings nothing new
    (source: openai 3.54.0 `pagination.py`, read 2026-11-21; the last for servers that ignore `after`).
    """
    if listing.style == "absent":
        return
    seen: set[str] = set()
    place: dict[str, str | int] = {}
    while True:
        answer = http.get_json(path, _query(listing, query, place))
        page = _objects_in(answer, what)
        fresh = [raw for raw in page if text_in(raw, "id") not in seen]
        seen.update(text_in(raw, "id") for raw in page)
        if fresh:
            yield fresh
        following = _following(answer, page, listing)
        if not fresh or following is None:
            return
        place = following


def _query(
    listing: Listing, query: Mapping[str, str | int] | None, place: Mapping[str, str | int]
) -> dict[str, str | int]:
    if listing.style == "none":
        return {}
    return {"limit": listing.limit_max, **(query or {}), **place}


def _following(answer: Any, page: Page, listing: Listing) -> dict[str, str | int] | None:
    """The query of the next page, None after the last."""
    match listing.style:
        case "cursor":
            over = not page or (isinstance(answer, Mapping) and answer.get("has_more") is False)
            return None if over else {"after": text_in(page[-1], "id")}
        case "token":
            token = text_in(answer, listing.token_field) if isinstance(answer, Mapping) else ""
            return {listing.token_param: token} if token else None
        case "none" | "absent":
            return None


def _objects_in(answer: Any, what: str) -> Page:
    """The objects of one page; a bare array is one too. An unreadable list is unknown, never empty."""
    found = answer if isinstance(answer, list) else object_in(answer, what).get("data")
    if found is None and isinstance(answer, Mapping) and answer.get("object") == "list":
        found = []
    if not isinstance(found, list) or not all(isinstance(raw, Mapping) and text_in(raw, "id") for raw in found):
        raise OutcomeUnknown(f"the answer to {what} is not a list of objects with ids")
    return found
