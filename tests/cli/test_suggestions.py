"""Every command that a message suggests can be run as it stands: our own command line takes it."""

from __future__ import annotations

import ast
import functools
import json
import re
import shlex
from collections.abc import Iterator
from contextvars import copy_context
from pathlib import Path

import click
import pytest

import runner
from runner.cli import main
from runner.cli.main import COMMANDS, Settings, cli
from runner.cli.suggest import as_typed, carried, held
from tests.journeys.lab import Lab

PACKAGE = Path(runner.__file__).parent
_ALONE = re.compile(rf"runner ({'|'.join(COMMANDS)}) [^`]*[^` ]\Z")
_QUOTED = re.compile(r"`(runner [^`]*)`")


def texts_in(tree: ast.Module) -> Iterator[str]:
    """Every text of a module that is none of its docstrings; what is filled in reads `X`."""
    nodes = list(ast.walk(tree))
    others = {id(node.value) for node in nodes if isinstance(node, ast.Expr)}
    others.update(id(part) for node in nodes if isinstance(node, ast.JoinedStr) for part in node.values)
    for node in nodes:
        if isinstance(node, ast.JoinedStr):
            yield "".join(str(one.value) if isinstance(one, ast.Constant) else "X" for one in node.values)
        elif isinstance(node, ast.Constant) and isinstance(node.value, str) and id(node) not in others:
            yield node.value


@functools.cache
def suggested() -> list[str]:
    found = set()
    for path in sorted(PACKAGE.rglob("*.py")):
        source = path.read_text()
        for text in texts_in(ast.parse(source)) if "runner " in source else ():
            found.update(one for one in _QUOTED.findall(text) if "(?" not in one)
            if _ALONE.match(text):
                found.add(text)  # a way out of a plan stands alone
    return sorted(command for command in found if command not in NO_COMMANDS)


# What looks like one: a pattern, a placeholder in help, what a lock says of its holder, what a card says of its origin
NO_COMMANDS = {"runner COMMAND --help", "runner export", "runner state accept-origin"}


def parse(command: str) -> None:
    """Raise UsageError unless the command line takes it. Nothing is run, and nothing of it stays."""
    copy_context().run(_parse, command)


def _parse(command: str) -> None:
    words = shlex.split(command.replace("keys bind X", "keys bind VARIABLE HOST"))[1:]
    context, group = cli.make_context("runner", words[:0], resilient_parsing=True), cli
    context.obj = Settings(Path(), 0)
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
    for one in (command, carried(f"`{command}`", ["specs/", "my specs"], str(PACKAGE)).strip("`")):
        try:
            copy_context().run(parse, one)
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
    assert as_typed(command, ["specs/"], "") == with_them


@pytest.mark.parametrize(
    ("command", "with_it"),
    [
        ("runner apply specs/", "runner -C 'my folder' apply specs/"),
        ("runner retry calls", "runner -C 'my folder' retry calls"),
        ("runner cache clear", "runner -C 'my folder' cache clear"),
        ("runner lock", "runner -C 'my folder' lock"),
        ("runner verify", "runner -C 'my folder' verify"),
        ("runner retry", "runner retry"),
        ("runner keys list", "runner keys list"),  # of this machine
        ("runner -C other plan", "runner -C other plan"),
    ],
)
def test_the_folder_stands_first(command: str, with_it: str) -> None:
    assert as_typed(command, (), "my folder") == with_it
    assert carried(carried(f"`{command}` does it", (), "my folder"), (), "my folder") == f"`{with_it}` does it"


def test_an_apply_that_is_held_to_a_plan_suggests_no_other() -> None:
    def said(hold: tuple[str, ...], command: str) -> str:
        held.set(hold)
        return as_typed(command, ["specs/"], "")

    ways = (("plan.json",), ("--plan-digest", "3-abc"))
    told = [copy_context().run(said, way, command) for way in ways for command in ("runner apply -y", "runner plan")]
    assert told == [
        "runner apply plan.json -y",
        "runner plan specs/",
        "runner apply specs/ -y --plan-digest 3-abc",
        "runner plan specs/",
    ]


def test_a_command_leaves_nothing_to_the_next_one(lab: Lab) -> None:
    assert main.run(["-C", str(lab.root), "validate", "specs/"]) == 0
    assert as_typed("runner plan") == "runner plan"


def commands_in(text: str) -> list[str]:
    return re.findall(r"`(runner [^`]*)`", text)


def test_from_another_folder_every_command_can_be_typed_as_it_stands(lab: Lab) -> None:
    here = Lab(lab.root.parent, lab.server)
    lab.rows({f"r{n}": f"word {n}" for n in range(3)})
    lab.server.fault(row_error={"value": 1.0, "status": 400})
    met = []
    for words, code in (
        (("plan", "-C", lab.root.name), 0),
        (("-C", lab.root.name, "apply", "--rehearse"), 0),
        (("-C", str(lab.root), "apply"), 5),
        (("-C", lab.root.name, "apply", "specs/lab.yaml", "-y"), 4),
        (("-C", lab.root.name, "retry", "answers"), 0),
        (("show", "nobody", "-C", lab.root.name), 64),
        (("-C", lab.root.name, "destroy"), 64),
        (("-C", lab.root.name, "plan", "--dry-run"), 64),
    ):
        done = here.run(*words, code=None)
        assert done.returncode == code, done.stdout + done.stderr
        told = commands_in(done.stdout + done.stderr)
        named = next(word for word in words if word in (lab.root.name, str(lab.root)))
        assert all(one.startswith(f"runner -C {named} ") for one in told if "JOB" not in one), told
        met += told
    view = json.loads(here.run("-C", lab.root.name, "plan", "--max-usd", "0", "-o", "json", code=None).stdout)
    assert all(
        way.startswith(f"runner -C {lab.root.name} ")
        for job in view["jobs"]
        for line in job["lines"]
        for way in line["unblock"]
    )
    assert len(met) > 6
    for one in sorted({one for one in met if " show " in one or " plan" in one}):
        assert here.run(*shlex.split(one)[1:], code=0).stdout


def test_a_folder_that_is_this_one_is_not_named(lab: Lab) -> None:
    assert "`runner apply specs/`" in lab.run("-C", ".", "plan").stderr
    assert "`runner apply specs/`" in lab.run("-C", str(lab.root), "plan").stderr


def hints() -> Iterator[tuple[str, str]]:
    """Where a hint stands, and how it begins, as far as it is written out."""
    for path in sorted(PACKAGE.rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.keyword) and node.arg == "hint":
                text = node.value.values[0] if isinstance(node.value, ast.JoinedStr) else node.value
                if isinstance(text, ast.Constant) and isinstance(text.value, str):
                    yield f"{path.relative_to(PACKAGE)}:{node.value.lineno}", text.value


def test_hints_begin_in_lower_case() -> None:
    found = list(hints())
    assert len(found) > 150
    assert [one for one in found if re.match(r"[A-Z][a-z]+ ", one[1])] == []
