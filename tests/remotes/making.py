"""Providers and clients for the tests of this folder."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import Any

import httpx

from runner.clock import Clock, FastClock
from runner.job import project
from runner.remotes.opening import open_provider
from runner.remotes.transport.exchange import HttpSettings, Transport
from runner.remotes.transport.http import Http
from runner.remotes.vendor import Provider, Submission

KEY = "sk-canary-0123456789abcdef"
START = datetime(2031, 2, 3, 4, 5, 6, tzinfo=UTC)

SUBMISSION = Submission(
    name="runner-capitals-0123456789abcdef-1",
    model="m",
    endpoint="/v1/chat/completions",
    window_hours=24,
    label={
        "runner_project": "capitals",
        "runner_set": "0123456789abcdef0123456789abcdef",
        "runner_attempt": "1",
        "runner_rows": "250",
        "runner_job": "capitals:model=llama",
        "runner_generation": "0",
    },
    rows=250,
)

Handler = Callable[[httpx.Request], httpx.Response]


def spec_of(name: str = "openai", **fields: Any) -> project.ProviderBlock:
    """A provider block; a look-alike's name also names its profile."""
    if name == "azure":
        fields.setdefault("base_url", "https://acme.openai.azure.com/openai/v1")
    kind = "embedded" if name == "embedded" else "openai"
    profile = None if name in ("openai", "embedded") else name
    return project.ProviderBlock(name, kind, **{"profile": profile, **fields})


@contextmanager
def provider_at(
    spec: project.ProviderBlock,
    handler: Handler | None = None,
    *,
    base_url: str | None = None,
    clock: Clock | None = None,
    environ: Mapping[str, str] | None = None,
    read_only: bool = False,
) -> Iterator[Provider]:
    """A provider whose remote is `handler`, or the server at `base_url`; its token is KEY unless `environ` is given."""
    provider = open_provider(
        spec,
        environ=environ or {},
        base_url=base_url or ("http://127.0.0.1:1/v1" if spec.kind == "embedded" else None),
        token=KEY if environ is None else None,
        read_only=read_only,
        clock=clock or FastClock(START),
        rng=random.Random(7),
        transport=httpx.MockTransport(handler) if handler else None,
    )
    try:
        yield provider
    finally:
        provider.close()


@contextmanager
def http_at(
    base_url: str = "https://api.example.com/v1",
    handler: Handler | None = None,
    *,
    clock: Clock | None = None,
    settings: HttpSettings | None = None,
    transport: Transport | None = None,
) -> Iterator[Http]:
    http = Http(
        base_url,
        who="acme",
        headers=lambda url: {"authorization": f"Bearer {KEY}"},
        key_name="`ACME_API_KEY`",
        clock=clock or FastClock(START),
        rng=random.Random(7),
        transport=transport or (httpx.MockTransport(handler) if handler else None),
        settings=settings or HttpSettings(),
    )
    try:
        yield http
    finally:
        http.close()
