"""Signed URLs and redirects, judged before they are followed.

The remote names them, and whoever can change its answers could send our rows anywhere, or have us ask machines of the
inner network.

Over https only, to known hosts only, never to an address that is not public; the connection goes to the very address
that was judged. A remote on this machine may point to this machine, over plain http too.
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Callable, Sequence
from urllib.parse import urlsplit

from runner.errors import NotSent, Refused
from runner.hosts import is_loopback
from runner.remotes.transport.content import Signed
from runner.remotes.transport.network import Network, addresses_of
from runner.remotes.transport.replies import plain

Resolver = Callable[[str], Sequence[str]]
_HOST = re.compile(r"[A-Za-z0-9](?:[A-Za-z0-9.-]*[A-Za-z0-9])?\Z|\[?[0-9A-Fa-f:.]+\]?\Z")


class UrlGate:
    """Which URLs that a remote gives may be followed, for one base URL.

    hosts: of storage; exact names, or `.example.com` for every name below it. A proxy resolves names itself, so behind
    one nothing is pinned; addresses that the system does know are judged all the same.
    """

    def __init__(
        self,
        base_url: str,
        hosts: Sequence[str] = (),
        *,
        resolve: Resolver = addresses_of,
        network: Network | None = None,
    ) -> None:
        base = urlsplit(base_url)
        own = (base.hostname or "").lower()
        self._is_local = is_loopback(own)
        self._hosts = tuple(host.lower() for host in (*hosts, *(() if self._is_local else (own,))))
        self._resolve = resolve
        self._network = network or Network({})

    def admit(self, url: str) -> Signed:
        """The URL, ready to be sent. Raises Refused; its text never holds the URL's query."""
        try:
            parts = urlsplit(url)
            host, port = (parts.hostname or "").lower(), parts.port
        except ValueError as error:
            raise _refused("is not a URL", "") from error
        if not url.isprintable() or " " in url or "\\" in url or not _HOST.match(host):
            raise _refused("is not a URL", host)
        if parts.username is not None or parts.password is not None:
            raise _refused("holds a user name", host)
        if self._is_local and parts.scheme in ("http", "https") and is_loopback(host):
            return Signed(url)
        if parts.scheme != "https":
            raise _refused("is not https", host)
        if not any(host.endswith(known) if known.startswith(".") else host == known for known in self._hosts):
            raise _refused("names a host that is not known", host)
        return self._pinned(url, host, port)

    def _pinned(self, url: str, host: str, port: int | None) -> Signed:
        # The name is looked up here, once, and the connection goes to that address under its name in TLS. A look-up by
        # the library later may give another answer: a name whose owner changes it between two look-ups is how such a
        # check is got around.
        proxy = self._network.proxy_for(url)
        try:
            addresses = self._resolve(host)
        except (OSError, UnicodeError) as error:
            if proxy:
                return Signed(url, proxy=proxy)
            raise NotSent(f"cannot find the storage host `{plain(host)}`", hint="check the network") from error
        if not addresses or not all(is_public(address) for address in addresses):
            raise _refused("names an address that is not public", host)
        if proxy:
            return Signed(url, proxy=proxy)
        address = f"[{addresses[0]}]" if ":" in addresses[0] else addresses[0]
        at = address if port is None else f"{address}:{port}"
        name = host if port is None else f"{host}:{port}"
        return Signed(urlsplit(url)._replace(netloc=at).geturl(), {"host": name}, {"sni_hostname": host})


def is_public(address: str) -> bool:
    """Whether an address is one of the public network, also inside the forms that wrap an IPv4 address."""
    try:
        ip = ipaddress.ip_address(address.partition("%")[0])
    except ValueError:
        return False
    if isinstance(ip, ipaddress.IPv6Address):
        inner = ip.ipv4_mapped or ip.sixtofour or (ip.teredo[1] if ip.teredo else None)
        if ip in _NAT64:
            inner = ipaddress.IPv4Address(int(ip) & 0xFFFF_FFFF)
        if inner is not None:
            return is_public(str(inner))
    return ip.is_global and not ip.is_multicast


_NAT64 = ipaddress.ip_network("64:ff9b::/96")


def _refused(why: str, host: str) -> Refused:
    named = f" `{plain(host)}`" if host else ""
    return Refused(
        f"a signed URL of the remote was not followed: it {why}{named}",
        code="unsafe_url",
        hint="if this storage host is right, name it in `storage_hosts` of the provider's `overrides`",
    )
