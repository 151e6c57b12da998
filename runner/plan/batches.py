"""Cut what is to be submitted into batches the remote accepts, in input order."""

from __future__ import annotations

from array import array
from collections.abc import Iterator

from runner.errors import DataError
from runner.job.capabilities import Limits

TOKEN_BYTES = 6  # of an answer's text as JSON, at most for most languages
ENVELOPE_BYTES = 700  # around an answer's text
_AT_ONCE = 1024  # rows of which most fit into the batch together, so that none is looked at by itself


def cut(
    ordinals: array[int], sizes: array[int], limits: Limits, address: str, max_output_tokens: int = 0
) -> Iterator[tuple[array[int], int]]:
    """Runs of `ordinals`, each with its bytes (newlines counted), that fit `limits`.

    sizes: bytes of every request line of the job without its newline, by ordinal.
    max_output_tokens: of one answer; 0 where nobody says, and then answers are not estimated.
    Raises DataError when one line alone exceeds a limit; it names the row.
    """
    batch, size = array("I"), 0
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
        if len(batch) + len(some) <= lines and size + more <= limits.size_bytes and max(of_each) < longest:
            batch.extend(some)
            size += more
            continue
        for ordinal, line in zip(some, of_each, strict=True):
            line += 1
            if line > longest:
                raise _too_long(address, ordinal, line, longest)
            if batch and (len(batch) >= lines or size + line > limits.size_bytes):
                yield batch, size
                batch, size = array("I"), 0
            batch.append(ordinal)
            size += line
    if batch:
        yield batch, size


def _too_long(address: str, ordinal: int, line: int, longest: int) -> DataError:
    return DataError(
        f"the request of row {ordinal + 1} of job `{address}` is {line:,} bytes; the remote takes {longest:,}",
        hint="shorten the prompt or the row, or leave the row out with `where:`",
    )
