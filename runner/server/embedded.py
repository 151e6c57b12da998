"""The embedded server as a child: what a command calls when a spec says `provider: embedded`.

Only the standard library and our own paths are imported here, so that asking costs nothing.
"""

from __future__ import annotations

import contextlib
import importlib.util
import os
import shlex
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, TYPE_CHECKING
from urllib.parse import urlsplit

import msgspec

from runner.errors import EngineError, LockedError
from runner.server import home

if TYPE_CHECKING:
    import subprocess  # only who starts a server needs it

START_SECONDS = 20.0
_STOP_SECONDS = 10.0
_LOOK_SECONDS = 2.0
# What a server needs of our environment: the keys of other remotes are none of its business
_KEPT = ("PATH", "HOME", "USER", "LOGNAME", "LANG", "LANGUAGE", "TZ", "TMPDIR", "VIRTUAL_ENV", "RUNNER_HOME")
_KEPT_OF = ("LC_", "LD_", "DYLD_", "PYTHON", "XDG_", "OMP_", "GGML_", "LLAMA_", "CUDA_", "VK_", "PYDANTIC_")


class _Root(msgspec.Struct):
    server: str
    id: str


@dataclass(slots=True)
class Running:
    """A live server. `process` is None where somebody else started it; then `stop` leaves it alone."""

    url: str
    token: str = field(repr=False)
    id: str
    process: subprocess.Popen[bytes] | None = field(default=None, repr=False)

    def stop(self) -> None:
        """End our child, letting it finish the step at hand. Can be repeated."""
        if self.process is None:
            return
        import subprocess

        if self.process.stdin is not None:
            with contextlib.suppress(OSError):
                self.process.stdin.close()
        try:
            self.process.wait(_STOP_SECONDS)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()

    def __enter__(self) -> Running:
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()


def data_dir(environ: Mapping[str, str]) -> Path:
    """Where the embedded server keeps its data: `RUNNER_HOME`, or `runner` in the user's data directory."""
    own = environ.get("RUNNER_HOME")
    if own:
        return Path(own).expanduser().absolute()
    shared = environ.get("XDG_DATA_HOME", "")
    if shared.startswith("/"):
        return Path(shared) / "runner"
    return Path(environ.get("HOME") or Path.home()) / ".local" / "share" / "runner"


def models_dir(environ: Mapping[str, str]) -> Path:
    """Where model weights are kept."""
    return data_dir(environ) / home.MODELS


def check_installed() -> None:
    """Raise EngineError where what a server runs on is not installed: commands that only ask remotes do without."""
    needed = ("starlette", "uvicorn", "python_multipart")
    if not all(map(_can_be_imported, needed)):
        raise EngineError(
            "the embedded server needs the extra `server`",
            hint="run `pip install 'runner-batch[server]'`, then the same command again",
        )


def _can_be_imported(package: str) -> bool:
    try:
        return importlib.util.find_spec(package) is not None
    except ImportError:
        return False


def make_ready(model: str, environ: Mapping[str, str], say: Callable[[str], None]) -> None:
    """Fetch the weights of a model that runs here, with words, before a batch waits for them.

    Raises EngineError when its extra is not installed or the weights cannot be had.
    """
    from runner.server import weights
    from runner.server.engines import pocketsphinx

    if model == pocketsphinx.MODEL and not pocketsphinx.is_installed():
        raise EngineError(f"the model `{model}` needs the extra `asr`", hint="run `pip install 'runner-batch[asr]'`")
    if model not in weights.WEIGHTS:
        return
    if importlib.util.find_spec("xllamacpp") is None:
        raise EngineError(
            f"the model `{model}` needs the extra `local`", hint="run `pip install 'runner-batch[local]'`"
        )
    weights.pull(model, models_dir(environ), say)


def origin_id(root: Path) -> str | None:
    """The id of a data directory, None where no server has run yet. Creates nothing."""
    return home.id_of(root)


def id_file(root: Path) -> Path:
    """Where that is kept."""
    return home.id_file(root)


def ensure_id(root: Path) -> str:
    """The id of a data directory, made now where no server has run yet."""
    return home.ensure_id(root)


def live(root: Path) -> Running | None:
    """The server that serves `root` now, if one answers and says it is that one."""
    known = home.live_record(root)
    # the port may be somebody else's by now: what answers there must name this directory before it gets a token
    if known is None or known.id != home.id_of(root) or _identity(known.url) != known.id:
        return None
    return Running(known.url, known.token, known.id)


def start(root: Path, *, environ: Mapping[str, str], faults: Sequence[str] = (), stands_in_with: str = "") -> Running:
    """Start a server as a child that ends with us; one that somebody else starts meanwhile is used instead.

    stands_in_with: the one engine of a server that stands in for other remotes.
    Raises EngineError, with the child's own words, when it is not ready within 20 seconds, or is not installed.
    """
    check_installed()
    root.mkdir(mode=0o700, parents=True, exist_ok=True)
    words = home.ServerHome(root).log_file
    with open(os.open(words, os.O_RDWR | os.O_CREAT | os.O_APPEND | os.O_NOFOLLOW, 0o600), "rb+", buffering=0) as log:
        # what earlier servers wrote there is not why this one did not start
        since = log.seek(0, os.SEEK_END)
        until = time.monotonic() + START_SECONDS
        while time.monotonic() < until:
            child = _spawn(root, environ, [*_words(faults, stands_in_with)], log)
            ready = _awaited(root, child, until)
            if ready is not None:
                return ready
            why = _why_not(child)
            # whether it died or was too slow: no child is left behind by an error
            Running("", "", "", child).stop()
            if child.returncode != LockedError.exit_code:
                break
            # Two commands at once: one child got the directory, and both commands may use it. Or a server has it that
            # ends, as its command did a moment ago: then another child of ours gets it.
            if (other := live(root)) is not None:
                return other
            time.sleep(0.02)
        raise EngineError(
            f"the embedded server did not start: {_last_lines(log, since) or why}",
            hint=f"`runner serve --dir {shlex.quote(str(root))}` shows why",
        )


def _awaited(root: Path, child: subprocess.Popen[bytes], until: float) -> Running | None:
    """The server that a child of ours has become, once it is ready; None where it died, or is too slow."""
    while time.monotonic() < until:
        ready = _ready(root, child)
        if ready is not None or child.poll() is not None:
            return ready
        time.sleep(0.02)
    return None


def _words(faults: Sequence[str], stands_in_with: str) -> Iterator[str]:
    for fault in faults:
        yield from ("--fault", fault)
    if stands_in_with:
        yield from ("--engine", stands_in_with, "--stand-in")


# The token does not travel to the child: it finds its own in the directory, and we read it in `server.json` once it has
# said which address is its own. So no list of processes ever shows one.
def _spawn(root: Path, environ: Mapping[str, str], more: Sequence[str], log: IO[bytes]) -> subprocess.Popen[bytes]:
    command = [sys.executable, "-P", "-m", "runner", "serve", "--dir", str(root), "--host", "127.0.0.1", "--port", "0"]
    command += ["--until-stdin-closes", *more]
    kept = {name: value for name, value in environ.items() if name in _KEPT or name.startswith(_KEPT_OF)}
    import subprocess

    return subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.DEVNULL, stderr=log, env=kept, close_fds=True
    )


def _ready(root: Path, child: subprocess.Popen[bytes]) -> Running | None:
    known = home.live_record(root)
    # what an earlier server announced may still lie there, with its port and another's answer behind it
    if known is None or known.pid != child.pid or _identity(known.url) != known.id:
        return None
    return Running(known.url, known.token, known.id, child)


def _identity(url: str) -> str | None:
    """The id of the server at `url`, None where none of ours answers."""
    # 30 ms to import, and a command that finds nothing to do never asks
    import http.client

    parts = urlsplit(url)
    connection = http.client.HTTPConnection(parts.hostname or "", parts.port, timeout=_LOOK_SECONDS)
    try:
        connection.request("GET", "/")
        response = connection.getresponse()
        found = msgspec.json.decode(response.read(4096), type=_Root)
    except (OSError, http.client.HTTPException, msgspec.MsgspecError, ValueError):
        return None
    finally:
        connection.close()
    return found.id if found.server == "runner" else None


def _last_lines(log: IO[bytes], since: int) -> str:
    log.seek(since)
    lines = log.read(65_536).decode("utf-8", "replace").split("\n")
    said = [line.strip() for line in lines if line.strip()]
    return " / ".join(said[-3:])[:512]


def _why_not(child: subprocess.Popen[bytes]) -> str:
    """Why a child is not ready that says nothing itself."""
    code = child.poll()
    if code is None:
        return f"it was not ready within {START_SECONDS:.0f} s"
    return f"it was ended by signal {-code}" if code < 0 else f"it ended at once, with code {code}"
