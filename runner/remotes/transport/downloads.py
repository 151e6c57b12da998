"""A remote file onto the disk, whole or not at all.

Bodies above some 200 MB are regularly cut half way, so a download is resumed with Range where the remote can, begun
again where it cannot, and becomes visible under its name only once its length is right.
"""

from __future__ import annotations

import os
import random
import re
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager
from pathlib import Path
from typing import BinaryIO

import msgspec

from runner.clock import Clock
from runner.errors import OutcomeUnknown, RemoteError
from runner.remotes.transport.retry import FailedTry, Retried, RetryPolicy, is_safe_to_repeat, persist

CAP = 64 * 1024**3  # bytes: no batch result comes near; a disk is fuller sooner
LARGEST_RATIO = 200  # decoded over received bytes; JSON lines reach about 30
RATIO_FREE = 16 * 1024 * 1024  # decoded bytes before the ratio is looked at
STEP = 64 * 1024  # a cut download that came this much further is simply continued
LONGEST_SECONDS = 6 * 3600.0  # for one file in all; 10 GB at half a megabyte a second
STALL_SECONDS = 120.0
STALL_BYTES = 64 * 1024  # fewer in STALL_SECONDS is a stall
_CONTENT_RANGE = re.compile(r"bytes (\d{1,18})-(\d{1,18})/(\d{1,18}|\*)\Z")


class Incoming(msgspec.Struct, frozen=True):
    """A 2xx answer that is being received. `received` counts bytes on the wire, `chunks` are decoded."""

    status: int
    headers: Mapping[str, str]
    chunks: Iterator[bytes]
    encoded: bool
    received: Callable[[], int]


class Policy(msgspec.Struct, frozen=True):
    clock: Clock
    rng: random.Random
    retry_policy: RetryPolicy = RetryPolicy()
    can_resume: bool = True
    cap_bytes: int = CAP
    told: Retried = lambda error, wait_seconds, number, most: None  # of each try that is followed by another


Opener = Callable[[Mapping[str, str]], AbstractContextManager[Incoming]]


def fetch(opener: Opener, to: Path, *, policy: Policy) -> int:
    """Receive into `<name>.part`, fsync, rename to `to`; the size in bytes.

    opener: sends a GET with the headers it is given. Raises the RemoteError of the last try when it stays
    incomplete (the `.part` file is then removed), and OSError when the disk fails.
    """
    part = to.with_name(to.name + ".part")
    try:
        with _created(part) as file:
            download = _Download(opener, file, policy)
            while not persist(
                download.attempt,
                may_repeat=is_safe_to_repeat,
                retry_policy=policy.retry_policy,
                clock=policy.clock,
                rng=policy.rng,
                told=policy.told,
            ):
                pass  # cut, but further than before: go on at once
            os.fsync(file.fileno())
        part.replace(to)
    except BaseException:
        part.unlink(missing_ok=True)
        raise
    _sync_directory(to.parent)
    return download.size


def _created(part: Path) -> BinaryIO:
    """A new private file. An old one, or a link planted there, is removed and not followed."""
    part.unlink(missing_ok=True)
    fd = os.open(part, os.O_WRONLY | os.O_CREAT | os.O_EXCL | getattr(os, "O_NOFOLLOW", 0), 0o600)
    return os.fdopen(fd, "wb", buffering=0)


def _sync_directory(folder: Path) -> None:
    fd = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)


class _Download:
    """The state between two attempts: how far we are, and of which version of the file."""

    def __init__(self, opener: Opener, file: BinaryIO, policy: Policy) -> None:
        self.size = 0
        self._opener = opener
        self._file = file
        self._policy = policy
        self._began = policy.clock.monotonic()
        self._best = 0  # the furthest any attempt came
        self._etag = ""
        self._total: int | None = None
        self._resumable = policy.can_resume
        self._is_framed = True  # whether a cut of this body would be noticed
        self._ended_at = -1  # where a body without frame ended before

    def attempt(self) -> bool:
        """True when whole, False when cut after real progress. Raises FailedTry."""
        try:
            with self._opener(self._headers()) as incoming:
                self._begin(incoming)
                self._receive(incoming)
        except FailedTry as failed:
            if failed.error.status == 416 and self.size:
                if self.size == self._ended_at:
                    return True
                self._restart()
                raise FailedTry(_incomplete("the remote cannot continue it")) from failed
            if failed.error.status is None and self._went_further():
                return False
            raise
        # Whole is what the headers promise, byte by byte. Some proxies end a body early and call it a success, and some
        # send neither a length nor chunks: an end is then no proof, and only the same end twice is taken for one.
        if self._total is not None and self.size != self._total:
            if self._went_further():
                return False
            raise FailedTry(_incomplete(f"{self.size:,} of {self._total:,} bytes arrived"))
        if self._total is None and not self._is_framed and self.size != self._ended_at:
            # It ended as the connection did, which a cut does as well: whole is what ends there again.
            self._ended_at = self.size
            raise FailedTry(_incomplete("nothing says whether it is whole"))
        return True

    def _headers(self) -> dict[str, str]:
        headers = {"accept": "*/*"}
        if self.size and self._resumable:
            headers["range"] = f"bytes={self.size}-"
            if self._etag:
                headers["if-range"] = self._etag
        return headers

    def _begin(self, incoming: Incoming) -> None:
        """Decide where this body goes: behind what we have, or from the start."""
        headers = incoming.headers
        if headers.get("content-type", "").strip().lower().startswith("text/html"):
            raise FailedTry(_incomplete("a web page came in its place"))  # of a gateway in between, with a 200
        self._is_framed = "content-length" in headers or "transfer-encoding" in headers
        etag = headers.get("etag", "")
        if incoming.status == 206:
            # Its range counts encoded bytes, and ours are decoded.
            where = "" if incoming.encoded else headers.get("content-range", "")
            self._check_continuation(where, etag)
            return
        self._restart()
        self._etag = "" if etag.startswith("W/") else etag
        self._resumable = self._policy.can_resume and not incoming.encoded
        length = headers.get("content-length", "")
        self._total = int(length) if length.isdecimal() and not incoming.encoded else None

    def _check_continuation(self, content_range: str, etag: str) -> None:
        match = _CONTENT_RANGE.match(content_range)
        fits = match is not None and int(match[1]) == self.size and self.size > 0
        if fits and match is not None and match[3] != "*":
            fits = self._total in (None, int(match[3]))
            self._total = int(match[3])
        if not fits or (self._etag and etag and etag != self._etag):
            self._restart()
            raise FailedTry(_incomplete("the remote continued it at another place"))

    def _restart(self) -> None:
        self._file.seek(0)
        self._file.truncate()
        self.size, self._total, self._etag = 0, None, ""

    def _receive(self, incoming: Incoming) -> None:
        clock = self._policy.clock
        since, mark = clock.monotonic(), self.size
        for chunk in incoming.chunks:
            self._write(chunk)
            self._check_size(incoming)
            if clock.monotonic() - since > STALL_SECONDS:
                if self.size - mark < STALL_BYTES:
                    raise FailedTry(_incomplete("it arrives too slowly"))
                since, mark = clock.monotonic(), self.size

    def _write(self, chunk: bytes) -> None:
        rest = memoryview(chunk)
        while rest:
            rest = rest[self._file.write(rest) :]
        self.size += len(chunk)

    def _check_size(self, incoming: Incoming) -> None:
        if self._policy.clock.monotonic() - self._began > LONGEST_SECONDS:
            raise FailedTry(_incomplete(f"it took over {LONGEST_SECONDS / 3600:.0f} hours"), should_retry=False)
        too_much = self.size > self._policy.cap_bytes
        if incoming.encoded and self.size > RATIO_FREE:
            too_much = too_much or self.size > LARGEST_RATIO * max(1, incoming.received())
        if too_much:
            error = RemoteError(
                f"the download grew to {self.size:,} bytes and was stopped: no answer to what was asked is that long"
            )
            raise FailedTry(error, should_retry=False)

    def _went_further(self) -> bool:
        """Whether this attempt came well beyond every earlier one, so that going on at once makes sense."""
        further = self.size >= self._best + STEP
        self._best = max(self._best, self.size)
        return further and self._resumable


def _incomplete(why: str) -> OutcomeUnknown:
    return OutcomeUnknown(f"the download stayed incomplete: {why}")
