"""What becomes of rows on their way through a job: requests first, then keys and sizes, packed in their order."""

from __future__ import annotations

import tempfile
from array import array
from collections.abc import Iterable
from operator import add
from typing import IO, TYPE_CHECKING

import msgspec

from runner.compile import digest
from runner.compile.blocks import Packed, Segmented
from runner.compile.budget import RowBudget
from runner.compile.compiled import CHARACTERS_PER_TOKEN, KEY_BYTES, Wanted
from runner.compile.faults import Faults
from runner.compile.longest import longest_answer
from runner.compile.spool import KeptLines
from runner.data.block import Block
from runner.data.unique import IdHashes
from runner.errors import Problem
from runner.job import wireid
from runner.job.infile import Growing, Run
from runner.job.project import Job

if TYPE_CHECKING:
    from runner.compile.program import Program, Requests

_IN_MEMORY = 1 << 20


class Stretch(msgspec.Struct, array_like=True):
    """Some rows after others, as a packing has them."""

    keys: bytes
    rest: bytes
    sizes: bytes
    positions: bytes
    ids: bytes
    characters: int
    longest: int | None


class Packing:
    """Where the rows of a pass go: keys, sizes, the rest of the digests, positions, hashes of ids."""

    def __init__(self, job: Job, ready: Program, *, keeps_positions: bool, modulus: int = 0) -> None:
        """modulus: of hashes of ids that are known from elsewhere; 0 for one of its own."""
        self._around = sum(map(len, ready.envelope)) + 1 + wireid.KEY_CHARACTERS
        self._job = job
        self._keys = Growing()
        self._all_keys: Run | None = None  # once they are put between those known from before
        self._sizes = array("I")
        self._distinct: Run = b""
        self._characters = 0
        self._tokens = self._untold = 0
        body = job.prompt.body
        self._longest: int | None = 0 if body is not None and body.column else None
        # only writing results asks for them, a row after the other, so they need not be in memory
        self.rest: IO[bytes] = tempfile.SpooledTemporaryFile(_IN_MEMORY)  # noqa: SIM115  # closed with the compiled job
        self.positions = array("I") if keeps_positions else None
        self.hashes = IdHashes(modulus)  # of the rows that were read
        self.ids = self.hashes.values if job.dataset.id is not None else None

    def __len__(self) -> int:
        return len(self._sizes)

    def close(self) -> None:
        self.rest.close()
        self._keys.close()

    def add(self, some: Requests, digests: list[bytes]) -> None:
        keys, rest = digest.split(digests)
        self._keys.write(keys)
        self.rest.write(rest)
        around, longest = self._around, wireid.MAX_READABLE
        # the size of a line is arithmetic: nothing is encoded to learn it
        id_sizes = [size if size <= longest else longest for size in map(len, some.ids)]
        sizes = [around + len(body) + size for body, size in zip(some.bodies, id_sizes, strict=True)]
        self._sizes.extend(sizes if some.grown is None else map(add, sizes, some.grown))
        self._characters += some.characters
        self._tokens += some.tokens
        self._untold += some.untold
        if self._longest is not None:
            self._longest = longest_answer(some.bodies, self._longest)
        if self.ids is not None:
            self.hashes.update(some.ids)
        if self.positions is not None:
            self.positions.extend(some.numbers)

    def all(self) -> Stretch:
        """What was added."""
        self.rest.seek(0)
        positions = self.positions.tobytes() if self.positions is not None else b""
        ids = self.ids.tobytes() if self.ids is not None else b""
        return Stretch(
            self._keys.run()[:],
            self.rest.read(),
            self._sizes.tobytes(),
            positions,
            ids,
            self._characters,
            self._longest,
        )

    def take(self, stretch: Stretch) -> int:
        """Go on behind rows that were packed elsewhere. How many they are."""
        self._keys.write(stretch.keys)
        self.rest.write(stretch.rest)
        self._sizes.frombytes(stretch.sizes)
        self._characters += stretch.characters
        if self._longest is not None:
            self._longest = None if stretch.longest is None else max(self._longest, stretch.longest)
        if self.ids is not None:
            self.ids.frombytes(stretch.ids)
        if self.positions is not None:
            self.positions.frombytes(stretch.positions)
        return len(stretch.keys) // KEY_BYTES

    def put_between(self, segments: Segmented, budget: RowBudget) -> None:
        """Put what was added between what is known from before."""
        job, rest = self._job, tempfile.SpooledTemporaryFile(_IN_MEMORY)  # noqa: SIM115  # closed with the compiled job
        rendered, rows = sum(self._sizes), len(self)
        fresh = Packed(self._keys.run(), self._sizes, self.positions, self.ids, self.rest)
        whole = segments.whole(fresh, rest)
        if whole is None:
            rest.close()
            return
        self.rest.close()
        self._sizes, self.positions, self.ids, self.rest = whole.sizes, whole.positions, whole.ids, whole.rest
        self._all_keys, self._distinct = whole.keys, whole.distinct
        self._characters = segments.characters
        self._longest = segments.longest_answer(self._longest)
        # as many bytes as bodies at least; whoever is above the limit by these is compiled in the plain way
        budget.read(segments.known_rows, job.dataset.key, job.dataset.mark)
        budget.take(sum(self._sizes) - rendered - self._around * (len(self) - rows), job.address, job.mark)

    def finish(self, ready: Program) -> Wanted:
        characters = self._characters + ready.static_characters * len(self._sizes)
        tokens = -(-characters // CHARACTERS_PER_TOKEN) + self._tokens
        keys = self._keys.run() if self._all_keys is None else self._all_keys
        return Wanted(keys, self._sizes, tokens, self._untold, self._distinct, self._longest)


def through(
    ready: Program,
    blocks: Iterable[Block],
    job: Job,
    budget: RowBudget,
    faults: Faults,
    packing: Packing,
    segments: Segmented | None = None,
    kept: KeptLines | None = None,
    *,
    is_filtered: bool = False,
) -> None:
    """Have rows go through a job, each once: read, filter, render, hash, pack. is_filtered: `where` was asked before.

    Raises SpecError for its templates, DataError for a row that cannot be read, and for too much of them.
    """
    # Problems come along in the stream of requests, so that the 21st bad row is still counted, and `skip_bad` needs no
    # second pass.
    read = budget.watched(blocks, job.dataset.key, job.dataset.mark)
    for asked in ready.requests(faults.watched(read), is_filtered):
        if isinstance(asked, Problem):
            faults.add(asked)
            if segments:
                segments.left_out(asked.mark)
            continue
        budget.take(sum(map(len, asked.bodies)), job.address, job.mark)
        digests = ready.digester.each(asked.bodies)
        packing.add(asked, digests)
        if kept:
            kept.add(ready.sent(asked, [one[:KEY_BYTES] for one in digests], b"\n"), len(digests))
        if segments:
            segments.made(asked.numbers, asked.characters, asked.each)
    if kept:
        kept.finish()
