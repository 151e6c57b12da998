"""Cut what is to be submitted into batches the remote accepts, in input order."""

from __future__ import annotations

from array import array
from collections.abc import Iterator, Sequence

from runner.errors import DataError
from runner.job.capabilities import Limits

TOKEN_BYTES = 6  # of an answer's text as JSON, at most for most languages
ENVELOPE_BYTES = 700  # around an answer's text
_AT_ONCE = 1024  # rows of which most fit into the batch together, so that none is looked at by itself


def cut(
    ordinals: Sequence[int], sizes: array[int], limits: Limits, address: str, max_output_tokens: int = 0
) -> Iterator[tuple[Sequence[int], int]]:
    """Runs of `ordinals`, each with its bytes (newlines counted), that fit `limits`.

    sizes: bytes of every request line of the job without its newline, by ordinal.
    max_output_tokens: of one answer; 0 where nobody says, and then answers are not estimated.
    Raises DataError when one line alone exceeds a limit; it names the row.
    """
    first = size = 0  # place of the first row of a batch; its bytes so far
    # How long the answers will be nobody knows, so they are counted at their most: a batch whose answers outgrow what
    # its remote keeps of one ends half done, after a day of waiting, and a batch more costs nothing.
    lines = limits.lines
    if limits.output_bytes and max_output_tokens:
        lines = max(1, min(lines, limits.output_bytes // (max_output_tokens * TOKEN_BYTES + ENVELOPE_BYTES)))
    longest = min(limits.line_bytes or limits.size_bytes, limits.size_bytes)
    for start in range(0, len(ordinals), _AT_ONCE):
        some = ordinals[start : start + _AT_ONCE]
        of_each = [sizes[ordinal] for ordinal in some]
        more = sum(of_each) + len(some)
        fits = start + len(some) - first <= lines and size + more <= limits.size_bytes
        if fits and max(of_each) < longest:
            size += more
            continue
        for at, line in enumerate(of_each, start):
            line += 1
            if line > longest:
                raise _too_long(address, ordinals[at], line, longest)
            if at > first and (at - first >= lines or size + line > limits.size_bytes):
                yield ordinals[first:at], size
                first, size = at, 0
            size += line
    if first < len(ordinals):
        yield ordinals[first:], size


def _too_long(address: str, ordinal: int, line: int, longest: int) -> DataError:
    return DataError(
        f"the request of row {ordinal + 1} of job `{address}` is {line:,} bytes; the remote takes {longest:,}",
        hint="shorten the prompt or the row, or leave the row out with `where:`",
    )
