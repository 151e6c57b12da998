"""Where a host is: ground for plans, remotes and the server, none of which knows the others."""

from __future__ import annotations

import ipaddress
import re

_PORT = re.compile(r"(?<=[^:\[]):[0-9]+\Z")


def is_loopback(host: str) -> bool:
    """Whether a host, with or without a port, is this machine by its name or address. No name is looked up."""
    has_port = "]" in host or host.count(":") == 1  # else the colons are those of an address
    name = (_PORT.sub("", host) if has_port else host).strip("[]")
    if name.lower() == "localhost":
        return True
    try:
        return ipaddress.ip_address(name).is_loopback
    except ValueError:
        return False
