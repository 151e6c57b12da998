"""A server as a child that does not get ready: why, in words, and at once."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import threading
import time
from pathlib import Path

import pytest

from runner.errors import EngineError, StateError
from runner.server import embedded


def test_one_that_is_killed_says_so_at_once(tmp_path: Path) -> None:
    root = tmp_path / "a home"
    killer = threading.Thread(target=_kill_who_serves, args=(root,))
    killer.start()
    begun = time.monotonic()
    with pytest.raises(EngineError) as caught:
        embedded.start(root, environ=os.environ)
    killer.join()
    assert time.monotonic() - begun < embedded.START_SECONDS / 2
    assert caught.value.message == f"the embedded server did not start: it was ended by signal {signal.SIGKILL:d}"
    assert caught.value.hint == f"`runner serve --dir '{root}'` shows why"


def test_a_folder_that_cannot_be_looked_into_says_what_names_another(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("x")
    with pytest.raises(StateError) as caught:
        embedded.ensure_id(tmp_path / "file")
    assert "`RUNNER_HOME`" in caught.value.hint


def _kill_who_serves(root: Path) -> None:
    until = time.monotonic() + 15
    while time.monotonic() < until:
        found = subprocess.run(["ps", "-ww", "-eo", "pid,args"], capture_output=True, text=True, check=True).stdout
        for line in found.splitlines():
            if f"serve --dir {root}" in line:
                with contextlib.suppress(ProcessLookupError):
                    os.kill(int(line.split()[0]), signal.SIGKILL)
                return
        time.sleep(0.01)
