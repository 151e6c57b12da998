"""Small files below one folder, reached without ever following a link: written beside, renamed, compared, removed.

Each folder is opened by its own name in the folder above it, so nobody can put a link in the way in between.
"""

from __future__ import annotations

import errno
import hashlib
import os
import stat
from contextlib import suppress
from enum import Enum
from pathlib import Path
from types import TracebackType

_BESIDE = "._transcript.part"  # at the top; one writer at a time
_FOLDER = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
_FILE = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
_NEW = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
_BACKUPS = 1000
_NO_FILE = (errno.ELOOP, errno.ENOTDIR, errno.ENXIO)  # a link, something below a file, a device


class Occupant(Enum):
    """What lies under a name."""

    NOTHING = "nothing"
    SAME = "the same bytes"
    OTHER = "other bytes"
    NO_FILE = "a link, a folder or the like"


class Tree:
    """The files below `top`, a folder that is there. Names are relative to it, with `/`. Close it."""

    def __init__(self, top: Path) -> None:
        self._top = os.open(top, _FOLDER)
        self._folder = ""  # of the last name: neighbours mostly share it
        self._fd = self._top

    def compare(self, name: str, content: bytes) -> Occupant:
        """What lies under `name`, measured against `content`."""
        fd = self._open(name)
        if fd is None:
            return Occupant.NOTHING
        if fd < 0:
            return Occupant.NO_FILE
        try:
            about = os.fstat(fd)
            if not stat.S_ISREG(about.st_mode):
                return Occupant.NO_FILE
            if about.st_size != len(content):
                return Occupant.OTHER
            at = 0
            while at < len(content):
                chunk = os.read(fd, len(content) - at)
                if not chunk or content[at : at + len(chunk)] != chunk:
                    return Occupant.OTHER
                at += len(chunk)
            return Occupant.SAME
        finally:
            os.close(fd)

    def sha256_of(self, name: str) -> str | None:
        """Of a regular file, as 64 hex characters; None for anything else."""
        fd = self._open(name)
        if fd is None or fd < 0:
            return None
        with open(fd, "rb", buffering=0) as file:
            if not stat.S_ISREG(os.fstat(fd).st_mode):
                return None
            return hashlib.file_digest(file, "sha256").hexdigest()

    def write(self, name: str, content: bytes) -> None:
        """Put `content` under `name`, whole or not at all; missing folders are made.

        It is not synced to the disk: what a power cut takes is found missing and written again from what is recorded.
        Raises OSError; a link where a folder should be is one.
        """
        folder = self._enter(name, make=True)
        try:
            with open(self._beside(), "wb", buffering=0) as out:
                view = memoryview(content)
                while view:
                    view = view[out.write(view) or 0 :]
            os.rename(_BESIDE, _last(name), src_dir_fd=self._top, dst_dir_fd=folder)
        except BaseException:
            with suppress(OSError):
                os.unlink(_BESIDE, dir_fd=self._top)
            raise

    def set_aside(self, name: str) -> None:
        """Give a file the first free name with `.bak` after it. Raises OSError."""
        folder, last = self._enter(name, make=False), _last(name)
        for number in range(1, _BACKUPS):
            backup = f"{last}.bak{number if number > 1 else ''}"
            with suppress(FileExistsError):
                os.link(last, backup, src_dir_fd=folder, dst_dir_fd=folder, follow_symlinks=False)
                return
        raise OSError(errno.EEXIST, f"there are {_BACKUPS:,} backups of it")

    def remove(self, name: str) -> None:
        """Remove a file. Raises OSError."""
        os.unlink(_last(name), dir_fd=self._enter(name, make=False))

    def close(self) -> None:
        self._leave()
        os.close(self._top)

    def __enter__(self) -> Tree:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, _: TracebackType | None) -> None:
        self.close()

    def _beside(self) -> int:
        try:
            return os.open(_BESIDE, _NEW, 0o644, dir_fd=self._top)
        except FileExistsError:  # of a process that was killed
            os.unlink(_BESIDE, dir_fd=self._top)
            return os.open(_BESIDE, _NEW, 0o644, dir_fd=self._top)

    def _open(self, name: str) -> int | None:
        """A descriptor to read `name` with; None where nothing is there, -1 for what is no file."""
        try:
            folder = self._enter(name, make=False)
            return os.open(_last(name), _FILE, dir_fd=folder)
        except FileNotFoundError:
            return None
        except OSError as error:
            if error.errno in _NO_FILE:
                return -1
            raise

    def _enter(self, name: str, *, make: bool) -> int:
        """The descriptor of the folder that `name` lies in. Raises OSError; ENOTDIR for a link or a file."""
        folder = name.rpartition("/")[0]
        if folder != self._folder:
            self._leave()
            for part in folder.split("/") if folder else ():
                inner = self._step(part, make)
                self._close_folder()
                self._fd = inner
            self._folder = folder
        return self._fd

    def _step(self, part: str, make: bool) -> int:
        try:
            if part in ("", ".", ".."):
                raise OSError(errno.ENOTDIR, "a name leads out of the folder")
            if make:
                with suppress(FileExistsError):
                    os.mkdir(part, dir_fd=self._fd)
            return os.open(part, _FOLDER, dir_fd=self._fd)
        except OSError:
            self._leave()
            raise

    def _leave(self) -> None:
        """Back to the top."""
        self._close_folder()
        self._folder, self._fd = "", self._top

    def _close_folder(self) -> None:
        if self._fd != self._top:
            os.close(self._fd)


def _last(name: str) -> str:
    return name.rpartition("/")[2]
