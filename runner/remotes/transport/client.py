"""What every client of a remote that speaks HTTP says of itself."""

from __future__ import annotations

from datetime import timedelta

from runner.job.observed import Origin
from runner.remotes.transport.http import Http


class HttpClient:
    """Part of a `vendor.Provider`, or of a `calls.Caller`."""

    def __init__(self, http: Http, origin: Origin) -> None:
        self._http = http
        self._origin = origin

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self._origin})"

    @property
    def origin(self) -> Origin:
        return self._origin

    @property
    def skew(self) -> timedelta:
        return self._http.skew

    def close(self) -> None:
        self._http.close()
