"""Tables of which nothing is remembered: what their lines prove of themselves, and what they cannot."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from runner.compile.compiled import RowView
from runner.job.finish import INVALID
from runner.job.project import Pick
from runner.job.source import Mark
from runner.remotes.reading.lines import COMMON
from runner.remotes.reading.verdict import TEXT, Expected, as_wanted
from runner.results import columns
from runner.results.export import writer_for
from runner.results.picked import Picked
from runner.results.proved import Proof, is_proved
from runner.results.splice import Merged

from . import made

JSON = Expected(is_json=True)
ABOUT = columns.About()
PICKS = (Pick(name="city", source="answer.city", path=("city",), type="", mark=Mark("a.yaml", 1, 1)),)


def line(name: str, text: Any, wanted: Expected = TEXT, **row: Any) -> Merged:
    response = json.dumps(made.chat(text)).encode()
    answer, ends = as_wanted(COMMON.answer(response, wanted), wanted)
    whose = "batch-1", made.digest(name).hex(), made.ORIGIN
    return Merged(name, json.dumps(row).encode(), answer, response, b"null", *whose, ends)


def silent(name: str, origin: str | None = made.ORIGIN) -> Merged:
    error = b'{"code":"not_sent","message":"it was not sent yet","status":null,"retryable":false}'
    return Merged(name, b"{}", b"null", b"null", error, None, made.digest(name).hex(), origin, None, "error")


def proof_of(path: Path, *lines: Merged, wanted: Expected = TEXT, picks: tuple[Pick, ...] = ()) -> Proof:
    rows = [RowView(one.custom_id, one.row, b"") for one in lines]
    given = columns.input_of((row.row_json for row in rows), typed=False)
    table = columns.table(path.suffix, ABOUT, given, steps=[Picked(picks, None)] if picks else [])
    return Proof(table, columns.ours(ABOUT, is_of_recordings=False), wanted, lambda _: COMMON)


def written(path: Path, *lines: Merged, **more: Any) -> Proof:
    proof = proof_of(path, *lines, **more)
    with writer_for(path, path.parent, proof.table) as writer:
        for one in lines:
            writer.write(one)
    return proof


LINES = (line("a", '{"city": "Paris"}', n=1), line("b", "=1+1", n=2), silent("c"), silent("d", None))


@pytest.mark.parametrize("suffix", ["jsonl", "csv"])
@pytest.mark.parametrize("picks", [(), PICKS])
def test_what_was_written_is_proved_whatever_is_asked_now(tmp_path: Path, suffix: str, picks: tuple[Pick, ...]) -> None:
    path = tmp_path / f"o.{suffix}"
    proof = written(path, *LINES, picks=picks)
    assert is_proved(path, proof)
    assert is_proved(path, proof._replace(wanted=Expected(is_json=True, is_object=True)))  # the spec asks for JSON now
    held = line("a", '{"city": "Paris"}', JSON, n=1)._replace(finish=INVALID)  # by the schema of that day
    as_json = written(path, held, line("b", "[1]", JSON, n=2), wanted=JSON, picks=picks)
    assert is_proved(path, as_json) and is_proved(path, as_json._replace(wanted=TEXT))


@given(text=st.text(), row=st.dictionaries(st.text("abc", min_size=1, max_size=2), st.text(), max_size=2))
@pytest.mark.parametrize("suffix", ["jsonl", "csv"])
def test_any_answer_to_any_row(tmp_path_factory: pytest.TempPathFactory, suffix: str, text: str, row: Any) -> None:
    path = tmp_path_factory.mktemp("proved") / f"o.{suffix}"
    lines = (line("a", text, **row), line("b", "x", **row))
    proof = written(path, *lines, picks=PICKS)
    assert is_proved(path, proof)
    if suffix == "jsonl":
        edit_json(path, lambda cells: cells.update(answer=f"{text}!"))
    else:
        edit_csv(path, "answer", f"{text}!")
    assert not is_proved(path, proof)


def edit_json(path: Path, edit: Callable[[dict[str, Any]], object]) -> None:
    first, rest = path.read_bytes().split(b"\n", 1)
    cells = json.loads(first)
    edit(cells)
    path.write_bytes(json.dumps(cells, separators=(",", ":"), ensure_ascii=False).encode() + b"\n" + rest)


def edit_csv(path: Path, name: str, cell: str) -> None:
    with path.open(encoding="utf-8", newline="") as source:
        header, first, *rest = csv.reader(source)
    first = dict(zip(header, first, strict=True)) | {name: cell}
    out = io.StringIO(newline="")
    csv.writer(out).writerows(
        [list(first), list(first.values()), *(one + [""] * (len(first) - len(one)) for one in rest)]
    )
    path.write_text(out.getvalue(), encoding="utf-8", newline="")


EDITS: dict[str, Callable[[dict[str, Any]], object]] = {
    "an answer": lambda cells: cells.update(answer="better"),
    "no answer": lambda cells: cells.update(answer=None),
    "how it ended": lambda cells: cells.update(finish="length"),
    "a value picked out of it": lambda cells: cells.update(city="Rome"),
    "a column of their own": lambda cells: cells.update(note="look again"),
    "no response": lambda cells: cells.update(response=None),
    "no digest": lambda cells: cells.update(digest="?"),
    "an answer that was not sent": lambda cells: cells.update(origin=None),
    "a column less": lambda cells: cells.pop("origin"),
}


@pytest.mark.parametrize("edit", EDITS)
def test_what_a_person_wrote_into_it_is_not(tmp_path: Path, edit: str) -> None:
    path = tmp_path / "o.jsonl"
    proof = written(path, *LINES, picks=PICKS)
    edit_json(path, lambda cells: None)
    assert is_proved(path, proof)
    edit_json(path, EDITS[edit])
    assert not is_proved(path, proof)


@pytest.mark.parametrize(("name", "cell"), [("answer", "x"), ("note", "x"), ("city", "Rome"), ("digest", "x")])
def test_nor_into_a_cell(tmp_path: Path, name: str, cell: str) -> None:
    path = tmp_path / "o.csv"
    proof = written(path, *LINES, picks=PICKS)
    edit_csv(path, "finish", "stop")
    assert is_proved(path, proof)
    edit_csv(path, name, cell)
    assert not is_proved(path, proof)


@pytest.mark.parametrize("there", [b"{", b"[]\n", b'{"digest": 1}\n', b"\xff\n", b'{"a": 1}\n'])
def test_what_is_no_table_of_ours_is_not(tmp_path: Path, there: bytes) -> None:
    path = tmp_path / "o.jsonl"
    path.write_bytes(there)
    assert not is_proved(path, proof_of(path))
    path = tmp_path / "o.csv"
    path.write_bytes(there + b'\n"')
    assert not is_proved(path, proof_of(path))
