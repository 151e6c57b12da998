"""The database as diskcache opens it: what writes goes through here, and imports it then."""

from __future__ import annotations

import sqlite3
from pathlib import Path
from typing import Any

from diskcache import Cache, Disk, Timeout

from runner.errors import StateError
from runner.state.base import LOST, RAW_MODE

__all__ = ["FAILURES", "JsonDisk", "Timeout", "open_database"]

# TypeError: settings in it that diskcache does not know. SQLite quotes damaged text in its errors
FAILURES = (Timeout, TypeError, sqlite3.Error, UnicodeDecodeError)


class JsonDisk(Disk):  # type: ignore[misc]  # diskcache has no types
    """Text in, text out. A pickled key or value is refused before anything looks inside it."""

    def put(self, key: Any) -> tuple[Any, bool]:
        if type(key) is not str:
            raise StateError("state keys are text")
        return key, True

    def get(self, key: Any, raw: bool) -> Any:
        if not raw or type(key) is not str:
            raise StateError("the state holds a key that runner did not write", hint=LOST)
        return key

    def store(self, value: Any, read: bool, key: Any = None) -> tuple[int, int, None, str]:
        if read or type(value) is not str:
            raise StateError("state values are text")
        return 0, RAW_MODE, None, value

    def remove(self, file_path: str) -> None:
        """Nothing: no value of ours is a file, and a planted name would delete somebody else's."""

    def fetch(self, mode: int, filename: str | None, value: Any, read: bool) -> str:
        if mode != RAW_MODE or filename is not None or type(value) is not str:
            raise StateError("the state holds a value that runner did not write", hint=LOST)
        return value


def open_database(folder: Path) -> Cache:
    """The database in a folder; made, where it is not there. Raises `FAILURES`."""
    return Cache(
        str(folder),
        disk=JsonDisk,
        eviction_policy="none",
        size_limit=2**62,
        cull_limit=0,
        statistics=0,
        sqlite_synchronous=2,
        disk_min_file_size=2**30,
        timeout=20,
    )
