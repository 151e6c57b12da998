"""What specs may say about a remote that takes recordings, its models, and the form that goes with a recording.

Source: Fireworks "Transcribe audio" and "Translate audio", and the types of the official SDKs (read 2026-11-21).
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, Field

from runner.fields import Count, Fields, Maybe, Seconds, Text, complaint
from runner.job.capabilities import Content
from runner.remotes.fireworks_audio.profile import Profile
from runner.remotes.overrides import overrides_of
from runner.remotes.speech import Granularities, Language, Temperatures
from runner.remotes.vendor import Complaint, Declared, RecordingForm

KIND = "fireworks-audio"
ENDPOINT_IDS = {"whisper-v3": "audio-prod", "whisper-v3-turbo": "audio-turbo"}  # by model
_VERBOSE = "verbose_json"
_OF_TRANSCRIPTIONS = ("diarize", "min_speakers", "max_speakers", "diarization_model")


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


def _faults_of(form: Mapping[str, Any], task: str | None) -> Iterator[Complaint]:
    """Fields that need others."""
    if task == "translate":
        for name in (name for name in _OF_TRANSCRIPTIONS if name in form):
            yield Complaint(name, "is for `task: transcribe` only", "give the job that translates a model without it")
    else:
        yield from _faults_of_speakers(form)
    if "timestamp_granularities" in form and form.get("response_format") != _VERBOSE:
        words, hint = f"needs `response_format: {_VERBOSE}`", f"add `response_format: {_VERBOSE}`"
        yield Complaint("timestamp_granularities", words, hint)


def _faults_of_speakers(form: Mapping[str, Any]) -> Iterator[Complaint]:
    granularities = form.get("timestamp_granularities", "")
    words = granularities.split(",") if isinstance(granularities, str) else granularities
    is_of_words = isinstance(words, list) and "word" in [str(word).strip() for word in words]
    if form.get("diarize") is True and not (form.get("response_format") == _VERBOSE and is_of_words):
        needs = f"needs `response_format: {_VERBOSE}` and `word` among `timestamp_granularities`"
        missing = [] if form.get("response_format") == _VERBOSE else [f"`response_format: {_VERBOSE}`"]
        missing += [] if is_of_words else ["`timestamp_granularities: [word]`"]
        yield Complaint("diarize", needs, "write " + " and ".join(missing))
    for name in (name for name in ("min_speakers", "max_speakers") if name in form):
        if form.get("diarize") is not True:
            yield Complaint(name, "needs `diarize: true`", "add it, or remove the line")
    low, high = form.get("min_speakers"), form.get("max_speakers")
    if isinstance(low, int) and isinstance(high, int) and low > high:
        yield Complaint("min_speakers", "is more than `max_speakers`", "")


FORM = RecordingForm(
    params=AudioParams,
    faults=_faults_of,
    paths={"transcribe": "/v1/audio/transcriptions", "translate": "/v1/audio/translations"},
    endpoint_ids=ENDPOINT_IDS,
)
DECLARED = Declared(
    content=frozenset({Content.RECORDING}),
    overrides=overrides_of(Profile, "AudioOverrides"),
    url_has_path=False,
    options=AudioOptions,
    form=FORM,
    written=("model", "file"),
)
