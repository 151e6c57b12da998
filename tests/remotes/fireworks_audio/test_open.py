"""Addresses, cards and keys of a provider for recordings, all as data."""

from __future__ import annotations

import random
from pathlib import Path
from typing import Any

import pytest

from runner.clock import FastClock
from runner.errors import AuthFailed, SpecError, UsageError
from runner.job import project
from runner.job.capabilities import Content, Search, Transport
from runner.job.observed import Origin
from runner.remotes import addresses, opening, registry
from runner.remotes.transport.calls import Calls
from tests.remotes.fireworks_audio.made import RECEIPT, SUBMITTED, provider_at, recording, spec_of
from tests.remotes.loopback import reply, send, serving
from tests.remotes.making import KEY

EMBEDDED = project.ProviderBlock("embedded", "embedded")


def test_the_card() -> None:
    card = registry.card_of(spec_of())
    assert card == registry.card_of(spec_of(), Content.RECORDING)
    assert card.search is Search.NONE
    assert not card.can_resume
    assert not card.is_free
    assert card.windows.allowed == (24,)
    assert card.limits.line_bytes == 1_000_000_000
    assert card.price_factor == pytest.approx(0.6)
    assert (card.min_poll_seconds, card.max_poll_seconds) == (10, 60)
    assert card.endpoints == ("/v1/audio/transcriptions", "/v1/audio/translations")


def test_a_spec_may_change_the_facts() -> None:
    changed = spec_of(overrides={"max_bytes": 5, "parallelism": 2, "min_poll_s": 90, "discount": 0})
    card = registry.card_of(changed)
    assert (card.limits.line_bytes, card.min_poll_seconds, card.max_poll_seconds, card.price_factor) == (5, 90, 90, 1)
    with provider_at("http://127.0.0.1:1", changed) as remote:
        assert remote.parallelism == 2


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        ({"parallel": 2}, "parallel"),
        ({"auth_scheme": "basic"}, "auth_scheme"),
        ({"parallelism": 0}, "must be positive"),
        ({"parallelism": 1000}, "at most 64"),
        ({"max_bytes": "much"}, "max_bytes"),
        ({"discount": 40}, "from 0 to 1"),
        ({"min_poll_s": -1}, "negative"),
    ],
)
def test_facts_that_mean_nothing(overrides: dict[str, Any], message: str) -> None:
    with pytest.raises(SpecError) as caught:
        registry.card_of(spec_of(overrides=overrides))
    assert message in caught.value.problems[0].message


@pytest.mark.parametrize(
    ("environ", "fields", "host"),
    [
        ({}, {}, "audio-batch.api.fireworks.ai"),
        (
            {"FIREWORKS_AUDIO_BASE_URL": "https://batch.us-nevada-1.direct.fireworks.ai/"},
            {},
            "batch.us-nevada-1.direct.fireworks.ai",
        ),
        ({"FIREWORKS_BASE_URL": "https://api.example.com"}, {}, "audio-batch.api.fireworks.ai"),
        ({"FIREWORKS_AUDIO_BASE_URL": "https://a.example"}, {"base_url": "https://b.example"}, "b.example"),
        ({"RUNNER_FIREWORKS_AUDIO_BASE_URL": "https://c.example"}, {"base_url": "https://b.example"}, "c.example"),
    ],
)
def test_where_it_is(environ: dict[str, str], fields: dict[str, Any], host: str) -> None:
    assert addresses.origin_of(spec_of(**fields), environ) == Origin("fireworks-audio", host)
    assert addresses.origin_of(spec_of(account="acme", **fields), environ).account == "acme"


def test_an_address_with_a_path_is_refused() -> None:
    with pytest.raises(UsageError, match="has a path"):
        addresses.base_url_of(spec_of(), {"FIREWORKS_AUDIO_BASE_URL": "https://a.example/v1"})


def test_the_key_stays_with_its_host() -> None:
    assert addresses.key_variable_of(spec_of()) == "FIREWORKS_API_KEY"
    assert addresses.key_variable_of(spec_of(base_url="https://b.example")) == "FIREWORKS_AUDIO_API_KEY"


def test_without_a_key_nothing_is_sent(tmp_path: Path) -> None:
    with serving(send(reply(200, SUBMITTED))) as server, provider_at(server.base_url, environ={}) as remote:
        with pytest.raises(AuthFailed, match="`FIREWORKS_API_KEY` is not set"):
            remote.submit(recording(tmp_path))
        assert not server.connections


@pytest.mark.parametrize("suffix", ["", "/"])
def test_the_embedded_server_takes_recordings_too(tmp_path: Path, suffix: str) -> None:
    origin = Origin("embedded", "embedded:1234")
    with serving(send(reply(200, SUBMITTED))) as server:
        remote = opening.open_provider(
            EMBEDDED,
            Content.RECORDING,
            environ={},
            base_url=server.base_url.removesuffix("/v1") + suffix,
            token=KEY,
            origin=origin,
            clock=FastClock(),
            rng=random.Random(7),
        )
        assert isinstance(remote, Calls)
        assert remote.caller.submit(recording(tmp_path)) == RECEIPT
        remote.close()
    assert server.requests[0].path.startswith("/v1/audio/transcriptions?")
    assert server.requests[0].headers["authorization"] == KEY
    assert remote.origin == origin
    assert remote.card.is_free
    assert remote.card.max_poll_seconds < 10


def test_other_kinds_take_no_recordings() -> None:
    with pytest.raises(SpecError) as caught:
        registry.card_of(project.ProviderBlock("fireworks", "fireworks"), Content.RECORDING)
    assert "takes no recordings" in caught.value.problems[0].message
    online = registry.card_of(project.ProviderBlock("openai", "openai"), Content.RECORDING)
    assert online.transport is Transport.ONLINE and online.limits.line_bytes < 25 * 1024 * 1024


def test_it_takes_nothing_but_recordings() -> None:
    with pytest.raises(SpecError) as caught:
        opening.open_provider(spec_of(), environ={}, clock=FastClock(), rng=random.Random(7))
    assert "takes recordings only" in caught.value.problems[0].message
