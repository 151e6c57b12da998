"""Redirects: a file may lie in storage that is known; a key goes to its own host alone."""

from __future__ import annotations

import pytest

from tests.journeys.lab import KEY
from tests.security.conftest import CANARY, GATEWAY, Corp
from tests.security.internet import Answer, Seen, Site, forwarding

STORE, EVIL = "bucket.store.example", "evil.example"


def test_an_apply_through_a_proxy(corp: Corp) -> None:
    corp.apply()
    corp.settled()
    assert corp.net.hosts_that_saw(CANARY) == {GATEWAY}
    assert set(corp.net.connects) == {f"{GATEWAY}:443"}


def moving(corp: Corp, where: str, status: int = 302) -> None:
    """The gateway keeps its files elsewhere; `PATH` in `where` is the path of the file."""
    real = forwarding(corp.server.url, KEY)

    def answer(seen: Seen) -> Answer:
        if seen.method == "GET" and seen.path.endswith("/content"):
            return Answer(status, b"", location=where.replace("PATH", seen.path))
        return real(seen)

    corp.net.sites[GATEWAY] = answer


def known(corp: Corp, host: str = STORE) -> None:
    spec = corp.root / "specs/lab.yaml"
    spec.write_text(spec.read_text().replace("settle_s", f"storage_hosts: [{host}], settle_s"))


def stored(corp: Corp) -> Site:
    real = forwarding(corp.server.url, KEY)
    return lambda seen: real(Seen(seen.host, seen.method, seen.path.partition("?")[0], seen.headers, b""))


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
def test_a_file_in_storage_that_is_known(corp: Corp, status: int) -> None:
    moving(corp, f"https://{STORE}PATH?X-Signature=s1gn4ture", status)
    known(corp)
    corp.net.sites[STORE] = stored(corp)
    done = corp.apply()
    corp.settled()
    assert "s1gn4ture" not in done.stdout + done.stderr
    assert corp.net.at(STORE)
    assert corp.net.hosts_that_saw(CANARY) == {GATEWAY}
    assert all("authorization" not in seen.headers for seen in corp.net.at(STORE))


def test_storage_that_moves_its_files_once_more(corp: Corp) -> None:
    moving(corp, f"https://{STORE}PATH")
    known(corp, ".store.example")
    corp.net.sites[STORE] = lambda seen: Answer(307, b"", location=f"https://eu.store.example{seen.path}")
    corp.net.sites["eu.store.example"] = stored(corp)
    corp.apply()
    corp.settled()
    assert corp.net.hosts_that_saw(CANARY) == {GATEWAY}


def test_another_path_of_the_same_host_is_asked_with_the_key(corp: Corp) -> None:
    real = forwarding(corp.server.url, KEY)

    def answer(seen: Seen) -> Answer:
        if seen.path.endswith("/content"):
            return Answer(307, b"", location=seen.path.replace("/content", "/raw"))
        return real(Seen(seen.host, seen.method, seen.path.replace("/raw", "/content"), seen.headers, seen.body))

    corp.net.sites[GATEWAY] = answer
    corp.apply()
    corp.settled()
    raw = [seen for seen in corp.net.at(GATEWAY) if seen.path.endswith("/raw")]
    assert raw and all(seen.holds(CANARY) for seen in raw)


@pytest.mark.parametrize(
    "where",
    [
        f"https://{EVIL}PATH",
        f"https://{GATEWAY}.{EVIL}PATH",
        f"https://{GATEWAY}@{EVIL}PATH",
        f"http://{GATEWAY}PATH",
        f"//{EVIL}PATH",
        f"\\\\{EVIL}PATH",
        "https://127.0.0.1PATH",
        "http://169.254.169.254/latest/meta-data",
        "https://[::1",
        "file:///etc/passwd",
    ],
)
def test_elsewhere_is_not_followed(corp: Corp, where: str) -> None:
    moving(corp, where)
    corp.apply("--no-wait", code=3)
    done = corp.apply(code=1)
    assert "redirect" in done.stderr or "was not followed" in done.stderr or "answered 302" in done.stderr, done.stderr
    assert set(corp.net.connects) == {f"{GATEWAY}:443"}
    assert corp.net.hosts_that_saw(CANARY) == {GATEWAY}


def test_another_port_of_the_same_host_gets_no_key(corp: Corp) -> None:
    moving(corp, f"https://{GATEWAY}:8443PATH")
    corp.net.sites[f"{GATEWAY}:8443"] = stored(corp)
    corp.apply()
    corp.settled()
    assert corp.net.hosts_that_saw(CANARY) == {GATEWAY}


def test_a_storage_host_that_leads_back_gets_no_key(corp: Corp) -> None:
    """From storage to a stranger: the same judge."""
    moving(corp, f"https://{STORE}PATH")
    known(corp)
    corp.net.sites[STORE] = lambda seen: Answer(302, b"", location=f"https://{EVIL}{seen.path}")
    corp.apply("--no-wait", code=3)
    corp.apply(code=1)
    assert {seen.host for seen in corp.net.seen} == {GATEWAY, STORE}


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
def test_no_other_call_is_redirected(corp: Corp, status: int) -> None:
    to = f"https://{EVIL}"
    corp.net.sites[GATEWAY] = lambda seen: Answer(status, b"", location=f"{to}{seen.path}", retry_after_ms="20")
    corp.apply("--no-wait", code=None)
    for words in (("plan",), ("status",)):
        corp.run(*words, code=None)
    assert {seen.host for seen in corp.net.seen} == {GATEWAY}
    assert set(corp.net.connects) == {f"{GATEWAY}:443"}
