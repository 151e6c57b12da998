"""How answers end, in words that are the same for every remote; and which endings make an answer none.

An answer that was cut, refused or filtered is paid for like any other. It is kept, and counted apart.
"""

from __future__ import annotations

from collections.abc import Mapping

import msgspec

STOP, TOOL_CALLS = "stop", "tool_calls"
LENGTH, FILTERED, REFUSAL, INCOMPLETE = "length", "content_filter", "refusal", "incomplete"
NOT_JSON, INVALID, EMPTY = "not_json", "invalid", "empty"


class Flaw(msgspec.Struct, frozen=True):
    """Why an answer is none, in the words of a count, of an error, and of the next step."""

    counted: str  # after a number: `2 of them cut at the token limit`
    message: str
    hint: str


FLAWS: Mapping[str, Flaw] = {
    LENGTH: Flaw(
        "cut at the token limit",
        "the answer was cut at the token limit",
        "raise `max_tokens` in the `params` of the model (that asks every row again), or ask for less",
    ),
    FILTERED: Flaw(
        "stopped by a content filter",
        "a content filter of the remote stopped the answer",
        "word the rows or the prompt in another way, or take the rows out with `where`",
    ),
    REFUSAL: Flaw(
        "refused",
        "the model refused to answer",
        "word the rows or the prompt in another way, or take the rows out with `where`",
    ),
    INCOMPLETE: Flaw(
        "not finished",
        "the remote broke the answer off",
        "`strict_answers: true` of the job makes them errors, which `runner retry JOB` asks again",
    ),
    NOT_JSON: Flaw(
        "not the JSON asked for",
        "JSON was asked for, and the answer is none",
        "describe the wanted JSON in the prompt, or give a `json_schema` as `response_format`",
    ),
    INVALID: Flaw(
        "not what the schema wants",
        "the answer is JSON, and not what the schema wants",
        "say more of what is wanted in the prompt, or loosen the schema; `on_invalid: retry` of the job asks again",
    ),
    EMPTY: Flaw("empty", "the answer is empty", "look at `response` in the results file to see what came instead"),
}

# What remotes write. Source: `finish_reason` of OpenAI chat and completions, `incomplete_details.reason` of its
# responses; Mistral (`model_length`, `error`), Together (`eos`), vLLM (`abort`), gateways that pass on the words of
# others (`end_turn`, `max_tokens`, `SAFETY`). Read 2026-11-30.
_WORDS: Mapping[str, str] = {
    **dict.fromkeys(("stop", "eos", "end_turn", "stop_sequence", "completed", "complete"), STOP),
    **dict.fromkeys(("tool_calls", "function_call", "tool_use"), TOOL_CALLS),
    **dict.fromkeys(("length", "max_tokens", "max_output_tokens", "model_length", "max_length"), LENGTH),
    **dict.fromkeys(("content_filter", "safety", "content_filtered", "recitation", "prohibited_content"), FILTERED),
    "refusal": REFUSAL,
    **dict.fromkeys(("incomplete", "error", "abort", "cancelled", "canceled", "failed", "in_progress"), INCOMPLETE),
}


def finish_of(word: str | None) -> str | None:
    """The word for how an answer ended; a remote's own where we know no better, None where it says nothing."""
    return _WORDS.get(word.lower(), word[:64]) if word else None


def told(flaws: Mapping[str, int]) -> str:
    """`2 of them cut at the token limit, 1 refused`, the most frequent first; empty without any."""
    most = sorted(((number, name) for name, number in flaws.items() if number), key=lambda one: (-one[0], one[1]))
    parts = [f"{number:,} {FLAWS[name].counted if name in FLAWS else name}" for number, name in most]
    if not parts:
        return ""
    number, _, rest = parts[0].partition(" ")
    return ", ".join([f"{number} of them {rest}", *parts[1:]])
