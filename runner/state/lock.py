"""One pass at a time per project. The lock dies with its holder, and names it meanwhile."""

from __future__ import annotations

import contextlib
import os
import socket
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path

import msgspec
from filelock import FileLock, Timeout

from runner.errors import LockedError

LOCK_FILES = ("lock", "lock.json")


@contextlib.contextmanager
def project_lock(folder: Path, *, command: str, now: datetime, wait_seconds: float = 0) -> Iterator[None]:
    """Hold the project's lock. Raises LockedError naming the holder after `wait_seconds`."""
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    holder = folder / "lock.json"
    # The kernel's lock, which ends with its holder however that ends: nothing is left to be cleared away after a kill.
    # `lock.json` only says who it is. It may be old or half written, and nothing is decided by it.
    lock = FileLock(folder / "lock", timeout=wait_seconds, mode=0o600)
    try:
        lock.acquire(poll_interval=0.05)
    except Timeout as error:
        raise LockedError(
            f"another command is working on this project{_words_of(holder)}",
            hint="wait for it, or run again with `--lock-timeout 10m`",
        ) from error
    try:
        about = {"pid": os.getpid(), "host": socket.gethostname(), "command": command, "since": now}
        descriptor = os.open(holder, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW, 0o600)
        with open(descriptor, "wb") as file:
            file.write(msgspec.json.encode(about))
        yield
    finally:
        lock.release()


def holder_of(folder: Path) -> str:
    """Who holds the project's lock, in words; empty where nobody does. Nothing is made or written to find out."""
    if not (folder / "lock").exists():
        return ""
    lock = FileLock(folder / "lock", timeout=0, mode=0o600)
    try:
        lock.acquire()
    except Timeout:
        return _words_of(folder / "lock.json") or " by another process"
    except OSError:  # in a folder that can only be read nobody holds it from here
        return ""
    lock.release()
    return ""


def _words_of(holder: Path) -> str:
    try:
        about = msgspec.json.decode(holder.read_bytes())
        return f": `{about['command']}`, process {about['pid']} on {about['host']}, since {about['since'][11:19]} UTC"
    except (OSError, msgspec.DecodeError, RecursionError, KeyError, TypeError):
        return ""
