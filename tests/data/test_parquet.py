"""Parquet values become JSON, always the same way."""

from __future__ import annotations

import gzip
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import msgspec
import pytest

from runner.data.rows import open_rows
from runner.errors import DataError
from tests.data.test_rows import Spec

pa = pytest.importorskip("pyarrow")
pq = pytest.importorskip("pyarrow.parquet")


def written(path: Path, **columns: Any) -> Path:
    pq.write_table(pa.table(columns), path, row_group_size=3000)
    return path


def rows_of(root: Path, name: str, at: list[int] | None = None) -> list[dict[str, Any]]:
    return [row.row for row in open_rows(Spec((name,)), root, at)]


def test_values_have_one_spelling(tmp_path: Path) -> None:
    when = datetime(2026, 11, 21, 12, 30, 1, 250_000)
    written(
        tmp_path / "a.parquet",
        n=[2**62],
        text=["é"],
        missing=pa.array([None], pa.string()),
        flag=[True],
        share=[0.5],
        naive=pa.array([when], pa.timestamp("us")),
        zoned=pa.array([when.replace(tzinfo=UTC)], pa.timestamp("ms", "Europe/Paris")),
        nanos=pa.array([1_700_000_000_000_000_001], pa.timestamp("ns")),
        day=[date(2026, 1, 2)],
        lasted=[timedelta(seconds=90, microseconds=500_000)],
        price=[Decimal("1.10")],
        blob=[b"\xff\x00"],
        nested=[[{"at": when, "raw": b"x"}]],
        label=pa.array(["x"]).dictionary_encode(),
    )
    (row,) = open_rows(Spec(("a.parquet",)), tmp_path)
    assert msgspec.json.decode(row.json) == row.row
    assert row.row == {
        "n": 2**62,
        "text": "é",
        "missing": None,
        "flag": True,
        "share": 0.5,
        "naive": "2026-11-21T12:30:01.25",
        "zoned": "2026-11-21T12:30:01.25Z",
        "nanos": "2023-11-14T22:13:20.000000001",
        "day": "2026-01-02",
        "lasted": "90.5",
        "price": "1.10",
        "blob": "/wA=",
        "nested": [{"at": "2026-11-21T12:30:01.25", "raw": "eA=="}],
        "label": "x",
    }


@pytest.mark.parametrize("strange", [float("nan"), float("inf"), float("-inf")])
def test_numbers_json_cannot_say_are_null_and_told_of(tmp_path: Path, strange: float) -> None:
    deep = [{"y": [1.0]}, {"y": [1.0]}, {"y": [strange]}]
    written(tmp_path / "a.parquet", x=[1.0, strange, 2.5], deep=deep)
    rows = list(open_rows(Spec(("a.parquet",)), tmp_path))
    assert [row.row for row in rows] == [
        {"x": 1.0, "deep": {"y": [1.0]}},
        {"x": None, "deep": {"y": [1.0]}},
        {"x": 2.5, "deep": {"y": [None]}},
    ]
    assert [row.nulled for row in rows] == [(), ("x",), ("deep",)]
    (last,) = open_rows(Spec(("a.parquet",)), tmp_path, [2])
    assert (last.line, last.number, last.nulled) == (3, 2, ("deep",))


def test_picked_rows_skip_whole_batches(tmp_path: Path) -> None:
    written(tmp_path / "a.parquet", x=list(range(20_000)))
    assert [row["x"] for row in rows_of(tmp_path, "a.parquet", [5, 9_000, 19_999])] == [5, 9_000, 19_999]
    marks = [str(row.mark) for row in open_rows(Spec(("a.parquet",)), tmp_path, [5, 9_000, 19_999])]
    assert marks == ["a.parquet:6", "a.parquet:9001", "a.parquet:20000"]


def test_a_packed_parquet_file_is_read(tmp_path: Path) -> None:
    (tmp_path / "a.parquet.gz").write_bytes(gzip.compress(written(tmp_path / "plain.parquet", x=[1, 2]).read_bytes()))
    assert rows_of(tmp_path, "a.parquet.gz") == [{"x": 1}, {"x": 2}]


@pytest.mark.parametrize("keep", [0, 4, 100])
def test_a_damaged_file_is_a_data_error(tmp_path: Path, keep: int) -> None:
    whole = written(tmp_path / "a.parquet", x=[1, 2]).read_bytes()
    (tmp_path / "a.parquet").write_bytes(whole[:keep])
    with pytest.raises(DataError, match="is cut short") as caught:
        rows_of(tmp_path, "a.parquet")
    assert "download it again" in caught.value.hint
