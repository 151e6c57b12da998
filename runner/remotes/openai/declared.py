"""What specs may say about an OpenAI-style remote, its look-alikes and their models."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, Literal

from runner.fields import Fields, Maybe, Share, Text
from runner.job.capabilities import Content
from runner.job.project import ProviderBlock
from runner.remotes.openai.params import LOOK_ALIKE, OPENAI
from runner.remotes.openai.profiles import PROFILES, Profile, has_openais_models
from runner.remotes.overrides import overrides_of
from runner.remotes.params import Params
from runner.remotes.speech import Granularities, Language
from runner.remotes.vendor import Complaint, Declared, RecordingForm

KIND = "openai"
LOOK_ALIKES = tuple(name for name in PROFILES if name != KIND)  # by profile


def _known_params(block: ProviderBlock, endpoint: str) -> Params:
    return (OPENAI if has_openais_models(block) else LOOK_ALIKE).get(endpoint, {})


class SpeechParams(Fields):
    """The form that goes with a recording."""

    language: Maybe[Language] = None
    prompt: Maybe[Text] = None
    temperature: Maybe[Share] = None
    response_format: Maybe[Literal["json", "text", "srt", "vtt", "verbose_json"]] = None
    timestamp_granularities: Maybe[Granularities] = None
    chunking_strategy: Maybe[Literal["auto"]] = None
    hotwords: Maybe[Text] = None  # of servers that run faster-whisper
    vad_filter: Maybe[bool] = None


def _faults_of(form: Mapping[str, Any], task: str | None) -> Iterator[Complaint]:
    """Fields that need others."""
    if "timestamp_granularities" in form and form.get("response_format") != "verbose_json":
        words, hint = "needs `response_format: verbose_json`", "add `response_format: verbose_json`"
        yield Complaint("timestamp_granularities", words, hint)
    if task == "translate":
        for name in (name for name in ("language", "timestamp_granularities") if name in form):
            yield Complaint(name, "is for `task: transcribe` only", "give the job that translates a model without it")


FORM = RecordingForm(
    params=SpeechParams,
    faults=_faults_of,
    paths={"transcribe": "/v1/audio/transcriptions", "translate": "/v1/audio/translations"},
    endpoint_ids={},
)
DECLARED = Declared(
    has_online=True,
    content=frozenset({Content.TEXT, Content.RECORDING}),
    overrides=overrides_of(Profile, "ProfileOverrides"),
    profiles=LOOK_ALIKES,
    known_params=_known_params,
    needs_schema_name=has_openais_models,
    form=FORM,
    written=("model", "messages", "input", "stream"),  # a recording has a `prompt` among its params
    example_urls={
        "": "https://api.example.com/v1",
        "azure": "https://RESOURCE.openai.azure.com/openai/v1",
    },
    example_models={KIND: "gpt-4.1-nano"},
)
