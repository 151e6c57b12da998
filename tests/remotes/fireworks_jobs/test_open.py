"""From a provider block to Fireworks: card, address, account, key."""

from __future__ import annotations

import random
import subprocess
import sys
from typing import Any

import httpx
import pytest

from runner.clock import FastClock
from runner.errors import AuthFailed, Mark, SpecError, UsageError
from runner.job import project
from runner.job.capabilities import Search
from runner.job.observed import Origin
from runner.remotes import addresses, opening, registry

ENVIRON = {"FIREWORKS_API_KEY": "fw-canary-0123456789abcdef", "FIREWORKS_ACCOUNT_ID": "acme"}


def spec(**fields: Any) -> project.ProviderBlock:
    return project.ProviderBlock("fireworks", "fireworks", mark=Mark("specs/p.yaml", 9), **fields)


def open_(block: project.ProviderBlock, environ: dict[str, str], **more: Any) -> Any:
    return opening.open_provider(block, environ=environ, clock=FastClock(), rng=random.Random(7), **more)


def test_the_card() -> None:
    card = registry.card_of(spec())
    assert (card.search, card.knows_system_prompt) == (Search.BY_NAME, True)
    assert card.can_resume and not card.is_free
    assert card.endpoints == ("/v1/chat/completions",)
    assert (card.windows.allowed, card.windows.default) == ((12, 24, 48, 72), 24)
    assert card.limits.size_bytes == 950_000_000
    assert card.price_factor == 0.5


def test_facts_that_changed_can_be_overridden() -> None:
    overrides = {"limits": {"bytes": 500_000_000, "margin": 1}, "window": {"allowed": [24]}, "min_poll_s": 0.1}
    card = registry.card_of(spec(overrides=overrides))
    assert (card.limits.size_bytes, card.windows.allowed, card.min_poll_seconds) == (500_000_000, (24,), 0.1)


@pytest.mark.parametrize(
    "overrides",
    [
        {"nope": 1},
        {"limits": {"bytes": "many"}},
        {"limits": 3},
        {"limits": {"margin": 2}},
        {"window": {"allowed": []}},
        {"part_bytes": 0},
        {"discount": 2},
        {"settle_s": -1},
        {"storage_hosts": ["https://x.example/"]},
    ],
)
def test_overrides_that_mean_nothing(overrides: dict[str, Any]) -> None:
    with pytest.raises(SpecError) as caught:
        registry.card_of(spec(overrides=overrides))
    assert caught.value.problems[0].mark.line == 9
    assert "provider `fireworks`" in caught.value.problems[0].message


@pytest.mark.parametrize(
    ("fields", "environ", "origin"),
    [
        ({}, {"FIREWORKS_ACCOUNT_ID": "acme"}, Origin("fireworks", "api.fireworks.ai", "acme")),
        ({"account": "beta"}, {"FIREWORKS_ACCOUNT_ID": "acme"}, Origin("fireworks", "api.fireworks.ai", "beta")),
        ({"account": "accounts/beta"}, {}, Origin("fireworks", "api.fireworks.ai", "beta")),
        (
            {"account": "beta"},
            {"FIREWORKS_BASE_URL": "http://127.0.0.1:9/"},
            Origin("fireworks", "127.0.0.1:9", "beta"),
        ),
        (
            {"account": "beta", "base_url": "https://gw.example"},
            {"FIREWORKS_BASE_URL": "https://x.example", "RUNNER_FIREWORKS_BASE_URL": "http://localhost:7"},
            Origin("fireworks", "localhost:7", "beta"),
        ),
    ],
)
def test_origins_need_no_key(fields: dict[str, str], environ: dict[str, str], origin: Origin) -> None:
    assert addresses.origin_of(spec(**fields), environ) == origin
    with_key = open_(spec(**fields), environ)
    assert with_key.origin == origin
    with_key.close()


def test_a_missing_account_names_both_ways() -> None:
    for call in (lambda: addresses.origin_of(spec(), {}), lambda: open_(spec(), {})):
        with pytest.raises(SpecError) as caught:
            call()
        hint = caught.value.problems[0].hint
        assert "`account`" in hint and "`FIREWORKS_ACCOUNT_ID`" in hint


@pytest.mark.parametrize("account", ["a/b", "../x", "a b", "ä", "-a", "a" * 80])
def test_an_account_is_a_slug(account: str) -> None:
    with pytest.raises(SpecError):
        addresses.origin_of(spec(account=account), {})


def test_an_address_has_no_path() -> None:
    with pytest.raises(SpecError, match="problem") as caught:
        addresses.base_url_of(spec(base_url="https://api.fireworks.ai/inference/v1"), {})
    assert "has a path" in caught.value.problems[0].message
    with pytest.raises(UsageError, match="FIREWORKS_BASE_URL"):
        addresses.base_url_of(spec(), {"FIREWORKS_BASE_URL": "https://api.fireworks.ai/v1"})


def test_keys() -> None:
    assert addresses.key_variable_of(spec()) == "FIREWORKS_API_KEY"
    assert addresses.key_variable_of(spec(api_key_env="FW")) == "FW"
    assert addresses.key_variable_of(spec(base_url="https://gw.example")) == "FIREWORKS_API_KEY"
    other = project.ProviderBlock("fw2", "fireworks", base_url="https://gw.example")
    assert addresses.key_variable_of(other) == "FW2_API_KEY"


def test_the_key_is_a_bearer_and_read_late() -> None:
    asked: list[httpx.Request] = []

    def handler(request: httpx.Request) -> httpx.Response:
        asked.append(request)
        return httpx.Response(200, json={"batchInferenceJobs": [], "nextPageToken": ""})

    provider = open_(spec(), ENVIRON, transport=httpx.MockTransport(handler))
    assert list(provider.batches()) == []
    assert asked[0].headers["authorization"] == f"Bearer {ENVIRON['FIREWORKS_API_KEY']}"
    assert asked[0].url.path == "/v1/accounts/acme/batchInferenceJobs"
    assert ENVIRON["FIREWORKS_API_KEY"] not in repr(provider)
    provider.close()
    without = open_(spec(account="acme"), {})
    with pytest.raises(AuthFailed, match="FIREWORKS_API_KEY"):
        list(without.batches())


def test_a_server_that_is_given_needs_no_account() -> None:
    provider = open_(spec(), {}, base_url="http://127.0.0.1:1", token="token-0123456789")
    assert provider.origin.account == "local"
    provider.close()


def test_cards_and_origins_do_not_load_the_network() -> None:
    code = """
import sys
from runner.remotes import addresses, opening, registry
from runner.job import project
block = project.ProviderBlock("fireworks", "fireworks", account="acme")
registry.card_of(block), addresses.origin_of(block, {})
assert "httpx" not in sys.modules
"""
    subprocess.run([sys.executable, "-c", code], check=True)
