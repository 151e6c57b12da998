"""Two jobs' answers to the same rows, side by side: the rows of a dataset that says `pairs`.

A row holds the item's own columns and both answers, and nothing that says whose they are: a prompt cannot name a
contestant. Each item is there in both orders, one after the other, since judges like a place for its own sake; who wins
only where he stands first has won nothing.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator
from typing import IO, Any, NamedTuple

import msgspec
from msgspec import Raw

from runner.compile.references import Index
from runner.compile.texts import text_of
from runner.errors import DataError, Mark
from runner.job.pairs import FIRST, ID_COLUMN, SECOND, Order, Orders, id_of
from runner.mending import NOT_SO

_NOWHERE = Mark("")
_Columns = dict[str, Raw]
_decode = msgspec.json.Decoder(_Columns).decode
_decode_value = msgspec.json.Decoder().decode
_encode = msgspec.json.Encoder().encode
_sorted = msgspec.json.Encoder(order="sorted").encode  # the order of columns does not count


class Paired(NamedTuple):
    """What became of the items. Those that both answered are `asked` or `tied`."""

    asked: int  # items; each is one row, or two
    tied: int  # items whose two answers are the same: a tie, and nobody is asked
    only_first: int  # items that only the baseline answered
    only_second: int


def pair(
    first: Iterable[bytes],
    second: Iterable[bytes],
    id_column: str,
    orders: Orders,
    out: IO[bytes],
    tied: IO[bytes],
    mark: Mark = _NOWHERE,
) -> Paired:
    """Write the rows of the pairs to `out`, and the items whose answers are the same to `tied`, a line each.

    first, second: lines of the answers, the baseline's first, each a JSON object with the item's columns and the answer
    in column `first` and `second`. They may come in any order; rows come in that of the first. What stays in memory is
    packed, as of `references.Index`. id_column: names the items on both sides.
    Raises DataError, at `mark`, where the items themselves have a column that pairs need.
    """
    others = Index()
    for line in second:
        columns = _decode(line)
        _refuse(FIRST, columns, mark)
        others.add(_id_in(columns, id_column), bytes(columns[SECOND]))
    for _ in others.sort():  # ids are told apart where the two jobs are compiled
        pass
    found = asked = same = only_first = 0
    for line in first:
        columns = _decode(line)
        _refuse(SECOND, columns, mark)
        item = _id_in(columns, id_column)
        other = others.find(item)
        if other is None:
            only_first += 1
            continue
        found += 1
        mine = bytes(columns.pop(FIRST))
        if id_column != ID_COLUMN:
            _refuse(ID_COLUMN, columns, mark)
        is_same = _is_same(mine, other)
        same += is_same
        asked += not is_same
        for order in (Order.AB,) if is_same else _orders_of(columns, orders):
            answers = (mine, other) if order is Order.AB else (other, mine)
            row = {**columns, ID_COLUMN: id_of(item, order), FIRST: Raw(answers[0]), SECOND: Raw(answers[1])}
            (tied if is_same else out).write(_encode(row) + b"\n")
    return Paired(asked, same, only_first, len(others) - found)


def _refuse(name: str, columns: _Columns, mark: Mark) -> None:
    if name in columns:
        raise DataError(
            f"the rows have a column `{name}` of their own, and pairs have one of that name",
            hint="rename it in the files of the dataset",
            mark=mark,
        )


def _id_in(columns: _Columns, name: str) -> str:
    return text_of(_decode_value(columns[name]))


def _is_same(one: bytes, other: bytes) -> bool:
    """Whether two answers are the same but for white space at their ends."""
    return one == other or _value(one) == _value(other)


def _value(answer: bytes) -> Any:
    try:
        found = _decode_value(answer)
    except NOT_SO:  # nested deeper than anybody decodes
        return answer
    # Python takes `1`, `1.0` and `true` for one; they are three answers
    return found.strip() if isinstance(found, str) else _sorted(found)


def _orders_of(columns: _Columns, orders: Orders) -> Iterator[Order]:
    if orders is Orders.BOTH:
        yield from Order
        return
    # by what the item holds, not by where it stands: a row that is added turns no other one round
    content = {name: _decode_value(value) for name, value in columns.items() if name != ID_COLUMN}
    digest = hashlib.sha256(b"runner-pairs/1\n" + _sorted(content)).digest()
    yield Order.BA if digest[0] & 1 else Order.AB
