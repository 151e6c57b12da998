"""Half a list never looks whole: what is missing from it would be created, and paid, a second time."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import UTC, datetime, timedelta
from itertools import count
from typing import Any

import pytest

from runner.clock import FastClock
from runner.errors import OutcomeUnknown
from runner.remotes.transport import listing
from runner.remotes.transport.listing import Incomplete, Order, Page

NOON = datetime(2031, 2, 3, 12, tzinfo=UTC)


def walked(pages: Mapping[str, Page]) -> list[str]:
    return [raw["id"] for page in listing.walk(lambda place: pages[place], "id", FastClock()) for raw in page]


def page(ids: str, following: str = "", *, is_sure: bool = True) -> Page:
    return Page([{"id": one} for one in ids], following, is_sure)


@pytest.mark.parametrize(
    ("pages", "found"),
    [
        ({"": page("")}, ""),
        ({"": page("ab")}, "ab"),
        ({"": page("ab", "1"), "1": page("cd", "2"), "2": page("e")}, "abcde"),
        ({"": page("ab", "1"), "1": page("bc")}, "abc"),  # something was created meanwhile
        ({"": page("aa")}, "aa"),
        ({"": page("", "1"), "1": page("", "2"), "2": page("a")}, "a"),  # pages may be empty
        ({"": page("ab", "1", is_sure=False), "1": page("ab", "1", is_sure=False)}, "ab"),  # deaf to the place
    ],
)
def test_a_list_is_read_to_its_end(pages: Mapping[str, Page], found: str) -> None:
    assert "".join(walked(pages)) == found


@pytest.mark.parametrize(
    "pages",
    [
        {"": page("ab", "1"), "1": page("ab", "1")},
        {"": page("ab", "1"), "1": page("", "1")},
        {"": page("ab", "1"), "1": page("cd", "1")},
        {"": page("ab", "1"), "1": page("cd", "2"), "2": page("ef", "1")},
    ],
)
def test_a_list_that_goes_round_is_unknown(pages: Mapping[str, Page]) -> None:
    with pytest.raises(Incomplete, match="does not end"):
        walked(pages)
    assert issubclass(Incomplete, OutcomeUnknown)


@pytest.mark.parametrize(
    ("told", "place"),
    [
        ({}, ""),
        ({"next": None}, ""),
        ({"next": ""}, ""),
        ({"next": False}, ""),
        ({"next": "t"}, "t"),
        ({"next": 2}, "2"),
    ],
)
def test_the_place_of_the_next_page(told: Mapping[str, Any], place: str) -> None:
    assert listing.place_in(told, "next") == place


@pytest.mark.parametrize("told", [True, 1.5, {"page": 2}, ["t"]])
def test_a_place_that_is_none_is_no_end(told: Any) -> None:
    with pytest.raises(Incomplete):
        listing.place_in({"next": told}, "next")


@pytest.mark.parametrize("ids", [lambda n: "", lambda n: "a", lambda n: chr(n)])
def test_a_list_without_end_is_left(ids: Any) -> None:
    numbers: Iterator[int] = count(1)

    def turn(place: str) -> Page:
        number = next(numbers)
        return page(ids(number), str(number))

    with pytest.raises(Incomplete, match="does not end"):
        list(listing.walk(turn, "id", FastClock()))
    assert next(numbers) <= listing.MOST_PAGES + 1


def test_a_list_has_its_time_and_what_is_done_with_it_does_not_count() -> None:
    clock = FastClock()
    numbers = count(1)

    def turn(place: str) -> Page:
        clock.sleep(60.0)
        number = next(numbers)
        return page(chr(number), str(number))

    with pytest.raises(Incomplete, match="pages came in 11 minutes"):
        for _ in listing.walk(turn, "id", clock):
            clock.sleep(300.0)
    assert next(numbers) == 12


@pytest.mark.parametrize(
    ("hours", "since", "is_over"),
    [
        ([12, 11, 10], None, False),
        ([12, 11, 10], 13, True),
        ([12, 11, 10], 11, False),  # the first is not old
        ([12], 13, False),  # one alone shows no order
        ([10, 11, 12], 13, False),
        ([11, 12, 10], 13, False),
        ([12, None, 10], 13, False),
        ([12, 12, 12], 13, False),
        ([], 13, False),
    ],
)
def test_old_objects_end_a_list_only_once_its_order_is_proven(
    hours: list[int | None], since: int | None, is_over: bool
) -> None:
    day = NOON.replace(hour=0)
    order = Order(None if since is None else day + timedelta(hours=since))
    times = [None if hour is None else day + timedelta(hours=hour) for hour in hours]
    assert order.has_passed(times) is is_over


def test_clocks_may_differ_by_some_minutes() -> None:
    order = Order(NOON)
    assert [order.is_old(NOON - timedelta(minutes=minutes)) for minutes in (9, 11)] == [False, True]
