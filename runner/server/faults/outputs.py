"""Output files that have too few lines, or some of them twice."""

from __future__ import annotations

from collections.abc import Callable

from runner.server.faults.switches import Faults
from runner.server.home import Home
from runner.server.outputs import Outputs
from runner.server.records import Row


class FaultyOutputs(Outputs):
    """Outputs that lose and double the first lines. Error files are spared."""

    def __init__(self, home: Home, new_id: Callable[[], str], faults: Faults) -> None:
        super().__init__(home, new_id)
        self._faults = faults

    def chosen(self, rows: list[Row], *, is_output: bool) -> list[Row]:
        chosen = super().chosen(rows, is_output=is_output)
        missing, twice = self._faults.get("missing_lines"), self._faults.get("duplicate_lines")
        if missing and is_output:
            chosen = chosen[int(missing.value) :]
        return chosen + chosen[: int(twice.value)] if twice and is_output else chosen
