"""Rows that are files: one for each that globs match, with its path and the parts of its name.

What is in the files is nobody's business here: a row names one, and a prompt may send it (`data/inlined.py`).
"""

from __future__ import annotations

import hashlib
import os
import posixpath
from collections.abc import Iterator
from pathlib import Path

from runner import private
from runner.data.block import Block
from runner.data.picks import Picks
from runner.data.source import DataSource, FileStamp, matches
from runner.errors import DataError, printable

COLUMNS = ("path", "name", "stem", "folder")
_BLOCK_ROWS = 512


def listed(dataset: DataSource, root: Path) -> list[str]:
    """Paths of the files relative to `root`: each pattern's matches sorted, no file twice, none that is hidden.

    Raises DataError at the dataset's place in the specs: no match, outside the root, a name that is not UTF-8.
    """
    real_root = os.path.realpath(root)
    found = dict.fromkeys(path for pattern in dataset.files for path in matches(dataset, pattern, root))
    for folder in {os.path.dirname(path) for path in found}:  # noqa: PTH120  # of a hundred thousand
        real = os.path.realpath(f"{real_root}/{folder}")
        if os.path.commonpath((real, real_root)) != real_root:
            raise DataError(
                f"`{folder}` of dataset `{dataset.key}` leads out of the project, to `{printable(real)}`",
                hint="copy the files into the project directory, or run from a directory above both with `-C`",
                mark=dataset.mark,
            )
    try:
        "\n".join(found).encode()
    except UnicodeEncodeError as error:
        words = f"the name of a file of dataset `{dataset.key}` is not valid UTF-8"
        raise DataError(words, hint="rename the file", mark=dataset.mark) from error
    return [path for path in found if not private.is_hidden(path)]


def signature_of(dataset: DataSource, root: Path) -> tuple[FileStamp, ...]:
    """One stamp for all of them: how many there are, and what they are called."""
    paths = listed(dataset, root)
    digest = hashlib.blake2b("\0".join(paths).encode(), digest_size=7).digest()
    return (FileStamp(dataset.files[0], 0, 0, len(paths), int.from_bytes(digest), 0),)


def digest_of(dataset: DataSource, root: Path) -> str:
    """SHA-256 (hex) of what they are called."""
    return hashlib.sha256(("runner-paths/1\n" + "\n".join(listed(dataset, root))).encode()).hexdigest()


def blocks(dataset: DataSource, root: Path, picks: Picks) -> Iterator[Block]:
    """The rows that are asked for, in runs. Their place is the glob, and a number in the list."""
    paths = listed(dataset, root)
    for start in range(0, len(paths), _BLOCK_ROWS):
        numbers = picks.among(min(_BLOCK_ROWS, len(paths) - start))
        if numbers:
            rows = [_row(paths[number]) for number in numbers]
            yield Block(dataset.files[0], [number + 1 for number in numbers], numbers, rows)
        if picks.done:
            return


def _row(path: str) -> dict[str, str]:
    folder, name = posixpath.split(path)
    return dict(zip(COLUMNS, (path, name, posixpath.splitext(name)[0], folder), strict=True))
