"""The compile of a job of recordings: files in, digests and sizes out. What a recording holds is its request.

Nothing but stats is read of files that were hashed before; renamed or moved ones keep their digest.
"""

from __future__ import annotations

import hashlib
import os
from array import array
from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import cached_property
from itertools import islice
from pathlib import Path
from typing import IO

import msgspec

from runner.compile import digest
from runner.compile.compiled import DIGEST_BYTES, KEY_BYTES, Line, RowView, Wanted
from runner.compile.faults import RecordingsFailed, left_out
from runner.data.audio import LARGEST, AudioFile, AudioListing, Selection, find
from runner.data.contents import Contents, FileContent, stamp_of
from runner.data.media import FORMATS
from runner.errors import DataError, Mark, Problem
from runner.job.project import AudioJob
from runner.job.wireid import custom_id_of

_THREADS = 4  # hashing lets go of the interpreter, and a disk likes more than one reader
_AT_ONCE = 512  # files that wait to be hashed
_MOST_BYTES = 2**32 - 1  # of one recording: sizes are kept in 32 bits
_encode = msgspec.json.Encoder().encode


COLUMNS = frozenset({"file", "size_bytes", "duration_s"})  # of the row of a recording


class Asked(msgspec.Struct, frozen=True):
    """One recording as it is to be sent."""

    key: bytes  # 16 bytes
    custom_id: str  # on the wire and in results: readable, and names the key
    file: str  # relative to the project root, with `/`
    source: Path
    filename: str  # as the remote is told: its suffix is of what the file holds, and it says nothing else
    size_bytes: int
    sha256: bytes  # of the file, 32 bytes
    seconds: float | None
    path: str  # of the API
    endpoint_id: str  # empty where the remote has no such thing
    fields: Mapping[str, str]  # the form, in the order it is sent; without the file


class CompiledAudio:
    """A compiled job of recordings (see compiled.Compiled). In memory are 130 bytes and the path of each file."""

    def __init__(
        self,
        job: AudioJob,
        root: Path,
        files: AudioListing,
        wanted: Wanted,
        contents: _Contents,
        problems: Sequence[Problem] = (),
    ) -> None:
        """contents: of the files, in their order. problems: of those that were left out."""
        self.job = job
        self.root = root
        self.files = files
        self.wanted = wanted
        self._contents = contents
        self.bad = len(problems)
        self.notes = (f"job `{job.address}`: {left_out(self.bad, 'recording', problems)}",) if problems else ()

    @property
    def form(self) -> Mapping[str, str]:
        """What every recording is sent with, text by text, in order."""
        return {"model": self.job.model.name, **dict(self.job.fields)}

    @property
    def seconds(self) -> array[float]:
        """How long each recording is; negative where it does not say."""
        return array("f", self._contents.seconds)

    def made_of(self) -> str:
        """Changes whenever `rows` may yield something else: the names, sizes and lengths of the files."""
        return self._made_of

    @cached_property
    def _made_of(self) -> str:
        whole = hashlib.sha256(b"runner-recordings/1\n")
        for row in self.rows():
            whole.update(row.row_json + b"\n")
        return whole.hexdigest()

    def rows(self) -> Iterator[RowView]:
        """Every recording in order of paths: `file`, `size_bytes` and `duration_s` are its columns."""
        return self.rows_at(range(len(self.files)))

    def rows_at(self, ordinals: Sequence[int]) -> Iterator[RowView]:
        """Those at `ordinals` (ascending, from 0)."""
        for ordinal in ordinals:
            file = self.files[ordinal]
            row = {"file": file.path, "size_bytes": file.size_bytes, "duration_s": self._contents.length(ordinal)}
            yield RowView(file.path, _encode(row), self._contents.digest(ordinal))

    # What was hashed must be what is sent: a file that was written to since has another digest, and its answer would be
    # kept under the old one. Its stat tells; reading it all once more, only to send it, would double the reading.
    def recording(self, ordinal: int) -> Asked:
        """How the recording at `ordinal` is to be sent. Raises DataError when its file changed since it was hashed."""
        file = self.files[ordinal]
        self._check_unchanged(file)
        return _asked(self.job, self.root, file, self._contents.content(ordinal), self.wanted.keys_at((ordinal,)))

    def lines(self, ordinals: Iterable[int]) -> Iterator[Line]:
        """Descriptions of the requests at `ordinals`, which are no lines themselves. Raises as `recording` does."""
        for ordinal in ordinals:
            asked = self.recording(ordinal)
            yield Line(asked.key, _described(asked))

    def lines_as(self, job: AudioJob, ordinals: Iterable[int]) -> Iterator[Line]:
        """The same recordings as another declaration of the job asks about them."""
        digest_of = digester(job)
        for ordinal in ordinals:
            content = self._contents.content(ordinal)
            key = digest_of(body_of(job, content.sha256))[:KEY_BYTES]
            yield Line(key, _described(_asked(job, self.root, self.files[ordinal], content, key)))

    def shown(self, ordinals: Iterable[int]) -> Iterator[Line]:
        """The same: such a line describes a request, and holds no bytes of a file."""
        return self.lines(ordinals)

    def write_lines(self, ordinals: Iterable[int], out: IO[bytes]) -> int:
        """Write the same lines, each with a newline. The number of bytes written; raises as `recording` does."""
        return sum(out.write(line.data + b"\n") for line in self.lines(ordinals))

    def _check_unchanged(self, file: AudioFile) -> None:
        try:
            is_same = stamp_of(file.path, os.stat(self.root / file.path)) == file  # noqa: PTH116  # beside `stamp_of`
        except OSError as error:
            raise DataError(f"cannot read the recording: {error.strerror}", mark=Mark(file.path)) from error
        if not is_same:
            hint = "nothing was sent for it; run the command again"
            raise DataError("the recording changed since it was looked at", hint=hint, mark=Mark(file.path))


class _Contents:
    """What each file holds, packed: 73 bytes each."""

    def __init__(self) -> None:
        self.digests = bytearray()  # of the requests
        self._files = bytearray()  # digests of the files
        self.seconds = array("d")  # negative: not known
        self._formats = bytearray()

    def add(self, content: FileContent, request: bytes) -> None:
        """request: its digest."""
        self.digests += request
        self._files += content.sha256
        self.seconds.append(-1.0 if content.seconds is None else content.seconds)
        self._formats.append(FORMATS.index(content.format))

    def digest(self, ordinal: int) -> bytes:
        return _nth(self.digests, ordinal)

    def length(self, ordinal: int) -> float | None:
        seconds = self.seconds[ordinal]
        return None if seconds < 0 else seconds

    def content(self, ordinal: int) -> FileContent:
        return FileContent(_nth(self._files, ordinal), FORMATS[self._formats[ordinal]], self.length(ordinal))


def _nth(packed: bytearray, ordinal: int) -> bytes:
    return bytes(packed[ordinal * DIGEST_BYTES : (ordinal + 1) * DIGEST_BYTES])


def compile_audio(job: AudioJob, root: Path, hashes: Contents, largest_bytes: int = LARGEST) -> CompiledAudio:
    """Compile one job of recordings.

    largest_bytes: the most that the remote takes in one.
    Raises DataError at the place of the patterns: one that matches nothing (not with `allow_empty`), or with every file
    that cannot be sent (RecordingsFailed).
    """
    files = find(selection_of(job), root, min(largest_bytes, _MOST_BYTES))
    problems = [Problem(Mark(fault.path), fault.reason) for fault in files.faults]
    contents, sizes, digest_of, good = _Contents(), array("I"), digester(job), AudioListing()
    for file, found in _with_contents(files, hashes):
        if isinstance(found, DataError):
            problems.append(Problem(Mark(file.path), found.message, found.hint))
        else:
            contents.add(found, digest_of(body_of(job, found.sha256)))
            sizes.append(file.size_bytes)
            good.add(file)
    # files that cannot be used were found in one order, and files that cannot be read in another
    problems.sort(key=lambda problem: problem.mark)
    if problems and not (job.skip_bad and len(good)):
        raise RecordingsFailed(problems, job.address, job.patterns_mark, offers=len(good) > 0)
    digests = contents.digests
    keys = b"".join(digests[at : at + KEY_BYTES] for at in range(0, len(digests), DIGEST_BYTES))
    return CompiledAudio(job, root, good, Wanted(keys, sizes, tokens=0), contents, problems)


def preview(job: AudioJob, root: Path, rows: int | None = None) -> Iterator[bytes]:
    """Descriptions of the first `rows` requests as `CompiledAudio.lines` gives them. Reads these files only.

    Raises as `compile_audio` does, but at the first recording that cannot be sent.
    """
    hashes = Contents(root, _NoMemo())
    files = find(selection_of(job), root)
    if files.faults and not job.skip_bad:
        problems = [Problem(Mark(fault.path), fault.reason) for fault in files.faults]
        raise RecordingsFailed(problems, job.address, job.patterns_mark, offers=len(files) > 0)
    digest_of = digester(job)
    left = len(files) if rows is None else rows
    for file in files:
        if not left:
            return
        try:
            content = hashes.content(file)
        except DataError:
            if not job.skip_bad:
                raise
            continue
        left -= 1
        key = digest_of(body_of(job, content.sha256))[:KEY_BYTES]
        yield _described(_asked(job, root, file, content, key))


class _NoMemo:
    """Remembers nothing."""

    def get(self, key: bytes) -> None:
        return None

    def put(self, key: bytes, value: bytes) -> None:
        return None


def _asked(job: AudioJob, root: Path, file: AudioFile, content: FileContent, key: bytes) -> Asked:
    return Asked(
        key=key,
        custom_id=custom_id_of(file.path, key),
        file=file.path,
        source=root / file.path,
        filename=f"audio.{content.format}",
        size_bytes=file.size_bytes,
        sha256=content.sha256,
        seconds=content.seconds,
        path=job.path,
        endpoint_id=job.endpoint_id,
        fields={"model": job.model.name, **dict(job.fields)},
    )


def _described(asked: Asked) -> bytes:
    return _encode(
        {
            "custom_id": asked.custom_id,
            "method": "POST",
            "url": asked.path,
            "endpoint_id": asked.endpoint_id,
            "file": asked.file,
            "form": asked.fields,
        }
    )


def selection_of(job: AudioJob) -> Selection:
    """Which files are the job's recordings."""
    return Selection(job.name, job.patterns_mark, job.patterns, job.exclude, job.allow_empty)


def digester(job: AudioJob) -> digest.Digester:
    """body -> digest of the requests of a job."""
    return digest.digester(job.model.provider, job.path, job.replicate, job.model.name)


def body_of(job: AudioJob, sha256: bytes) -> bytes:
    """What decides the answer to one recording, as one text: what it holds, where it is run, and the form."""
    return _encode({"file_sha256": sha256.hex(), "endpoint_id": job.endpoint_id, **dict(sorted(job.fields))})


def _with_contents(files: AudioListing, hashes: Contents) -> Iterator[tuple[AudioFile, FileContent | DataError]]:
    """Each file with what it holds, or with why that cannot be told. Files that were read before are not opened."""

    def found(file: AudioFile) -> FileContent | DataError:
        try:
            return hashes.content(file)
        except DataError as error:
            return error

    from concurrent.futures import ThreadPoolExecutor  # most plans find everything known

    remaining = iter(files)
    pool: ThreadPoolExecutor | None = None
    try:
        while some := list(islice(remaining, _AT_ONCE)):
            # in runs: a pool that is given all files at once holds a future for each of them
            known = [hashes.known(file) for file in some]
            unknown = [file for file, content in zip(some, known, strict=True) if content is None]
            if unknown and pool is None:
                pool = ThreadPoolExecutor(_THREADS, "hashing")
            fresh = pool.map(found, unknown) if pool and unknown else iter(())
            for file, content in zip(some, known, strict=True):
                yield file, next(fresh) if content is None else content
    finally:
        if pool is not None:
            pool.shutdown(cancel_futures=True)
