"""What became of every request of one batch, packed: which raw file holds its line, and where.

A batch has one index and it is complete: a request the remote said nothing about has an entry too, so that
wanted, answered and missing add up without looking at a raw file again.
"""

from __future__ import annotations

import struct
from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from heapq import nsmallest
from itertools import accumulate, count, groupby
from operator import add, itemgetter
from pathlib import Path
from typing import Any

import msgspec

from runner.job.observed import Phase
from runner.job.outcomes import ENTRY_BYTES, NO_LINE, Outcome, pack, place
from runner.job.packed import KEY_BYTES, bounds, unpack
from runner.job.wireid import keys_named
from runner.remotes.reading.lines import COMMON
from runner.remotes.reading.verdict import Shape, Unreadable, is_text, tokens_of
from runner.remotes.vendor import Reader
from runner.results.lines import CHUNK_BYTES, RawLines, scan_runs

MOST_FILES = 255
SHOWN = 5  # how many lines of one kind are named
_OK = int(Outcome.OK)
_PLACE = (1 << 60) - 1
TOGETHER = 128  # lines that are decoded in one go
_FEW_BYTES = 1 << 14  # of keys and entries that are folded in one go
_KEY = struct.Struct(f"{KEY_BYTES}s")
_ENTRY = struct.Struct(f">{KEY_BYTES}sQ")

# What a request without a line is, by how its batch ended.
_UNANSWERED = {
    Phase.COMPLETED: Outcome.RETRY,
    Phase.EXPIRED: Outcome.RETRY,
    Phase.CANCELLED: Outcome.LOST,
    Phase.FAILED: Outcome.REJECTED,
}


class IndexReport(msgspec.Struct, frozen=True):
    """The index of one batch, and everything odd about its files.

    ok + final + retry + lost + rejected + unpaid = expected requests; `missing` of them had no line.
    """

    index: bytes  # sorted 24-byte entries, exactly one for each expected key
    ok: int
    final: int
    retry: int
    lost: int
    rejected: int
    unpaid: int
    missing: int
    lines: int  # that are not blank, of all files
    told: tuple[int, ...]  # lines of each file that are about requests of this batch
    duplicates: int  # further lines for a request that had one: the first success stays, else the last error
    duplicate_examples: tuple[str, ...]  # `0.jsonl:17 (row-3-...)`, the first five, safe to print
    foreign: int  # lines of requests that are not in this batch
    foreign_examples: tuple[str, ...]  # the same of them
    unreadable: int
    unreadable_examples: tuple[str, ...]  # `0.jsonl:17: not JSON`
    requests: int  # request lines that strayed into the results, ignored
    repaired: int  # lines with NaN, lone surrogates, broken UTF-8 and the like, put right where they are shown
    half_last_line: bool  # a file ends inside a line: its download was cut
    input_tokens: int  # summed over the lines that say so
    output_tokens: int
    untold: int  # answers that do not
    cached_tokens: int  # of the input


class _Tally:
    """What one pass over the raw files adds up."""

    def __init__(self, files: int, reader: Reader) -> None:
        self._reader = reader
        self.told = [0] * files
        self.buckets: defaultdict[int, bytearray] = defaultdict(bytearray)  # by first byte of the key
        self.lines = self.duplicates = self.foreign = self.unreadable = self.requests = self.repaired = 0
        self.input_tokens = self.output_tokens = self.untold = self.cached_tokens = 0
        self.strangers: list[tuple[int, int]] = []  # (file, offset) of the first foreign lines
        self.repeats: list[tuple[int, int]] = []  # and of the first lines about a request that had one
        self.unreadable_examples: list[str] = []
        self.half_last_line = False
        self.has_answers = False

    def scan(self, number: int, path: Path) -> None:
        """Put one file's lines in their buckets."""
        # Nearly every line is a success, and all of a file are of one shape. So many lines are decoded at once, up to
        # the first that is none; that one is read by itself. A line that was cut or is no JSON stops nothing: it is
        # counted, and the request it was about ends without a line.
        size = path.stat().st_size
        shape = next(iter(self._reader.shapes), None)
        before = 0  # lines of earlier runs
        for first, lines in scan_runs(path):
            answers = list(map(add, accumulate(map(len, lines), initial=_OK << 60 | number << 52 | first), count()))
            is_utf8 = is_text(lines)
            custom_ids: list[str] = []
            values: list[int] = []  # what their entries hold beside the key
            at = 0
            while at < len(lines):
                some = lines[at : at + TOGETHER]
                seen: Sequence[Any] = shape.successes(some, is_text=is_utf8) if shape else ()
                if not seen:
                    shape, seen = self._shape_of(some, shape, is_utf8=is_utf8)
                if seen and shape:
                    custom_ids += [success.custom_id for success in seen]
                    values += answers[at : at + len(seen)]
                    asked, told, untold, cached = tokens_of(map(shape.usage_of, seen))
                    self.input_tokens += asked
                    self.output_tokens += told
                    self.untold += untold
                    self.cached_tokens += cached
                    at += len(seen)
                    continue
                ends_file = (answers[at] & NO_LINE) + len(some[0]) == size
                if (odd := self._read_leniently(some[0], f"{path.name}:{before + at + 1}", ends_file)) is not None:
                    custom_ids.append(odd[0])
                    values.append(odd[1] << 60 | answers[at] & _PLACE)
                at += 1
            before += len(lines)
            self.told[number] += len(custom_ids)
            self._spread(custom_ids, values)

    def _shape_of(
        self, lines: Sequence[bytes], usual: Shape | None, *, is_utf8: bool
    ) -> tuple[Shape | None, Sequence[Any]]:
        """The shape in which the first of these lines is a success, and what they are in it; a file has one shape."""
        for shape in self._reader.shapes:
            if shape is not usual and shape.successes(lines[:1], is_text=is_utf8):
                return shape, shape.successes(lines, is_text=is_utf8)
        return usual, ()

    def _read_leniently(self, line: bytes, name: str, ends_file: bool) -> tuple[str, int] | None:
        """(custom_id, outcome) of a line that is no plain success; None where it is no result, which is counted."""
        try:
            custom_id, outcome, asked, told, is_repaired, _, cached = self._reader.parse(line)
        except Unreadable as reason:
            if line.strip():
                self.lines += 1
                self._cannot_read(f"{name}: {reason}", ends_file)
            return None
        self.repaired += is_repaired
        if outcome is None:
            self.requests += 1
            self.lines += 1
            return None
        self.input_tokens += asked
        self.output_tokens += told
        self.cached_tokens += cached
        self.untold += outcome == Outcome.OK and not asked and not told
        return custom_id, outcome

    def _spread(self, custom_ids: list[str], values: list[int]) -> None:
        """Entries of one run to their buckets."""
        self.lines += len(custom_ids)
        self.has_answers = self.has_answers or any(value >> 60 == _OK for value in values)
        keys = keys_named(custom_ids)
        if None in keys:
            ours = [(key, value) for key, value in zip(keys, values, strict=True) if key is not None]
            self._meet([value for key, value in zip(keys, values, strict=True) if key is None])
            keys, values = [key for key, _ in ours], [value for _, value in ours]
        buckets = self.buckets
        for record in map(_ENTRY.pack, keys, values):
            buckets[record[0]] += record

    def _meet(self, strangers: list[int]) -> None:
        """Count lines that are not of this batch, and keep the first few."""
        self.foreign += len(strangers)
        for value in strangers:
            self.told[place(value)[1]] -= 1
        self.strangers = _first(self.strangers, strangers)

    def _cannot_read(self, example: str, ends_file: bool) -> None:
        self.unreadable += 1
        if len(self.unreadable_examples) < SHOWN:
            self.unreadable_examples.append(example)
        if ends_file:
            self.half_last_line = True

    def fold(self, expected: bytes, silent: int) -> Iterator[dict[bytes, int]]:
        """Bucket by bucket: the entry each expected key ends with, `silent` where no line names it."""
        # Nearly every batch has one line for each request: then its entries are the answer as they stand. Otherwise (a
        # line that comes twice, a stranger's) they are met one by one: the first success stays, over whatever error
        # comes before or after it, since remotes write down a try that failed and the answer of the next one.
        for keys, bucket in self._parts(expected):
            best = dict.fromkeys(_keys(keys), silent)
            found: dict[bytes, int] = dict(_ENTRY.iter_unpack(bucket))
            if len(found) * ENTRY_BYTES == len(bucket) and found.keys() <= best.keys():
                best.update(found)
            else:
                self._fold_one_by_one(best, bucket, silent)
            yield best

    def _parts(self, expected: bytes) -> Iterator[tuple[bytes, bytes | bytearray]]:
        """The expected keys and the entries of one bucket after the other; of a few all at once."""
        if len(expected) + sum(map(len, self.buckets.values())) <= _FEW_BYTES:
            yield expected, b"".join(self.buckets.values())
            return
        edges = bounds(expected)
        for number in sorted({*self.buckets, *expected[::KEY_BYTES]}):
            yield expected[edges[number] : edges[number + 1]], self.buckets.pop(number, b"")

    def _fold_one_by_one(self, best: dict[bytes, int], bucket: bytes | bytearray, silent: int) -> None:
        strangers, repeats = [], []
        for key, value in _ENTRY.iter_unpack(bucket):
            have = best.get(key)
            if have == silent:
                best[key] = value
            elif have is None:
                strangers.append(value)
            else:
                repeats.append(value)
                if have >> 60 != _OK:
                    best[key] = value
        self._meet(strangers)
        self.duplicates += len(repeats)
        self.repeats = _first(self.repeats, repeats)


def _first(places: list[tuple[int, int]], values: list[int]) -> list[tuple[int, int]]:
    """The first few of these places and of those that more values hold."""
    return nsmallest(SHOWN, places + [place(value)[1:] for value in values])


def build_index(files: Sequence[Path], expected: bytes, *, ended: Phase, reader: Reader = COMMON) -> IndexReport:
    """The index of one batch from its raw files, in the order the remote wrote them (at most 255).

    expected: the batch's keys, sorted and packed. ended: decides what a request without a line is: to be asked again
    after COMPLETED and EXPIRED, lost after CANCELLED; after FAILED refused, unless some were answered.
    Raises ValueError for a phase that has not ended, OSError where a file cannot be read.
    """
    if len(files) > MOST_FILES:
        raise ValueError(f"{len(files)} raw files, at most {MOST_FILES} fit an index")
    if ended not in _UNANSWERED:
        raise ValueError(f"a batch that is {ended} has no index yet")
    tally = _Tally(len(files), reader)
    for number, path in enumerate(files):
        tally.scan(number, path)
    unanswered = Outcome.RETRY if ended is Phase.FAILED and tally.has_answers else _UNANSWERED[ended]
    silent = unanswered << 60 | NO_LINE
    missing = 0
    index = bytearray()
    for best in tally.fold(expected, silent):
        missing += list(best.values()).count(silent)
        index += b"".join(map(_ENTRY.pack, best.keys(), best.values()))  # in key order, as `expected` is
    counts: Counter[int] = Counter()
    for byte, times in Counter(index[KEY_BYTES::ENTRY_BYTES]).items():
        counts[byte >> 4] += times
    return IndexReport(
        index=bytes(index),
        ok=counts[Outcome.OK],
        final=counts[Outcome.FINAL],
        retry=counts[Outcome.RETRY],
        lost=counts[Outcome.LOST],
        rejected=counts[Outcome.REJECTED],
        unpaid=counts[Outcome.UNPAID],
        missing=missing,
        lines=tally.lines,
        told=tuple(tally.told),
        duplicates=tally.duplicates,
        duplicate_examples=_names(files, tally.repeats, reader),
        foreign=tally.foreign,
        foreign_examples=_names(files, tally.strangers, reader),
        unreadable=tally.unreadable,
        unreadable_examples=tuple(tally.unreadable_examples),
        requests=tally.requests,
        repaired=tally.repaired,
        half_last_line=tally.half_last_line,
        input_tokens=tally.input_tokens,
        output_tokens=tally.output_tokens,
        untold=tally.untold,
        cached_tokens=tally.cached_tokens,
    )


def _keys(packed: bytes) -> list[bytes]:
    return [key for (key,) in _KEY.iter_unpack(packed)]


def refused_index(expected: bytes, outcome: Outcome) -> bytes:
    """The index of a batch the remote refused as a whole: no request has a line, all of them the same outcome."""
    return _all(expected, outcome)


def lost_index(expected: bytes) -> bytes:
    """The index of a batch of which nothing more will be heard: a person decides about every request."""
    return _all(expected, Outcome.LOST)


def _all(keys: bytes, outcome: Outcome) -> bytes:
    return b"".join([pack(key, outcome) for key in unpack(keys)])


def _names(files: Sequence[Path], places: list[tuple[int, int]], reader: Reader) -> tuple[str, ...]:
    """Where these lines stand and whose they are, with everything but plain ASCII escaped."""
    with RawLines() as raw:
        return tuple(
            f"{files[number].name}:{line} ({ascii(reader.parse(raw.at(files[number], offset)).custom_id)[1:-1][:80]})"
            for number, offset, line in _numbered(files, sorted(places))
        )


def _numbered(files: Sequence[Path], places: list[tuple[int, int]]) -> Iterator[tuple[int, int, int]]:
    """(file, offset, line from 1) of places in ascending order."""
    for number, group in groupby(places, key=itemgetter(0)):
        line, at = 1, 0
        with files[number].open("rb", buffering=0) as source:
            for _, offset in group:
                while at < offset and (chunk := source.read(min(offset - at, CHUNK_BYTES))):
                    line += chunk.count(b"\n")
                    at += len(chunk)
                yield number, offset, line
