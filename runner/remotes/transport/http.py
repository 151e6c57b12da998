"""The calls of one remote: how often each may be repeated, and which go out once.

Which failures prove that nothing was sent is known in `exchange.py`, where the requests are made.
A create goes out exactly once, on a connection of its own: a kept-alive one that the remote closed meanwhile would
leave us unable to tell whether the request was read.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Mapping
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any, BinaryIO, TypeVar

from runner.clock import RECEIPT_SECONDS, Clock
from runner.errors import BlockedError, RateLimited, RemoteError
from runner.remotes.transport import downloads, redaction
from runner.remotes.transport.content import PIECE, FilePart, MultipartForm, Signed, in_pieces
from runner.remotes.transport.exchange import Exchange, HttpSettings, Json, Query, Transport
from runner.remotes.transport.network import Network
from runner.remotes.transport.replies import Reply
from runner.remotes.transport.retry import FailedTry, created_nothing, is_safe_to_repeat, persist

T = TypeVar("T")

_UNAVAILABLE = 503
_USUAL = HttpSettings()


class Http:
    """A client of one remote. Safe to share between threads: each has connections of its own.

    headers: called for each request with the address it goes to, as the library read it; so a key that is missing, or
    must not go there, is an error of the first call. `who` names the remote in messages, `key_name` where its key comes
    from. Raises the RemoteError family, and BlockedError when read-only.
    """

    def __init__(
        self,
        base_url: str,
        *,
        who: str,
        headers: Callable[[str], Mapping[str, str]],
        key_name: str,
        clock: Clock,
        rng: random.Random,
        transport: Transport | None = None,
        settings: HttpSettings = _USUAL,
    ) -> None:
        self._one = Exchange(
            base_url, who=who, headers=headers, key_name=key_name, clock=clock, transport=transport, settings=settings
        )
        self._clock = clock
        self._rng = rng
        self._settings = settings
        redaction.guard_logs()

    def __repr__(self) -> str:
        return f"Http({self._one.who}, {self._one.base_url})"

    @property
    def skew(self) -> timedelta:
        """How far the remote's clock is ahead of ours, by the last `Date` it sent."""
        return self._one.skew

    def now(self) -> datetime:
        """The remote's time, as far as it tells: what it says of its objects is compared with this."""
        return self._clock.now() + self.skew

    @property
    def network(self) -> Network:
        return self._settings.network

    @property
    def clock(self) -> Clock:
        return self._clock

    # -- calls that change nothing, or nothing more when repeated

    def get_json(self, path: str, query: Query | None = None) -> Any:
        """The JSON answer, asked again on doubt."""
        return self._safely(lambda: self._one.json("GET", path, query=query))

    def get_body(self, path: str) -> bytes:
        """Like `get_json`, for an answer whose JSON may need mending."""
        return self._safely(lambda: self._one.reply("GET", path)).body

    def post_json(self, path: str, body: object | None = None) -> Any:
        """A POST whose repetition changes nothing more, such as a cancel."""
        self._must_not_be_read_only("POST", path)
        return self._safely(lambda: self._one.json("POST", path, body=body))

    def delete(self, path: str) -> None:
        """Gone afterwards. Raises NotFound when it was not there, also on the second of two tries."""
        self._must_not_be_read_only("DELETE", path)
        self._safely(lambda: self._one.delete(path))

    def download(
        self,
        path: str,
        to: Path,
        *,
        can_resume: bool = True,
        cap_bytes: int = downloads.CAP,
        moved: Callable[[str], Signed] | None = None,
    ) -> int:
        """Stream a body into the file `to`; its size in bytes. See `downloads.fetch`.

        moved: judges where a redirect leads, as to storage; what it admits is asked without our key.
        """
        return downloads.fetch(
            lambda headers: (
                self._one.incoming(path, headers) if moved is None else self._one.followed(path, headers, moved)
            ),
            to,
            policy=self._policy(can_resume, cap_bytes),
        )

    def download_signed(
        self, sign: Callable[[], Signed], to: Path, *, can_resume: bool = True, cap_bytes: int = downloads.CAP
    ) -> int:
        """Like `download`, from a URL that is asked for anew at each try: such URLs live for minutes."""
        return downloads.fetch(
            lambda headers: self._one.incoming_signed(sign(), headers),
            to,
            policy=self._policy(can_resume, cap_bytes),
        )

    def _policy(self, can_resume: bool, cap_bytes: int) -> downloads.Policy:
        return downloads.Policy(self._clock, self._rng, self._settings.retry_policy, can_resume, cap_bytes, self._told)

    def put_signed(self, sign: Callable[[], Signed], part: FilePart, headers: Mapping[str, str]) -> None:
        """Store a part of a file under a URL that is asked for at each try. Repeating it stores the same again."""
        self._must_not_be_read_only("PUT", part.source.name)
        self._safely(lambda: self._one.put(sign(), part, headers))

    # -- calls that go out once

    def create(self, path: str, body: object, query: Query | None = None) -> Any:
        """A POST that pays: sent once; again only if nothing was sent, or after a definite 429.

        body: sent as JSON; `Streamed` as it is.
        Raises NotSent or Refused when nothing was created, OutcomeUnknown when it may have been.
        """
        self._must_not_be_read_only("POST", path)
        return self._once(lambda: self._one.json("POST", path, query=query, body=body, alone=True))

    def upload(self, path: str, form: MultipartForm) -> Any:
        """The JSON answer to a multipart POST with an exact Content-Length. Repeated like a create."""
        self._must_not_be_read_only("POST", path)
        return self._once(lambda: self._send_form(path, form))

    def send_once(self, path: str, form: MultipartForm, file: BinaryIO, query: Query | None = None) -> Any:
        """The JSON answer to a multipart POST that goes out exactly once, whatever the remote answers.

        Its remote cannot be asked what became of it, so it has a while more when the command's time is over.
        file: gives the bytes of the form's file. What its `read` raises ends the call before the body is complete.
        """
        self._must_not_be_read_only("POST", path)
        try:
            return self._one.json("POST", path, query=query, form=form, file=file, alone=True, extra=RECEIPT_SECONDS)
        except FailedTry as failed:
            raise failed.error from failed.error.__cause__

    def ask(self, path: str, body: bytes) -> Reply:
        """The whole reply to a POST of these bytes of JSON, which goes out exactly once, whatever the remote answers.

        Unlike a create it shares a connection with others: it comes by the thousand, and each that is lost is counted.
        A 503 that names a time is a refusal for now, as a 429 is. Its answer has a while more when the command's time
        is over, since nobody can be asked for it later.
        """
        return self._answered(path, body=Json(body) if len(body) <= PIECE else in_pieces(body))

    def ask_about(self, path: str, form: MultipartForm, file: BinaryIO) -> Reply:
        """The same of a multipart POST. file: gives the bytes of the form's file, as `send_once` has it."""
        return self._answered(path, form=form, file=file, alone=True)

    def _answered(self, path: str, **how: Any) -> Reply:
        self._must_not_be_read_only("POST", path)
        try:
            silence = self._settings.timeouts.answer_read
            return self._one.reply("POST", path, silence=silence, extra=RECEIPT_SECONDS, **how)
        except FailedTry as failed:
            error = failed.error
            if error.status == _UNAVAILABLE and failed.retry_after is not None:
                raise RateLimited(error.message, status=error.status, retry_after=failed.retry_after) from failed
            raise error from error.__cause__

    def close(self) -> None:
        self._one.close()

    # -- plumbing

    def _send_form(self, path: str, form: MultipartForm) -> Any:
        with form.source.open("rb") as file:
            return self._one.json("POST", path, form=form, file=file, alone=True)

    def _safely(self, attempt: Callable[[], T]) -> T:
        return self._persist(attempt, is_safe_to_repeat)

    def _once(self, attempt: Callable[[], T]) -> T:
        return self._persist(attempt, created_nothing)

    def _persist(self, attempt: Callable[[], T], may_repeat: Callable[[FailedTry], bool]) -> T:
        return persist(
            attempt,
            may_repeat=may_repeat,
            retry_policy=self._settings.retry_policy,
            clock=self._clock,
            rng=self._rng,
            told=self._told,
        )

    def _told(self, error: RemoteError, wait_seconds: float, number: int, most: int) -> None:
        self._one.waits.retried(self._one.who, error, wait_seconds, number, most)

    def _must_not_be_read_only(self, method: str, path: str) -> None:
        if self._settings.read_only:
            raise BlockedError(
                f"read-only: `{method} {path}` was not sent to `{self._one.who}`", hint="unset `RUNNER_READONLY`"
            )
