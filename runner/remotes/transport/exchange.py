"""One request and its whole reply: what goes out, and what a failure proves.

The one module that speaks HTTP, so that the library underneath can be exchanged. Nothing is repeated here: that is
decided in `http.py`, by what is raised.
"""

from __future__ import annotations

import logging
import re
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from datetime import timedelta
from typing import Any, BinaryIO
from urllib.parse import urljoin, urlsplit

import httpx
import msgspec

from runner.clock import Clock, is_over
from runner.errors import NotSent, OutcomeUnknown, Refused
from runner.remotes.transport import downloads
from runner.remotes.transport.content import FilePart, MultipartForm, Signed, Streamed, chunks
from runner.remotes.transport.deadline import TIME_IS_OVER
from runner.remotes.transport.network import NOT_PRIVATE, Network
from runner.remotes.transport.pool import LOCATION, Client, Connections
from runner.remotes.transport.replies import Reply, failed_try_of, plain
from runner.remotes.transport.retry import FailedTry, RetryPolicy, date_in
from runner.remotes.transport.waits import Waits

_ERRNO = re.compile(r"\A\[Errno -?\d+\] ")
log = logging.getLogger(__name__)

Transport = httpx.BaseTransport
Query = Mapping[str, str | int]

JSON_CAP = 64 * 1024 * 1024  # bytes of one JSON answer; a page of 10,000 files is about 3 MB
REPLY_SECONDS = 180.0  # for one whole reply, beyond the silence it may begin with; of a file, for its head
MOST_REDIRECTS = 3  # of one download
_DECODABLE = ("gzip", "deflate")  # unasked, but some hosts do; two over each other inflate a million times

# Raised before the first byte of a request is written (httpcore 1.0.9, `_sync/connection.py`, read 2026-11-21).
# TLS handshake and DNS errors arrive as ConnectError. Write errors are not here: part of it may have been read.
_NOTHING_SENT = (
    httpx.ConnectError,
    httpx.ConnectTimeout,
    httpx.PoolTimeout,
    httpx.ProxyError,
    httpx.UnsupportedProtocol,
)


class Json(msgspec.Struct, frozen=True):
    """A body that is JSON already."""

    data: bytes


class Timeouts(msgspec.Struct, frozen=True):
    """Seconds. `read` is the longest silence between two reads, `bulk_read` the same for creates and files.

    `answer_read`: for a call that is answered at once. A model thinks for minutes, and a small server works at a few
    calls at a time while the others wait. Source: the OpenAI SDK's 600 s, recalled.
    """

    connect: float = 10.0
    read: float = 60.0
    bulk_read: float = 300.0
    answer_read: float = 600.0


_TRIES_OF_A_LOOK = 2  # of a connection that is refused: a server may be starting again


class HttpSettings(msgspec.Struct, frozen=True):
    """How a client behaves, apart from whom it speaks to."""

    network: Network = Network({})  # proxies and certificates
    read_only: bool = False  # refuse every call that changes something
    timeouts: Timeouts = Timeouts()
    retry_policy: RetryPolicy = RetryPolicy()
    waits: Waits | None = None  # told of calls that wait, and of those that are tried again
    query: Query = msgspec.field(default_factory=dict)  # on every call, as Azure's `api-version`


class Exchange:
    """Makes single attempts at calls of one remote. Raises FailedTry for all but a whole 2xx reply.

    headers, who, key_name: as `Http` has them. Safe to share between threads: each has connections of its own.
    """

    def __init__(
        self,
        base_url: str,
        *,
        who: str,
        headers: Callable[[str], Mapping[str, str]],
        key_name: str,
        clock: Clock,
        transport: Transport | None,
        settings: HttpSettings,
    ) -> None:
        self.base_url = base_url.rstrip("/")
        self.who = who
        self._headers = headers
        self._key_name = key_name
        self._clock = clock
        self._settings = settings
        self.waits = settings.waits or Waits(clock)
        self.skew = timedelta()  # how far the remote's clock is ahead of ours, by the last `Date` it sent
        self._connections = Connections(settings.network, clock, transport)

    def close(self) -> None:
        self._connections.close()

    # -- whole replies

    def json(self, method: str, path: str, **how: Any) -> Any:
        """What a reply holds; `reply` takes the rest."""
        return self._decoded(self.reply(method, path, **how), method, path)

    def delete(self, path: str) -> None:
        """Some answer with nothing; a page of a gateway in between says that the remote was never asked."""
        reply = self.reply("DELETE", path)
        if reply.body.strip():
            self._decoded(reply, "DELETE", path)

    def _decoded(self, reply: Reply, method: str, path: str) -> Any:
        try:
            return msgspec.json.decode(reply.body)
        except (msgspec.MsgspecError, ValueError, RecursionError) as error:
            message = f"`{self.who}` answered {reply.status} to `{method} {path}` with something that is not JSON"
            start = plain(reply.body[:1024].decode("utf-8", "replace"))
            unreadable = OutcomeUnknown(f"{message}: {start}", status=reply.status)
            unreadable.__cause__ = error
            raise FailedTry(unreadable) from error

    def reply(
        self,
        method: str,
        path: str,
        *,
        query: Query | None = None,
        body: object | None = None,
        form: MultipartForm | None = None,
        file: BinaryIO | None = None,
        alone: bool = False,
        silence: float | None = None,
        extra: float = 0.0,
    ) -> Reply:
        """One request, one whole 2xx reply. Raises FailedTry for everything else.

        silence: the longest, in seconds, where it is not the usual one. extra: seconds that it may take beyond the
        command's time, once it is sent.
        """
        client = self._client(alone)
        content: dict[str, Any] = {}
        if isinstance(body, Streamed):
            headers = {"content-type": "application/json", "content-length": str(body.size_bytes)}
            content = {"content": body.chunks(), "headers": headers}
        elif isinstance(body, Json):
            content = {"content": body.data, "headers": {"content-type": "application/json"}}
        elif body is not None:
            content = {"content": msgspec.json.encode(body), "headers": {"content-type": "application/json"}}
        elif form is not None:
            part = (form.filename, file, form.content_type)
            content = {"data": dict(form.fields), "files": {form.part: part}}
        request = self._request(client, method, path, query=query, bulk=alone, silence=silence, **content)
        with self._sent(client, request, extra) as response:
            return Reply(response.status_code, response.headers, self._body(response))

    def put(self, signed: Signed, part: FilePart, headers: Mapping[str, str]) -> None:
        client = self._client(alone=True, signed=signed)
        with part.source.open("rb") as file, _stale_is_unknown():
            request = self._request(
                client,
                "PUT",
                signed.url,
                bulk=True,
                headers={**headers, **signed.headers, "content-length": str(part.size_bytes)},
                extensions=signed.extensions,
                content=chunks(file, part),
            )
            with self._sent(client, request) as response:
                self._body(response)

    def _request(
        self,
        client: Client,
        method: str,
        path: str,
        *,
        query: Query | None = None,
        bulk: bool = False,
        silence: float | None = None,
        headers: Mapping[str, str] | None = None,
        extensions: Mapping[str, Any] | None = None,
        **content: Any,
    ) -> httpx.Request:
        """An absolute `path` is a signed URL: it is sent neither our key nor our query."""
        own = path.startswith("/")
        timeouts = self._settings.timeouts
        read = silence or (timeouts.bulk_read if bulk else timeouts.read)
        try:
            request = client.httpx.build_request(
                method,
                self.base_url + path if own else path,
                params={**self._settings.query, **(query or {})} or None if own else None,
                headers=headers,
                timeout=httpx.Timeout(read, connect=timeouts.connect),
                extensions=dict(extensions or {}),
                **content,
            )
        except httpx.InvalidURL as error:
            raise self._not_sent(method, path, error) from error
        if own:
            request.headers.update(self._headers(f"{request.url.scheme}://{request.url.netloc.decode('ascii')}"))
        return request

    @contextmanager
    def _sent(self, client: Client, request: httpx.Request, extra: float = 0.0) -> Iterator[httpx.Response]:
        """A 2xx response whose body is still to be read. Errors of httpx become FailedTry, in the body too."""
        started = self._clock.monotonic()
        call = f"{request.method} {request.url.path}"
        if is_over(self._clock):
            raise FailedTry(NotSent(f"`{self.who}` was not asked `{call}`: {TIME_IS_OVER}", is_out_of_time=True))
        client.deadline.seconds = request.extensions["timeout"]["read"] + REPLY_SECONDS
        client.deadline.extra_seconds = extra
        try:
            with self.waits.call(self.who) as client.deadline.call:
                response = client.httpx.send(request, stream=True)
                try:
                    self._note(call, response.status_code, started)
                    self._learn_time(request, response)
                    if not response.is_success:
                        raise self._refusal(response, call)
                    yield response
                finally:
                    response.close()
        except _NOTHING_SENT as error:
            self._note(call, type(error).__name__, started)
            raise self._not_sent(request.method, request.url.path, error, str(request.url)) from error
        except (httpx.HTTPError, httpx.StreamError) as error:
            self._note(call, type(error).__name__, started)
            reason = _words_of(error)
            unknown = OutcomeUnknown(
                f"`{self.who}` did not answer `{call}` to the end: {reason}", is_out_of_time=reason == TIME_IS_OVER
            )
            unknown.__cause__ = error
            raise FailedTry(unknown) from error

    def _refusal(self, response: httpx.Response, call: str) -> FailedTry:
        try:
            body = self._body(response)
        except (httpx.HTTPError, FailedTry):
            body = b""  # the status is definite even when its explanation was cut
        reply = Reply(response.status_code, response.headers, body)
        failed = failed_try_of(reply, who=self.who, call=call, key_name=self._key_name, now=self._clock.now())
        location = response.extensions.get(LOCATION, "")
        return Moved(failed, str(response.request.url), location) if location else failed

    def _body(self, response: httpx.Response) -> bytes:
        """The whole body, under a cap of bytes."""
        encoding = _encoding_of(response)
        if encoding and encoding not in _DECODABLE:
            raise FailedTry(
                OutcomeUnknown(f"`{self.who}` sent an answer encoded as `{plain(encoding)}`, which was not asked for")
            )
        body = bytearray()
        for chunk in response.iter_bytes():
            body += chunk
            if len(body) > JSON_CAP:
                raise FailedTry(OutcomeUnknown(f"the answer of `{self.who}` is too long"))
        return bytes(body)

    @contextmanager
    def incoming_signed(self, signed: Signed, headers: Mapping[str, str]) -> Iterator[downloads.Incoming]:
        with (
            _stale_is_unknown(),
            self.incoming(signed.url, {**headers, **signed.headers}, signed) as incoming,
        ):
            yield incoming

    @contextmanager
    def followed(
        self, path: str, headers: Mapping[str, str], admit: Callable[[str], Signed]
    ) -> Iterator[downloads.Incoming]:
        """A file, wherever a few redirects lead that are admitted. Our key goes to our own address alone."""
        signed: Signed | None = None
        with ExitStack() as opened:
            for left in reversed(range(MOST_REDIRECTS + 1)):
                try:
                    incoming = opened.enter_context(self.incoming(path, headers, signed))
                    break
                except Moved as moved:
                    if not left:
                        raise
                    url = moved.url()
                    signed = self._own(url) or admit(url)
                    path, headers = signed.url, {**headers, **signed.headers}
            yield incoming

    def _own(self, url: str) -> Signed | None:
        """An address of this very remote, to be asked with our key; None for any other."""
        try:
            ours, theirs = httpx.URL(self.base_url), httpx.URL(url)
        except httpx.InvalidURL:
            return None
        if (ours.scheme, ours.host, ours.port) != (theirs.scheme, theirs.host, theirs.port) or theirs.userinfo:
            return None
        proxy = self._settings.network.proxy_for(self.base_url)
        return Signed(url, self._headers(f"{ours.scheme}://{ours.netloc.decode('ascii')}"), proxy=proxy)

    @contextmanager
    def incoming(
        self, path: str, headers: Mapping[str, str], signed: Signed | None = None
    ) -> Iterator[downloads.Incoming]:
        client = self._client(alone=False, signed=signed)
        extensions = signed.extensions if signed else None
        request = self._request(client, "GET", path, bulk=True, headers=headers, extensions=extensions)
        with self._sent(client, request) as response:
            client.deadline.seconds = None  # a file takes as long as it moves, which its receiver sees to
            encoding = _encoding_of(response)
            if encoding and encoding not in _DECODABLE:
                raise FailedTry(
                    Refused(f"`{self.who}` sent a file encoded as `{plain(encoding)}`, which was not asked for")
                )
            yield downloads.Incoming(
                status=response.status_code,
                headers=response.headers,
                chunks=response.iter_bytes(),
                encoded=bool(encoding),
                received=lambda: response.num_bytes_downloaded,
            )

    # -- plumbing

    def _client(self, alone: bool, signed: Signed | None = None) -> Client:
        """This thread's client. signed: the address, where it is not the remote's own."""
        url = signed.url if signed else self.base_url
        proxy = signed.proxy if signed else self._settings.network.proxy_for(url)
        return self._connections.client(url, proxy, alone=alone)

    def _not_sent(self, method: str, path: str, error: Exception, url: str = "") -> FailedTry:
        host = urlsplit(url or self.base_url).netloc
        reason = _words_of(error)
        proxy = self._settings.network.proxy_for(url or self.base_url)
        way = f" through the proxy in `{proxy.variable}`" if proxy else ""
        hint = "check the network, and `base_url` of the provider"
        is_final = any(word in reason for word in ("CERTIFICATE_VERIFY_FAILED", NOT_PRIVATE))
        is_out_of_time = reason == TIME_IS_OVER
        if is_out_of_time:
            hint = "give it more time"
        elif NOT_PRIVATE in reason:
            hint = "`insecure_http` is for hosts of a private network; write `https://` for others"
        elif is_final:
            said = self._settings.network.trusted_by()
            hint = (
                f"{said} does not hold the authority that signed it: add that, or unset the variable"
                if said
                else "if a company's proxy or gateway has an authority of its own, set `SSL_CERT_FILE` to its PEM file"
            )
        elif proxy:
            hint = f"check the proxy in `{proxy.variable}`, or name the host in `NO_PROXY`"
        message = f"cannot reach `{self.who}` at `{host}`{way}: {reason}"
        not_sent = NotSent(message, hint=hint, is_out_of_time=is_out_of_time)
        not_sent.__cause__ = error
        log.debug("%s %s was not sent: %s", method, urlsplit(path).path, reason)
        # Another try meets the same one, or nobody listens there: who only looks is told so soon
        most = _TRIES_OF_A_LOOK if self._settings.read_only and _is_refused(error) else None
        return FailedTry(not_sent, should_retry=False if is_final else None, most_tries=most)

    def _learn_time(self, request: httpx.Request, response: httpx.Response) -> None:
        """A store of files, which is another host, has a clock of its own."""
        date = date_in(response.headers.get("date"))
        if date is not None and str(request.url).startswith(self.base_url):
            self.skew = date - self._clock.now()

    def _note(self, call: str, outcome: int | str, started: float) -> None:
        log.debug("%s %s %.0f ms", call, outcome, (self._clock.monotonic() - started) * 1000)


class Moved(FailedTry):
    """A refusal that names another address. It may carry a permission of its own, and is quoted nowhere."""

    def __init__(self, refusal: FailedTry, asked: str, location: str) -> None:
        super().__init__(refusal.error, retry_after=refusal.retry_after, should_retry=refusal.should_retry)
        self._asked = asked
        self._location = location

    def url(self) -> str:
        """The whole address, or what stands in its place."""
        try:
            return urljoin(self._asked, self._location)
        except ValueError:
            return self._location


def _encoding_of(response: httpx.Response) -> str:
    """As the remote calls it, several in one text; empty for a body as it is."""
    encoding: str = response.headers.get("content-encoding", "").strip().lower()
    return "" if encoding == "identity" else encoding


@contextmanager
def _stale_is_unknown() -> Iterator[None]:
    """A refused signature is an expired one until a fresh URL is refused as well."""
    try:
        yield
    except FailedTry as failed:
        if failed.error.status not in (400, 403):
            raise
        stale = OutcomeUnknown(f"a signed URL was refused: {failed.error.message}", status=failed.error.status)
        raise FailedTry(stale, retry_after=failed.retry_after) from failed


def _is_refused(error: BaseException | None) -> bool:
    """Whether nobody listens at the port."""
    while error is not None and not isinstance(error, ConnectionRefusedError):
        error = error.__cause__ or error.__context__
    return error is not None


def _words_of(error: Exception) -> str:
    """What a library says, without the number that the system gives it."""
    if isinstance(error, httpx.DecodingError):
        return "what it sent cannot be unpacked"
    return _ERRNO.sub("", plain(str(error))) or type(error).__name__
