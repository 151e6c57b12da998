"""How large the results of a batch can be."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import msgspec
import pytest

from runner.apply.sizes import LEAST, largest_results
from runner.job.observed import Origin
from runner.job.recorded import Batch
from runner.remotes.vendor import LARGEST_FILE


def batch(rows: int, endpoint: str = "/v1/chat/completions", **params: Any) -> Batch:
    return Batch(
        key="k-1",
        project="p",
        owner="o",
        origin=Origin("lab", "127.0.0.1", ""),
        endpoint=endpoint,
        model="m",
        window_hours=24,
        rows=rows,
        size_bytes=200 * rows,
        keys_sha256="",
        attempt=1,
        generation=0,
        sequence=1,
        intent_at=datetime(2031, 2, 3, tzinfo=UTC),
        params=params,
    )


def longest_line(tokens: int, choices: int = 1, shown: int = 0) -> int:
    """A line as long as a remote can make it honestly: every token five characters outside the first plane."""
    told = {"token": "\U0001f600" * 5, "logprob": -12.345678901234567, "bytes": [240] * 20}
    content = [{**told, "top_logprobs": [told] * shown}] * tokens if shown else None
    choice = {"message": {"content": "\U0001f600" * tokens * 5}, "logprobs": content}
    line = msgspec.json.encode({"response": {"body": {"choices": [choice] * choices}}}).decode()
    return len(line.encode("ascii", "backslashreplace"))  # ten characters each; as JSON escapes them it is twelve


@pytest.mark.parametrize(("tokens", "choices", "shown"), [(16, 1, 0), (16, 3, 0), (4096, 1, 0), (64, 1, 20)])
def test_an_honest_file_fits(tokens: int, choices: int, shown: int) -> None:
    params: dict[str, Any] = {"max_tokens": tokens, "n": choices}
    if shown:
        params |= {"logprobs": True, "top_logprobs": shown}
    cap = largest_results(batch(50_000, **params))
    assert 1.2 * longest_line(tokens, choices, shown) * 50_000 < cap < LARGEST_FILE or cap == LARGEST_FILE


def test_few_tokens_are_not_gigabytes() -> None:
    assert largest_results(batch(2, max_tokens=16)) < 2 * LEAST
    assert largest_results(batch(100, max_completion_tokens=16)) < 2 * LEAST
    assert largest_results(batch(100)) < 300 * 1024**2
    assert largest_results(batch(2, endpoint="/v1/embeddings")) < 3 * LEAST
    assert largest_results(batch(10**6, max_tokens=10**6)) == LARGEST_FILE
    assert largest_results(batch(2, max_tokens="many", n=True)) == largest_results(batch(2))  # type: ignore[arg-type]
