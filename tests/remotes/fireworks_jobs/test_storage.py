"""Downloads by signed URLs that expire, and servers that mean us harm."""

from __future__ import annotations

import gzip
import logging
from collections.abc import Callable
from pathlib import Path

import httpx
import pytest

from runner.errors import NotFound, NotSent, OutcomeUnknown, Refused, RemoteError
from runner.job.observed import ResultFile
from runner.remotes.fireworks.profile import STORAGE_HOSTS
from runner.remotes.fireworks.provider import FireworksProvider
from runner.remotes.transport.content import Signed
from runner.remotes.transport.gate import UrlGate, is_public
from runner.remotes.transport.network import Network
from tests.remotes.fireworks_jobs.fake import KEY, Fake
from tests.remotes.fireworks_jobs.made import IDS, Opener
from tests.remotes.making import http_at

OUT = IDS.output_dataset_id
ANSWERS = b'{"custom_id":"a"}\n' * 1000
FILE = ResultFile(f"{OUT}/BIJOutputSet.jsonl", "output")


@pytest.fixture(autouse=True)
def offered(fake: Fake) -> None:
    fake.put_dataset(OUT, {"BIJOutputSet.jsonl": ANSWERS, "error-data": b""})


def test_a_file_comes_without_our_key(fake: Fake, provider: FireworksProvider, tmp_path: Path) -> None:
    to = tmp_path / "out.jsonl"
    assert provider.download(FILE, to) == len(ANSWERS)
    assert to.read_bytes() == ANSWERS
    assert provider.download(ResultFile(f"{OUT}/error-data", "error"), to) == 0
    stored = [call for call in fake.calls if call.path.startswith("/storage/")]
    assert stored and all(KEY not in str(call.headers) for call in stored)
    assert not any(call.body for call in fake.calls if call.method == "GET")


def test_an_expired_url_is_asked_for_again(fake: Fake, provider: FireworksProvider, tmp_path: Path) -> None:
    fake.stale_urls = 2
    assert provider.download(FILE, tmp_path / "out") == len(ANSWERS)
    assert fake.count("GET /datasets/*:getDownloadEndpoint") == 3


def test_urls_that_never_work_end(fake: Fake, provider: FireworksProvider, tmp_path: Path) -> None:
    fake.stale_urls = 10**6
    with pytest.raises(OutcomeUnknown, match="signed URL was refused"):
        provider.download(FILE, tmp_path / "out")
    assert list(tmp_path.iterdir()) == []


def test_a_file_that_is_gone(fake: Fake, provider: FireworksProvider, tmp_path: Path) -> None:
    for ref in (f"{OUT}/other", "nobody/BIJOutputSet.jsonl", "../x/y", ""):
        with pytest.raises(NotFound):
            provider.download(ResultFile(ref, "output"), tmp_path / "out")
    assert list(tmp_path.iterdir()) == []


# -- hostile servers


@pytest.mark.parametrize(
    "key", ["../../../etc/passwd", "dataset/x/../../BIJOutputSet.jsonl", "/abs/BIJOutputSet.jsonl"]
)
def test_names_are_never_paths(key: str, fake: Fake, provider: FireworksProvider, tmp_path: Path) -> None:
    fake.keys_of = lambda dataset, urls: {key: next(iter(urls.values()))}
    inside = tmp_path / "deep" / "er"
    inside.mkdir(parents=True)
    try:
        provider.download(FILE, inside / "out")
    except RemoteError:
        assert list(inside.iterdir()) == []
    assert {path for path in tmp_path.rglob("*") if path.is_file()} <= {inside / "out"}


@pytest.mark.parametrize(
    "key", ["dataset/x/..", "dataset/x/a\\..\\b", "dataset/x/\u202egnp.exe", "x/", "dataset/x/-rf"]
)
def test_names_that_no_file_of_ours_has(key: str, fake: Fake, provider: FireworksProvider, tmp_path: Path) -> None:
    fake.keys_of = lambda dataset, urls: {key: next(iter(urls.values()))}
    with pytest.raises(Refused, match="unsafe name"):
        provider.download(FILE, tmp_path / "out")


def test_a_redirect_is_not_followed(fake: Fake, provider: FireworksProvider, tmp_path: Path) -> None:
    target = f"{fake.base_url}/storage/{OUT}/elsewhere?X-Goog-Signature=s1gn4ture"
    for status in (301, 302, 307, 308):
        fake.hooks["GET /storage"] = lambda call, status=status: (status, b"", {"location": target})
        with pytest.raises(Refused, match="answered 30"):
            provider.download(FILE, tmp_path / "out")
    assert not any(call.path.endswith("elsewhere") for call in fake.calls)


def test_storage_that_asks_for_the_key_does_not_get_it(fake: Fake, provider: FireworksProvider, tmp_path: Path) -> None:
    fake.hooks["GET /storage"] = lambda call: (401, b"", {"www-authenticate": "Bearer"})
    with pytest.raises(RemoteError):
        provider.download(FILE, tmp_path / "out")
    assert all(KEY not in str(call.headers) for call in fake.calls if call.path.startswith("/storage/"))


def test_a_cookie_is_not_kept(fake: Fake, provider: FireworksProvider, tmp_path: Path) -> None:
    fake.hooks["GET /storage"] = lambda call: (200, ANSWERS, {"set-cookie": "follow=me; Path=/"})
    for name in ("one", "two"):
        provider.download(FILE, tmp_path / name)
    assert len(fake.calls) >= 4 and not any("cookie" in call.headers for call in fake.calls)


def test_a_gzip_bomb_is_stopped(fake: Fake, provider: FireworksProvider, tmp_path: Path) -> None:
    bomb = gzip.compress(b"\0" * (40 * 1024 * 1024))
    fake.hooks["GET /storage"] = lambda call: (200, bomb, {"content-encoding": "gzip"})
    with pytest.raises(RemoteError, match="stopped"):
        provider.download(FILE, tmp_path / "out")
    assert list(tmp_path.iterdir()) == []


def test_signed_urls_stay_out_of_logs_and_errors(
    fake: Fake, provider: FireworksProvider, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    fake.stale_urls = 10**6
    with caplog.at_level(logging.DEBUG), pytest.raises(RemoteError) as caught:
        provider.download(FILE, tmp_path / "out")
    assert "s1gn4ture" not in caplog.text + str(caught.value) + caught.value.hint
    assert KEY not in caplog.text


# -- which URLs are followed

PROXIED = Network({"HTTPS_PROXY": "http://proxy.example:3128"})
PUBLIC = ["142.250.1.1"]
GOOD = "https://storage.googleapis.com/b/o?X-Goog-Signature=x"


def gate(base: str = "https://api.fireworks.ai", found: list[str] | None = None, **more: object) -> UrlGate:
    hosts = (*STORAGE_HOSTS, *more.pop("extra_hosts", ()))  # type: ignore[misc]
    return UrlGate(base, hosts, resolve=lambda host: PUBLIC if found is None else found, **more)  # type: ignore[arg-type]


def test_the_connection_goes_to_the_address_that_was_judged() -> None:
    signed = gate().admit(GOOD)
    assert signed == Signed(
        "https://142.250.1.1/b/o?X-Goog-Signature=x",
        {"host": "storage.googleapis.com"},
        {"sni_hostname": "storage.googleapis.com"},
    )
    assert gate(network=PROXIED).admit(GOOD) == Signed(GOOD, proxy=PROXIED.proxy_for(GOOD))
    assert gate(found=["2a00:1450::1"]).admit(GOOD).url.startswith("https://[2a00:1450::1]/")


@pytest.mark.parametrize(
    "url",
    [
        "http://storage.googleapis.com/b",
        "https://evil.example/b",
        "https://storage.googleapis.com.evil.example/b",
        "https://storage.googleapis.com@evil.example/b",
        "https://user:pw@storage.googleapis.com/b",
        "https://evilstorage.googleapis.com.example/b",
        "https://127.0.0.1/b",
        "http://localhost/b",
        "https://[::1]/b",
        "https://169.254.169.254/latest/meta-data",
        "https://metadata.google.internal/b",
        "https://2130706433/b",
        "https://storage.googleapis.com\\@evil.example/b",
        "https://storage.googleapis.com\n.evil.example/",
        "ftp://storage.googleapis.com/b",
        "file:///etc/passwd",
        "gopher://storage.googleapis.com/",
        "https:///b",
        "https://[::1",
        "https://storage.googleapis.com:99999/b",
        "//storage.googleapis.com/b",
        "/etc/passwd",
        "",
    ],
)
def test_urls_that_are_not_followed(url: str) -> None:
    for base in ("https://api.fireworks.ai", "https://gw.example"):
        with pytest.raises(Refused) as caught:
            gate(base).admit(url)
        assert caught.value.code == "unsafe_url"


@pytest.mark.parametrize("address", ["10.0.0.1", "127.0.0.1", "169.254.169.254", "::1", "fd00::1", "::ffff:10.0.0.1"])
def test_a_known_host_at_an_inner_address_is_refused(address: str) -> None:
    for found in ([address], [*PUBLIC, address]):
        with pytest.raises(Refused, match="not public"):
            gate(found=found).admit(GOOD)
    with pytest.raises(Refused):
        gate(found=[address], network=PROXIED).admit(GOOD)


def test_a_remote_on_this_machine_may_point_to_this_machine_only() -> None:
    local = gate("http://127.0.0.1:8080")
    assert local.admit("http://127.0.0.1:9/x").url == "http://127.0.0.1:9/x"
    for url in ("http://10.0.0.1/x", "https://192.168.0.1/x", "http://evil.example/x", "https://evil.example/x"):
        with pytest.raises(Refused):
            local.admit(url)


def test_more_hosts_can_be_named() -> None:
    more = gate(extra_hosts=("bucket.example", ".store.example"))
    for url in ("https://bucket.example/x", "https://a.b.store.example/x", "https://API.fireworks.ai/x"):
        assert more.admit(url).headers
    for url in ("https://store.example/x", "https://a.bucket.example/x"):
        with pytest.raises(Refused):
            more.admit(url)


def test_a_host_that_cannot_be_found() -> None:
    def fail(host: str) -> list[str]:
        raise OSError("no such host")

    with pytest.raises(NotSent):
        UrlGate("https://api.fireworks.ai", STORAGE_HOSTS, resolve=fail).admit(GOOD)
    proxied = UrlGate("https://api.fireworks.ai", STORAGE_HOSTS, resolve=fail, network=PROXIED)
    assert proxied.admit(GOOD) == Signed(GOOD, proxy=PROXIED.proxy_for(GOOD))


@pytest.mark.parametrize(
    ("address", "public"),
    [
        ("8.8.8.8", True),
        ("2a00:1450::1", True),
        ("100.64.0.1", False),
        ("0.0.0.0", False),
        ("224.0.0.1", False),
        ("64:ff9b::a00:1", False),
        ("2002:a00:1::", False),
        ("fe80::1%eth0", False),
        ("nonsense", False),
    ],
)
def test_public_addresses(address: str, public: bool) -> None:
    assert is_public(address) is public


def test_a_pinned_request_names_its_host_and_carries_no_key(tmp_path: Path) -> None:
    asked: list[httpx.Request] = []

    def handler(request: httpx.Request) -> httpx.Response:
        asked.append(request)
        return httpx.Response(200, content=b"x")

    with http_at(handler=handler) as http:
        assert http.download_signed(lambda: gate().admit(GOOD), tmp_path / "x") == 1
    (request,) = asked
    assert request.url.host == "142.250.1.1"
    assert request.headers.get_list("host") == ["storage.googleapis.com"]
    assert request.extensions["sni_hostname"] == "storage.googleapis.com"
    assert "authorization" not in request.headers


def test_a_cut_download_goes_on_under_a_fresh_url(tmp_path: Path) -> None:
    data = b"0123456789" * 20_000
    asked: list[str] = []

    def handler(request: httpx.Request) -> httpx.Response:
        start = int(request.headers.get("range", "bytes=0-")[6:-1])
        asked.append(f"{request.url.params['n']}:{start}")
        if start == 0:
            return httpx.Response(200, content=data[:150_000], headers={"content-length": str(len(data))})
        headers = {"content-range": f"bytes {start}-{len(data) - 1}/{len(data)}"}
        return httpx.Response(206, content=data[start:], headers=headers)

    numbers = iter(range(9))
    sign: Callable[[], Signed] = lambda: Signed(f"https://storage.googleapis.com/o?n={next(numbers)}")  # noqa: E731
    with http_at(handler=handler) as http:
        assert http.download_signed(sign, tmp_path / "x") == len(data)
    assert (tmp_path / "x").read_bytes() == data
    assert asked == ["0:0", "1:150000"]


def test_a_loopback_server_cannot_send_us_elsewhere(fake: Fake, opened: Opener, tmp_path: Path) -> None:
    provider = opened()
    for url in ("http://10.0.0.1/x", "https://evil.example/x", "http://169.254.169.254/x", "file:///etc/passwd"):
        fake.url_of = lambda dataset, name, own, url=url: url
        with pytest.raises(Refused):
            provider.download(FILE, tmp_path / "out")
    assert list(tmp_path.iterdir()) == []
