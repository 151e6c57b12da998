"""Which key may go to which host."""

from __future__ import annotations

import stat
from pathlib import Path

import pytest

from runner.errors import NotBound, RunnerError, UsageError
from runner.job import project
from runner.remotes.addresses import bindings_of, refusal_of
from runner.remotes.transport.bindings import Binding, file_of, parsed
from tests.remotes.making import spec_of


def refused(spec: project.ProviderBlock, **environ: str) -> NotBound | None:
    return refusal_of(spec, environ, bindings_of(environ))


def own(base_url: str = "https://gw.corp.example/v1", **fields: str) -> project.ProviderBlock:
    return project.ProviderBlock("corp", "openai", base_url=base_url, **{"api_key_env": "CORP_KEY", **fields})  # type: ignore[arg-type]


def audio(**fields: str) -> project.ProviderBlock:
    return project.ProviderBlock("fireworks-audio", "fireworks-audio", **fields)  # type: ignore[arg-type]


def fire(**fields: str) -> project.ProviderBlock:
    return project.ProviderBlock("fireworks", "fireworks", account="acme", **fields)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("spec", "environ"),
    [
        (spec_of(), {}),
        (spec_of(base_url="https://eu.api.openai.com/v1"), {}),
        (spec_of("groq"), {}),
        (spec_of("azure"), {}),
        (fire(), {}),
        (audio(), {}),
        (audio(base_url="https://audio-prod.api.fireworks.ai"), {}),
        (spec_of(), {"OPENAI_BASE_URL": "https://gw.corp.example/v1"}),
        (spec_of("groq"), {"RUNNER_GROQ_BASE_URL": "https://gw.corp.example/v1"}),
        (fire(), {"FIREWORKS_BASE_URL": "https://gw.corp.example"}),
        (own(api_key_env=""), {"RUNNER_CORP_BASE_URL": "https://gw.corp.example/v1"}),
        (own(), {"RUNNER_KEY_HOSTS": "A_KEY=b.example, CORP_KEY=gw.corp.example"}),
        (own("https://GW.corp.example:8443/v1"), {"RUNNER_KEY_HOSTS": "CORP_KEY=gw.corp.example:8443"}),
        (own("https://gw.corp.example:443/v1"), {"RUNNER_KEY_HOSTS": "CORP_KEY=gw.corp.example"}),
        (own("https://bücher.example/v1"), {"RUNNER_KEY_HOSTS": "CORP_KEY=xn--bcher-kva.example"}),
        (own(overrides={"auth": {"header": ""}}), {"RUNNER_KEY_HOSTS": "-=gw.corp.example"}),  # type: ignore[arg-type]
        (own("http://127.0.0.1:8000/v1", api_key_env="AWS_SECRET_ACCESS_KEY"), {}),  # this machine needs neither
        (own("http://localhost:8000/v1", api_key_env="WHATEVER"), {}),
    ],
)
def test_allowed(spec: project.ProviderBlock, environ: dict[str, str]) -> None:
    assert refused(spec, **environ) is None


BOUND = {"RUNNER_KEY_HOSTS": "CORP_KEY=gw.corp.example"}


@pytest.mark.parametrize(
    ("spec", "environ"),
    [
        (own(), {}),
        (own("https://gw.corp.example:8443/v1"), BOUND),  # another port is another server
        (own("https://gw.corp.example.evil.example/v1"), BOUND),
        (own("https://evil-gw.corp.example/v1"), BOUND),
        (own("https://api.openai.com/v1"), BOUND),  # nor does it go to a vendor
        (own(api_key_env="OTHER_KEY"), BOUND),
        (own(overrides={"auth": {"header": ""}}), BOUND),  # type: ignore[arg-type]
        (own(), {"RUNNER_CORP_BASE_URL": "https://elsewhere.example/v1"}),  # specs choose the key, a person the host
        (own("https://127.0.0.1.evil.example/v1"), {}),
    ],
)
def test_not_bound(spec: project.ProviderBlock, environ: dict[str, str]) -> None:
    found = refused(spec, **environ)
    assert found is not None and found.binding is not None
    assert found.exit_code == 5
    assert found.message.startswith("not asked: ")
    assert f"`runner keys bind {' '.join(found.binding)}`" in found.message
    again = refused(spec, **{**environ, "RUNNER_KEY_HOSTS": "=".join(found.binding)})
    assert again is None  # what it says is what it takes


def test_in_these_words() -> None:
    found = refused(own())
    assert found is not None
    assert found.why == "not asked: `CORP_KEY` is not bound to `gw.corp.example`"
    assert found.command == "runner keys bind CORP_KEY gw.corp.example"


@pytest.mark.parametrize(
    "variable",
    [
        "OPENAI_API_KEY", "GROQ_API_KEY", "FIREWORKS_API_KEY", "AZURE_OPENAI_API_KEY", "OPENAI_ORG_ID",
        "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN", "GITHUB_TOKEN", "GH_TOKEN", "ACTIONS_RUNTIME_TOKEN",
        "ACTIONS_ID_TOKEN_REQUEST_TOKEN", "CI_JOB_TOKEN", "GOOGLE_API_KEY", "AZURE_CLIENT_KEY", "RUNNER_TOKEN",
        "PATH", "HOME", "DATABASE_URL", "CORP_KEY_FILE", "aws_access_key",
    ],
)  # fmt: skip
def test_keys_that_no_binding_lets_go(variable: str) -> None:
    """Whatever a person was talked into."""
    environ = {"RUNNER_KEY_HOSTS": f"{variable}=gw.corp.example"}
    found = refused(own(api_key_env=variable), **environ)
    assert found is not None and found.binding is None
    assert f"`{variable}`" in found.message
    with pytest.raises(UsageError):
        bindings_of({"HOME": "/nonexistent"}).keep(Binding(variable, "gw.corp.example"))


@pytest.mark.parametrize("name", ["openai", "groq", "deepinfra"])
def test_a_vendors_key_stays_with_it_whatever_the_specs_say(name: str) -> None:
    for fields in ({}, {"api_key_env": "OPENAI_API_KEY"}, {"api_key_env": "GROQ_API_KEY"}):
        found = refused(spec_of(name, base_url="https://evil.example/v1", **fields))
        assert found is not None and found.binding is None, fields
    found = refused(spec_of("groq", api_key_env="OPENAI_API_KEY"))
    assert found is not None and "OPENAI_API_KEY" in found.message


def test_an_address_in_the_environment_is_for_the_key_of_the_same_name() -> None:
    environ = {"RUNNER_CORP_BASE_URL": "https://gw.corp.example/v1"}
    for variable in ("OPENAI_API_KEY", "GROQ_API_KEY"):
        assert refused(own(api_key_env=variable), **environ) is not None
    assert refused(spec_of("groq", api_key_env="OPENAI_API_KEY"), RUNNER_GROQ_BASE_URL="https://a.example/v1")


@pytest.mark.parametrize(
    "text",
    ["CORP_KEY", "CORP_KEY=", "=gw.example", "CORP_KEY=gw.example/v1", "CORP_KEY=ftp://gw.example", "A B=c",
     "A-B=c.example",
     "CORP_KEY=user:pw@gw.example", "CORP_KEY=http://8.8.8.8", "CORP_KEY=http://169.254.169.254"],
)  # fmt: skip
def test_words_that_bind_nothing(text: str) -> None:
    with pytest.raises(UsageError):
        parsed(text, "here")


def test_what_is_kept(tmp_path: Path) -> None:
    environ = {"HOME": str(tmp_path / "home")}
    file = bindings_of(environ).keep(Binding("CORP_KEY", "gw.corp.example"))
    assert file == tmp_path / "home/.config/runner/key-hosts" == file_of(environ)
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert stat.S_IMODE(file.parent.stat().st_mode) == 0o700
    bindings_of(environ).keep(Binding("B_TOKEN", "b.example"))
    assert refused(own(), **environ) is None
    assert [str(one) for one in bindings_of(environ).all()] == ["B_TOKEN=b.example", "CORP_KEY=gw.corp.example"]
    assert bindings_of(environ).forget(Binding("CORP_KEY", "gw.corp.example"))
    assert not bindings_of(environ).forget(Binding("CORP_KEY", "gw.corp.example"))
    assert refused(own(), **environ) is not None
    assert file_of({"XDG_CONFIG_HOME": "/c", "HOME": "/h"}) == Path("/c/runner/key-hosts")
    assert file_of({"XDG_CONFIG_HOME": "relative", "HOME": "relative"}) is None


def test_a_file_that_others_may_have_written(tmp_path: Path) -> None:
    environ = {"HOME": str(tmp_path / "home")}
    file = bindings_of(environ).keep(Binding("CORP_KEY", "gw.corp.example"))
    file.chmod(0o666)
    with pytest.raises(RunnerError, match="written by others"):
        bindings_of(environ)
    file.chmod(0o600)
    (tmp_path / ".git").mkdir()
    root = tmp_path / "project"
    root.mkdir()
    with pytest.raises(RunnerError, match="checkout"):
        bindings_of(environ, root)  # the home is part of what was checked out
    with pytest.raises(RunnerError, match="checkout"):
        bindings_of({"HOME": str(root / "home")}, root).keep(Binding("CORP_KEY", "gw.corp.example"))
