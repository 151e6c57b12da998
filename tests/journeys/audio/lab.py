"""A project of recordings whose provider is `fireworks-audio`, and a server that speaks that API."""

from __future__ import annotations

import contextlib
import hashlib
import io
import json
import random
import sqlite3
import wave
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tests.journeys.lab import KEY, Lab, Server

SPEC = """\
project: lab
models:
  ear:
    provider: fireworks-audio
    name: whisper-v3
    params: {{response_format: json}}
    price: {{per_minute: 0.0015}}
jobs:
  calls:
    audio: calls/**/*.wav
    model: ear
    output: results/calls.jsonl
providers:
  fireworks-audio:
    overrides: {{min_poll_s: 0.05, max_poll_s: 0.2, defer_s: 0.2}}
"""
SUBMIT = "POST /v1/audio/transcriptions"  # routes, as faults and the server's log name them
LOOK = "GET /v1/accounts/{account}/batch_job/{batch_id}"


def sound(name: str, seconds: float = 0.1) -> bytes:
    """A WAV file of noise that no other name has."""
    rate = 8000
    with io.BytesIO() as file:
        with wave.open(file, "wb") as out:
            out.setnchannels(1)
            out.setsampwidth(2)
            out.setframerate(rate)
            out.writeframes(random.Random(name).randbytes(2 * int(rate * seconds)))
        return file.getvalue()


@dataclass
class AudioLab(Lab):
    """A project folder with recordings below `calls/`, and what a server was asked since the lab was made."""

    _before: Counter[str] = field(default_factory=Counter, repr=False)

    def __post_init__(self) -> None:
        self._before = self._log()

    def spec(self, text: str = SPEC, name: str = "lab.yaml", **fields: str) -> None:
        super().spec(text, name, **fields)

    def with_job(self, more: str) -> None:
        """The usual spec with further lines of the job."""
        self.spec(SPEC.replace("    model: ear\n", f"    model: ear\n    {more}\n"))

    def record(self, names: Iterable[str] | int, seconds: float = 0.1) -> list[Path]:
        """Recordings by name, each of its own noise; a number makes that many."""
        if isinstance(names, int):
            names = [f"c{n:03}" for n in range(names)]
        return [self.put(f"calls/{name}.wav", sound(name, seconds)) for name in names]

    def put(self, path: str, content: bytes) -> Path:
        file = self.root / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(content)
        return file

    def environ(self, **more: str) -> dict[str, str]:
        remote = {
            "FIREWORKS_AUDIO_BASE_URL": self.server.url,
            "FIREWORKS_ACCOUNT_ID": "runner",
            "FIREWORKS_API_KEY": KEY,
        }
        return super().environ(**{**remote, **more})

    def first(self, *words: str, code: int | None = 0, **environ: str) -> Any:
        """The first paying apply of a project."""
        return self.apply("-y", "--first-run", *words, code=code, **environ)

    # -- what was asked

    def posts(self) -> int:
        """Submissions that reached the server."""
        return (self._log() - self._before)[SUBMIT]

    def looks(self) -> int:
        return (self._log() - self._before)[LOOK]

    def kept(self) -> int:
        """Submissions that the server accepted, whether or not it could say so."""
        return (self._log() - self._before)["kept"]

    def _log(self) -> Counter[str]:
        log = self.server.get("/_log")
        return Counter({**log["requests"], "kept": log["audio_jobs_created"]})

    # -- what came of it

    def plan(self) -> dict[str, Any]:
        return dict(json.loads(self.run("plan", "-o", "json", code=None).stdout))

    def batches(self) -> list[dict[str, Any]]:
        return list(json.loads(self.run("state", "list", "-o", "json").stdout)["batches"])

    def held(self) -> list[dict[str, Any]]:
        """What `state resolve` lists, from its JSON."""
        listed = json.loads(self.run("state", "resolve", "calls", "-o", "json", code=None).stdout)
        return list(listed["held"])

    def ids_of(self, path: str) -> list[str]:
        """What the remote calls its jobs for this content, oldest first: as a person would look it up there."""
        wanted = hashlib.sha256((self.root / path).read_bytes()).hexdigest()
        database = f"file:{self.server.directory / 'world.sqlite'}?mode=ro"
        with contextlib.closing(sqlite3.connect(database, uri=True)) as world:
            records = [json.loads(row[0]) for row in world.execute("SELECT record FROM audio_jobs ORDER BY rowid")]
        return [record["id"] for record in records if record["sha256"] == wanted]

    def whole(self, number: int) -> list[dict[str, Any]]:
        """The rows of the table: one a recording, in order of paths, each answered with a text."""
        rows = self.results("results/calls.jsonl")
        names = sorted(str(path.relative_to(self.root)) for path in (self.root / "calls").rglob("*.wav"))
        assert len(rows) == number
        assert [row["custom_id"] for row in rows] == names
        assert [row["file"] for row in rows] == names
        assert all(row["text"] and row["error"] is None for row in rows), rows
        return rows

    def done(self) -> None:
        """There is nothing left to do, and to know that nobody is asked."""
        before = self._log()
        assert self.run("plan").stdout == "Nothing to do\n"
        assert self.apply("-y").stdout == "Nothing to do\n"
        assert self._log() - before == Counter({"GET /_log": 1})


def lab_of(folder: Path, server: Server, recordings: int) -> AudioLab:
    root = folder / "project"
    root.mkdir()
    lab = AudioLab(root, server)
    lab.spec()
    lab.record(recordings)
    return lab
