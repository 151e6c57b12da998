"""The server's data directory: where things lie in it, whose it is, and who serves it now.

Everything is private (0700/0600). `id` names the directory for ever; `server.json` says where a live server listens.
"""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

from runner import files
from runner.errors import LockedError, StateError, printable

if TYPE_CHECKING:
    from filelock import BaseFileLock

MODELS = "models"  # weights, which may lie elsewhere
_ID_BYTES = 16
_IS_ID = re.compile(rf"[0-9a-f]{{{2 * _ID_BYTES}}}").fullmatch
_BEFORE_AN_ID = frozenset({MODELS, "lock", "id", "server.log"})  # what may be there before the first server has a name


class Live(msgspec.Struct, frozen=True):
    """What `server.json` holds. `url` is an origin without a path."""

    url: str
    token: str
    pid: int
    id: str

    def __repr__(self) -> str:
        return f"Live(url={self.url!r}, pid={self.pid})"


class ServerHome(msgspec.Struct, frozen=True):
    """Paths inside one data directory."""

    root: Path

    @property
    def database(self) -> Path:
        return self.root / "world.sqlite"

    @property
    def live_file(self) -> Path:
        return self.root / "server.json"

    @property
    def log_file(self) -> Path:
        return self.root / "server.log"

    def content(self, file_id: str) -> Path:
        """The bytes of one file. `file_id` is one of ours, never a client's words."""
        return self.root / "files" / file_id

    def incoming(self) -> Path:
        """A new place for an upload or a result file that is being written."""
        return self.root / "incoming" / os.urandom(12).hex()

    def recording(self, job_id: str) -> Path:
        """The bytes of a recording that has not been transcribed yet."""
        return self.root / "audio" / job_id

    def work(self, batch_id: str) -> Path:
        """The folder of one unfinished batch: its input and the answers so far."""
        return self.root / "work" / batch_id


class HeldHome(msgspec.Struct):
    """A data directory that this process serves alone, until `release`."""

    home: ServerHome
    id: str
    token: str
    _lock: BaseFileLock

    def announce(self, url: str, token: str) -> None:
        """Say where we listen; replaces what an earlier server left."""
        files.write(self.home.live_file, msgspec.json.encode(Live(url, token, os.getpid(), self.id)))

    def withdraw(self) -> None:
        """Say no more where we listen, unless the next server has announced itself already. Can be repeated."""
        live = live_record(self.home.root)
        if live is not None and live.pid == os.getpid():
            self.home.live_file.unlink(missing_ok=True)

    def release(self) -> None:
        self.withdraw()
        self._lock.release()


def acquire(root: Path) -> HeldHome:
    """Take a data directory, making it if it is new.

    Raises LockedError while another server has it, StateError for a folder that holds somebody else's files: nothing
    in it is touched then.
    """
    # before anything is written: `--dir ~` must not change the modes of somebody's home or sweep it
    _refuse_strangers(root)
    root.mkdir(mode=0o700, parents=True, exist_ok=True)
    # a folder that was there before may be open to others
    root.chmod(0o700)
    import filelock  # a client that only asks whose a directory is takes no lock

    # thread_local: the lock is taken by the thread that starts a server and let go by the one that ends it
    lock = filelock.FileLock(root / "lock", timeout=0, mode=0o600, thread_local=False)
    try:
        lock.acquire()
    except filelock.Timeout as busy:
        raise _taken(root) from busy
    try:
        # under the lock: now nobody else puts one there
        _refuse_links(root)
    except StateError:
        lock.release()
        raise
    home, name = ServerHome(root), _once(id_file(root), _ID_BYTES)  # before the folders: it makes them ours
    for folder in ("files", "incoming", "work", "audio"):
        (root / folder).mkdir(mode=0o700, exist_ok=True)
    # nobody refers to what lies here: it is moved to its place before it is recorded
    for leftover in (root / "incoming").iterdir():
        leftover.unlink()
    return HeldHome(home, name, _once(root / "token", 24), lock)


_ELSEWHERE = "another folder is named by `RUNNER_HOME`, or to `runner serve` by `--dir`"


def _refuse_strangers(root: Path) -> None:
    """A directory is ours if it is new, empty, or named by an `id` of ours: its modes are changed and it is swept."""
    try:
        names = set(os.listdir(root))  # noqa: PTH208  # names only
    except FileNotFoundError:
        return
    except OSError as error:
        raise StateError(f"cannot look into `{root}`: {error.strerror}", hint=_ELSEWHERE) from error
    if _IS_ID(id_of(root) or "") or names <= _BEFORE_AN_ID:
        return
    first = min(names - _BEFORE_AN_ID)
    raise StateError(
        f"`{root}` holds files that do not belong to a server, such as `{printable(first)}`",
        hint=f"nothing in it was touched; {_ELSEWHERE}, a new or empty one",
    )


def _refuse_links(root: Path) -> None:
    """What lies behind a link is not ours to write, nor to sweep."""
    with os.scandir(root) as entries:
        for entry in entries:
            if entry.name != MODELS and entry.is_symlink():
                raise StateError(f"`{entry.path}` is a link", hint=f"remove it; {_ELSEWHERE}")


def _taken(root: Path) -> LockedError:
    live = live_record(root)
    where = f" at {live.url} (process {live.pid})" if live else ""
    return LockedError(f"another server holds `{root}`{where}", hint="use that one, stop it, or give another `--dir`")


def id_of(root: Path) -> str | None:
    """The directory's id, or None where no server has ever run. Creates nothing."""
    return _read(id_file(root))


def id_file(root: Path) -> Path:
    """Where the id is kept."""
    return root / "id"


def ensure_id(root: Path) -> str:
    """The directory's id, made now if no server has run in it yet. Raises StateError as `acquire` does."""
    _refuse_strangers(root)
    root.mkdir(mode=0o700, parents=True, exist_ok=True)
    return _once(id_file(root), _ID_BYTES)


def live_record(root: Path) -> Live | None:
    """What the last server announced; it may be gone."""
    try:
        return msgspec.json.decode((root / "server.json").read_bytes(), type=Live)
    except (OSError, msgspec.MsgspecError):
        return None


def _read(path: Path) -> str | None:
    try:
        return path.read_text("ascii").strip() or None
    except (OSError, UnicodeDecodeError):
        return None


def _once(path: Path, size: int) -> str:
    """The random word in `path`, made the first time."""
    try:
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    except FileExistsError:
        known = _read(path)
        if known:
            return known
        # it is empty: a server was killed between making it and writing it
        files.write(path, (word := os.urandom(size).hex()).encode())
        return word
    with open(descriptor, "w", encoding="ascii") as out:
        out.write(word := os.urandom(size).hex())
        out.flush()
        os.fsync(out.fileno())
    return word
