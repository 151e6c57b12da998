"""Whose answers these are: the checked address of a remote, and the origin that is stamped on everything it gives."""

from __future__ import annotations

import ipaddress
import re
from urllib.parse import urlsplit

from runner.hosts import is_loopback

# Where a model may run behind no certificate: private and shared networks. What looks like one and serves a cloud's
# secrets (its metadata) is not among them.
_PRIVATE = tuple(
    ipaddress.ip_network(net)
    for net in ("10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "100.64.0.0/10", "127.0.0.0/8", "::1/128", "fc00::/7")
)
_METADATA = tuple(ipaddress.ip_address(one) for one in ("100.100.100.200", "fd00:ec2::254", "192.0.0.192"))


def is_private(address: str) -> bool:
    """Whether an IP address is one of a private network, or of this machine."""
    try:
        ip = ipaddress.ip_address(address.strip("[]"))
    except ValueError:
        return False
    if isinstance(ip, ipaddress.IPv6Address) and ip.ipv4_mapped:
        ip = ip.ipv4_mapped
    return ip not in _METADATA and any(ip in net for net in _PRIVATE if net.version == ip.version)


def _may_be_private(host: str) -> bool:
    """Of a name, only a look-up can tell, which comes with the connection."""
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return re.fullmatch(r"[0-9.]+|0x[0-9a-f.x]+", host.lower()) is None  # no other spelling of an address
    return is_private(host)


def fault_in(base_url: str, *, is_insecure: bool = False) -> str | None:
    """Why this cannot be a remote's address, in words that follow its quotation; None when it can.

    is_insecure: plain http to a private host is wanted.
    """
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
        if not is_insecure:
            return "uses plain http; that is accepted for this machine, and with `insecure_http: true` for private ones"
        if not _may_be_private(host):
            return "uses plain http, and is not a private address"
    return None


_CALL = re.compile(
    r"/(chat/completions|completions|responses|embeddings|models|files|batches|audio/(transcriptions|translations)"
    r"|messages)/*\Z"
)


def without_call(base_url: str) -> str | None:
    """The address of the API where a call's whole URL was given, as a browser or a manual shows it; else None."""
    found = _CALL.search(base_url)
    if found is None:
        return None
    api = base_url[: found.start()]
    return api if urlsplit(api).path.strip("/") else f"{api.rstrip('/')}/"


def path_in(base_url: str) -> str | None:
    """What is wrong with an address that has to be an origin alone, in words that follow its quotation."""
    return "has a path; this address must have none" if urlsplit(base_url).path.strip("/") else None


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
