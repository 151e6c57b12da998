"""Recordings and what was heard in them, for the tests of this folder."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import msgspec

from runner.compile.compiled import RowView
from runner.job.observed import Phase
from runner.results import columns, export, folder
from runner.results.index import build_index
from runner.results.locate import OutcomeSource, locate
from runner.results.merge import Accounting, merge
from runner.results.names import Names
from runner.results.transcript import suffix_of

from . import made

ORIGIN = "fireworks-audio@audio-batch.fireworks.ai/acme"
ALL = ("**/*",)

WORDS = [
    {"word": "hello", "start": 0.1, "end": 0.5, "probability": 0.98, "speaker_id": "SPEAKER_01"},
    {"word": "there", "start": 0.6, "end": 1.0, "probability": 0.97, "speaker_id": "SPEAKER_00"},
]
VERBOSE = {
    "task": "transcribe",
    "language": "en",
    "duration": 1.9,
    "text": "hello there",
    "words": WORDS,
    "segments": [{"id": 0, "text": "hello there", "start": 0.1, "end": 1.2, "speaker_id": "SPEAKER_01"}],
}


def row(path: str, duration_s: float | None = 2.5) -> RowView:
    cells = {"file": path, "size_bytes": 9, "duration_s": duration_s}
    return RowView(path, msgspec.json.encode(cells), made.digest(path))


def said(path: str, body: Any) -> bytes:
    return made.line(path, response={"status_code": 200, "request_id": "b-1", "body": body})


def text(path: str, words: str, kind: str = "text") -> bytes:
    return said(path, {"text": words, "format": kind})


def source(raw: Path, paths: Iterable[str], *lines: bytes, batch: str = "wave-1", generation: int = 0) -> OutcomeSource:
    file = made.raw(raw, *lines)
    index = build_index([file], made.expected(*paths), ended=Phase.COMPLETED).index
    return OutcomeSource(index, generation, batch, ORIGIN, (file,))


def write_table(path: Path, root: Path, paths: Sequence[str], sources: Sequence[OutcomeSource]) -> Accounting:
    table = columns.table(path.suffix, columns.About(), is_of_recordings=True)
    with export.writer_for(path, root, table) as writer:
        return merge(map(row, paths), locate(made.keys(*paths), sources), sources, writer)


def write_folder(
    path: Path,
    root: Path,
    paths: Sequence[str],
    sources: Sequence[OutcomeSource],
    *,
    patterns: Sequence[str] = ALL,
    kind: str = "text",
) -> Accounting:
    names = Names(patterns, suffix_of({"response_format": kind}), lambda: paths)
    with folder.writer_for(path, root, names) as writer:
        return merge(map(row, paths), locate(made.keys(*paths), sources), sources, writer)


def tree(path: Path) -> Mapping[str, bytes]:
    """All files below a folder."""
    return {str(one.relative_to(path)): one.read_bytes() for one in sorted(path.rglob("*")) if one.is_file()}


def lines(path: Path) -> list[dict[str, Any]]:
    return [msgspec.json.decode(line) for line in path.read_bytes().split(b"\n")[:-1]]
