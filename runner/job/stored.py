"""What a remote still keeps of ours and can be told to delete."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from enum import StrEnum

import msgspec

from runner.job.observed import Observed


class Kept(StrEnum):
    """What an object at a remote is, in the order in which the objects of one batch are deleted.

    The record of a batch goes first: while it is there without its results, it says that they were lost.
    """

    BATCH = "batch"
    RESULTS = "results"
    UPLOAD = "upload"


ORDER = tuple(Kept)
_NOUNS = {Kept.BATCH: "batch record", Kept.RESULTS: "result file", Kept.UPLOAD: "upload"}


def told(counts: Mapping[Kept, int]) -> str:
    """`2 uploads and 3 result files`."""
    parts = [f"{counts[kind]:,} {_NOUNS[kind]}{'s' * (counts[kind] != 1)}" for kind in ORDER if counts.get(kind)]
    return " and ".join(parts)


class Stored(msgspec.Struct, frozen=True):
    """One object of ours at a remote."""

    kind: Kept
    ref: str  # what its deletion takes
    name: str = ""  # as the remote shows it
    size_bytes: int | None = None  # None: the remote does not say
    created_at: datetime | None = None
    batches: tuple[str, ...] = ()  # remote ids of the batches that read or wrote it
    key: str = ""  # of the batch an upload was made for, as its name says

    @property
    def id(self) -> str:
        """What it goes by in records: an id may be that of an upload, and of something else."""
        return f"{self.kind} {self.ref}"


class Inventory(msgspec.Struct, frozen=True):
    """All of one project that a remote keeps, as far as it can be listed, and the batches it belongs to."""

    objects: tuple[Stored, ...] = ()
    batches: tuple[Observed, ...] = ()  # every one of the project, without result files of their own
