"""A disk that is full: said in words, nothing half done, and the next `apply` with room goes on."""

from __future__ import annotations

import itertools
import os
import resource
import subprocess
from pathlib import Path

import pytest

from tests.hardening.conftest import OwnLab, lab_in, sampled
from tests.hardening.faulty import Disk, applied
from tests.journeys.lab import RUNNER, Server

PAGE = 4096


def fill(disk: Path, leave_pages: int) -> Path:
    """Take all room of a file system but this much."""
    ballast = disk / "ballast"
    ballast.unlink(missing_ok=True)
    free = os.statvfs(disk).f_bavail
    with ballast.open("wb") as file:
        file.write(bytes(max(free - leave_pages, 0) * PAGE))
    return ballast


def check_full(lab: OwnLab, disk: Path, pages: int) -> int:
    """Apply with room for some pages, then with room for all; the exit code of the first."""
    ballast = fill(disk, pages)
    done = lab.apply(code=None)
    ballast.unlink()
    assert done.returncode in (0, 1), done.stderr
    if done.returncode:
        said = done.stderr
        assert "No space left" in said or "disk is full" in said, said
        assert "make room" in said.casefold(), said
        assert "move the folder away" not in said, said  # nothing is damaged
        assert lab.mine() <= 1
        assert not list((lab.root / ".runner").rglob("*.part")), "what was begun takes no room"
        assert not list(lab.root.glob(".runner/tmp/*"))
    lab.apply()
    lab.settled()
    assert (lab.root / ".runner/.gitignore").read_text() == "*\n"
    return done.returncode


@pytest.mark.parametrize("pages", sampled([0, 1, 8, 30, 66], 1, 8, 66))
def test_an_apply_without_room_is_repeated_with_room(small_disk: Path, server: Server, pages: int) -> None:
    code = check_full(lab_in(small_disk / "project", server), small_disk, pages)
    assert code == 1 or pages == 66


@pytest.mark.sweep
@pytest.mark.timeout(600)
def test_whatever_room_there_is(tmp_path: Path, server: Server) -> None:
    """Every number of free pages until an apply goes through; each on a disk of its own."""
    disk = tmp_path / "disk"
    disk.mkdir()
    for pages in range(200):
        if subprocess.run(
            ["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", str(disk)], capture_output=True
        ).returncode:
            pytest.skip("may not mount a file system here")
        try:
            code = check_full(lab_in(disk / "project", server), disk, pages)
        finally:
            subprocess.run(["umount", "-l", str(disk)], check=True)
        if code == 0:
            assert pages > 20
            return
    pytest.fail("it never went through")


def test_an_output_without_room_costs_no_answer(small_disk: Path, server: Server) -> None:
    lab = lab_in(small_disk / "project", server)
    lab.apply()
    before = (lab.root / "results/answers.jsonl").read_bytes()
    lab.rows(12)
    ballast = fill(small_disk, 40)
    lab.apply("--no-wait", code=None)
    ballast.unlink()
    shown = (lab.root / "results/answers.jsonl").read_bytes()
    assert shown == before or len(shown.split(b"\n")) == 13
    lab.apply()
    lab.settled(12, batches=2)


@pytest.mark.parametrize("limit", sampled([0, 2_000, 40_000], 2_000))
def test_files_that_may_not_grow(lab: OwnLab, limit: int) -> None:
    """A limit of the process instead of the disk: another error number, and the same promise."""

    def bounded() -> None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (limit, resource.RLIM_INFINITY))

    done = subprocess.run(
        [*RUNNER, "apply", "specs/", "-y"],
        cwd=lab.root,
        env=lab.environ(PYTHONDONTWRITEBYTECODE="1"),  # or half of our own code would be left in its cache
        capture_output=True,
        text=True,
        timeout=60,
        preexec_fn=bounded,
    )
    assert "Traceback" not in done.stderr, done.stderr
    assert done.returncode == 1
    assert lab.mine() <= 1
    lab.apply()
    lab.settled()


@pytest.mark.parametrize("stays_full", [False, True], ids=["once", "from-then-on"])
def test_every_write_that_fails(tmp_path: Path, server: Server, stays_full: bool) -> None:
    """Write by write until none fails: the first apply says so, the second finishes, and one batch was made."""
    for number in itertools.count(1):
        lab = lab_in(tmp_path / f"project-{number}", server)
        disk = Disk(number, stays_full)
        code, said = applied(lab.root, lab.environ(), disk)
        assert lab.mine() <= 1, disk.writes
        assert code == int(disk.was_full), (disk.writes, said)
        assert not disk.was_full or "No space left" in said[0]
        assert applied(lab.root, lab.environ(), Disk()) == (0, []), disk.writes
        lab.whole()
        assert lab.mine() == 1, disk.writes
        if not disk.was_full:
            break
    assert number > 8  # a journey shorter than this is none
    lab.settled()


def test_no_room_to_pack_what_is_done_is_no_error(tmp_path: Path, server: Server) -> None:
    """The last write of an apply says that files are packed: it is left to a later one, as they are."""
    lab = lab_in(tmp_path / "with-room", server, rows=60)
    disk = Disk()
    assert applied(lab.root, lab.environ(), disk) == (0, [])
    assert disk.writes[-1] == "project"
    lab = lab_in(tmp_path / "without", server, rows=60)
    assert applied(lab.root, lab.environ(), Disk(len(disk.writes))) == (0, [])
    assert not list(lab.root.rglob("objects/*/*.zst"))
    lab.apply()
    assert list(lab.root.rglob("objects/*/*.zst"))
    lab.settled(60)
