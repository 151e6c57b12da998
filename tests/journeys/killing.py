"""Parts of the product that stop their own process with SIGKILL at the Nth effect boundary they come to.

Each takes the place of a part that the composition hands in anyway: store, journal, provider, transport. Files that
are written whole (results, objects, downloads) are seen by Python's audit events, which the product knows nothing of.
"""

from __future__ import annotations

import os
import re
import signal
import sys
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import httpx

from runner.apply.remotes import Remotes
from runner.job.capabilities import Content, Transport
from runner.job.observed import Origin
from runner.job.project import ProviderBlock
from runner.remotes import opening
from runner.remotes.vendor import Provider
from runner.state.base import Document
from runner.state.disk import DiskStore
from runner.state.grouped import Item
from runner.state.journal import DiskJournal

_UNSEEN = ("memo", "state", "lock", "lock.json", ".gitignore")  # below `.runner`: disposable, or seen as a store
_DRESS = re.compile(r"^\.?_?|(\.\d+)?\.part$|^\d+-")  # what a name wears while its file is written
_WRITES = os.O_WRONLY | os.O_RDWR | os.O_CREAT


class Boundaries:
    """Names each boundary on stdout as it is crossed, from any thread; the one numbered `fatal` is the last."""

    def __init__(self, fatal: int) -> None:
        self._left = fatal
        self._lock = threading.RLock()

    def cross(self, name: str, wreck: Callable[[], None] = lambda: None) -> None:
        """wreck: puts the disk as it is halfway through; called only when this boundary is the fatal one."""
        with self._lock:
            os.write(1, f"{name}\n".encode())
            self._left -= 1
            if self._left == 0:
                wreck()
                os.kill(os.getpid(), signal.SIGKILL)


class KillingStore(DiskStore):
    def __init__(self, folder: Path, boundaries: Boundaries) -> None:
        super().__init__(folder)
        self._boundaries = boundaries

    def write(self, changes: Mapping[str, Document | None], expected: int, events: Sequence[Document] = ()) -> int:
        name = ",".join(key.partition("/")[0] for key in changes)
        self._boundaries.cross(f"before write {name}")
        serial = super().write(changes, expected, events)
        self._boundaries.cross(f"after write {name}")
        return serial


class KillingJournal(DiskJournal):
    """The journal of a wave. Stopped halfway, a group has left the beginning of its bytes, or answers alone."""

    def __init__(self, boundaries: Boundaries, path: Path, raw: Path, rows: int) -> None:
        self._files = (raw, path)
        self._boundaries = boundaries
        super().__init__(path, raw, rows)

    def _make_durable(self, group: list[Item]) -> None:
        steps = [entry.step.name for item in group for entry in item.entries]
        name = ",".join(sorted(set(steps)))
        self._boundaries.cross(f"before commit {name}")
        lines, entries = (file.stat().st_size for file in self._files)
        super()._make_durable(group)
        if (whole := self._files[0].stat().st_size) > lines:
            self._boundaries.cross("torn answer", lambda: self._cut((lines + whole) // 2, entries))
            self._boundaries.cross("answer without entry", lambda: self._cut(whole, entries))
        half = (entries + self._files[1].stat().st_size) // 2
        self._boundaries.cross(f"torn commit {name}", lambda: self._cut(whole, half))
        self._boundaries.cross(f"after commit {name}")

    def _cut(self, *sizes: int) -> None:
        for file, size in zip(self._files, sizes, strict=True):
            os.truncate(file, size)


class KillingProvider:
    """The real provider; dies around the verbs that change something or bring something."""

    def __init__(self, provider: Provider, boundaries: Boundaries) -> None:
        self._provider = provider
        self._boundaries = boundaries

    def __getattr__(self, name: str) -> Any:
        attribute = getattr(self._provider, name)
        if name not in ("upload", "submit", "download", "cancel", "delete"):
            return attribute

        def crossing(*arguments: Any, **how: Any) -> Any:
            self._boundaries.cross(f"before {name}")
            answer = attribute(*arguments, **how)
            self._boundaries.cross(f"after {name}")
            return answer

        return crossing


class KillingTransport(httpx.BaseTransport):
    """The network; dies around and amid the calls that change something or bring a file."""

    def __init__(self, boundaries: Boundaries) -> None:
        self._network = httpx.HTTPTransport(verify=False, limits=httpx.Limits(max_keepalive_connections=0))
        self._boundaries = boundaries

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        path = request.url.path
        if request.method == "GET" and "/storage/" not in path and not path.endswith("/content"):
            return self._network.handle_request(request)
        place = path.rpartition("/")
        last = place[0].rpartition("/")[2] if request.method == "DELETE" else place[2].rpartition(":")[2]
        name = f"{request.method} {last}"
        self._boundaries.cross(f"before {name}")
        if request.method != "GET":
            request.stream = _Outgoing(request.stream, name, self._boundaries)
        response = self._network.handle_request(request)
        self._boundaries.cross(f"after {name}")
        return response


class _Outgoing(httpx.SyncByteStream):
    """A body on its way out; dies when a part of it is sent, and when all is and no reply was read."""

    def __init__(self, body: Any, name: str, boundaries: Boundaries) -> None:
        self._body = body
        self._name = name
        self._boundaries = boundaries

    def __iter__(self) -> Iterator[bytes]:
        number = 0
        for number, piece in enumerate(self._body, 1):
            if number == 2:
                self._boundaries.cross(f"amid {self._name}")
            yield piece
        if number:
            self._boundaries.cross(f"sent {self._name}")


class KillingRemotes(Remotes):
    """The project's remotes, with boundaries around the verbs of providers."""

    boundaries: Boundaries

    def _opened(self, spec: ProviderBlock, content: Content, *how: Any) -> Provider:
        killing: Any = KillingProvider(super()._opened(spec, content, *how), self.boundaries)
        return killing


class CallKillingRemotes(Remotes):
    """The project's remotes, with boundaries around single calls."""

    boundaries: Boundaries

    def _opened(
        self,
        spec: ProviderBlock,
        content: Content,
        side: Transport,
        url: str | None,
        token: str | None,
        origin: Origin | None,
    ) -> Provider:
        return opening.open_provider(
            spec,
            content,
            side,
            environ=self._environ,
            base_url=url,
            token=token,
            origin=origin,
            clock=self._clock,
            rng=self._rng,
            transport=KillingTransport(self.boundaries),
        )


def watch_files(root: Path, boundaries: Boundaries) -> None:
    """From now on, a boundary before each file below `root` is begun, before it gets its name, and after.

    Results that are no longer wanted have one before they are removed.
    """
    renamed: list[str] = []  # not known to be durable yet

    def hook(event: str, arguments: tuple[Any, ...]) -> None:
        if event == "open" and not isinstance(arguments[0], int):
            path, flags = os.fsdecode(arguments[0]), arguments[2]
            if renamed and flags & os.O_ACCMODE == os.O_RDONLY and Path(path).is_dir():
                boundaries.cross(f"renamed {renamed.pop()}")
            elif flags & _WRITES and (name := _name_in(root, path)):
                boundaries.cross(f"open {name}")
        elif event == "os.rename" and (name := _name_in(root, os.fsdecode(arguments[1]))):
            boundaries.cross(f"rename {name}")
            renamed[:] = [name]
        elif event == "os.remove" and os.path.lexists(arguments[0]):
            name = _name_in(root, os.fsdecode(arguments[0]))
            if name not in ("", "upload.jsonl"):
                boundaries.cross(f"remove {name}")

    sys.addaudithook(hook)


def _name_in(root: Path, path: str) -> str:
    """What is written there, in a word or two; empty for what is none of ours."""
    if not Path(path).is_absolute():  # below an open folder: transcripts, all of them
        return "transcript" if path.endswith((".part", ".json", ".txt", ".srt")) else ""
    if not Path(path).is_relative_to(root):
        return ""
    folder, *rest = Path(path).relative_to(root).parts
    if folder == ".runner" and rest[0] in _UNSEEN:
        return ""
    name = _DRESS.sub("", Path(path).name)
    return "set" if "sets" in rest else name
