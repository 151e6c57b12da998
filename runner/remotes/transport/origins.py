"""Whose answers these are: the checked address of a remote, and the origin that is stamped on everything it gives."""

from __future__ import annotations

import ipaddress
import re
from urllib.parse import urlsplit


def is_loopback(host: str) -> bool:
    if host.lower() == "localhost":
        return True
    try:
        return ipaddress.ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return False


def fault_in(base_url: str) -> str | None:
    """Why this cannot be a remote's address, in words that follow its quotation; None when it can."""
    try:
        parts = urlsplit(base_url)
        host, port = parts.hostname, parts.port
    except ValueError:
        return "is not a URL"
    if parts.scheme not in ("https", "http") or not host or port == 0 or not base_url.isprintable():
        return "is not an https URL"
    if parts.username is not None or parts.password is not None:
        return "holds a user name or password; keys come from the environment"
    if parts.query or parts.fragment or " " in base_url:
        return "holds a query, a fragment or a space"
    if parts.scheme == "http" and not is_loopback(host):
        return "uses plain http; that is accepted for this machine only"
    return None


def path_in(base_url: str) -> str | None:
    """What is wrong with an address that has to be an origin alone, in words that follow its quotation."""
    return "has a path; this address is one without" if urlsplit(base_url).path.strip("/") else None


def host_of(base_url: str) -> str:
    """`api.openai.com`, or `127.0.0.1:8080`: lower case, the port only where it is not the scheme's own."""
    parts = urlsplit(base_url)
    host = (parts.hostname or "").lower()
    if ":" in host:
        host = f"[{host}]"
    usual = {"https": 443, "http": 80}.get(parts.scheme)
    return host if parts.port in (None, usual) else f"{host}:{parts.port}"


def shown(base_url: str) -> str:
    """An address as an error may quote it: without what might be a key."""
    return re.sub(r"//[^/]*@", "//[redacted]@", re.split(r"[?#]", base_url, maxsplit=1)[0])
