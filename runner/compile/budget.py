"""What one command may read and render in all. Specs and datasets are often a stranger's: a pull request's, in CI.

One row is bounded in time, memory and length; a few bytes of Parquet hold a billion rows, and a template of a megabyte
makes a terabyte of a million. Processor time of the rendering processes is bounded where it is spent, by the kernel.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from runner.data.block import Block
from runner.errors import DataError, Mark

MOST_ROWS = 100_000_000  # a wanted row takes 20 bytes of memory
MOST_BYTES = 64 * 1024**3  # of bodies; they are rendered and hashed at a few hundred megabytes a second


class RowBudget:
    """Counts down over all jobs of a command."""

    def __init__(self, rows: int = MOST_ROWS, size_bytes: int = MOST_BYTES) -> None:
        self._rows = self._most_rows = rows
        self._bytes = self._most_bytes = size_bytes

    def saved(self) -> tuple[int, int]:
        """What is left, for `restore`."""
        return self._rows, self._bytes

    def restore(self, saved: tuple[int, int]) -> None:
        """Take back what was counted since."""
        self._rows, self._bytes = saved

    def watched(self, blocks: Iterable[Block], dataset: str, mark: Mark) -> Iterator[Block]:
        """The blocks, counted before anything is made of them. Raises DataError."""
        for block in blocks:
            self.read(len(block), dataset, mark)
            yield block

    def read(self, rows: int, dataset: str, mark: Mark) -> None:
        """Count rows. Raises DataError."""
        self._rows -= rows
        if self._rows < 0:
            raise DataError(
                f"the datasets have more than {self._most_rows:,} rows, of which `{dataset}` is the last read",
                hint="give `apply` some of the spec files at a time, or `sample` the dataset",
                mark=mark,
            )

    def take(self, size_bytes: int, job: str, mark: Mark) -> None:
        """Count what was rendered. Raises DataError."""
        self._bytes -= size_bytes
        if self._bytes < 0:
            raise DataError(
                f"the requests are larger than {self._most_bytes:,} bytes in all; `{job}` is the last rendered",
                hint="give `apply` some of the spec files at a time, or make the prompt shorter",
                mark=mark,
            )
