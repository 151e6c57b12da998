"""Reading datasets: what comes out, and what is refused with the place it stands at."""

from __future__ import annotations

import gzip
import os
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest

from runner.data.block import MOST_OTHERS, RowsUnread
from runner.data.rows import SourceRow, open_blocks, open_rows, signature
from runner.errors import DataError, Mark
from tests.squeeze import squeezed


@dataclass(frozen=True)
class Spec:
    files: tuple[str, ...]
    key: str = "d"
    mark: Mark = Mark("specs/a.yaml", 7)
    delimiter: str | None = None
    skip_bad: bool = False
    is_ours: bool = False
    are_paths: bool = False


def rows_of(root: Path, *files: str, at: list[int] | None = None) -> list[SourceRow]:
    return list(open_rows(Spec(files), root, at))


def values(root: Path, *files: str) -> list[dict[str, object]]:
    return [row.row for row in rows_of(root, *files)]


def refused(root: Path, name: str, data: bytes) -> DataError:
    (root / name).write_bytes(data)
    with pytest.raises(DataError) as caught:
        rows_of(root, name)
    return caught.value


def test_jsonl_rows_carry_file_line_and_position(tmp_path: Path) -> None:
    (tmp_path / "a.jsonl").write_bytes(b'\xef\xbb\xbf{"a":1}\r\n\n  \n{"a":2}\n')
    (tmp_path / "b.jsonl").write_bytes(b'{"a": 3}')
    rows = rows_of(tmp_path, "*.jsonl")
    assert [(str(row.mark), row.number, row.row) for row in rows] == [
        ("a.jsonl:1", 0, {"a": 1}),
        ("a.jsonl:4", 1, {"a": 2}),
        ("b.jsonl:1", 2, {"a": 3}),
    ]


def test_jsonl_lines_end_at_newlines_only(tmp_path: Path) -> None:
    (tmp_path / "a.jsonl").write_bytes('{"a":"x\u2028y\u0085z"}\n'.encode())
    assert values(tmp_path, "a.jsonl") == [{"a": "x\u2028y\u0085z"}]


def test_jsonl_keeps_integers_exact_and_json_on_one_line(tmp_path: Path) -> None:
    (tmp_path / "a.jsonl").write_bytes(b'{"n": 123456789012345678901234567890, "t": "a\\nb"}\n')
    (row,) = rows_of(tmp_path, "a.jsonl")
    assert row.row["n"] == 123456789012345678901234567890
    assert row.json == b'{"n": 123456789012345678901234567890, "t": "a\\nb"}'


@pytest.mark.parametrize(
    ("line", "words"),
    [
        (b'{"a": 1e400}', "not JSON"),
        (b'{"a": NaN, "b": 1e400}', "not JSON"),
        (b'{"a": NaN, "b": NaNs}', "not JSON"),
        (b'{"a": NaN, "b": "\\ud800"}', "not JSON"),
        (b'{"a": 1e400}', "not JSON"),
        (b'{"a": "\\ud800"}', "not JSON"),
        (b'{"a": "\xff"}', "not JSON"),
        (b'{"a": 1', "not JSON"),
        (b'{"a": 1} {"a": 2}', "not JSON"),
        (b"\x00", "not JSON"),
        (b"[" * 100_000, "nested too deeply"),
        (b"[1]", "not a JSON object"),
        (b"null", "not a JSON object"),
        (b'{"a": 1, "a": 2}', "`a` is there twice"),
        (b'{"b" : {"a" : 1, "a" : 2}}', "`a` is there twice"),
        (b'{"b": [{"x": "\\":"}, {"a": 1, "a": 2}]}', "`a` is there twice"),
    ],
)
def test_jsonl_refuses_with_file_and_line(tmp_path: Path, line: bytes, words: str) -> None:
    error = refused(tmp_path, "a.jsonl", b'{"a": 0}\n\n' + line + b"\n")
    assert words in error.message
    assert error.mark == Mark("a.jsonl", 3)


def test_jsonl_texts_that_look_like_keys_are_fine(tmp_path: Path) -> None:
    (tmp_path / "a.jsonl").write_bytes(b'{"a": "say \\"b\\": 1", "c": {"d": [{"e": {}}]}, "f\\\\": 2}\n')
    assert len(values(tmp_path, "a.jsonl")) == 1


def test_csv_values_stay_text_and_quotes_may_span_lines(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_bytes(b'\xef\xbb\xbfcode,text\r\n010,"two\r\nlines, ""quoted"""\r\n\r\nNO,\xc3\xa9\r\n')
    rows = rows_of(tmp_path, "a.csv")
    assert [(row.line, row.row) for row in rows] == [
        (2, {"code": "010", "text": 'two\r\nlines, "quoted"'}),
        (5, {"code": "NO", "text": "é"}),
    ]


@pytest.mark.parametrize(
    ("data", "line", "words"),
    [
        (b"a,b\n1,2\n3\n", 3, "has 1 fields, the header has 2"),
        (b"a,b\n1,2\n3,4,5\n", 3, "has 3 fields"),
        (b"a,a\n1,2\n", 1, "`a` is there twice"),
        (b"a,\n1,2\n", 2, "column 2 has no name and holds `2`"),
        (b",\n1,2\n", 1, "no column has a name"),
        (b"a,b\n1,2\n3,\x00\n", 3, "NUL"),
        (b'a,b\n1,2\n3,"4"x\n', 3, "not CSV"),
        (b'a,b\n1,2\n3,"4\n5\n', 3, "not CSV"),
        (b"a,b\n1,\xff\n", 2, "not UTF-8"),
    ],
)
def test_csv_refuses_with_file_and_line(tmp_path: Path, data: bytes, line: int, words: str) -> None:
    error = refused(tmp_path, "a.csv", data)
    assert words in error.message
    assert error.mark is not None
    assert error.mark.file == "a.csv"
    assert error.mark.line == line


def test_csv_field_of_a_megabyte_is_fine(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_bytes(b"a\n" + b"x" * 1_000_000 + b"\n")
    assert len(str(values(tmp_path, "a.csv")[0]["a"])) == 1_000_000


@pytest.mark.parametrize("data", [b"", b"\n\n", b"a,b\n"])
def test_files_without_rows_are_empty(tmp_path: Path, data: bytes) -> None:
    (tmp_path / "a.csv").write_bytes(data)
    assert rows_of(tmp_path, "a.csv") == []


def test_gzip_is_unpacked_and_a_cut_file_is_noticed(tmp_path: Path) -> None:
    packed = gzip.compress(b"".join(b'{"a": %d}\n' % i for i in range(1000)))
    (tmp_path / "a.jsonl.gz").write_bytes(packed)
    assert len(rows_of(tmp_path, "a.jsonl.gz")) == 1000
    for broken in (packed[:-6], packed[: len(packed) // 2], b"no gzip", packed[:20] + b"\0\0" + packed[22:]):
        assert any(
            w in refused(tmp_path, "b.jsonl.gz", broken).message for w in ("damaged", "cannot read", "not packed")
        )


def test_zstd_is_unpacked_and_a_cut_file_is_noticed(tmp_path: Path) -> None:
    pack = squeezed
    packed = pack(b'a\n1\n"x') + pack(b'y"\n' + b"3\n" * 5000)  # two frames, cut inside a row
    (tmp_path / "a.csv.zst").write_bytes(packed)
    assert [row.row["a"] for row in rows_of(tmp_path, "a.csv.zst")][:3] == ["1", "xy", "3"]
    assert "damaged" in refused(tmp_path, "b.csv.zst", packed[:-3]).message
    assert "not packed" in refused(tmp_path, "b.csv.zst", b"no zstd at all").message


def test_a_missing_package_names_its_extra(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pyarrow.parquet", None)
    assert "pip install 'runner-batch[parquet]'" in refused(tmp_path, "a.parquet", b"PAR1").hint


def test_picked_rows_are_the_same_rows(tmp_path: Path) -> None:
    for name, part in (("a.jsonl", b'{"a":"%d"}\n'), ("b.csv", b"%d\n")):
        head = b"a\n" if name == "b.csv" else b""
        (tmp_path / name).write_bytes(head + b"".join(part % i for i in range(50)))
    every = rows_of(tmp_path, "a.jsonl", "b.csv")
    assert [row.number for row in every] == list(range(100))
    assert rows_of(tmp_path, "a.jsonl", "b.csv", at=[0, 7, 49, 50, 51, 99]) == [
        every[i] for i in (0, 7, 49, 50, 51, 99)
    ]
    assert rows_of(tmp_path, "a.jsonl", "b.csv", at=[]) == []


def test_picking_stops_reading_after_the_last_row(tmp_path: Path) -> None:
    (tmp_path / "a.jsonl").write_bytes(b'{"a":1}\n{"a":2}\nbroken\n')
    assert [row.row for row in rows_of(tmp_path, "a.jsonl", at=[1])] == [{"a": 2}]


def test_files_are_sorted_and_read_once(tmp_path: Path) -> None:
    for name in ("b.jsonl", "a.jsonl", ".hidden.jsonl", "sub/c.jsonl"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(f'{{"f": "{name}"}}\n')
    (tmp_path / "link.jsonl").symlink_to("a.jsonl")
    assert [row.file for row in rows_of(tmp_path, "**/*.jsonl", "a.jsonl")] == ["a.jsonl", "b.jsonl", "sub/c.jsonl"]


def test_a_name_with_glob_characters_is_a_name(tmp_path: Path) -> None:
    (tmp_path / "a[1].jsonl").write_text("{}\n")
    assert len(rows_of(tmp_path, "a[1].jsonl")) == 1


@pytest.mark.parametrize(
    ("pattern", "words"),
    [
        ("nothing/*.csv", "no file matches"),
        ("gone.csv", "no file matches"),
        ("../x.csv", "not a path inside the project"),
        ("/etc/hosts.csv", "not a path inside the project"),
        ("out.csv", "leads out of the project, to `.*/secret.csv`"),
        ("dangling.csv", "cannot look at"),
        ("folder", "not a regular file"),
        ("notes.txt", "is not a dataset file"),
    ],
)
def test_bad_paths_are_refused(tmp_path: Path, pattern: str, words: str) -> None:
    root = tmp_path / "project"
    (root / "folder").mkdir(parents=True)
    (tmp_path / "secret.csv").write_text("a\n1\n")
    (root / "out.csv").symlink_to(tmp_path / "secret.csv")
    (root / "dangling.csv").symlink_to("nowhere.csv")
    (root / "notes.txt").write_text("a\n")
    with pytest.raises(DataError, match=words) as caught:
        signature(Spec((pattern,)), root)
        rows_of(root, pattern)
    if "dataset file" not in words:
        assert caught.value.mark == Mark("specs/a.yaml", 7)


def test_a_named_pipe_is_not_waited_for(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "a.jsonl")
    with pytest.raises(DataError, match="not a regular file"):
        rows_of(tmp_path, "a.jsonl")


def test_a_signature_changes_with_the_file(tmp_path: Path) -> None:
    (tmp_path / "a.jsonl").write_text("{}\n")
    before = signature(Spec(("a.jsonl",)), tmp_path)
    assert before == signature(Spec(("a.jsonl",)), tmp_path)
    (tmp_path / "new").write_text("{}\n")
    os.utime(tmp_path / "new", ns=(before[0].mtime_ns, before[0].mtime_ns))
    (tmp_path / "new").rename(tmp_path / "a.jsonl")  # same bytes, size and mtime
    assert before != signature(Spec(("a.jsonl",)), tmp_path)


def test_an_id_column_may_have_any_name(tmp_path: Path) -> None:
    (tmp_path / "a.jsonl").write_bytes(b'{"a\\"b":1}\n{"a\\"b":2}\n{}\n')
    (block,) = open_blocks(Spec(("a.jsonl",)), tmp_path, checked=False)
    assert block.column('a"b') == [1, 2, None]


def test_all_rows_that_are_wrong_are_told_at_once(tmp_path: Path) -> None:
    bad = ['{"a":NaN', '["x"]', r'{"a":"\ud800"}', '{"a":1,"a":2}', '{"a":1e999}']
    (tmp_path / "d.jsonl").write_text("\n".join([*bad, '{"a":1}', *["x"] * 30]))
    with pytest.raises(RowsUnread) as caught:
        rows_of(tmp_path, "d.jsonl")
    assert str(caught.value.mark) == "d.jsonl:1"
    assert caught.value.details[:5] == (
        "d.jsonl:2: the line is not a JSON object",
        "d.jsonl:3: the line is not JSON: it escapes half of a character, a surrogate without its pair",
        "d.jsonl:4: the key `a` is there twice",
        "d.jsonl:5: the line is not JSON: number out of range",
        "d.jsonl:7: the line is not JSON: invalid character (byte 0)",
    )
    assert len(caught.value.others) == MOST_OTHERS
    assert caught.value.details[-1] == "and perhaps more"
    assert "skip_bad: true" in caught.value.hint


def test_of_a_file_without_a_row_its_first_line_is_told(tmp_path: Path) -> None:
    (tmp_path / "d.jsonl").write_text('[\n {"a": 1},\n {"a": 2}\n]\n'.replace("{", "[").replace("}", "]"))
    with pytest.raises(RowsUnread) as caught:
        rows_of(tmp_path, "d.jsonl")
    assert (str(caught.value.mark), caught.value.others) == ("d.jsonl:1", ())


def test_rows_of_a_table_that_are_wrong_are_told_at_once(tmp_path: Path) -> None:
    (tmp_path / "d.csv").write_text("a,b\n1,2\n1,2,3\n1\n1,2\n")
    with pytest.raises(RowsUnread) as caught:
        rows_of(tmp_path, "d.csv")
    assert str(caught.value.mark) == "d.csv:3"
    assert [(str(one.mark), one.hint) for one in caught.value.others] == [("d.csv:4", "")], "the hint is said once"
