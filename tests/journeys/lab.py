"""A project in a folder, a server with faults on a loopback port, and the `runner` command between them."""

from __future__ import annotations

import contextlib
import json
import signal
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests import warm

KEY = "canary-5c1d0f"
RUNNER = [sys.executable, "-m", "runner"]

SPEC = """\
project: lab
models:
  echo:
    provider: lab
    name: echo
    params: {{max_tokens: 16}}
datasets:
  rows: {{files: data/rows.csv, id: id}}
prompts:
  ask: {{user: "Say {{{{ word }}}}"}}
jobs:
  answers:
    dataset: rows
    prompt: ask
    model: echo
    output: results/answers.jsonl
providers:
  lab:
    kind: openai
    base_url: {url}
    api_key_env: LAB_KEY
    overrides: {{settle_s: 0.4, min_poll_s: 0.05}}
"""


@dataclass
class Server:
    """`runner serve` in a process of its own."""

    url: str
    directory: Path
    process: warm.Started

    def fault(self, **faults: Any) -> None:
        """Switch faults on, or off with None."""
        self._call("PUT", "/_faults", faults)

    def calm(self) -> None:
        """Switch all faults off."""
        self.fault(**dict.fromkeys(self.get("/_faults")["faults"]))

    def get(self, path: str) -> Any:
        return self._call("GET", path)

    def asked(self) -> dict[str, int]:
        """How often each API route was called since the server started."""
        return {route: times for route, times in self._call("GET", "/_log")["requests"].items() if " /v1/" in route}

    def creates(self) -> int:
        """Batches made since the server started."""
        return len(self.batches())

    def batches(self) -> list[dict[str, Any]]:
        """Every batch, oldest first."""
        found: list[dict[str, Any]] = []
        after = ""
        while True:
            page = self._call("GET", f"/v1/batches?limit=100{after}")
            found += page["data"]
            if not page.get("has_more"):
                return found[::-1]
            after = f"&after={page['last_id']}"

    def sent(self) -> list[list[str]]:
        """The user's ids of the rows in every batch that was not refused, oldest batch first."""
        return [self.ids_of(batch) for batch in self.batches() if batch["status"] != "failed"]

    def ids_of(self, batch: dict[str, Any]) -> list[str]:
        raw = self.raw("GET", f"/v1/files/{batch['input_file_id']}/content")
        return [json.loads(line)["custom_id"][:-23] for line in raw.split(b"\n") if line]

    def _call(self, method: str, path: str, body: Any = None) -> Any:
        return json.loads(self.raw(method, path, body))

    def raw(self, method: str, path: str, body: Any = None) -> bytes:
        data = None if body is None else json.dumps(body).encode()
        headers = {"Authorization": f"Bearer {KEY}", "Content-Type": "application/json"}
        request = urllib.request.Request(self.url + path, data, headers, method=method)
        with urllib.request.urlopen(request, timeout=20) as reply:
            return bytes(reply.read())


@contextlib.contextmanager
def serving(directory: Path, *more: str) -> Iterator[Server]:
    """A server over `directory`; killed at the end."""
    words = ["serve", "--dir", str(directory), "--port", "0", "--engine", "echo", "--token", KEY, *more]
    home = str(directory.with_name("home"))
    log = directory.with_suffix(".log")
    with open(log, "ab") as said:
        process = warm.start(
            "runner",
            *words,
            cwd=directory.parent,
            env={**warm.environ(), "HOME": home},
            stdout=subprocess.DEVNULL,
            stderr=said,
        )
    try:
        about = _ready(directory / "server.json", process, log)
        yield Server(about["url"], directory, process)
    finally:
        process.send_signal(signal.SIGKILL)
        process.wait()


def _ready(record: Path, process: warm.Started, log: Path) -> dict[str, Any]:
    until = time.monotonic() + 20
    while time.monotonic() < until and process.poll() is None:
        with contextlib.suppress(OSError, ValueError):
            about = json.loads(record.read_bytes())
            if about["pid"] == process.pid:
                with urllib.request.urlopen(about["url"], timeout=5):
                    return dict(about)
        time.sleep(0.02)
    raise AssertionError(f"the server did not start: {log.read_text()[-2000:]}")


@dataclass
class Lab:
    """A project folder whose provider `lab` is the server."""

    root: Path
    server: Server

    def spec(self, text: str = SPEC, name: str = "lab.yaml", **fields: str) -> None:
        path = self.root / "specs" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text.format(url=f"{self.server.url}/v1", **fields))

    def rows(self, words: dict[str, str] | int, file: str = "data/rows.csv") -> None:
        """A table of id and word; a number makes that many rows."""
        if isinstance(words, int):
            words = {f"r{n}": f"word {n}" for n in range(words)}
        path = self.root / file
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("id,word\n" + "".join(f"{name},{word}\n" for name, word in words.items()))

    def environ(self, **more: str) -> dict[str, str]:
        home = str(self.root.parent / "home")
        return {**warm.environ(), "HOME": home, "RUNNER_HOME": home, "LAB_KEY": KEY, **more}

    def run(self, *words: str, code: int | None = 0, **environ: str) -> subprocess.CompletedProcess[str]:
        """`runner WORDS` in the project; its exit code is checked unless None, its words are searched for the key."""
        done = warm.run("runner", *words, cwd=self.root, env=self.environ(**environ), timeout=90)
        assert "Traceback" not in done.stderr, done.stderr
        assert KEY not in done.stdout + done.stderr
        if code is not None:
            assert done.returncode == code, f"{words}: {done.returncode}\n{done.stdout}\n{done.stderr}"
        return done

    def apply(self, *words: str, code: int | None = 0, **environ: str) -> subprocess.CompletedProcess[str]:
        """With a yes said beforehand: there is no terminal here."""
        return self.run("apply", "specs/", "-y", *words, code=code, **environ)

    def start(self, *words: str, **environ: str) -> warm.Started:
        return warm.start("runner", *words, cwd=self.root, env=self.environ(**environ))

    def results(self, output: str = "results/answers.jsonl") -> list[dict[str, Any]]:
        return [json.loads(line) for line in (self.root / output).read_bytes().split(b"\n") if line]

    def files(self) -> dict[str, tuple[int, int, int]]:
        """What lies in the project, and tells whether it was written to; without what rehearsals and readers leave."""
        of_others, found = (".runner/rehearsal/", ".runner/memo/unchanged/"), {}
        for path in sorted(self.root.rglob("*")):
            name = path.relative_to(self.root).as_posix()
            if path.is_file() and not name.startswith(of_others) and not name.endswith("-shm"):
                about = path.stat()
                found[name] = about.st_size, about.st_mtime_ns, about.st_ino
        return found

    def apply_anew(self) -> None:
        """As if the project had never been applied."""
        import shutil

        for name in (".runner", "results"):
            shutil.rmtree(self.root / name, ignore_errors=True)

    def forget(self) -> None:
        """Lose `.runner/`."""
        import shutil

        shutil.rmtree(self.root / ".runner")


def until(holds: Any, seconds: float = 20.0) -> None:
    """Wait for something to become true."""
    end = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < end, "it did not become true in time"
        time.sleep(0.03)
