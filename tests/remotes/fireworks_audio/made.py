"""Recordings, providers and answers for the tests of this folder."""

from __future__ import annotations

import hashlib
import random
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from runner.clock import Clock, FastClock
from runner.job import project
from runner.job.capabilities import Content
from runner.remotes.audio import Receipt, Recording
from runner.remotes.opening import open_provider
from runner.remotes.transport.caller import Caller
from runner.remotes.transport.calls import Calls
from tests.remotes.making import KEY, START

SUBMITTED = {
    "status": "submitted",
    "batch_id": "b-7c1d",
    "account_id": "acme",
    "endpoint_id": "audio-prod",
    "message": "Request submitted successfully",
}
RECEIPT = Receipt("b-7c1d", "acme")
SOUND = b"fLaC-sound"


def spec_of(**fields: Any) -> project.ProviderBlock:
    return project.ProviderBlock("fireworks-audio", "fireworks-audio", **fields)


def recording(
    folder: Path, data: bytes = SOUND, fields: Mapping[str, str] | None = None, *, is_checked: bool = True
) -> Recording:
    source = folder / "audio.flac"
    source.write_bytes(data)
    return Recording(
        source=source,
        filename="audio.flac",
        size_bytes=len(data),
        path="v1/audio/transcriptions",
        endpoint_id="audio-prod",
        fields={"model": "whisper-v3", "response_format": "json"} if fields is None else fields,
        sha256=hashlib.sha256(data).digest() if is_checked else b"",
    )


@contextmanager
def provider_at(
    base_url: str,
    spec: project.ProviderBlock | None = None,
    *,
    environ: Mapping[str, str] | None = None,
    clock: Clock | None = None,
    **more: Any,
) -> Iterator[Caller]:
    """What makes the calls of a provider whose remote is at `base_url`, with or without `/v1`."""
    provider = open_provider(
        spec or spec_of(),
        Content.RECORDING,
        environ={"FIREWORKS_API_KEY": KEY} if environ is None else environ,
        base_url=base_url.removesuffix("/v1"),
        clock=clock or FastClock(START),
        rng=random.Random(7),
        **more,
    )
    try:
        assert isinstance(provider, Calls)
        yield provider.caller
    finally:
        provider.close()
