"""What the answers of a batch say was used for them: counted once, when it is brought home, and kept in its record."""

from __future__ import annotations

import struct
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

from runner.job.capabilities import Content
from runner.job.cost import Used
from runner.job.outcomes import Outcome, place
from runner.job.packed import KEY_BYTES
from runner.mending import NOT_SO
from runner.remotes.reading.verdict import NULL
from runner.remotes.vendor import Reader
from runner.results.columns import Counted, counted
from runner.results.index import IndexReport
from runner.results.lines import RawLines, scan
from runner.results.own import Cost, cost_in, read_own


def used_in(report: IndexReport, files: Sequence[Path], reader: Reader, content: Content) -> Used:
    """What was used for the answers of an index. files: as it was made of. Raises OSError.

    The index has added up the tokens of all lines. They are read once more only where that says too little or too
    much: of recordings, which are counted by their length, and of files with lines that are not of this batch.
    """
    if content is Content.RECORDING or report.duplicates or report.foreign:
        return _added_up(map(counted, _answers(report, files, reader)), content)
    return Used(report.ok, report.untold, report.input_tokens, report.output_tokens, 0.0, report.cached_tokens)


def used_by_kept(path: Path, content: Content) -> Used:
    """The same for a raw file of answers that were read back, see `adopt`. Raises OSError."""
    return _added_up((_counted(line) for _, line in scan(path)), content)


def _counted(line: bytes) -> Counted:
    own, _ = read_own(line)
    if bytes(own.response) not in (b"", NULL):
        return counted(bytes(own.response))
    cost = cost_in(own) or Cost()
    return Counted(cost.input_tokens, cost.cached_tokens, cost.output_tokens)


def _answers(report: IndexReport, files: Sequence[Path], reader: Reader) -> Iterator[bytes]:
    with RawLines() as raw:
        for (value,) in struct.iter_unpack(f">{KEY_BYTES}xQ", report.index):
            outcome, file, offset = place(value)
            if outcome == Outcome.OK:
                try:
                    yield reader.parts(raw.at(files[file], offset))[1]
                except NOT_SO:
                    yield b"null"


def _added_up(answers_of: Iterable[Counted], content: Content) -> Used:
    answers = untold = asked = told = cached = 0
    seconds = 0.0
    for found in answers_of:
        answers += 1
        asked += found.input_tokens or 0
        told += found.output_tokens or 0
        cached += found.cached_tokens or 0
        seconds += found.seconds or 0.0
        untold += (found.seconds if content is Content.RECORDING else found.input_tokens) is None
    return Used(answers, untold, asked, told, seconds, cached)
