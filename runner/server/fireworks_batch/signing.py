"""Signed URLs on this server's own origin: method, path, time and, for uploads, two headers are under the signature.

The query parameters are named as Google Cloud Storage names them, since that is what Fireworks hands out.
"""

from __future__ import annotations

import hashlib
import hmac
from datetime import UTC, datetime
from urllib.parse import quote, urlencode

from starlette.requests import Request

from runner.server.errors import ApiError

UPLOAD_SECONDS = 3_600.0
DOWNLOAD_SECONDS = 599.0
CONTENT_TYPE = "application/octet-stream"
RANGE = "x-goog-content-length-range"
_TIME = "%Y%m%dT%H%M%S.%fZ"


# A signed URL is what a key would be, for one file and a short time. So it is checked before anything is looked up, and
# a request that carries a key as well is refused: clients must not send keys to storage.
class Signer:
    """Signs and checks with a secret of this server."""

    def __init__(self, secret: bytes) -> None:
        self._secret = hashlib.sha256(b"runner-signed-urls/1\n" + secret).digest()

    def url(self, base: str, method: str, path: str, now: float, seconds: float, size_range: str = "") -> str:
        """A URL for `path` (not yet quoted) that lives `seconds`; an upload's states the sizes it takes."""
        date = f"{datetime.fromtimestamp(now, UTC):{_TIME}}"
        expires = f"{seconds:g}"
        query = {
            "X-Goog-Algorithm": "GOOG4-HMAC-SHA256",
            "X-Goog-Date": date,
            "X-Goog-Expires": expires,
            "X-Goog-SignedHeaders": f"content-type;host;{RANGE}" if size_range else "host",
            "X-Goog-Signature": self._signature(
                method, path, date, expires, CONTENT_TYPE if size_range else "", size_range
            ),
        }
        return f"{base.rstrip('/')}{quote(path)}?{urlencode(query)}"

    def check(self, request: Request, now: float) -> None:
        """Raises ApiError: 403 for a wrong signature or with a key of ours, 400 for a URL that has expired."""
        if "authorization" in request.headers:
            text = "Storage takes the signature of the URL only; do not send an API key here."
            raise ApiError(403, text, code="AccessDenied")
        query = request.query_params
        date, expires = query.get("X-Goog-Date", ""), query.get("X-Goog-Expires", "")
        is_upload = request.method == "PUT"
        kind = request.headers.get("content-type", "") if is_upload else ""
        sizes = request.headers.get(RANGE, "") if is_upload else ""
        method = "PUT" if is_upload else "GET"
        right = self._signature(method, request.scope["path"], date, expires, kind, sizes)
        if not hmac.compare_digest(right.encode(), query.get("X-Goog-Signature", "").encode("utf-8", "replace")):
            text = "The request signature we calculated does not match the signature you provided."
            raise ApiError(403, text, code="SignatureDoesNotMatch")
        # read only now: below a right signature the date is one that we wrote
        if now >= datetime.strptime(date, _TIME).replace(tzinfo=UTC).timestamp() + float(expires):
            raise ApiError(400, "The provided token has expired.", code="ExpiredToken")

    def _signature(self, method: str, path: str, date: str, expires: str, content_type: str, size_range: str) -> str:
        # the host is not under the signature: the server is reached by more than one name
        signed = "\n".join((method, path, date, expires, content_type, size_range))
        return hmac.new(self._secret, signed.encode("utf-8", "surrogateescape"), hashlib.sha256).hexdigest()
