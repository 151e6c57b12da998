"""docs/ci.md: its commands run, its YAML is what the kit has; and an installed runner brings its workflows along."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import yaml

from runner import __version__
from tests.journeys.lab import serving
from tests.kit.workflow import Expression, git, machine

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs/ci.md").read_text()


def blocks(language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```", PAGE, re.DOTALL | re.MULTILINE)


def test_the_commands_of_the_page_run(tmp_path: Path) -> None:
    root = tmp_path / "project"
    root.mkdir()
    path = f"{Path(sys.executable).parent}:/usr/bin:/bin"
    environ = machine(tmp_path, RUNNER_HOME=str(tmp_path / "home"), PATH=path)
    lines = [line for block in blocks("(?:ba)?sh") for line in block.splitlines() if line.strip()]
    assert len(lines) == 9 and all(line.startswith("runner ") for line in lines)
    for line in lines:
        done = subprocess.run(
            ["bash", "-eo", "pipefail", "-c", line], cwd=root, env=environ, capture_output=True, text=True
        )
        assert done.returncode == 0, f"{line}\n{done.stdout}{done.stderr}"
    assert (root / ".gitlab-ci.yml").exists() and (root / ".github/workflows/runner-apply.yml").exists()
    assert re.fullmatch(r"\d+-[0-9a-f]{32}", json.loads((root / "plan.json").read_text())["digest"])


def test_the_yaml_of_the_page_names_what_is_there() -> None:
    key, action, hook = (yaml.safe_load(block) for block in blocks("yaml"))
    plan = (ROOT / "runner/scaffold/ci/github/.github/workflows/runner-plan.yml").read_text()
    assert f"# OPENAI_API_KEY: {key['env']['OPENAI_API_KEY']}\n" in plan
    Expression(key["env"]["OPENAI_API_KEY"][3:-2], {})
    [step] = [step for step in action["jobs"]["plan"]["steps"] if "runner@" in step["uses"]]
    known: dict[str, Any] = yaml.safe_load((ROOT / "action.yml").read_text())
    assert step["with"].keys() <= known["inputs"].keys()
    told = re.search(r"^Inputs: (.*?)\. Outputs: (.*?)\.", PAGE, re.DOTALL | re.MULTILINE)
    assert told
    named = set(re.findall(r"`([\w-]+)`", re.sub(r"\(.*?\)", "", told[1], flags=re.DOTALL)))
    assert named == known["inputs"].keys() and set(re.findall(r"`(\w+)`", told[2])) == known["outputs"].keys()
    assert [one["id"] for one in hook["repos"][0]["hooks"]] == ["runner-validate"]
    assert step["uses"].endswith(f"@v{__version__}") and hook["repos"][0]["rev"] == f"v{__version__}"


def test_what_is_installed_brings_the_kit_along(tmp_path: Path) -> None:
    """As the image does it: what its `COPY` takes, installed by pip; then its health check, against a real server."""
    dockerfile = (ROOT / "Dockerfile").read_text()
    source, target = tmp_path / "src", tmp_path / "installed"
    source.mkdir()
    for line in re.findall(r"^COPY (?!--from)(.*)$", dockerfile, re.MULTILINE):
        *names, _ = line.split()
        for name in names:
            if (ROOT / name).is_dir():
                shutil.copytree(ROOT / name, source / name, ignore=shutil.ignore_patterns("__pycache__"))
            else:
                shutil.copy(ROOT / name, source)
    offline = ["--no-deps", "--no-index", "--no-build-isolation", "--no-compile", "-q", "--target", str(target)]
    subprocess.run([sys.executable, "-m", "pip", "install", *offline, str(source)], check=True, timeout=100)
    environ = machine(tmp_path, PYTHONPATH=str(target), PATH=f"{target / 'bin'}:/usr/bin:/bin")
    where = [sys.executable, "-P", "-c", "import runner; print(runner.__file__)"]
    assert str(target) in subprocess.run(where, env=environ, cwd=tmp_path, capture_output=True, text=True).stdout
    root = tmp_path / "project"
    root.mkdir()
    git(root, "init", "-q")
    done = subprocess.run(["runner", "init"], cwd=root, env=environ, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    text = (root / ".github/workflows/runner-plan.yml").read_text()
    assert f'RUNNER_VERSION: "{__version__}"' in text and "@VERSION@" not in text
    found = re.search(r"HEALTHCHECK .*? CMD (\[.*\])$", dockerfile, re.MULTILINE)
    assert found
    _, *words = json.loads(found[1])

    def is_healthy(data: Path) -> bool:
        asked = [word.replace("/data/server.json", str(data / "server.json")) for word in words]
        return subprocess.run([sys.executable, *asked], stderr=subprocess.DEVNULL).returncode == 0

    assert is_healthy(tmp_path), "another command than `serve` has nothing to be asked"
    with serving(tmp_path / "server") as server:
        assert is_healthy(server.directory)
    assert not is_healthy(tmp_path / "server"), "it was killed"
