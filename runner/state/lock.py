"""One pass at a time per project. The lock dies with its holder, and names it meanwhile."""

from __future__ import annotations

import contextlib
import errno
import os
import socket
import time
from collections.abc import Callable, Iterator
from datetime import datetime
from functools import partial
from pathlib import Path

import msgspec

from runner.errors import LockedError

LOCK_FILES = ("lock", "lock.json")
_LOOK_SECONDS = 0.05
_HELD = (errno.EAGAIN, errno.EACCES, errno.EWOULDBLOCK)  # what systems say of a lock that somebody else holds


@contextlib.contextmanager
def project_lock(folder: Path, *, command: str, now: datetime, wait_seconds: float = 0) -> Iterator[None]:
    """Hold the project's lock. Raises LockedError naming the holder after `wait_seconds`."""
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    holder = folder / "lock.json"
    # The kernel's lock, which ends with its holder however that ends: nothing is left to be cleared away after a kill.
    # `lock.json` only says who it is. It may be old or half written, and nothing is decided by it.
    with contextlib.ExitStack() as held:
        try:
            held.callback(_taken(folder / "lock", wait_seconds))
        except TimeoutError as error:
            raise LockedError(
                f"another command is working on this project{_words_of(holder)}",
                hint="wait for it, or run again with `--lock-timeout 10m`",
            ) from error
        about = {"pid": os.getpid(), "host": socket.gethostname(), "command": command, "since": now}
        descriptor = os.open(holder, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW, 0o600)
        with open(descriptor, "wb") as file:
            file.write(msgspec.json.encode(about))
        yield


def _taken(path: Path, wait_seconds: float) -> Callable[[], None]:
    """Take the lock on a file; what lets it go. Raises TimeoutError where somebody else still holds it by then.

    As filelock does it, whose import takes a fortieth of a first apply. Where the kernel has no such locks, on this
    system or this disk, filelock knows what to do.
    """
    try:
        from fcntl import LOCK_EX, LOCK_NB, flock
    except ImportError:
        return _taken_elsewhere(path, wait_seconds)
    until = time.monotonic() + wait_seconds
    while True:
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_NONBLOCK, 0o600)
        try:
            flock(descriptor, LOCK_EX | LOCK_NB)
        except OSError as error:
            os.close(descriptor)
            if error.errno not in _HELD:
                return _taken_elsewhere(path, wait_seconds)
        else:
            if os.fstat(descriptor).st_nlink:
                return partial(os.close, descriptor)  # the lock goes with it
            os.close(descriptor)  # the file was removed meanwhile: others lock the one that is there now
            continue
        if time.monotonic() >= until:
            raise TimeoutError
        time.sleep(_LOOK_SECONDS)


def _taken_elsewhere(path: Path, wait_seconds: float) -> Callable[[], None]:
    from filelock import FileLock, Timeout

    lock = FileLock(path, timeout=wait_seconds, mode=0o600)
    try:
        lock.acquire(poll_interval=_LOOK_SECONDS)
    except Timeout as error:
        raise TimeoutError from error
    return lock.release


def holder_of(folder: Path) -> str:
    """Who holds the project's lock, in words; empty where nobody does. Nothing is made or written to find out."""
    if not (folder / "lock").exists():
        return ""
    try:
        _taken(folder / "lock", 0)()
    except TimeoutError:
        return _words_of(folder / "lock.json") or " by another process"
    except OSError:  # in a folder that can only be read nobody holds it from here
        pass
    return ""


def _words_of(holder: Path) -> str:
    try:
        about = msgspec.json.decode(holder.read_bytes())
        return f": `{about['command']}`, process {about['pid']} on {about['host']}, since {about['since'][11:19]} UTC"
    except (OSError, msgspec.DecodeError, RecursionError, KeyError, TypeError):
        return ""
