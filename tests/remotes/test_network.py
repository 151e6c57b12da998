"""Proxies and certificates: what the environment says about reaching others."""

from __future__ import annotations

import random
from collections.abc import Iterator
from pathlib import Path

import pytest

from runner.clock import FastClock
from runner.errors import NotSent, Refused
from runner.remotes.transport.exchange import HttpSettings
from runner.remotes.transport.http import Http
from runner.remotes.transport.network import Network
from tests.remotes.loopback import reply, send, serving
from tests.security.internet import Answer, Internet, internet

PROXY = "http://proxy.example:3128"


@pytest.mark.parametrize(
    ("environ", "url", "variable"),
    [
        ({"HTTPS_PROXY": PROXY}, "https://api.example.com/v1", "HTTPS_PROXY"),
        ({"https_proxy": PROXY}, "https://api.example.com/v1", "https_proxy"),
        ({"ALL_PROXY": PROXY}, "https://api.example.com/v1", "ALL_PROXY"),
        ({"ALL_PROXY": "http://other:1", "HTTPS_PROXY": PROXY}, "https://api.example.com/v1", "HTTPS_PROXY"),
        ({"HTTP_PROXY": PROXY}, "https://api.example.com/v1", ""),
        ({}, "https://api.example.com/v1", ""),
        ({"HTTPS_PROXY": PROXY}, "http://127.0.0.1:8000/v1", ""),
        ({"HTTPS_PROXY": PROXY}, "https://localhost:8000/v1", ""),
        ({"HTTPS_PROXY": PROXY}, "https://[::1]/v1", ""),
        ({"ALL_PROXY": PROXY}, "http://vllm:8000/v1", ""),  # plain http goes to private hosts only
    ],
)
def test_which_proxy(environ: dict[str, str], url: str, variable: str) -> None:
    found = Network(environ).proxy_for(url)
    assert (found.variable if found else "") == variable


@pytest.mark.parametrize(
    ("spared", "host", "is_direct"),
    [
        ("*", "api.example.com", True),
        ("example.com", "api.example.com", True),
        (".example.com", "api.example.com", True),
        ("*.example.com", "api.example.com", True),
        ("a.example, api.example.com ,b", "api.example.com", True),
        ("API.Example.com", "api.example.com", True),
        ("ample.com", "api.example.com", False),
        ("api.example.com.evil", "api.example.com", False),
        ("", "api.example.com", False),
        ("10.0.0.0/8", "10.1.2.3", True),
        ("10.0.0.0/8", "11.1.2.3", False),
        ("fd00::/8", "[fd00::1]", True),
        ("[fd00::1]", "[fd00::1]", True),
        ("api.example.com:443", "api.example.com", True),
        ("api.example.com:8443", "api.example.com", False),
        ("api.example.com:8443", "api.example.com:8443", True),
        ("not/a/network", "10.1.2.3", False),
    ],
)
def test_whom_no_proxy_spares(spared: str, host: str, is_direct: bool) -> None:
    for name in ("NO_PROXY", "no_proxy"):
        network = Network({"HTTPS_PROXY": PROXY, name: spared})
        assert (network.proxy_for(f"https://{host}/v1") is None) is is_direct


@pytest.mark.parametrize("url", ["ftp://proxy.example:21", "http://", "http://[::1", "socks5://127.0.0.1:1", "a b"])
def test_a_proxy_that_cannot_be_used_is_named_by_its_variable(url: str) -> None:
    network = Network({"HTTPS_PROXY": url})
    with pytest.raises(Refused, match="`HTTPS_PROXY`"):
        network.opened(network.proxy_for("https://api.example.com"))


@pytest.fixture
def net(tmp_path: Path) -> Iterator[Internet]:
    with internet(tmp_path / "internet") as net:
        net.sites["api.example.com"] = lambda seen: Answer(200, b'{"is": "here"}')
        yield net


def asked(environ: dict[str, str], base_url: str = "https://api.example.com/v1") -> object:
    http = Http(
        base_url,
        who="acme",
        headers=lambda url: {"authorization": "Bearer canary-key"},
        key_name="`K`",
        clock=FastClock(),
        rng=random.Random(7),
        settings=HttpSettings(network=Network(environ)),
    )
    try:
        return http.get_json("/models")
    finally:
        http.close()


def test_through_a_connect_proxy(net: Internet) -> None:
    assert asked(net.environ()) == {"is": "here"}
    assert net.connects == ["api.example.com:443"]
    (seen,) = net.seen
    assert (seen.host, seen.path, seen.headers["authorization"]) == (
        "api.example.com",
        "/v1/models",
        "Bearer canary-key",
    )
    assert asked({**net.environ(), "HTTPS_PROXY": "", "all_proxy": net.proxy}) == {"is": "here"}


def test_this_machine_is_not_reached_through_a_proxy(net: Internet) -> None:
    with serving(send(reply(200, {"is": "near"}))) as server:
        environ = {**net.environ(), "HTTP_PROXY": net.proxy, "ALL_PROXY": net.proxy}
        assert asked(environ, server.base_url) == {"is": "near"}
    assert net.connects == []


def test_a_proxy_that_refuses(net: Internet) -> None:
    net.proxy_answer = b"HTTP/1.1 407 Proxy Authentication Required\r\ncontent-length: 0\r\n\r\n"
    with pytest.raises(NotSent, match=r"proxy in `HTTPS_PROXY`.*407") as caught:
        asked(net.environ())
    assert "NO_PROXY" in caught.value.hint
    assert net.seen == []


@pytest.mark.parametrize("name", ["SSL_CERT_FILE", "REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE"])
def test_certificates_by_each_variable(net: Internet, name: str) -> None:
    assert asked({"HTTPS_PROXY": net.proxy, name: str(net.authority)}) == {"is": "here"}


def test_a_folder_of_certificates(net: Internet, tmp_path: Path) -> None:
    import subprocess

    folder = tmp_path / "authorities"
    folder.mkdir()
    subject = subprocess.run(
        ["openssl", "x509", "-hash", "-noout", "-in", net.authority], check=True, capture_output=True, text=True
    ).stdout.strip()
    (folder / f"{subject}.0").write_bytes(net.authority.read_bytes())
    for name in ("SSL_CERT_DIR", "REQUESTS_CA_BUNDLE"):
        assert asked({"HTTPS_PROXY": net.proxy, name: str(folder)}) == {"is": "here"}


@pytest.mark.parametrize("name", ["SSL_CERT_FILE", "REQUESTS_CA_BUNDLE"])
def test_a_bad_file_is_named_with_its_path(net: Internet, tmp_path: Path, name: str) -> None:
    (tmp_path / "no.pem").write_text("this is no certificate")
    for path, words in ((tmp_path / "none.pem", "is not there"), (tmp_path / "no.pem", "holds no certificates")):
        with pytest.raises(Refused, match=words) as caught:
            asked({"HTTPS_PROXY": net.proxy, name: str(path)})
        assert f"`{name}` names `{path}`" in caught.value.message
    assert net.connects == []


def test_a_failed_verification_names_the_variable(net: Internet, tmp_path: Path) -> None:
    with pytest.raises(NotSent, match="CERTIFICATE_VERIFY_FAILED") as caught:
        asked({"HTTPS_PROXY": net.proxy})
    assert "`SSL_CERT_FILE`" in caught.value.hint
    assert net.connects == ["api.example.com:443"]  # it is not tried again
    with internet(tmp_path / "other") as other, pytest.raises(NotSent) as caught:
        asked({"HTTPS_PROXY": net.proxy, "REQUESTS_CA_BUNDLE": str(other.authority)})
    assert f"`REQUESTS_CA_BUNDLE` (`{other.authority}`)" in caught.value.hint
    assert net.seen == []


def test_the_password_of_a_proxy_is_not_shown(net: Internet, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("DEBUG")
    url = net.proxy.replace("http://", "http://me:hunter2-secret@")
    net.proxy_answer = b"HTTP/1.1 407 No hunter2-secret\r\ncontent-length: 0\r\n\r\n"
    with pytest.raises(NotSent) as caught:
        asked({**net.environ(), "HTTPS_PROXY": url})
    assert "hunter2" not in caught.value.message + caught.value.hint + caplog.text
