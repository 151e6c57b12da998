"""Rules of the house that no import shows."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from runner.remotes.registry import VENDORS, built_in_providers

ROOT = Path(__file__).parents[1] / "runner"
SHARED = ("job", "spec", "data", "compile", "plan", "results", "state", "apply")
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


@pytest.mark.parametrize("room", SHARED)
def test_no_vendor_is_named_outside_its_folder(room: str) -> None:
    named = [
        f"{path.relative_to(ROOT)}:{line}: {text[:60]}"
        for path in sorted((ROOT / room).rglob("*.py"))
        for line, text in words_of(path)
        if VENDOR.search(text)
    ]
    assert not named


def test_the_rule_would_see_one(tmp_path: Path) -> None:
    file = tmp_path / "seen.py"
    file.write_text('"""Speaks of OpenAI."""\nkind = "openai"\nfrom runner.remotes.fireworks import wire\n')
    assert {line for line, text in words_of(file) if VENDOR.search(text)} == {2, 3}
