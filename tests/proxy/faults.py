"""The catalogue: everything that can happen to one request on the wire.

`harmless` ones are strange and still whole: the client has to read them as if nothing had happened. `stage` says
whether the request reached the server: to a read that makes no difference, so reads meet only one of two such faults.
"""

from __future__ import annotations

import functools
import gzip
import json
import re
import time
import zlib
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from typing import Any, NamedTuple

from tests.proxy.proxy import Exchange, Header, Reply, Strike

HTML = b"<!DOCTYPE html><html><head><title>502</title></head><body><h1>Bad gateway</h1></body></html>"
JSON: Header = ("content-type", "application/json")
DRIPPED = 60  # bytes of a head that come one by one
DEAD_SECONDS = 20.0  # real ones; no client of ours is that patient


class Fault(NamedTuple):
    name: str
    strike: Strike
    harmless: bool = False
    writes: bool = False  # differs from another one only where a request has an effect
    bodies: bool = False  # strikes within the body of a request
    reads: bool = False  # in replies about something that the request names
    lists: bool = False  # in replies that are lists


# -- the connection


def at_head(exchange: Exchange) -> None:
    """The head was read, nothing else."""


def at_body(exchange: Exchange) -> None:
    exchange.read(0.5)


def unforwarded(exchange: Exchange) -> None:
    exchange.read()


def forwarded(exchange: Exchange) -> None:
    exchange.forward()


def in_status(exchange: Exchange) -> None:
    exchange.send(exchange.forward().sized()[:7])


def in_headers(exchange: Exchange) -> None:
    reply = exchange.forward()
    exchange.send(reply.head(("content-length", str(len(reply.body))))[:-9])


def in_reply(exchange: Exchange) -> None:
    data = exchange.forward().sized()
    body = len(data) - data.index(b"\r\n\r\n") - 4
    exchange.send(data[: len(data) - max(body // 2, 1)])


def _reset(before: Callable[[Exchange], None]) -> Strike:
    def strike(exchange: Exchange) -> bool:
        before(exchange)
        exchange.reset()
        return False

    return strike


def _close(before: Callable[[Exchange], None]) -> Strike:
    def strike(exchange: Exchange) -> bool:
        before(exchange)
        exchange.close()
        return False

    return strike


def _silent(before: Callable[[Exchange], None]) -> Strike:
    """No reply and no end, until the client gives up."""

    def strike(exchange: Exchange) -> bool:
        before(exchange)
        exchange.sock.settimeout(DEAD_SECONDS)
        exchange.sock.recv(1)
        return False

    return strike


def stale(exchange: Exchange) -> bool:
    """An idle connection that closes in the moment it is used again; a fresh one serves."""
    if exchange.number > 1:
        exchange.reset()
        return False
    exchange.send(exchange.forward().sized())
    return True


# -- another answer than the server's


def _answer(status: int, body: bytes, *headers: Header, after: bool = False) -> Strike:
    def strike(exchange: Exchange) -> bool:
        (forwarded if after else unforwarded)(exchange)
        exchange.send(Reply(status, "Struck", headers or (JSON,), body).sized())
        return True

    return strike


def _error(status: int, *, after: bool = False) -> Strike:
    return _answer(status, b'{"error":{"message":"struck","type":"server_error"}}', after=after)


not_found = _error(404)


def _limited(*advice: Header) -> Strike:
    return _answer(429, b'{"error":{"message":"slow down","code":"rate_limit_exceeded"}}', JSON, *advice)


def out_of_money(exchange: Exchange) -> bool:
    body = b'{"error":{"message":"You exceeded your current quota","type":"insufficient_quota","code":429}}'
    return _answer(429, body)(exchange)


def limited_twice(exchange: Exchange) -> bool:
    return _limited(("retry-after", "3"), ("retry-after", "soon"))(exchange)


def limited_with_date(exchange: Exchange) -> bool:
    now = datetime.now(UTC)
    stamps = [("date", now), ("retry-after", now + timedelta(seconds=3))]
    return _limited(*((name, format_datetime(at, usegmt=True)) for name, at in stamps))(exchange)


def _redirect(status: int, *, to_itself: bool = False, after: bool = False) -> Strike:
    def strike(exchange: Exchange) -> bool:
        where = exchange.target if to_itself else f"{exchange.elsewhere}{exchange.target}"
        return _answer(status, b"", ("location", where), after=after)(exchange)

    return strike


# -- the server's answer, sent in another way


def _sent(write: Callable[[Exchange, Reply], None], *, keep: bool = True) -> Strike:
    def strike(exchange: Exchange) -> bool:
        write(exchange, exchange.forward())
        if not keep:
            exchange.close()
        return keep

    return strike


def _until_close(exchange: Exchange, reply: Reply) -> None:
    exchange.send(reply.head(("connection", "close")) + reply.body)


def _until_early_close(exchange: Exchange, reply: Reply) -> None:
    exchange.send(reply.head(("connection", "close")) + reply.body[: len(reply.body) // 2])


def _http10(exchange: Exchange, reply: Reply) -> None:
    exchange.send(reply.head(version="HTTP/1.0") + reply.body)


def _chunked(*, size: bytes = b"", end: bytes = b"0\r\n\r\n") -> Callable[[Exchange, Reply], None]:
    """size: what stands before the second chunk instead of its length."""

    def write(exchange: Exchange, reply: Reply) -> None:
        half = len(reply.body) // 2
        first, second = reply.body[:half], reply.body[half:]
        data = reply.head(("transfer-encoding", "chunked"))
        if first:
            data += b"%x\r\n%b\r\n" % (len(first), first)
        data += b"%b\r\n%b\r\n" % (size or b"%x" % len(second), second)
        exchange.send(data + end)

    return write


def _encoded(encoding: str, encode: Callable[[bytes], bytes]) -> Callable[[Exchange, Reply], None]:
    def write(exchange: Exchange, reply: Reply) -> None:
        changed = Reply(reply.status, reply.reason, (*reply.headers, ("content-encoding", encoding)), b"")
        body = encode(reply.body)
        exchange.send(changed.head(("content-length", str(len(body)))) + body)

    return write


@functools.cache
def bomb() -> bytes:
    """1 MB of gzip that inflates to 1 GiB."""
    packer = zlib.compressobj(9, zlib.DEFLATED, -15)
    block = packer.compress(bytes(1 << 24)) + packer.flush(zlib.Z_FULL_FLUSH)
    return gzip.compress(b"")[:10] + block * 64 + b"\x03\x00"


def _drip(exchange: Exchange, data: bytes) -> None:
    for byte in data:
        exchange.send(bytes([byte]))
        time.sleep(exchange.tick)


def _slow_head(exchange: Exchange, reply: Reply) -> None:
    data = reply.sized()
    _drip(exchange, data[:DRIPPED])
    exchange.send(data[DRIPPED:])


def _hints_without_end(exchange: Exchange, reply: Reply) -> None:
    """Whole replies, each in time, and never the last one."""
    while True:
        exchange.send(b"HTTP/1.1 103 Early Hints\r\nlink: </x>; rel=preload\r\n\r\n")
        time.sleep(exchange.tick)


def _slow_body(exchange: Exchange, reply: Reply) -> None:
    exchange.send(reply.head(("content-length", str(len(reply.body)))))
    _drip(exchange, reply.body)


def _noisy(*interim: bytes) -> Callable[[Exchange, Reply], None]:
    def write(exchange: Exchange, reply: Reply) -> None:
        for line in interim:
            exchange.send(b"HTTP/1.1 " + line + b"\r\n\r\n")
        exchange.send(reply.sized())

    return write


def _two_lengths(difference: int) -> Callable[[Exchange, Reply], None]:
    def write(exchange: Exchange, reply: Reply) -> None:
        lengths = [("content-length", str(len(reply.body) + more)) for more in (0, difference)]
        exchange.send(reply.head(*lengths) + reply.body)

    return write


def _short_length(exchange: Exchange, reply: Reply) -> None:
    exchange.send(reply.head(("content-length", str(len(reply.body) // 2))) + reply.body)


def _raw_header(line: bytes) -> Callable[[Exchange, Reply], None]:
    def write(exchange: Exchange, reply: Reply) -> None:
        head, _, body = reply.sized().partition(b"\r\n")
        exchange.send(head + b"\r\n" + line + body)

    return write


def _other_type(exchange: Exchange, reply: Reply) -> None:
    headers = [(name, value) for name, value in reply.headers if name.lower() != "content-type"]
    exchange.send(Reply(reply.status, reply.reason, (*headers, ("content-type", "text/html")), reply.body).sized())


def _strange_status(exchange: Exchange, reply: Reply) -> None:
    status = 299 if reply.status < 300 else reply.status
    exchange.send(Reply(status, "", reply.headers, reply.body).sized())


def _twice(exchange: Exchange, reply: Reply) -> None:
    exchange.send(reply.sized() * 2)


def _both_lengths(exchange: Exchange, reply: Reply) -> None:
    size = b"%x" % len(reply.body)
    head = reply.head(("content-length", str(len(reply.body) + 3)), ("transfer-encoding", "chunked"))
    exchange.send(head + (size + b"\r\n" + reply.body + b"\r\n" if reply.body else b"") + b"0\r\n\r\n")


def _dressed_chunks(exchange: Exchange, reply: Reply) -> None:
    """Chunks with extensions, and trailers that say otherwise than the head."""
    data = reply.head(("transfer-encoding", "chunked"))
    for byte in reply.body[:-1], reply.body[-1:]:
        data += b"%x;%b\r\n%b\r\n" % (len(byte), b"name=value;" * 500, byte) if byte else b""
    exchange.send(data + b"0\r\ncontent-length: 3\r\nx-trailer: y\r\n\r\n")


def _partial(exchange: Exchange, reply: Reply, *, where: str = "") -> None:
    """Half of the body, said to be just that, or to lie somewhere that has no place."""
    half = reply.body[: len(reply.body) // 2]
    told = where or f"bytes 0-{len(half) - 1}/{len(reply.body)}"
    exchange.send(Reply(206, "Partial Content", (*reply.headers, ("content-range", told)), half).sized())


# -- the server's JSON, saying something else


def _changed(change: Callable[[Any], Any]) -> Strike:
    """The server's answer with `change` made to every object in it; what is not JSON stays as it is."""

    def write(exchange: Exchange, reply: Reply) -> None:
        try:
            body = json.dumps(_each(json.loads(reply.body), change)).encode()
        except ValueError:
            body = reply.body
        exchange.send(Reply(reply.status, reply.reason, reply.headers, body).sized())

    return _sent(write)


def _each(value: Any, change: Callable[[Any], Any]) -> Any:
    if isinstance(value, dict):
        return change({key: _each(one, change) for key, one in value.items()})
    return [_each(one, change) for one in value] if isinstance(value, list) else value


_IDS = ("id", "name", "batch_id")
_TIMES = ("_at", "Time")
_STATES = ("status", "state")


def _with(names: Callable[[str], bool], value: Any) -> Strike:
    """Every field of these names is `value`, or what `value` makes of it."""
    make = value if callable(value) else lambda was: value
    return _changed(lambda raw: {key: make(was) if names(key) else was for key, was in raw.items()})


def _another(was: Any) -> Any:
    return f"{was}7" if isinstance(was, str) else was


def _is_time(key: str) -> bool:
    return key.endswith(_TIMES)


def _is_count(key: str) -> bool:
    return key in ("total", "completed", "failed") or key.endswith(("Requests", "_tokens", "Tokens"))


def _twice_named(exchange: Exchange, reply: Reply) -> None:
    """Every id stands twice in its object: the last one counts."""
    body = re.sub(rb'"(id|name|batch_id)":', rb'"\1":"decoy","\1":', reply.body)
    exchange.send(Reply(reply.status, reply.reason, reply.headers, body).sized())


def _list_without_end(raw: Any) -> Any:
    more = {"has_more": True} if "has_more" in raw else {}
    return {**raw, **more, **({"nextPageToken": "again"} if "nextPageToken" in raw else {})}


def _bytes(data: bytes) -> Strike:
    return _sent(lambda exchange, reply: exchange.send(data), keep=False)


DEEP = b"[" * 100_000 + b"]" * 100_000
_MOMENTS = {
    "head": at_head,
    "body": at_body,
    "unforwarded": unforwarded,
    "forwarded": forwarded,
    "status line": in_status,
    "headers": in_headers,
    "reply": in_reply,
}
_WAYS = {"reset": _reset, "close": _close}
_ADVICE: dict[str, tuple[Header, ...]] = {
    "seconds": (("retry-after", "3"),),
    "ms": (("retry-after-ms", "1500"), ("retry-after", "40")),
    "absurd": (("retry-after", "999999999"),),
    "year 9999": (("retry-after", "Fri, 31 Dec 9999 23:59:59 GMT"),),
    "negative": (("retry-after", "-5"),),
    "zero": (("retry-after", "0"),),
    "nan": (("retry-after", "nan"),),
    "words": (("retry-after", "soon"),),
    "missing": (),
}

CUTS = [
    Fault(f"{way} at {moment}", cut(strike), writes=moment in ("unforwarded", "head"), bodies=moment == "body")
    for moment, strike in _MOMENTS.items()
    for way, cut in _WAYS.items()
]
SILENCES = [
    Fault("silent, unforwarded", _silent(unforwarded), writes=True),
    Fault("silent, forwarded", _silent(forwarded)),
    Fault("stale keep-alive", stale),
]
LIMITS = [
    *(Fault(f"429 {name}", _limited(*advice)) for name, advice in _ADVICE.items()),
    Fault("429 date", limited_with_date),
    Fault("429 twice", limited_twice),
    Fault("429 out of money", out_of_money),
]
ERRORS = [
    *(Fault(f"{status} before", _error(status)) for status in (408, 500, 502, 503, 504)),
    *(Fault(f"{status} after", _error(status, after=True), writes=True) for status in (408, 500, 502, 503, 504)),
    Fault("503 html", _answer(503, HTML, ("content-type", "text/html"), ("retry-after", "2"))),
    Fault("999 after", _error(999, after=True)),
    Fault("503 non-UTF-8", _answer(503, b"\xff\xfe\x00 bad", ("x-request-id", "\xff\xfe\x80"))),
]
WRONG_BODIES = [
    Fault("html 200 before", _answer(200, HTML, ("content-type", "text/html")), writes=True),
    Fault("html 200 after", _answer(200, HTML, ("content-type", "text/html"), after=True)),
    Fault("empty 200 before", _answer(200, b""), writes=True),
    Fault("empty 200 after", _answer(200, b"", after=True)),
    Fault("204 after", _sent(lambda e, r: e.send(Reply(204, "No Content", (), b"").head()))),
    Fault("{} after", _answer(200, b"{}", after=True)),
    Fault("null after", _answer(200, b"null", after=True)),
    Fault("[] after", _answer(200, b"[]", after=True)),
    Fault("deep json after", _answer(200, DEEP, after=True)),
    Fault("html until close", _sent(lambda e, r: e.send(Reply(200, "OK", (), HTML).head() + HTML), keep=False)),
]
FRAMING = [
    Fault("until close", _sent(_until_close, keep=False), harmless=True),
    Fault("cut, until close", _sent(_until_early_close, keep=False)),
    Fault("HTTP/1.0", _sent(_http10, keep=False), harmless=True),
    Fault("chunked", _sent(_chunked()), harmless=True),
    Fault("broken chunk", _sent(_chunked(size=b"zz"), keep=False)),
    Fault("negative chunk", _sent(_chunked(size=b"-1"), keep=False)),
    Fault("chunk cut", _sent(_chunked(end=b""), keep=False)),
    Fault("length and chunks", _sent(_both_lengths)),
    Fault("dressed chunks", _sent(_dressed_chunks), harmless=True),
    Fault("206", _sent(_partial)),
    Fault("206 nowhere", _sent(functools.partial(_partial, where=f"bytes 0-{'9' * 5000}/*"))),
    Fault("status 000", _bytes(b"HTTP/1.1 000 X\r\ncontent-length: 2\r\n\r\n{}")),
    Fault("short length", _sent(_short_length)),
    Fault("two lengths, equal", _sent(_two_lengths(0)), harmless=True),
    Fault("two lengths", _sent(_two_lengths(7), keep=False)),
    Fault("reply twice", _sent(_twice)),
    Fault("garbage", _bytes(b"\x15\x03\x01\x00\x02\x02\x28SSH-2.0-gateway\r\n")),
    Fault("no head", _bytes(b"\r\n\r\n\r\n")),
]
ENCODINGS = [
    Fault("gzip, unasked", _sent(_encoded("gzip", gzip.compress)), harmless=True),
    Fault("gzip bomb", _sent(_encoded("gzip", lambda body: bomb()), keep=False)),
    Fault("wrong gzip", _sent(_encoded("gzip", lambda body: body))),
    Fault("cut gzip", _sent(_encoded("gzip", lambda body: gzip.compress(body)[:-12]))),
    Fault("gzip twice", _sent(_encoded("gzip, gzip", lambda body: gzip.compress(gzip.compress(body))))),
    Fault("unknown encoding", _sent(_encoded("zstd", lambda body: b"\x28\xb5\x2f\xfd" + body))),
]
SLOW = [
    Fault("slow head", _sent(_slow_head), harmless=True),
    Fault("slow body", _sent(_slow_body)),
    Fault("hints without end", _sent(_hints_without_end, keep=False)),
]
REDIRECTS = [
    *(Fault(f"{status} elsewhere", _redirect(status)) for status in (301, 302, 307, 308)),
    *(Fault(f"{status} to itself", _redirect(status, to_itself=True)) for status in (301, 302, 307)),
    Fault("303 after", _redirect(303, after=True), writes=True),
    Fault("302 to no address", _answer(302, b"", ("location", "mailto:nobody@example.com"))),
    Fault("302 to no host", _answer(302, b"", ("location", "http://xn--/"))),
]
HEADERS = [
    Fault("100 continue", _sent(_noisy(*[b"100 Continue"] * 5)), harmless=True),
    Fault("early hints", _sent(_noisy(b"103 Early Hints\r\nlink: </x>; rel=preload")), harmless=True),
    Fault("101", _sent(_noisy(b"101 Switching Protocols\r\nupgrade: h2c"), keep=False)),
    Fault("299", _sent(_strange_status), harmless=True),
    Fault("duplicate headers", _sent(_raw_header(b"content-type: text/plain\r\nserver: a\r\nserver: b\r\n")), True),
    Fault("non-UTF-8 header", _sent(_raw_header(b"x-request-id: \xff\xfe\x80\r\nx-name: \xc3\x28\r\n")), True),
    Fault("other content type", _sent(_other_type), harmless=True),
    Fault("header bomb, one", _sent(_raw_header(b"x-bomb: " + b"b" * 400_000 + b"\r\n"), keep=False)),
    Fault("header bomb, many", _sent(_raw_header(b"x-bomb: aaaaaaaaaaaaaaaaaaaaaaaaa\r\n" * 12_000), keep=False)),
    Fault("cookies", _sent(_raw_header(b"set-cookie: a=b; version=x; max-age=1e9; domain=.\r\n" * 500)), harmless=True),
    Fault("folded header", _sent(_raw_header(b"x-folded: a\r\n b\r\n")), harmless=True),
]

CLAIMS = [
    Fault("ids twice", _sent(_twice_named), harmless=True),
    Fault("ids are numbers", _with(lambda key: key in _IDS, 7)),
    Fault("ids of others", _with(lambda key: key in _IDS, _another), reads=True),
    Fault("ids are paths", _with(lambda key: key in _IDS, "../../../files/x?y=#"), reads=True),
    Fault("unknown states", _with(lambda key: key in _STATES, lambda was: "THAWING" if isinstance(was, str) else was)),
    Fault("all null", _changed(lambda raw: dict.fromkeys(raw))),
    Fault("times below zero", _with(_is_time, -5)),
    Fault("times in ms", _with(_is_time, lambda was: was * 1000 if isinstance(was, int) else was)),
    Fault("times of all digits", _with(_is_time, "9" * 5000)),
    Fault("times before time", _with(_is_time, "0001-01-01T00:00:00+23:59")),
    Fault("counts below zero", _with(_is_count, -5)),
    Fault("counts of all digits", _with(_is_count, "9" * 5000)),
    Fault("counts beyond 64 bits", _with(_is_count, 10**30)),
    Fault("list without end", _changed(_list_without_end), lists=True),
]

FAULTS: dict[str, Fault] = {
    fault.name: fault
    for fault in (
        *CUTS,
        *SILENCES,
        *LIMITS,
        *ERRORS,
        *WRONG_BODIES,
        *FRAMING,
        *ENCODINGS,
        *SLOW,
        *REDIRECTS,
        *HEADERS,
        *CLAIMS,
    )
}

# Those that go on until somebody stops them: for the rest the second time is like the first.
STORMS = (
    "reset at unforwarded",
    "reset at forwarded",
    "close at reply",
    "429 seconds",
    "429 absurd",
    "429 missing",
    "429 out of money",
    "503 before",
    "500 after",
    "html 200 after",
    "empty 200 after",
    "{} after",
    "cut, until close",
    "wrong gzip",
    "302 elsewhere",
    "reply twice",
    "ids of others",
    "unknown states",
    "all null",
    "list without end",
)
