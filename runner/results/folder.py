"""Results of a job whose requests are recordings, as a folder: a transcript for each, and `_results.jsonl` beside them.

`_results.jsonl` has a line for every wanted recording, answered or not, and holds every answer whole: the transcripts
can be written again from it alone. It is written last, and says which files of the folder are ours.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import IO

import msgspec

from runner.errors import DataError
from runner.files import whole
from runner.remotes.reading.verdict import NULL
from runner.results.columns import About, Step, table
from runner.results.export import JsonlWriter
from runner.results.kinds import TEXT
from runner.results.merge import Writer
from runner.results.names import RESULTS, Names, shown
from runner.results.ours import Listed, Ours, PathSet, told
from runner.results.splice import Merged
from runner.results.transcript import content_of
from runner.results.tree import Occupant, Tree
from runner.results.wholefile import folder_of

ENDING = ("error", "batch", "digest", "origin", "response")
# What was said stands in the transcripts, and in `response`.
COLUMNS = ("custom_id", "file", "transcript", "sha256", "duration", "language", "speakers")  # and then ENDING

_encode = msgspec.json.Encoder().encode


@contextmanager
def writer_for(folder: Path, root: Path, names: Names, steps: Sequence[Step] = ()) -> Iterator[Writer]:
    """A writer of transcripts. Lines come in the order of the recordings that `names` was made of.

    Only what differs is written. When the block fails, transcripts that were written stay: they are good, and known
    to be ours. Raises DataError at its end where files that are not ours stand in the way (all others are written
    then), RunnerError for a folder outside of the root, OSError.
    """
    top = folder_of(folder, root)
    with Tree(top) as tree, Ours(top) as ours:
        with whole(top / RESULTS, keeps_equal=True) as out:
            writer = FolderWriter(out, tree, ours, names, folder, steps)
            yield writer
            orphans = writer.finish()
        ours.forget(orphans)


class FolderWriter:
    """A transcript and a line for each recording. Where the transcript went is a step of the line."""

    columns = (("transcript", TEXT), ("sha256", TEXT))

    def __init__(
        self, out: IO[bytes], tree: Tree, ours: Ours, names: Names, folder: Path, steps: Sequence[Step] = ()
    ) -> None:
        chosen = (*COLUMNS, *(name for step in steps for name, _ in step.columns), *ENDING)
        self._table = table(".jsonl", About(), chosen=chosen, steps=[self, *steps], is_of_recordings=True)
        self._lines = JsonlWriter(out, self._table.columns)
        self._tree, self._ours, self._names, self._folder = tree, ours, names, folder
        self._wanted = PathSet()
        self._rows = 0
        self._strangers: list[str] = []
        self._edited: list[str] = []
        self._contents = PathSet()  # digests of the transcripts that are there now
        self.told = ""  # what was left as it is, in words

    def write(self, merged: Merged) -> None:
        self._lines.write(self._table.stepped(merged))

    def value(self, line: Merged) -> tuple[bytes, bytes]:
        """Write the transcript of a line; its name and SHA-256."""
        name = self._names.name(self._rows, line.custom_id)
        self._rows += 1
        self._wanted.add(line.custom_id)
        content = content_of(line, self._names.suffix)
        if content is None:
            return NULL, NULL
        digest = hashlib.sha256(content).hexdigest()
        self._put(name, content, digest)
        return _encode(name), b'"%b"' % digest.encode()

    def _put(self, name: str, content: bytes, sha256: str) -> None:
        is_ours = self._ours.claim(name)
        self._contents.add(sha256)
        match self._tree.compare(name, content):
            case Occupant.SAME:
                return
            case Occupant.NOTHING:
                if not is_ours:
                    self._ours.note(name, sha256)
                self._tree.write(name, content)
            case Occupant.OTHER if is_ours:
                self._replace(name, content, sha256)
            case _:
                self._strangers.append(name)

    def _replace(self, name: str, content: bytes, sha256: str) -> None:
        """Write over a transcript of ours. What a person made of it stays: here if we would say what we said before,
        else beside."""
        if not self._ours.wrote(name, self._tree.sha256_of(name)):
            self._edited.append(name)
            if self._ours.wrote(name, sha256):
                return
            self._tree.set_aside(name)
        self._tree.write(name, content)

    def finish(self) -> list[Listed]:
        """Remove what is there under another name now; the transcripts of ours that nobody wants any more.

        Raises DataError where not all could be written.
        """
        if self._strangers:
            raise self._in_the_way()
        orphans = []
        for listed in self._ours.left():
            name = listed.transcript or ""
            there = self._tree.sha256_of(name)
            if there is None:
                continue
            is_here = listed.file in self._wanted and name.endswith(self._names.suffix) and there in self._contents
            if is_here and there == listed.sha256:
                self._tree.remove(name)
            else:
                orphans.append(listed)
        self.told = told(self._edited, [listed.transcript or "" for listed in orphans])
        return orphans

    def _in_the_way(self) -> DataError:
        first, count = self._strangers[0], len(self._strangers)
        more = f" and {count - 1:,} more" if count > 1 else ""
        return DataError(
            f"`{self._folder / shown(first)}`{more} would be overwritten, and this job did not write it",
            hint="move it away, or give the job a folder of its own; then run `runner apply` again",
        )
