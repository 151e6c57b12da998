"""Vectors, moderations, completions and responses, from the specs to files of each format, and read back from them."""

from __future__ import annotations

import csv
import json
import shutil
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from tests.journeys.lab import Lab

SPEC = """\
project: lab
providers:
  lab: {kind: openai, base_url: "{url}", api_key_env: LAB_KEY, overrides: {settle_s: 0.4, min_poll_s: 0.05}}
datasets:
  rows: {files: data/rows.csv, id: id}
models:
  vector: {provider: lab, name: echo, endpoint: embeddings, params: {dimensions: 4}}
  packed: {provider: lab, name: echo, endpoint: embeddings, params: {dimensions: 4, encoding_format: base64}}
  judge: {provider: lab, name: echo, endpoint: moderations}
  writer: {provider: lab, name: echo, endpoint: completions}
  agent: {provider: lab, name: echo, endpoint: responses, params: {tool_choice: required}}
prompts:
  bare: {user: "{{ word }}"}
  tooled:
    user: "{{ word }}"
    tools: [{type: function, function: {name: weather, parameters: {type: object, properties: {city: {enum: [Oslo]}}}}}]
jobs:
"""
JOB = "  {name}: {{dataset: rows, prompt: {prompt}, model: {model}, output: 'results/{name}.{suffix}'{more}}}\n"
FORMATS = ("jsonl", "csv", "parquet")
SHORT = ", columns: [custom_id, answer, digest, origin]"


def write_specs(lab: Lab) -> None:
    jobs = [(f"{model}-{suffix}", "bare", model, suffix, "") for model in ("vector", "judge") for suffix in FORMATS]
    jobs += [(f"vector-short-{suffix}", "bare", "vector", suffix, SHORT) for suffix in FORMATS]
    jobs += [("packed", "bare", "packed", "parquet", ""), ("writer", "bare", "writer", "csv", "")]
    jobs += [("agent", "tooled", "agent", "jsonl", "")]
    names = ("name", "prompt", "model", "suffix", "more")
    text = SPEC + "".join(JOB.format(**dict(zip(names, job, strict=True))) for job in jobs)
    lab.spec(text.replace("{", "{{").replace("}", "}}").replace("{{url}}", "{url}"))
    lab.rows({"a": "calm words", "b": "some violence"})


def rows_of(lab: Lab, name: str) -> list[dict[str, Any]]:
    path = lab.root / "results" / name
    match path.suffix:
        case ".jsonl":
            return [json.loads(line) for line in path.read_bytes().splitlines()]
        case ".csv":
            return list(csv.DictReader(path.read_text("utf-8-sig").splitlines()))
        case _:
            return list(pq.read_table(path).to_pylist())


def test_each_endpoint_in_each_format_and_back(lab: Lab) -> None:
    write_specs(lab)
    lab.apply()
    vectors = [row["answer"] for row in rows_of(lab, "vector-jsonl.jsonl")]
    assert [len(vector) for vector in vectors] == [4, 4] and all(isinstance(n, float) for n in vectors[0])
    assert [json.loads(row["answer"]) for row in rows_of(lab, "vector-csv.csv")] == vectors
    table = pq.read_table(lab.root / "results/vector-parquet.parquet")
    assert table.schema.field("answer").type == pa.list_(pa.float64())
    assert table.column("answer").to_pylist() == vectors and "answer_json" not in table.column_names
    assert all(isinstance(row["answer"], str) for row in rows_of(lab, "packed.parquet"))

    verdicts = [row["answer"] for row in rows_of(lab, "judge-jsonl.jsonl")]
    assert [verdict["flagged"] for verdict in verdicts] == [False, True]
    assert verdicts[1]["categories"]["violence"] and not verdicts[1]["categories"]["hate"]
    assert [json.loads(row["answer"]) for row in rows_of(lab, "judge-csv.csv")] == verdicts
    typed = rows_of(lab, "judge-parquet.parquet")
    assert [row["answer_json"]["flagged"] for row in typed] == [False, True]
    assert json.loads(typed[1]["answer_json"]["categories"]) == verdicts[1]["categories"]
    assert json.loads(typed[1]["answer"]) == verdicts[1]

    assert [row["answer"] for row in rows_of(lab, "writer.csv")] == ["echo: calm words", "echo: some violence"]
    called = rows_of(lab, "agent.jsonl")
    assert [(row["answer"], row["finish"]) for row in called] == [(None, "tool_calls")] * 2
    assert called[0]["response"]["output"][0]["arguments"] == '{"city":"Oslo"}'
    # equal requests are one, whatever file they are written to
    assert lab.server.get("/_log")["rows_asked"] == 2 * 5

    written = {path.name: path.read_bytes() for path in (lab.root / "results").iterdir()}
    shutil.rmtree(lab.root / ".runner")
    # as earlier versions wrote it: a vector was the text of its JSON
    old = table.set_column(table.column_names.index("answer"), "answer", pa.array(list(map(json.dumps, vectors))))
    pq.write_table(old, lab.root / "results/vector-parquet.parquet")
    for name in [name for name in written if name.startswith("vector") and name != "vector-parquet.parquet"]:
        (lab.root / "results" / name).unlink()
    lab.apply()
    assert lab.server.get("/_log")["rows_asked"] == 2 * 5
    assert [row["answer"] for row in rows_of(lab, "vector-short-jsonl.jsonl")] == vectors
    assert pq.read_table(lab.root / "results/vector-parquet.parquet").column("answer").to_pylist() == vectors


@pytest.mark.parametrize("suffix", FORMATS)
def test_vectors_are_read_back_from_files_without_responses(lab: Lab, suffix: str) -> None:
    write_specs(lab)
    lab.apply("-s", "vector-jsonl", "-s", f"vector-short-{suffix}")
    vectors = [row["answer"] for row in rows_of(lab, "vector-jsonl.jsonl")]
    shutil.rmtree(lab.root / ".runner")
    (lab.root / "results/vector-jsonl.jsonl").unlink()
    lab.apply("-s", f"vector-short-{suffix}")
    lab.apply("-s", "vector-jsonl")
    assert lab.server.get("/_log")["rows_asked"] == 2
    assert [row["answer"] for row in rows_of(lab, "vector-jsonl.jsonl")] == vectors
