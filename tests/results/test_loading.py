"""The three formats in the tools people load them with: names, types, a filter and a join, and no JSON text parsed."""

from __future__ import annotations

import os
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import msgspec
import pytest

from runner.job.observed import Phase
from runner.remotes.reading.verdict import Expected
from runner.results import columns, kinds
from runner.results.export import writer_for
from runner.results.index import build_index
from runner.results.locate import OutcomeSource, locate
from runner.results.merge import merge

from . import made

if not all(map(find_spec, ("pandas", "polars", "duckdb"))):
    if "CI" in os.environ:
        raise ImportError("the extra `test` brings pandas, polars and duckdb")
    pytest.skip("needs the extra `test` of today", allow_module_level=True)

import duckdb
import pandas as pd
import polars as pl

SCHEMA = {"type": "object", "properties": {"score": {"type": "integer"}, "why": {"type": "string"}}}
ABOUT = columns.About(
    job="rate",
    model="small",
    cell={"model": "small", "replicate": "2"},
    usd_per_million=(1.0, 2.0),
    answer=kinds.of_schema(SCHEMA),
)
ROWS = [
    made.row("a", city="Oslo", n=1, share=0.5, tags=["x"], status="mine"),
    made.row("b", city="=Rome", n=2, share=1, tags=[], status="too"),
    made.row("c", city="Bern", n=3, share=None, tags=["y", "z"], status="not"),
]
NAMES = {  # of the parquet, in order
    "custom_id": "VARCHAR",
    "city": "VARCHAR",
    "n": "BIGINT",
    "share": "DOUBLE",
    "tags": "VARCHAR[]",
    "row_status": "VARCHAR",
    "answer": "VARCHAR",
    "answer_json": "STRUCT(score BIGINT, why VARCHAR)",
    "status": "VARCHAR",
    "finish": "VARCHAR",
    "error_code": "VARCHAR",
    "error_message": "VARCHAR",
    "model": "VARCHAR",
    "job": "VARCHAR",
    "replicate": "BIGINT",
    "input_tokens": "BIGINT",
    "cached_tokens": "BIGINT",
    "output_tokens": "BIGINT",
    "usd": "DOUBLE",
    "batch": "VARCHAR",
    "digest": "VARCHAR",
    "origin": "VARCHAR",
    "response": "VARCHAR",
}


@pytest.fixture
def files(tmp_path: Path) -> dict[str, Path]:
    """The results of one job in every format, by suffix."""
    told = [made.ok("a", '{"score": 7, "why": "good"}'), made.ok("b", '{"score": 3}'), made.refused("c")]
    raw = made.raw(tmp_path / "raw", *told)
    index = build_index([raw], made.expected("a", "b", "c"), ended=Phase.COMPLETED).index
    source = OutcomeSource(index, 0, "batch-1", made.ORIGIN, (raw,))
    found = {}
    for suffix in (".jsonl", ".csv", ".parquet"):
        given = columns.input_of((row.row_json for row in ROWS), typed=suffix == ".parquet")
        path = found[suffix] = tmp_path / f"out{suffix}"
        with writer_for(path, tmp_path, columns.table(suffix, ABOUT, given)) as writer:
            shown = locate(made.keys("a", "b", "c"), [source])
            merge(ROWS, shown, [source], writer, wanted=Expected(is_json=True, is_object=True))
    return found


LABELS = {"a": "north", "b": "south"}


def test_parquet_in_duckdb(files: dict[str, Path]) -> None:
    with duckdb.connect() as db:
        db.execute("CREATE TABLE labels AS SELECT * FROM (VALUES ('a', 'north'), ('b', 'south')) AS t(id, label)")
        source = f"read_parquet('{files['.parquet']}')"
        described = db.execute(f"DESCRIBE SELECT * FROM {source}").fetchall()
        assert {row[0]: row[1] for row in described} == NAMES and list(NAMES) == [row[0] for row in described]
        good = db.execute(f"SELECT custom_id FROM {source} WHERE answer_json.score > 5 AND status = 'ok'").fetchall()
        assert good == [("a",)]
        joined = db.execute(f"SELECT label, sum(usd) FROM {source} JOIN labels ON id = custom_id GROUP BY 1 ORDER BY 1")
        assert joined.fetchall() == [("north", pytest.approx(46e-6)), ("south", pytest.approx(46e-6))]


def test_parquet_in_pandas(files: dict[str, Path]) -> None:
    table = pd.read_parquet(files[".parquet"])
    assert list(table.columns) == list(NAMES)
    assert table.loc[table["status"] == "error", "error_code"].tolist() == ["bad"]
    assert table.loc[table["n"] >= 2, "city"].tolist() == ["=Rome", "Bern"]
    joined = table.merge(pd.DataFrame({"custom_id": list(LABELS), "label": list(LABELS.values())}), on="custom_id")
    assert joined["label"].tolist() == ["north", "south"]
    assert [one["score"] for one in joined["answer_json"]] == [7, 3]


def test_parquet_in_polars(files: dict[str, Path]) -> None:
    table = pl.read_parquet(files[".parquet"])
    assert table.columns == list(NAMES)
    assert (table.schema["n"], table.schema["tags"], table.schema["usd"]) == (pl.Int64, pl.List(pl.String), pl.Float64)
    assert table.filter(pl.col("answer_json").struct.field("score") > 5)["city"].to_list() == ["Oslo"]
    joined = table.join(pl.DataFrame({"custom_id": list(LABELS), "label": list(LABELS.values())}), on="custom_id")
    assert joined["label"].to_list() == ["north", "south"]


def test_csv(files: dict[str, Path]) -> None:
    path = files[".csv"]
    frame = pd.read_csv(path)
    assert list(frame.columns) == pl.read_csv(path).columns
    with duckdb.connect() as db:
        described = db.execute(f"DESCRIBE SELECT * FROM read_csv('{path}')").fetchall()
        assert [row[0] for row in described] == list(frame.columns)
        assert dict(row[:2] for row in described)["n"] == "BIGINT"
        assert db.execute(f"SELECT custom_id FROM read_csv('{path}') WHERE finish = 'stop' AND n > 1").fetchall() == [
            ("b",)
        ]
    assert frame["city"].tolist() == ["Oslo", "'=Rome", "Bern"]  # what a spreadsheet would run as a formula is guarded
    labels = pd.DataFrame({"custom_id": list(LABELS), "label": list(LABELS.values())})
    assert frame.merge(labels, on="custom_id")["label"].tolist() == ["north", "south"]
    joined = pl.read_csv(path).join(pl.from_pandas(labels), on="custom_id").filter(pl.col("n") == 1)
    assert joined["label"].to_list() == ["north"]


def test_jsonl(files: dict[str, Path]) -> None:
    path = files[".jsonl"]
    frame = pd.read_json(path, lines=True)
    assert pl.read_ndjson(path).columns == list(frame.columns) == list(columns.JSONL)
    with duckdb.connect() as db:
        source = f"read_json('{path}')"
        found = db.execute(f"SELECT row.city FROM {source} WHERE answer.score > 5 AND finish = 'stop'").fetchall()
        assert found == [("Oslo",)]
    assert [one["score"] for one in frame["answer"].dropna()] == [7, 3]
    labels: Any = pd.DataFrame({"custom_id": list(LABELS), "label": list(LABELS.values())})
    assert frame.merge(labels, on="custom_id")["label"].tolist() == ["north", "south"]
    kept = pl.read_ndjson(path).filter(pl.col("answer").struct.field("score") > 5)
    assert kept.join(pl.from_pandas(labels), on="custom_id")["label"].to_list() == ["north"]


def test_no_json_text_is_left_where_a_type_can_be(files: dict[str, Path]) -> None:
    first = pl.read_parquet(files[".parquet"]).to_dicts()[0]
    texts = {name for name, value in first.items() if isinstance(value, str) and value[:1] in "{["}
    assert texts == {"answer", "response"}  # the one is there with its types too, the other is kept as it came
    assert msgspec.json.decode(first["answer"]) == first["answer_json"]
