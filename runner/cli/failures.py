"""The failed rows of a results file, and answers that are none: how many for each reason, and the first of them."""

from __future__ import annotations

import csv
import re
from collections.abc import Iterator, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

import msgspec

from runner.cli import voice
from runner.data.csv import MAX_FIELD_CHARACTERS
from runner.errors import RunnerError
from runner.job.finish import FLAWS
from runner.job.outcomes import Unsettled
from runner.results.names import RESULTS

MOST_ROWS = 20
MOST_REASONS = 10
MOST_CHARACTERS = 160
_MOST_KEPT = 1000  # reasons told apart; what comes after goes by its code alone
_NAMED = 3  # rows named for each reason
_UNSETTLED = frozenset((*(state.word for state in Unsettled), "missing", "held"))
_DIGITS = re.compile(r"\d+")


class Failed(msgspec.Struct, frozen=True):
    custom_id: str
    code: str
    message: str


class FailureReason(msgspec.Struct, frozen=True):
    """Why some rows failed, or why their answers are none. Messages that differ in numbers only are one."""

    code: str
    message: str
    rows: int
    examples: tuple[str, ...]  # ids of the first few
    hint: str = ""  # the next step, where it is known
    is_answered: bool = False  # the answer is there, and none

    @property
    def words(self) -> str:
        return f"{self.code}: {self.message}" if self.code and not self.is_answered else self.message


class Failures(msgspec.Struct, frozen=True):
    """The reasons, the most frequent first, and the first failed rows."""

    reasons: tuple[FailureReason, ...] = ()
    rows: tuple[Failed, ...] = ()


class _Row(msgspec.Struct, frozen=True):
    """What a line of a results file says of its request."""

    custom_id: str
    code: str | None  # None: no error
    message: str
    finish: str


def failures_in(output: Path) -> Failures:
    """Of a results file of any format, or of a folder; as far as it can be read when somebody edited it."""
    path = output / RESULTS if output.is_dir() else output
    readers = {".jsonl": _in_jsonl, ".csv": _in_csv, ".parquet": _in_parquet}
    reader = readers.get(path.suffix.lower())
    kept = _Kept()
    with suppress(OSError, ValueError, csv.Error, msgspec.MsgspecError, RecursionError, RunnerError):
        for row in reader(path) if reader else ():
            kept.add(row)
    return kept.failures()


class _Kept:
    """Reasons while they are counted."""

    def __init__(self) -> None:
        self._counts: dict[tuple[str, str, bool], int] = {}
        self._first: dict[tuple[str, str, bool], tuple[str, list[str]]] = {}
        self._rows: list[Failed] = []

    def add(self, row: _Row) -> None:
        is_answered = row.finish in FLAWS and row.code in (None, row.finish)
        if row.code in _UNSETTLED or (row.code is None and not is_answered):
            return
        code = row.finish if is_answered else row.code or ""
        message = FLAWS[code].message if is_answered else row.message[:MOST_CHARACTERS]
        if row.code is not None and len(self._rows) < MOST_ROWS:
            self._rows.append(Failed(row.custom_id, code, message))
        key = (code, _DIGITS.sub("0", message), is_answered)
        if key not in self._counts and len(self._counts) >= _MOST_KEPT:
            key, message = (code, "", is_answered), "several reasons"
        self._counts[key] = self._counts.get(key, 0) + 1
        examples = self._first.setdefault(key, (message, []))[1]
        if len(examples) < _NAMED:
            examples.append(row.custom_id)

    def failures(self) -> Failures:
        most = sorted(self._counts, key=lambda key: -self._counts[key])
        reasons = []
        for key in most:
            code, _, is_answered = key
            message, examples = self._first[key]
            hint = FLAWS[code].hint if is_answered else ""
            reasons.append(FailureReason(code, message, self._counts[key], tuple(examples), hint, is_answered))
        return Failures(tuple(reasons), tuple(self._rows))


def of_bad(count: int, first: str) -> tuple[FailureReason, ...]:
    """Rows that cannot be sent, which no results file has a line of. first: the places of some, and why."""
    hint = "put them right: the next `runner apply` sends them"
    return (FailureReason("", f"cannot be sent: {first}", count, (), hint),) if count else ()


def lines_of(failures: Failures) -> list[str]:
    """`  error  2 rows  429 rate_limit: slow down  (r3, r7)`, a line for each reason, its next step below."""
    lines = []
    for reason in failures.reasons[:MOST_REASONS]:
        names = ", ".join(voice.one_line(name) for name in reason.examples)
        more = ", …" if reason.rows > len(reason.examples) else ""
        what = "answer" if reason.is_answered else "error"
        named = f"  ({names}{more})" if names else ""
        lines.append(f"  {what}  {voice.count(reason.rows, 'row')}  {voice.one_line(reason.words)}{named}")
        lines += [f"         {reason.hint}"] if reason.hint else []
    if len(failures.reasons) > MOST_REASONS:
        rest = failures.reasons[MOST_REASONS:]
        lines.append(f"  … {sum(one.rows for one in rest):,} more rows, for {len(rest):,} other reasons")
    return lines


def top_reason(failures: Failures) -> str:
    """`400 bad: no such thing (12 of 14)`: the reason that most errors have; empty without an error."""
    failed = {row.code for row in failures.rows}
    errors = [reason for reason in failures.reasons if not reason.is_answered or reason.code in failed]
    if not errors:
        return ""
    top, total = errors[0], sum(reason.rows for reason in errors)
    return f"{voice.one_line(top.words)} ({top.rows:,}{f' of {total:,}' if top.rows < total else ''})"


# --- each format --------------------------------------------------------------------------------------------------


class _Line(msgspec.Struct):
    custom_id: str = ""
    error: dict[str, Any] | None = None
    error_code: str | None = None
    error_message: str | None = None
    finish: str | None = None


def _in_jsonl(output: Path) -> Iterator[_Row]:
    decode = msgspec.json.Decoder(_Line).decode
    with open(output, "rb") as lines:
        for line in lines:
            row = decode(line)
            yield _row(row.custom_id, row.error, row.error_code, row.error_message, row.finish)


def _in_csv(output: Path) -> Iterator[_Row]:
    csv.field_size_limit(MAX_FIELD_CHARACTERS)
    decode = msgspec.json.Decoder(dict[str, Any]).decode
    with open(output, newline="", encoding="utf-8") as lines:
        for cells in csv.DictReader(lines):
            error = decode(cells["error"]) if cells.get("error") else None
            yield _of_cells(cells, error)


def _in_parquet(output: Path) -> Iterator[_Row]:
    from runner.results.parquet import pyarrow_of

    arrow = pyarrow_of()
    decode = msgspec.json.Decoder(dict[str, Any]).decode
    with arrow.parquet.ParquetFile(output) as file:
        there = file.schema_arrow.names
        names = [name for name in ("custom_id", "error", "error_code", "error_message", "finish") if name in there]
        for batch in file.iter_batches(batch_size=4096, columns=names):
            for cells in batch.to_pylist():
                yield _of_cells(cells, decode(cells["error"]) if cells.get("error") else None)


def _of_cells(cells: Mapping[str, Any], error: dict[str, Any] | None) -> _Row:
    get = cells.get
    return _row(get("custom_id"), error, get("error_code") or None, get("error_message"), get("finish"))


def _row(
    custom_id: str | None, error: dict[str, Any] | None, code: str | None, message: str | None, finish: str | None
) -> _Row:
    if error is not None:
        said = error.get("code")
        code, message = "" if said is None else str(said), str(error.get("message") or "")
    return _Row(custom_id or "", code, message or "", finish or "")
