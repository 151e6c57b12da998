"""The failed rows of a results file, the first few: which, and why."""

from __future__ import annotations

import csv
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any

import msgspec

from runner.data.csv import MAX_FIELD_CHARACTERS

MOST_ROWS = 20
MOST_CHARACTERS = 160


@dataclass(frozen=True, slots=True)
class Failed:
    custom_id: str
    code: str
    message: str

    @property
    def words(self) -> str:
        return f"{self.code}: {self.message}" if self.code else self.message


class _Line(msgspec.Struct):
    custom_id: str
    batch: str | None = None  # None: no batch brought an outcome, so that nothing has failed
    error: dict[str, Any] | None = None


def failures_in(output: Path) -> tuple[Failed, ...]:
    """The first failed rows of a .jsonl or .csv results file; as far as it can be read when somebody edited it."""
    match output.suffix.lower():
        case ".jsonl":
            found = _in_jsonl(output)
        case ".csv":
            found = _in_csv(output)
        case _:
            return ()
    failed: list[Failed] = []
    # A file that somebody edited is shown as far as it can be read
    with suppress(OSError, ValueError, csv.Error, msgspec.MsgspecError, RecursionError):
        failed.extend(_failed(name, error) for name, error in islice(found, MOST_ROWS))
    return tuple(failed)


def _in_jsonl(output: Path) -> Iterator[tuple[str, dict[str, Any]]]:
    decode = msgspec.json.Decoder(_Line).decode
    with open(output, "rb") as lines:
        for line in lines:
            row = decode(line)
            if row.error is not None and row.batch:
                yield row.custom_id, row.error


def _in_csv(output: Path) -> Iterator[tuple[str, dict[str, Any]]]:
    csv.field_size_limit(MAX_FIELD_CHARACTERS)
    decode = msgspec.json.Decoder(dict[str, Any]).decode
    with open(output, newline="", encoding="utf-8") as lines:
        for row in csv.DictReader(lines):
            if row.get("error") and row.get("batch"):
                yield row.get("custom_id") or "", decode(row["error"])


def _failed(custom_id: str, error: dict[str, Any]) -> Failed:
    code, message = error.get("code"), error.get("message")
    return Failed(custom_id, "" if code is None else str(code), str(message or "")[:MOST_CHARACTERS])
