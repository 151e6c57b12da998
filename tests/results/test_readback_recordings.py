from __future__ import annotations

import csv
from pathlib import Path

import msgspec
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from runner.results.readback import read_back

from . import heard, made

SUFFIXES = [".jsonl", ".csv", ".parquet"]
TEXT = st.text(max_size=8) | st.sampled_from(["=1", "-5", "'x", "\r\n", "\x00", "\u2028", "\\", '"'])
BODIES = st.one_of(
    st.builds(lambda text: {"text": text, "format": "srt"}, TEXT),
    st.builds(lambda text, words: {**heard.VERBOSE, "text": text, "words": words}, TEXT, st.none() | st.just([])),
    st.just({"odd": [1.5e300, 10**30]}),
)
PATHS = st.text(st.characters(blacklist_characters="/\x00", blacklist_categories=["Cs"]), min_size=1, max_size=6)


@settings(max_examples=40)
@given(st.sampled_from(SUFFIXES), st.dictionaries(PATHS, BODIES | st.none(), min_size=1, max_size=5))
def test_adopting_a_table_and_writing_it_again_gives_the_same_bytes(
    tmp_path_factory: pytest.TempPathFactory, suffix: str, bodies: dict[str, object]
) -> None:
    root = tmp_path_factory.mktemp("root")
    paths = sorted(bodies)
    answers = {path: body for path, body in bodies.items() if body is not None}
    lines = [heard.said(path, body) for path, body in answers.items()]
    source = heard.source(root / "raw", sorted(answers), *lines)
    before = root / f"before{suffix}"
    counts = heard.write_table(before, root, paths, [source])
    assert (counts.ok, counts.missing) == (len(answers), len(paths) - len(answers))

    back = read_back(before, root / "objects")
    assert (back.lines, back.answers, back.unanswered, back.damaged) == (
        len(paths),
        len(answers),
        counts.missing,
        0,
    )
    after = root / f"after{suffix}"
    heard.write_table(after, root, paths, [file.source() for file in back.files])
    if suffix == ".parquet":
        assert pq.read_table(after).equals(pq.read_table(before))
    else:
        assert after.read_bytes() == before.read_bytes()
    assert read_back(after, root / "objects") == back or not answers


def test_a_table_and_a_folder_remember_the_same(tmp_path: Path) -> None:
    paths = ["a.wav", "b.wav"]
    source = heard.source(
        tmp_path / "raw", paths, heard.said("a.wav", heard.VERBOSE), heard.said("b.wav", {"text": "x"})
    )
    back = []
    for suffix in SUFFIXES:
        heard.write_table(tmp_path / f"o{suffix}", tmp_path, paths, [source])
        back.append(read_back(tmp_path / f"o{suffix}", tmp_path / "objects"))
    heard.write_folder(tmp_path / "out", tmp_path, paths, [source], kind="verbose_json")
    back.append(read_back(tmp_path / "out", tmp_path / "objects"))
    assert len({(one.files[0].keys, one.files[0].index) for one in back}) == 1
    assert len({msgspec.json.encode(heard.lines(one.files[0].path)[0]["response"]) for one in back}) == 1


def test_tables_that_lost_a_column_are_not_ours(tmp_path: Path) -> None:
    source = heard.source(tmp_path / "raw", ["a.wav"], heard.text("a.wav", "x"))
    path = tmp_path / "o.csv"
    heard.write_table(path, tmp_path, ["a.wav"], [source])
    with path.open(newline="", encoding="utf-8") as file:
        rows = [row[:-1] for row in csv.reader(file)]
    with path.open("w", newline="", encoding="utf-8") as file:
        csv.writer(file).writerows(rows)
    assert (read_back(path, tmp_path / "objects").damaged, made.digest("a.wav").hex()) == (1, rows[1][-2])
    table = tmp_path / "o.parquet"
    heard.write_table(table, tmp_path, ["a.wav"], [source])
    pq.write_table(pq.read_table(table).drop_columns(["response"]), table)
    assert read_back(table, tmp_path / "objects").damaged == 1


def test_rows_that_were_not_asked_are_no_damage(tmp_path: Path) -> None:
    for suffix in SUFFIXES:
        heard.write_table(tmp_path / f"o{suffix}", tmp_path, ["a.wav"], [])
        back = read_back(tmp_path / f"o{suffix}", tmp_path / "objects")
        assert (back.unanswered, back.damaged, back.files) == (1, 0, ())
