"""What the pages tell a reader to type is what runner takes; those that lead through something are walked through."""

from __future__ import annotations

import functools
import json
import os
import re
import shlex
import subprocess
import sys
from pathlib import Path
from typing import Any

import jsonschema_rs
import pytest

from runner.spec import loader
from runner.spec.nodes import data_of
from runner.spec.problems import Problems
from runner.spec.schema import schema
from tests.cli.test_suggestions import parse
from tests.docs.blocks import PAGES, ROOT, Block, all_blocks, blocks_in

WALKED = (
    "tutorial",
    "recovering",
    "moving-from-scripts",
    "conversations-and-bodies",
    "data",
    "pictures-and-files",
    "selection",
    "structured-answers",
    "housekeeping",
    "plan",
    "asking-now",
    "ci",
    "environments",
)
_LINK = re.compile(r"\]\((?!https?:|mailto:)([^)#\s]+)(#[^)]*)?\)")
_CODE = re.compile(r"`(docs/(?!decisions/NNN)[\w./-]+\.md)`")


def commands_in(text: str) -> list[str]:
    """The `runner` command lines of a shell block, without what a shell makes of them."""
    lines = text.replace("\\\n", " ").splitlines()
    typed = [line.removeprefix("$ ").strip() for line in lines if line.removeprefix("$ ").startswith("runner ")]
    return [re.split(r"\s(?:[|>#&]|\|\|)", line)[0].strip() for line in typed]


@pytest.mark.parametrize("block", all_blocks("sh", "console", "bash", ""), ids=str)
def test_its_commands_are_ours(block: Block) -> None:
    for command in commands_in(block.text):
        if "$(" not in command and "$" not in command:
            parse(command if len(shlex.split(command)) > 1 else f"{command} --help")


@functools.cache
def _of_a_spec() -> dict[str, Any]:
    return schema()


def _is_spec(data: Any) -> bool:
    return isinstance(data, dict) and bool(data) and set(map(str, data)) <= set(_of_a_spec()["properties"])


@pytest.mark.parametrize("block", all_blocks("yaml"), ids=str)
def test_its_specs_are_ours(block: Block) -> None:
    """Each fragment is YAML, and where it has the shape of a spec file, it is one as far as a fragment can be."""
    if block.title and not block.title.startswith("specs/"):
        return  # the content of another file
    problems = Problems()
    top = loader.parse(block.text, str(block), problems)
    problems.raise_errors()
    data = json.loads(json.dumps(data_of(top))) if top is not None else None
    if _is_spec(data):
        assert [str(error) for error in jsonschema_rs.validator_for(_of_a_spec()).iter_errors(data)] == []


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_its_links_lead_somewhere(page: Path) -> None:
    text = re.sub(r"```.*?```", "", page.read_text(), flags=re.S)
    broken = [target for target, _ in _LINK.findall(text) if not (page.parent / target).exists()]
    broken += [named for named in _CODE.findall(text) if not (ROOT / named).exists()]
    assert broken == []


@pytest.fixture(scope="module")
def server_home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Of one embedded server for all pages: their projects have different names."""
    return tmp_path_factory.mktemp("home")


@pytest.mark.parametrize("name", WALKED)
def test_it_can_be_walked_through(name: str, tmp_path: Path, server_home: Path) -> None:
    """Every block in its order: files with a title are written, shell is run, and what is shown is what was printed.

    In a `text` block `...` stands for anything within a line. A command that is to end otherwise says so: `# exit 5`.
    """
    environ = {
        **os.environ,
        "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
        "RUNNER_HOME": str(server_home),
        "NO_COLOR": "1",
        "COLUMNS": "120",
        "GIT_CONFIG_GLOBAL": "/dev/null",
    }
    folder, printed = tmp_path / "work", ""
    folder.mkdir()
    for block in blocks_in(ROOT / "docs" / f"{name}.md"):
        if block.title:
            path = folder / block.title
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(block.text)
        elif block.language == "sh":
            script = f'run() {{\n{block.text}\n}}\nrun; code=$?; pwd >"$PLACE"; exit $code'
            more = {**environ, "PLACE": str(tmp_path / "place")}
            done = subprocess.run(
                ["bash", "-c", script], cwd=folder, env=more, capture_output=True, text=True, timeout=120
            )
            wanted = re.search(r"# exit (\d+)", block.text)
            assert done.returncode == (int(wanted[1]) if wanted else 0), f"{block}: {done.stdout}{done.stderr}"
            folder = Path((tmp_path / "place").read_text().strip())
            printed = done.stdout + done.stderr
        elif block.language == "text":
            for line in filter(str.strip, block.text.splitlines()):
                pattern = ".*".join(re.escape(part) for part in line.strip().split("..."))
                assert any(re.search(pattern, one) for one in printed.splitlines()), f"{block}: {line}\nin:\n{printed}"
