"""Raw results are packed when an apply ends: what they are read for mostly is done by then.

What is not packed, since the command was stopped or there is no room, is packed by a later one: also what an earlier
release has brought home. From then on the memory says that it is none for a release that would find no file there.
"""

from __future__ import annotations

from msgspec.structs import replace

from runner.apply.session import Session
from runner.errors import StateError
from runner.job.recorded import PACKED, Batch, Stage

SMALLEST = 16 << 10  # bytes; below it a file would take less room by a few blocks of the disk at most


def pack(session: Session) -> None:
    """Pack all that is home. Call it under the project's lock."""
    for batch in session.records.batches():
        if session.stop.is_set():
            return
        if _is_done(batch):
            for result in batch.results:
                if result.size_bytes >= SMALLEST:
                    if not _is_noted(session):
                        return
                    session.objects.pack(batch.key, result)


def _is_noted(session: Session) -> bool:
    """Whether the memory says it by now: not where there is no room, and all else is done."""
    project = session.records.project()
    if project is not None and project.schema < PACKED:
        try:
            session.records.save(replace(project, schema=PACKED))
        except StateError:
            return False
    return True


def _is_done(batch: Batch) -> bool:
    """Whether nothing is added to its files any more: a person may have calls sent again that are held."""
    return batch.stage is Stage.COLLECTED and not (batch.has_journal and batch.tally.lost)
