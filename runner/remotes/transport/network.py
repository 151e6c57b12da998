"""How this machine reaches others: through which proxy, and by whose certificates. From the environment, as curl and
`requests` read it.

Nothing of it is for this machine itself, nor for plain http, which goes to private hosts only and past no stranger.
"""

from __future__ import annotations

import functools
import importlib
import ipaddress
import socket
import ssl
from collections.abc import Mapping
from pathlib import Path
from urllib.parse import urlsplit

import httpcore
import httpx
import msgspec

from runner.errors import Refused
from runner.hosts import is_loopback
from runner.remotes.transport import redaction
from runner.remotes.transport.origins import is_private

CA_FILES = ("SSL_CERT_FILE", "REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE")  # the first that is set counts
CA_FOLDER = "SSL_CERT_DIR"
NOT_PRIVATE = "has an address that is not private"
_SCHEMES = ("http", "https", "socks5", "socks5h")


class Proxy(msgspec.Struct, frozen=True):
    """Where TLS goes through, and who said so. `repr` and messages name the variable: its URL may hold a password."""

    url: str
    variable: str

    def __repr__(self) -> str:
        return f"Proxy(`{self.variable}`)"


class Network:
    """What the environment says about reaching others. Reading it raises nothing; what is wrong is said when used."""

    def __init__(self, environ: Mapping[str, str]) -> None:
        self._proxy = _first(environ, "HTTPS_PROXY", "ALL_PROXY")
        self._spared = [word.strip().lower() for word in _first(environ, "NO_PROXY").url.split(",") if word.strip()]
        files = [(name, environ[name]) for name in CA_FILES if environ.get(name)]
        self._ca_file = files[0] if files else ("", "")
        self._ca_folder = environ.get(CA_FOLDER, "")

    def proxy_for(self, url: str) -> Proxy | None:
        """What a request to `url` goes through; None for a direct connection."""
        parts = urlsplit(url)
        host = parts.hostname or ""
        if parts.scheme != "https" or not self._proxy.url or is_loopback(host) or self._spares(host, parts.port or 443):
            return None
        return self._proxy

    def opened(self, proxy: Proxy | None) -> httpx.Proxy | None:
        """Raises Refused, with the variable, for a proxy that cannot be used."""
        if proxy is None:
            return None
        url = proxy.url if "://" in proxy.url else f"http://{proxy.url}"
        hint = f"write `{proxy.variable}=http://proxy.example:8080`, or unset it"
        try:
            parts = urlsplit(url)
            if parts.scheme not in _SCHEMES or not parts.hostname or " " in url or not url.isprintable():
                raise ValueError("not a proxy's")
            made = httpx.Proxy(url, ssl_context=self.tls() if url.startswith("https://") else None)
            if made.url.scheme.startswith("socks"):
                importlib.import_module("socksio")  # what httpx needs for it
        except ImportError as error:
            hint = "run `pip install 'httpx[socks]'`, or name an http proxy"
            raise Refused(f"`{proxy.variable}` names a SOCKS proxy, which needs one more package", hint=hint) from error
        except (ValueError, httpx.InvalidURL) as error:
            raise Refused(f"`{proxy.variable}` names no proxy that can be used", hint=hint) from error
        if made.auth is not None:
            redaction.learn(made.auth[1])
        return made

    def tls(self) -> ssl.SSLContext:
        """Whom to trust. Raises Refused, with the variable and its path, where that cannot be read."""
        return _tls(*self._ca_file, self._ca_folder)

    def trusted_by(self) -> str:
        """Who says whom we trust, for messages; empty where nobody did."""
        name, path = self._ca_file
        if name:
            return f"`{name}` (`{path}`)"
        return f"`{CA_FOLDER}` (`{self._ca_folder}`)" if self._ca_folder else ""

    def _spares(self, host: str, port: int) -> bool:
        """Whether `NO_PROXY` names a host: itself, a domain above it, a network, with or without a port; `*` is all."""
        host = host.lower().rstrip(".")
        return any(_names(word, host, port) for word in self._spared)


def addresses_of(host: str) -> list[str]:
    """What the system resolves a name to, IPv4 first. Raises OSError."""
    found = socket.getaddrinfo(host, None, type=socket.SOCK_STREAM)
    return sorted({str(entry[4][0]) for entry in found}, key=lambda address: (":" in address, address))


def private_address_of(host: str) -> str:
    """Where plain http to `host` goes: an address that was judged, so that a name cannot change its mind in between.

    Raises httpcore.ConnectError for one that is not private, and where there is none.
    """
    if is_loopback(host):
        return host
    try:
        found = addresses_of(host)
    except (OSError, UnicodeError) as error:
        raise httpcore.ConnectError(f"`{host}` cannot be found") from error
    public = [address for address in found if not is_private(address)]
    if public or not found:
        raise httpcore.ConnectError(f"`{host}` {NOT_PRIVATE} ({', '.join(public)}), and is asked over https only")
    return found[0]


def _first(environ: Mapping[str, str], *names: str) -> Proxy:
    for name in names:
        for variable in (name.lower(), name):  # curl's order
            if value := environ.get(variable, "").strip():
                return Proxy(value, variable)
    return Proxy("", names[0])


def _names(word: str, host: str, port: int) -> bool:
    if word == "*":
        return True
    name, colon, number = word.rpartition(":")
    if colon and number.isdecimal() and (":" not in name or name.endswith("]")):
        if int(number) != port:
            return False
        word = name
    word = word.strip("[]").removeprefix("*").lstrip(".").rstrip(".")
    try:
        return ipaddress.ip_address(host) in ipaddress.ip_network(word, strict=False)
    except ValueError:
        return bool(word) and (host == word or host.endswith("." + word))


@functools.cache
def _tls(variable: str, path: str, folder: str) -> ssl.SSLContext:
    """One context for the whole process: building it costs 22 ms. A file given replaces the usual authorities."""
    if not path and not folder:
        return httpx.create_ssl_context(trust_env=False)
    if path and not Path(path).exists():
        raise _unusable(variable, path, "is not there")
    if not path and not Path(folder).is_dir():
        raise _unusable(CA_FOLDER, folder, "is not a folder")
    is_folder = Path(path).is_dir() if path else False  # `REQUESTS_CA_BUNDLE` may be one
    try:
        context = ssl.create_default_context(
            cafile=path if path and not is_folder else None, capath=path if is_folder else folder or None
        )
    except (OSError, ssl.SSLError) as error:
        raise _unusable(variable or CA_FOLDER, path or folder, "holds no certificates that can be read") from error
    return context


def _unusable(variable: str, path: str, why: str) -> Refused:
    return Refused(
        f"`{variable}` names `{path}`, which {why}",
        hint="give it the certificates of the authorities to trust, in PEM, or unset it",
    )
