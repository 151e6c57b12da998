"""What is there is read, what is new goes elsewhere."""

from __future__ import annotations

import threading
from pathlib import Path

import pytest

from runner.errors import StateError
from runner.state.disk import DiskStore, view
from runner.state.objects import DiskObjects
from runner.state.overlay import ForkedObjects, copy_state


def files(folder: Path) -> dict[str, tuple[int, bytes]]:
    return {
        path.relative_to(folder).as_posix(): (path.stat().st_mtime_ns, path.read_bytes())
        for path in folder.rglob("*")
        if path.is_file()
    }


def test_objects_below_are_read_and_never_written(tmp_path: Path) -> None:
    base = DiskObjects(tmp_path / "base")
    sha256 = base.write("batch/keys", b"real")
    base.write_set(b"0123456789abcdef")
    before = files(base.folder)
    over = ForkedObjects(tmp_path / "over", base.folder)
    assert over.read("batch/keys", sha256) == b"real"
    assert over.read_set(over.write_set(b"0123456789abcdef")) == b"0123456789abcdef"
    assert not over.folder.exists()
    assert over.read("batch/keys", over.write("batch/keys", b"another")) == b"another"
    assert over.place("other/0.jsonl").parent.parent == over.folder
    assert files(base.folder) == before


@pytest.mark.parametrize("is_open", [True, False])
def test_a_copy_holds_what_was_committed_and_leaves_the_source_alone(tmp_path: Path, is_open: bool) -> None:
    source = DiskStore(tmp_path / "source")
    for number in range(50):
        source.write({f"batch/{number}": {"number": number}}, source.read().serial)
    if not is_open:
        source.close()
    before = files(tmp_path / "source")
    copy_state(tmp_path / "source", tmp_path / "copy")
    assert files(tmp_path / "source") == before
    copy = DiskStore(tmp_path / "copy")
    copy.write({"batch/0": None}, copy.read().serial)
    assert len(list(copy.read().below("batch/"))) == 49
    assert view(tmp_path / "source").read().by_key.get("batch/0") == {"number": 0}
    copy.close()
    source.close()


def test_a_state_that_is_not_there_is_empty(tmp_path: Path) -> None:
    copy_state(tmp_path / "nothing", tmp_path / "copy")
    assert list((tmp_path / "copy").iterdir()) == []
    assert not (tmp_path / "nothing").exists()


def test_a_copy_is_never_taken_between_two_writes(tmp_path: Path) -> None:
    source, stop = DiskStore(tmp_path / "source"), threading.Event()

    def keep_writing() -> None:
        writer = DiskStore(tmp_path / "source")
        number = 0
        while not stop.wait(0.02):
            number = writer.write({"left": {"number": number}, "right": {"number": number}}, number)
        writer.close()

    thread = threading.Thread(target=keep_writing)
    thread.start()
    threading.Timer(0.5, stop.set).start()
    copy_state(tmp_path / "source", tmp_path / "copy")
    thread.join()
    copy = DiskStore(tmp_path / "copy")
    assert copy.read().by_key.get("left") == copy.read().by_key.get("right")
    copy.close()
    source.close()


def test_a_state_that_never_stands_still_is_an_error(tmp_path: Path) -> None:
    source = DiskStore(tmp_path / "source")
    stop = threading.Event()

    def keep_writing() -> None:
        writer, number = DiskStore(tmp_path / "source"), 0
        while not stop.is_set():
            number = writer.write({"a": {"number": number}}, number)
        writer.close()

    thread = threading.Thread(target=keep_writing)
    thread.start()
    while source.read().by_key.get("a") is None:
        pass
    try:
        with pytest.raises(StateError, match="does not stand still"):
            copy_state(tmp_path / "source", tmp_path / "copy", tries=5)
    finally:
        stop.set()
        thread.join()
        source.close()
