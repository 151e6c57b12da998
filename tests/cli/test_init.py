"""`runner init`: what it writes works as it stands, and nothing that was there is touched."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path

import pytest

from runner.job.capabilities import Content
from runner.remotes.registry import built_in_providers, declared_by
from tests import warm

TAKERS = [name for name, block in built_in_providers().items() if Content.TEXT in declared_by()[block.kind].content]


def runner(folder: Path, *words: str, code: int = 0, **environ: str) -> subprocess.CompletedProcess[str]:
    home = str(folder.parent / "home")
    env = {**warm.environ(), "HOME": home, "RUNNER_HOME": home, **environ}
    done = warm.run("runner", *words, cwd=folder, env=env, timeout=60)
    assert done.returncode == code, f"{words}: {done.returncode}\n{done.stdout}\n{done.stderr}"
    return done


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    made = tmp_path / "work"
    made.mkdir()
    return made


def test_what_it_writes_goes_through_validate_plan_and_apply(folder: Path) -> None:
    said = runner(folder, "init", "shop").stdout
    assert said.index("cd shop") < said.index("git init") < said.index("runner validate") < said.index("runner apply")
    root = folder / "shop"
    assert "1 job in 1 file is valid" in runner(root, "validate").stdout
    assert "12 requests" in runner(root, "plan").stdout
    done = runner(root, "apply")  # a check and a gate are in it: 4 where they are not met
    assert "about     100.0 %" in done.stdout
    rows = [json.loads(line) for line in (root / "results/capitals.jsonl").read_text().splitlines()]
    assert [row["error"] for row in rows] == [None] * 12
    assert runner(root, "apply").stdout.strip() == "Nothing to do"
    assert "project: shop" in (root / "specs/capitals.yaml").read_text()


def test_what_git_would_take_in_is_what_belongs_there(folder: Path) -> None:
    runner(folder, "init")
    (folder / ".runner").mkdir()
    (folder / ".runner/one").write_text("1")
    (folder / ".env").write_text("KEY=1")
    for words in (["init", "-q"], ["add", "-A"]):
        subprocess.run(["git", *words], cwd=folder, check=True)
    listed = subprocess.run(["git", "ls-files"], cwd=folder, check=True, capture_output=True, text=True).stdout.split()
    assert {".gitattributes", ".gitignore", "data/countries.csv", "specs/capitals.yaml"} < set(listed)
    assert not {".env", ".runner/one"} & set(listed)
    assert "git init" not in runner(folder, "init").stdout  # it is a repository by now


def test_a_file_that_is_there_is_never_touched(folder: Path) -> None:
    (folder / ".gitignore").write_text("dist/\n")
    (folder / "data").mkdir()
    (folder / "data/countries.csv").symlink_to("nowhere.csv")  # even a link that leads nowhere is somebody's
    said = runner(folder, "init").stdout
    assert "kept   .gitignore" in said and "kept   data/countries.csv" in said
    assert "Add a line to .gitignore" in said
    assert (folder / ".gitignore").read_text() == "dist/\n"
    assert not (folder / "data/nowhere.csv").exists()
    before = {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}
    assert "wrote" not in runner(folder, "init").stdout
    assert {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()} == before


def test_specs_that_are_there_stay_alone(folder: Path) -> None:
    (folder / "specs/deep").mkdir(parents=True)
    (folder / "specs/deep/own.yml").write_text("project: mine\n")
    said = runner(folder, "init").stdout
    assert "holds specs" in said
    assert not (folder / "specs/capitals.yaml").exists() and not (folder / "data").exists()
    assert (folder / "specs/runner.schema.json").exists()


def test_nothing_is_written_through_a_link_that_leads_out(folder: Path, tmp_path: Path) -> None:
    (tmp_path / "elsewhere").mkdir()
    (folder / "specs").symlink_to(tmp_path / "elsewhere")
    assert "outside" in runner(folder, "init", code=64).stderr
    assert not list((tmp_path / "elsewhere").iterdir())
    assert [path.name for path in folder.iterdir()] == ["specs"]


def test_every_built_in_provider_gets_a_spec_that_is_right(folder: Path) -> None:
    for name in TAKERS:
        said = runner(folder, "init", name, "--provider", name, "--ci", "none").stdout
        assert (name == "embedded") != ("export " in said), said
        assert "valid" in runner(folder / name, "validate").stdout
    assert "rows of a table" in runner(folder, "init", "x", "--provider", "nobody", code=64).stderr
    assert not (folder / "x").exists()
