"""Every command that a message suggests can be run as it stands: our own command line takes it."""

from __future__ import annotations

import ast
import re
import shlex
from collections.abc import Iterator
from pathlib import Path

import click
import pytest

import runner
from runner.cli.main import COMMANDS, cli
from runner.cli.suggest import carried, with_paths

PACKAGE = Path(runner.__file__).parent
_ALONE = re.compile(rf"runner ({'|'.join(COMMANDS)}) [^`]*[^` ]\Z")
_QUOTED = re.compile(r"`(runner [^`]*)`")


def texts_in(tree: ast.Module) -> Iterator[str]:
    """Every text of a module that is none of its docstrings; what is filled in reads `X`."""
    docs = {id(node.value) for node in ast.walk(tree) if isinstance(node, ast.Expr)}
    inside = {id(part) for node in ast.walk(tree) if isinstance(node, ast.JoinedStr) for part in node.values}
    for node in ast.walk(tree):
        if isinstance(node, ast.JoinedStr):
            yield "".join(str(one.value) if isinstance(one, ast.Constant) else "X" for one in node.values)
        elif isinstance(node, ast.Constant) and isinstance(node.value, str) and not {id(node)} & (docs | inside):
            yield node.value


def suggested() -> list[str]:
    found = set()
    for path in sorted(PACKAGE.rglob("*.py")):
        for text in texts_in(ast.parse(path.read_text())):
            found.update(one for one in _QUOTED.findall(text) if "(?" not in one)
            if _ALONE.match(text):
                found.add(text)  # a way out of a plan stands alone
    return sorted(command for command in found if command not in NO_COMMANDS)


# What looks like one: a pattern, a placeholder in help, what a lock says of its holder
NO_COMMANDS = {"runner COMMAND --help", "runner state accept-origin"}


def parse(command: str) -> None:
    """Raise UsageError unless the command line takes it. Nothing is run."""
    words = shlex.split(command.replace("keys bind X", "keys bind VARIABLE HOST"))[1:]
    context, group = cli.make_context("runner", words[:0], resilient_parsing=True), cli
    while isinstance(group, click.Group) and words and not words[0].startswith("-"):
        name, found, words = group.resolve_command(context, words)
        assert found is not None
        if not isinstance(found, click.Group):
            found.make_context(name, words, parent=context)
            return
        context, group = click.Context(found, context, name), found
    cli.make_context("runner", words)


def test_there_are_many() -> None:
    assert len(suggested()) > 25
    assert "runner cancel X --batch X" in suggested()


@pytest.mark.parametrize("command", suggested())
def test_it_can_be_run(command: str) -> None:
    for one in (command, carried(f"`{command}`", ["specs/", "my specs"]).strip("`")):
        try:
            parse(one)
        except click.exceptions.Exit as stop:  # `--help`, `--version`
            assert stop.exit_code == 0


@pytest.mark.parametrize(
    ("command", "with_them"),
    [
        ("runner plan", "runner plan specs/"),
        ("runner apply -y", "runner apply specs/ -y"),
        ("runner retry calls --row a", "runner retry calls specs/ --row a"),
        ("runner cancel calls --batch b", "runner cancel calls specs/ --batch b"),
        ("runner state accept-origin lab", "runner state accept-origin lab specs/"),
        ("runner retry", "runner retry"),  # only named
        ("runner apply specs/a.yaml", "runner apply specs/a.yaml"),
        ("runner retry calls other/", "runner retry calls other/"),
        ("runner serve --port 0", "runner serve --port 0"),
    ],
)
def test_paths_stand_before_options(command: str, with_them: str) -> None:
    assert with_paths(command, ["specs/"]) == with_them
