"""Input files that cannot be found or are too much: verdicts of a dialect that is otherwise left as it is."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from runner.server.dialect import Dialect, InputVerdict
from runner.server.faults.switches import FaultSwitches
from runner.server.records import BatchProblem, StoredBatch
from runner.server.world import World


class FaultyDialect:
    """Another `Dialect`, whose checks of input files can fail."""

    def __init__(self, inner: Dialect, world: World, faults: FaultSwitches) -> None:
        self._inner = inner
        self._world = world
        self._faults = faults
        # its own methods, not calls of them: the lines of every row go through some of these
        self.name = inner.name
        self.is_queued = inner.is_queued
        self.keeps_empty_files = inner.keeps_empty_files
        self.request_of = inner.request_of
        self.result_line = inner.result_line
        self.unfinished_lines = inner.unfinished_lines
        self.result_file = inner.result_file
        self.record = inner.record

    def check(self, batch: StoredBatch, source: Path, stopped: Callable[[], bool]) -> InputVerdict:
        if "file_invisible" in batch.marks:
            source = source.with_name("invisible")
        verdict = self._inner.check(batch, source, stopped)
        limit = self._faults.get("enqueued_tokens")
        if verdict.problems or limit is None:
            return verdict
        others = sum(
            other.enqueued_tokens
            for other in self._world.active()
            if other.owner == batch.owner and other.model == verdict.model and other.id != batch.id
        )
        if others + verdict.enqueued_tokens <= limit.value:
            return verdict
        text = (
            f"Enqueued token limit reached for {verdict.model} in organization org-runner. Limit:"
            f" {int(limit.value):,} enqueued tokens. Please try again once some in_progress batches"
            " have been completed."
        )
        return InputVerdict([BatchProblem("token_limit_exceeded", text)])
