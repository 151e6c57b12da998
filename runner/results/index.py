"""What became of every request of one batch, packed: which raw file holds its line, and where.

A batch has one index and it is complete: a request the remote said nothing about has an entry too, so that
wanted, answered and missing add up without looking at a raw file again.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from heapq import nsmallest
from pathlib import Path

from runner.job.observed import Phase
from runner.job.outcomes import NO_LINE, Outcome, pack, place
from runner.job.packed import BUCKETS, KEY_BYTES, bounds, unpack
from runner.results import parse
from runner.results.lines import RawLines, scan

MOST_FILES = 255
SHOWN = 5  # how many lines of one kind are named
_ENTRY = struct.Struct(f">{KEY_BYTES}sQ")

# What a request without a line is, by how its batch ended.
_UNANSWERED = {
    Phase.COMPLETED: Outcome.RETRY,
    Phase.EXPIRED: Outcome.RETRY,
    Phase.CANCELLED: Outcome.LOST,
    Phase.FAILED: Outcome.REJECTED,
}


@dataclass(frozen=True, slots=True)
class IndexReport:
    """The index of one batch, and everything odd about its files.

    ok + final + retry + lost + rejected = expected requests; `missing` of them had no line.
    """

    index: bytes  # sorted 24-byte entries, exactly one for each expected key
    ok: int
    final: int
    retry: int
    lost: int
    rejected: int
    missing: int
    lines: int  # that are not blank, of all files
    duplicates: int  # further lines for a request that had one: the first success stays, else the last error
    foreign: int  # lines of requests that are not in this batch
    foreign_examples: tuple[str, ...]  # their custom_ids, the first five, safe to print
    unreadable: int
    unreadable_examples: tuple[str, ...]  # `output.jsonl:17: not JSON`
    requests: int  # request lines that strayed into the results, ignored
    repaired: int  # lines with NaN, lone surrogates, broken UTF-8 and the like, put right where they are shown
    half_last_line: bool  # a file ends inside a line: its download was cut
    input_tokens: int  # summed over the answers that say so
    output_tokens: int


class _Tally:
    """What one pass over the raw files adds up."""

    def __init__(self) -> None:
        self.buckets = [bytearray() for _ in range(BUCKETS)]
        self.lines = self.duplicates = self.foreign = self.unreadable = self.requests = self.repaired = 0
        self.input_tokens = self.output_tokens = 0
        self.strangers: list[tuple[int, int]] = []  # (file, offset) of the first foreign lines
        self.unreadable_examples: list[str] = []
        self.half_last_line = False

    def scan(self, number: int, path: Path) -> None:
        """Put one file's lines in their buckets."""
        buckets, entry, read = self.buckets, _ENTRY.pack, parse.read
        size = path.stat().st_size
        place_of_file = number << 52
        lines = asked = told = 0
        for lines_before, (offset, line) in enumerate(scan(path)):
            try:
                key, _, outcome, input_tokens, output_tokens, is_repaired = read(line)
            except parse.Unreadable as reason:
                if line.strip():
                    lines += 1
                    self._cannot_read(f"{path.name}:{lines_before + 1}: {reason}", offset + len(line) == size)
                continue
            lines += 1
            self.repaired += is_repaired
            if outcome is None:
                self.requests += 1
            elif key is None:
                self.foreign += 1
                if len(self.strangers) < SHOWN:
                    self.strangers.append((number, offset))
            else:
                buckets[key[0]] += entry(key, outcome << 60 | place_of_file | offset)
                asked += input_tokens
                told += output_tokens
        self.lines += lines
        self.input_tokens += asked
        self.output_tokens += told

    def _cannot_read(self, example: str, ends_file: bool) -> None:
        self.unreadable += 1
        if len(self.unreadable_examples) < SHOWN:
            self.unreadable_examples.append(example)
        if ends_file:
            self.half_last_line = True

    def settle(self, expected: bytes) -> Iterator[dict[bytes, int]]:
        """Bucket by bucket: the entry each expected key ends with, 0 where no line names it."""
        edges, width = bounds(expected), _ENTRY.size
        for number, bucket in enumerate(self.buckets):
            best = dict.fromkeys(unpack(expected[edges[number] : edges[number + 1]]), 0)
            strangers = []
            for key, value in _ENTRY.iter_unpack(bucket):
                have = best.get(key)
                if have == 0:
                    best[key] = value
                elif have is None:
                    strangers.append(place(value)[1:])
                else:
                    self.duplicates += 1
                    if have >> 60 != Outcome.OK:
                        best[key] = value
            assert len(bucket) % width == 0
            self.foreign += len(strangers)
            self.strangers = nsmallest(SHOWN, self.strangers + strangers)
            self.buckets[number] = bytearray()
            yield best


def build_index(files: Sequence[Path], expected: bytes, *, ended: Phase) -> IndexReport:
    """The index of one batch from its raw files, in the order the remote wrote them (at most 255).

    expected: the batch's keys, sorted and packed. ended: decides what a request without a line is: to be asked again
    after COMPLETED and EXPIRED, lost after CANCELLED, refused after FAILED.
    Raises ValueError for a phase that has not ended, OSError where a file cannot be read.
    """
    if len(files) > MOST_FILES:
        raise ValueError(f"{len(files)} raw files, at most {MOST_FILES} fit an index")
    if ended not in _UNANSWERED:
        raise ValueError(f"a batch that is {ended} has no index yet")
    tally = _Tally()
    for number, path in enumerate(files):
        tally.scan(number, path)
    silent = _UNANSWERED[ended] << 60 | NO_LINE
    counts = dict.fromkeys(Outcome, 0)
    missing = 0
    index = bytearray()
    for best in tally.settle(expected):
        records = []
        for key, value in best.items():  # in key order: `expected` is sorted
            if not value:
                missing += 1
                value = silent
            counts[value >> 60] += 1  # type: ignore[index]  # an Outcome is an int and hashes as one
            records.append(_ENTRY.pack(key, value))
        index += b"".join(records)
    return IndexReport(
        index=bytes(index),
        ok=counts[Outcome.OK],
        final=counts[Outcome.FINAL],
        retry=counts[Outcome.RETRY],
        lost=counts[Outcome.LOST],
        rejected=counts[Outcome.REJECTED],
        missing=missing,
        lines=tally.lines,
        duplicates=tally.duplicates,
        foreign=tally.foreign,
        foreign_examples=_names(files, tally.strangers),
        unreadable=tally.unreadable,
        unreadable_examples=tuple(tally.unreadable_examples),
        requests=tally.requests,
        repaired=tally.repaired,
        half_last_line=tally.half_last_line,
        input_tokens=tally.input_tokens,
        output_tokens=tally.output_tokens,
    )


def rejected_index(expected: bytes) -> bytes:
    """The index of a batch the remote refused as a whole: no request has a line."""
    return b"".join([pack(key, Outcome.REJECTED) for key in unpack(expected)])


def _names(files: Sequence[Path], places: list[tuple[int, int]]) -> tuple[str, ...]:
    """The custom_ids at these places, with everything but plain ASCII escaped."""
    with RawLines() as raw:
        ids = [parse.read(raw.at(files[number], offset)).custom_id for number, offset in sorted(places)]
    return tuple(ascii(one)[1:-1][:80] for one in ids)
