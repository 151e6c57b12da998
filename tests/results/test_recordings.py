from __future__ import annotations

import csv
from pathlib import Path
from typing import Any

import msgspec
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from runner.remotes.reading.verdict import NULL
from runner.results.splice import Merged
from runner.results.transcript import content_of, suffix_of, transcript_of

from . import heard, made

TRICKY = '=1+1,"q"\r\n\u2028\u0085\x0cé\U0001f600'
KEYS = [
    "custom_id",
    "file",
    "duration",
    "language",
    "text",
    "words",
    "segments",
    "speakers",
    "error",
    "batch",
    "digest",
    "origin",
    "response",
]


def table(tmp_path: Path, suffix: str) -> Path:
    paths = ["a.wav", "b.wav", "c\n,.wav", "d.wav"]
    source = heard.source(
        tmp_path / "raw",
        paths[:3],
        heard.said("a.wav", heard.VERBOSE),
        heard.text("b.wav", TRICKY, "srt"),
        made.line("c\n,.wav", error={"code": "failed", "message": "no speech"}),
    )
    path = tmp_path / f"o{suffix}"
    counts = heard.write_table(path, tmp_path, paths, [source])
    assert (counts.wanted, counts.ok, counts.error, counts.missing) == (4, 2, 1, 1)
    return path


def test_jsonl_has_a_line_for_every_recording(tmp_path: Path) -> None:
    first, second, third, fourth = heard.lines(table(tmp_path, ".jsonl"))
    assert all(list(line) == KEYS for line in (first, second, third, fourth))
    assert first == {
        "custom_id": "a.wav",
        "file": "a.wav",
        "duration": 1.9,
        "language": "en",
        "text": "hello there",
        "words": heard.WORDS,
        "segments": heard.VERBOSE["segments"],
        "speakers": ["SPEAKER_01", "SPEAKER_00"],
        "error": None,
        "batch": "wave-1",
        "digest": made.digest("a.wav").hex(),
        "origin": heard.ORIGIN,
        "response": heard.VERBOSE,
    }
    assert (second["text"], second["duration"], second["words"], second["speakers"]) == (TRICKY, 2.5, None, None)
    assert second["response"] == {"text": TRICKY, "format": "srt"}
    assert third["error"] == {"code": "failed", "message": "no speech", "status": None, "retryable": False}
    assert (third["file"], third["text"], third["duration"], third["response"]) == ("c\n,.wav", None, 2.5, None)
    assert (fourth["error"]["code"], fourth["batch"], fourth["origin"]) == ("missing", None, None)


def test_csv_has_the_same_columns(tmp_path: Path) -> None:
    with table(tmp_path, ".csv").open(encoding="utf-8", newline="") as file:
        header, first, second, third, fourth = csv.reader(file)
    assert header == KEYS
    cells = dict(zip(header, first, strict=True))
    assert (cells["file"], cells["duration"], cells["language"], cells["text"]) == ("a.wav", "1.9", "en", "hello there")
    assert msgspec.json.decode(cells["words"]) == heard.WORDS
    assert msgspec.json.decode(cells["speakers"]) == ["SPEAKER_01", "SPEAKER_00"]
    assert msgspec.json.decode(cells["response"]) == heard.VERBOSE
    assert dict(zip(header, second, strict=True))["text"] == "'" + TRICKY
    assert third[:3] == ["c\n,.wav", "c\n,.wav", "2.5"] and fourth[-1] == ""


def test_parquet_has_them_typed(tmp_path: Path) -> None:
    found = pq.read_table(table(tmp_path, ".parquet"))
    told = ["status", "error_code", "error_message", "model", "job", "usd"]
    assert found.schema.names == KEYS[:8] + told + KEYS[9:]
    types = {field.name: str(field.type) for field in found.schema}
    assert (types["duration"], types["usd"], types["text"]) == ("double", "double", "string")
    assert (types["speakers"], types["words"][:23]) == ("list<element: string>", "list<element: struct<wo")
    assert found["duration"].to_pylist() == [1.9, 2.5, 2.5, 2.5]
    first, second, third, fourth = found.to_pylist()
    assert first["segments"][0]["text"] == "hello there" and first["words"] == heard.WORDS
    assert second["text"] == TRICKY and second["words"] is None
    assert (third["error_code"], third["status"], fourth["status"]) == ("failed", "error", "missing")
    assert fourth["batch"] is None and fourth["response"] is None


def merged(body: Any, answer: Any = "x", row: bytes = b'{"file":"a.wav","duration_s":null}') -> Merged:
    return Merged("a.wav", row, msgspec.json.encode(answer), msgspec.json.encode(body), NULL, "b", "00", "o")


ODD = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(["speaker_id", "x"]), inner),
    max_leaves=8,
)
ODD_BODIES = st.dictionaries(st.sampled_from(["text", "words", "segments", "duration", "language"]), ODD) | ODD


@given(ODD_BODIES)
def test_bodies_of_any_shape_have_parts_that_are_json(body: Any) -> None:
    heard_here = transcript_of(merged(body))
    parts = [msgspec.json.decode(part) for part in heard_here]
    assert parts[0] == "a.wav"
    assert parts[1] is None or (isinstance(parts[1], int | float) and parts[1] >= 0)
    assert all(isinstance(part, list) for part in parts[4:] if part is not None)


@pytest.mark.parametrize("seconds", ["1.9", -1, True, None, [2]])
def test_a_duration_that_is_none_is_ours(seconds: Any) -> None:
    row = b'{"file":"a.wav","duration_s":7.25}'
    assert transcript_of(merged({"text": "x", "duration": seconds}, row=row)).duration == b"7.25"


def test_speakers_come_from_segments_where_there_are_no_words() -> None:
    body = {"text": "x", "words": None, "segments": [{"speaker_id": 1}, {"speaker_id": None}, {"speaker_id": "b"}]}
    assert transcript_of(merged(body)).speakers == b'[1,"b"]'


@pytest.mark.parametrize(
    ("kind", "suffix"),
    [("json", ".json"), ("verbose_json", ".json"), ("text", ".txt"), ("srt", ".srt"), ("vtt", ".vtt")],
)
def test_the_suffix_follows_the_format(kind: str, suffix: str) -> None:
    assert suffix_of({"response_format": kind}) == suffix
    assert suffix_of({}) == ".json"


def test_a_transcript_is_what_the_remote_wrote() -> None:
    told = "1\r\n00:00:00,000 --> 00:00:01,000\r\né\u2028\r\n"
    assert content_of(merged({"text": told, "format": "srt"}, told), ".srt") == told.encode()
    assert content_of(merged({"text": "", "format": "text"}, ""), ".txt") == b""
    assert content_of(merged(heard.VERBOSE), ".json") == msgspec.json.encode(heard.VERBOSE) + b"\n"
    assert content_of(merged({"odd": 1}, None), ".txt") == b'{"odd":1}\n'
    assert content_of(merged(None), ".txt") is None
