"""Links planted where we write are refused or replaced, never followed; and what we write is for its owner alone."""

from __future__ import annotations

import os
import shutil
import stat
import subprocess
from pathlib import Path

import pytest

from tests.hardening.conftest import OwnLab, lab_in, sampled
from tests.journeys.audio.lab import SPEC as AUDIO_SPEC
from tests.journeys.audio.lab import AudioLab
from tests.journeys.lab import RUNNER, Server


def tree_of(folder: Path) -> dict[str, tuple[int, bytes]]:
    """Every file below a folder: its mode and content."""
    return {
        str(path.relative_to(folder)): (path.lstat().st_mode, path.read_bytes() if path.is_file() else b"")
        for path in sorted(folder.rglob("*"))
    }


@pytest.fixture
def outside(tmp_path: Path) -> Path:
    """Somebody else's folder, with a file that must stay as it is."""
    folder = tmp_path / "outside"
    (folder / "inner").mkdir(parents=True)
    for name in ("victim", "inner/victim", "keys", "index", "0.jsonl"):
        (folder / name).write_text("precious")
        (folder / name).chmod(0o644)
    return folder


HOME = [
    ".runner",
    ".runner/state",
    ".runner/memo",
    ".runner/objects",
    ".runner/tmp",
    ".runner/rehearsal",
    ".runner/memo/specs",
    ".runner/memo/compiled",
    ".runner/objects/sets",
    ".runner/objects/adopted-0",
    ".runner/state/anything",
]


def planted(link: Path, target: Path) -> None:
    """A link where something of ours was or will be."""
    link.parent.mkdir(parents=True, exist_ok=True)
    if link.is_dir() and not link.is_symlink():
        shutil.rmtree(link)
    link.unlink(missing_ok=True)
    link.symlink_to(target)


def applied_over_link(lab: OwnLab, link: str, target: Path, outside: Path) -> subprocess.CompletedProcess[str]:
    """Plant a link, apply and rehearse; nothing outside may have changed."""
    planted(lab.root / link, target)
    before = tree_of(outside)
    lab.apply("--rehearse", code=None)
    done = lab.apply(code=None)
    assert done.returncode in (0, 1), done.stderr
    assert tree_of(outside) == before
    if done.returncode:
        assert "link" in done.stderr, done.stderr
        (lab.root / link).unlink()
        lab.apply()
    lab.whole()
    assert lab.mine() == 1
    return done


@pytest.mark.parametrize("link", sampled(HOME, ".runner", ".runner/objects", ".runner/memo/specs", ".runner/rehearsal"))
def test_links_in_place_of_our_folders(lab: OwnLab, outside: Path, link: str) -> None:
    done = applied_over_link(lab, link, outside, outside)
    assert done.returncode == 1 or link.endswith("rehearsal")


@pytest.mark.parametrize(
    "link",
    [".gitignore", "lock", "lock.json", "state/cache.db", "state/cache.db-wal", "tmp/x", "rehearsal/lock"],
)
@pytest.mark.parametrize("target", sampled(["victim", "not-there"], "not-there"))
def test_links_in_place_of_our_files(lab: OwnLab, outside: Path, link: str, target: str) -> None:
    applied_over_link(lab, f".runner/{link}", outside / target, outside)


def test_links_in_the_folder_of_a_batch(lab: OwnLab, outside: Path) -> None:
    """The name of a batch follows from its rows, so it can be guessed."""
    lab.server.fault(hold=0.3)
    lab.apply("--no-wait", code=3)
    (folder,) = {path.parent for path in lab.root.glob(".runner/objects/*/keys")}
    for name in ("0.jsonl", "1.jsonl", "index"):
        planted(folder / name, outside / name)
    before = tree_of(outside)
    lab.server.fault(hold=None)
    lab.apply()
    assert tree_of(outside) == before
    lab.settled()


def test_a_link_in_place_of_the_folder_of_a_batch(tmp_path: Path, server: Server, outside: Path) -> None:
    lab = lab_in(tmp_path / "project", server)
    lab.apply()
    (folder,) = {path.parent for path in lab.root.glob(".runner/objects/*/keys")}
    shutil.rmtree(lab.root / ".runner")
    shutil.rmtree(lab.root / "results")
    done = applied_over_link(lab, f".runner/objects/{folder.name}", outside, outside)
    assert done.returncode == 1


@pytest.mark.parametrize("target", ["outside/victim", "outside/not-there", "project/.git/config", "project/.runner/x"])
def test_links_in_place_of_an_output(lab: OwnLab, outside: Path, tmp_path: Path, target: str) -> None:
    (lab.root / ".git").mkdir()
    (lab.root / ".git/config").write_text("precious")
    link = lab.root / "results/answers.jsonl"
    planted(link, tmp_path / target)
    before = tree_of(outside)
    done = lab.apply(code=None)
    assert done.returncode == 1, done.stderr
    assert tree_of(outside) == before
    assert (lab.root / ".git/config").read_text() == "precious"
    assert not (lab.root / ".runner/x").exists()
    link.unlink()
    lab.apply()
    lab.whole()
    assert lab.mine() <= 1


def test_a_link_in_place_of_the_folder_of_an_output(lab: OwnLab, outside: Path) -> None:
    planted(lab.root / "results", outside)
    before = tree_of(outside)
    assert "link" in lab.apply(code=1).stderr
    assert tree_of(outside) == before


def test_links_in_a_folder_of_transcripts(tmp_path: Path, server: Server, outside: Path) -> None:
    root = tmp_path / "project"
    root.mkdir()
    lab = AudioLab(root, server)
    lab.spec(AUDIO_SPEC.replace("results/calls.jsonl", "out/"))
    lab.record(["a", "b/c"])
    planted(root / "out/a.json", outside / "victim")
    planted(root / "out/b", outside / "inner")
    planted(root / "out/_results.jsonl", outside / "not-there")
    before = tree_of(outside)
    for _ in range(2):
        done = lab.first(code=None)
        assert tree_of(outside) == before
    assert done.returncode == 5
    assert "no results of ours" in done.stdout, done.stdout
    shutil.rmtree(root / "out")
    lab.first()
    assert {path.name for path in (root / "out").rglob("*.json")} == {"a.json", "c.json"}


@pytest.mark.parametrize("link", ["raw", "raw/batch", "raw/manifest.json"])
def test_links_in_place_of_a_fetch(lab: OwnLab, outside: Path, link: str) -> None:
    lab.apply()
    lab.run("fetch", "answers", "--to", "raw")
    (batch,) = [path for path in (lab.root / "raw").iterdir() if path.is_dir()]
    shutil.rmtree(lab.root / "raw")
    planted(lab.root / link.replace("batch", batch.name), outside)
    before = tree_of(outside)
    lab.run("fetch", "answers", "--to", "raw", code=None)
    assert tree_of(outside) == before


@pytest.mark.parametrize(
    "name",
    sampled(
        ["id", "token", "lock", "server.json", "server.log", "world.sqlite", "files", "work"], "world.sqlite", "files"
    ),
)
def test_links_in_the_folder_of_a_server(tmp_path: Path, outside: Path, name: str) -> None:
    folder = tmp_path / "server"
    folder.mkdir()
    target = outside if name in ("files", "work") else outside / "not-there"
    planted(folder / name, target)
    before = tree_of(outside)
    serving = subprocess.Popen(
        [*RUNNER, "serve", "--dir", str(folder), "--port", "0", "--engine", "echo", "--until-stdin-closes"],
        stdin=subprocess.PIPE,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
        env={"PATH": os.environ["PATH"], "HOME": str(tmp_path)},
    )
    _, words = serving.communicate(timeout=20)
    assert tree_of(outside) == before, words
    assert "Traceback" not in words


def test_everything_is_for_its_owner_alone(tmp_path: Path, server: Server) -> None:
    """Whatever the umask, and for files that come and go as well: the folder above them is closed."""
    lab = lab_in(tmp_path / "project", server)
    previous = os.umask(0)
    try:
        lab.apply()
        lab.apply("--rehearse")
        lab.run("plan")
        lab.run("fetch", "answers", "--to", "raw")
    finally:
        os.umask(previous)
    open_to_others = {
        str(path.relative_to(lab.root)): oct(stat.S_IMODE(path.lstat().st_mode))
        for path in lab.root.glob(".runner/**/*")
        if stat.S_IMODE(path.lstat().st_mode) & 0o077
    }
    assert stat.S_IMODE((lab.root / ".runner").stat().st_mode) == 0o700
    assert open_to_others == {}
    assert all(not stat.S_IMODE(path.stat().st_mode) & 0o022 for path in (lab.root / "results").glob("**/*"))
    assert all(not stat.S_IMODE(path.stat().st_mode) & 0o022 for path in (lab.root / "raw").glob("**/*"))
