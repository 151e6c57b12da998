"""A folder of raw result files with a manifest, below the project root, that is ours to write again.

What a remote calls a file is data: it becomes a name in here only after it was made one.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable
from contextlib import suppress
from datetime import datetime
from pathlib import Path

import msgspec

from runner.errors import UsageError
from runner.files import sha256_of, whole
from runner.results.lines import count_lines
from runner.results.wholefile import target_of

VERSION = 1
MANIFEST = "manifest.json"
LONGEST_NAME = 150
_UNSAFE = re.compile(r"[^A-Za-z0-9._-]")


class RawFile(msgspec.Struct, frozen=True, kw_only=True):
    """One file as the remote sent it."""

    path: str  # below the folder
    address: str  # of the job it answers
    dataset: str = ""  # where the remote keeps it; empty where it has no such thing
    job: str  # remote id of the batch
    parent: str = ""  # remote id of the batch that this one continued
    kind: str  # output or error
    rows: int  # lines
    size_bytes: int
    sha256: str


class Manifest(msgspec.Struct, frozen=True, kw_only=True):
    """What lies in the folder. `complete` says that every file there is of these batches is in it."""

    version: int
    address: str
    lineage: bool
    complete: bool
    fetched_at: datetime
    files: tuple[RawFile, ...] = ()


class RawFolder:
    """Files come whole or not at all; the manifest says which are in, at every moment."""

    def __init__(self, path: Path, root: Path, manifest: Manifest) -> None:
        self.path = path
        self.files: list[RawFile] = []
        self._root = root
        self._manifest = manifest
        self._before = manifest.files
        self._taken = {MANIFEST}

    def claim(self) -> None:
        """Make the folder, and say whose it is before anything else lies in it."""
        self.path.mkdir(parents=True, exist_ok=True)
        self._write(is_complete=False)

    def add(
        self,
        folder: str,
        name: str,
        bring: Callable[[Path], object],
        *,
        address: str,
        job: str,
        kind: str,
        dataset: str = "",
        parent: str = "",
    ) -> RawFile:
        """Bring one file in, through `bring`, which writes it to the path it is given, whole or not at all.

        folder, name: what the file should be called; made safe, and told apart from others. Raises what `bring` does.
        """
        inner = safe(folder)
        path = self._free(f"{inner}{'_' * (inner.casefold() == MANIFEST)}/{safe(name)}")
        target = target_of(self.path / path, self._root)
        target.parent.mkdir(parents=True, exist_ok=True)
        bring(target)
        file = RawFile(
            path=path,
            address=address,
            dataset=dataset,
            job=job,
            parent=parent,
            kind=kind,
            rows=count_lines(target),
            size_bytes=target.stat().st_size,
            sha256=sha256_of(target).hex(),
        )
        self._taken.add(path.casefold())
        self.files.append(file)
        self._write(is_complete=False)
        return file

    def finish(self, *, is_complete: bool) -> None:
        """Write the last manifest. Files of an earlier fetch go once everything is here, and stay listed until then."""
        if is_complete:
            for old in self._older():
                self._remove(old.path)
            self._before = ()
        self._write(is_complete=is_complete)

    def _free(self, path: str) -> str:
        """The path, with a number where another file of this fetch has it."""
        stem, dot, suffix = path.rpartition(".") if "." in path.rpartition("/")[2][1:] else (path, "", "")
        number, free = 1, path
        while free.casefold() in self._taken:
            number += 1
            free = f"{stem}-{number}{dot}{suffix}"
        return free

    def _older(self) -> list[RawFile]:
        mine = {file.path for file in self.files}
        return [file for file in self._before if file.path not in mine]

    def _remove(self, path: str) -> None:
        """A file that an earlier manifest lists. The manifest may have been edited: its paths are not believed."""
        folder, _, name = path.partition("/")
        if (safe(folder), safe(name)) != (folder, name):
            return
        with suppress(OSError):
            target = target_of(self.path / folder / name, self._root)
            target.unlink()
            target.parent.rmdir()  # once it is empty

    def _write(self, *, is_complete: bool) -> None:
        files = (*self.files, *self._older())
        manifest = msgspec.structs.replace(self._manifest, complete=is_complete, files=files)
        with whole(target_of(self.path / MANIFEST, self._root), mode=0o600) as out:
            out.write(msgspec.json.format(msgspec.json.encode(manifest)) + b"\n")


def safe(name: str) -> str:
    """A name of letters, digits, `.`, `_` and `-` that does not begin with a dot. What was unsafe reads `_`."""
    return _UNSAFE.sub("_", name).lstrip(".")[:LONGEST_NAME] or "file"


def folder_at(root: Path, wanted: str, address: str, *, is_lineage: bool, now: datetime) -> RawFolder:
    """The folder `wanted`, relative to `root`, checked and not made yet.

    Raises UsageError outside of the root, in the state folder, and where something else is in it.
    """
    path, inside = Path(os.path.realpath(root / wanted)), Path(os.path.realpath(root))
    if path == inside or not path.is_relative_to(inside):
        raise UsageError(f"`{wanted}` is not a folder below the project root", hint="name one that is, with `--to`")
    if path.relative_to(inside).parts[0].casefold() == ".runner":
        raise UsageError(f"`{wanted}` lies in `.runner/`, where runner keeps its state", hint="name another folder")
    if path.exists() and not path.is_dir():
        raise UsageError(f"`{wanted}` is a file", hint="name a folder with `--to`")
    manifest = Manifest(version=VERSION, address=address, lineage=is_lineage, complete=False, fetched_at=now)
    if path.is_dir() and any(path.iterdir()):
        before = _manifest_in(path)
        if before is None or before.address != address:
            whose = f"files of `{before.address}`" if before else "something else"
            raise UsageError(
                f"the folder `{wanted}` holds {whose}", hint="name another folder with `--to`, or move this one away"
            )
        manifest = msgspec.structs.replace(manifest, files=before.files)
    return RawFolder(path, inside, manifest)


def _manifest_in(path: Path) -> Manifest | None:
    """The manifest of an earlier fetch; None where there is none that this version can read."""
    try:
        manifest = msgspec.json.decode((path / MANIFEST).read_bytes(), type=Manifest)
    except (OSError, msgspec.DecodeError, RecursionError):
        return None
    return manifest if manifest.version == VERSION else None
