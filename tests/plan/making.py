"""Jobs and batches made of single letters, so that a case reads as arithmetic."""

from __future__ import annotations

import hashlib
from array import array
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

from runner.errors import Mark
from runner.job.capabilities import Capabilities, Limits, Search, Windows
from runner.job.desired import Desired
from runner.job.observed import Counts, Origin
from runner.job.outcomes import Outcome, pack
from runner.job.packed import Sorter, keys_of
from runner.job.recorded import Batch, Stage, Tally
from runner.plan.remaining import BatchRows

HERE = Origin("openai", "api.openai.com")
THERE = Origin("openai", "elsewhere.example")
NOW = datetime(2031, 2, 3, 4, 5, 6, tzinfo=UTC)
OUTCOMES = {
    "ok": Outcome.OK,
    "final": Outcome.FINAL,
    "retry": Outcome.RETRY,
    "lost": Outcome.LOST,
    "rejected": Outcome.REJECTED,
    "unpaid": Outcome.UNPAID,
    "invalid": Outcome.INVALID,
    "invalid for good": Outcome.INVALID_FOR_GOOD,
    "gave up": Outcome.GAVE_UP,
    "late": Outcome.LATE,
}


def key(letter: str) -> bytes:
    return hashlib.sha256(letter.encode()).digest()[:16]


def packed(letters: Sequence[str]) -> bytes:
    return b"".join(key(letter) for letter in letters)


def card(**changes: Any) -> Capabilities:
    fields: dict[str, Any] = {
        "search": Search.BY_LABEL,
        "endpoints": ("/v1/chat/completions",),
        "windows": Windows(),
        "limits": Limits(lines=3, size_bytes=1000),
    }
    return Capabilities(**{**fields, **changes})


def job(address: str, letters: Sequence[str], **changes: Any) -> Desired:
    fields: dict[str, Any] = {
        "address": address,
        "declared_at": Mark("specs/a.yaml", 3, 1),
        "provider": "openai",
        "origin": HERE,
        "card": card(),
        "model": "m",
        "endpoint": "/v1/chat/completions",
        "window_hours": 24,
        "output": f"results/{address}.jsonl",
        "keys": packed(letters),
        "sizes": array("I", [99] * len(letters)),
        "tokens": 10 * len(letters),
    }
    return Desired(**{**fields, **changes})


def batch(name: str, rows: Mapping[str, str] | Sequence[str], sequence: int = 1, **changes: Any) -> BatchRows:
    """A batch of letters: a mapping of letter to outcome is collected, a list is in flight."""
    letters = list(rows)
    collected = isinstance(rows, Mapping)
    outcomes = [OUTCOMES[outcome] for outcome in rows.values()] if isinstance(rows, Mapping) else []
    responded = sum(outcome in (Outcome.OK, Outcome.FINAL) for outcome in outcomes)
    fields: dict[str, Any] = {
        "key": name,
        "project": "p",
        "owner": "job",
        "origin": HERE,
        "endpoint": "/v1/chat/completions",
        "model": "m",
        "window_hours": 24,
        "rows": len(letters),
        "size_bytes": 100 * len(letters),
        "keys_sha256": name,
        "attempt": 1,
        "generation": 0,
        "sequence": sequence,
        "intent_at": NOW,
        "stage": Stage.COLLECTED if collected else Stage.SUBMITTED,
        "remote_id": name,
        "counts": Counts(len(letters), responded, 0),
        "tally": Tally(ok=outcomes.count(Outcome.OK), final=outcomes.count(Outcome.FINAL)),
        "index_sha256": name if collected else "",
    }
    sorter = Sorter(24)
    for letter, outcome in zip(letters, outcomes, strict=False):
        sorter.add(pack(key(letter), outcome))
    return BatchRows(Batch(**{**fields, **changes}), keys_of(packed(letters)), sorter.sorted() if collected else b"")
