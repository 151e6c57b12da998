"""Two jobs' answers side by side: every item in both orders, and every item somewhere."""

from __future__ import annotations

import json
import random
from collections.abc import Iterable, Mapping
from io import BytesIO
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from runner.compile.pairs import Paired, pair
from runner.errors import DataError, Mark
from runner.job.pairs import Order, Orders, item_of, order_of

Rows = list[dict[str, Any]]


def paired(
    first: Mapping[str, Any],
    second: Mapping[str, Any],
    orders: Orders = Orders.BOTH,
    rng: random.Random | None = None,
    id_column: str = "id",
) -> tuple[Paired, Rows, Rows]:
    """first, second: answers by item. The counts, the rows, and the tied ones."""

    def lines(side: str, answers: Mapping[str, Any]) -> Iterable[bytes]:
        items = list(answers)
        if rng:
            rng.shuffle(items)
        rows: Rows = [{id_column: item, "text": f"text of {item}", side: answers[item]} for item in items]
        return (json.dumps(row).encode() for row in rows)

    out, tied = BytesIO(), BytesIO()
    found = pair(lines("first", first), lines("second", second), id_column, orders, out, tied)
    return found, *([json.loads(line) for line in some.getvalue().splitlines()] for some in (out, tied))


def test_an_item_is_there_in_both_orders_one_after_the_other() -> None:
    counts, rows, tied = paired({"T-1": "yes", "T-2": "no"}, {"T-2": "maybe", "T-1": "Yes"})
    assert rows == [
        {"id": "T-1", "text": "text of T-1", "custom_id": "T-1-ab", "first": "yes", "second": "Yes"},
        {"id": "T-1", "text": "text of T-1", "custom_id": "T-1-ba", "first": "Yes", "second": "yes"},
        {"id": "T-2", "text": "text of T-2", "custom_id": "T-2-ab", "first": "no", "second": "maybe"},
        {"id": "T-2", "text": "text of T-2", "custom_id": "T-2-ba", "first": "maybe", "second": "no"},
    ]
    assert (counts, tied) == (Paired(asked=2, tied=0, only_first=0, only_second=0), [])


def test_equal_answers_are_not_asked_about_and_what_one_side_lacks_is_counted() -> None:
    first = {"a": "same\n", "b": {"n": 1, "m": 2}, "c": 1, "d": 1, "alone": "x"}
    second = {"a": "same", "b": {"m": 2, "n": 1}, "c": True, "d": 1.0, "lone": "y", "lonely": "z"}
    counts, rows, tied = paired(first, second)
    assert counts == Paired(asked=2, tied=2, only_first=1, only_second=2)
    assert [row["custom_id"] for row in rows] == ["c-ab", "c-ba", "d-ab", "d-ba"]
    assert tied == [
        {"id": "a", "text": "text of a", "custom_id": "a-ab", "first": "same\n", "second": "same"},
        {"id": "b", "text": "text of b", "custom_id": "b-ab", "first": {"n": 1, "m": 2}, "second": {"m": 2, "n": 1}},
    ]


ANSWERS = st.dictionaries(st.integers(0, 30).map(str), st.sampled_from(["yes", "no", "", 1, {"a": [1]}]))


@given(ANSWERS, ANSWERS, st.sampled_from(Orders), st.randoms(use_true_random=False))
def test_every_item_is_somewhere_and_the_order_of_rows_does_not_matter(
    first: Mapping[str, Any], second: Mapping[str, Any], orders: Orders, rng: random.Random
) -> None:
    counts, rows, tied = paired(first, second, orders)
    assert counts.asked + counts.tied + counts.only_first == len(first)
    assert counts.asked + counts.tied + counts.only_second == len(second)
    assert len(rows) == counts.asked * (2 if orders is Orders.BOTH else 1) and len(tied) == counts.tied
    again, shuffled, shuffled_tied = paired(first, second, orders, rng)

    def key(row: dict[str, Any]) -> str:
        return str(row["custom_id"])

    assert again == counts
    assert sorted(shuffled, key=key) == sorted(rows, key=key)
    assert sorted(shuffled_tied, key=key) == sorted(tied, key=key)


@given(ANSWERS, ANSWERS)
def test_with_the_jobs_the_other_way_round_the_same_is_asked(
    first: Mapping[str, Any], second: Mapping[str, Any]
) -> None:
    one, rows, tied = paired(first, second)
    other, turned, turned_tied = paired(second, first)
    assert other == Paired(one.asked, one.tied, one.only_second, one.only_first)

    def shown(rows: Rows) -> list[str]:
        names = {"first", "second", "id", "text"}
        return sorted(json.dumps({name: row[name] for name in names}, sort_keys=True) for row in rows)

    assert shown(turned) == shown(rows), "the same requests: nothing is asked twice"
    assert len(turned_tied) == len(tied)


def test_one_order_goes_by_what_the_row_holds_half_and_half() -> None:
    answers = {str(n): "x" for n in range(2000)}
    others = {str(n): "y" for n in range(2000)}
    _, rows, _ = paired(answers, others, Orders.ONE)
    orders = {item_of(row["custom_id"]): order_of(row["custom_id"]) for row in rows}
    assert 900 < list(orders.values()).count(Order.AB) < 1100
    assert all(row["first"] == ("x" if order_of(row["custom_id"]) is Order.AB else "y") for row in rows)
    # other answers, other neighbours, other numbers of the rows: the same order
    _, rows, _ = paired({str(n): "z" for n in range(1000, 1500)}, others, Orders.ONE)
    assert {item_of(row["custom_id"]): order_of(row["custom_id"]) for row in rows} == {
        item: order for item, order in orders.items() if 1000 <= int(item) < 1500
    }


def test_ids_that_are_no_column_of_the_rows_do_not_turn_an_order_round() -> None:
    def orders(start: int) -> list[Order]:
        rows = [{"custom_id": f"row-{start + n}", "text": f"{n}"} for n in range(50)]
        out = BytesIO()
        first = (json.dumps({**row, "first": "x"}).encode() for row in rows)
        second = (json.dumps({**row, "second": "y"}).encode() for row in rows)
        pair(first, second, "custom_id", Orders.ONE, out, BytesIO())
        return [order_of(json.loads(line)["custom_id"]) for line in out.getvalue().splitlines()]

    assert orders(1) == orders(7)


@pytest.mark.parametrize(
    ("first", "second", "name"),
    [
        ({"id": "a", "first": "x"}, {"id": "a", "first": "own", "second": "y"}, "first"),
        ({"id": "a", "second": "own", "first": "x"}, {"id": "a", "second": "y"}, "second"),
        ({"id": "a", "custom_id": "own", "first": "x"}, {"id": "a", "second": "y"}, "custom_id"),
    ],
)
def test_a_column_that_pairs_need_themselves_is_refused(
    first: dict[str, Any], second: dict[str, Any], name: str
) -> None:
    with pytest.raises(DataError, match=f"the rows have a column `{name}` of their own") as caught:
        pair(
            [json.dumps(first).encode()],
            [json.dumps(second).encode()],
            "id",
            Orders.BOTH,
            BytesIO(),
            BytesIO(),
            Mark("specs/a.yaml", 4, 11),
        )
    assert caught.value.mark == Mark("specs/a.yaml", 4, 11)
