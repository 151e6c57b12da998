"""What specs may say about a remote with datasets and batch inference jobs, and about its models.

Source: Fireworks "Create Batch Inference Job", and the types of the official SDKs (read 2026-11-21).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, Literal

from pydantic import ConfigDict, Field

from runner.fields import Count, Fields, Integer, Maybe, Share, Text, Texts
from runner.job.capabilities import Content
from runner.job.project import ENDPOINTS
from runner.remotes.fireworks.profile import Profile
from runner.remotes.overrides import overrides_of
from runner.remotes.params import (
    ANYTHING,
    FLAG,
    INTEGER,
    LIST,
    MAP,
    PENALTIES,
    TEXT,
    TOOLS,
    Params,
    each,
    either,
    number,
    one_of,
    whole,
)
from runner.remotes.vendor import Declared

KIND = "fireworks"
UNSPECIFIED = "PRECISION_UNSPECIFIED"
Precision = Literal[
    "PRECISION_UNSPECIFIED", "FP16", "FP8", "FP8_MM", "FP8_AR", "FP8_MM_KV_ATTN", "FP8_KV", "FP8_MM_V2", "FP8_V2",
    "FP8_MM_KV_ATTN_V2", "NF4", "FP4", "BF16", "FP4_BLOCKSCALED_MM", "FP4_MX_MOE",
]  # fmt: skip
Temperature = Annotated[float, Field(ge=0, le=2, allow_inf_nan=False)]


class PlacementFields(Fields):
    """Where a batch may run."""

    multi_region: Maybe[Text] = Field(
        default=None, alias="multiRegion", description="such as US, EUROPE, APAC or GLOBAL"
    )
    region: Maybe[Text] = Field(default=None, description="one region, in the vendor's words")
    regions: Maybe[Texts] = Field(default=None, description="regions that it may choose from")


class FireworksOptions(Fields):
    """Of a batch inference job as a whole."""

    precision: Maybe[Precision] = Field(default=None, description="a part of every request's identity")
    placement: Maybe[PlacementFields] = Field(default=None, description="where it runs; decides no answer")


class FireworksParams(Fields):
    """The params that the job knows as well as its rows; every other one is sent as it is written."""

    model_config = ConfigDict(extra="allow")

    max_tokens: Maybe[Count] = None
    temperature: Maybe[Temperature] = None
    top_p: Maybe[Share] = None
    top_k: Maybe[Integer] = None
    n: Maybe[Count] = None


# Source of the names: the types of the official SDK, fireworks-ai 1.2.30 (2026-11-30; a test compares). Kinds and
# ranges are from general knowledge of its reference. What `FireworksParams` holds is checked there.
KNOWN_PARAMS: Params = {
    **each(ANYTHING, "max_tokens", "n", "temperature", "top_k", "top_p"),
    **PENALTIES,
    **TOOLS,
    **each(FLAG, "echo", "ignore_eos", "raw_output", "return_token_ids", "safe_tokenization"),
    **each(number(0), "mirostat_lr", "mirostat_target"),
    **each(number(0, 1), "min_p", "typical_p"),
    **each(whole(0), "echo_last", "prompt_truncate_len"),
    **each(MAP, "metadata", "response_format", "thinking"),
    **each(TEXT, "prompt_cache_isolation_key", "prompt_cache_key", "reasoning_history", "service_tier", "user"),
    "context_length_exceeded_behavior": one_of("error", "truncate"),
    "logprobs": either(FLAG, whole(0, 5)),
    "max_completion_tokens": whole(1),
    "perf_metrics_in_response": FLAG,
    "prediction": either(TEXT, MAP),
    "reasoning_effort": either(TEXT, INTEGER, FLAG),
    "repetition_penalty": number(0, 2),
    "speculation": either(TEXT, LIST),
    "top_logprobs": whole(0, 5),
}


def _options_of(name: str, options: Mapping[str, Any]) -> dict[str, Any]:
    """Without a precision that says the same as none at all."""
    return {key: value for key, value in options.items() if (key, value) != ("precision", UNSPECIFIED)}


DECLARED = Declared(
    has_online=True,
    content=frozenset({Content.TEXT}),
    overrides=overrides_of(Profile, "FireworksOverrides"),
    url_has_path=False,
    example_models={KIND: "accounts/fireworks/models/llama-v3p1-8b-instruct"},
    params=FireworksParams,
    known_params=lambda block, endpoint: KNOWN_PARAMS if endpoint == ENDPOINTS[0] else {},
    options=FireworksOptions,
    options_of=_options_of,
    endpoints=(ENDPOINTS[0],),
    roles=("system", "user", "assistant", "tool"),
)
