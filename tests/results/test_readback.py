from __future__ import annotations

import csv
from pathlib import Path
from typing import Any

import msgspec
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from runner.errors import UsageError
from runner.job.observed import Phase
from runner.job.outcomes import Outcome, entries
from runner.remotes.reading.verdict import Expected
from runner.results.index import build_index
from runner.results.locate import OutcomeSource, locate
from runner.results.merge import merge
from runner.results.own import Cost, cost_in, read_own
from runner.results.readback import read_back

from . import made

OTHER = "fireworks@api.fireworks.ai/acme"
SUFFIXES = [".jsonl", ".csv", ".parquet"]
NAMES = "abcdab"
TRICKY = "=x\u2028\u0085\r\n'\x00é"


def sources(folder: Path) -> list[OutcomeSource]:
    folder.mkdir()
    given = {
        "1": (made.ORIGIN, [made.ok("a", TRICKY), made.refused("c")], "abcd"),
        "2": (OTHER, [made.bare("b", '{"x": [1,\n 2]}')], "b"),
    }
    found = []
    for batch, (origin, lines, names) in given.items():
        file = made.raw(folder / batch, *lines)
        index = build_index([file], made.expected(*names), ended=Phase.EXPIRED).index
        found.append(OutcomeSource(index, 0, batch, origin, (file,)))
    return found


def output(path: Path, given: list[OutcomeSource], parse_json: bool = False) -> Path:
    with made.writer(path, path.parent, ("n",)) as writer:
        merge(map(made.row, NAMES), locate(made.keys(*NAMES), given), given, writer, wanted=Expected(parse_json))
    return path


@pytest.mark.parametrize("parse_json", [False, True])
@pytest.mark.parametrize("suffix", SUFFIXES)
def test_adopting_and_merging_again_gives_the_same_bytes(tmp_path: Path, suffix: str, parse_json: bool) -> None:
    before = output(tmp_path / f"o{suffix}", sources(tmp_path / "raw"), parse_json)
    back = read_back(before, tmp_path / "objects")
    assert (back.lines, back.answers, back.duplicates, back.unanswered, back.damaged) == (6, 2, 2, 2, 0)
    assert [file.origin for file in back.files] == [OTHER, made.ORIGIN]
    assert [file.keys for file in back.files] == [made.expected("b"), made.expected("a")]
    assert [entry.outcome for file in back.files for entry in entries(file.index)] == [Outcome.OK] * 2
    assert all(file.path.stat().st_mode & 0o777 == 0o600 for file in back.files)

    unanswered = sources(tmp_path / "raw2")[:1]  # c and d have errors, and a has an answer that is the same
    after = output(tmp_path / f"p{suffix}", [*unanswered, *(file.source() for file in back.files)], parse_json)
    if suffix == ".parquet":
        assert pq.read_table(after) == pq.read_table(before)
    else:
        assert after.read_bytes() == before.read_bytes()

    again = read_back(after, tmp_path / "objects")
    assert again == back
    assert len(list((tmp_path / "objects").iterdir())) == 2


def own(name: str, **changes: Any) -> bytes:
    line = {
        "custom_id": name,
        "row": {"n": 1},
        "answer": "x",
        "response": made.chat("x"),
        "error": None,
        "batch": "b",
        "digest": made.digest(name).hex(),
        "origin": made.ORIGIN,
    }
    return msgspec.json.encode({**line, **changes})


def test_damaged_lines_are_counted_and_skipped(tmp_path: Path) -> None:
    bad = [
        own("b")[:-9],
        own("b", digest="zz"),
        own("b", digest=made.digest("b").hex().upper()),
        own("b", digest=None),
        own("b", origin=""),
        own("b", origin=7),
        own("b", batch=7),
        own("b", error="words"),
        own("b").replace(b'"x"', b'"\xff"', 1),
        made.ok("b"),
        b"[" * 100_000,
        b"<<<<<<< HEAD",
        b"null",
    ]
    lines = [
        own("a", answer=None, synthetic=True),
        *bad,
        own("c", response=None, answer="kept"),
        own("d", response=None),
    ]
    path = made.raw(
        tmp_path / "o.jsonl", *lines, own("e", response=None, answer=None), own("f", error={"code": "x"}), b""
    )
    back = read_back(path, tmp_path / "objects")
    assert (back.lines, back.answers, back.unanswered, back.damaged) == (18, 3, 2, len(bad))
    assert back.damaged_examples[0] == "o.jsonl:2: not a line of a results file"
    assert len(back.damaged_examples) == 5
    (file,) = back.files
    assert file.keys == made.expected("a", "c", "d") and file.rows == 3
    assert file.path.read_bytes().count(b"\n") == 3


def test_cut_files_give_what_is_whole(tmp_path: Path) -> None:
    whole = own("a") + b"\n" + own("b")
    for cut in (0, 10, len(own("a")), len(own("a")) + 5, len(whole)):
        path = tmp_path / "o.jsonl"
        path.write_bytes(whole[:cut])
        back = read_back(path, tmp_path / "objects")
        assert back.answers == (cut >= len(own("a"))) + (cut == len(whole))


def test_other_tables_are_not_ours(tmp_path: Path) -> None:
    (tmp_path / "o.csv").write_text("a,b\n1,2\n")
    (tmp_path / "e.csv").write_text("")
    pq.write_table(pa.table({"a": [1]}), tmp_path / "o.parquet")
    (tmp_path / "x.parquet").write_bytes(b"PAR1 no")
    for name in ("o.csv", "e.csv", "o.parquet", "x.parquet"):
        back = read_back(tmp_path / name, tmp_path / "objects")
        assert (back.files, back.damaged) == ((), 1), name
    with pytest.raises(UsageError, match="not a results file"):
        read_back(tmp_path / "o.txt", tmp_path / "objects")


def test_csv_edited_by_hand(tmp_path: Path) -> None:
    path = output(tmp_path / "o.csv", sources(tmp_path / "raw"))
    with path.open(newline="", encoding="utf-8") as source:
        rows = list(csv.reader(source))
    pretty = msgspec.json.format(rows[1][-1].encode(), indent=2).decode()
    inject = 'null,"digest":"' + "0" * 64 + '"'
    rows[1][-1], rows[2][-1], rows[5] = pretty, inject, rows[5][:3]
    rows[6][-3] = "0" * 64
    with path.open("w", newline="", encoding="utf-8-sig") as target:
        csv.writer(target).writerows(rows)
    back = read_back(path, tmp_path / "objects")
    assert (back.answers, back.damaged, back.unanswered) == (2, 2, 2)
    assert made.expected("a") in [file.keys for file in back.files]


@pytest.mark.parametrize("finish", ["empty", "refusal", ""])
@pytest.mark.parametrize("suffix", SUFFIXES)
def test_an_answer_without_a_text_was_paid_for_too(tmp_path: Path, suffix: str, finish: str) -> None:
    """Where a file holds no responses, that it is no error is all that says it."""
    names = ("answer", "finish", "error", "input_tokens", "usd", "digest", "origin")
    error = '{"code": "no_result", "message": "none", "status": null, "retryable": true}'
    answered = (None if finish == "refusal" else "", finish or None, None, 7, 0.25, made.digest("a").hex(), OTHER)
    failed = (None, None, error, None, None, made.digest("b").hex(), OTHER)
    path = tmp_path / f"o{suffix}"
    match suffix:
        case ".jsonl":
            lines = [dict(zip(names, row, strict=True)) for row in (answered, failed)]
            lines[1]["error"] = msgspec.json.decode(error)
            made.raw(path, *map(msgspec.json.encode, lines))
        case ".csv":
            with path.open("w", newline="", encoding="utf-8-sig") as target:
                csv.writer(target).writerows([names, answered, failed])
        case _:
            pq.write_table(pa.table(dict(zip(names, zip(answered, failed, strict=True), strict=True))), path)
    back = read_back(path, tmp_path / "objects", {"input_tokens", "usd"})
    assert (back.answers, back.unanswered, back.damaged) == (1, 1, 0)
    kept, _ = read_own(back.files[0].path.read_bytes())
    assert cost_in(kept) == Cost(input_tokens=7, usd=0.25)
    assert kept.finish == (finish or None)


def test_many_origins_are_bounded(tmp_path: Path) -> None:
    lines = [own(str(n), origin=f"o{n}") for n in range(80)]
    back = read_back(made.raw(tmp_path / "o.jsonl", *lines), tmp_path / "objects")
    assert (back.answers, back.damaged) == (64, 16)
