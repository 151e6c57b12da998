"""The input's columns in a table: whatever a row holds, the quick way and the plain one say the same."""

from __future__ import annotations

import csv
import io
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from runner.errors import DataError
from runner.results import columns, kinds
from runner.results.cells import cell_of, unguarded
from runner.results.export import CsvWriter
from runner.results.inputs import InputRow
from runner.results.splice import Merged

SCALARS: Any = (
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(max_size=9)
)
VALUES: Any = SCALARS | st.lists(SCALARS, max_size=3) | st.dictionaries(st.text(max_size=3), SCALARS, max_size=3)
ABSENT = "in no row"
NAMES = st.text(min_size=1, max_size=6)
ROWS = st.dictionaries(NAMES, VALUES | st.sampled_from(['"', ",", "=1", "-5", "a\r\nb", "@x", "\t"]), max_size=5)


def line(row: bytes, custom_id: str = "r") -> Merged:
    return Merged(custom_id, row, b'"a"', b"null", b"null", None, "0" * 64, None)


@given(ROWS)
def test_texts_are_the_values_as_json_shows_them(cells: dict[str, Any]) -> None:
    row = msgspec.json.encode(cells)
    of = InputRow([*cells, ABSENT], is_all=True)
    one = line(row)
    assert list(of.texts(one)) == [cell_of(value) for value in of(one)]
    assert [msgspec.json.decode(value) for value in of(one)] == [*of.plain(one)] == [*cells.values(), None]


def test_digits_stay_as_they_were_written() -> None:
    of = InputRow(("a", "b", "c"), is_all=True)
    assert of.texts(line(b'{"a":1.50,"b":1e3,"c":123456789012345678901234567890}')) == [
        "1.50",
        "1e3",
        "123456789012345678901234567890",
    ]


def test_a_column_that_no_other_row_has_is_named() -> None:
    with pytest.raises(DataError, match="row `r` has a column `b`"):
        InputRow(("a",), is_all=True).texts(line(b'{"a":1,"b":2}'))
    assert InputRow(("a",), is_all=False).texts(line(b'{"a":1,"b":2}')) == ["1"]


@given(st.lists(ROWS, max_size=4), st.text(max_size=5), st.booleans())
def test_any_csv_reads_back(rows: list[dict[str, Any]], custom_id: str, is_guarded: bool) -> None:
    lines = [line(msgspec.json.encode(row), custom_id) for row in rows]
    names = dict.fromkeys(name for row in rows for name in row)
    about = columns.Input(dict.fromkeys(names, kinds.TEXT))
    table = columns.table(".csv", columns.About(), about)
    out = io.BytesIO()
    writer = CsvWriter(out, table.columns, is_guarded=is_guarded)
    for one in lines:
        writer.write(one)
    header, *read = csv.reader(io.StringIO(out.getvalue().decode(), newline=""))
    shown = about.named(columns.CSV)
    of = InputRow(tuple(names), is_all=True)
    open_ = unguarded if is_guarded else str
    assert [open_(name) for name in header][1 : 1 + len(names)] == list(shown.values())
    for cells, one in zip(read, lines, strict=True):
        assert open_(cells[0]) == custom_id
        assert [open_(cell) for cell in cells[1 : 1 + len(names)]] == list(of.texts(one))
        if is_guarded:
            assert not [cell for cell in cells if cell[:1] in tuple("=@\t\r")]
