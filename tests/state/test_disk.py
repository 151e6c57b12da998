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
from runner.state.base import OverlayStore
from runner.state.disk import DATABASE, DiskStore, view


class Bomb:
    def __init__(self, flag: Path) -> None:
        self.flag = flag

    def __reduce__(self) -> tuple[object, tuple[object, ...]]:
        return os.mkdir, (str(self.flag),)


def test_keeps_documents_across_openings(tmp_path: Path) -> None:
    store = DiskStore(tmp_path / "state")
    store.write({"batch/a": {"n": 2**70, "t": "Zürich \u2028"}, "batch/b": {"n": 1}, "job/a": {}})
    store.write({"batch/b": None})
    store.close()
    for again in (DiskStore(tmp_path / "state"), view(tmp_path / "state")):
        assert again.get("batch/a") == {"n": 2**70, "t": "Zürich \u2028"}
        assert [key for key, _ in again.list("batch/")] == ["batch/a"]
        assert again.get("batch/b") is None
        again.close()


def test_is_for_its_owner_alone(tmp_path: Path) -> None:
    DiskStore(tmp_path / "state").close()
    assert stat.S_IMODE((tmp_path / "state").stat().st_mode) == 0o700
    assert all(stat.S_IMODE(file.stat().st_mode) == 0o600 for file in (tmp_path / "state").iterdir())


@pytest.mark.parametrize("where", ["value", "key"])
def test_a_planted_pickle_never_runs(tmp_path: Path, where: str) -> None:
    folder, flag = tmp_path / "state", tmp_path / "ran"
    store = DiskStore(folder)
    store.write({"batch/a": {"n": 1}})
    store.close()
    bomb = pickle.dumps(Bomb(flag))
    with sqlite3.connect(folder / DATABASE) as planted:
        if where == "value":
            planted.execute("UPDATE Cache SET mode = 4, value = ?", (bomb,))
        else:
            planted.execute("UPDATE Cache SET raw = 0, key = ?", (bomb,))
    planted.close()
    for opened in (DiskStore(folder), view(folder)):
        if where == "value":
            with pytest.raises(StateError):
                list(opened.list(""))
            with pytest.raises(StateError):
                opened.get("batch/a")
        else:  # a planted key is another key, or refused; it is not looked into
            with contextlib.suppress(StateError):
                list(opened.list(""))
            assert opened.get("batch/a") is None
        opened.close()
    assert not flag.exists()


def test_a_changed_value_is_noticed(tmp_path: Path) -> None:
    folder = tmp_path / "state"
    store = DiskStore(folder)
    store.write({"batch/a": {"stage": "submitted"}})
    store.close()
    with sqlite3.connect(folder / DATABASE) as changed:
        changed.execute("UPDATE Cache SET value = replace(value, 'submitted', 'collected')")
    changed.close()
    with pytest.raises(StateError, match="damaged at `batch/a`"):
        view(folder).get("batch/a")


def test_many_documents_are_never_evicted(tmp_path: Path) -> None:
    store = DiskStore(tmp_path / "state")
    for start in range(0, 3000, 500):
        store.write({f"batch/{n:05d}": {"text": "x" * 4000} for n in range(start, start + 500)})
    assert sum(1 for _ in store.list("batch/")) == 3000
    store.close()


def test_an_overlay_writes_nothing(tmp_path: Path) -> None:
    store = DiskStore(tmp_path / "state")
    store.write({"a": {"n": 1}, "b": {"n": 2}})
    overlay = OverlayStore(store)
    overlay.write({"a": {"n": 9}, "b": None, "c": {}})
    assert dict(overlay.list("")) == {"a": {"n": 9}, "c": {}}
    assert dict(store.list("")) == {"a": {"n": 1}, "b": {"n": 2}}
    store.close()
