"""What this package needs to know of a dataset, and which paths its patterns mean."""

from __future__ import annotations

import glob
import os
from pathlib import Path
from typing import NamedTuple, Protocol

from runner.errors import DataError, Mark


class DataSource(Protocol):
    """What this package needs of a dataset in the specs."""

    @property
    def key(self) -> str: ...
    @property
    def files(self) -> tuple[str, ...]: ...
    @property
    def mark(self) -> Mark: ...
    @property
    def delimiter(self) -> str | None: ...
    @property
    def skip_bad(self) -> bool: ...
    @property
    def is_ours(self) -> bool: ...
    @property
    def are_paths(self) -> bool: ...
    @property
    def is_ready(self) -> bool: ...


class FileStamp(NamedTuple):
    """What `stat` says about one file: equal stamps mean that nobody wrote to it in between."""

    path: str  # relative to the project root
    mtime_ns: int
    ctime_ns: int
    size: int
    inode: int
    device: int


def matches(dataset: DataSource, pattern: str, root: Path) -> list[str]:
    """Sorted paths of one pattern; a literal path wins over reading it as a glob."""
    if Path(pattern).is_absolute() or ".." in Path(pattern).parts or "\0" in pattern:
        raise DataError(
            f"`{pattern}` of dataset `{dataset.key}` is not a path inside the project",
            hint="write it relative to the project directory, without `..`",
            mark=dataset.mark,
        )
    if os.path.lexists(root / pattern):
        return [os.path.normpath(pattern)]
    found = sorted(glob.glob(pattern, root_dir=root, recursive=True))  # noqa: PTH207  # skips hidden files
    found = [path for path in found if not (root / path).is_dir()]
    if not found:
        raise DataError(
            f"no file matches `{pattern}` of dataset `{dataset.key}`",
            hint=f"paths are relative to `{root}`",
            mark=dataset.mark,
        )
    return found
