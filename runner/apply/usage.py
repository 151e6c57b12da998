"""What the answers of a job used, as its results say: by the response of each, or by columns that hold the same."""

from __future__ import annotations

import math

from runner.apply.evidence import Evidence
from runner.job.project import AudioJob
from runner.remotes.reading.verdict import NULL
from runner.reports import facts
from runner.results.columns import Costing, counted
from runner.results.own import Cost
from runner.results.reread import Line
from runner.results.splice import OK


class Spent:
    """Adds up tokens, seconds and cost, line by line."""

    def __init__(self, evidence: Evidence, costing: Costing) -> None:
        self._costing = costing
        self._is_of_recordings = isinstance(evidence.spec, AudioJob)
        says = {"response", "duration"} if self._is_of_recordings else {"response", "input_tokens"}
        self._can_tell = not evidence.spec.columns or not says.isdisjoint(evidence.spec.columns)
        self._address = evidence.spec.address
        self._sums: dict[str, float] = {}
        self._untold = 0

    def add(self, line: Line) -> Cost:
        """Take a line in; what its answer cost."""
        seconds = self._seconds(line) if self._is_of_recordings else None
        cost = self._costing.of_line(line.response, line.cost, seconds)
        for name, value in (*cost._asdict().items(), ("seconds", seconds)):
            if value is not None:
                self._sums[name] = self._sums.get(name, 0) + value
        told = seconds if self._is_of_recordings else cost.input_tokens
        self._untold += line.status == OK and told is None
        return cost

    @staticmethod
    def _seconds(line: Line) -> float | None:
        try:
            found = float(line.columns["duration"])
        except (KeyError, ValueError):
            return counted(line.response).seconds if line.response != NULL else None
        return found if math.isfinite(found) and found >= 0 else None

    @property
    def usage(self) -> facts.Usage:
        whole = {name: int(self._sums[name]) for name in Cost._fields if name != "usd" and name in self._sums}
        return facts.Usage(**whole, seconds=self._sums.get("seconds"), usd=self._sums.get("usd"), untold=self._untold)

    @property
    def note(self) -> str:
        """What is not known of it, in a sentence; empty where all is."""
        if not self._untold:
            return ""
        if not self._can_tell:
            other = "`duration`" if self._is_of_recordings else "`input_tokens` and `output_tokens`"
            lacking = f"its `columns` have neither `response` nor {other}"
            return f"{self._address}: what its answers used is not known: {lacking}."
        return f"{self._address}: {self._untold:,} of its answers do not say what they used: they are in no sum."
