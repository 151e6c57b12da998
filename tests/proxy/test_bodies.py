"""Bodies that no library finds fault with: pages in place of answers, and ends that nothing vouches for."""

from __future__ import annotations

import random
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from runner.clock import FastClock
from runner.errors import OutcomeUnknown
from runner.remotes.transport.http import Http
from tests.remotes.loopback import Answer, Request, Server, in_turn, reply, send, serving

BODY = b'{"custom_id":"a"}\n{"custom_id":"b"}\n'
PAGE = reply(200, b"<html>sign in</html>", {"content-type": "text/html"})


@contextmanager
def speaking(answer: Answer) -> Iterator[tuple[Http, Server]]:
    with serving(answer) as server:
        http = Http(
            server.base_url,
            who="acme",
            headers=lambda url: {},
            key_name="`KEY`",
            clock=FastClock(),
            rng=random.Random(7),
        )
        try:
            yield http, server
        finally:
            http.close()


def unframed(body: bytes) -> Answer:
    """A body that ends with its connection."""
    return send(b"HTTP/1.1 200 OK\r\nconnection: close\r\n\r\n" + body, keep=False)


def tried(server: Server) -> list[str]:
    """What each request wanted: the whole, or the rest."""
    return [request.headers.get("range", "") for request in server.requests]


def rest_of(body: bytes) -> Answer:
    def answer(sock: object, request: Request) -> bool:
        start = int(request.headers["range"].removeprefix("bytes=").removesuffix("-"))
        if start == len(body):
            data = reply(416, b"")
        else:
            where = f"bytes {start}-{len(body) - 1}/{len(body)}"
            data = reply(206, body[start:], {"content-range": where})
        return send(data)(sock, request)  # type: ignore[arg-type]  # a socket

    return answer


def test_a_file_without_a_frame_is_asked_whether_it_goes_on(tmp_path: Path) -> None:
    with speaking(in_turn(unframed(BODY), rest_of(BODY))) as (http, server):
        assert http.download("/file", tmp_path / "out") == len(BODY)
    assert tried(server) == ["", f"bytes={len(BODY)}-"]
    assert (tmp_path / "out").read_bytes() == BODY


def test_a_file_without_a_frame_that_was_cut_between_rows_is_continued(tmp_path: Path) -> None:
    with speaking(in_turn(unframed(BODY[: len(BODY) // 2]), rest_of(BODY))) as (http, _):
        http.download("/file", tmp_path / "out")
    assert (tmp_path / "out").read_bytes() == BODY


@pytest.mark.parametrize("can_resume", [True, False])
def test_where_nothing_can_be_continued_the_same_end_twice_is_the_end(can_resume: bool, tmp_path: Path) -> None:
    with speaking(in_turn(unframed(BODY[:5]), unframed(BODY))) as (http, server):
        http.download("/file", tmp_path / "out", can_resume=can_resume)
    assert (tmp_path / "out").read_bytes() == BODY
    assert len(server.requests) == 3


def test_a_page_in_place_of_a_file_is_no_file(tmp_path: Path) -> None:
    with speaking(in_turn(send(PAGE), send(reply(200, BODY)))) as (http, server):
        http.download("/file", tmp_path / "out")
    assert (tmp_path / "out").read_bytes() == BODY
    assert len(server.requests) == 2
    with speaking(send(PAGE)) as (http, _), pytest.raises(OutcomeUnknown, match="a web page came in its place"):
        http.download("/file", tmp_path / "none")
    assert not (tmp_path / "none").exists()


def test_a_page_in_place_of_a_delete_says_nothing() -> None:
    with speaking(in_turn(send(PAGE), send(reply(200, {})))) as (http, server):
        http.delete("/thing")
    assert [request.method for request in server.requests] == ["DELETE", "DELETE"]


@pytest.mark.parametrize("answer", [reply(200, b""), reply(200, {}), b"HTTP/1.1 204 X\r\n\r\n"])
def test_a_delete_may_be_answered_with_nothing(answer: bytes) -> None:
    with speaking(send(answer)) as (http, server):
        http.delete("/thing")
    assert len(server.requests) == 1
