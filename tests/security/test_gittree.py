"""Whether git tracks a path, against what git itself makes of its index."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from runner import gittree


def git(folder: Path, *words: str) -> str:
    identity = ("-c", "user.name=t", "-c", "user.email=t@example.com", "-c", "init.defaultBranch=main")
    done = subprocess.run(["git", *identity, *words], cwd=folder, check=True, capture_output=True, text=True)
    return done.stdout


def tree(folder: Path, *paths: str) -> None:
    for path in paths:
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        (folder / path).write_text("x")


@pytest.mark.parametrize("version", ["2", "3", "4"])
@pytest.mark.parametrize("project", ["", "some/where/"])
def test_every_version_of_the_index(tmp_path: Path, version: str, project: str) -> None:
    git(tmp_path, "init")
    git(tmp_path, "config", "index.version", version)
    tree(tmp_path, f"{project}.ruff.toml", f"{project}.runnerx", f"{project}specs/a.yaml", "zz/.runner/state")
    tree(tmp_path, "a" * 250, "other/.runner", f"{project}x.runner/a", f"{project}.runner/state/cache.db")
    git(tmp_path, "add", ".", f":!{project}.runner")
    if version == "3":
        git(tmp_path, "add", "--intent-to-add", ".")
        git(tmp_path, "rm", "-r", "--cached", f"{project}.runner")
    git(tmp_path, "update-index", "--index-version", version if version != "3" else "2")
    folder = tmp_path / project / ".runner"
    assert not gittree.is_tracked(folder)
    assert gittree.is_tracked(tmp_path / project / "specs")
    assert gittree.is_tracked(tmp_path / project / ".runnerx")
    git(tmp_path, "add", "-f", f"{project}.runner")
    assert gittree.is_tracked(folder)


def test_a_split_index_another_worktree_and_long_hashes(tmp_path: Path) -> None:
    main = tmp_path / "main"
    main.mkdir()
    git(main, "init", "--object-format=sha256")
    tree(main, ".runner/state", "specs/a.yaml")
    git(main, "add", "-f", ".")
    git(main, "commit", "-m", "all")
    assert gittree.is_tracked(main / ".runner")
    git(main, "worktree", "add", str(tmp_path / "second"))
    assert gittree.is_tracked(tmp_path / "second/.runner")
    git(main, "update-index", "--split-index")
    git(main, "rm", "-r", "--cached", "-q", "specs")
    assert gittree.is_tracked(main / ".runner")


def test_a_link_and_other_letters_count(tmp_path: Path) -> None:
    git(tmp_path, "init")
    (tmp_path / ".runner").symlink_to("elsewhere")
    git(tmp_path, "add", "-f", ".runner")
    assert gittree.is_tracked(tmp_path / ".runner")
    other = tmp_path / "other"
    tree(other, ".RUNNER/state")
    git(tmp_path, "add", "-f", "other")
    assert gittree.is_tracked(other / ".runner")  # the same folder where letters do not differ


def test_no_git_and_what_is_no_index(tmp_path: Path) -> None:
    tree(tmp_path, ".runner/state")
    assert not gittree.is_tracked(tmp_path / ".runner")
    git(tmp_path, "init")
    assert not gittree.is_tracked(tmp_path / ".runner")
    (tmp_path / ".git/index").write_bytes(b"DIRC\0\0\0\2\xff\xff\xff\xff.runner/")
    gittree.is_tracked(tmp_path / ".runner")  # damaged: it ends


def test_what_is_checked_out(tmp_path: Path) -> None:
    assert gittree.head_of(tmp_path) == ""
    git(tmp_path, "init")
    assert gittree.head_of(tmp_path) == ""  # nothing was committed
    (tmp_path / "below").mkdir()
    git(tmp_path, "-c", "user.name=a", "-c", "user.email=a@b", "commit", "--allow-empty", "-m", "one")
    commit = git(tmp_path, "rev-parse", "HEAD").strip()
    assert len(commit) == 40
    for place in (tmp_path, tmp_path / "below"):
        assert gittree.head_of(place) == commit
    git(tmp_path, "worktree", "add", "further")
    assert gittree.head_of(tmp_path / "further") == commit
    git(tmp_path, "pack-refs", "--all")
    for place in (tmp_path, tmp_path / "further"):
        assert gittree.head_of(place) == commit
    git(tmp_path, "checkout", "--detach")
    assert gittree.head_of(tmp_path) == commit


@pytest.mark.parametrize(
    "said", ["ref: ../../secret", "ref: refs/../../../secret", "ref: refs/heads/x\x00y", "", "\xff", "key"]
)
def test_what_a_stranger_says_is_checked_out_reads_no_other_file(tmp_path: Path, said: str) -> None:
    git(tmp_path, "init")
    (tmp_path / "secret").write_text("a" * 40)
    (tmp_path / ".git/HEAD").write_text(said, encoding="latin-1")
    assert gittree.head_of(tmp_path) == ""


def test_other_letters_are_another_path_where_that_matters(tmp_path: Path) -> None:
    git(tmp_path, "init")
    tree(tmp_path, "Keys.csv", "ünï.csv")
    git(tmp_path, "add", ".")
    assert gittree.is_tracked(tmp_path / "keys.csv")
    assert not gittree.is_tracked(tmp_path / "keys.csv", to_the_letter=True)
    assert gittree.is_tracked(tmp_path / "Keys.csv", to_the_letter=True)
    assert gittree.is_tracked(tmp_path / "ünï.csv", to_the_letter=True)
