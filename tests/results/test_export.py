from __future__ import annotations

import csv
import itertools
import os
import sys
from pathlib import Path
from typing import Any

import msgspec
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from runner.compile.compiled import RowView
from runner.errors import DataError, RunnerError, UsageError
from runner.results import kinds
from runner.results.cells import guarded, unguarded
from runner.results.columns import About, input_of, table
from runner.results.export import writer_for
from runner.results.lines import count_lines
from runner.results.splice import Merged

from . import made

USUAL = table(".jsonl", About())
DIGEST = made.digest("a").hex()
TRICKY = 'a,"b"\r\n\u2028\u0085\x0c\x00é\U0001f600'


def encoded(value: Any) -> bytes:
    return msgspec.json.encode(value)


def one(answer: Any = "hello", error: Any = None, batch: str | None = "batch-1", **row: Any) -> Merged:
    response = None if error else made.chat(answer)
    parts = map(encoded, (row, answer, response, error))
    ended = (None, "error") if error else ("stop", "ok")
    return Merged("id\n1", *parts, batch, DIGEST, batch and made.ORIGIN, *ended)


def written(path: Path, *lines: Merged, columns: tuple[str, ...] = ()) -> Path:
    given = [RowView("", line.row, b"") for line in lines]
    with made.writer(path, path.parent, columns, given) as writer:
        for line in lines:
            writer.write(line)
    return path


def csv_rows(path: Path) -> list[list[str]]:
    with path.open(encoding="utf-8", newline="") as source:
        return list(csv.reader(source))


def test_jsonl_keeps_every_character(tmp_path: Path) -> None:
    path = written(tmp_path / "o.jsonl", one(TRICKY, n=10**30), one(None, {"code": "x"}, None))
    first, second, rest = path.read_bytes().split(b"\n")
    assert rest == b""
    keys = ["custom_id", "row", "answer", "finish", "response", "error", "batch", "digest", "origin"]
    assert list(msgspec.json.decode(first)) == keys
    assert msgspec.json.decode(first)["answer"] == TRICKY
    assert msgspec.json.decode(first)["row"] == {"n": 10**30}
    assert "\u2028".encode() in first
    assert msgspec.json.decode(second)["batch"] is None
    assert count_lines(path) == 2


def test_csv_round_trip(tmp_path: Path) -> None:
    columns = ("text", "n", "deep", "none", "flag")
    line = one(TRICKY, text=TRICKY, n=10**30, deep={"a": [1]}, none=None, flag=True)
    header, row = csv_rows(written(tmp_path / "o.csv", line, columns=columns))
    assert header == ["custom_id", *columns, "answer", "finish", "error", "batch", "digest", "origin", "response"]
    assert row[:8] == ["id\n1", TRICKY, str(10**30), '{"a":[1]}', "", "true", TRICKY, "stop"]
    assert row[8:12] == ["", "batch-1", DIGEST, made.ORIGIN]
    assert msgspec.json.decode(row[12]) == made.chat(TRICKY)


def test_our_names_win_over_those_of_the_input(tmp_path: Path) -> None:
    columns = ("custom_id", "answer", "row_answer", "x")
    header, _, short = csv_rows(
        written(tmp_path / "o.csv", one(custom_id="c", row_answer="d", x="e"), one(x="only"), columns=columns)
    )
    ours = ["answer", "finish", "error", "batch", "digest", "origin", "response"]
    assert header == ["custom_id", "row_custom_id", "row_row_answer", "row_answer", "x", *ours]
    assert short[1:5] == ["", "", "", "only"]


def test_csv_refuses_to_drop_a_column(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="column `y`"):
        written(tmp_path / "o.csv", one(y=1), columns=("x",))
    assert list(tmp_path.iterdir()) == []


def test_columns_in_order_of_first_appearance() -> None:
    rows = [made.row(1, b=1, a=2), made.row(2, c="x", a=0.5)]
    for typed in (False, True):
        found = input_of((row.row_json for row in rows), typed=typed)
        assert list(found.kinds) == ["b", "a", "c"]
    assert list(found.kinds.values()) == [kinds.WHOLE, kinds.NUMBER, kinds.TEXT]


@pytest.mark.parametrize("text", ["=1+1", "+cmd", "-x", "@a", "\tx", "\rx", "-", "-5-5"])
def test_formulas_are_guarded(tmp_path: Path, text: str) -> None:
    _, row = csv_rows(written(tmp_path / "o.csv", one(text)))
    assert row[1] == "'" + text


@pytest.mark.parametrize("text", ["-5", "+3.25", "-1e9", "a=1", "", "'=x"])
def test_numbers_and_plain_text_are_not(text: str) -> None:
    assert guarded(text) == text


@given(st.text() | st.text("'=+-@1", max_size=4))
def test_the_guard_can_be_taken_off(text: str) -> None:
    if not text.startswith("'"):
        assert unguarded(guarded(text)) == text


@given(st.text())
def test_no_guarded_text_begins_a_formula(text: str) -> None:
    assert guarded(text)[:1] not in set("=@\t\r")


def test_parquet_round_trip(tmp_path: Path) -> None:
    path = written(tmp_path / "o.parquet", one(TRICKY, n=1), one(None, {"code": "x"}, None), one({"a": 1}))
    found = pq.read_table(path)
    assert found.schema.metadata[b"runner.format"] == b"2"
    first, second, third = found.to_pylist()
    assert (first["answer"], first["n"], first["error_code"], first["status"]) == (TRICKY, 1, None, "ok")
    assert (first["input_tokens"], first["output_tokens"], first["cached_tokens"]) == (40, 3, None)
    assert msgspec.json.decode(first["response"]) == made.chat(TRICKY)
    assert (second["answer"], second["batch"], second["error_code"], second["n"]) == (None, None, "x", None)
    assert third["answer"] == '{"a":1}'


def test_parquet_groups_are_bounded_and_no_rows_are_fine(tmp_path: Path) -> None:
    path = written(tmp_path / "o.parquet", *[one("x" * 6_000_000)] * 5)
    assert pq.ParquetFile(path).num_row_groups == 3
    assert pq.read_table(written(tmp_path / "none.parquet")).num_rows == 0


def test_parquet_without_pyarrow_says_what_to_install(tmp_path: Path) -> None:
    code = (
        "import sys; sys.modules['pyarrow'] = None\n"
        "from pathlib import Path\n"
        "from runner.results.columns import Table\n"
        "from runner.results.export import writer_for\n"
        "from runner.errors import RunnerError\n"
        "try:\n"
        "    with writer_for(Path('o.parquet').absolute(), Path.cwd(), Table(())): pass\n"
        "except RunnerError as error: print(error.hint)\n"
    )
    import subprocess

    repo = Path(__file__).parents[2]
    env = {**os.environ, "PYTHONPATH": str(repo)}
    done = subprocess.run([sys.executable, "-c", code], cwd=tmp_path, env=env, capture_output=True, text=True)
    assert done.stdout == "pip install 'runner-batch[parquet]'\n", done.stderr
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("suffix", [".jsonl", ".csv", ".parquet"])
def test_a_file_appears_whole_or_not_at_all(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / "deep" / "er" / f"o{suffix}"
    with pytest.raises(ZeroDivisionError), writer_for(path, tmp_path, USUAL) as writer:
        writer.write(one())
        assert not path.exists()
        raise ZeroDivisionError
    assert list(path.parent.iterdir()) == []
    with writer_for(path, tmp_path, USUAL) as writer:
        writer.write(one())
    before = path.read_bytes()
    with pytest.raises(ZeroDivisionError), writer_for(path, tmp_path, USUAL) as writer:
        raise ZeroDivisionError
    assert path.read_bytes() == before
    assert [p.name for p in path.parent.iterdir()] == [path.name]
    umask = os.umask(0)
    os.umask(umask)
    assert path.stat().st_mode & 0o777 == 0o644 & ~umask


def test_leftovers_of_a_killed_process_are_swept(tmp_path: Path) -> None:
    dead, alive, other = (tmp_path / f for f in (".o.jsonl.99999999.part", f".o.jsonl.{os.getppid()}.part", ".o.part"))
    for leftover in (dead, alive, other, tmp_path / f".o.jsonl.{os.getpid()}.part"):
        leftover.write_bytes(b"half")
    written(tmp_path / "o.jsonl", one())
    assert sorted(p.name for p in tmp_path.iterdir()) == sorted([alive.name, other.name, "o.jsonl"])


def test_links_out_of_the_root_are_refused(tmp_path: Path) -> None:
    root, outside = tmp_path / "root", tmp_path / "outside"
    root.mkdir()
    outside.mkdir()
    (root / "dir").symlink_to(outside)
    (root / "file.jsonl").symlink_to(outside / "file.jsonl")
    for path in (root / "dir/o.jsonl", root / "file.jsonl", root / "../o.jsonl", root / "dir/new/o.jsonl"):
        with pytest.raises(RunnerError, match="outside of the project root"), writer_for(path, root, USUAL):
            pass
    assert list(outside.iterdir()) == []


def test_links_inside_the_root_are_followed(tmp_path: Path) -> None:
    (tmp_path / "real").mkdir()
    (tmp_path / "link.jsonl").symlink_to(tmp_path / "real/o.jsonl")
    with writer_for(tmp_path / "link.jsonl", tmp_path, USUAL) as writer:
        writer.write(one())
    assert (tmp_path / "link.jsonl").is_symlink()
    assert count_lines(tmp_path / "real/o.jsonl") == 1


def test_folders_and_odd_suffixes_are_refused(tmp_path: Path) -> None:
    (tmp_path / "o.jsonl").mkdir()
    with pytest.raises(RunnerError, match="is a folder"), writer_for(tmp_path / "o.jsonl", tmp_path, USUAL):
        pass
    with pytest.raises(UsageError, match="unknown suffix"), writer_for(tmp_path / "o.xlsx", tmp_path, USUAL):
        pass


@pytest.mark.parametrize(("content", "lines"), [(b"", 0), (b"a", 1), (b"a\n", 1), (b"a\nb", 2), (b"\n\n", 2)])
def test_lines_are_counted(tmp_path: Path, content: bytes, lines: int) -> None:
    path = tmp_path / "f"
    path.write_bytes(content)
    assert count_lines(path) == lines


def test_the_usual_lines_are_those_of_any_columns(tmp_path: Path) -> None:
    """The usual columns are written by a way of their own; with one more, `status`, they are not."""
    shared = itertools.product((None, "", 'odd "%b"'), (None, "", "o"), (None, "", "stop"))
    lines = [
        Merged(name, b'{"a":1}', encoded(name), response, b"null", batch, DIGEST, origin, finish)
        for batch, origin, finish in shared
        for name in ("1", 'a "b"\n%b\\')
        for response in (b"null", b'{"x":"%b"}')
    ]
    lines += [lines[0]._replace(response=encoded("y" * (1 << 20))), lines[-1]]
    usual = ("custom_id", "row", "answer", "finish", "response", "error", "batch", "digest", "origin")
    for name, columns in (("usual", usual), ("more", (*usual, "status"))):
        with writer_for(tmp_path / f"{name}.jsonl", tmp_path, table(".jsonl", About(), chosen=columns)) as writer:
            for line in lines:
                writer.write(line)
    more = (tmp_path / "more.jsonl").read_bytes()
    assert (tmp_path / "usual.jsonl").read_bytes() == more.replace(b',"status":"ok"}\n', b"}\n")
    assert more.count(b"\n") == len(lines)
