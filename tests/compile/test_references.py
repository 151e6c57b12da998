"""References are found by their keys, in any order and of any format, without a dict of them."""

from __future__ import annotations

import gzip
import json
import subprocess
import sys
import tempfile
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from runner.compile.references import Index, index_of, key_in, made_of
from runner.errors import DataError, Mark
from runner.job.project import Dataset, Join
from runner.job.source import Source, Value
from tests.compile.made import write_rows

FILE = Value("file")


def template(text: str) -> Value:
    return Value(template=Source(text, Mark("s.yaml", 7, 3), "`on.reference` of `references` of job `j`"))


def join(files: Iterable[str] = ("refs.jsonl",), on: Value = FILE, row: Value | None = None, **dataset: Any) -> Join:
    return Join(Dataset("refs", tuple(files), mark=Mark("s.yaml", 3), **dataset), row or on, on, Mark("s.yaml", 9, 5))


def found(index: Index, key: str) -> dict[str, Any] | None:
    row = index.find(key)
    return None if row is None else json.loads(row)


TRUTHS = [
    {"file": "calls/a.wav", "said": "good morning"},
    {"file": "calls/b.wav", "said": ""},
    {"file": "calls/ü.wav", "said": "Grüezi"},
]


def write(root: Path, form: str, rows: list[dict[str, Any]]) -> str:
    name = f"refs.{form}"
    match form:
        case "jsonl":
            write_rows(root, rows, name)
        case "jsonl.gz":
            write_rows(root, rows, "plain.jsonl")
            (root / name).write_bytes(gzip.compress((root / "plain.jsonl").read_bytes()))
        case "csv":
            (root / name).write_text("file,said\n" + "".join(f"{row['file']},{row['said']}\n" for row in rows))
        case "parquet":
            import pyarrow as pa
            from pyarrow import parquet

            parquet.write_table(pa.Table.from_pylist(rows), root / name)
    return name


@pytest.mark.parametrize("form", ["jsonl", "jsonl.gz", "csv", "parquet"])
def test_a_row_of_every_format_is_found_as_it_is(tmp_path: Path, form: str) -> None:
    index = index_of(join([write(tmp_path, form, TRUTHS)]), tmp_path)
    assert [found(index, row["file"]) for row in reversed(TRUTHS)] == TRUTHS[::-1]
    assert index.find("calls/c.wav") is None
    assert len(index) == 3 and index.keyless == 0


def test_an_empty_dataset_finds_nothing(tmp_path: Path) -> None:
    write_rows(tmp_path, [], "refs.jsonl")
    assert index_of(join(), tmp_path).find("") is None


def test_several_files_are_one_dataset(tmp_path: Path) -> None:
    for number, row in enumerate(TRUTHS):
        write_rows(tmp_path, [row], f"{number}.jsonl")
    index = index_of(join(["?.jsonl"]), tmp_path)
    assert [found(index, row["file"]) for row in TRUTHS] == TRUTHS


def test_where_and_sample_of_the_dataset_count(tmp_path: Path) -> None:
    rows = [{"file": str(n), "n": n} for n in range(100)]
    write_rows(tmp_path, rows, "refs.jsonl")
    even = index_of(join(where="{{ n % 2 == 0 }}"), tmp_path)
    assert {n for n in range(100) if even.find(str(n))} == set(range(0, 100, 2))
    some = index_of(join(where="{{ n % 2 == 0 }}", sample_rows=10), tmp_path)
    kept = {n for n in range(100) if some.find(str(n))}
    assert len(kept) == 10 and kept < set(range(0, 100, 2))
    by_template = index_of(join(on=template("{{ file }}!"), where="{{ n < 3 }}"), tmp_path)
    assert [n for n in range(100) if by_template.find(f"{n}!")] == [0, 1, 2]


@pytest.mark.parametrize("text", ["{{ file }}", "  {{ file }}\n", "{{ file | upper | lower }}"])
def test_a_key_may_be_a_template(tmp_path: Path, text: str) -> None:
    write_rows(tmp_path, TRUTHS, "refs.jsonl")
    assert found(index_of(join(on=template(text)), tmp_path), "calls/a.wav") == TRUTHS[0]


@pytest.mark.parametrize(
    ("value", "key"),
    [("a", "a"), (7, "7"), (1.5, "1.5"), (True, "true"), (["a"], '["a"]'), (None, None), ("", None)],
)
def test_a_number_in_one_file_is_the_same_key_as_its_text_in_another(value: Any, key: str | None) -> None:
    assert key_in({"id": value}, "id") == key
    assert key_in({}, "id") is None


def test_references_without_a_key_are_counted_and_in_nobodys_way(tmp_path: Path) -> None:
    write_rows(tmp_path, [{"file": None, "n": 1}, {"file": "", "n": 2}, {"n": 3}, {"file": "a", "n": 4}], "refs.jsonl")
    index = index_of(join(), tmp_path)
    assert (index.keyless, len(index), found(index, "a")) == (3, 1, {"file": "a", "n": 4})


def test_a_key_that_is_there_twice_names_both_places(tmp_path: Path) -> None:
    write_rows(tmp_path, [*TRUTHS, {"file": "calls/b.wav", "said": "no"}], "refs.jsonl")
    with pytest.raises(DataError) as caught:
        index_of(join(), tmp_path)
    assert caught.value.message == (
        "dataset `refs`: the key `calls/b.wav` is there twice: at `refs.jsonl:2` and at `refs.jsonl:4`"
    )
    assert caught.value.mark == Mark("refs.jsonl", 4)
    assert "`on`, at s.yaml:9:5" in caught.value.hint


def test_many_doubled_keys_are_all_counted_and_the_first_listed(tmp_path: Path) -> None:
    write_rows(tmp_path, ({"file": str(n % 100)} for n in range(300)), "refs.jsonl")
    with pytest.raises(DataError) as caught:
        index_of(join(), tmp_path)
    head, *lines = caught.value.message.split("\n")
    assert head == "200 rows of dataset `refs`, which others are joined with, have the key of another"
    assert lines[0] == "  the key `0` is there twice: at `refs.jsonl:1` and at `refs.jsonl:101`"
    assert len(lines) == 21 and lines[-1] == "  and 180 more"


def test_a_row_whose_key_does_not_render_is_named(tmp_path: Path) -> None:
    write_rows(tmp_path, [TRUTHS[0], {"said": "x"}], "refs.jsonl")
    with pytest.raises(DataError) as caught:
        index_of(join(on=template("{{ file }}")), tmp_path)
    assert caught.value.mark == Mark("refs.jsonl", 2)
    assert "uses `file`, which is not a column of this row" in caught.value.message
    assert len(index_of(join(on=template("{{ file }}"), skip_bad=True), tmp_path)) == 1


def test_what_it_is_made_of_changes_with_content_and_keys_and_not_with_names(tmp_path: Path) -> None:
    write_rows(tmp_path, TRUTHS, "refs.jsonl")
    before = made_of(join(), tmp_path)
    (tmp_path / "refs.jsonl").rename(tmp_path / "other.jsonl")
    assert made_of(join(["other.jsonl"]), tmp_path) == before
    others = [
        join(["other.jsonl"], on=Value("said")),
        join(["other.jsonl"], on=template("{{ file }}")),
        join(["other.jsonl"], row=template("calls/{{ id }}")),
        join(["other.jsonl"], where="{{ said }}"),
        join(["other.jsonl"], sample_rows=2),
    ]
    assert len({before, *(made_of(other, tmp_path) for other in others)}) == 6
    write_rows(tmp_path, TRUTHS[:2], "other.jsonl")
    assert made_of(join(["other.jsonl"]), tmp_path) != before


# Few letters, so that keys begin and end alike; and halves of what JSON escapes.
KEYS = st.text(st.sampled_from('ab"\\\n\u2028é😀'), min_size=1, max_size=3)


@given(st.dictionaries(KEYS, st.dictionaries(st.sampled_from("xyz"), st.integers() | st.text(max_size=3))), KEYS)
def test_it_agrees_with_a_dict(rows: Mapping[str, dict[str, Any]], other: str) -> None:
    index = Index()
    for number, (key, row) in enumerate(rows.items(), 1):
        index.add(key, json.dumps({**row, "key": key}).encode(), "refs.jsonl", number)
    assert list(index.sort()) == []
    for key, row in rows.items():
        assert found(index, key) == {**row, "key": key}
    assert found(index, other) == ({**rows[other], "key": other} if other in rows else None)


MEMORY = """
import sys
from pathlib import Path
from tests.compile.test_references import index_of, join
root = Path(sys.argv[1])
index = index_of(join(), root)
assert all(index.find(f"row {n}") for n in range(0, len(index), 97))
(peak,) = [line.split()[1] for line in open("/proc/self/status") if line.startswith("VmHWM")]
print(peak)
"""


def test_memory_is_a_few_bytes_a_reference() -> None:
    peaks = []
    with tempfile.TemporaryDirectory() as folder:
        for count in (10_000, 80_000):
            write_rows(
                Path(folder), ({"file": f"row {n}", "said": "a b c d " * 20} for n in range(count)), "refs.jsonl"
            )
            command = [sys.executable, "-c", MEMORY, folder]
            peaks.append(int(subprocess.run(command, capture_output=True, check=True, cwd=ROOT).stdout))
    # 28 bytes a row are packed arrays, which are copied while they grow; the rows alone are 200 bytes each
    assert peaks[1] - peaks[0] < 70_000 * 60 / 1024 + 2048


ROOT = Path(__file__).parents[2]
