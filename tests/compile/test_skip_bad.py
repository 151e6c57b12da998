"""Rows that cannot become requests: with `skip_bad` the others are compiled, and these are counted and named."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from msgspec.structs import replace

from runner.compile.compile import compile_job, load, preview
from runner.compile.faults import RowsFailed
from runner.compile.job import CompiledJob
from runner.errors import DataError, Mark
from runner.remotes.openai import lines as openai
from tests.compile.made import job_of

OPENAI = openai.LINES
BAD = (
    b'{"id": "a", "x": 1}\n{"id": "b", "x": \n{"id": "c"}\n[1]\n'
    b'{"id": "d", "x": 4}\n{"id": "", "x": 5}\n{"id": "e", "x": NaN}\n'
)


def compiled(root: Path, **dataset: Any) -> CompiledJob:
    (root / "a.jsonl").write_bytes(BAD)
    return compile_job(job_of("Say {{ x }}", dataset={"id": "id", "skip_bad": True, **dataset}), root, OPENAI)


def ids(found: CompiledJob) -> list[str]:
    return [row.custom_id for row in found.rows()]


def test_the_good_rows_are_compiled_and_the_others_counted(tmp_path: Path) -> None:
    found = compiled(tmp_path)
    assert ids(found) == ["a", "d"]
    assert found.bad == 5
    (note, nan) = found.notes
    assert note.startswith("dataset `countries`: 5 rows are left out (`skip_bad`): a.jsonl:2: the line is not JSON")
    assert note.endswith("; and 2 more")
    assert nan == "dataset `countries`: 1 value of `x` NaN or infinite, taken as null"
    assert [line.key for line in found.lines([1])] == [bytes(found.wanted.keys_at([1]))]
    assert len(list(preview(found.job, tmp_path, OPENAI))) == 2


def test_the_same_read_back_from_a_shard(tmp_path: Path) -> None:
    found = compiled(tmp_path)
    found.save(tmp_path / "shard")
    again = load(tmp_path / "shard", found.job, tmp_path, OPENAI)
    assert again is not None
    assert (again.bad, again.notes, ids(again)) == (found.bad, found.notes, ids(found))


def test_the_same_requests_as_if_the_bad_rows_were_gone(tmp_path: Path) -> None:
    found = compiled(tmp_path)
    (tmp_path / "a.jsonl").write_bytes(b'{"id": "a", "x": 1}\n{"id": "d", "x": 4}\n')
    clean = compile_job(job_of("Say {{ x }}", dataset={"id": "id"}), tmp_path, OPENAI)
    assert clean.wanted.keys == found.wanted.keys
    assert clean.bad == 0 and clean.notes == ()


@pytest.mark.parametrize("where", ["{{ x }}", "{{ x | int > 0 }}"])
@pytest.mark.parametrize("sample", [None, 2, 100])
def test_a_filter_that_cannot_be_asked_and_a_sample(tmp_path: Path, where: str, sample: int | None) -> None:
    found = compiled(tmp_path, where=where, sample_rows=sample)
    assert ids(found) == ["a", "d"] if sample != 2 else set(ids(found)) <= {"a", "d"}  # one picked row has no id
    assert found.bad >= 4


def test_rows_of_a_csv_are_left_out_and_numbers_stay(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_bytes(b'x,y\n1,2\n3\n5,"6\n7,8\n9,\xff\n10,11\n')
    job = job_of("Say {{ x }}", files=("a.csv",), dataset={"skip_bad": True})
    found = compile_job(job, tmp_path, OPENAI)
    assert ids(found) == ["row-1", "row-4", "row-6"]
    assert found.bad == 3
    assert [row.row_json for row in found.rows()][-1] == b'{"x":"10","y":"11"}'
    assert [line.key for line in found.lines([0, 2])] == [bytes(found.wanted.keys_at([n])) for n in (0, 2)]


def test_without_it_the_message_offers_it(tmp_path: Path) -> None:
    (tmp_path / "a.jsonl").write_bytes(BAD)
    with pytest.raises(DataError) as caught:
        compile_job(job_of("Say {{ x }}"), tmp_path, OPENAI)
    assert caught.value.mark == Mark("a.jsonl", 2)
    assert "write `skip_bad: true` in dataset `countries`" in caught.value.hint
    (tmp_path / "a.jsonl").write_bytes(b'{"x": 1}\n{"y": 1}\n')
    with pytest.raises(RowsFailed) as failed:
        compile_job(job_of("Say {{ x }}"), tmp_path, OPENAI)
    assert "`skip_bad: true` in dataset `countries` sends the other rows" in failed.value.hint


@pytest.mark.parametrize(
    ("name", "content", "skip_bad"),
    [
        ("a.jsonl", b"[1]\n[2]\n", False),
        ("a.csv", b"x,y\n1,2,3\n4\n", False),
        ("a.csv", b"x,\xff\n1,2\n", False),  # without its header no row can be read
        ("a.csv", b"x,\xff\n1,2\n", True),
    ],
)
def test_it_is_not_offered_where_it_would_not_help(tmp_path: Path, name: str, content: bytes, skip_bad: bool) -> None:
    (tmp_path / name).write_bytes(content)
    with pytest.raises(DataError) as caught:
        compile_job(job_of("Say {{ x }}", files=(name,), dataset={"skip_bad": skip_bad}), tmp_path, OPENAI)
    assert "skip_bad" not in caught.value.hint
    assert "put it right" in caught.value.hint


def test_it_is_offered_where_another_file_has_good_rows(tmp_path: Path) -> None:
    (tmp_path / "a.jsonl").write_bytes(b"[1]\n")
    (tmp_path / "b.jsonl").write_bytes(b'{"x": 1}\n')
    with pytest.raises(DataError) as caught:
        compile_job(job_of("Say {{ x }}", files=("a.jsonl", "b.jsonl")), tmp_path, OPENAI)
    assert "write `skip_bad: true`" in caught.value.hint


def test_it_is_not_offered_for_a_header_that_cannot_be_read(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_bytes(b"x\n1\n")
    (tmp_path / "b.csv").write_bytes(b"\xff\n1\n")
    with pytest.raises(DataError) as caught:
        compile_job(job_of("Say {{ x }}", files=("a.csv", "b.csv")), tmp_path, OPENAI)
    assert "skip_bad" not in caught.value.hint


def test_nothing_but_bad_rows_is_an_error_all_the_same(tmp_path: Path) -> None:
    (tmp_path / "a.jsonl").write_bytes(b'{"y": 1}\n{"y": 2}\n')
    for skip_bad in (True, False):
        with pytest.raises(RowsFailed) as caught:
            compile_job(job_of("Say {{ x }}", dataset={"skip_bad": skip_bad}), tmp_path, OPENAI)
        assert "skip_bad" not in caught.value.hint
        assert "columns: `y`" in caught.value.hint


@pytest.mark.parametrize("user", ["Say {{ x }}", "Say {{ x | default(0) }}", "{{ row | tojson }}"])
def test_nan_that_a_template_looks_at_is_an_error_of_its_row(tmp_path: Path, user: str) -> None:
    (tmp_path / "a.jsonl").write_bytes(b'{"x": 1, "y": 1}\n{"x": Infinity, "y": 1}\n')
    with pytest.raises(RowsFailed) as caught:
        compile_job(job_of(user), tmp_path, OPENAI)
    assert caught.value.mark == Mark("a.jsonl", 2)
    assert "`x` is NaN or infinite" in caught.value.message


@pytest.mark.parametrize("where", [None, "{{ y }}", "{{ y == 1 }}"])
def test_nan_that_no_template_looks_at_is_null_with_a_count(tmp_path: Path, where: str | None) -> None:
    (tmp_path / "a.jsonl").write_bytes(b'{"x": NaN, "y": 1}\n{"x": 2, "y": 1}\n{"x": -Infinity, "y": 1}\n')
    found = compile_job(job_of("Say {{ y }}", dataset={"where": where}), tmp_path, OPENAI)
    assert found.notes == ("dataset `countries`: 2 values of `x` NaN or infinite, taken as null",)
    assert [row.row_json for row in found.rows()] == [b'{"x":null,"y":1}', b'{"x": 2, "y": 1}', b'{"x":null,"y":1}']


def test_nan_in_a_filter_is_an_error_of_its_row(tmp_path: Path) -> None:
    (tmp_path / "a.jsonl").write_bytes(b'{"x": NaN, "y": 1}\n{"x": 2, "y": 1}\n')
    for where in ("{{ x }}", "{{ x and true }}"):
        with pytest.raises(RowsFailed, match="`x` is NaN"):
            compile_job(job_of("Say {{ y }}", dataset={"where": where}), tmp_path, OPENAI)


def test_what_a_project_says_changes_no_identity_that_was_recorded(tmp_path: Path) -> None:
    """Results files on record were made of jobs without these fields: they must not be written again for them."""
    from runner.compile.shard import identity_of

    plain = job_of("Say {{ x }}")
    assert identity_of(plain, OPENAI) == "ffa212f94b817cb71aaae3bedf2524bb30b6437e72c75d9464b519dcef99d97e"
    skipping = replace(plain, dataset=replace(plain.dataset, skip_bad=True))
    assert identity_of(skipping, OPENAI) != identity_of(plain, OPENAI)
