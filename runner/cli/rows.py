"""The ids of rows, found again by where they stand."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from runner.compile.compiled import Compiled
from runner.errors import RunnerError


def ids_in(compiled: Mapping[str, Compiled]) -> Callable[[str, Sequence[int]], list[str]]:
    """The user's ids of some rows of a job, by its address and their ordinals, ascending.

    None of them where the rows cannot be read again: a plan is no reason to fail.
    """

    def ids(address: str, ordinals: Sequence[int]) -> list[str]:
        if not ordinals:
            return []
        try:
            return [row.custom_id for row in compiled[address].rows_at(ordinals)]
        except RunnerError:
            return []

    return ids
