from __future__ import annotations

import contextlib
import io
import itertools
import os
import subprocess
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any
from unittest import mock

import pytest

from runner.cli import main
from tests.journeys.lab import KEY, SPEC, Lab, Server, serving

NUMBERS = itertools.count(1)


@pytest.fixture(scope="session")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """One server for all tests of a process: each project has a name, and so batches, of its own."""
    with serving(tmp_path_factory.mktemp("hardening") / "server") as server:
        yield server


@pytest.fixture
def server(shared: Server) -> Iterator[Server]:
    yield shared
    shared.calm()


def sampled(values: Iterable[Any], *ordinary: Any) -> list[Any]:
    """Values of a parameter, of which only some run without the marker `sweep`."""
    return [value if value in ordinary else pytest.param(value, marks=pytest.mark.sweep) for value in values]


class _Told(io.TextIOWrapper):
    """What a command says, in text or in bytes."""

    def __init__(self) -> None:
        super().__init__(io.BytesIO(), encoding="utf-8", newline="")

    def text(self) -> str:
        self.flush()
        self.seek(0)
        return self.read()


class OwnLab(Lab):
    """A project of a name of its own on a shared server."""

    name = ""

    def spec(self, text: str = SPEC, name: str = "lab.yaml", **fields: str) -> None:
        super().spec(text.replace("project: lab", f"project: {self.name}"), name, **fields)

    def run(self, *words: str, code: int | None = 0, **environ: str) -> subprocess.CompletedProcess[str]:
        """The command in this process: it takes a fifth of the time, and an error nobody foresaw is the test's."""
        out, err = _Told(), _Told()
        with (
            contextlib.chdir(self.root),
            mock.patch.dict(os.environ, self.environ(**environ), clear=True),
            contextlib.redirect_stdout(out),
            contextlib.redirect_stderr(err),
        ):
            ended = main.run(words)
        told, warned = out.text(), err.text()
        assert KEY not in told + warned
        assert code in (None, ended), f"{words}: {ended}\n{told}\n{warned}"
        return subprocess.CompletedProcess(words, ended, told, warned)

    def mine(self) -> int:
        """How many batches of this project the remote was given."""
        return sum((batch["metadata"] or {}).get("runner_project") == self.name for batch in self.server.batches())

    def whole(self, rows: int = 10) -> None:
        """Every row once, in order, answered as it was asked."""
        found = self.results()
        assert [row["custom_id"] for row in found] == [f"r{n}" for n in range(rows)]
        assert all(row["error"] is None and row["answer"].endswith(row["row"]["word"]) for row in found)

    def settled(self, rows: int = 10, batches: int = 1) -> None:
        """Done, with nothing paid twice."""
        self.whole(rows)
        assert self.mine() == batches
        assert self.run("plan").stdout == "Nothing to do\n"


def lab_in(root: Path, server: Server, rows: int = 10) -> OwnLab:
    """A project below `root` that was never applied."""
    lab = OwnLab(root, server)
    lab.name = f"own-{next(NUMBERS)}"
    root.mkdir(exist_ok=True)
    lab.spec(SPEC.replace("Say", f"Say {lab.name}"))
    lab.rows(rows)
    return lab


@pytest.fixture
def lab(tmp_path: Path, server: Server) -> OwnLab:
    """A project of ten rows and a server that answers them."""
    return lab_in(tmp_path / "project", server)


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of one megabyte; skipped where we may not mount one."""
    folder = tmp_path / "disk"
    folder.mkdir()
    mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", str(folder)], capture_output=True)
    if mounted.returncode:
        pytest.skip("may not mount a file system here")
    try:
        yield folder
    finally:
        subprocess.run(["umount", "-l", str(folder)], check=True)
