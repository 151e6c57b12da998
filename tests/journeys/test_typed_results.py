"""What a job's parquet results say of a parquet input, and of what its answers cost."""

from __future__ import annotations

from datetime import UTC, datetime
from decimal import Decimal

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from tests.journeys.lab import Lab


def test_columns_keep_their_types_and_usd_is_the_price_of_a_batch(lab: Lab) -> None:
    path = lab.root / "specs/lab.yaml"
    text = path.read_text().replace("answers.jsonl", "answers.parquet").replace("data/rows.csv", "data/rows.parquet")
    text = text.replace("    overrides: {", "    overrides: {discount: 0.25, ")
    path.write_text(text.replace("    name: echo\n", "    name: echo\n    price: {input: 100, output: 300}\n"))
    assert "discount" in path.read_text() and "price" in path.read_text()
    when = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
    table = pa.table({"id": ["a", "b"], "word": ["x", "y"], "at": [when, when], "cost": [Decimal("1.50"), None]})
    pq.write_table(table, lab.root / "data/rows.parquet")
    lab.apply()
    found = pq.read_table(lab.root / "results/answers.parquet")
    assert found.schema.field("at").type == pa.timestamp("us", "UTC")
    assert found.schema.field("cost").type == pa.decimal128(3, 2)
    for row in found.to_pylist():
        assert (row["at"], row["cost"]) == (when, Decimal("1.50") if row["custom_id"] == "a" else None)
        tokens = row["input_tokens"] * 100 + row["output_tokens"] * 300
        assert tokens and row["usd"] == pytest.approx(tokens / 1e6 * 0.75)
