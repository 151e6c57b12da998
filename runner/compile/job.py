"""A compiled job: what the pass over its rows left behind, and how its rows and lines are made again from that."""

from __future__ import annotations

import math
import weakref
from array import array
from collections.abc import Iterable, Iterator, Sequence
from itertools import chain, islice, repeat, tee
from pathlib import Path
from typing import IO, TYPE_CHECKING, NoReturn

from runner.compile import digest, ids, shard
from runner.compile.compiled import KEY_BYTES, REST_BYTES, Line, RowView
from runner.data.files import content_digest
from runner.data.rows import Block, open_blocks, signature
from runner.data.sparse import blocks_at
from runner.errors import DataError, Mark
from runner.files import sha256_of
from runner.job.infile import sha256_in
from runner.job.project import Job
from runner.remotes.vendor import Lines

if TYPE_CHECKING:
    from runner.compile.program import Program
    from runner.compile.spool import KeptLines
    from runner.data.audio import AudioFile
    from runner.data.inlined import InlinedFiles

_TOKENS_OF_A_FILE = 765
_Lines = tuple[list[bytes], Iterator[Iterable[bytes]]]  # keys, and lines in parts


class CompiledJob:
    """A compiled job (see compiled.Compiled). Holds no row; reading it again reads the dataset again."""

    def __init__(
        self,
        job: Job,
        root: Path,
        lines: Lines,
        parts: shard.Parts,
        digest_of: shard.DigestOf = sha256_of,
        files: InlinedFiles | None = None,
        kept: KeptLines | None = None,
    ) -> None:
        """digest_of: SHA-256 of a file, for what is made of the dataset. files: that go into requests. kept: the lines,
        from when it was compiled."""
        self.job = job
        self.root = root
        self.request_lines = lines
        self.parts = parts
        self.stamps = parts.stamps
        self.wanted = parts.wanted
        self.positions = parts.positions
        self._digest_of = digest_of
        self._content = parts.content
        self._files = files
        self._kept = kept
        weakref.finalize(self, parts.rest.close)
        weakref.finalize(self, parts.inlined.close)

    @property
    def bad(self) -> int:
        """How many rows cannot become requests and were left out."""
        return self.parts.bad

    @property
    def notes(self) -> tuple[str, ...]:
        """What was left out or read otherwise, in words."""
        if (chain := self.job.chain) is None:
            return self.parts.notes
        (file,) = self.job.dataset.files or ("",)
        return tuple(note.replace(f"{file}:", f"{chain.source}:") if file else note for note in self.parts.notes)

    def made_of(self) -> str:
        """Changes whenever `rows` may yield something else: what the dataset's files hold, or what picks and names its
        rows. A touch, a copy and a fresh checkout change nothing."""
        found = f"{shard.identity_of(self.job, self.request_lines)} {self.content()}"
        if not self.parts.inlined.size:
            return found
        return f"{found} {sha256_in(self.wanted.keys)}"  # files count by what they hold

    def inlined(self) -> Iterator[AudioFile]:
        """The files that its requests hold, as they were when it was compiled. One may come more than once."""
        return iter(self.parts.inlined)

    def content(self) -> str:
        """SHA-256 (hex) of what the dataset's files hold. Raises DataError when they changed since."""
        if not self._content:
            found = content_digest(self.job.dataset, self.root, self._digest_of)
            self.check_unchanged()
            self._content = found
        return self._content

    def tokens_with_files(self) -> int | None:
        """Input tokens of a request on average, where requests hold files: their bytes say nothing of it. Else None.

        A file of which nobody knows counts as a picture of 1024 by 1024 pixels at OpenAI.
        """
        if not self.parts.inlined.size or not len(self.wanted):
            return None
        return math.ceil((self.wanted.tokens + self.wanted.untold * _TOKENS_OF_A_FILE) / len(self.wanted))

    def save(self, path: Path) -> None:
        """Write what was compiled to `path`, for `load`. Raises DataError when the dataset changed since."""
        shard.write(path, self.job, self.request_lines, self.content(), self.parts)

    def rows(self) -> Iterator[RowView]:
        """Every wanted row in input order. Raises DataError when the dataset changed since it was compiled."""
        return self.rows_at(range(len(self.wanted)))

    def rows_at(self, ordinals: Sequence[int]) -> Iterator[RowView]:
        """The wanted rows at `ordinals` (ascending, from 0). Raises as `rows` does."""
        self.check_unchanged()
        done = 0
        is_all = len(ordinals) == len(self.wanted)
        positions = self.positions
        at = positions if is_all else ordinals if positions is None else array("I", [positions[n] for n in ordinals])
        for block, row_ids in self._with_ids(at):
            here = ordinals[done : done + len(block)]
            if len(here) != len(block):
                break
            done += len(block)
            # a third of the time of calling RowView
            yield from map(
                tuple.__new__, repeat(RowView), zip(row_ids, block.jsons(), self._digests(here), strict=True)
            )
        self.check_unchanged()
        if done != len(ordinals):
            raise self._changed_while_read()

    def lines(self, ordinals: Iterable[int]) -> Iterator[Line]:
        """Request lines of the rows at `ordinals` (ascending, from 0), rendered again.

        Raises DataError when a digest differs from the compiled one.
        """
        return chain.from_iterable(map(lines_of, self._lines(ordinals)))

    def shown(self, ordinals: Iterable[int]) -> Iterator[Line]:
        """The same for people: words stand in the place of files."""
        return chain.from_iterable(map(lines_of, self._lines(ordinals, is_shown=True)))

    def write_lines(self, ordinals: Iterable[int], out: IO[bytes]) -> int:
        """Write the same lines, each with a newline. The number of bytes written; raises as `lines` does.

        What was kept when the job was compiled is copied; what is not there, or not as it was put, is rendered.
        """
        asked = _packed(ordinals)
        done = written = 0
        if self._kept is not None:
            self.check_unchanged()
            for count, run in self._kept.runs(asked, self.wanted.sizes):
                written += out.write(run)
                done += count
            if done == len(asked):
                return written
        for _, lines in self._lines(asked[done:], b"\n"):
            if self.parts.inlined.size:  # one picture may be larger than all the texts of a job
                written += sum(map(out.write, chain.from_iterable(lines)))
            else:
                written += out.write(b"".join(chain.from_iterable(lines)))
        return written

    def _lines(self, ordinals: Iterable[int], end: bytes = b"", *, is_shown: bool = False) -> Iterator[_Lines]:
        """Some rows after others, their keys compared with the compiled ones; each line with `end`."""
        self.check_unchanged()
        ready = program(self.job, self.request_lines, self.root, self._files, is_shown=is_shown)
        asked = _packed(ordinals)
        positions = self.positions
        at = asked if positions is None else array("I", [positions[ordinal] for ordinal in asked])
        done = 0
        for some in ready.requests(self._blocks(at, checked=ready.ready is None), filtered=True):
            keys, lines = ready.lines(some, end)
            here = asked[done : done + len(keys)]
            # The last gate before money is spent: what is about to be sent is hashed again and must be what was
            # planned, byte for byte. One comparison does for a run of rows; which row differs is asked only where one
            # does.
            if b"".join(keys) != self.wanted.keys_at(here):
                self._refuse_other_keys(here, keys)
            yield keys, lines
            done += len(keys)
        if done != len(asked):
            raise self._changed_while_read()

    def _refuse_other_keys(self, ordinals: Sequence[int], keys: Sequence[bytes]) -> NoReturn:
        other = next(n for n, key in zip(ordinals, keys, strict=True) if key != self.wanted.keys_at((n,)))
        raise self._changed(f"row {other + 1} of job `{self.job.address}` renders to another request now")

    def _digests(self, ordinals: Sequence[int]) -> list[bytes]:
        """The digests of the rows at `ordinals` (ascending)."""
        found: list[bytes] = []
        rest, at = self.parts.rest, 0
        while at < len(ordinals):
            first, end = ordinals[at], ordinals[-1] + 1
            if end - first != len(ordinals) - at:  # there are gaps
                end = next(
                    n for n in range(at + 1, len(ordinals) + 1) if n == len(ordinals) or ordinals[n] != first + n - at
                )
                end = first + end - at
            rest.seek(self.parts.rest_at + first * REST_BYTES)
            keys = self.wanted.keys[first * KEY_BYTES : end * KEY_BYTES]
            found += digest.joined(keys, rest.read((end - first) * REST_BYTES))
            at += end - first
        return found

    def with_ids(self) -> Iterator[tuple[Block, Sequence[str]]]:
        """The wanted rows as they are in the dataset now, and the ids they are shown with."""
        return self._with_ids(self.positions)

    def place_of(self, ordinal: int) -> Mark | None:
        """Where a row is written. Raises DataError."""
        at = ordinal if self.positions is None else self.positions[ordinal]
        row = next(chain.from_iterable(self._blocks((at,))), None)
        return None if row is None else row.mark

    def _blocks(self, at: Sequence[int] | None, *, checked: bool = False) -> Iterator[Block]:
        """The rows at these positions of the dataset."""
        pieces = self.parts.pieces
        if pieces is None or at is None:
            return open_blocks(self.job.dataset, self.root, at, checked=checked)
        return blocks_at(self.job.dataset, self.root, pieces.segments, at, checked=checked)

    def _with_ids(self, at: Sequence[int] | None) -> Iterator[tuple[Block, Sequence[str]]]:
        """The same of the rows at these positions of the dataset."""
        dataset = self.job.dataset
        blocks = self._blocks(at)
        if ids.is_template(dataset):
            # the rows are read once, for their ids and for themselves; `tee` holds no more than the run between the two
            blocks, ahead = tee(blocks)
            found = program(self.job, self.request_lines, self.root).template_ids(chain.from_iterable(ahead))
            return ((block, list(islice(found, len(block)))) for block in blocks)
        if dataset.id is not None:
            column = dataset.id
            return ((block, ids.of_column(block.column(column))) for block in blocks)
        return ((block, ids.numbered(block.numbers)) for block in blocks)

    def check_unchanged(self) -> None:
        """Raise DataError unless the dataset's files are as they were."""
        if signature(self.job.dataset, self.root) != self.stamps:
            raise self._changed_while_read()

    def _changed_while_read(self) -> DataError:
        return self._changed(f"dataset `{self.job.dataset.key}` changed while it was read")

    def _changed(self, words: str) -> DataError:
        return DataError(words, hint="nothing was sent for it; run the command again", mark=self.job.dataset.mark)


def _packed(ordinals: Iterable[int]) -> array[int] | range:
    return ordinals if isinstance(ordinals, array | range) else array("I", ordinals)


def lines_of(made: _Lines) -> Iterator[Line]:
    """Lines from their keys and parts."""
    keys, lines = made
    return map(Line, keys, map(b"".join, lines))


def load(
    path: Path,
    job: Job,
    root: Path,
    lines: Lines,
    digest_of: shard.DigestOf = sha256_of,
    files: InlinedFiles | None = None,
) -> CompiledJob | None:
    """The compiled job saved in `path`; None if there is none, it is damaged, or it is of something else.

    Stats decide whether the dataset changed; files that were touched, or checked out anew, are hashed, and equal
    content counts as unchanged. Raises DataError when the dataset's files are not there.
    """
    parts = shard.read(path, job, root, lines, digest_of)
    return None if parts is None else CompiledJob(job, root, lines, parts, digest_of, files)


def program(
    job: Job, lines: Lines, root: Path, files: InlinedFiles | None = None, *, is_shown: bool = False
) -> Program:
    """The job made ready for rows. Raises SpecError."""
    # Jinja2 takes 50 ms to import: a plan that finds everything compiled does without
    from runner.compile.program import program_of

    return program_of(job, lines, root, files, is_shown=is_shown)
