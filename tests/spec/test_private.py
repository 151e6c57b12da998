"""What is never sent, whatever a spec says: hidden files, secrets by name, prompts that git ignores."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from runner import private
from runner.data.audio import Selection, find
from runner.data.rows import signature
from runner.errors import DataError, Mark, SpecError
from runner.spec.load import load
from tests.data.test_rows import Spec

SPEC = """\
models: {{m: {{provider: embedded, name: echo}}}}
datasets: {{d: {{files: "{data}"}}}}
prompts: {{p: {prompt}}}
jobs: {{j: {{dataset: d, prompt: p, model: m, output: "{output}"}}}}
"""


def project(root: Path, *, data: str = "data.csv", prompt: str = "Say {{ a }}", output: str = "out.jsonl") -> None:
    (root / "specs").mkdir(exist_ok=True)
    words = prompt if prompt.startswith("{") else f'"{prompt}"'
    (root / "specs" / "a.yaml").write_text(SPEC.format(data=data, prompt=words, output=output))
    (root / "data.csv").write_text("a\n1\n")


def refused(root: Path) -> str:
    with pytest.raises(SpecError) as caught:
        load(["specs"], root)
    (problem,) = caught.value.problems
    assert problem.mark.line
    return f"{problem.message}. {problem.hint}"


def git(root: Path, *words: str) -> None:
    identity = ["-c", "user.name=t", "-c", "user.email=t@example.org"]
    subprocess.run(["git", *identity, *words], cwd=root, check=True, capture_output=True)


@pytest.mark.parametrize(
    "file", [".env", ".git/config", ".aws/credentials", "a/.ssh/known_hosts", "./.env", "a/../.env"]
)
def test_a_hidden_file_is_no_prompt(tmp_path: Path, file: str) -> None:
    (tmp_path / "a").mkdir()
    (tmp_path / file).parent.mkdir(parents=True, exist_ok=True)
    (tmp_path / file).write_text("PASSWORD=hunter2")
    project(tmp_path, prompt=f"{{file: {file}}}")
    words = refused(tmp_path)
    assert "is hidden" in words
    assert "hunter2" not in words


def test_a_link_into_a_hidden_folder_is_no_prompt(tmp_path: Path) -> None:
    (tmp_path / ".git").mkdir()
    (tmp_path / ".git" / "config").write_text("[remote] url = https://user:pass@host")
    (tmp_path / "ask.md").symlink_to(".git/config")
    project(tmp_path, prompt="{file: ask.md}")
    assert "is hidden" in refused(tmp_path)


@pytest.mark.parametrize("below", ["", "work/"])
def test_a_prompt_that_git_ignores_is_refused_until_it_is_tracked(tmp_path: Path, below: str) -> None:
    git(tmp_path, "init", "-q")
    root = tmp_path / below
    (root / "prompts").mkdir(parents=True)
    (tmp_path / ".gitignore").write_text("*.local.md\n")
    (root / "prompts" / "mine.local.md").write_text("Say {{ a }}")
    (root / "prompts" / "ours.md").write_text("Say {{ a }}")
    project(root, prompt="{file: prompts/ours.md}")
    assert len(load(["specs"], root).jobs) == 1
    project(root, prompt="{file: prompts/mine.local.md}")
    words = refused(root)
    assert "one that git ignores" in words
    assert "run `git add -f prompts/mine.local.md`" in words
    git(root, "add", "-f", "prompts/mine.local.md")
    assert len(load(["specs"], root).jobs) == 1


def test_a_folder_that_looks_like_a_repository_runs_nothing(tmp_path: Path) -> None:
    """What a pull request can commit: a bare repository with a program in its configuration."""
    git(tmp_path, "init", "-q")
    root = tmp_path / "evil"
    root.mkdir()
    git(root, "init", "-q", "--bare", ".")
    ran = tmp_path / "ran"
    with (root / "config").open("a") as config:
        config.write(f'[core]\n\tfsmonitor = "touch {ran}; false"\n\tworktree = {tmp_path}\n\tbare = false\n')
    (root / "ask.md").write_text("Say {{ a }}")
    project(root, prompt="{file: ask.md}")
    assert len(load(["specs"], root).jobs) == 1
    assert not private.is_tracked("ask.md", root)
    assert not ran.exists()


@pytest.mark.parametrize("name", ["credentials.csv", "prod_accessKeys.csv", "rootkey.csv", "my-secrets.jsonl"])
def test_data_named_like_secrets_is_taken_where_git_tracks_it_only(tmp_path: Path, name: str) -> None:
    git(tmp_path, "init", "-q")
    (tmp_path / name).write_text("a\n1\n")
    (tmp_path / "link.csv").symlink_to(name)
    for named in (name, "link.csv", f"{name[:4]}*"):
        with pytest.raises(DataError, match="file of secrets, and git does not track it"):
            signature(Spec((named,)), tmp_path)
    git(tmp_path, "add", name)
    assert signature(Spec((name,)), tmp_path)


def test_data_that_git_ignores_is_data(tmp_path: Path) -> None:
    """Large data mostly is ignored; it has a suffix of data and no name of secrets (decision 019)."""
    git(tmp_path, "init", "-q")
    (tmp_path / ".gitignore").write_text("/data/\n")
    (tmp_path / "data").mkdir()
    for name in ("secretary.csv", "passwordless.jsonl", "keys.csv", "tokens.parquet", "environment.csv"):
        (tmp_path / "data" / name).write_text("a\n1\n")
    assert len(signature(Spec(("data/*",)), tmp_path)) == 5


def test_hidden_data_is_refused_and_stores_of_large_data_are_not(tmp_path: Path) -> None:
    for file in (".cache/a.csv", ".git/annex/objects/x/a.csv", ".dvc/cache/md5/a.csv", "a/.hidden.csv"):
        (tmp_path / file).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / file).write_text("a\n1\n")
    for number, store in enumerate((".git/annex/objects/x/a.csv", ".dvc/cache/md5/a.csv")):
        (tmp_path / f"large-{number}.csv").symlink_to(store)
    assert len(signature(Spec(("large-*.csv",)), tmp_path)) == 2
    (tmp_path / "link.csv").symlink_to(".cache/a.csv")
    for named in (".cache/a.csv", ".*/a.csv", "a/.hidden.csv", "link.csv", ".git/annex/objects/x/a.csv"):
        with pytest.raises(DataError, match="hidden folder"):
            signature(Spec((named,)), tmp_path)


def test_hidden_recordings_are_refused(tmp_path: Path) -> None:
    (tmp_path / ".calls").mkdir()
    (tmp_path / ".calls" / "a.wav").write_bytes(b"x")
    (tmp_path / "link.wav").symlink_to(".calls/a.wav")
    with pytest.raises(DataError, match="hidden folder"):
        find(Selection("j", Mark("a.yaml", 1), [".calls/*.wav"]), tmp_path)
    (fault,) = find(Selection("j", Mark("a.yaml", 1), ["*.wav"]), tmp_path).faults
    assert fault.reason == "is a link into a hidden folder"


@pytest.mark.parametrize("output", [".git/hooks/a.jsonl", ".github/a.jsonl", "a/.vscode/b.csv", ".hidden.jsonl"])
def test_no_output_is_hidden(tmp_path: Path, output: str) -> None:
    project(tmp_path, output=output)
    assert "must not be hidden" in refused(tmp_path)


def test_no_output_leads_into_a_hidden_folder(tmp_path: Path) -> None:
    (tmp_path / ".github").mkdir()
    (tmp_path / "out").symlink_to(".github")
    project(tmp_path, output="out/a.jsonl")
    assert "leads into a hidden folder" in refused(tmp_path)


def test_without_git_on_the_path_prompts_load(tmp_path: Path) -> None:
    """Then only names tell; a machine without git has no ignored files to speak of."""
    git(tmp_path, "init", "-q")
    (tmp_path / "ask.md").write_text("Say {{ a }}")
    project(tmp_path, prompt="{file: ask.md}")
    words = [sys.executable, "-m", "runner", "validate"]
    environment = {**os.environ, "PATH": "/nonexistent", "PYTHONPATH": str(Path(__file__).parents[2])}
    assert subprocess.run(words, cwd=tmp_path, env=environment, check=False).returncode == 0
