"""From a provider block to a remote: addresses, keys and origins, and none of it needed before the first call."""

from __future__ import annotations

import random
import subprocess
import sys
import types
from pathlib import Path
from typing import Any

import pytest

from runner.clock import FastClock
from runner.errors import AuthFailed, Mark, RunnerError, SpecError, UsageError
from runner.job import project
from runner.job.observed import Origin
from runner.remotes.addresses import base_url_of, key_variable_of, origin_of
from runner.remotes.opening import open_provider
from runner.remotes.registry import card_of
from runner.remotes.transport.credentials import Credential
from tests.remotes.making import KEY, provider_at, spec_of
from tests.remotes.openai.fake import Remote, batch

MINE = project.ProviderBlock("fastapi-ai", "openai", base_url="https://api.fastapi.ai/v1", mark=Mark("specs/p.yaml", 9))


def words_of(error: RunnerError) -> str:
    return error.problems[0].message if isinstance(error, SpecError) else error.message


# -- addresses


@pytest.mark.parametrize(
    ("spec", "environ", "base_url"),
    [
        (spec_of(), {}, "https://api.openai.com/v1"),
        (spec_of(), {"OPENAI_BASE_URL": "https://gw.example/v1/"}, "https://gw.example/v1"),
        (spec_of(base_url="https://eu.api.openai.com/v1"), {"OPENAI_BASE_URL": "https://gw.example/v1"}, "https://eu.api.openai.com/v1"),
        (spec_of(base_url="https://a.example/v1"), {"RUNNER_OPENAI_BASE_URL": "http://127.0.0.1:9/v1"}, "http://127.0.0.1:9/v1"),
        (MINE, {}, "https://api.fastapi.ai/v1"),
        (MINE, {"RUNNER_FASTAPI_AI_BASE_URL": "http://localhost:8080/v1"}, "http://localhost:8080/v1"),
        (spec_of("groq"), {"OPENAI_BASE_URL": "https://gw.example/v1"}, "https://api.groq.com/openai/v1"),
        (spec_of("embedded"), {"RUNNER_EMBEDDED_BASE_URL": "http://[::1]:7/v1"}, "http://[::1]:7/v1"),
    ],
)  # fmt: skip
def test_addresses(spec: project.ProviderBlock, environ: dict[str, str], base_url: str) -> None:
    assert base_url_of(spec, environ) == base_url
    assert base_url_of(spec, environ, "http://127.0.0.1:5/v1") == "http://127.0.0.1:5/v1"


@pytest.mark.parametrize(
    "base_url",
    [
        "http://api.example.com/v1",
        "http://127.0.0.1.evil.example/v1",
        "ftp://a/v1",
        "api.example.com/v1",
        "https:///v1",
        "https://user:pw@a.example/v1",
        "https://a.example/v1?key=x",
        "https://a.example/v1#x",
        "https://a.example:99999/v1",
        "https://a b.example/v1",
        "https://[::1/v1",
        "https://a.example/\nv1",
    ],
)
def test_addresses_that_are_refused(base_url: str) -> None:
    spec = project.ProviderBlock("mine", "openai", base_url=base_url, mark=Mark("specs/p.yaml", 9))
    with pytest.raises(SpecError) as caught:
        base_url_of(spec, {})
    assert caught.value.problems[0].mark.line == 9
    with pytest.raises(UsageError, match="`RUNNER_OPENAI_BASE_URL`"):
        base_url_of(spec_of(), {"RUNNER_OPENAI_BASE_URL": base_url})


def test_a_refused_address_is_quoted_without_its_secrets() -> None:
    for base_url in ("https://user:hunter2@a.example/v1", "https://a.example/v1?key=hunter2"):
        with pytest.raises(SpecError) as caught:
            base_url_of(project.ProviderBlock("mine", "openai", base_url=base_url), {})
        assert "hunter2" not in words_of(caught.value)
        assert "a.example/v1" in words_of(caught.value)


def test_no_address() -> None:
    with pytest.raises(SpecError) as caught:
        base_url_of(project.ProviderBlock("azure", "openai", profile="azure"), {})
    assert "RUNNER_AZURE_BASE_URL" in caught.value.problems[0].hint


def test_an_unknown_kind() -> None:
    with pytest.raises(SpecError, match="problem") as caught:
        card_of(project.ProviderBlock("x", "smtp"))
    assert "`smtp`" in words_of(caught.value)


# -- origins


@pytest.mark.parametrize(
    ("spec", "environ", "origin"),
    [
        (spec_of(), {}, Origin("openai", "api.openai.com")),
        (spec_of(account="acme"), {}, Origin("openai", "api.openai.com", "acme")),
        (MINE, {}, Origin("fastapi-ai", "api.fastapi.ai")),
        (spec_of(base_url="https://API.Example.com:443/v1"), {}, Origin("openai", "api.example.com")),
        (spec_of(base_url="https://a.example:8443/v1"), {}, Origin("openai", "a.example:8443")),
        (spec_of(), {"RUNNER_OPENAI_BASE_URL": "http://127.0.0.1:9/v1"}, Origin("openai", "127.0.0.1:9")),
    ],
)
def test_origins_need_no_key(spec: project.ProviderBlock, environ: dict[str, str], origin: Origin) -> None:
    assert origin_of(spec, environ) == origin
    with provider_at(spec, Remote({}), environ=environ) as provider:
        assert provider.origin == origin


def test_the_embedded_servers_origin_is_given() -> None:
    origin = Origin("embedded", "embedded:0123")
    provider = open_provider(
        spec_of("embedded"),
        environ={},
        base_url="http://127.0.0.1:1/v1",
        token=KEY,
        origin=origin,
        clock=FastClock(),
        rng=random.Random(1),
    )
    assert provider.origin == origin
    assert KEY not in repr(provider)
    provider.close()


# -- keys


@pytest.mark.parametrize(
    ("spec", "variable"),
    [
        (spec_of(), "OPENAI_API_KEY"),
        (spec_of("groq"), "GROQ_API_KEY"),
        (spec_of("azure"), "AZURE_OPENAI_API_KEY"),
        (spec_of(api_key_env="MY_KEY"), "MY_KEY"),
        (MINE, "FASTAPI_AI_API_KEY"),  # not OpenAI's: a key does not go to another host by default
        (spec_of(base_url="https://api.openai.com/v1"), "OPENAI_API_KEY"),
    ],
)
def test_the_variable_of_the_key(spec: project.ProviderBlock, variable: str) -> None:
    assert key_variable_of(spec) == variable


def used(environ: dict[str, str], **spec: Any) -> str:
    """The authorization header a call is made with."""
    remote = Remote({"GET /batches/batch_1": batch()})
    with provider_at(spec_of(**spec), remote, environ=environ) as provider:
        provider.look("batch_1")
    return remote.calls[0].headers["authorization"]


def test_where_keys_come_from(tmp_path: Path) -> None:
    path = tmp_path / "key"
    path.write_text(f"{KEY}\n")
    assert used({"OPENAI_API_KEY": f" {KEY}\n"}) == f"Bearer {KEY}"
    assert used({"OPENAI_API_KEY_FILE": str(path)}) == f"Bearer {KEY}"
    assert used({"OPENAI_API_KEY": KEY, "OPENAI_API_KEY_FILE": "/nonexistent"}) == f"Bearer {KEY}"
    bound = {"RUNNER_KEY_HOSTS": "OTHER_KEY=api.openai.com"}
    assert used({"OTHER_KEY": KEY, **bound}, api_key_env="OTHER_KEY") == f"Bearer {KEY}"


def test_a_missing_key_is_an_error_of_the_first_call() -> None:
    remote = Remote({})
    with provider_at(spec_of(), remote, environ={}) as provider:
        for _ in range(2):
            with pytest.raises(AuthFailed, match="`OPENAI_API_KEY`") as caught:
                provider.look("batch_1")
            assert "OPENAI_API_KEY_FILE" in caught.value.hint
    assert remote.calls == []


@pytest.mark.parametrize("key", ["sk-secret\nx-evil: 1", "sk-sécret-0123", "sk secret 0123", '"sk-secret"\x00'])
def test_a_key_that_cannot_be_a_header_is_not_quoted(key: str) -> None:
    with pytest.raises(AuthFailed) as caught:
        used({"OPENAI_API_KEY": key})
    assert "cret" not in caught.value.message + caught.value.hint + str(caught.value.__cause__)


def test_a_key_file_that_cannot_be_read(tmp_path: Path) -> None:
    with pytest.raises(AuthFailed, match="OPENAI_API_KEY_FILE"):
        used({"OPENAI_API_KEY_FILE": str(tmp_path / "none")})


class Keyring(types.ModuleType):
    """The package `keyring`, as far as we use it."""

    def get_password(self, service: str, user: str) -> str | None:
        if service == "locked":
            raise RuntimeError("no backend")
        return KEY if (service, user) == ("openai", "me") else None


def test_the_keyring(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "keyring", Keyring("keyring"))
    assert used({"OPENAI_API_KEY": "keyring:openai/me"}) == f"Bearer {KEY}"
    for reference, words in (("openai/you", "no entry"), ("locked/me", "no entry"), ("openai", "not a keyring")):
        with pytest.raises(AuthFailed, match=words):
            used({"OPENAI_API_KEY": f"keyring:{reference}"})
    monkeypatch.setitem(sys.modules, "keyring", None)
    with pytest.raises(AuthFailed, match="not installed"):
        used({"OPENAI_API_KEY": "keyring:openai/me"})


def test_a_credential_does_not_show_itself() -> None:
    credential = Credential("openai", "OPENAI_API_KEY", {"OPENAI_API_KEY": KEY}, refusal=lambda variable, url: None)
    credential.reveal_for("https://api.openai.com")
    assert repr(credential) == "Credential(`OPENAI_API_KEY`)"


def test_organization_headers_go_with_our_own_key_only() -> None:
    environ = {"OPENAI_API_KEY": KEY, "OPENAI_ORG_ID": "org-1"}
    remote = Remote({"GET /batches/batch_1": batch()})
    with provider_at(spec_of(), remote, environ=environ) as provider:
        provider.look("batch_1")
    assert remote.calls[0].headers["openai-organization"] == "org-1"
    assert "openai-project" not in remote.calls[0].headers


def test_a_remote_without_a_key() -> None:
    remote = Remote({"GET /batches/batch_1": batch()})
    with provider_at(spec_of(overrides={"auth": {"header": ""}}), remote, environ={}) as provider:
        provider.look("batch_1")
    assert "authorization" not in remote.calls[0].headers


def test_offline_commands_do_not_import_http() -> None:
    code = "import sys, runner.remotes.registry; sys.exit('httpx' in sys.modules or 'ssl' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
