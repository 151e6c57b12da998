"""`python -m MODULE` in a process of its own that has its imports behind it: they are four fifths of a short command.

A process that has imported everything (a nursery) forks one that goes on as if it had just been started: with streams,
folder and environment of its own, to be signalled and killed like any other. What an interpreter reads when it starts
cannot be given to it afterwards: commands that differ in that are started in the usual way. So are those whose start
or memory is what a test is about: the embedded server, commands on a terminal, histories, large inputs.
"""

from __future__ import annotations

import array
import atexit
import contextlib
import importlib
import itertools
import json
import os
import pkgutil
import runpy
import select
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import weakref
from collections.abc import Mapping
from multiprocessing import connection
from pathlib import Path
from typing import IO, Any

REPOSITORY = Path(__file__).parents[1]
_LONGEST_MESSAGE = 1 << 17
_READ_AT_START = ("PYTHON", "LD_", "LC_", "LANG", "TZ")
_LATER = (
    "tests.journeys.killer",
    "uvicorn.protocols.http.h11_impl",
    "uvicorn.lifespan.on",
    "anyio._backends._asyncio",
    "encodings.idna",
)


def start(
    module: str,
    *words: str,
    cwd: Path,
    env: Mapping[str, str],
    stdin: int = subprocess.DEVNULL,
    stdout: int | IO[Any] = subprocess.PIPE,
    stderr: int | IO[Any] = subprocess.PIPE,
) -> Started:
    """`python -m MODULE WORDS`; its pipes are text."""
    if _read_at_start(env) != _read_at_start(environ()):
        command = [sys.executable, "-m", module, *words]
        return subprocess.Popen(command, cwd=cwd, env=env, stdin=stdin, stdout=stdout, stderr=stderr, text=True)
    return Process(_nursery(), [module, *words], cwd, env, (stdin, stdout, stderr))


def run(
    module: str, *words: str, cwd: Path, env: Mapping[str, str], timeout: float
) -> subprocess.CompletedProcess[str]:
    """`python -m MODULE WORDS`, ended; killed after `timeout` seconds."""
    with start(module, *words, cwd=cwd, env=env) as process:
        try:
            out, err = process.communicate(timeout=timeout)
        except BaseException:
            process.kill()
            raise
    return subprocess.CompletedProcess([module, *words], process.returncode, out, err)


class Process:
    """A started command; what tests use of `subprocess.Popen`, with the same meaning."""

    def __init__(self, nursery: Nursery, args: list[str], cwd: Path, env: Mapping[str, str], streams: Any) -> None:
        self.args = args
        self.returncode: int | None = None
        self._nursery = nursery
        ours: list[Any] = [None, None, None]
        theirs: list[int] = []
        made: list[int] = []  # of theirs, those that we do not need
        for number, stream in enumerate(streams):
            if stream == subprocess.PIPE:
                ends = os.pipe() if number else os.pipe()[::-1]
                ours[number] = os.fdopen(ends[0], "r" if number else "w")
                stream = ends[1]
                made.append(stream)
            elif stream == subprocess.DEVNULL:
                stream = os.open(os.devnull, os.O_RDWR)
                made.append(stream)
            theirs.append(stream if isinstance(stream, int) else stream.fileno())
        self._status, status = os.pipe()
        weakref.finalize(self, os.close, self._status)  # several threads may wait: none of them may close it
        self._ending = threading.Lock()
        try:
            self.pid = nursery.fork({"args": args, "cwd": str(cwd), "env": dict(env)}, [*theirs, status])
        finally:
            for fd in (*made, status):
                os.close(fd)
        self.stdin, self.stdout, self.stderr = ours
        self._readers: dict[int, threading.Thread] = {}
        self._read: dict[int, str] = {}

    def poll(self) -> int | None:
        with contextlib.suppress(subprocess.TimeoutExpired):
            self.wait(0)
        return self.returncode

    def wait(self, timeout: float | None = None) -> int:
        if self.returncode is None:
            if not connection.wait([self._status], timeout):
                raise subprocess.TimeoutExpired(self.args, timeout or 0)
            with self._ending:
                if self.returncode is None:
                    status = os.read(self._status, 16)
                    self.returncode = int(status) if status else -signal.SIGKILL
                    assert status, self._nursery.obituary()
        return self.returncode

    def communicate(self, timeout: float | None = None) -> tuple[str, str]:
        """All that it says from now on, once it has ended."""
        if self.stdin:
            self.stdin.close()
        for number, stream in enumerate((self.stdout, self.stderr)):
            if stream and number not in self._readers:
                self._readers[number] = threading.Thread(target=self._read_all, args=(number, stream), daemon=True)
                self._readers[number].start()
        for reader in self._readers.values():
            reader.join(timeout)
            if reader.is_alive():
                raise subprocess.TimeoutExpired(self.args, timeout or 0)
        self.wait(timeout)
        return self._read.get(0, ""), self._read.get(1, "")

    def _read_all(self, number: int, stream: IO[str]) -> None:
        self._read[number] = stream.read()
        stream.close()

    def send_signal(self, number: int) -> None:
        if self.poll() is None:
            os.kill(self.pid, number)

    def terminate(self) -> None:
        self.send_signal(signal.SIGTERM)

    def kill(self) -> None:
        self.send_signal(signal.SIGKILL)

    def __enter__(self) -> Process:
        return self

    def __exit__(self, *error: object) -> None:
        for stream in (self.stdin, self.stdout, self.stderr):
            if stream:
                stream.close()
        self.wait()


class Nursery:
    """The process that has imported everything."""

    def __init__(self, seed: int) -> None:
        self._control, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self._lock = threading.Lock()
        self._said = tempfile.TemporaryFile()  # noqa: SIM115 - it lives as long as the process
        with theirs:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "tests.warm", str(theirs.fileno())],
                cwd=REPOSITORY,
                env={**environ(), "PYTHONHASHSEED": str(seed)},
                pass_fds=[theirs.fileno()],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=self._said,
            )
        atexit.register(self.close)

    def fork(self, wanted: dict[str, Any], fds: list[int]) -> int:
        """The id of the new process, which leads its own life by then."""
        with self._lock:
            rights = [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", fds))]
            with contextlib.suppress(BrokenPipeError):
                self._control.sendmsg([json.dumps(wanted).encode()], rights)
            pid = self._control.recv(16)
        assert pid, self.obituary()
        return int(pid)

    @property
    def has_ended(self) -> bool:
        return self._process.poll() is not None

    def obituary(self) -> str:
        """Why there is nothing to be had of it any more."""
        code = self._process.wait()
        self._said.seek(0)
        return f"the process that forks others ended with {code}: {self._said.read().decode(errors='replace')}"

    def close(self) -> None:
        self._control.close()
        self._process.wait()
        self._said.close()


Started = Process | subprocess.Popen[str]
_nurseries: list[Nursery | None] = [None, None]
_turns = itertools.cycle((0, 1))


def _nursery() -> Nursery:
    """By turns, two that order their sets differently, as any two commands of a user do."""
    turn = next(_turns)
    if _nurseries[turn] is None or _nurseries[turn].has_ended:
        _nurseries[turn] = Nursery(turn + 1)
    return _nurseries[turn]


def environ() -> dict[str, str]:
    """What every command may know; its warnings are errors."""
    kept = {name: os.environ[name] for name in ("PATH", "LANG", "TMPDIR") if name in os.environ}
    return {**kept, "PYTHONWARNINGS": "error"}


def _read_at_start(environ: Mapping[str, str]) -> dict[str, str]:
    return {name: value for name, value in environ.items() if value and name.startswith(_READ_AT_START)}


# -- inside a nursery


def _import_everything() -> None:
    import runner
    from runner.__main__ import main

    sys.argv = ["runner", "--version"]
    with contextlib.suppress(SystemExit):
        main()
    for found in pkgutil.walk_packages(runner.__path__, "runner."):
        if not found.name.endswith(".__main__"):
            with contextlib.suppress(ImportError):  # extras that are not installed
                importlib.import_module(found.name)
    for name in _LATER:
        importlib.import_module(name)


def _serve(control: socket.socket) -> list[str]:
    """Fork a process for each message; comes back in the new ones, with their words."""
    woken, wakes = os.pipe()
    os.set_blocking(wakes, False)
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGCHLD, lambda *_: None)
    signal.set_wakeup_fd(wakes, warn_on_full_buffer=False)
    alive: dict[int, int] = {}
    while True:
        ready, _, _ = select.select([control, woken], [], [])
        if woken in ready:
            os.read(woken, 1 << 10)
            _reap(alive)
        if control in ready:
            message, fds, _, _ = socket.recv_fds(control, _LONGEST_MESSAGE, 4)
            if not message:
                os._exit(0)
            pid = os.fork()
            if pid == 0:
                signal.set_wakeup_fd(-1)
                return _begin(control, json.loads(message), fds)
            *streams, alive[pid] = fds
            for fd in streams:
                os.close(fd)


def _reap(alive: dict[int, int]) -> None:
    with contextlib.suppress(ChildProcessError):
        while (ended := os.waitpid(-1, os.WNOHANG))[0]:
            status = alive.pop(ended[0])
            with contextlib.suppress(BrokenPipeError):
                os.write(status, str(os.waitstatus_to_exitcode(ended[1])).encode())
            os.close(status)


def _begin(control: socket.socket, wanted: dict[str, Any], fds: list[int]) -> list[str]:
    for number, fd in enumerate(fds[:3]):
        os.dup2(fd, number)
    sys.stdin = os.fdopen(0, encoding=sys.stdin.encoding, errors=sys.stdin.errors, closefd=False)
    sys.stdout = _written_to(1, sys.stdout, lines=os.isatty(1))
    sys.stderr = _written_to(2, sys.stderr, lines=True)
    os.chdir(wanted["cwd"])
    os.environ.clear()
    os.environ.update(wanted["env"])
    sys.path[0] = wanted["cwd"]
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    signal.signal(signal.SIGINT, signal.default_int_handler)
    control.send(str(os.getpid()).encode())
    control.detach()
    os.closerange(3, os.sysconf("SC_OPEN_MAX"))
    return list(wanted["args"])


def _written_to(fd: int, like: Any, *, lines: bool) -> Any:
    return os.fdopen(fd, "w", 1 if lines else -1, encoding=like.encoding, errors=like.errors, closefd=False)


def _end(codes: list[int]) -> None:
    """Without freeing every object of ours, which would first copy each page of the memory that we share."""
    with contextlib.suppress(OSError):  # Python says itself what cannot be written
        sys.stdout.flush()
        sys.stderr.flush()
        if codes:
            os._exit(codes[0])


def main() -> None:
    control = socket.socket(fileno=int(sys.argv[1]))
    codes: list[int] = []
    atexit.register(_end, codes)  # the first one to register is the last one to be called
    _import_everything()
    module, *sys.argv[1:] = _serve(control)
    sys.modules.pop(f"{module}.__main__" if module == "runner" else module, None)
    try:
        runpy.run_module(module, run_name="__main__", alter_sys=True)
    except SystemExit as ends:
        codes += [ends.code] if isinstance(ends.code, int) else []
        raise


if __name__ == "__main__":
    main()
