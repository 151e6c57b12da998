"""The params we say a vendor knows are those of its own SDK, here and in the stand-in that refuses others."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest
from fireworks.types.chat import completion_create_params as fireworks_chat
from openai.types import completion_create_params, embedding_create_params, moderation_create_params
from openai.types.audio import transcription_create_params
from openai.types.chat import completion_create_params as chat
from openai.types.responses import response_create_params as responses

from runner.job.project import ENDPOINTS
from runner.remotes.fireworks.declared import KNOWN_PARAMS
from runner.remotes.openai.declared import SpeechParams
from runner.remotes.openai.params import OPENAI
from runner.server.engines import requests

SDK = dict(
    zip(
        ENDPOINTS,
        (
            chat.CompletionCreateParamsBase,
            responses.ResponseCreateParamsBase,
            embedding_create_params.EmbeddingCreateParams,
            completion_create_params.CompletionCreateParamsBase,
            moderation_create_params.ModerationCreateParams,
        ),
        strict=True,
    )
)
STAND_INS = dict(
    zip(ENDPOINTS, (requests.Chat, requests.Respond, requests.Embed, requests.Complete, requests.Moderate), strict=True)
)
WRITTEN_BY_US = {"messages", "model", "input", "prompt", "stream", "stream_options"}


def names(kind: Any) -> set[str]:
    return {name for base in kind.__mro__ for name in getattr(base, "__annotations__", {})}


@pytest.mark.parametrize("endpoint", ENDPOINTS)
def test_openais(endpoint: str) -> None:
    assert set(OPENAI[endpoint]) <= names(SDK[endpoint])


@pytest.mark.parametrize("endpoint", ENDPOINTS)
def test_what_is_warned_of_and_what_the_stand_in_refuses_are_the_same(endpoint: str) -> None:
    taken = {field.encode_name for field in msgspec.structs.fields(STAND_INS[endpoint])}
    assert taken - WRITTEN_BY_US == set(OPENAI[endpoint]) - WRITTEN_BY_US


def test_fireworks() -> None:
    kinds = [kind for name, kind in vars(fireworks_chat).items() if name.startswith("CompletionCreateParams")]
    assert set(KNOWN_PARAMS) <= {name for kind in kinds if hasattr(kind, "__mro__") for name in names(kind)}


def test_forms_of_recordings() -> None:
    beside = {"hotwords", "vad_filter"}  # of servers that run faster-whisper
    assert set(SpeechParams.model_fields) - beside <= names(transcription_create_params.TranscriptionCreateParamsBase)
