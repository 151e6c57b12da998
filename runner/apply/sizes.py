"""How large the results of a batch can be: more is no answer to what was asked, and a remote may send for ever."""

from __future__ import annotations

from collections.abc import Mapping

from runner.job.recorded import Batch
from runner.remotes.vendor import LARGEST_FILE

LEAST = 16 * 1024**2  # bytes, however little was asked
ROW = 64 * 1024  # ids, headers, usage, the words of an error
ROW_UNBOUNDED = 1024**2  # where nothing bounds an answer: 128,000 tokens, mostly of ASCII
ROW_OF_PICTURES = 32 * 1024**2
ROW_OF_VECTORS = 4 * 1024**2
TOKEN = 128  # a token is a few characters, and a character may be twelve bytes: `\\ud83d\\ude00`
ALTERNATIVE = 320  # a token's text, bytes and log probability, for each one shown
_LIMITS = ("max_tokens", "max_completion_tokens", "max_output_tokens")


def largest_results(batch: Batch) -> int:
    """The most bytes that one result file of a batch can have: each row twice, each with its request repeated."""
    return min(LEAST + 2 * (batch.rows * _row(batch.endpoint, batch.params) + 4 * batch.size_bytes), LARGEST_FILE)


def _row(endpoint: str, params: Mapping[str, object]) -> int:
    if "images" in endpoint or "videos" in endpoint:
        return ROW_OF_PICTURES * max(1, _number(params.get("n")))
    if "embeddings" in endpoint:
        return ROW_OF_VECTORS
    tokens = max(_number(params.get(name)) for name in _LIMITS)
    alternatives = _number(params.get("top_logprobs")) + 1 if params.get("logprobs") else 0
    answer = tokens * (TOKEN + ALTERNATIVE * alternatives) if tokens else ROW_UNBOUNDED * (1 + alternatives)
    return ROW + answer * max(1, _number(params.get("n")))


def _number(value: object) -> int:
    return value if isinstance(value, int) and not isinstance(value, bool) else 0
