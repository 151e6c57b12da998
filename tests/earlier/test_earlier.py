"""What an earlier release left behind is read on: nothing is asked again, and the next edit sends only its row.

The folders in `0.1.0.tar.xz` were made by that release (see `make.py`). Their servers are woken as they were, at the
same address; only the times in a server's memory are moved to today, since remotes forget after a while.
"""

from __future__ import annotations

import contextlib
import json
import sqlite3
import tarfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq

from tests.earlier.make import server_of
from tests.journeys.audio.lab import AudioLab
from tests.journeys.fireworks.lab import Account, FireLab
from tests.journeys.lab import Lab, Server

ARCHIVE = Path(__file__).parent / "0.1.0.tar.xz"
WORDS = [f"word {n}" for n in range(6)]


@contextlib.contextmanager
def woken(name: str, folder: Path) -> Iterator[tuple[Path, Server]]:
    """One project as it was left, and the server it had spoken to."""
    with tarfile.open(ARCHIVE) as archive:
        made_at = archive.getmember(name).mtime
        archive.extractall(folder, [one for one in archive if one.name.split("/")[0] == name], filter="data")
    _move_times(folder / name / "server" / "world.sqlite", time.time() - made_at)
    with server_of(name, folder / name / "server") as server:
        yield folder / name / "project", server


def _move_times(database: Path, seconds: float) -> None:
    with contextlib.closing(sqlite3.connect(database)) as world:
        world.execute("UPDATE files SET expires_at = expires_at + ? WHERE expires_at > 0", (seconds,))
        for table in ("files", "batches", "datasets", "audio_jobs"):
            for seq, record in world.execute(f"SELECT seq, record FROM {table}").fetchall():
                moved = json.dumps(_moved(json.loads(record), seconds)).encode()
                world.execute(f"UPDATE {table} SET record = ? WHERE seq = ?", (moved, seq))
        world.commit()


def _moved(value: Any, seconds: float) -> Any:
    match value:
        case dict():
            return {
                name: at + int(seconds)
                if name.endswith("_at") and isinstance(at, int | float) and at
                else _moved(at, seconds)
                for name, at in value.items()
            }
        case list():
            return [_moved(one, seconds) for one in value]
        case _:
            return value


def answers(root: Path, output: str) -> dict[str, object]:
    """Answers by id, of a results file in any format."""
    import csv

    path = root / output
    match path.suffix:
        case ".csv":
            with open(path, newline="") as file:
                return {row["custom_id"]: row["answer"] for row in csv.DictReader(file)}
        case ".parquet":
            return {row["custom_id"]: row["answer"] for row in pq.read_table(path).to_pylist()}
        case _:
            return {row["custom_id"]: row["answer"] for row in map(json.loads, path.read_bytes().splitlines())}


def said(verb: str, words: list[str]) -> dict[str, object]:
    return {f"r{n}": f"echo: {verb} {word}" for n, word in enumerate(words)}


def posts(server: Server) -> dict[str, int]:
    return {route: times for route, times in server.get("/_log")["requests"].items() if route.startswith("POST /v1")}


def test_settled_tables_in_every_format_stay_and_an_edit_sends_its_row(tmp_path: Path) -> None:
    with woken("settled", tmp_path) as (root, server):
        lab = Lab(root, server)
        lab.apply("-y")
        assert posts(server) == {}
        for output, verb in (("lines.jsonl", "Say"), ("cells.csv", "Shout"), ("columns.parquet", "Spell")):
            assert answers(root, f"results/{output}") == said(verb, WORDS)
        assert lab.apply("-y").stdout == "Nothing to do\n"
        before = len(server.batches())
        words = ["word 0", "another", *WORDS[2:]]
        lab.rows({f"r{n}": word for n, word in enumerate(words)})
        lab.apply("-y")
        assert server.sent()[before:] == [["r1"]] * 3
        for output, verb in (("lines.jsonl", "Say"), ("cells.csv", "Shout"), ("columns.parquet", "Spell")):
            assert answers(root, f"results/{output}") == said(verb, words)
        assert lab.apply("-y").stdout == "Nothing to do\n"


def test_only_a_table_that_was_changed_is_kept(tmp_path: Path) -> None:
    """The folder is a copy, whose files have their times, and other inodes."""
    with woken("settled", tmp_path) as (root, server):
        with (root / "results/cells.csv").open("a") as file:
            file.write("\n")
        done = Lab(root, server).apply("-y")
        assert [path.name for path in (root / "results").glob("*.bak")] == ["cells.csv.bak"]
        assert "lines.jsonl.bak" not in done.stdout + done.stderr


def test_settled_tables_read_back_in_a_clone_without_a_memory(tmp_path: Path) -> None:
    with woken("settled", tmp_path) as (root, server):
        lab = Lab(root, server)
        lab.forget()
        lab.apply("-y")
        assert posts(server) == {}
        for output, verb in (("lines.jsonl", "Say"), ("cells.csv", "Shout"), ("columns.parquet", "Spell")):
            assert answers(root, f"results/{output}") == said(verb, WORDS)


def test_a_batch_in_its_middle_is_waited_for(tmp_path: Path) -> None:
    with woken("running", tmp_path) as (root, server):
        lab = Lab(root, server)
        lab.apply("-y")
        assert posts(server) == {} and len(server.batches()) == 1
        assert answers(root, "results/lines.jsonl") == said("Say", WORDS)
        lab.rows(7)
        lab.apply("-y")
        assert server.sent()[1:] == [["r6"]]


def test_a_continued_chain_goes_on(tmp_path: Path) -> None:
    with woken("chain", tmp_path) as (root, server):
        lab = FireLab(root, server, Account(server, "acme"))
        lab.apply("-y")
        assert posts(server) == {} and lab.account.states() == ["EXPIRED", "COMPLETED"]
        lab.whole(8)
        lab.rows(9)
        lab.apply("-y")
        assert [ids for ids in lab.account.sent() if ids == ["r8"]] == [["r8"]]
        lab.whole(9)


def test_recordings_that_were_half_sent_are_sent_to_their_end(tmp_path: Path) -> None:
    with woken("calls", tmp_path) as (root, server):
        lab = AudioLab(root, server)
        sent = server.get("/_log")["audio_jobs_created"]
        lab.apply("-y", code=None)
        held = lab.held()
        assert len(held) <= 2  # what was in flight when it was killed
        for one in held:
            ids = lab.ids_of(one["row"])
            lab.run("state", "resolve", "calls", "--row", one["row"], *(("--adopt", ids[0]) if ids else ("--clear",)))
        lab.apply("-y")
        lab.whole(40)
        assert lab.kept() + sent <= 40 and 0 < lab.posts() < 40
        lab.done()


def test_a_folder_of_transcripts_stays(tmp_path: Path) -> None:
    with woken("transcripts", tmp_path) as (root, server):
        lab = AudioLab(root, server)
        before = {path.name: path.read_bytes() for path in (root / "results/calls").iterdir()}
        lab.apply("-y")
        assert posts(server) == {}
        assert {path.name: path.read_bytes() for path in (root / "results/calls").iterdir()} == before
        lab.record(["c004"])
        lab.apply("-y")
        assert lab.posts() == 1
