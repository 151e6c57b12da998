"""From globs to recordings: which files a job means, in one walk that reads stats and nothing else.

100,000 recordings are an ordinary archive, so the walk is sorted as it goes and the result is packed.
"""

from __future__ import annotations

import contextlib
import os
import stat
from array import array
from collections.abc import Iterator, Sequence
from itertools import islice
from pathlib import Path
from typing import NamedTuple, overload

import msgspec

from runner import private
from runner.errors import DataError, Mark, printable
from runner.globs import Globs, State, is_magic

LARGEST = 1_000_000_000  # bytes of one recording; source: Fireworks "Transcribe audio", max 1 GB (2026-11-21)
_MOST_LOOKED_AT = 1_000  # names behind a link that is not followed
_STATS = 4  # numbers kept of each file


class AudioFile(NamedTuple):
    """One file as `stat` showed it: equal ones mean that nobody wrote to it in between."""

    path: str  # relative to the project root, with `/`
    size_bytes: int
    mtime_ns: int
    ctime_ns: int
    inode: int


class AudioFault(msgspec.Struct, frozen=True):
    """A file or folder that is meant and cannot be used; `reason` follows its quoted path."""

    path: str
    reason: str


class AudioListing(Sequence[AudioFile]):
    """Files sorted by path, packed: its path and 36 bytes each. `faults` are those that cannot be sent."""

    __slots__ = ("_ends", "_names", "_numbers", "excluded", "faults")

    def __init__(self) -> None:
        self._names = bytearray()
        self._ends = array("L")
        self._numbers = array("q")
        self.faults: list[AudioFault] = []
        self.excluded = 0  # files and folders that a pattern meant and `exclude` took out

    def add(self, file: AudioFile) -> None:
        self._names += file.path.encode()
        self._ends.append(len(self._names))
        self._numbers.extend(file[1:])

    def __len__(self) -> int:
        return len(self._ends)

    @overload
    def __getitem__(self, index: int) -> AudioFile: ...
    @overload
    def __getitem__(self, index: slice) -> list[AudioFile]: ...
    def __getitem__(self, index: int | slice) -> AudioFile | list[AudioFile]:
        if isinstance(index, slice):
            return [self[one] for one in range(*index.indices(len(self)))]
        index = range(len(self))[index]
        start = self._ends[index - 1] if index else 0
        numbers = self._numbers[index * _STATS : (index + 1) * _STATS]
        return AudioFile(self._names[start : self._ends[index]].decode(), *numbers)

    def __iter__(self) -> Iterator[AudioFile]:
        return (self[index] for index in range(len(self)))

    @property
    def size_bytes(self) -> int:
        """Of all files together."""
        return sum(self._numbers[::_STATS])


class Selection(msgspec.Struct, frozen=True):
    """Which files a job means, and where it says so.

    Patterns are relative to the project root. One of `exclude` that names a folder takes out all below it, and one
    without a slash counts in every folder.
    """

    job: str
    mark: Mark
    patterns: Sequence[str]
    exclude: Sequence[str] = ()
    allow_empty: bool = False


def find(selection: Selection, root: Path, largest_bytes: int = LARGEST) -> AudioListing:
    """The files that any pattern means, without those that are excluded, each once, sorted by path.

    Folders are no recordings. Links are followed within `root`; `**` does not enter linked folders, and one that leaves
    the root and holds what is wanted is a fault.
    Raises DataError at `mark`: a pattern that leaves the project, or one that matches nothing (not with `allow_empty`).
    """
    job, mark = selection.job, selection.mark
    wanted = [_not_hidden(_checked(pattern, job, mark), job, mark) for pattern in selection.patterns]
    unwanted = [_checked(pattern, job, mark) for pattern in selection.exclude]
    # a file that is called `a[1].wav` is meant by its name, though the brackets would mean another
    literal = [pattern for pattern in wanted if is_magic(pattern) and os.path.lexists(root / pattern)]
    everywhere = [pattern if "/" in pattern.strip("/") else f"**/{pattern}" for pattern in unwanted]
    walk = _Walk(root, Globs(wanted, literal=literal), Globs(everywhere, takes_hidden=True), largest_bytes)
    listing = AudioListing()
    for found in walk.found():
        if isinstance(found, AudioFault):
            listing.faults.append(found)
        else:
            listing.add(found)
    listing.excluded = walk.excluded
    # each pattern must mean something, or a typing error in one of ten leaves out a tenth of the recordings unnoticed
    silent = [pattern for number, pattern in enumerate(wanted) if number not in walk.hits]
    if silent and not selection.allow_empty:
        raise _no_match(silent[0], root, job, mark)
    if not (listing or listing.faults or selection.allow_empty):
        raise DataError(f"job `{job}` has no recording left: `exclude` takes out every file", mark=mark)
    return listing


class _Folder(msgspec.Struct, frozen=True):
    path: str  # ends with a slash, but for the root's
    wanted: State
    unwanted: State


class _Walk:
    """One walk down from the root, into those folders only that some pattern reaches."""

    def __init__(self, root: Path, wanted: Globs, unwanted: Globs, largest_bytes: int) -> None:
        self.hits: set[int] = set()  # patterns that matched a file, also one that is excluded or of no use
        self.excluded = 0
        self._root = os.path.realpath(root)
        self._wanted = wanted
        self._unwanted = unwanted
        self._largest = largest_bytes

    # A stack, not a recursion: what is found is yielded in order without passing through a frame for each folder above
    # it.
    def found(self) -> Iterator[AudioFile | AudioFault]:
        """In order of paths: a folder sorts as its name and a slash, so no sorting of the whole is needed."""
        pending: list[_Folder | AudioFile | AudioFault] = [_Folder("", self._wanted.start, self._unwanted.start)]
        while pending:
            last = pending.pop()
            if isinstance(last, _Folder):
                pending.extend(sorted(self._entries(last), reverse=True, key=_path_of))
            else:
                yield last

    def _entries(self, folder: _Folder) -> Iterator[_Folder | AudioFile | AudioFault]:
        try:
            with os.scandir(f"{self._root}/{folder.path}") as entries:
                for entry in entries:
                    found = self._entry(folder, entry)
                    if found is not None:
                        yield found
        except OSError as error:
            yield AudioFault(folder.path or ".", f"cannot be looked into: {error.strerror}")

    def _entry(self, folder: _Folder, entry: os.DirEntry[str]) -> _Folder | AudioFile | AudioFault | None:
        is_link = entry.is_symlink()
        is_folder = _is_folder(entry)
        step = self._wanted.step(folder.wanted, entry.name, is_folder=is_folder, is_link=is_link)
        path = folder.path + entry.name
        if is_folder and is_link and not step.inside:
            return self._unentered(folder, path, entry.name)
        if not (step.inside if is_folder else step.hits):
            return None
        unwanted = self._unwanted.step(folder.unwanted, entry.name, is_folder=is_folder)
        if not is_folder:
            self.hits.update(step.hits)
        if unwanted.hits:
            self.excluded += 1
            # nobody looks into it, so whatever reached into it counts as having matched
            self.hits.update(number for number, _ in step.inside)
            return None
        if is_link and (wrong := self._wrong_link(path)):
            self.hits.update(number for number, _ in step.inside)  # as above
            return AudioFault(path, wrong)
        if is_folder:
            return _Folder(f"{path}/", step.inside, unwanted.inside)
        return self._judged(path, entry)

    def _unentered(self, folder: _Folder, path: str, name: str) -> AudioFault | None:
        """What is wrong with a linked folder that `**` does not enter: it leads out, and holds what is wanted."""
        inside = self._wanted.step(folder.wanted, name, is_folder=True).inside
        if not inside or self._unwanted.step(folder.unwanted, name, is_folder=True).hits:
            return None
        wrong = self._wrong_link(path)
        hits = self._wanted_below(path, inside) if wrong else set()
        self.hits |= hits
        return AudioFault(path, wrong) if hits else None

    def _wanted_below(self, path: str, state: State) -> set[int]:
        """The patterns that mean a file below a folder, as far as a short look tells."""
        hits: set[int] = set()
        left, folders = _MOST_LOOKED_AT, [(f"{self._root}/{path}", state)]
        while folders and left:
            folder, state = folders.pop()
            with contextlib.suppress(OSError), os.scandir(folder) as entries:
                for entry in islice(entries, left):
                    left -= 1
                    is_folder = _is_folder(entry)
                    step = self._wanted.step(state, entry.name, is_folder=is_folder, is_link=entry.is_symlink())
                    if not is_folder:
                        hits.update(step.hits)
                    if is_folder and step.inside:
                        folders.append((entry.path, step.inside))
        return hits

    def _judged(self, path: str, entry: os.DirEntry[str]) -> AudioFile | AudioFault:
        try:
            path.encode()
            about = entry.stat()
        except UnicodeEncodeError:
            return AudioFault(path.encode(errors="replace").decode(), "has a name that is not valid UTF-8: rename it")
        except OSError as error:
            return AudioFault(path, f"cannot be looked at: {error.strerror}")
        if not stat.S_ISREG(about.st_mode):
            return AudioFault(path, "is not a regular file")
        if not about.st_size:
            return AudioFault(path, "is empty")
        if about.st_size > self._largest:
            return AudioFault(path, f"has {about.st_size:,} bytes; the remote takes {self._largest:,}: split it")
        return AudioFile(path, about.st_size, about.st_mtime_ns, about.st_ctime_ns, about.st_ino)

    def _wrong_link(self, path: str) -> str:
        real = os.path.realpath(f"{self._root}/{path}")
        if os.path.commonpath((real, self._root)) != self._root:
            return f"is a link that leads out of the project, to `{printable(real)}`"
        return "is a link into a hidden folder" if private.leads_into_hidden(real, self._root) else ""


def _is_folder(entry: os.DirEntry[str]) -> bool:
    try:
        return entry.is_dir()
    except OSError:  # a link to itself
        return False


def _path_of(found: _Folder | AudioFile | AudioFault) -> str:
    return found.path


def _checked(pattern: str, job: str, mark: Mark) -> str:
    parts = pattern.split("/")
    if pattern.startswith("/") or ".." in parts or "\0" in pattern or not pattern.strip("./"):
        raise DataError(
            f"`{pattern}` of job `{job}` is not a path inside the project",
            hint="write it relative to the project directory, without `..`",
            mark=mark,
        )
    return pattern


def _not_hidden(pattern: str, job: str, mark: Mark) -> str:
    if private.is_hidden(pattern):
        raise DataError(
            f"`{pattern}` of job `{job}` is hidden, or lies in a hidden folder: such files are never sent",
            hint="copy the recordings to a folder whose name does not begin with a dot",
            mark=mark,
        )
    return pattern


def _no_match(pattern: str, root: Path, job: str, mark: Mark) -> DataError:
    hint = f"paths are relative to `{root}`"
    if (root / pattern).is_dir():
        hint = f"it is a folder: name the files in it, for example `{pattern.rstrip('/')}/**/*.flac`"
    elif "{" in pattern:
        hint = "braces are not expanded: give a list of patterns"
    return DataError(f"no file matches `{pattern}` of job `{job}`", hint=hint, mark=mark)
