"""The scores of a job, in a file beside its results: a line a wanted row, in input order, with what checks made of it.

Beside, and not inside: results stay byte for byte what was answered, and a check that fails holds nothing back.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import IO, NamedTuple

import msgspec
from msgspec import UNSET, Raw, Struct, UnsetType

from runner.checks.score import Scored, Status
from runner.errors import StateError

MOST_SHOWN = 500  # characters of what was read, and of what was expected
_REMEMBERED = 8192  # entries
_SHORT = 200  # characters of what is worth remembering


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
    checks: dict[str, Raw]
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


class ScoresWriter:
    """Writes lines. Entries are mostly a few that come again and again, which are encoded once."""

    def __init__(self, out: IO[bytes], checks: Sequence[str], slices: Sequence[str] = ()) -> None:
        self._out = out
        self._checks = tuple(checks)
        self._slices = tuple(slices)
        self._known: dict[Scored, Raw] = {}

    def write(
        self,
        ids: Sequence[str],
        digests: Sequence[str],
        scored: Mapping[str, Sequence[Scored]],
        clusters: Sequence[str | None] = (),
        slices: Mapping[str, Sequence[str | None]] | None = None,
    ) -> None:
        """Some rows, column by column."""
        columns = [[self._entry(one) for one in scored[name]] for name in self._checks]
        names = self._checks
        lines = [
            _Line(custom_id, digest, dict(zip(names, entries, strict=True)))
            for custom_id, digest, entries in zip(ids, digests, zip(*columns, strict=True), strict=True)
        ]
        for line, cluster in zip(lines, clusters, strict=bool(clusters)):
            if cluster is not None:
                line.cluster = cluster
        if slices:
            parts = [slices[name] for name in self._slices]
            for line, values in zip(lines, zip(*parts, strict=True), strict=True):
                line.slices = dict(zip(self._slices, values, strict=True))
        self._out.write(_encoder.encode_lines(lines))

    def _entry(self, scored: Scored) -> Raw:
        found = self._known.get(scored)
        if found is None:
            found = Raw(_encoder.encode(_entry_of(scored)))
            if len(scored.got or "") + len(scored.expected or "") > _SHORT:
                return found
            if len(self._known) >= _REMEMBERED:
                self._known.clear()
            self._known[scored] = found
        return found


def _entry_of(scored: Scored) -> _Entry:
    status, over, under, got, expected = scored
    score = _score_of(scored)
    usual = (0, 1) if score is None else (score, 1)
    more = (UNSET, UNSET) if (over, under) == usual else (over, under)
    return _Entry(status.value, score, _cut(got), _cut(expected), *more)


def _score_of(scored: Scored) -> float | None:
    """1, 0, between, or a number; None where there is none."""
    match scored.status:
        case Status.RIGHT | Status.WRONG | Status.PARTLY | Status.MEASURED:
            return scored.over / scored.under if scored.under not in (0, 1) else scored.over if scored.under else None
        case _:
            return None


def _cut(text: str | None) -> str | None:
    return text if text is None or len(text) <= MOST_SHOWN else f"{text[: MOST_SHOWN - 1]}…"


def read(path: Path) -> Iterator[ScoredRow]:
    """The lines of a scores file. Raises StateError for one that is none, OSError."""
    with path.open("rb") as lines:
        for number, line in enumerate(lines, 1):
            try:
                found = _decode(line)
                checks = {name: _scored(entry) for name, entry in found.checks.items()}
            except (msgspec.MsgspecError, ValueError, RecursionError) as error:
                raise StateError(
                    f"{path.name}:{number} is no line of a scores file: {error}",
                    hint="move it away and run `runner apply`: scores are made again of the answers, at no cost",
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
