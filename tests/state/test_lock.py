"""One command at a time: the kernel's lock on a file, which every version of ours takes."""

from __future__ import annotations

import threading
import time
from datetime import UTC, datetime
from pathlib import Path

import filelock
import pytest

from runner.errors import LockedError
from runner.state.lock import holder_of, project_lock

NOW = datetime(2026, 11, 30, 12, tzinfo=UTC)


def test_a_second_command_is_told_of_the_first(tmp_path: Path) -> None:
    assert holder_of(tmp_path) == ""
    with project_lock(tmp_path, command="runner apply", now=NOW):
        assert "`runner apply`" in holder_of(tmp_path)
        with pytest.raises(LockedError, match="`runner apply`, process"), project_lock(tmp_path, command="x", now=NOW):
            pass
    assert holder_of(tmp_path) == ""
    assert (tmp_path / "lock").stat().st_mode & 0o777 == 0o600


def test_earlier_versions_and_this_one_keep_each_other_out(tmp_path: Path) -> None:
    with filelock.FileLock(tmp_path / "lock"):
        assert holder_of(tmp_path)
        with pytest.raises(LockedError), project_lock(tmp_path, command="x", now=NOW):
            pass
    with project_lock(tmp_path, command="x", now=NOW), pytest.raises(filelock.Timeout):
        filelock.FileLock(tmp_path / "lock", timeout=0).acquire()
    filelock.FileLock(tmp_path / "lock", timeout=0).acquire()


def test_whoever_waits_gets_it_when_it_is_free(tmp_path: Path) -> None:
    held, gone = threading.Event(), threading.Event()

    def first() -> None:
        with project_lock(tmp_path, command="first", now=NOW):
            held.set()
            time.sleep(0.1)
            gone.set()

    other = threading.Thread(target=first)
    other.start()
    held.wait(5)
    with project_lock(tmp_path, command="second", now=NOW, wait_seconds=5):
        assert gone.is_set()
    other.join()


def test_a_link_in_its_place_is_not_followed(tmp_path: Path) -> None:
    target = tmp_path / "elsewhere"
    (tmp_path / "state").mkdir()
    (tmp_path / "state/lock").symlink_to(target)
    with pytest.raises(OSError, match="symbolic link"), project_lock(tmp_path / "state", command="x", now=NOW):
        pass
    assert not target.exists()
