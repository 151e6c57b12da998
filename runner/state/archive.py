"""What one project remembers as one file, to be carried to another machine: a tar of records, log and objects.

No database is in it: records come as documents and are held to what records are before anything of them counts. The
same memory gives the same bytes. It ends with a digest over all of it: half of a file is never taken for a whole one.
"""

from __future__ import annotations

import hashlib
import io
import os
import re
import tarfile
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import IO, Any, NamedTuple

import msgspec

from runner.errors import StateError
from runner.state.base import Document, Documents
from runner.state.local import LocalMemory

FORMAT = 1
_ABOUT, _RECORDS, _LOG, _END = "runner-state.json", "records.jsonl", "log.jsonl", "end.json"
_OBJECT = re.compile(r"objects(/[A-Za-z0-9_=][A-Za-z0-9_=.-]*){1,3}")
_CHUNK = 1 << 18
_MOST_BYTES = 1 << 30  # of records, or of the log
_encode = msgspec.json.Encoder(order="sorted").encode


class _About(msgspec.Struct):
    format: int


class _Record(msgspec.Struct):
    key: str
    document: dict[str, Any]


class _Records(msgspec.Struct):
    serial: int


class _End(msgspec.Struct):
    sha256: str


class Carried(NamedTuple):
    serial: int
    files: int
    size_bytes: int  # of objects


def write(memory: LocalMemory, out: IO[bytes]) -> Carried:
    """All that a memory holds. Call it under its lock. Raises StateError, OSError."""
    documents, events = memory.records.copied()
    total = hashlib.sha256()
    names = [*_names_below(memory.objects.folder)]
    size = 0
    with tarfile.open(fileobj=out, mode="w|", format=tarfile.PAX_FORMAT) as tar:
        _add(tar, total, _ABOUT, _encode(_About(FORMAT)))
        rows = [_encode(_Record(key, documents.by_key[key])) for key in sorted(documents.by_key)]
        _add(tar, total, _RECORDS, _lines([_encode(_Records(documents.serial)), *rows]))
        _add(tar, total, _LOG, _lines(map(_encode, events)))
        for name in names:
            path = memory.objects.path(name)
            with path.open("rb") as file:
                length = os.fstat(file.fileno()).st_size
                total.update(f"objects/{name} {length}\n".encode())
                tar.addfile(_info(f"objects/{name}", length), _Hashed(file, total))
            size += length
        _add(tar, None, _END, _encode(_End(total.hexdigest())))
    return Carried(documents.serial, len(names), size)


def read(source: IO[bytes], into: LocalMemory) -> Carried:
    """Fill a memory that holds nothing. Raises StateError for what is no such file, or not whole, OSError."""
    total, count, size = hashlib.sha256(), 0, 0
    small: dict[str, bytes] = {}
    try:
        with tarfile.open(fileobj=source, mode="r|") as tar:
            for member in tar:
                file = tar.extractfile(member) if member.isreg() else None
                if file is None or _END in small:
                    raise _no_such_file(f"`{member.name[:80]!r}` is in it")
                if member.name == _END:
                    small[_END] = file.read(1 << 16)
                    continue
                total.update(f"{member.name} {member.size}\n".encode())
                if member.name in (_ABOUT, _RECORDS, _LOG) and member.name not in small and member.size < _MOST_BYTES:
                    small[member.name] = file.read()
                    total.update(small[member.name])
                elif _OBJECT.fullmatch(member.name) and _ABOUT in small:
                    with into.objects.place(member.name.removeprefix("objects/")).open("xb") as out:
                        while chunk := file.read(_CHUNK):
                            total.update(chunk)
                            out.write(chunk)
                    count, size = count + 1, size + member.size
                else:
                    raise _no_such_file(f"`{member.name[:80]!r}` is in it")
        if _END not in small:
            raise StateError("the state file is not whole: its end is missing", hint="write it again: `state pull`")
        if msgspec.json.decode(small[_END], type=_End).sha256 != total.hexdigest():
            raise StateError("the state file was changed since it was written", hint="write it again: `state pull`")
        about = msgspec.json.decode(small[_ABOUT], type=_About)
        if about.format > FORMAT:
            raise StateError(
                f"the state file was written by a newer runner (format {about.format}; this one knows {FORMAT})",
                hint="install the newer version",
            )
        into.records.fill(_documents_in(small[_RECORDS]), [*_events_in(small[_LOG])])
    except (tarfile.TarError, EOFError, KeyError, FileExistsError, msgspec.MsgspecError, RecursionError) as error:
        raise _no_such_file(str(error)) from error
    return Carried(into.records.snapshot().serial, count, size)


def _no_such_file(why: str) -> StateError:
    return StateError(f"this is not what `runner state pull` writes: {why}")


def _documents_in(lines: bytes) -> Documents:
    first, *rest = lines.splitlines()
    records = msgspec.json.Decoder(_Record)
    found = [records.decode(line) for line in rest]
    return Documents(msgspec.json.decode(first, type=_Records).serial, {one.key: one.document for one in found})


def _events_in(lines: bytes) -> Iterator[Document]:
    for line in lines.splitlines():
        yield msgspec.json.decode(line, type=dict[str, Any])


def _names_below(folder: Path) -> Iterator[str]:
    """Of all objects, sorted; what is on its way into its place has a name that begins with a dot."""
    for path in sorted(folder.rglob("*")):
        name = path.relative_to(folder).as_posix()
        if path.is_file() and not path.is_symlink() and _OBJECT.fullmatch(f"objects/{name}"):
            yield name


def _lines(lines: Iterable[bytes]) -> bytes:
    return b"".join([line + b"\n" for line in lines])


def _info(name: str, size: int) -> tarfile.TarInfo:
    info = tarfile.TarInfo(name)
    info.size, info.mode = size, 0o600
    return info


def _add(tar: tarfile.TarFile, total: Any, name: str, data: bytes) -> None:
    if total is not None:
        total.update(f"{name} {len(data)}\n".encode())
        total.update(data)
    tar.addfile(_info(name, len(data)), io.BytesIO(data))


class _Hashed(io.RawIOBase):
    """A file that is hashed as it is read."""

    def __init__(self, file: IO[bytes], total: Any) -> None:
        self._file, self._total = file, total

    def readable(self) -> bool:
        return True

    def read(self, size: int = -1) -> bytes:
        chunk = self._file.read(size)
        self._total.update(chunk)
        return chunk
