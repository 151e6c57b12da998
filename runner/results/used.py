"""What the answers of a batch say was used for them: counted once, when it is brought home, and kept in its record."""

from __future__ import annotations

import struct
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

import msgspec
from msgspec import Raw, Struct

from runner.job.capabilities import Content
from runner.job.cost import Used
from runner.job.outcomes import Outcome, place
from runner.job.packed import KEY_BYTES
from runner.mending import NOT_SO
from runner.remotes.vendor import Reader
from runner.results.columns import counted
from runner.results.index import IndexReport
from runner.results.lines import RawLines, scan


def used_in(report: IndexReport, files: Sequence[Path], reader: Reader, content: Content) -> Used:
    """What was used for the answers of an index. files: as it was made of. Raises OSError.

    The index has added up the tokens of all lines. They are read once more only where that says too little or too
    much: of recordings, which are counted by their length, and of files with lines that are not of this batch.
    """
    if content is Content.RECORDING or report.duplicates or report.foreign:
        return _added_up(_answers(report, files, reader), content)
    return Used(report.ok, report.untold, report.input_tokens, report.output_tokens)


class _Kept(Struct, gc=False):
    response: Raw = Raw(b"null")


_decode_kept = msgspec.json.Decoder(_Kept).decode


def used_by_kept(path: Path, content: Content) -> Used:
    """The same for a raw file of answers that were read back, see `adopt`. Raises OSError."""
    return _added_up((bytes(_decode_kept(line).response) for _, line in scan(path)), content)


def _answers(report: IndexReport, files: Sequence[Path], reader: Reader) -> Iterator[bytes]:
    with RawLines() as raw:
        for (value,) in struct.iter_unpack(f">{KEY_BYTES}xQ", report.index):
            outcome, file, offset = place(value)
            if outcome == Outcome.OK:
                try:
                    yield reader.parts(raw.at(files[file], offset))[1]
                except NOT_SO:
                    yield b"null"


def _added_up(bodies: Iterable[bytes], content: Content) -> Used:
    answers = untold = asked = told = 0
    seconds = 0.0
    for body in bodies:
        found = counted(body)
        answers += 1
        asked += found.input_tokens or 0
        told += found.output_tokens or 0
        seconds += found.seconds or 0.0
        untold += (found.seconds if content is Content.RECORDING else found.input_tokens) is None
    return Used(answers, untold, asked, told, seconds)
