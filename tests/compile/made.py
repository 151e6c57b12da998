"""Jobs for the tests of compile, with everything defaulted that a test is not about."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import msgspec

from runner.errors import Mark
from runner.job.project import Dataset, Job, Message, Model, Prompt


def job_of(
    user: str | Sequence[tuple[str, str]] = "What is the capital of {{ country }}?",
    *,
    files: tuple[str, ...] = ("a.jsonl",),
    dataset: Mapping[str, Any] | None = None,
    prompt: Mapping[str, Any] | None = None,
    model: Mapping[str, Any] | None = None,
    **job: Any,
) -> Job:
    messages = [("user", user)] if isinstance(user, str) else user
    return Job(
        address="j",
        name="j",
        cell={},
        dataset=Dataset(
            "countries",
            files,
            mark=Mark("s.yaml", 2),
            where_mark=Mark("s.yaml", 3),
            id_mark=Mark("s.yaml", 4),
            **(dataset or {}),
        ),
        prompt=Prompt(
            "capital",
            tuple(Message(role, text, Mark("s.yaml", 10 * i)) for i, (role, text) in enumerate(messages, 1)),
            **(prompt or {}),
        ),
        model=Model(
            **{"key": "m", "provider": "openai", "name": "gpt-x", "mark": Mark("s.yaml", 5)} | dict(model or {})
        ),
        window_hours=24,
        output="out.jsonl",
        **job,
    )


def write_rows(root: Path, rows: Iterable[Mapping[str, Any]], name: str = "a.jsonl") -> None:
    (root / name).write_bytes(b"".join(msgspec.json.encode(row) + b"\n" for row in rows))


COUNTRIES = [
    {"code": "PE", "country": "Perú", "population": 34},
    {"code": "TD", "country": "Chad", "population": 18},
    {"code": "CI", "country": "Côte d'Ivoire", "population": 29},
]
