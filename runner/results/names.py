"""What the transcript of each recording is called in the folder of its job.

The folder mirrors the tree of recordings below the part of their pattern that has no wildcard. Two recordings never
share a name: where they would, those of one folder keep their suffixes, and those of several folders get the whole
path. Names that differ only in case or in how an accent is written count as equal, as they do on some disks.
"""

from __future__ import annotations

import hashlib
import posixpath
import unicodedata
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import NamedTuple

from runner.errors import DataError
from runner.globs import Globs, is_magic
from runner.job.packed import KEY_BYTES, Sorter, unpack

RESULTS = "_results.jsonl"  # lies beside the transcripts
LONGEST_BYTES = 255  # of one name, on every usual disk
_FULL_NAME, _FULL_PATH = 1, 2  # what a name says more than it usually does
_TAG_CHARS = 12


def key_of(name: str) -> bytes:
    """16 bytes that stand for a name: the same for names that some disk takes for the same."""
    folded = name.lower() if name.isascii() else unicodedata.normalize("NFC", name.casefold())
    return hashlib.blake2b(folded.encode(), digest_size=KEY_BYTES).digest()


def shown(name: str) -> str:
    """A name that may hold anything, fit for a message."""
    return name if name.isprintable() else ascii(name)[1:-1]


def base_of(pattern: str) -> str:
    """The folder that every match of a glob lies in, with a slash at its end; empty for the root."""
    parts = [part for part in pattern.split("/") if part not in ("", ".")][:-1]
    fixed = next((number for number, part in enumerate(parts) if is_magic(part)), len(parts))
    return "".join(f"{part}/" for part in parts[:fixed])


class _Contested(NamedTuple):
    """Keys of names that cannot stay."""

    shared: set[bytes]  # by several recordings
    blocked: set[bytes]  # by a folder of that name


class Names:
    """The names of some recordings' transcripts. It holds one byte a recording, and no path."""

    def __init__(self, patterns: Sequence[str], suffix: str, paths: Callable[[], Iterable[str]]) -> None:
        """paths: of the recordings, relative to the project root, the same in the same order whenever it is called.

        Raises DataError where a transcript and a folder would have one name whatever is done.
        """
        self.suffix = suffix
        self._bases = _Bases(patterns)
        self._flags = bytearray()  # of each recording
        self._paths = paths
        while any(contested := self._contested()) and self._tell_apart(contested):
            pass

    def name(self, number: int, path: str) -> str:
        """The name for recording `number` (from 0), below the folder, with `/`."""
        flags = self._flags[number]
        told = path if flags & _FULL_PATH else path[len(self._bases.of(path)) :]
        folder, slash, name = told.rpartition("/")
        stem = name if flags & _FULL_NAME else posixpath.splitext(name)[0]
        name = stem + self.suffix
        if len(name) > LONGEST_BYTES // 4 and len(name.encode()) > LONGEST_BYTES:
            name = _shortened(stem, path, self.suffix)
        return folder + slash + name

    def _contested(self) -> _Contested:
        claims, folders, last = Sorter(), set[bytes](), ""
        for number, path in enumerate(self._paths()):
            if number == len(self._flags):
                self._flags.append(0)
            name = self.name(number, path)
            claims.add(key_of(name))
            folder = name.rpartition("/")[0]
            if folder != last:
                folders.update(map(key_of, _folders(folder, path)))
                last = folder
        shared, blocked = set[bytes](), set[bytes]()
        for bucket in claims.buckets.values():
            times = Counter(unpack(bucket))
            blocked |= folders & times.keys()
            if len(times) * KEY_BYTES < len(bucket):
                shared.update(key for key, count in times.items() if count > 1)
        return _Contested(shared, blocked)

    def _tell_apart(self, contested: _Contested) -> bool:
        """Let contested names say more. False if they say all they can: what is left differs in case alone."""
        claims: list[tuple[int, str, bytes]] = []
        first: dict[bytes, str] = {}
        spread: set[bytes] = set()  # over several folders
        for number, path in enumerate(self._paths()):
            key = key_of(self.name(number, path))
            if key in contested.shared or key in contested.blocked:
                claims.append((number, path, key))
                folder = posixpath.dirname(path)
                if first.setdefault(key, folder) != folder:
                    spread.add(key)
        has_changed = False
        for number, _, key in claims:
            flags = self._flags[number]
            told = flags | (_FULL_PATH if key in spread else _FULL_NAME)
            if told == flags and (key in spread or key in contested.blocked):
                told = _FULL_NAME | _FULL_PATH
            self._flags[number] = told
            has_changed |= told != flags
        if not has_changed:
            for _, path, key in claims:
                if key in contested.blocked:
                    raise _in_the_way(path)
        return has_changed


class _Bases:
    """Which part of its path a recording's name leaves out: the base of the first pattern that means it."""

    def __init__(self, patterns: Sequence[str]) -> None:
        self._bases = [base_of(pattern) for pattern in patterns]
        self._globs = Globs(patterns) if len(set(self._bases)) > 1 else None

    def of(self, path: str) -> str:
        """Empty for a path that no pattern means."""
        meant = range(len(self._bases)) if self._globs is None else self._globs.matching(path)
        return next((base for number in meant if path.startswith(base := self._bases[number])), "")


def _folders(folder: str, path: str) -> Iterator[str]:
    """A folder and those it lies in. Raises DataError where one has the name of the results."""
    end = len(folder)
    while end > 0:
        yield folder[:end]
        end = folder.rfind("/", 0, end)
    if folder.partition("/")[0].casefold() == RESULTS:
        raise _in_the_way(path)


def _in_the_way(path: str) -> DataError:
    return DataError(
        f"the transcript of `{shown(path)}` has no free name: a folder or the results beside it are called the same",
        hint="rename the recording or its folder, or leave it out with `exclude`",
    )


def _shortened(stem: str, path: str, suffix: str) -> str:
    """A name that fits, and that no other recording has."""
    tag = "-" + hashlib.sha256(path.encode()).hexdigest()[:_TAG_CHARS] + suffix
    return stem.encode()[: LONGEST_BYTES - len(tag)].decode(errors="ignore") + tag
