"""Immutable files: whole or not at all, and what a killed command left of one goes when it is written again."""

from __future__ import annotations

from pathlib import Path

import pytest

from runner.errors import StateError
from runner.job.infile import InFile, are_same
from runner.state.journal import DiskJournal
from runner.state.objects import DiskObjects


def test_what_a_killed_command_left_is_removed_when_the_object_is_written(tmp_path: Path) -> None:
    objects = DiskObjects(tmp_path)
    (folder := objects.place("b-1/keys").parent).joinpath(".keys.99999999.part").write_bytes(b"half")
    (folder / ".index.99999999.part").write_bytes(b"of another one")
    sha256 = objects.write("b-1/keys", b"whole")
    assert objects.read("b-1/keys", sha256) == b"whole"
    assert sorted(path.name for path in folder.iterdir()) == [".index.99999999.part", "keys"]


def test_a_large_object_stays_in_its_file_once_it_is_known_to_be_sound(tmp_path: Path) -> None:
    objects, data = DiskObjects(tmp_path), bytes(range(256)) * 2048
    objects.place("b-1/index")
    sha256, name = objects.write("b-1/index", data), objects.write_set(data)
    stored = objects.stored("b-1/index", sha256)
    assert isinstance(stored, InFile) and stored[:] == data
    assert objects.write_set(stored) == name and are_same(objects.stored_set(name), stored)
    assert objects.stored("b-1/index", sha256)[5000:5010] == data[5000:5010]
    objects.path("b-1/index").unlink()  # by an apply beside us
    assert stored[100_000:] == data[100_000:]
    small = objects.write("b-1/index", data[:1000])
    assert objects.stored("b-1/index", small) == data[:1000]


def test_a_large_object_that_was_changed_is_noticed_before_it_is_used(tmp_path: Path) -> None:
    objects, data = DiskObjects(tmp_path), bytes(range(256)) * 2048
    objects.place("b-1/index")
    sha256 = objects.write("b-1/index", data)
    with objects.path("b-1/index").open("r+b") as file:
        file.seek(300_000)
        file.write(b"X")
    with pytest.raises(StateError, match="was changed since"):
        objects.stored("b-1/index", sha256)
    objects.path("b-1/index").unlink()
    with pytest.raises(StateError, match="cannot be read"):
        objects.stored("b-1/index", sha256)


def test_of_many_large_objects_some_are_held(tmp_path: Path) -> None:
    objects, data = DiskObjects(tmp_path), bytes(1 << 18)
    name = objects.write_set(data)
    found = [objects.stored_set(name) for _ in range(100)]
    assert 0 < sum(isinstance(one, bytes) for one in found) < 100 and all(one[:] == data for one in found)


def test_what_a_killed_command_left_is_removed_when_a_journal_is_begun(tmp_path: Path) -> None:
    (tmp_path / ".journal.99999999.part").write_bytes(b"half")
    DiskJournal(tmp_path / "journal", tmp_path / "0.jsonl", 3).close()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["0.jsonl", "journal"]
