"""The log on disk: what is recent lies in the database, the rest in a file that never holds half a line twice."""

from __future__ import annotations

import os
import resource
import sqlite3
import stat
from pathlib import Path

import pytest

from runner.job.events import Event, What
from runner.state import log
from runner.state.disk import DATABASE
from runner.state.memory import open_memory


def write(root: Path, first: int, number: int) -> None:
    memory = open_memory(root, writes=True)
    for one in range(first, first + number):
        memory.records.tell(Event(event=What.PRUNED, rows=one))
    memory.close()


def rows(root: Path) -> list[int | None]:
    memory = open_memory(root, writes=False)
    found = [event.rows for event in memory.records.events()]
    memory.close()
    return found[::-1]


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return tmp_path


def state(root: Path) -> Path:
    return root / ".runner" / "state"


def in_database(root: Path) -> int:
    connection = sqlite3.connect(state(root) / DATABASE)
    [[number]] = connection.execute("SELECT count(*) FROM Cache WHERE key GLOB 'event/*'")
    connection.close()
    return int(number)


def test_the_database_holds_few_and_the_file_the_rest(root: Path) -> None:
    write(root, 0, 200)
    assert rows(root) == list(range(200))
    assert in_database(root) <= 64
    path = state(root) / log.NAME
    assert path.read_bytes().count(b"\n") == 200 - in_database(root)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


def test_a_kill_while_events_are_moved_loses_and_doubles_none(root: Path) -> None:
    """Each prefix of what was appended is a kill: the database still holds all of it."""
    write(root, 0, 64)
    before = {path.name: path.read_bytes() for path in state(root).iterdir()}
    write(root, 64, 1)
    appended = (state(root) / log.NAME).read_bytes()
    for size in {*range(0, len(appended), 701), len(appended)}:
        for path in state(root).iterdir():
            path.unlink()
        for name, data in before.items():
            (state(root) / name).write_bytes(data)
        (state(root) / log.NAME).write_bytes(appended[:size])
        assert rows(root) == list(range(64))
        write(root, 64, 1)
        assert rows(root) == list(range(65))
        assert (state(root) / log.NAME).read_bytes() == appended


def test_two_files_hold_what_is_kept(tmp_path: Path) -> None:
    for number in range(100):
        log.append(tmp_path, [b'{"n":%d}' % number], most_bytes=200)
    assert all(path.stat().st_size < 300 for path in tmp_path.iterdir())
    kept = [int(line[5:-1]) for line in log.newest_first(tmp_path)]
    assert len(kept) > 20
    assert kept == list(range(99, 99 - len(kept), -1))


@pytest.mark.parametrize("what", ["folder", "pipe"])
def test_what_stands_in_the_way_of_the_file_stops_nothing(root: Path, what: str) -> None:
    write(root, 0, 1)
    path = state(root) / log.NAME
    path.mkdir() if what == "folder" else os.mkfifo(path)
    write(root, 1, 100)
    assert in_database(root) == 101
    if what == "folder":
        path.rmdir()
    else:
        path.unlink()
    write(root, 101, 1)
    assert rows(root) == list(range(102))


def test_what_others_wrote_into_the_file_is_left_out(root: Path) -> None:
    write(root, 0, 65)
    with (state(root) / log.NAME).open("ab") as file:
        file.write(b'nonsense\n{"event":"batch.invented_later","rows":7}\n[1]\n\n{"event":"remote.pruned","ro')
    assert rows(root) == list(range(65))
    write(root, 65, 130)
    assert rows(root) == list(range(195))


def test_what_finds_room_in_part_is_not_taken_for_written(tmp_path: Path) -> None:
    """A disk that is full in the middle takes what it has room for, and that is no error yet."""
    log.append(tmp_path, [b"first"])
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (100, before[1]))
    try:
        with pytest.raises(OSError, match="File too large"):
            log.append(tmp_path, [b"second" * 10, b"third" * 10])
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    log.append(tmp_path, [b"second" * 10, b"third" * 10])
    assert [*log.newest_first(tmp_path)] == [b"third" * 10, b"second" * 10, b"first"]
