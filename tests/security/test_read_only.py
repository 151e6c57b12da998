"""A checkout that cannot be written: looking works, and what would write says why it does not."""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from runner.state.disk import DATABASE, DiskStore, view
from tests.hardening.conftest import OwnLab, lab_in
from tests.journeys.lab import RUNNER, Server

LOOKS = [("validate",), ("plan",), ("status",), ("show", "answers"), ("render", "answers"), ("state", "list")]


@contextmanager
def read_only(folder: Path) -> Iterator[None]:
    """A mount that nobody may write to; skipped where we may not mount one."""
    mounted = subprocess.run(["mount", "--bind", str(folder), str(folder)], capture_output=True)
    if mounted.returncode:
        pytest.skip("may not mount a file system here")
    try:
        subprocess.run(["mount", "-o", "remount,bind,ro", str(folder)], check=True, capture_output=True)
        yield
    finally:
        subprocess.run(["umount", "-l", str(folder)], check=True)


@pytest.mark.parametrize("is_applied", [False, True])
def test_looking_works(tmp_path: Path, server: Server, is_applied: bool) -> None:
    lab: OwnLab = lab_in(tmp_path / "project", server)
    if is_applied:
        lab.apply()
    said = [lab.run(*words).stdout for words in LOOKS]
    with read_only(lab.root):
        assert [lab.run(*words).stdout for words in LOOKS] == said
        done = lab.apply(code=None)
        assert done.returncode == 1
        assert "read-only" in done.stderr.lower() or "Read-only" in done.stderr
        assert lab.mine() == (1 if is_applied else 0)
    lab.apply()
    lab.settled()


def test_what_a_killed_command_left_in_the_log_is_read(tmp_path: Path) -> None:
    folder = tmp_path / "state"
    folder.mkdir()
    store = DiskStore(folder)
    store.write({"a": {"is": "here"}}, store.read().serial)
    copy = tmp_path / "copy"
    copy.mkdir()
    for file in (DATABASE, f"{DATABASE}-wal"):  # as a kill leaves it
        (copy / file).write_bytes((folder / file).read_bytes())
    store.close()
    assert (copy / f"{DATABASE}-wal").stat().st_size
    with read_only(copy):
        looked = view(copy)
        assert looked.read().by_key.get("a") == {"is": "here"}
        looked.close()


@pytest.mark.skipif(os.geteuid() != 0 or not shutil.which("setpriv"), reason="has to be somebody else for a moment")
def test_what_belongs_to_another_user_says_what_to_do(server: Server) -> None:
    with tempfile.TemporaryDirectory() as folder:  # pytest's own are closed to everybody else
        Path(folder).chmod(0o755)
        _tells_another_user(lab_in(Path(folder) / "project", server))


def _tells_another_user(lab: OwnLab) -> None:
    lab.apply()
    somebody_else = ["setpriv", "--reuid", "65534", "--clear-groups"]
    if subprocess.run([*somebody_else, *RUNNER, "--version"], capture_output=True).returncode != 0:
        pytest.skip("nobody else can read this checkout or its environment")
    command = [*somebody_else, *RUNNER, "-C", str(lab.root), "status"]
    lab.root.chmod(0o755)
    done = subprocess.run(command, capture_output=True, text=True, env=lab.environ())
    assert done.returncode == 1, done.stderr
    assert "Permission denied" in done.stderr
    assert "hint: run as the user it belongs to" in done.stderr
