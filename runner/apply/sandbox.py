"""Where a rehearsal plays: a fork of the project's memory, in `.runner/rehearsal/`, begun anew each time.

Real records and objects are read where they lie, and everything new stays below this folder.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import msgspec
from msgspec.structs import replace

from runner.clock import Clock
from runner.job import lifecycle
from runner.job.recorded import Batch, Stage
from runner.state.memory import Memory, Records

FOLDER = "rehearsal"
SYNTHETIC = "synthetic"  # the origin of an answer that was made up
_NEVER = datetime(9999, 1, 1, tzinfo=UTC)


class SandboxState(msgspec.Struct, frozen=True):
    """What a rehearsal has in place of the project's memory and outputs."""

    memory: Memory
    first_sequence: int  # of the batches of the rehearsal
    in_flight: frozenset[str]  # keys of batches that real remotes hold: they cannot be looked at

    @property
    def outputs(self) -> Path:
        """Results files lie below it as they would below the project root."""
        return self.memory.folder / "outputs"

    @property
    def server(self) -> Path:
        return self.memory.folder / "server"

    def leaving_alone(self) -> SandboxState:
        """The same, with what was read back and what real remotes were found to hold since: neither is rehearsed."""
        records = self.memory.records
        project = records.project()
        return replace(
            self,
            first_sequence=project.next_sequence if project else 1,
            in_flight=self.in_flight | _left_alone(records, self.in_flight),
        )

    def made(self, batch: Batch) -> bool:
        """Whether a batch was sent by this rehearsal."""
        return batch.sequence >= self.first_sequence and not batch.found_in


@contextlib.contextmanager
def sandbox_of(real: Memory, *, command: str, clock: Clock, wait_seconds: float = 0.0) -> Iterator[SandboxState]:
    """A sandbox of a memory, begun anew and held against a second rehearsal.

    Raises StateError where a link stands in the way, LockedError while another rehearsal runs.
    """
    memory = real.fork(FOLDER)
    with memory.lock(command, clock=clock, wait_seconds=wait_seconds):
        memory.clear()
        try:
            project = memory.records.project()
            yield SandboxState(memory, project.next_sequence if project else 1, _left_alone(memory.records))
        finally:
            memory.close()


def _left_alone(records: Records, known: frozenset[str] = frozenset()) -> frozenset[str]:
    """Keep what real remotes hold in flight; nothing that was sent for real can be looked at or continued here.

    A create that was put off and is never due is neither looked at, nor settled, nor sent.
    """
    in_flight = set()
    for batch in records.batches():
        if batch.key in known:
            continue
        kept = batch.but(can_be_continued=False)
        if batch.is_active and (batch.create_tries or batch.stage is not Stage.INTENT):
            in_flight.add(batch.key)
            kept = lifecycle.set_aside(kept, _NEVER)
        records.save(kept)
    return frozenset(in_flight)
