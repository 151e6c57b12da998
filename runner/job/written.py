"""A file of ours as this memory wrote it last: a table, a folder of transcripts, or scores beside either."""

from __future__ import annotations

import msgspec


class Written(msgspec.Struct, frozen=True):
    output: str  # its path below the project root; a folder ends with a slash
    made_of: str  # hex digest of all that it holds
    sha256: str = ""  # of a table
    fingerprint: str = ""  # of a folder; up to release 0.1.0 of a table too: stats, then
    pieces: str = ""  # of a large table instead of its `sha256`: name of the set of its pieces, see `data/pieces`

    @property
    def content(self) -> str:
        """What tells a table from one that holds something else."""
        return self.pieces or self.sha256
