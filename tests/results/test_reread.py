"""Lines of results files as a person looks at them: of every format, and of those that earlier versions wrote."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import msgspec
import pytest

from runner.compile.compiled import RowView
from runner.errors import DataError
from runner.job.observed import Phase
from runner.job.outcomes import Unsettled
from runner.results import columns, export
from runner.results.index import build_index
from runner.results.locate import OutcomeSource, locate
from runner.results.merge import merge
from runner.results.reread import Line, lines_in
from tests.results import heard, made
from tests.results.test_earlier_formats import OLD, TEXTS

SUFFIXES = [".jsonl", ".csv", ".parquet"]
CELLS = {"word": '=a "b",\n\u2028', "n": 3, "tags": ["x"], "answer": "the dataset's own", "none": None}


def row(name: str) -> RowView:
    return RowView(name, msgspec.json.encode({"id": name, **CELLS}), made.digest(name))


def written(tmp_path: Path, suffix: str, chosen: tuple[str, ...] = ()) -> list[Line]:
    """Rows `a` (answered), `b` (an error), `c` (not sent), `d` (in flight), `e` (an answer that is JSON)."""
    names = ["a", "b", "c", "d", "e"]
    lines = made.ok("a", "-5 is the answer"), made.refused("b"), made.ok("e", '{"x": [1, "é"]}')
    raw = made.raw(tmp_path / "raw", *lines)
    index = build_index([raw], made.expected("a", "b", "e"), ended=Phase.COMPLETED).index
    source = OutcomeSource(index, 0, "batch_1", made.ORIGIN, (raw,))
    states = bytes((0, 0, Unsettled.NOT_SENT, Unsettled.IN_FLIGHT, 0))
    given = columns.input_of((row(name).row_json for name in names), typed=suffix == ".parquet")
    table = columns.table(suffix, columns.About(), given, chosen=chosen)
    path = tmp_path / f"out{suffix}"
    with export.writer_for(path, tmp_path, table) as writer:
        merge(map(row, names), locate(made.keys(*names), [source]), [source], writer, states=states)
    return list(lines_in(path))


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_every_format_says_the_same(tmp_path: Path, suffix: str) -> None:
    lines = written(tmp_path, suffix)
    assert [line.custom_id for line in lines] == ["a", "b", "c", "d", "e"]
    assert [line.status for line in lines] == ["ok", "error", "not_sent", "in_flight", "ok"]
    assert [line.text for line in lines] == ["-5 is the answer", None, None, None, '{"x": [1, "é"]}']
    assert [line.digest for line in lines] == [made.digest(name).hex() for name in "abcde"]
    assert lines[1].error_code and lines[1].error_message
    assert lines[0].finish == "stop"
    shown = lines[0].columns
    assert (shown["word"], shown["n"], shown["tags"].replace(" ", "")) == (CELLS["word"], "3", '["x"]')
    assert shown["answer" if suffix == ".jsonl" else "row_answer"] == "the dataset's own"
    assert json.loads(lines[0].response)["choices"]


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_columns_that_a_job_chose(tmp_path: Path, suffix: str) -> None:
    lines = written(tmp_path, suffix, ("word", "custom_id", "answer", "error", "digest", "origin"))
    assert [line.status for line in lines] == ["ok", "error", "not_sent", "in_flight", "ok"]
    assert lines[0].columns == {"word": CELLS["word"]}
    assert (lines[0].batch, lines[0].finish, lines[0].response) == (None, None, b"null")


@pytest.mark.parametrize("suffix", [*SUFFIXES, "/"])
def test_recordings(tmp_path: Path, suffix: str) -> None:
    source = heard.source(tmp_path / "raw", ["x/a.wav"], heard.said("x/a.wav", heard.VERBOSE))
    path = tmp_path / (f"calls{suffix}" if suffix != "/" else "calls")
    write = heard.write_table if suffix != "/" else heard.write_folder
    path.mkdir() if suffix == "/" else None
    write(path, tmp_path, ["x/a.wav"], [source])
    (line,) = lines_in(path)
    assert (line.custom_id, line.status, line.text) == ("x/a.wav", "ok", "hello there")
    assert "sha256" not in line.columns
    assert suffix == "/" or line.columns["language"] == "en"


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_what_an_earlier_version_wrote(suffix: str) -> None:
    plain = list(lines_in(OLD / f"results/plain{suffix}"))
    assert [line.text or "" for line in plain] == TEXTS
    assert [line.custom_id for line in plain] == ["r1", "r2", "r3", "r4"]
    assert plain[0].columns["word"] == "one"
    assert "my own" in plain[0].columns.values()
    mixed = [line.status for line in lines_in(OLD / f"mixed/rows{suffix}")]
    assert mixed[0] == "ok" and {"error", "missing", "unknown"} >= set(mixed[1:])
    calls = list(lines_in(OLD / f"results/calls{suffix}"))
    assert all((line.text or "").startswith("=hello calls/") for line in calls)


def test_a_folder_of_an_earlier_version() -> None:
    assert [line.text for line in lines_in(OLD / "results/calls")] == ["=hello calls/4a.wav", "=hello calls/4b.wav"]


DIGEST = "0" * 64
BAD: list[tuple[str, Any]] = [
    (".jsonl", '{"custom_id": "a", "digest": "DIGEST", "origin": null}\n{"half\n'),
    (".jsonl", '{"custom_id": "a", "digest": "DIGEST", "origin": null}\n[1]\n'),
    (".jsonl", '{"custom_id": "a", "digest": "DIGEST", "origin": null}\n{"digest": "zz", "origin": null}\n'),
    (".jsonl", '{"custom_id": "a", "digest": "DIGEST", "origin": null}\n{"custom_id": "b"}\n'),
    (".csv", "custom_id,digest,origin\na,DIGEST,o\nb,DIGEST\n"),
    (".csv", 'custom_id,digest,origin\na,DIGEST,o\nb,DIGEST,"o\n'),
]


@pytest.mark.parametrize(("suffix", "text"), BAD)
def test_what_is_no_line_is_named(tmp_path: Path, suffix: str, text: str) -> None:
    path = tmp_path / f"out{suffix}"
    path.write_text(text.replace("DIGEST", DIGEST))
    lines = lines_in(path)
    assert next(lines).custom_id == "a"
    with pytest.raises(DataError, match="line 2 is not a line of a results file"):
        next(lines)


def test_a_parquet_that_is_none(tmp_path: Path) -> None:
    (tmp_path / "out.parquet").write_bytes(b"PAR1 no")
    with pytest.raises(DataError, match=r"out\.parquet"):
        list(lines_in(tmp_path / "out.parquet"))
    with pytest.raises(DataError, match="not a results file"):
        list(lines_in(tmp_path / "out.txt"))
