"""The scores of a job, in a file beside its results: a line a wanted row, in input order, with what checks made of it.

Beside, and not inside: results stay byte for byte what was answered, and a check that fails holds nothing back.
"""

from __future__ import annotations

from collections.abc import Generator, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple, Protocol

import msgspec
from msgspec import UNSET, Struct, UnsetType

from runner.checks.score import Scored, Status
from runner.compile.readings import AnsweredRow
from runner.errors import StateError

MOST_SHOWN = 500  # characters of what was read, and of what was expected


class _Entry(Struct, frozen=True, gc=False):
    """What one check made of one row. `over` and `under` stand there where they are not the score and 1."""

    status: str
    score: float | int | None = None
    got: str | None = None
    expected: str | None = None
    over: float | int | UnsetType = UNSET
    under: float | int | UnsetType = UNSET


class _Line(Struct, gc=False):
    custom_id: str
    digest: str
    checks: Any  # an entry for each name
    cluster: str | UnsetType = UNSET
    slices: dict[str, str | None] | UnsetType = UNSET


class _LineRead(Struct, gc=False):
    custom_id: str
    digest: str
    checks: dict[str, _Entry]
    cluster: str | None = None
    slices: dict[str, str | None] = {}


class ScoredRow(NamedTuple):
    """One line, read back: the same numbers come of it."""

    custom_id: str
    digest: str
    cluster: str | None
    slices: Mapping[str, str | None]
    checks: Mapping[str, Scored]


_encoder = msgspec.json.Encoder()
_decode = msgspec.json.Decoder(_LineRead).decode


class Sink(Protocol):
    """Where lines go: an open file, or what only looks at them."""

    def write(self, data: bytes, /) -> object: ...


class ScoresWriter:
    """Writes lines, many rows at a time and column by column."""

    def __init__(self, out: Sink, checks: Sequence[str], slices: Sequence[str] = ()) -> None:
        self._out = out
        self._checks = tuple(checks)
        self._slices = tuple(slices)
        # a type made for the very names takes a third of the time of a dict a row
        fields = [f"c{number}" for number, _ in enumerate(checks)]
        rename = dict(zip(fields, checks, strict=True))
        self._entries: Any = msgspec.defstruct("Entries", fields, rename=rename, gc=False)

    def write(
        self,
        rows: Sequence[AnsweredRow],
        scored: Mapping[str, Sequence[Scored]],
        clusters: Sequence[str | None] = (),
        slices: Mapping[str, Sequence[str | None]] | None = None,
    ) -> None:
        """Some rows, and what each check made of them. clusters, slices: of each row; empty where there are none."""
        columns = [map(_entry_of, scored[name]) for name in self._checks]
        entries = map(self._entries, *columns) if columns else (self._entries() for _ in rows)
        lines = [_Line(row.custom_id, row.digest, of_row) for row, of_row in zip(rows, entries, strict=True)]
        for line, cluster in zip(lines, clusters, strict=bool(clusters)):
            if cluster is not None:
                line.cluster = cluster
        if slices:
            parts = [slices[name] for name in self._slices]
            for line, values in zip(lines, zip(*parts, strict=True), strict=True):
                line.slices = dict(zip(self._slices, values, strict=True))
        self._out.write(_encoder.encode_lines(lines))


_WORDS = {status: status.value for status in Status}
_OF_ONE = {Status.RIGHT: 1, Status.WRONG: 0}  # the score, where a row brings just that, of 1


def _entry_of(scored: Scored) -> _Entry:
    status, over, under, got, expected = scored
    if (got is not None and len(got) > MOST_SHOWN) or (expected is not None and len(expected) > MOST_SHOWN):
        got, expected = _cut(got), _cut(expected)
    if under == 1 and _OF_ONE.get(status) == over:
        return _Entry(_WORDS[status], int(over), got, expected)
    score = score_of(scored)
    usual = (0, 1) if score is None else (score, 1)
    more = (UNSET, UNSET) if (over, under) == usual else (over, under)
    return _Entry(_WORDS[status], score, got, expected, *more)


def score_of(scored: Scored) -> float | None:
    """1, 0, between, or a number; None where there is none."""
    match scored.status:
        case Status.RIGHT | Status.WRONG | Status.PARTLY | Status.MEASURED:
            return scored.over / scored.under if scored.under not in (0, 1) else scored.over if scored.under else None
        case _:
            return None


def _cut(text: str | None) -> str | None:
    return text if text is None or len(text) <= MOST_SHOWN else f"{text[: MOST_SHOWN - 1]}…"


def read(path: Path) -> Generator[ScoredRow, None, None]:
    """The lines of a scores file. Raises StateError for one that is none, OSError."""
    with path.open("rb") as lines:
        for number, line in enumerate(lines, 1):
            try:
                found = _decode(line)
                checks = {name: _scored(entry) for name, entry in found.checks.items()}
            except (msgspec.MsgspecError, ValueError, RecursionError) as error:
                raise StateError(
                    f"{path.name}:{number} is not a line of a scores file: {error}",
                    hint="move it away and run `runner apply`: scores are made again from the answers, at no cost",
                ) from error
            yield ScoredRow(found.custom_id, found.digest, found.cluster, found.slices, checks)


def _scored(entry: _Entry) -> Scored:
    score = entry.score
    usual = (0, 1) if score is None else (score, 1)
    over = usual[0] if isinstance(entry.over, UnsetType) else entry.over
    under = usual[1] if isinstance(entry.under, UnsetType) else entry.under
    return Scored(Status(entry.status), over, under, entry.got, entry.expected)


def is_ours(path: Path) -> bool:
    """Whether a file reads as scores of ours, as far as its first line shows it; an empty one does."""
    try:
        with path.open("rb") as lines:
            first = lines.readline(1 << 20)
        if first:
            _decode(first)
    except (OSError, msgspec.MsgspecError, ValueError, RecursionError):
        return False
    return True


def are_as_written(path: Path) -> bool:
    """Whether each line of a file is byte for byte as scores are written, and no status belies its score.

    All in them is worked out, and is worked out again: who wants another verdict writes it into the references.
    Raises OSError.
    """
    try:
        with path.open("rb") as lines:
            for line in lines:
                found = _decode(line)
                if _encoder.encode(_line_of(found)) + b"\n" != line or not all(map(_adds_up, found.checks.values())):
                    return False
        return True
    except (msgspec.MsgspecError, ValueError, RecursionError):
        return False


def _adds_up(entry: _Entry) -> bool:
    score = entry.score
    match Status(entry.status):
        case Status.RIGHT:
            return score is not None and score >= 1
        case Status.WRONG:
            return score == 0
        case Status.PARTLY:
            return score is not None and 0 < score < 1
        case _:
            return True


def _line_of(read: _LineRead) -> _Line:
    return _Line(read.custom_id, read.digest, read.checks, read.cluster or UNSET, read.slices or UNSET)


def paired(first: Path, second: Path) -> Iterator[tuple[ScoredRow, ScoredRow]]:
    """The scores of the rows that both files have, by id. Raises StateError for a file that is none, OSError.

    Cells of a matrix share their rows, so these mostly stand side by side; what does not is kept until it is met.
    """
    others = read(second)
    waiting: dict[str, ScoredRow] = {}
    for row in read(first):
        found = waiting.pop(row.custom_id, None)
        while found is None and (other := next(others, None)) is not None:
            if other.custom_id == row.custom_id:
                found = other
            else:
                waiting[other.custom_id] = other
        if found is not None:
            yield row, found
