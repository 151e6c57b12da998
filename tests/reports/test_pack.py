"""Rows, packed: what goes in comes out again, in the right order, and no more than may."""

from __future__ import annotations

import base64
import json
import zlib
from typing import Any

from runner.reports import pack
from runner.reports.facts import STATUSES, Row
from runner.reports.pack import Limit, Packed
from tests.reports import making

ROWS = making.rows(1200)
FACTS = making.facts(ROWS)
REPLY = FACTS.groups[0]


def packed(limit: Limit, rows: tuple[Row, ...] = ROWS) -> Packed:
    return pack.packed(REPLY, making.source(rows), limit)


def unpacked(data: str) -> bytes:
    return zlib.decompress(base64.b64decode(data), -15)


def texts(found: Packed) -> list[list[Any]]:
    return [json.loads(line) for block in found.blocks for line in unpacked(block).decode().split("\n")]


def lines_of(found: Packed) -> list[int]:
    """Where each row of the page stands in the input, from 1."""
    tail = unpacked(found.statuses)[-4 * found.meta["rows"] :]
    return [int.from_bytes(tail[at : at + 4], "little") for at in range(0, len(tail), 4)]


def is_wrong(row: Row) -> bool:
    held = [one.status for answer in row.answers if answer for one in answer.checks]
    return any(status in ("wrong", "partly", "unreadable", "unanswered") for status in held)


def test_all_rows_come_back_failures_first() -> None:
    found = packed(pack.ALL)
    order = lines_of(found)
    assert sorted(order) == list(range(1, 1201))
    assert [is_wrong(ROWS[line - 1]) for line in order] == sorted((is_wrong(row) for row in ROWS), reverse=True)
    assert [row[0] for row in texts(found)] == [ROWS[line - 1].custom_id for line in order]
    assert found.left_out == 0
    assert found.meta["starts"] == sorted(found.meta["starts"])
    assert len(found.meta["starts"]) == len(found.blocks)


def test_statuses_are_one_byte_a_row_cell_and_check() -> None:
    found = packed(pack.NONE)
    data, order = unpacked(found.statuses), lines_of(found)
    checks = len(REPLY.cells[0].checks)
    for cell in range(len(REPLY.cells)):
        for check in range(checks):
            at = (cell * checks + check) * 1200
            told = [STATUSES[code] for code in data[at : at + 1200]]
            assert told == [ROWS[line - 1].answers[cell].checks[check].status for line in order]  # type: ignore[union-attr]
    slices = data[len(REPLY.cells) * checks * 1200 :]
    values = found.meta["slices"][0]["values"]
    assert [values[code] for code in slices[:1200]] == [ROWS[line - 1].slices["language"] for line in order]


def test_no_texts_at_all() -> None:
    found = packed(pack.NONE)
    assert (found.blocks, found.meta["texts"], found.left_out) == ([], 0, 1200)
    assert sorted(lines_of(found)) == list(range(1, 1201))
    assert "Sofia" not in unpacked(found.statuses).decode("latin-1")


def test_so_many_rows_wrong_ones_first_then_the_same_sample() -> None:
    wrong = sum(map(is_wrong, ROWS))
    found = packed(Limit(rows=wrong + 40, size=None))
    assert (found.meta["texts"], found.left_out) == (wrong + 40, 1200 - wrong - 40)
    sample = {row[0] for row in texts(found)[wrong:]}
    assert not any(is_wrong(row) for row in ROWS if row.custom_id in sample)
    # The sample follows from the ids alone: other rows before them change nothing of it.
    more = tuple(row._replace(custom_id=f"new-{n}") for n, row in enumerate(ROWS[:50]))
    again = packed(Limit(rows=2000, size=None), (*more, *ROWS))
    assert sample <= {row[0] for row in texts(again)}
    assert packed(Limit(rows=wrong + 40, size=None)) == found


def test_no_more_bytes_than_may() -> None:
    everything = sum(map(len, packed(pack.ALL).blocks))
    for size in (everything // 2, everything // 10):
        found = packed(Limit(size=size))
        assert 0.6 * size < sum(map(len, found.blocks)) < 1.6 * size or found.meta["texts"] <= 2 * pack.BLOCK_ROWS
        assert found.left_out > 0


def test_a_long_text_is_cut_and_a_long_block_ended() -> None:
    rows = making.rows(60, longest=1 << 20)
    many = tuple(row._replace(custom_id=f"{n}", answers=rows[19].answers) for n, row in enumerate(rows))
    found = packed(pack.ALL, many)
    (answer,) = {len(row[2][1][0]) for row in texts(found)}
    assert 100_000 < answer < 100_200
    assert len(found.blocks) > 2, "a block is unpacked whole, so it has a bound"
