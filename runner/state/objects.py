"""Files beside the state: key sets, raw results as downloaded, indexes. Each is written whole; none is edited.

Only an index may be written anew, after its batch was put in flight again: then no record speaks of the one before. The
raw file of a calls batch grows with its journal, which says how far. What was brought home is packed, see `rawfile`.
"""

from __future__ import annotations

import hashlib
import os
import shutil
from collections.abc import Collection
from contextlib import suppress
from pathlib import Path

from runner import files, rawfile
from runner.errors import StateError
from runner.job.infile import Run, left_in, pieces, sha256_in
from runner.job.recorded import ResultObject
from runner.state.records import SETS


class DiskObjects:
    """Objects as files of a folder. Names are ours, never a remote's: `<batch>/<file>` and `sets/<sha256>`."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def path(self, name: str) -> Path:
        return self.folder / name

    def place(self, name: str) -> Path:
        path = self.folder / name
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        return path

    def keep(self, batch: str, name: str) -> ResultObject:
        path = self.path(f"{batch}/{name}")
        try:
            with path.open("rb") as file:
                sha256 = hashlib.file_digest(file, "sha256").hexdigest()
                return ResultObject(name, file.tell(), sha256)
        except OSError as error:
            raise StateError(f"`{path}` cannot be read: {error}", hint=_REBUILD) from error

    def write(self, name: str, data: Run) -> str:
        self._put(name, data)
        return sha256_in(data)

    def _put(self, name: str, data: Run) -> None:
        target = self.folder / name
        try:
            with files.whole(target, mode=files.PRIVATE) as out:
                out.writelines(pieces(data))
        except OSError as error:
            raise StateError(f"`{target}` cannot be written: {error.strerror}", hint=files.way_out(error)) from error

    def read(self, name: str, sha256: str) -> bytes:
        try:
            data = self.path(name).read_bytes()
        except OSError as error:
            raise StateError(f"`{self.path(name)}` cannot be read: {error}", hint=_REBUILD) from error
        if hashlib.sha256(data).hexdigest() != sha256:
            raise StateError(f"`{self.path(name)}` was changed since it was written", hint=_REBUILD)
        return data

    def stored(self, name: str, sha256: str) -> Run:
        try:
            file = self.path(name).open("rb", buffering=0)
        except OSError as error:
            raise StateError(f"`{self.path(name)}` cannot be read: {error}", hint=_REBUILD) from error
        found = left_in(file, os.fstat(file.fileno()).st_size)
        if sha256_in(found) != sha256:
            raise StateError(f"`{self.path(name)}` was changed since it was written", hint=_REBUILD)
        return found

    def write_set(self, keys: Run) -> str:
        name = f"{SETS}{sha256_in(keys)}"
        if not self.path(name).exists():
            self._put(name, keys)
        return name

    def read_set(self, name: str) -> bytes:
        return self.read(name, name.removeprefix(SETS))

    def stored_set(self, name: str) -> Run:
        return self.stored(name, name.removeprefix(SETS))

    def pack(self, batch: str, result: ResultObject) -> None:
        path = self.folder / batch / result.name  # never one that lies below another memory
        with suppress(OSError, ImportError):  # it stays as it came
            if path.stat().st_size == result.size_bytes:
                rawfile.pack(path)

    def keep_sets(self, names: Collection[str]) -> None:
        with suppress(FileNotFoundError):
            for path in (self.folder / SETS).iterdir():
                if f"{SETS}{path.name}" not in names:
                    path.unlink()

    def remove(self, batch: str) -> None:
        shutil.rmtree(self.folder / batch, ignore_errors=True)


_REBUILD = "move `.runner/` away and run `runner apply` again; answers are found again on the remote and in the outputs"
