"""How long an answer may be, where each row says so itself: what a job may cost at most is counted by the longest."""

from __future__ import annotations

from collections.abc import Iterable

import msgspec


class _Bound(msgspec.Struct, gc=False):
    """The names that endpoints have for it; all else of a body is skipped."""

    max_completion_tokens: int | None = None
    max_tokens: int | None = None
    max_output_tokens: int | None = None


_bound = msgspec.json.Decoder(_Bound).decode


def longest_answer(bodies: Iterable[bytes], so_far: int) -> int | None:
    """Tokens of the longest answer that any of these bodies allows, or of `so_far`; None where one does not say."""
    for body in bodies:
        try:
            said = _bound(body)
        except msgspec.ValidationError:
            return None
        limit = said.max_completion_tokens or said.max_tokens or said.max_output_tokens
        if limit is None:
            return None
        so_far = max(so_far, limit)
    return so_far
