from __future__ import annotations

import re
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from runner import __version__
from tests import warm
from tests.journeys.lab import KEY, Lab, serving
from tests.kit.workflow import ME, Hub, git, machine

PIP = f"""\
#!/bin/bash -e
# Installing is tried for itself in test_install.py; here it has been done before
[ "$*" = "install runner-batch[server]=={__version__}" ]
"""


@pytest.fixture
def hub(tmp_path: Path) -> Hub:
    made = Hub(tmp_path / "hub", str(Path(sys.executable).parent), machine(tmp_path / "nobody"), {"LAB_KEY": KEY})
    (made.folder / "bin/pip").write_text(PIP)
    (made.folder / "bin/pip").chmod(0o755)
    return made


@pytest.fixture
def dev(hub: Hub, tmp_path: Path) -> Iterator[Lab]:
    """The clone of somebody who works on the project, with what `runner init` writes for GitHub on the main branch."""
    root = tmp_path / "dev"
    with serving(tmp_path / "server") as server:
        git(tmp_path, "clone", "-q", str(hub.origin), "dev")
        lab = Lab(root, server)
        initialised(lab, "github")
        for file in (root / ".github/workflows").iterdir():
            file.write_text(re.sub(r"OPENAI(_API|_READ)?_KEY", "LAB_KEY", file.read_text()))
        pushed(lab, "main", "Begin")
        yield lab


def initialised(lab: Lab, ci: str) -> None:
    """What `runner init` writes, but for a spec and data of its own."""
    lab.spec("{{}}\n", name="none.yaml")
    done = warm.run("runner", "init", "--ci", ci, cwd=lab.root, env=lab.environ(), timeout=60)
    assert done.returncode == 0, done.stderr
    (lab.root / "specs/none.yaml").unlink()


def pushed(lab: Lab, branch: str, message: str) -> None:
    """Commit all there is, and push it to a branch."""
    git(lab.root, "add", "-A")
    git(lab.root, *ME, "commit", "-q", "-m", message)
    git(lab.root, "push", "-q", "origin", f"HEAD:{branch}")


def fetched(lab: Lab) -> None:
    """Take what is on the main branch, as a new piece of work begins."""
    git(lab.root, "fetch", "-q", "origin")
    git(lab.root, "reset", "-q", "--hard", "origin/main")
