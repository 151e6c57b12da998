"""Which files a dataset is, whether they changed, and their bytes.

Everything that can go wrong before the first row is decided here: globs without a match, paths and symlinks that
leave the project, compressed files that are cut short.
"""

from __future__ import annotations

import gzip
import hashlib
import io
import os
import re
import stat
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

from runner import formats, private
from runner.data import sniff
from runner.data.source import DataSource, FileStamp, matches
from runner.errors import DataError, Mark, printable
from runner.files import sha256_of

if TYPE_CHECKING:
    from runner.zstd import ZstdDecompressor

_PIECE = 1 << 16  # bytes that are read of a file that is packed with zstd


def expand(dataset: DataSource, root: Path) -> tuple[str, ...]:
    """Paths of the dataset's files relative to `root`: each pattern's matches sorted, no file twice.

    Raises DataError at the dataset's place in the specs: no match, outside the root, hidden, a secret by its name, not
    a regular file.
    """
    return tuple(stamp.path for stamp in signature(dataset, root))


def signature(dataset: DataSource, root: Path) -> tuple[FileStamp, ...]:
    """Stamps of the dataset's files in reading order. Reads stats only; raises as `expand` does."""
    real_root = os.path.realpath(root)
    seen: dict[str, FileStamp] = {}
    if dataset.are_paths:
        from runner.data import paths  # few datasets are lists of files

        return paths.signature_of(dataset, root)
    if dataset.is_ours:
        return tuple(_stamp(dataset, root, path) for path in dataset.files)
    for pattern in dataset.files:
        for path in matches(dataset, pattern, root):
            real = os.path.realpath(root / path)
            if os.path.commonpath((real, real_root)) != real_root:
                raise DataError(
                    f"`{path}` of dataset `{dataset.key}` leads out of the project, to `{printable(real)}`",
                    hint="copy the file into the project directory, or run from a directory above both with `-C`",
                    mark=dataset.mark,
                )
            _refuse_private(dataset, path, real, root)
            if real not in seen:
                seen[real] = _stamp(dataset, root, path)
    return tuple(seen.values())


def _refuse_private(dataset: DataSource, path: str, real: str, root: Path) -> None:
    if private.is_hidden(path) or private.leads_into_hidden(real, os.path.realpath(root)):
        raise DataError(
            f"`{path}` of dataset `{dataset.key}` is hidden, or lies in a hidden folder: such files are never sent",
            hint="copy the data to a folder whose name does not begin with a dot",
            mark=dataset.mark,
        )
    if any(map(private.is_secret_by_name, (path, real))) and not private.is_tracked(path, root):
        raise DataError(
            f"`{path}` of dataset `{dataset.key}` has the name of a file of secrets, and git does not track it",
            hint="if it is data, give it another name; `git add` it if everybody may see it",
            mark=dataset.mark,
        )


def content_digest(dataset: DataSource, root: Path, digest_of: Callable[[Path], bytes] = sha256_of) -> str:
    """SHA-256 (hex) of what the files hold, in reading order; names do not count, formats do.

    digest_of: of one file; without it, every byte is read.
    """
    if dataset.are_paths:
        from runner.data import paths

        return paths.digest_of(dataset, root)
    whole = hashlib.sha256(b"runner-dataset/1\n")
    for path in expand(dataset, root):
        whole.update("".join(kind_of(path)).encode() + b"\n" + digest_of(root / path))
    return whole.hexdigest()


def kind_of(path: str) -> tuple[str, str]:
    """(format, compression) by suffix, the second may be empty. Raises DataError for any other suffix."""
    form, packing = formats.kind_of(path)
    if form not in formats.FORMATS:
        raise DataError(f"`{path}` is not a dataset file", hint=formats.way_to_data(path), mark=Mark(path))
    return form, packing


_MAGIC = {".gz": re.compile(rb"\x1f\x8b"), ".zst": re.compile(rb"\x28\xb5\x2f\xfd|[\x50-\x5f]\x2a\x4d\x18")}


@contextmanager
def open_bytes(path: Path, packing: str, mark: Mark) -> Iterator[io.BufferedReader[Any]]:
    """The file's bytes, unpacked.

    Raises DataError with `mark` for what is no table by its first bytes, such as a Git LFS pointer.
    """
    with io.BufferedReader(io.FileIO(path), 1 << 17) as file:
        if not packing:
            yield _checked(file, mark)
            return
        unpacked: Any = gzip.GzipFile(fileobj=file) if packing == ".gz" else _Unzstd(file)
        head = file.peek(sniff.HEAD)[: sniff.HEAD]
        if head and not _MAGIC[packing].match(head):
            _checked(file, mark)
            raise DataError(f"the file is not packed, though its name ends in `{packing}`", hint="rename it", mark=mark)
        yield _checked(io.BufferedReader(unpacked, 1 << 17), mark)


def _checked(file: io.BufferedReader[Any], mark: Mark) -> io.BufferedReader[Any]:
    """Raises DataError for a file that can be no table."""
    found = sniff.strange_table(file.peek(sniff.HEAD)[: sniff.HEAD], kind_of(mark.file)[0])
    if found is not None:
        raise DataError(f"the file is {found.what}", hint=found.hint, mark=mark)
    return file


class _Unzstd(io.RawIOBase):
    """A zstd file unpacked as it is read, by bounded pieces. Unlike the library's own reader it notices a cut frame."""

    def __init__(self, file: IO[bytes]) -> None:
        from runner.zstd import DecompressionParameter, ZstdDecompressor, ZstdError

        bounds: dict[int, int] = {DecompressionParameter.window_log_max: 27}  # 128 MiB: what `zstd -d` takes
        self._file = file
        self._new = partial(ZstdDecompressor, options=bounds)
        self._error = ZstdError
        self._frame: ZstdDecompressor | None = None
        self._packed = b""  # behind the last frame, and not looked at yet

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        while True:
            if self._frame is None or self._frame.needs_input:
                self._packed = self._packed or self._file.read(_PIECE)
                if not self._packed:
                    if self._frame is not None:
                        raise EOFError("the compressed file is cut short")
                    return 0
            if ready := self._unpacked(len(buffer)):
                buffer[: len(ready)] = ready
                return len(ready)

    def _unpacked(self, size: int) -> bytes:
        """At most so many bytes more; none where more has to be read before."""
        frame = self._frame = self._frame or self._new()
        try:
            ready = frame.decompress(self._packed, size)
        except self._error as error:
            raise EOFError(f"not a sound zstd file: {error}") from error
        self._packed = b""
        if frame.eof:
            self._packed, self._frame = frame.unused_data, None
        return ready


def _stamp(dataset: DataSource, root: Path, path: str) -> FileStamp:
    try:
        path.encode()
        found = (root / path).stat()
    except UnicodeEncodeError as error:
        raise DataError(
            f"the name of `{path.encode(errors='replace').decode()}` is not valid UTF-8",
            hint="rename the file",
            mark=dataset.mark,
        ) from error
    except OSError as error:
        raise DataError(f"cannot look at `{path}`: {error.strerror}", mark=dataset.mark) from error
    if not stat.S_ISREG(found.st_mode):
        raise DataError(
            f"`{path}` of dataset `{dataset.key}` is not a regular file",
            hint="name the files in it, for example with `*.jsonl`" if stat.S_ISDIR(found.st_mode) else "",
            mark=dataset.mark,
        )
    return FileStamp(path, found.st_mtime_ns, found.st_ctime_ns, found.st_size, found.st_ino, found.st_dev)
