"""`runner apply` over a store that is not on disk, shared by two checkouts: nothing above reaches round the face.

Each checkout has folders of its own, so whatever an apply knows that it was not told through the face is missing in
the other one.
"""

from __future__ import annotations

import json
import os
import shutil
import signal
import socket
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import click
import pytest

from runner.cli.apply import command as apply_command
from runner.cli.main import Settings
from runner.cli.plan import command as plan_command
from runner.cli.state import command as state_command
from runner.cli.status import command as status_command
from runner.errors import Conflict
from tests.journeys.audio.lab import SPEC as CALLS
from tests.journeys.audio.lab import AudioLab
from tests.journeys.lab import SPEC, Lab, Server, serving, until
from tests.state.inmemory import Shelf


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Server]:
    with serving(tmp_path / "server") as server:
        yield server


@pytest.fixture(autouse=True)
def handlers() -> Iterator[None]:
    """`runner apply` ends at Ctrl-C in its own way; the tests in theirs."""
    kept = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
    yield
    for number, handler in kept.items():
        signal.signal(number, handler)


def two_checkouts(first: Lab, env: pytest.MonkeyPatch) -> Path:
    for name, value in first.environ().items():
        env.setenv(name, value)
    second = first.root.parent / "second"
    shutil.copytree(first.root, second)
    return second


def run(command: click.Command, root: Path, shelf: Shelf, *words: str) -> int:
    return int(command.main(list(words), obj=Settings(root, 0, shelf.open), standalone_mode=False))


def test_two_checkouts_apply_as_one(
    tmp_path: Path, server: Server, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    first = Lab(tmp_path / "first", server)
    first.spec()
    first.rows(10)
    second, shelf = two_checkouts(first, monkeypatch), Shelf()
    server.fault(stuck_validating=1)
    assert run(apply_command, first.root, shelf, str(first.root / "specs"), "-y", "--no-wait") == 3
    server.calm()
    until(lambda: server.batches()[0]["status"] == "completed")
    capsys.readouterr()
    assert run(plan_command, second, shelf, "specs") == 0
    assert "1 batch to fetch" in capsys.readouterr().out
    assert run(apply_command, second, shelf, "specs", "-y") == 0
    assert "10 ok" in capsys.readouterr().out
    assert server.creates() == 1
    assert run(apply_command, first.root, shelf, "specs", "-y") == 0
    assert (first.root / "results/answers.jsonl").read_bytes() == (second / "results/answers.jsonl").read_bytes()
    assert len(first.results()) == 10
    capsys.readouterr()
    for root in (first.root, second):
        assert run(apply_command, root, shelf, "specs", "-y") == 0
        assert capsys.readouterr().out == "Nothing to do\n"
        assert run(status_command, root, shelf, "specs") == 0
        capsys.readouterr()
        assert run(state_command, root, shelf, "list", "-o", "json") == 0
        [batch] = json.loads(capsys.readouterr().out)["batches"]
        assert batch["stage"] == "collected"
        assert not (root / ".runner").exists()
    assert server.creates() == 1


@dataclass
class Meddled(Shelf):
    """A shelf whose lock does not hold: before the write number `fatal` somebody else writes to it."""

    fatal: int = 0
    writes: int = 0

    def writing(self) -> None:
        self.writes += 1
        if self.writes == self.fatal:
            self.documents = self.documents.after({})


def test_whoever_writes_at_the_same_time_ends_an_apply_and_nothing_is_paid_twice(
    tmp_path: Path, server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    lab = Lab(tmp_path / "first", server)
    for name, value in lab.environ().items():
        monkeypatch.setenv(name, value)
    fatal, is_met = 0, True
    while is_met:
        fatal += 1
        lab.spec(SPEC.replace("project: lab", f"project: lab{fatal}"))
        lab.rows({f"r{fatal}-{number}": f"word {fatal} {number}" for number in range(3)})
        shutil.rmtree(lab.root / "results", ignore_errors=True)
        shelf = Meddled(fatal=fatal)
        try:
            assert run(apply_command, lab.root, shelf, "specs", "-y") == 0
            is_met = False
        except Conflict:
            assert run(apply_command, lab.root, shelf, "specs", "-y") == 0
        assert is_met == (shelf.writes >= fatal)
        assert server.creates() == fatal
        assert len(lab.results()) == 3
    assert fatal > 5  # the project, an intent, its receipt, what was seen, outcomes, the results file


def test_two_checkouts_carry_on_one_set_of_calls(
    tmp_path: Path, server: Server, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    first = AudioLab(tmp_path / "first", server)
    first.spec()
    first.record(6)
    second, shelf = two_checkouts(first, monkeypatch), Shelf()
    assert run(apply_command, first.root, shelf, "specs", "-y", "--first-run", "--no-wait") == 3
    assert first.posts() == 6
    assert run(apply_command, second, shelf, "specs", "-y") == 0
    assert run(apply_command, first.root, shelf, "specs", "-y") == 0
    assert first.posts() == 6
    first.whole(6)
    assert (first.root / "results/calls.jsonl").read_bytes() == (second / "results/calls.jsonl").read_bytes()
    capsys.readouterr()
    assert run(apply_command, second, shelf, "specs", "-y") == 0
    assert capsys.readouterr().out == "Nothing to do\n"
    assert not (second / ".runner").exists()


def test_a_rehearsal_of_it_leaves_nothing_on_the_shelf(
    tmp_path: Path, server: Server, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    first = Lab(tmp_path / "first", server)
    first.spec()
    first.rows(3)
    two_checkouts(first, monkeypatch)
    shelf = Shelf()
    assert run(apply_command, first.root, shelf, "specs", "--rehearse") == 0
    assert "3 requests in 1 batch" in capsys.readouterr().out
    assert (shelf.documents.serial, shelf.objects, server.creates()) == (0, {}, 0)


def test_nothing_on_record_speaks_of_one_machine(
    tmp_path: Path, server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Paths, names of the host and of folders, numbers of processes and files: they mean nothing elsewhere."""
    lab = AudioLab(tmp_path / "somewhere", server)
    lab.spec(SPEC, "rows.yaml")
    lab.spec(CALLS.replace("project: lab\n", "").replace("results/calls.jsonl", "transcripts/"), "calls.yaml")
    lab.rows(3)
    lab.record(3)
    for name, value in lab.environ().items():
        monkeypatch.setenv(name, value)
    shelf = Shelf()
    assert run(apply_command, lab.root, shelf, "specs", "-y", "--first-run") == 0
    about = [path.stat() for path in lab.root.rglob("*")]
    words = json.dumps(dict(shelf.documents.by_key))
    said = {str(tmp_path), lab.root.name, tempfile.gettempdir(), socket.gethostname(), f"{os.getpid()} "}
    said |= {str(one.st_mtime_ns) for one in about} | {f" {one.st_ino}" for one in about}
    assert [one for one in said if one in words] == []
    # And a copy of it, with other times and inodes, has nothing to do
    elsewhere = tmp_path / "elsewhere"
    shutil.copytree(lab.root, elsewhere, copy_function=shutil.copyfile)
    assert run(plan_command, elsewhere, shelf, "specs") == 0
    posts, creates, serial = lab.posts(), server.creates(), shelf.documents.serial
    assert run(apply_command, elsewhere, shelf, "specs", "-y") == 0
    assert (lab.posts(), server.creates(), shelf.documents.serial) == (posts, creates, serial)
