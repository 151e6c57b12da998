"""Columns of a parquet input keep their types in parquet results, whatever a row's way there was."""

from __future__ import annotations

import hashlib
from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from runner.compile.compiled import RowView
from runner.data.rows import columns_of, open_rows
from runner.job.observed import Phase
from runner.results import columns
from runner.results.export import writer_for
from runner.results.index import build_index
from runner.results.locate import OutcomeSource, locate
from runner.results.merge import merge
from runner.results.parquet import kind_of
from tests.data.test_rows import Spec

from . import made

WHEN = datetime(2026, 11, 21, 12, 30, 1, 250_000)
ZONED = WHEN.replace(tzinfo=UTC)
COLUMNS: dict[str, Any] = {
    **{
        f"naive_{unit}": pa.array([WHEN.replace(microsecond=0), None], pa.timestamp(unit)) for unit in ("s", "ms", "us")
    },
    "nanos": pa.array([1_700_000_000_000_000_001, -1], pa.timestamp("ns")),
    "zoned": pa.array([ZONED, None], pa.timestamp("ms", "Europe/Paris")),
    "day": pa.array([date(2026, 1, 2), None]),
    "day64": pa.array([date(1969, 1, 2), None], pa.date64()),
    "at": pa.array([time(1, 2, 3, 400), None], pa.time64("us")),
    "at32": pa.array([time(1, 2, 3), None], pa.time32("s")),
    "lasted": pa.array([timedelta(seconds=-90, microseconds=500_000), None], pa.duration("us")),
    "price": pa.array([Decimal("1.10"), None]),
    "large": pa.array([Decimal("-12345678901234567890123.5"), None], pa.decimal256(50, 3)),
    "blob": pa.array([b"\xff\x00", None]),
    "fixed": pa.array([b"ab", None], pa.binary(2)),
    "n8": pa.array([-5, None], pa.int8()),
    "u64": pa.array([2**64 - 1, None], pa.uint64()),
    "f32": pa.array([0.1, None], pa.float32()),
    "flag": pa.array([True, None]),
    "text": pa.array(['é,"', None], pa.large_string()),
    "nothing": pa.nulls(2),
    "times": pa.array([[WHEN, None], []], pa.list_(pa.timestamp("us"))),
    "nested": pa.array([{"at": ZONED, "price": Decimal("2.5"), "in": [{"d": date(2026, 1, 1)}]}, None]),
    "pairs": pa.array([[("a", Decimal("1.0"))], None], pa.map_(pa.string(), pa.decimal128(3, 1))),
}


def results_of(root: Path, files: tuple[str, ...]) -> Any:
    """The parquet results of a job over these files, as the product makes them."""
    dataset = Spec(files)
    rows = [
        RowView(str(n), row.json, hashlib.sha256(str(n).encode()).digest())
        for n, row in enumerate(open_rows(dataset, root))
    ]
    names = [row.custom_id for row in rows]
    raw = made.raw(root / "raw", *map(made.ok, names))
    index = build_index([raw], made.expected(*names), ended=Phase.COMPLETED).index
    one = OutcomeSource(index, 0, "b", made.ORIGIN, (raw,))
    told = columns_of(dataset, root)
    assert told is not None
    given = columns.Input({name: kind_of(kind) for name, kind in told.items()})
    with writer_for(root / "out.parquet", root, columns.table(".parquet", columns.About(), given)) as writer:
        merge(rows, locate(made.keys(*names), [one]), [one], writer)
    return pq.read_table(root / "out.parquet")


def test_every_type_comes_back(tmp_path: Path) -> None:
    pq.write_table(pa.table(COLUMNS), tmp_path / "in.parquet")
    source = pq.read_table(tmp_path / "in.parquet")  # what the format itself keeps
    found = results_of(tmp_path, ("in.parquet",))
    for name in COLUMNS:
        assert found.schema.field(name).type == source.schema.field(name).type, name
        assert found.column(name).cast(source.schema.field(name).type).equals(source.column(name)), name


def test_a_dictionary_is_its_values_and_halves_are_wider(tmp_path: Path) -> None:
    np = pytest.importorskip("numpy")
    table = {
        "label": pa.array(["x", "y", "x"]).dictionary_encode(),
        "half": pa.array([np.float16(0.5), None, np.float16(2)], pa.float16()),
    }
    pq.write_table(pa.table(table), tmp_path / "in.parquet")
    found = results_of(tmp_path, ("in.parquet",))
    assert (found.schema.field("label").type, found.schema.field("half").type) == (pa.string(), pa.float32())
    assert found.column("label").to_pylist() == ["x", "y", "x"]
    assert found.column("half").to_pylist() == [0.5, None, 2.0]


def test_files_that_differ_are_read_to_find_the_types(tmp_path: Path) -> None:
    pq.write_table(pa.table({"n": [1], "only": ["x"]}), tmp_path / "a.parquet")
    pq.write_table(pa.table({"n": ["one"]}), tmp_path / "b.parquet")
    (tmp_path / "c.csv").write_text("n,more\n1,2\n")
    (tmp_path / "d.jsonl").write_text('{"n": 1}\n')
    assert columns_of(Spec(("a.parquet", "b.parquet")), tmp_path) is None
    assert columns_of(Spec(("d.jsonl",)), tmp_path) is None
    assert columns_of(Spec(("c.csv",)), tmp_path) == {"n": None, "more": None}
    assert list(columns_of(Spec(("a.parquet",)), tmp_path) or ()) == ["n", "only"]
