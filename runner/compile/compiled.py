"""What compiling a job yields: digests and sizes, packed; rows and lines again on demand."""

from __future__ import annotations

from array import array
from collections.abc import Iterable, Iterator, Sequence
from typing import IO, NamedTuple, Protocol

import msgspec

from runner.job.infile import Run
from runner.job.packed import keys_at, sorted_run

DIGEST_BYTES = 32  # SHA-256
CHARACTERS_PER_TOKEN = 4  # the usual estimate for English text
KEY_BYTES = 16  # the first half: what indexes, plans and custom_ids use
REST_BYTES = DIGEST_BYTES - KEY_BYTES


class RowView(NamedTuple):
    """One wanted row, for the results file."""

    custom_id: str  # the user's own id, or `row-<n>`
    row_json: bytes  # the row as one JSON object, no newline inside
    digest: bytes  # 32 bytes


class Line(msgspec.Struct, frozen=True):
    """One request line, ready to be sent, without its newline."""

    key: bytes  # 16 bytes
    data: bytes


class Wanted(msgspec.Struct):
    """The rows of one job in input order, packed: 16 bytes of digest and 4 bytes of line size a row."""

    keys: Run
    sizes: array[int]  # "I": bytes of the request line without its newline
    tokens: int  # estimated input tokens of all rows (characters / 4, and what pictures are known to come to)
    untold: int = 0  # files in requests of which nobody knows how many tokens they are
    distinct: Run = b""  # the keys sorted, each once; empty where nobody has asked yet
    longest_answer: int | None = None  # tokens of one answer, at most, where rows say so themselves; None: not known

    def __len__(self) -> int:
        return len(self.sizes)

    def distinct_keys(self) -> Run:
        """The keys sorted, each once."""
        self.distinct = self.distinct or sorted_run(self.keys)
        return self.distinct

    def keys_at(self, ordinals: Sequence[int]) -> bytes:
        """The keys of the rows at `ordinals` (ascending), packed."""
        return keys_at(self.keys, ordinals)


class Compiled(Protocol):
    """A compiled job. Iterating reads the dataset again; nothing here holds it."""

    wanted: Wanted

    @property
    def bad(self) -> int:
        """How many rows or recordings cannot become requests and were left out, as the specs allow."""
        ...

    @property
    def notes(self) -> Sequence[str]:
        """What was left out or read otherwise, in words."""
        ...

    def made_of(self) -> str:
        """Changes whenever `rows` may yield something else: the dataset's files, or what picks and names its rows."""
        ...

    def rows(self) -> Iterator[RowView]:
        """Every wanted row in input order. Raises DataError when the dataset changed since it was compiled."""
        ...

    def rows_at(self, ordinals: Sequence[int]) -> Iterator[RowView]:
        """The wanted rows at `ordinals` (ascending, from 0). Raises as `rows` does."""
        ...

    def lines(self, ordinals: Iterable[int]) -> Iterator[Line]:
        """Request lines of the rows at `ordinals` (ascending, from 0), rendered again.

        Raises DataError when a digest differs from the compiled one.
        """
        ...

    def shown(self, ordinals: Iterable[int]) -> Iterator[Line]:
        """The same for people: words stand in the place of files."""
        ...

    def write_lines(self, ordinals: Iterable[int], out: IO[bytes]) -> int:
        """Write the same lines, each with a newline. The number of bytes written; raises as `lines` does."""
        ...
