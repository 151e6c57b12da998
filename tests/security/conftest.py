from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.hardening.conftest import OwnLab, lab_in, server, shared
from tests.journeys.lab import KEY, Server
from tests.journeys.lab import SPEC as LAB_SPEC
from tests.security.internet import Internet, forwarding, internet

__all__ = ["server", "shared"]

GATEWAY = "gw.corp.example"
SPEC = (
    LAB_SPEC.replace("provider: lab", "provider: corp")
    .replace("  lab:\n", "  corp:\n")
    .replace("{url}", f"https://{GATEWAY}/v1")
    .replace("LAB_KEY", "CORP_KEY")
)
CANARY = "canary-corp-77f1c2"


@pytest.fixture
def net(tmp_path: Path) -> Iterator[Internet]:
    with internet(tmp_path / "internet") as net:
        yield net


class Corp(OwnLab):
    """A project whose provider is a gateway behind TLS and a proxy, and really the lab's server."""

    net: Internet

    def environ(self, **more: str) -> dict[str, str]:
        bound = {"RUNNER_KEY_HOSTS": f"CORP_KEY={GATEWAY}", "CORP_KEY": CANARY}
        return {**super().environ(), **self.net.environ(), **bound, **more}


@pytest.fixture
def corp(tmp_path: Path, server: Server, net: Internet) -> Corp:
    found = lab_in(tmp_path / "project", server)
    corp = Corp(found.root, found.server)
    corp.name, corp.net = found.name, net
    corp.spec(SPEC)
    net.sites[GATEWAY] = forwarding(server.url, KEY)
    return corp
