"""Immutable files beside the state: key sets, raw results as downloaded, indexes. Written once, then only read."""

from __future__ import annotations

import hashlib
from pathlib import Path

from runner import files
from runner.errors import StateError


class Objects:
    """`objects/` of one project. Names are ours, never a remote's."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def path(self, name: str) -> Path:
        return self.folder / name

    def folder_of(self, batch: str) -> Path:
        """The folder of one batch, made if needed."""
        path = self.folder / batch
        path.mkdir(mode=0o700, parents=True, exist_ok=True)
        return path

    def write(self, name: str, data: bytes) -> str:
        """Durably, whole or not at all; its SHA-256 as hex. Raises StateError when it cannot."""
        target = self.folder / name
        try:
            files.write(target, data)
        except OSError as error:
            raise StateError(
                f"`{target}` cannot be written: {error.strerror}", hint="Nothing was lost; make room and run again"
            ) from error
        return hashlib.sha256(data).hexdigest()

    def read(self, name: str, sha256: str) -> bytes:
        """The bytes of an object. Raises StateError when they are gone or not what was written."""
        try:
            data = self.path(name).read_bytes()
        except OSError as error:
            raise StateError(f"`{self.path(name)}` cannot be read: {error}", hint=_REBUILD) from error
        if hashlib.sha256(data).hexdigest() != sha256:
            raise StateError(f"`{self.path(name)}` was changed since it was written", hint=_REBUILD)
        return data

    def write_set(self, keys: bytes) -> str:
        """A set of keys under its own SHA-256; the name to keep."""
        name = f"sets/{hashlib.sha256(keys).hexdigest()}"
        if not self.path(name).exists():
            self.write(name, keys)
        return name

    def read_set(self, name: str) -> bytes:
        return self.read(name, name.removeprefix("sets/"))


_REBUILD = "Move `.runner/` away and run `runner apply` again; answers are found again in the outputs and the remote"
