"""Files from the wild: made by the programs people have, read as they are or refused by name with the way out.

A case is a file name, what writes it, and either the rows that are read (`None`: those of `ROWS`) or the words of the
refusal and of the hint. The tables are small; what differs from program to program is their heads and their marks.
"""

# ruff: noqa: E501  # one case, one line

from __future__ import annotations

import bz2
import codecs
import csv
import gzip
import io
import json
import lzma
import pickle
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from runner.data.audio import Selection, find
from runner.data.contents import Contents, FileMemo
from runner.data.rows import open_rows
from runner.errors import DataError, Mark
from tests.data.test_rows import Spec
from tests.squeeze import squeezed

pd = pytest.importorskip("pandas")
pl = pytest.importorskip("polars")
duckdb = pytest.importorskip("duckdb")
openpyxl = pytest.importorskip("openpyxl")
sf = pytest.importorskip("soundfile")
av = pytest.importorskip("av")
pa = pytest.importorskip("pyarrow")
pq = pytest.importorskip("pyarrow.parquet")
pacsv = pytest.importorskip("pyarrow.csv")
np = pytest.importorskip("numpy")

ROWS = [
    {"id": "a1", "name": "Zoë", "note": 'says "hi", twice'},
    {"id": "b2", "name": "李", "note": "two\nlines"},
    {"id": "c3", "name": "O'Neil", "note": "a;b\tc|d"},
]
NUMBERS = [{"id": 1, "share": 0.5, "ok": True}, {"id": 2, "share": 1.25, "ok": False}]
LFS = b"version https://git-lfs.github.com/spec/v1\noid sha256:" + b"4d" * 32 + b"\nsize 1234567\n"
Write = Callable[[Path], Any]


class Case(NamedTuple):
    name: str
    write: Write
    rows: list[dict[str, Any]] | None = None
    words: str = ""  # of the refusal; empty where the file is read
    way: str = ""
    delimiter: str | None = None
    skip_bad: bool = False


def text(encoding: str = "utf-8", newline: str = "\n", first: str = "", **dialect: Any) -> Write:
    """The rows by the csv module."""

    def write(path: Path) -> None:
        out = io.StringIO(newline="")
        writer = csv.DictWriter(out, list(ROWS[0]), lineterminator=newline, **dialect)
        writer.writeheader()
        writer.writerows(ROWS)
        path.write_bytes((first + out.getvalue()).encode(encoding))

    return write


def raw(data: bytes) -> Write:
    return lambda path: path.write_bytes(data)


def frame() -> Any:
    return pd.DataFrame(ROWS)


def pandas(**more: Any) -> Write:
    return lambda path: frame().to_csv(path, **more)


def polars(**more: Any) -> Write:
    return lambda path: pl.DataFrame(ROWS).write_csv(path, **more)


def sheet(path: Path) -> None:
    book = openpyxl.Workbook()
    book.active.append(list(ROWS[0]))
    for row in ROWS:
        book.active.append(list(row.values()))
    book.save(path)


def sheet_as_csv(delimiter: str, encoding: str, tail: int = 0) -> Write:
    """A workbook, its sheet saved as a spreadsheet does: quotes where needed, CRLF, and `tail` empty columns."""

    def write(path: Path) -> None:
        sheet(path.with_suffix(".xlsx"))
        with path.open("w", encoding=encoding, newline="") as out:
            writer = csv.writer(out, "excel", delimiter=delimiter)
            for row in openpyxl.load_workbook(path.with_suffix(".xlsx")).active.iter_rows(values_only=True):
                writer.writerow([*row, *[""] * tail])
        path.with_suffix(".xlsx").unlink()

    return write


def sql(query: str) -> Write:
    def write(path: Path) -> None:
        with duckdb.connect() as db:
            db.register("rows", pa.Table.from_pylist(ROWS))
            db.register("numbers", pa.Table.from_pylist(NUMBERS))
            db.execute(query.format(path=path))

    return write


def lines(rows: list[dict[str, Any]] = ROWS, **more: Any) -> bytes:
    return b"".join(json.dumps(row, **more).encode() + b"\n" for row in rows)


def table(**more: Any) -> Write:
    return lambda path: pq.write_table(pa.Table.from_pylist(ROWS), path, **more)


def archive(name: str) -> Write:
    def write(path: Path) -> None:
        with zipfile.ZipFile(path, "w") as out:
            out.writestr(name, lines())

    return write


def opendocument(path: Path) -> None:
    with zipfile.ZipFile(path, "w") as out:
        out.writestr("mimetype", "application/vnd.oasis.opendocument.spreadsheet")
        out.writestr("content.xml", "<x/>")


def feather(path: Path) -> None:
    with pa.OSFile(str(path), "wb") as out, pa.ipc.new_file(out, pa.schema([("a", pa.int64())])) as writer:
        writer.write_table(pa.table({"a": [1]}))


def stream(path: Path) -> None:
    with pa.OSFile(str(path), "wb") as out, pa.ipc.new_stream(out, pa.schema([("a", pa.int64())])) as writer:
        writer.write_table(pa.table({"a": [1]}))


INDEXED = [{"id": row["id"], "name": row["name"], "note": row["note"]} for row in ROWS]
NANS = [{"id": 1, "x": None}, {"id": 2, "x": None}, {"id": 3, "x": 2.0}]

TABLES = [
    # the csv module and its dialects
    Case("unix.csv", text(dialect="unix")),
    Case("excel.csv", text(newline="\r\n")),
    Case("quoted.csv", text(quoting=csv.QUOTE_ALL)),
    Case("nonnumeric.csv", text(quoting=csv.QUOTE_NONNUMERIC)),
    Case("no-last-newline.csv", lambda path: path.write_bytes(b"id,name\n1,Zo\xc3\xab"), [{"id": "1", "name": "Zoë"}]),
    Case("UPPER.CSV", text()),
    Case("Mixed.Csv.GZ", lambda path: path.write_bytes(gzip.compress(b"id\n1\n")), [{"id": "1"}]),
    Case("bom.csv", text("utf-8-sig", "\r\n")),
    Case("tabs.tsv", text(delimiter="\t")),
    Case("TABS.TSV", text(delimiter="\t", newline="\r\n")),
    Case("tabs.tsv.gz", lambda path: path.write_bytes(gzip.compress(b"id\tname\n1\tx,y\n")), [{"id": "1", "name": "x,y"}]),
    Case("tabs.csv", text(delimiter="\t"), words="the header has no comma but `\\t`", way="delimiter: tab"),
    Case("tabs-said.csv", text(delimiter="\t"), delimiter="\t"),
    Case("semicolon.csv", text(delimiter=";"), words="the header has no comma but `;`", way='delimiter: ";"'),
    Case("semicolon-quoted.csv", text(delimiter=";", quoting=csv.QUOTE_ALL), words="no comma but `;`", way='";"'),
    Case("semicolon-said.csv", text(delimiter=";"), delimiter=";"),
    Case("semicolon-bom.csv", text("utf-8-sig", "\r\n", delimiter=";"), delimiter=";"),
    Case("pipes.csv", text(delimiter="|"), words="no comma but `|`", way='delimiter: "|"'),
    Case("pipes-said.csv", text(delimiter="|"), delimiter="|"),
    Case("pipes-said.tsv", text(delimiter="|"), delimiter="|"),
    Case("one-column.csv", raw(b'"a;b"\n1\n'), [{"a;b": "1"}]),
    Case("one-column-said.csv", raw(b"a;b\n1\n"), [{"a;b": "1"}], delimiter=","),
    Case("semicolons-and-comma.csv", raw(b"id;name;price (EUR, net)\n1;x;2,5\n"), words="more `;` than commas", way='delimiter: ";"'),
    Case("semicolons-and-comma-skipped.csv", raw(b"id;name;price (EUR, net)\n1;x;2,5\n"), words="more `;` than commas", way='";"', skip_bad=True),
    Case("semicolons-and-comma-said.csv", raw(b"id;name;price (EUR, net)\n1;x;2,5\n"), [{"id": "1", "name": "x", "price (EUR, net)": "2,5"}], delimiter=";"),
    Case("semicolons-quoted.csv", raw(b'id,"a;b;c"\n1,2\n'), [{"id": "1", "a;b;c": "2"}]),
    Case("as-many-commas.csv", raw(b"id,a;b\n1,2\n"), [{"id": "1", "a;b": "2"}]),
    Case("conflict.csv", raw(b"id,name\n1,x\n<<<<<<< HEAD\n2,y\n=======\n2,z\n>>>>>>> other\n"), words="a merge conflict, `<<<<<<< HEAD`", way="resolve"),
    Case("conflict-skipped.csv", raw(b"id,name\n1,x\n<<<<<<< HEAD\n2,y\n=======\n2,z\n>>>>>>> other\n"), words="a merge conflict", way="resolve", skip_bad=True),
    Case("conflict-narrow.csv", raw(b"id\n1\n<<<<<<< HEAD\n2\n=======\n3\n>>>>>>> other\n"), words="a merge conflict", way="resolve"),
    Case("conflict-narrow-skipped.csv", raw(b"id\n1\n<<<<<<< HEAD\n2\n=======\n3\n>>>>>>> other\n"), words="a merge conflict", way="resolve", skip_bad=True),
    Case("conflict-header.csv", raw(b"<<<<<<< HEAD\nid\n=======\nkey\n>>>>>>> other\n1\n"), words="a merge conflict", way="resolve"),
    Case("conflict.jsonl", raw(lines() + b"<<<<<<< HEAD\n"), words="a merge conflict", way="resolve"),
    Case("conflict-skipped.jsonl", raw(lines() + b"<<<<<<< HEAD\n"), words="a merge conflict", way="resolve", skip_bad=True),
    Case("conflict-quoted.csv", raw(b'text,id\n"<<<<<<< HEAD\nx",1\n<<<<<<< a,2\n'), [{"text": "<<<<<<< HEAD\nx", "id": "1"}, {"text": "<<<<<<< a", "id": "2"}]),
    Case("two-boms.csv", raw(codecs.BOM_UTF8 * 2 + b"id,name\n1,x\n"), [{"id": "1", "name": "x"}]),
    Case("two-boms-semicolon.csv", raw(codecs.BOM_UTF8 * 2 + b"sep=;\nid;name\n"), words="first line is `sep=;`", way='";"'),
    Case("two-boms.jsonl", raw(codecs.BOM_UTF8 * 2 + lines())),
    Case("sep.csv", text(first="sep=;\r\n", delimiter=";"), words="first line is `sep=;`", way='delimiter: ";"'),
    Case("utf16.csv", text("utf-16"), words="UTF-16", way="iconv -f UTF-16"),
    Case("utf16le.csv", text("utf-16-le"), words="UTF-16", way="iconv"),
    Case("utf16be.csv", raw(codecs.BOM_UTF16_BE + "id,name\r\n1,a\r\n".encode("utf-16-be")), words="UTF-16", way="iconv"),
    Case("utf32.csv", text("utf-32"), words="UTF-32", way="iconv -f UTF-32"),
    Case("unicode-text.tsv", text("utf-16", "\r\n", delimiter="\t"), words="UTF-16", way="iconv"),
    Case("latin.csv", raw("id,name\n1,Zoë\n".encode("latin-1")), words="not UTF-8", way="iconv -f WINDOWS-1252"),
    Case("cr.csv", text(newline="\r", quoting=csv.QUOTE_ALL), words="carriage return alone", way="tr '\\r' '\\n'"),
    Case("cr-bom.csv", text("utf-8-sig", "\r", quoting=csv.QUOTE_ALL), words="carriage return alone", way="tr"),
    Case("empty.csv", raw(b""), []),
    Case("header-only.csv", raw(b"id,name\n"), []),
    Case("blank-lines.csv", raw(b"\n\nid,name\n\n1,x\n\n"), [{"id": "1", "name": "x"}]),
    Case("formulas.csv", raw(b"id,name\n1,=SUM(A1)\n"), [{"id": "1", "name": "=SUM(A1)"}]),
    Case("zeros.csv", raw(b"zip,n\n01234,1e5\n"), [{"zip": "01234", "n": "1e5"}]),
    Case("ragged.csv", raw(b"id,name\n1,x\n2,y,z\n"), words="has 3 fields, the header has 2", way="skip_bad: true"),
    Case("ragged-skipped.csv", raw(b"id,name\n1,x\n2,y,z\n3,w\n"), [{"id": "1", "name": "x"}, {"id": "3", "name": "w"}], skip_bad=True),
    Case("open-quote.csv", raw(b'id,name\n1,x\n2,"y\n3,z\n'), words="is not CSV", way="quote left open"),
    Case("open-quote-skipped.csv", raw(b'id,name\n1,x\n2,"y\n3,z\n'), [{"id": "1", "name": "x"}, {"id": "3", "name": "z"}], skip_bad=True),
    Case("two-open-quotes.csv", raw(b'id,name\n1,"x\n2,y\n3,"z\n4,w\n'), [{"id": "2", "name": "y"}, {"id": "4", "name": "w"}], skip_bad=True),
    Case("latin-skipped.csv", raw(b"id,name\n1,x\n2,\xe4\n3,z\n"), [{"id": "1", "name": "x"}, {"id": "3", "name": "z"}], skip_bad=True),
    Case("nul.csv", raw(b"id,name\n1,x\n2,\x00\n"), words="NUL", way="skip_bad: true"),
    Case("twice.csv", raw(b"id,id\n1,2\n"), words="`id` is there twice", way="rename"),
    # pandas
    Case("pandas.csv", pandas(index=False)),
    Case("pandas-index.csv", pandas()),
    Case("pandas-index.csv.gz", pandas()),
    Case("pandas.csv.zst", pandas(index=False)),
    Case("pandas-multi.csv", lambda path: frame().set_axis(pd.MultiIndex.from_tuples([(1, 2), (1, 3), (2, 1)])).to_csv(path)),
    Case("pandas-semicolon.csv", pandas(sep=";"), words="no comma but `;`", way="delimiter"),
    Case("pandas-semicolon-said.csv", pandas(sep=";"), delimiter=";"),
    Case("pandas-utf16.csv", pandas(encoding="utf-16"), words="UTF-16", way="iconv"),
    Case("pandas-excel.csv", pandas(encoding="utf-8-sig", lineterminator="\r\n"),),
    Case("pandas.tsv", pandas(sep="\t")),
    Case("pandas-quoted.csv", pandas(quoting=csv.QUOTE_ALL)),
    Case("pandas.csv.bz2", pandas(), words="not a dataset file", way="bunzip2"),
    Case("pandas-gzip.csv", lambda path: frame().to_csv(path, compression="gzip"), words="packed with gzip", way="`.gz`"),
    Case("pandas-zip.csv", lambda path: frame().to_csv(path, compression="zip"), words="a zip archive", way="unpack"),
    Case("pandas.jsonl", lambda path: frame().to_json(path, orient="records", lines=True)),
    Case("pandas.ndjson.gz", lambda path: frame().to_json(path, orient="records", lines=True)),
    Case("pandas-array.jsonl", lambda path: frame().to_json(path, orient="records"), words="no", way="jq -c '.[]'"),
    Case("pandas-indented.jsonl", lambda path: frame().to_json(path, orient="records", indent=2), words="not JSON", way="jq"),
    Case("pandas.parquet", lambda path: frame().to_parquet(path)),
    Case("pandas.PARQUET", lambda path: frame().to_parquet(path, index=False)),
    Case("pandas.pkl.jsonl", lambda path: path.write_bytes(pickle.dumps(ROWS * 9, 4)), words="a Python pickle", way="parquet"),
    # spreadsheets
    Case("sheet.csv", sheet_as_csv(",", "utf-8-sig")),
    Case("sheet-german.csv", sheet_as_csv(";", "utf-8-sig"), words="no comma but `;`", way="delimiter"),
    Case("sheet-german-said.csv", sheet_as_csv(";", "utf-8-sig"), delimiter=";"),
    Case("sheet-tail.csv", sheet_as_csv(",", "utf-8", tail=2)),
    Case("sheet-unicode.tsv", sheet_as_csv("\t", "utf-16"), words="UTF-16", way="iconv"),
    Case("sheet.xlsx", sheet, words="not a dataset file", way="CSV UTF-8"),
    Case("sheet-renamed.csv", lambda path: (sheet(path.with_suffix(".xlsx")), path.with_suffix(".xlsx").rename(path)), words="an Excel workbook", way="CSV UTF-8"),
    Case("old-sheet.csv", raw(b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" + bytes(504)), words="an old Excel workbook", way="CSV UTF-8"),
    Case("sheet-ods.csv", opendocument, words="an OpenDocument spreadsheet", way="CSV UTF-8"),
    # polars
    Case("polars.csv", polars()),
    Case("polars-bom.csv", polars(include_bom=True)),
    Case("polars-semicolon.csv", polars(separator=";"), words="no comma but `;`", way="delimiter"),
    Case("polars-crlf.csv", polars(line_terminator="\r\n")),
    Case("polars-quoted.csv", polars(quote_style="always")),
    Case("polars.ndjson", lambda path: pl.DataFrame(ROWS).write_ndjson(path)),
    Case("polars.parquet", lambda path: pl.DataFrame(ROWS).write_parquet(path)),
    Case("polars-snappy.parquet", lambda path: pl.DataFrame(NUMBERS).write_parquet(path, compression="snappy"), NUMBERS),
    Case("polars-nan.parquet", lambda path: pl.DataFrame({"id": [1, 2, 3], "x": [float("nan"), float("inf"), 2.0]}).write_parquet(path), NANS),
    Case("polars-ipc.csv", lambda path: pl.DataFrame(ROWS).write_ipc(path), words="an Arrow or Feather file", way="parquet"),
    # pyarrow
    Case("arrow.csv", lambda path: pacsv.write_csv(pa.Table.from_pylist(ROWS), path)),
    Case("arrow.parquet", table()),
    Case("arrow-zstd.parquet", table(compression="zstd")),
    Case("arrow-brotli.parquet", table(compression="brotli")),
    Case("arrow-v1.parquet", table(version="1.0", data_page_version="2.0")),
    Case("arrow-dictionary.parquet", table(use_dictionary=True, row_group_size=1)),
    Case("arrow.csv.parquet", lambda path: path.write_bytes(lines()), words="JSON lines, whatever its name says", way="`.jsonl`"),
    Case("arrow-as.csv", lambda path: (table()(path)), words="a Parquet file, whatever its name says", way=".parquet"),
    Case("arrow-feather.jsonl", feather, words="an Arrow or Feather file", way=".parquet"),
    Case("arrow-stream.jsonl", stream, words="an Arrow stream", way=".parquet"),
    Case("arrow-feather.feather", feather, words="not a dataset file", way=".parquet"),
    # duckdb
    Case("duck.csv", sql("COPY rows TO '{path}' (HEADER)")),
    Case("duck-quoted.csv", sql("COPY rows TO '{path}' (HEADER, FORCE_QUOTE *)")),
    Case("duck-semicolon.csv", sql("COPY rows TO '{path}' (HEADER, DELIMITER ';')"), words="no comma but `;`", way="delimiter"),
    Case("duck.csv.gz", sql("COPY rows TO '{path}' (HEADER, COMPRESSION gzip)")),
    Case("duck.parquet", sql("COPY rows TO '{path}' (FORMAT parquet)")),
    Case("duck-zstd.parquet", sql("COPY rows TO '{path}' (FORMAT parquet, COMPRESSION zstd)")),
    Case("duck-numbers.parquet", sql("COPY numbers TO '{path}' (FORMAT parquet)"), NUMBERS),
    Case("duck-v2.parquet", sql("COPY rows TO '{path}' (FORMAT parquet, PARQUET_VERSION v2)")),
    Case("duck.jsonl", sql("COPY rows TO '{path}' (FORMAT json)")),
    Case("duck-array.jsonl", sql("COPY rows TO '{path}' (FORMAT json, ARRAY true)"), words="not JSON", way="jq -c '.[]'"),
    # JSON of Python and others
    Case("python.jsonl", raw(lines())),
    Case("python.JSONL", raw(lines(ensure_ascii=False))),
    Case("python.ndjson.zst", lambda path: path.write_bytes(squeezed(lines()))),
    Case("python.json", raw(json.dumps(ROWS).encode()), words="not a dataset file", way="jq -c '.[]'"),
    Case("python-array.jsonl", raw(json.dumps(ROWS).encode()), words="not a JSON object", way="jq -c '.[]'"),
    Case("python-indented.jsonl", raw(json.dumps(ROWS[0], indent=1).encode()), words="not JSON", way="jq -c ."),
    Case("python-nan.jsonl", raw(lines([{"id": 1, "x": float("nan")}, {"id": 2, "x": float("-inf")}, {"id": 3, "x": 2.0}])), NANS),
    Case("python-deep-nan.jsonl", raw(b'{"a": {"b": [NaN, 1]}, "c": "NaN"}\n'), [{"a": {"b": [None, 1]}, "c": "NaN"}]),
    Case("bom.jsonl", raw(codecs.BOM_UTF8 + lines())),
    Case("crlf.jsonl", raw(lines().replace(b"\n", b"\r\n"))),
    Case("utf16.jsonl", raw(lines().decode().encode("utf-16")), words="UTF-16", way="iconv"),
    Case("cr.jsonl", raw(lines().replace(b"\n", b"\r")), words="carriage return alone", way="tr"),
    Case("no-last-newline.jsonl", raw(lines()[:-1])),
    Case("cut.jsonl", raw(lines()[:-9]), words="not JSON", way="skip_bad: true"),
    Case("cut-skipped.jsonl", raw(lines() + b'{"id": "d4'), skip_bad=True),
    Case("chat.jsonl", raw(b'{"messages":[{"role":"user","content":"hi"}]}\n'), [{"messages": [{"role": "user", "content": "hi"}]}]),
    # not what the name says
    Case("lfs.csv", raw(LFS), words="a Git LFS pointer", way="git lfs pull"),
    Case("lfs.jsonl", raw(LFS), words="a Git LFS pointer", way="git lfs pull"),
    Case("lfs.parquet", raw(LFS), words="a Git LFS pointer", way="git lfs pull"),
    Case("lfs.csv.gz", raw(LFS), words="a Git LFS pointer", way="git lfs pull"),
    Case("annex.csv", raw(b"/annex/objects/SHA256E-s9--ab.csv\n"), words="a git-annex pointer", way="git annex get"),
    Case("gzipped.jsonl", raw(gzip.compress(lines())), words="packed with gzip", way="`.gz`"),
    Case("gzipped-twice.csv.gz", raw(gzip.compress(gzip.compress(b"a\n1\n"))), words="packed with gzip", way="unpack"),
    Case("gzipped.parquet", lambda path: (table()(path), path.write_bytes(gzip.compress(path.read_bytes()))), words="packed with gzip", way=".gz"),
    Case("plain.csv.gz", text(), words="not packed, though its name ends in `.gz`", way="rename"),
    Case("plain.jsonl.zst", raw(lines()), words="not packed, though its name ends in `.zst`", way="rename"),
    Case("zstd.csv", raw(squeezed(b"a\n1\n")), words="packed with zstd", way="`.zst`"),
    Case("bzip2.csv", raw(bz2.compress(b"a\n1\n")), words="packed with bzip2", way="bunzip2"),
    Case("xz.jsonl", raw(lzma.compress(lines())), words="packed with xz", way="unxz"),
    Case("zipped.jsonl", archive("a.jsonl"), words="a zip archive", way="name the files in it"),
    Case("page.csv", raw(b"<!DOCTYPE html>\n<html><body>404</body></html>"), words="a web page or XML", way="error page"),
    Case("error.jsonl", raw(b'<?xml version="1.0"?><Error>AccessDenied</Error>'), words="a web page or XML", way="error page"),
    Case("table.csv", raw(b"<table border=1><tr><td>id</td></tr></table>"), words="a web page or XML", way="error page"),
    Case("table-bom.csv", raw(codecs.BOM_UTF8 + b"<html><table>"), words="a web page or XML", way="error page"),
    Case("letter.csv", raw(b"{\\rtf1\\ansi id,name\\par}"), words="a document in RTF", way=".csv"),
    Case("shot.csv", raw(b"\x89PNG\r\n\x1a\n" + bytes(8)), words="a PNG image", way="take it out"),
    Case("photo.csv", raw(b"\xff\xd8\xff\xe0" + bytes(8)), words="a JPEG image", way="take it out"),
    Case("empty-zip.csv", lambda path: zipfile.ZipFile(path, "w").close(), words="an empty zip archive", way="pack"),
    Case("rar.csv", raw(b"Rar!\x1a\x07\x01\x00"), words="a RAR archive", way="unpack"),
    Case("song.csv", raw(b"ID3\x04\x00\x00\x00\x00\x00\x00"), words="an MP3 recording", way="`audio`"),
    Case("array.csv", lambda path: (np.save(path.with_suffix(".npy"), np.zeros(3)), path.with_suffix(".npy").rename(path)), words="a NumPy array", way="parquet"),
    Case("orc.csv", raw(b"ORC\n\x08\x00"), words="an ORC file", way="parquet"),
    Case("orcid.csv", raw(b"ORCID,n\n1,2\n"), [{"ORCID": "1", "n": "2"}]),
    Case("parent.csv", raw(b"PARENT,ID3\n1,2\n"), [{"PARENT": "1", "ID3": "2"}]),
    Case("report.csv", raw(b"%PDF-1.7\n"), words="a PDF document", way="convert"),
    Case("base.csv", raw(b"SQLite format 3\x00" + bytes(84)), words="an SQLite database", way=".csv"),
    Case("notes.txt", raw(b"a\n1\n"), words="not a dataset file", way="`.csv`"),
    Case("encrypted.parquet", raw(b"PARE" + bytes(60) + b"PARE"), words="an encrypted Parquet file", way="without encryption"),
]  # fmt: skip


@pytest.mark.parametrize("case", TABLES, ids=lambda case: case.name)
def test_a_table_is_read_or_refused_by_name(case: Case, tmp_path: Path) -> None:
    case.write(tmp_path / case.name)
    spec = Spec((case.name,), delimiter=case.delimiter, skip_bad=case.skip_bad)
    if not case.words:
        assert [row.row for row in open_rows(spec, tmp_path)] == (ROWS if case.rows is None else case.rows)
        return
    with pytest.raises(DataError) as caught:
        list(open_rows(spec, tmp_path))
    assert case.words in caught.value.message
    assert case.way in caught.value.hint
    assert caught.value.mark is not None and caught.value.mark.file == case.name


def sounded(kind: str, subtype: str | None = None) -> Write:
    def write(path: Path) -> None:
        wave = (0.1 * np.sin(np.arange(24_000) / 20)).astype("float32")
        sf.write(path, wave, 16_000, format=kind, subtype=subtype)

    return write


def muxed(form: str, codec: str, rate: int = 16_000) -> Write:
    """A recording by the encoders and containers of phones and browsers."""

    def write(path: Path) -> None:
        with av.open(str(path), "w", format=form) as out:
            track = out.add_stream(codec, rate=rate)
            track.layout, track.bit_rate = "mono", 64_000
            at = 0
            resampler = av.AudioResampler(
                format=track.format, layout="mono", rate=rate, frame_size=track.frame_size or 1024
            )
            wave = (3000 * np.sin(np.arange(rate * 3 // 2) / 20)).astype("int16").reshape(1, -1)
            frame = av.AudioFrame.from_ndarray(wave, format="s16", layout="mono")
            frame.sample_rate, frame.pts = rate, at
            for one in (*resampler.resample(frame), *resampler.resample(None)):
                out.mux(track.encode(one))
            out.mux(track.encode(None))

    return write


class Sound(NamedTuple):
    name: str
    write: Write
    format: str = ""  # as we tell it; empty where it is refused
    words: str = ""
    way: str = ""
    seconds: bool = True  # whether the length is in its head


SOUNDS = [
    Sound("plain.wav", sounded("WAV"), "wav"),
    Sound("24bit.WAV", sounded("WAV", "PCM_24"), "wav"),
    Sound("float.wav", sounded("WAV", "FLOAT"), "wav"),
    Sound("ulaw.wav", sounded("WAV", "ULAW"), "wav"),
    Sound("adpcm.wav", sounded("WAV", "IMA_ADPCM"), "wav"),
    Sound("gsm.wav", lambda path: sf.write(path, np.zeros(12_000), 8_000, format="WAV", subtype="GSM610"), "wav"),
    Sound("extensible.wav", sounded("WAVEX"), "wav"),
    Sound("field.wav", sounded("RF64"), "wav"),
    Sound("plain.flac", sounded("FLAC"), "flac"),
    Sound("24bit.Flac", sounded("FLAC", "PCM_24"), "flac"),
    Sound("vorbis.ogg", sounded("OGG", "VORBIS"), "ogg"),
    Sound("opus.ogg", sounded("OGG", "OPUS"), "opus"),
    Sound("memo.opus", sounded("OGG", "OPUS"), "opus"),
    Sound("plain.mp3", sounded("MP3"), "mp3"),
    Sound("plain.aiff", sounded("AIFF"), "aiff"),
    Sound("float.aif", sounded("AIFF", "FLOAT"), "aiff"),
    Sound("iphone.m4a", muxed("ipod", "aac"), "m4a"),
    Sound("IPHONE.M4A", muxed("ipod", "alac"), "m4a"),
    Sound("android.mp4", muxed("mp4", "aac"), "mp4"),
    Sound("android.3gp", muxed("3gp", "libopencore_amrnb", 8000), "mp4"),
    Sound("camera.mov", muxed("mov", "aac"), "mp4"),
    Sound("browser.webm", muxed("webm", "libopus", 48_000), "webm", seconds=False),
    Sound("obs.mkv", muxed("matroska", "aac"), "mkv", seconds=False),
    Sound("radio.aac", muxed("adts", "aac"), "aac", seconds=False),
    Sound("dictaphone.amr", muxed("amr", "libopencore_amrnb", 8000), "amr", seconds=False),
    Sound("lame.mp3", muxed("mp3", "libmp3lame"), "mp3"),
    Sound("windows.wma", muxed("asf", "wmav2", 44_100), "asf", seconds=False),
    Sound("telegram.ogg", muxed("ogg", "libopus", 48_000), "opus"),
    Sound("streamed.wav", muxed("wav", "pcm_s16le"), "wav"),
    Sound("mp3-inside.wav", sounded("MP3"), "mp3"),
    Sound("sun.au", sounded("AU"), words="Sun/NeXT", way="FLAC"),
    Sound("apple.caf", sounded("CAF"), words="Core Audio", way="FLAC"),
    Sound("wave64.w64", sounded("W64"), words="Wave64", way="FLAC"),
    Sound("lfs.wav", raw(LFS), words="a Git LFS pointer", way="git lfs pull"),
    Sound("lfs.M4A", raw(LFS), words="a Git LFS pointer", way="git lfs pull"),
    Sound("annex.flac", raw(b"/annex/objects/SHA256E-s9--ab.flac\n"), words="a git-annex pointer", way="git annex get"),
    Sound("packed.wav", lambda path: (sounded("WAV")(path), path.write_bytes(gzip.compress(path.read_bytes()))), words="packed with gzip", way="unpack"),
    Sound("zipped.mp3", archive("a.mp3"), words="a zip archive", way="unpack"),
    Sound("page.mp3", raw(b"<html><body>403</body></html>"), words="a web page", way="error page"),
    Sound("notes.wav", raw(b"not a recording at all"), words="of no audio format we know", way="exclude"),
    Sound("midi.mid", raw(b"MThd\x00\x00\x00\x06\x00\x01\x00\x01\x00\x60MTrk"), words="MIDI", way="exclude"),
]  # fmt: skip


@pytest.mark.parametrize("sound", SOUNDS, ids=lambda sound: sound.name)
def test_a_recording_is_known_or_refused_by_name(sound: Sound, tmp_path: Path) -> None:
    sound.write(tmp_path / sound.name)
    (file,) = find(Selection("calls", Mark("s.yaml", 1), ["*.*"]), tmp_path)
    hashes = Contents(tmp_path, FileMemo(tmp_path / ".memo"))
    if sound.format:
        content = hashes.content(file)
        assert content.format == sound.format
        if sound.seconds:
            assert content.seconds == pytest.approx(1.5, abs=0.15)
        return
    with pytest.raises(DataError) as caught:
        hashes.content(file)
    assert sound.words in caught.value.message
    assert sound.way in caught.value.hint


def test_there_are_more_than_a_hundred_of_them() -> None:
    assert len(TABLES) + len(SOUNDS) >= 150
