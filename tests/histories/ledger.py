"""What the remote was asked and what it answered, one JSON line for each, on the disk before anybody hears of it."""

from __future__ import annotations

import hashlib
import json
import os
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any


def key_of(body: Mapping[str, Any]) -> str:
    """What one request is known by here: a digest of its body."""
    return hashlib.sha256(json.dumps(body, sort_keys=True).encode()).hexdigest()[:24]


class Book:
    """The ledger, as the remote writes it."""

    def __init__(self, path: Path) -> None:
        self._fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)

    def write(self, *entries: Mapping[str, Any]) -> None:
        os.write(self._fd, b"".join(json.dumps(entry).encode() + b"\n" for entry in entries))
        os.fsync(self._fd)


@dataclass(slots=True)
class Made:
    """A batch that the remote made."""

    id: str
    at: float
    keys: list[str]
    answers: dict[str, str] = field(default_factory=dict)  # of what succeeded: key -> text


@dataclass(slots=True)
class Ledger:
    """The same, as the checker reads it. `batches` in the order they were made."""

    batches: dict[str, Made] = field(default_factory=dict)
    texts: dict[str, str] = field(default_factory=dict)  # what a request said, by key

    @classmethod
    def read(cls, path: Path) -> Ledger:
        ledger = cls()
        for line in path.read_bytes().split(b"\n") if path.exists() else ():
            if line:
                ledger._take(json.loads(line))
        return ledger

    def _take(self, entry: Mapping[str, Any]) -> None:
        if entry["what"] == "create":
            self.batches[entry["batch"]] = Made(entry["batch"], entry["at"], [key for key, _ in entry["rows"]])
            self.texts.update(dict(entry["rows"]))
        elif entry["what"] == "answer" and entry["ok"]:
            self.batches[entry["batch"]].answers[entry["key"]] = entry["text"]

    def answered(self) -> dict[str, list[Made]]:
        """The batches that answered each request, by key."""
        found: dict[str, list[Made]] = defaultdict(list)
        for batch in self.batches.values():
            for key in batch.answers:
                found[key].append(batch)
        return found

    def answers_to(self, text: str) -> Sequence[str]:
        """Every answer given to requests that say `text`."""
        keys = {key for key, said in self.texts.items() if said == text}
        return [batch.answers[key] for batch in self.batches.values() for key in keys & batch.answers.keys()]
