"""Rules of the house that no import shows."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from runner.remotes.registry import VENDORS, built_in_providers

ROOT = Path(__file__).parents[1] / "runner"
OWN = {f"remotes/{type(vendor).__module__.rsplit('.', 1)[1]}" for vendor in VENDORS.values()} | {
    "server/openai",
    "server/fireworks_batch",
    "server/audio",
}
LISTS = {"remotes/registry.py", "server/app.py", "server/serve.py"}  # of vendors, and of the APIs that the server has
WORDS = {  # that people read, and prefixes of a cloud's variables
    "cli/habits.py",
    "cli/serve.py",
    "server/faults/switches.py",
    "remotes/transport/bindings.py",
}
SHARED = sorted(
    file.relative_to(ROOT).as_posix()
    for file in ROOT.rglob("*.py")
    if file.relative_to(ROOT).as_posix() not in LISTS | WORDS
    and not any(file.relative_to(ROOT).as_posix().startswith(f"{folder}/") for folder in OWN)
)
OUR_OWN = {"embedded"}  # the server that comes with the product is no vendor
NAMES = {*VENDORS, *built_in_providers(), *(kind.split("-")[0] for kind in VENDORS)} - OUR_OWN
VENDOR = re.compile("|".join(sorted(NAMES, key=len, reverse=True)), re.IGNORECASE)


def words_of(path: Path) -> Iterator[tuple[int, str]]:
    """Every name and every text that code works with: imports, identifiers, literals, but no docstring."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    holders = (ast.Module, ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)
    docstrings = {id(node.body[0].value) for node in ast.walk(tree) if isinstance(node, holders) and _is_told(node)}
    for node in ast.walk(tree):
        match node:
            case ast.Constant(value=str(text)) if id(node) not in docstrings:
                yield node.lineno, text
            case ast.Name(id=name) | ast.Attribute(attr=name) | ast.arg(arg=name):
                yield node.lineno, name
            case ast.FunctionDef(name=name) | ast.ClassDef(name=name):
                yield node.lineno, name
            case ast.ImportFrom(module=str(module)):
                yield node.lineno, " ".join((module, *(alias.name for alias in node.names)))
            case _:
                pass


def _is_told(node: ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef) -> bool:
    return bool(node.body) and isinstance(node.body[0], ast.Expr) and isinstance(node.body[0].value, ast.Constant)


def test_no_vendor_is_named_outside_its_folder() -> None:
    named = [
        f"{name}:{line}: {text[:60]}" for name in SHARED for line, text in words_of(ROOT / name) if VENDOR.search(text)
    ]
    assert not named
    assert len(SHARED) > 200, "all rooms are looked through"


def test_what_the_page_about_adding_a_remote_names_is_there() -> None:
    page = (ROOT.parent / "docs/adding-a-remote.md").read_text(encoding="utf-8")
    named = set(re.findall(r"\b(?:runner|tests|docs)/[a-z_0-9./-]+\.(?:py|md|txt)\b", page))
    assert len(named) > 12
    assert not [name for name in named if not (ROOT.parent / name).is_file()]


def test_the_rule_would_see_one(tmp_path: Path) -> None:
    file = tmp_path / "seen.py"
    file.write_text('"""Speaks of OpenAI."""\nkind = "openai"\nfrom runner.remotes.fireworks import wire\n')
    assert {line for line, text in words_of(file) if VENDOR.search(text)} == {2, 3}


@pytest.mark.parametrize("page", ["docs/lifecycle.md", "docs/glossary.md", "CONTRIBUTING.md"])
def test_a_page_names_only_files_that_are_there(page: str) -> None:
    named = re.findall(r"`([\w/]+/\w+\.py)`", (ROOT.parent / page).read_text(encoding="utf-8"))
    assert named
    assert [name for name in named if not (ROOT / name).is_file() and not (ROOT.parent / name).is_file()] == []


def test_an_apply_of_known_specs_starts_without_pydantic() -> None:
    """Specs that were read before come from a memo: what checks new ones takes longer to import than all the rest."""
    code = (
        "import sys, runner.apply.reconcile, runner.cli.apply, runner.cli.opening; sys.exit('pydantic' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
