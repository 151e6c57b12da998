"""The store on disk keeps what it was given, refuses what it did not write, and never runs what it finds."""

from __future__ import annotations

import contextlib
import os
import pickle
import sqlite3
import stat
from pathlib import Path

import pytest

from runner.errors import StateError
from runner.state.base import ForkedStore
from runner.state.disk import DATABASE, DiskStore, view


class Bomb:
    def __init__(self, flag: Path) -> None:
        self.flag = flag

    def __reduce__(self) -> tuple[object, tuple[object, ...]]:
        return os.mkdir, (str(self.flag),)


def test_keeps_documents_across_openings(tmp_path: Path) -> None:
    store = DiskStore(tmp_path / "state")
    store.write({"batch/a": {"n": 2**70, "t": "Zürich \u2028"}, "batch/b": {"n": 1}, "job/a": {}}, store.read().serial)
    store.write({"batch/b": None}, store.read().serial)
    store.close()
    for again in (DiskStore(tmp_path / "state"), view(tmp_path / "state")):
        assert again.read().by_key.get("batch/a") == {"n": 2**70, "t": "Zürich \u2028"}
        assert [key for key, _ in again.read().below("batch/")] == ["batch/a"]
        assert again.read().by_key.get("batch/b") is None
        again.close()


def test_is_for_its_owner_alone(tmp_path: Path) -> None:
    DiskStore(tmp_path / "state").close()
    assert stat.S_IMODE((tmp_path / "state").stat().st_mode) == 0o700
    assert all(stat.S_IMODE(file.stat().st_mode) == 0o600 for file in (tmp_path / "state").iterdir())


@pytest.mark.parametrize("where", ["value", "key"])
def test_a_planted_pickle_never_runs(tmp_path: Path, where: str) -> None:
    folder, flag = tmp_path / "state", tmp_path / "ran"
    store = DiskStore(folder)
    store.write({"batch/a": {"n": 1}}, store.read().serial)
    store.close()
    bomb = pickle.dumps(Bomb(flag))
    with sqlite3.connect(folder / DATABASE) as planted:
        if where == "value":
            planted.execute("UPDATE Cache SET mode = 4, value = ?", (bomb,))
        else:
            planted.execute("UPDATE Cache SET raw = 0, key = ? WHERE key = 'batch/a'", (bomb,))
    planted.close()
    for opened in (DiskStore(folder), view(folder)):
        if where == "value":
            with pytest.raises(StateError):
                opened.read()
        else:  # a planted key is another key, or refused; it is not looked into
            with contextlib.suppress(StateError):
                assert "batch/a" not in opened.read().by_key
        opened.close()
    assert not flag.exists()


def test_a_changed_value_is_noticed(tmp_path: Path) -> None:
    folder = tmp_path / "state"
    store = DiskStore(folder)
    store.write({"batch/a": {"stage": "submitted"}}, store.read().serial)
    store.close()
    with sqlite3.connect(folder / DATABASE) as changed:
        changed.execute("UPDATE Cache SET value = replace(value, 'submitted', 'collected')")
    changed.close()
    with pytest.raises(StateError, match="damaged at `batch/a`"):
        view(folder).read().by_key.get("batch/a")


def test_many_documents_are_never_evicted(tmp_path: Path) -> None:
    store = DiskStore(tmp_path / "state")
    for start in range(0, 3000, 500):
        store.write({f"batch/{n:05d}": {"text": "x" * 4000} for n in range(start, start + 500)}, store.read().serial)
    assert sum(1 for _ in store.read().below("batch/")) == 3000
    store.close()


def test_a_fork_writes_nothing(tmp_path: Path) -> None:
    store = DiskStore(tmp_path / "state")
    store.write({"a": {"n": 1}, "b": {"n": 2}}, store.read().serial)
    fork = ForkedStore(store.read())
    fork.write({"a": {"n": 9}, "b": None, "c": {}}, fork.read().serial)
    assert fork.read().by_key == {"a": {"n": 9}, "c": {}}
    assert store.read().by_key == {"a": {"n": 1}, "b": {"n": 2}}
    store.close()
