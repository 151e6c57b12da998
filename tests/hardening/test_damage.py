"""What we remember is changed, cut or gone: noticed, left as it is, and the way out that the error names works."""

from __future__ import annotations

import random
import re
import shutil
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import msgspec
import pytest

from runner.errors import StateError
from runner.state.base import Document
from runner.state.disk import DATABASE, DiskStore, seal, view
from runner.state.records import Records
from tests.hardening.conftest import OwnLab, lab_in, sampled
from tests.journeys.lab import Server

# -- the database, byte by byte


def documents(folder: Path, number: int = 40) -> dict[str, Document]:
    """A closed store with this in it."""
    wanted: dict[str, Document] = {
        f"batch/{n:03d}": {"key": f"{n:03d}", "text": "x" * (50 + 30 * n)} for n in range(number)
    }
    store = DiskStore(folder)
    for key, document in wanted.items():
        store.write({key: document}, store.read().serial)
    store.close()
    return wanted


def flips(size: int, stride: int) -> Iterator[tuple[int, int]]:
    """A place of every stretch of a file, and a bit of it."""
    rng = random.Random(4)
    for start in range(0, size, stride):
        yield min(start + rng.randrange(stride), size - 1), 1 << rng.randrange(8)


def check_flips(tmp_path: Path, stride: int) -> tuple[int, int]:
    """Flip bits of a database; how many were noticed, and how many changed nothing that is read."""
    wanted = documents(tmp_path / "state")
    sound = (tmp_path / "state" / DATABASE).read_bytes()
    noticed = unchanged = 0
    for at, bit in flips(len(sound), stride):
        folder = tmp_path / "flipped"
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir()
        changed = bytearray(sound)
        changed[at] ^= bit
        (folder / DATABASE).write_bytes(changed)
        for opens in (view, DiskStore):
            try:
                with closing(opens(folder)) as store:
                    found = store.read().by_key
            except StateError as error:
                assert error.hint
                noticed += 1
                assert opens is DiskStore or (folder / DATABASE).read_bytes() == changed
            else:
                assert found == wanted, f"byte {at:,}, bit {bit}"
                unchanged += 1
    return noticed, unchanged


def test_a_flipped_bit_is_noticed_or_changes_nothing(tmp_path: Path) -> None:
    noticed, unchanged = check_flips(tmp_path, 900)
    assert noticed > 30
    assert unchanged > 30  # most of a database is air


@pytest.mark.sweep
@pytest.mark.timeout(900)
def test_any_flipped_bit_is_noticed_or_changes_nothing(tmp_path: Path) -> None:
    check_flips(tmp_path, 11)


@pytest.mark.parametrize("size", [99, 4096, 20_000])
def test_a_cut_database_is_noticed(tmp_path: Path, size: int) -> None:
    documents(tmp_path)
    path = tmp_path / DATABASE
    path.write_bytes(path.read_bytes()[:size])
    for opens in (view, DiskStore):
        with pytest.raises(StateError), closing(opens(tmp_path)) as store:
            store.read()
    assert path.stat().st_size == size  # what is damaged is not written to


@contextmanager
def edited(database: Path) -> Iterator[sqlite3.Connection]:
    with closing(sqlite3.connect(database)) as connection:
        yield connection
        connection.commit()


@pytest.mark.parametrize(
    "change",
    [
        "UPDATE Cache SET expire_time = 1",
        "UPDATE Cache SET key = key || 'x' WHERE key = 'project'",
        "UPDATE Cache SET key = iif(key = 'batch/000', 'batch/001', 'batch/000') WHERE key LIKE 'batch/%'",
        "UPDATE Cache SET value = CAST(value AS BLOB)",
        "UPDATE Cache SET mode = 2, filename = '../../outside'",
        "UPDATE Cache SET filename = '../../outside'",
        "UPDATE Cache SET raw = 0",
        "UPDATE Cache SET value = NULL",
        "UPDATE Cache SET value = 3",
        "UPDATE Cache SET value = ''",
        "UPDATE Cache SET value = '0000000000000000 {}'",
    ],
)
def test_rows_that_somebody_edited_never_read_as_absent(tmp_path: Path, change: str) -> None:
    """Read back whole, or refused."""
    documents(tmp_path / "state", 2)
    with edited(tmp_path / "state" / DATABASE) as database:
        database.execute("DROP INDEX Cache_key_raw")
        database.execute(change)
        database.execute("CREATE UNIQUE INDEX Cache_key_raw ON Cache(key, raw)")
    for opens in (view, DiskStore):
        with closing(opens(tmp_path / "state")) as store:
            try:
                found = dict(store.read().below("batch/"))
            except StateError:
                continue
            assert {key: document["key"] for key, document in found.items()} in (
                {"batch/000": "000", "batch/001": "001"},
                {"batch/000": "001", "batch/001": "000"},  # which the records refuse
            )


def test_a_record_under_another_key_is_refused(lab: OwnLab) -> None:
    lab.apply()
    with edited(lab.root / ".runner/state" / DATABASE) as database:
        database.execute("UPDATE Cache SET key = 'batch/other-1' WHERE key LIKE 'batch/%'")
    with closing(view(lab.root / ".runner/state")) as store, pytest.raises(StateError, match="holds `batch/"):
        Records(store).batches()


def test_a_planted_file_name_deletes_nothing(tmp_path: Path) -> None:
    """diskcache removes the file of a value that is replaced; ours have none."""
    victim = tmp_path / "victim"
    victim.write_text("precious")
    documents(tmp_path / "state", 2)
    with edited(tmp_path / "state" / DATABASE) as database:
        database.execute("UPDATE Cache SET filename = '../victim' WHERE key LIKE 'batch/%'")
    with closing(DiskStore(tmp_path / "state")) as store:
        store.write({"batch/000": {"key": "000"}, "batch/001": None}, 2)
    assert victim.read_text() == "precious"


@pytest.mark.parametrize(
    "setting",
    [
        ("disk_bogus", 1),
        ("disk_min_file_size", -1),
        ("eviction_policy", "bogus"),
        ("sqlite_bogus = 1; --", 1),
        ("x", 1),
    ],
)
def test_planted_settings_are_refused_or_ignored(tmp_path: Path, setting: tuple[str, Any]) -> None:
    wanted = documents(tmp_path, 2)
    with edited(tmp_path / DATABASE) as database:
        database.execute("INSERT OR REPLACE INTO Settings VALUES (?, ?)", setting)
    try:
        with closing(DiskStore(tmp_path)) as store:
            assert store.read().by_key == wanted
    except StateError:
        pass


# -- a whole project

Change = Callable[[Path], None]


def batch_folder(home: Path) -> Path:
    (folder,) = {path.parent for path in home.glob("objects/*/keys")}
    return folder


def rewritten(home: Path, key: str, **fields: Any) -> None:
    """Change recorded documents, with their checksums."""
    with edited(home / "state" / DATABASE) as database:
        rows = database.execute("SELECT rowid, value FROM Cache WHERE key LIKE ?", (key,)).fetchall()
        assert rows
        for row, value in rows:
            document = {**msgspec.json.decode(value.partition(" ")[2]), **fields}
            database.execute("UPDATE Cache SET value = ? WHERE rowid = ?", (seal(document), row))


def flip(path: Path) -> None:
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(data)


def cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-1])


def raw_of(home: Path) -> Path:
    return batch_folder(home) / "0.jsonl"


def contents(home: Path) -> dict[Path, object]:
    """What is remembered: rows and objects; a database that cannot be read is its bytes."""
    found: dict[Path, object] = {path: path.read_bytes() for path in home.glob("objects/*/*") if path.is_file()}
    for path in home.glob("state/*.db"):
        if path.is_file():
            try:
                with edited(path) as database:
                    found[path] = database.execute("SELECT * FROM Cache").fetchall()
            except sqlite3.Error:
                found[path] = path.read_bytes()
    return found


CHANGES: dict[str, Change] = {
    "state: newer": lambda home: rewritten(home, "batch/%", schema=99),
    "state: newer project": lambda home: rewritten(home, "project", schema=99),
    "state: older than any": lambda home: rewritten(home, "batch/%", schema=0),
    "state: no schema": lambda home: rewritten(home, "batch/%", schema=None),
    "state: unknown stage": lambda home: rewritten(home, "batch/%", stage="bogus"),
    "state: not a database": lambda home: (home / "state" / DATABASE).write_bytes(b"{}\n" * 4096) and None,
    "state: cut": lambda home: cut(home / "state" / DATABASE),
    "state: half": lambda home: (
        (home / "state" / DATABASE).write_bytes((home / "state" / DATABASE).read_bytes()[:8192]) and None
    ),
    "keys: flipped": lambda home: flip(batch_folder(home) / "keys"),
    "keys: cut": lambda home: cut(batch_folder(home) / "keys"),
    "keys: gone": lambda home: (batch_folder(home) / "keys").unlink(),
    "index: flipped": lambda home: flip(batch_folder(home) / "index"),
    "index: gone": lambda home: (batch_folder(home) / "index").unlink(),
    "sets: gone": lambda home: shutil.rmtree(home / "objects/sets"),
    "objects: gone": lambda home: shutil.rmtree(home / "objects"),
}
COMMANDS = (
    ("plan",),
    ("status",),
    ("state", "list"),
    ("show", "answers"),
    ("retry", "answers"),
    ("apply", "specs/", "-y"),
)


@pytest.mark.parametrize("name", sampled(CHANGES, "state: newer", "state: half", "keys: flipped", "index: gone"))
def test_damage_is_noticed_and_the_way_out_works(lab: OwnLab, name: str) -> None:
    lab.apply()
    home = lab.root / ".runner"
    CHANGES[name](home)
    before = contents(home)
    commands = COMMANDS if name in ("state: newer", "state: half", "keys: flipped") else COMMANDS[::5]
    for words in commands:
        if words[0] == "state" and not name.startswith("state"):
            continue  # it reads no objects
        done = lab.run(*words, code=1)
        assert done.stdout == ""
        assert "hint: " in done.stderr, done.stderr
    assert contents(home) == before
    assert lab.mine() == 1
    if "newer" in name:
        assert "install the newer version" in done.stderr
        return
    assert re.search("[Mm]ove (the folder|`.runner/`) away", done.stderr), done.stderr
    home.rename(lab.root / "away")  # what the error says
    lab.apply()
    lab.settled()
    shutil.rmtree(lab.root / "away")


@pytest.mark.parametrize(
    "change",
    [
        lambda home: (home / "state" / DATABASE).write_bytes(b"") and None,
        lambda home: (home / "state" / DATABASE).unlink(),
        lambda home: shutil.rmtree(home / "state"),
        lambda home: shutil.rmtree(home / "memo"),
        lambda home: [flip(path) for path in home.glob("memo/*/*")] and None,
        lambda home: [path.write_bytes(b"") for path in home.glob("memo/*/*")] and None,
    ],
    ids=["state-emptied", "database-gone", "state-gone", "memo-gone", "memo-flipped", "memo-emptied"],
)
def test_what_is_gone_is_found_again(lab: OwnLab, change: Change) -> None:
    lab.apply()
    change(lab.root / ".runner")
    lab.run("plan")
    lab.apply()
    lab.settled()


@pytest.mark.parametrize("change", [flip, cut, Path.unlink], ids=["flipped", "cut", "gone"])
def test_damaged_answers_are_never_shown(lab: OwnLab, change: Callable[[Path], None]) -> None:
    """The raw results changed since they came: an output is not written from them."""
    lab.apply()
    shown = (lab.root / "results/answers.jsonl").read_bytes()
    raw = raw_of(lab.root / ".runner")
    data = bytearray(raw.read_bytes())
    data[data.index(b"custom_id") + 14] ^= 3  # whose answer it is
    raw.write_bytes(data)
    if change is not flip:
        change(raw)
    (lab.root / "results/answers.jsonl").unlink()
    done = lab.apply(code=None)
    if done.returncode:
        assert done.returncode == 1
        assert "damaged" in done.stderr
        assert "hint: " in done.stderr
        assert not (lab.root / "results/answers.jsonl").exists()
        (lab.root / ".runner").rename(lab.root / "away")
        lab.apply()
    assert (lab.root / "results/answers.jsonl").read_bytes() == shown
    lab.settled()


@pytest.mark.parametrize("name", ["cache.db-wal", "cache.db-shm"])
@pytest.mark.parametrize("how", sampled(["flipped", "gone", "garbage"], "garbage"))
def test_a_log_of_a_killed_process_is_damaged(lab: OwnLab, name: str, how: str) -> None:
    """SQLite takes a broken log for one that ends early: what it held is found at the remote."""
    lab.server.fault(hold=0.3)
    copy = lab.root.parent / "copy"
    applying = lab.start("apply", "specs/", "-y", "--poll", "0.05")
    while lab.mine() < 1:
        pass
    shutil.copytree(lab.root / ".runner/state", copy)  # as it is while somebody writes
    applying.kill()
    applying.communicate()
    shutil.rmtree(lab.root / ".runner/state")
    shutil.copytree(copy, lab.root / ".runner/state")
    path = lab.root / ".runner/state" / name
    if how == "gone" or not path.exists():
        path.unlink(missing_ok=True)
    elif how == "garbage":
        path.write_bytes(b"\xff" * path.stat().st_size)
    else:
        flip(path)
    lab.server.fault(hold=None)
    done = lab.apply(code=None)
    if done.returncode:
        assert "hint: " in done.stderr, done.stderr
        (lab.root / ".runner").rename(lab.root / "away")
        lab.apply()
    lab.settled()


@pytest.mark.parametrize("what", ["everything", "state"])
def test_a_backup_of_yesterday_pays_nothing_twice(lab: OwnLab, what: str) -> None:
    kept = lab.root / ".runner" / ("" if what == "everything" else "state")
    lab.apply()
    shutil.copytree(kept, lab.root / "backup")
    lab.rows(15)
    lab.apply()
    shutil.rmtree(kept)
    shutil.copytree(lab.root / "backup", kept)
    lab.apply()
    lab.settled(15, batches=2)


def test_a_state_of_another_project_is_not_taken_for_ours(tmp_path: Path, server: Server) -> None:
    one, other = lab_in(tmp_path / "one", server), lab_in(tmp_path / "other", server)
    one.apply()
    shutil.copytree(one.root / ".runner", other.root / ".runner")
    other.apply()
    other.settled()
    one.settled()
