"""The pages that are written by a script are as it writes them, and the site builds without a warning."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

from runner.spec.schema import schema
from tests.docs.blocks import ROOT


def test_the_reference_is_as_it_would_be_written() -> None:
    done = subprocess.run([sys.executable, "docs/reference.py", "--check"], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


def test_every_field_of_a_spec_is_described() -> None:
    blocks = {"a spec file": schema(), **schema()["definitions"]}
    bare = [
        f"{name}.{field}"
        for name, block in blocks.items()
        if not name.endswith("Part")
        for field, told in block.get("properties", {}).items()
        if not told.get("description")
    ]
    assert bare == []


def test_the_site_builds(tmp_path: Path) -> None:
    pytest.importorskip("material")
    command = [sys.executable, "-m", "mkdocs", "build", "--strict", "--site-dir", str(tmp_path / "site")]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    assert (tmp_path / "site/tutorial/index.html").is_file()
    for page in (tmp_path / "site").rglob("*.html"):
        assert _LOADED.findall(page.read_text()) == [], page


# What a browser fetches by itself, at another host: scripts, styles, fonts, pictures
_LOADED = re.compile(r"<(?:script|img|iframe)[^>]+src=.?https?:[^ >]*|<link(?![^>]+canonical)[^>]+href=.?https?:[^ >]*")
