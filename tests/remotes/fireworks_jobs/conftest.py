"""A fake control plane and a provider that speaks to it."""

from __future__ import annotations

import random
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from runner.clock import Clock, FastClock
from runner.job import project
from runner.remotes.fireworks.provider import FireworksProvider
from runner.remotes.opening import open_provider
from tests.remotes.fireworks_jobs.fake import ACCOUNT, KEY, Fake, serving
from tests.remotes.fireworks_jobs.made import ROWS, Opener
from tests.remotes.making import START


@pytest.fixture
def fake() -> Iterator[Fake]:
    with serving(Fake()) as running:
        yield running


@pytest.fixture
def opened(fake: Fake) -> Iterator[Opener]:
    """Opens providers on the fake; keywords are `overrides`."""
    with ExitStack() as stack:

        def open_(clock: Clock | None = None, read_only: bool = False, **overrides: Any) -> FireworksProvider:
            provider = open_provider(
                project.ProviderBlock("fireworks", "fireworks", account=ACCOUNT, overrides=overrides),
                environ={"FIREWORKS_API_KEY": KEY},
                base_url=fake.base_url,
                read_only=read_only,
                clock=clock or FastClock(START),
                rng=random.Random(7),
            )
            assert isinstance(provider, FireworksProvider)
            stack.callback(provider.close)
            return provider

        yield open_


@pytest.fixture
def provider(opened: Opener) -> FireworksProvider:
    return opened()


@pytest.fixture
def source(tmp_path: Path) -> Path:
    path = tmp_path / "in.jsonl"
    path.write_bytes(ROWS)
    return path
