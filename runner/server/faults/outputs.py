"""Output files that have too few lines, or some of them twice."""

from __future__ import annotations

from collections.abc import Callable

from runner.server.faults.switches import FaultSwitches
from runner.server.home import ServerHome
from runner.server.outputs import Outputs
from runner.server.records import DoneRow


class FaultyOutputs(Outputs):
    """Outputs that lose and double the first lines. Error files are spared."""

    def __init__(self, home: ServerHome, new_id: Callable[[], str], faults: FaultSwitches) -> None:
        super().__init__(home, new_id)
        self._faults = faults

    def chosen(self, rows: list[DoneRow], *, is_output: bool) -> list[DoneRow]:
        chosen = super().chosen(rows, is_output=is_output)
        missing, twice = self._faults.get("missing_lines"), self._faults.get("duplicate_lines")
        if missing and is_output:
            chosen = chosen[int(missing.value) :]
        return chosen + chosen[: int(twice.value)] if twice and is_output else chosen
