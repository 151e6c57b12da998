"""Pairs of answers, as every room knows them: which of two jobs' answers stands first, and how a row says so."""

from __future__ import annotations

from enum import StrEnum

FIRST, SECOND = "first", "second"  # columns of a pair: the answers, in the order in which they are shown
# Of rows of answers where the job that answered them has no column of ids; of a pair: its item, and which order it is
ID_COLUMN = "custom_id"
OF_RECORDINGS = "file"  # the column that tells recordings apart
_SUFFIX = 3  # characters of `-ab`


class Orders(StrEnum):
    """How often an item is asked about."""

    BOTH = "both"
    ONE = "one"  # which of the two, the row's content decides: half and half


class Order(StrEnum):
    """Whose answer is shown first."""

    AB = "ab"  # the baseline's
    BA = "ba"


class Place(StrEnum):
    """What a judge prefers."""

    FIRST = "first"
    SECOND = "second"
    TIE = "tie"

    def seen_from(self, order: Order) -> Place:
        """The same verdict, had the baseline's answer been shown first; and back again."""
        if order is Order.AB or self is Place.TIE:
            return self
        return Place.SECOND if self is Place.FIRST else Place.FIRST


def id_of(item: str, order: Order) -> str:
    """The id of a row: `T-1-ab`."""
    return f"{item}-{order}"


def item_of(custom_id: str) -> str:
    """The item that a row is about."""
    return custom_id[:-_SUFFIX]


def order_of(custom_id: str) -> Order:
    """In which order a row shows the two answers."""
    return Order.BA if custom_id.endswith(f"-{Order.BA}") else Order.AB
