"""Files as they were committed."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from runner.apply.revision import Revision
from runner.errors import UsageError


def git(root: Path, *words: str) -> str:
    who = ["-c", "user.name=a", "-c", "user.email=a@b", "-c", "init.defaultBranch=main"]
    return subprocess.run(["git", *who, *words], cwd=root, check=True, capture_output=True, text=True).stdout.strip()


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """A project in a folder of a larger checkout."""
    root = tmp_path / "repo/project"
    (root / "specs").mkdir(parents=True)
    (root / "specs/ä b.yaml").write_text("one: 1\n")
    (root / "specs/empty.yaml").write_text("")
    (root / "results.jsonl").write_bytes(b"\x00\xff\n" * 100_000)
    (root / "large.json").write_bytes(b"x" * 300_000)
    (root / "link.md").symlink_to("/etc/passwd")
    git(tmp_path / "repo", "init", "-q")
    git(tmp_path / "repo", "add", ".")
    git(tmp_path / "repo", "commit", "-qm", "one")
    (root / "results.jsonl").unlink()
    return root


def test_a_file_is_written_as_it_was(project: Path, tmp_path: Path) -> None:
    with (tmp_path / "out").open("wb") as out:
        assert Revision(project, "HEAD").copy("results.jsonl", out)
        assert not Revision(project, "main").copy("nothing.jsonl", out)
    assert (tmp_path / "out").read_bytes() == b"\x00\xff\n" * 100_000


def test_specs_are_small_text_files(project: Path, tmp_path: Path) -> None:
    Revision(project, "HEAD").copy_specs(tmp_path / "specs")
    found = {p.relative_to(tmp_path / "specs").as_posix(): p.read_text() for p in (tmp_path / "specs").rglob("*.*")}
    assert found == {"specs/ä b.yaml": "one: 1\n", "specs/empty.yaml": ""}


@pytest.mark.parametrize("name", ["nowhere", "--all", "-h", "HEAD:specs", "", "HEAD..HEAD"])
def test_what_is_no_revision(project: Path, name: str) -> None:
    with pytest.raises(UsageError, match="git knows no revision"):
        Revision(project, name)


def test_outside_of_git(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="git knows no revision"):
        Revision(tmp_path, "HEAD")


def test_what_a_folder_says_is_not_run(project: Path, tmp_path: Path) -> None:
    """A partial clone whose remote would be asked for what is missing, by a command of a stranger's choice."""
    trap, seen = tmp_path / "trap.sh", tmp_path / "seen"
    trap.write_text(f"#!/bin/sh\ntouch {seen}\nexit 1\n")
    trap.chmod(0o755)
    for key, value in {
        "core.repositoryformatversion": "1",
        "extensions.partialClone": "origin",
        "remote.origin.promisor": "true",
        "remote.origin.url": "ssh://nobody.invalid/x",
        "core.sshCommand": str(trap),
        "core.fsmonitor": str(trap),
        "core.pager": str(trap),
        "filter.x.smudge": str(trap),
        "diff.external": str(trap),
    }.items():
        git(project, "config", key, value)
    git_folder = Path(git(project, "rev-parse", "--absolute-git-dir"))
    blob = git(project, "rev-parse", "HEAD:./results.jsonl")
    (git_folder / "objects" / blob[:2] / blob[2:]).unlink()
    revision = Revision(project, "HEAD")
    with (tmp_path / "out").open("wb") as out:
        assert not revision.copy("results.jsonl", out)
    revision.copy_specs(tmp_path / "specs")
    assert not seen.exists()
