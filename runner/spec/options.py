"""What a model may say to its provider alone: `options` of a batch as a whole, and `params` whose values are known.

Source: Fireworks "Create Batch Inference Job", "Transcribe audio" and "Translate audio", and the types of the official
SDKs (read 2026-11-21).
"""

from __future__ import annotations

import re
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BeforeValidator, ConfigDict, Field, WithJsonSchema

from runner.fields import Count, Fields, Integer, Maybe, Seconds, Share, Text, Texts, complaint, listed

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
    region: Maybe[Text] = None
    regions: Maybe[Texts] = None


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


LANGUAGES = frozenset(
    (  # noqa: SIM905  # a list of a hundred lines says no more
        "en zh de es ru ko fr ja pt tr pl ca nl ar sv it id hi fi vi he uk el ms cs ro da hu ta no th ur hr bg lt la mi"
        " ml cy sk te fa lv bn sr az sl kn et mk br eu is hy ne mn bs kk sq sw gl mr pa si km sn yo so af oc ka be tg"
        " sd gu am yi lo uz fo ht ps tk nn mt sa lb my bo tl mg as tt haw ln ha ba jw su yue zh-hant zh-hans"
    ).split()
)


def _language(value: str) -> str:
    if value not in LANGUAGES:
        near = next((code for code in (value.casefold(), value[:2].casefold()) if code in LANGUAGES), None)
        hint = f"did you mean `{near}`?" if near else "languages are written as in ISO 639-1"
        raise complaint("must be a language code such as `en`, `de` or `zh-hans`", hint)
    return value


def _at_commas(value: Any) -> Any:
    return [part.strip() for part in value.split(",")] if isinstance(value, str) else value


Granularities = Annotated[list[Literal["word", "segment"]], Field(min_length=1), BeforeValidator(_at_commas)]
Temperatures = Annotated[list[Share], Field(min_length=1), BeforeValidator(listed)]
Language = Annotated[str, AfterValidator(_language), WithJsonSchema({"enum": sorted(LANGUAGES)})]


def _route(value: str) -> str:
    if not re.fullmatch(r"/?[A-Za-z0-9_.-]+(?:/[A-Za-z0-9_.-]+)*/?", value) or ".." in value:
        raise complaint("must be a path of the API", "such as `v1/audio/transcriptions`")
    return value


Route = Annotated[str, AfterValidator(_route)]


class AudioOptions(Fields):
    """Where and as what a remote runs recordings."""

    endpoint_id: Maybe[Text] = Field(default=None, description="such as audio-prod")
    path: Maybe[Route] = Field(default=None, description="of the API, such as v1/audio/transcriptions")


class AudioParams(Fields):
    """The form that goes with a recording."""

    vad_model: Maybe[Literal["silero", "whisperx-pyannet"]] = None
    alignment_model: Maybe[Literal["mms_fa", "tdnn_ffn", "gentle"]] = None
    language: Maybe[Language] = None
    prompt: Maybe[Text] = None
    temperature: Maybe[Temperatures] = None
    response_format: Maybe[Literal["json", "text", "srt", "vtt", "verbose_json"]] = None
    timestamp_granularities: Maybe[Granularities] = None
    diarize: Maybe[bool] = None
    min_speakers: Maybe[Count] = None
    max_speakers: Maybe[Count] = None
    preprocessing: Maybe[Literal["none", "dynamic", "soft_dynamic", "bass_dynamic"]] = None
    diarization_model: Maybe[Text] = None
    skip_vad: Maybe[bool] = None
    max_clip_len: Maybe[Seconds] = None
