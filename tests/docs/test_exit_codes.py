"""docs/exit-codes.md is held to the code: which codes there are, where they come from, and which is the gravest."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

from runner import errors
from runner.cli import aftermath
from tests.docs.blocks import ROOT

PAGE = (ROOT / "docs/exit-codes.md").read_text()
CLI = sorted((ROOT / "runner/cli").glob("*.py"))


def in_table() -> set[int]:
    return {int(code) for code in re.findall(r"^\| (\d+) \|", PAGE, re.M)}


def of_errors(kind: type = errors.RunnerError) -> Iterator[int]:
    yield kind.exit_code  # type: ignore[attr-defined]
    for below in kind.__subclasses__():
        yield from of_errors(below)


def commands_in(path: Path) -> Iterator[ast.FunctionDef]:
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.FunctionDef) and any(".command(" in ast.unparse(one) for one in node.decorator_list):
            yield node


def returned(command: ast.FunctionDef) -> Iterator[int]:
    for node in ast.walk(command):
        if isinstance(node, ast.Return) and node.value is not None:
            yield from (one.value for one in ast.walk(node.value) if _is_code(one))


def _is_code(node: ast.AST) -> bool:
    return isinstance(node, ast.Constant) and type(node.value) is int


def told(command: ast.FunctionDef) -> Iterator[int]:
    """The codes that the help of a command names."""
    words = " ".join((ast.get_docstring(command) or "").split())
    for said in re.findall(r"Exit codes: ([^.]*)", words):
        yield from map(int, re.findall(r"\b(\d+) [a-z]", said))
    yield from map(int, re.findall(r"\(exit (\d+)\)", words))


def test_each_code_that_a_command_ends_with_is_in_the_table_and_no_other() -> None:
    commands = [command for path in CLI for command in commands_in(path)]
    assert len(commands) > 30
    ends = {code for command in commands for code in returned(command)}
    assert {0, 2, 4, 5} <= ends
    own = {0, *ends, *of_errors(), *aftermath.GRAVEST_FIRST}
    assert in_table() == own == {0, 1, 2, 3, 4, 5, 6, 64, 130}


def test_help_names_no_other_code() -> None:
    named = {code for path in CLI for command in commands_in(path) for code in told(command)}
    assert {0, 1, 3, 4, 5, 6} <= named <= in_table()


def test_the_gravest_comes_first() -> None:
    said = re.search(r"`apply` ends with the gravest: ([\d, ]+)\.", PAGE)
    assert said is not None and tuple(map(int, said[1].split(", "))) == aftermath.GRAVEST_FIRST
