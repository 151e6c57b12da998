"""Immutable files: whole or not at all, and what a killed command left of one goes when it is written again."""

from __future__ import annotations

from pathlib import Path

from runner.state.journal import DiskJournal
from runner.state.objects import DiskObjects


def test_what_a_killed_command_left_is_removed_when_the_object_is_written(tmp_path: Path) -> None:
    objects = DiskObjects(tmp_path)
    (folder := objects.place("b-1/keys").parent).joinpath(".keys.99999999.part").write_bytes(b"half")
    (folder / ".index.99999999.part").write_bytes(b"of another one")
    sha256 = objects.write("b-1/keys", b"whole")
    assert objects.read("b-1/keys", sha256) == b"whole"
    assert sorted(path.name for path in folder.iterdir()) == [".index.99999999.part", "keys"]


def test_what_a_killed_command_left_is_removed_when_a_journal_is_begun(tmp_path: Path) -> None:
    (tmp_path / ".journal.99999999.part").write_bytes(b"half")
    DiskJournal(tmp_path / "journal", tmp_path / "0.jsonl", 3).close()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["0.jsonl", "journal"]
