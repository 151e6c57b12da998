"""What clusters bring, by cluster: kept in memory while they are few, in files of a bucket each once they are many.

A cluster may be as small as a row, and its rows may stand anywhere: nothing is known of it before the last one. So its
sums have to be kept, and a million of them would be memory that grows with the rows.
"""

from __future__ import annotations

import json
import tempfile
import weakref
from collections.abc import Iterator
from typing import IO
from zlib import crc32

BUCKETS = 16  # files of one sum: a job has a handful of sums, and a process some hundred files
MOST_IN_MEMORY = 20_000  # clusters

Parts = dict[tuple[str | None, ...], list[int]]  # of one cluster: sums, by the kind of row that brings them


class Clusters:
    """Sums by cluster. Iterating gives the parts of each cluster, in any order."""

    def __init__(self, most: int = MOST_IN_MEMORY) -> None:
        self._most = most
        self._here: dict[str, Parts] = {}
        self._files: list[IO[bytes]] = []
        self._alone = 0

    def __bool__(self) -> bool:
        return bool(self._here or self._files)

    def add(self, cluster: str | None, kind: tuple[str | None, ...], brought: tuple[int, ...]) -> None:
        """Take in what rows of a kind bring to their cluster. None: a row that is one by itself."""
        if cluster is None:
            self._alone += 1
        name = f"{self._alone}" if cluster is None else f"={cluster}"
        parts = self._here.get(name)
        if parts is None:
            if len(self._here) == self._most:
                self._spill()
            parts = self._here[name] = {}
        _join(parts, kind, brought)

    def __iter__(self) -> Iterator[Parts]:
        if not self._files:
            yield from self._here.values()
            return
        self._spill()
        for file in self._files:
            file.seek(0)
            found: dict[str, Parts] = {}
            for line in file:
                cluster, kind, brought = json.loads(line)
                _join(found.setdefault(cluster, {}), tuple(kind), brought)
            yield from found.values()

    def _spill(self) -> None:
        if not self._files:
            self._files = [tempfile.TemporaryFile() for _ in range(BUCKETS)]  # noqa: SIM115  # closed with the sums
            weakref.finalize(self, _close, self._files)
        for cluster, parts in self._here.items():
            file = self._files[crc32(cluster.encode(errors="surrogatepass")) % BUCKETS]
            for kind, brought in parts.items():
                file.write(json.dumps([cluster, kind, brought]).encode() + b"\n")
        self._here = {}


def _join(parts: Parts, kind: tuple[str | None, ...], brought: tuple[int, ...] | list[int]) -> None:
    mine = parts.get(kind)
    if mine is None:
        parts[kind] = list(brought)
    else:
        for column, value in enumerate(brought):
            mine[column] += value


def _close(files: list[IO[bytes]]) -> None:
    for file in files:
        file.close()
