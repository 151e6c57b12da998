"""What this process must never say: keys and signed URLs, kept out of errors and of other libraries' logs.

httpx logs every full URL at INFO and httpcore every response header at DEBUG, so both are filtered at the source.
Secrets are known process-wide on purpose: one provider's error may quote another provider's key.
"""

from __future__ import annotations

import base64
import logging
import re
from urllib.parse import quote

HIDDEN = "[redacted]"
SHORTEST_SECRET = 6  # a shorter one would shred ordinary words and is no secret

# Filters on a logger do not see its children's records, so every logger that speaks is named.
_LOGGERS = (
    "httpx",
    "httpcore.connection",
    "httpcore.http11",
    "httpcore.http2",
    "httpcore.proxy",
    "httpcore.socks",
)
_URL_QUERY = re.compile(r"(/[^\s\"'<>?]+)\?[^\s\"'<>]+")  # of relative ones as well, as a redirect names them
_BEARER = re.compile(r"(?i)\b(bearer|api-key|authorization)([\"':=\s]+)(?!\[redacted\])[A-Za-z0-9._~+/=-]{6,}")

_known: set[str] = set()


def learn(secret: str) -> None:
    """From now on `clean` hides this secret, also URL-encoded and in base64."""
    if len(secret) < SHORTEST_SECRET:
        return
    _known.update((secret, quote(secret, safe=""), base64.b64encode(secret.encode()).decode()))


def clean(text: str) -> str:
    """`text` without known secrets, bearer tokens and the query part of URLs."""
    for secret in sorted(_known, key=len, reverse=True):
        text = text.replace(secret, HIDDEN)
    text = _URL_QUERY.sub(rf"\1?{HIDDEN}", text)
    return _BEARER.sub(rf"\1\2{HIDDEN}", text)


class RedactingFilter(logging.Filter):
    """Rewrites a record before any handler sees it."""

    def filter(self, record: logging.LogRecord) -> bool:
        record.msg, record.args = clean(record.getMessage()), ()
        return True


_FILTER = RedactingFilter()


def guard_logs() -> None:
    """Put the filter on the HTTP libraries' loggers. Repeating it changes nothing."""
    for name in _LOGGERS:
        logging.getLogger(name).addFilter(_FILTER)
