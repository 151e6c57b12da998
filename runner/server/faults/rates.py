"""Limits a minute as low as somebody wants to meet them."""

from __future__ import annotations

from runner.clock import Clock
from runner.server.faults.switches import FaultSwitches
from runner.server.rates import Rates


class FaultyRates(Rates):
    """The rates, with the limits that are switched on."""

    def __init__(self, clock: Clock, faults: FaultSwitches) -> None:
        super().__init__(clock)
        self._faults = faults

    def limits(self) -> tuple[int, int]:
        requests, tokens = super().limits()
        fewer, less = self._faults.get("requests_per_minute"), self._faults.get("tokens_per_minute")
        return (
            requests if fewer is None else max(int(fewer.value), 1),
            tokens if less is None else max(int(less.value), 1),
        )
