"""Headers of a gateway, addresses as people paste them, and plain http inside of a private network."""

from __future__ import annotations

import random
import socket
from collections.abc import Iterator

import pytest

from runner.clock import FastClock
from runner.errors import NotSent
from runner.remotes.transport.exchange import HttpSettings
from runner.remotes.transport.http import Http
from runner.remotes.transport.network import addresses_of
from runner.remotes.transport.origins import is_private
from tests.journeys.lab import KEY
from tests.security.conftest import CANARY, GATEWAY, Corp
from tests.security.internet import Answer, Seeing, Seen, forwarding, listening

GW_TOKEN = "canary-gateway-token-0042"
BOTH = {"GW_TOKEN": GW_TOKEN, "RUNNER_KEY_HOSTS": f"CORP_KEY={GATEWAY} GW_TOKEN={GATEWAY}"}


def says(corp: Corp, old: str, new: str) -> None:
    spec = corp.root / "specs/lab.yaml"
    assert old in spec.read_text()
    spec.write_text(spec.read_text().replace(old, new))


def test_headers_and_secret_ones_go_with_every_request(corp: Corp) -> None:
    says(
        corp, "    overrides:", "    headers: {X-Team: batch}\n    headers_env: {X-Gw-Token: GW_TOKEN}\n    overrides:"
    )
    done = corp.apply(code=5)
    assert "not asked: `GW_TOKEN` is not bound to `gw.corp.example`" in done.stdout + done.stderr
    assert corp.net.seen == []
    missing = {key: value for key, value in BOTH.items() if key != "GW_TOKEN"}
    done = corp.apply(code=1, **missing)
    assert "`GW_TOKEN` is not set" in done.stderr
    assert corp.net.seen == []
    corp.apply(**BOTH)
    assert all(seen.headers["x-team"] == "batch" and seen.headers["x-gw-token"] == GW_TOKEN for seen in corp.net.seen)
    assert corp.net.hosts_that_saw(GW_TOKEN) == corp.net.hosts_that_saw(CANARY) == {GATEWAY}


OPENAI_ONLY = {
    "OPENAI_API_KEY": "canary-openai-11",
    "OPENAI_ORG_ID": "org-canary-22",
    "OPENAI_PROJECT_ID": "proj-canary-33",
}


@pytest.mark.parametrize("is_gateway", [True, False])
def test_organisation_and_project_go_to_their_own_host_only(corp: Corp, is_gateway: bool) -> None:
    spec = corp.root / "specs/lab.yaml"
    text = spec.read_text().replace("provider: corp", "provider: openai")
    spec.write_text(text[: text.index("providers:")])
    host = GATEWAY if is_gateway else "api.openai.com"
    corp.net.sites[host] = forwarding(corp.server.url, KEY)
    environ = {**OPENAI_ONLY, **({"OPENAI_BASE_URL": f"https://{GATEWAY}/v1"} if is_gateway else {})}
    corp.apply("--no-wait", code=3, **environ)
    assert corp.net.hosts_that_saw("canary-openai-11") == {host}
    for canary in ("org-canary-22", "proj-canary-33"):
        assert corp.net.hosts_that_saw(canary) == (set() if is_gateway else {host})


def test_an_api_at_the_root_of_a_host(corp: Corp) -> None:
    says(corp, f"https://{GATEWAY}/v1", f"https://{GATEWAY}/")
    real = forwarding(corp.server.url, KEY)
    corp.net.sites[GATEWAY] = lambda seen: real(
        Seen(seen.host, seen.method, f"/v1{seen.path}", seen.headers, seen.body)
    )
    corp.apply()
    assert {seen.path.split("/")[1].partition("?")[0] for seen in corp.net.seen} <= {"files", "batches"}
    assert all(row["error"] is None for row in corp.results())


def test_a_pasted_address_is_explained_wherever_it_stands(corp: Corp) -> None:
    says(corp, f"https://{GATEWAY}/v1", f"https://{GATEWAY}/v1/chat/completions")
    assert f"write `https://{GATEWAY}/v1`" in corp.run("validate", code=1).stderr
    says(corp, f"https://{GATEWAY}/v1/chat/completions", f"https://{GATEWAY}/v1")
    done = corp.run("plan", code=64, RUNNER_CORP_BASE_URL=f"https://{GATEWAY}/v1/batches/")
    assert f"the API itself is at `https://{GATEWAY}/v1`" in done.stderr


# -- plain http


def a_name() -> str:
    """A name of this machine that is not `localhost`, and leads to a private address."""
    name = socket.gethostname()
    try:
        found = addresses_of(name)
    except OSError:
        found = []
    if not found or not all(map(is_private, found)) or "." in name.strip("."):
        pytest.skip("this machine has no name with a private address")
    return name


@pytest.fixture
def inner(corp: Corp) -> Iterator[Seeing]:
    """A gateway that speaks plain http, for all addresses of this machine."""
    with listening(forwarding(corp.server.url, KEY)) as found:
        yield found


def test_plain_http_inside_of_a_private_network(corp: Corp, inner: Seeing) -> None:
    target = f"{a_name()}:{inner.port}"
    says(corp, f"https://{GATEWAY}/v1", f"http://{target}/v1")
    assert "with `insecure_http: true`" in corp.run("validate", code=1).stderr
    says(corp, "    api_key_env", "    insecure_http: true\n    api_key_env")
    # A yes to the same host over TLS is no yes to plain http
    done = corp.apply(code=5, RUNNER_KEY_HOSTS=f"CORP_KEY={target}")
    assert f"`CORP_KEY` is not bound to `http://{target}`" in done.stdout + done.stderr
    assert inner.seen == []
    corp.apply(RUNNER_KEY_HOSTS=f"CORP_KEY=http://{target}")
    corp.settled()
    assert all(seen.holds(CANARY) and seen.host == target for seen in inner.seen)
    assert corp.net.connects == []  # nor does it go through the proxy


@pytest.mark.parametrize("host", ["8.8.8.8", "169.254.169.254", "[fe80::1]", "[fd00:ec2::254]", "100.100.100.200"])
def test_an_address_that_is_not_private_is_not_spoken_to(host: str) -> None:
    """Also where it comes of a name, which only the look-up shows."""
    asked: list[str] = []

    def headers(url: str) -> dict[str, str]:
        asked.append(url)
        return {"authorization": f"Bearer {CANARY}"}

    http = Http(
        f"http://{host}:80/v1",
        who="acme",
        headers=headers,
        key_name="`K`",
        clock=FastClock(),
        rng=random.Random(7),
        settings=HttpSettings(),
    )
    with pytest.raises(NotSent, match="has an address that is not private") as caught:
        http.get_json("/models")
    http.close()
    assert "insecure_http" in caught.value.hint
    assert len(asked) == 1


def test_a_gateway_may_refuse(corp: Corp) -> None:
    corp.net.sites[GATEWAY] = lambda seen: Answer(403, b'{"error": {"message": "team unknown"}}')
    done = corp.apply(code=1)
    assert "team unknown" in done.stderr
