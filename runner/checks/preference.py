"""What a judge prefers, of two answers that were shown in both orders.

A win counts only if both orders agree on it. A judge that likes a place for its own sake, or cannot tell, says one
thing in one order and another in the other: that is a tie, and counted as inconsistent.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from runner.checks.score import Judge, Scored, Status
from runner.checks.tally import Counting, Form, Numbers, Tally
from runner.checks.verdict import Verdicts
from runner.job.checks import Ignore
from runner.job.pairs import Order, Orders, Place, item_of, order_of
from runner.job.scored import Duel
from runner.stats.exact import two_sided
from runner.stats.influence import Estimate
from runner.stats.paired import p_of_difference

TIE = 0.5  # what a tie is worth, between a loss and a win
_STATUS = {0.0: Status.WRONG, TIE: Status.PARTLY, 1.0: Status.RIGHT}
# Of the two orders of an item the one that says least decides what the item is.
_MISSED = (Status.SKIPPED, Status.UNANSWERED, Status.UNREADABLE)


def prefers(words: Mapping[Place, str], ignore: Sequence[Ignore]) -> Judge:
    """Reads which place the text names. Whose it is, and what becomes of the item, `settled` says."""
    verdicts = Verdicts(dict.fromkeys(words.values(), TIE), ignore)
    places = {word: place for place, word in words.items()}

    def judge(text: str, _: Sequence[str]) -> Scored:
        named = verdicts.named_in(text)
        if named is None:
            return Scored(Status.UNREADABLE, 0, 1)
        return Scored(Status.PARTLY, TIE, 1, places[named].value)

    return judge


def settled(ids: Sequence[str], read: Sequence[Scored], orders: Orders) -> list[Scored]:
    """What each row says of its item, once both of its orders are read.

    ids: of the rows; the two orders of an item follow each other. A row has its item's status and score: right where
    the second job wins, wrong where the baseline does, partly for a tie. `got` is the place that the judge named in
    this row, and `expected` the one that would have agreed with the other order.
    """
    found: list[Scored] = []
    for at, (custom_id, one) in enumerate(zip(ids, read, strict=True)):
        if orders is Orders.ONE:
            found.append(_alone(custom_id, one))
            continue
        order = order_of(custom_id)
        there = at + 1 if order is Order.AB else at - 1
        is_there = 0 <= there < len(ids) and item_of(ids[there]) == item_of(custom_id) and ids[there] != custom_id
        found.append(_of_both(order, one, read[there] if is_there else Scored(Status.UNANSWERED)))
    return found


def _alone(custom_id: str, one: Scored) -> Scored:
    if one.status in _MISSED:
        return Scored(one.status, 0, 1)
    value = _value(Place(one.got or ""), order_of(custom_id))
    return Scored(_STATUS[value], value, 1, one.got)


def _of_both(order: Order, one: Scored, other: Scored) -> Scored:
    for status in _MISSED:
        if status in (one.status, other.status):
            return Scored(status, 0, 1, one.got)
    mine, theirs = Place(one.got or ""), Place(other.got or "")
    turned = Order.BA if order is Order.AB else Order.AB
    value = _value(mine, order)
    if value != _value(theirs, turned):
        value = TIE
    expected = theirs.seen_from(Order.BA)  # as this order would have to say it, to agree
    return Scored(_STATUS[value], value, 1, mine.value, expected.value)


def _value(place: Place, order: Order) -> float:
    """1 where the second job is preferred, 0 where the baseline is."""
    match place.seen_from(order):
        case Place.FIRST:
            return 0.0
        case Place.SECOND:
            return 1.0
        case Place.TIE:
            return TIE


def tied(unanswered: Sequence[Scored]) -> list[Scored]:
    """Items whose answers are the same, as they come out with no answer: ties, unless `where` leaves them out."""
    return [one if one.status is Status.SKIPPED else Scored(Status.PARTLY, TIE, 1) for one in unanswered]


def stands_for_item(custom_id: str, orders: Orders) -> bool:
    """Whether it is by this row that its item is counted: once, however often it was asked about."""
    return orders is Orders.ONE or order_of(custom_id) is Order.AB


class Duels:
    """Adds up what is told of a preference beside its win rate: by item, from the row that stands for it."""

    def __init__(self, orders: Orders) -> None:
        self._orders = orders
        self._consistent = Tally(Counting())
        self._places = Tally(Counting(Form.SCORE))  # of each item how often it was the first place, of how many
        self._tied = 0

    def add_all(self, rows: Sequence[Scored], clusters: Sequence[str | None] = ()) -> None:
        """Take items in. clusters: of each; empty where there are none."""
        counted = [at for at, one in enumerate(rows) if one.status in _STATUS.values()]
        whose = [clusters[at] for at in counted] if clusters else ()
        some = [rows[at] for at in counted]
        if self._orders is Orders.BOTH:
            self._consistent.add_all([_agreement(one) for one in some], whose)
        self._places.add_all([_places(one, self._orders) for one in some], whose)

    def add_tied(self, items: int) -> None:
        """Take in items whose answers are the same: nobody was asked."""
        self._tied += items

    def duel(self, tally: Tally) -> Duel:
        """tally: the items, tied ones among them."""
        counts = tally.counts
        wins, losses = counts[Status.RIGHT], counts[Status.WRONG]
        consistent = self._consistent.numbers()
        return Duel(
            wins=wins,
            ties=counts[Status.PARTLY],
            losses=losses,
            inconsistent=self._consistent.counts[Status.WRONG],
            equal=self._tied,
            consistency=consistent.figure if self._orders is Orders.BOTH else None,
            place=self._places.numbers().figure,
            p=_p_of(wins, losses, tally.numbers()),
        )


def _agreement(one: Scored) -> Scored:
    return Scored(Status.RIGHT, 1, 1) if one.got == one.expected else Scored(Status.WRONG, 0, 1)


def _places(one: Scored, orders: Orders) -> Scored:
    """How many of an item's verdicts name the first place, of those that name a place."""
    named = [one.got]
    if orders is Orders.BOTH:
        named.append(Place(one.expected or "").seen_from(Order.BA).value)
    return Scored(Status.MEASURED, named.count(Place.FIRST), len(named) - named.count(Place.TIE))


def _p_of(wins: int, losses: int, numbers: Numbers) -> float | None:
    """That neither is better: the sign test, which leaves ties out; with clusters, of the win rate from a half."""
    if numbers.clusters == numbers.n:  # every item is one
        return two_sided(wins, losses) if wins + losses else None
    if numbers.value is None or numbers.se is None:
        return None
    return p_of_difference(Estimate(numbers.value - TIE, numbers.se, numbers.clusters))
