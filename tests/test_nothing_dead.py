"""Nothing is said that nobody reads: every option of a command, every field of a spec, every field of a record.

By their names, as the code loads them: an attribute, or a text by which it is looked up. A name that two classes share
is read for both where it is read for one, so that this finds what is dead by mistake, not what hides.
"""

from __future__ import annotations

import ast
import importlib
import inspect
import pkgutil
import typing
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

import click
import msgspec
import pydantic
import pytest

import runner
from runner.cli.main import cli
from runner.cli.schema import DOCUMENTS

ROOT = Path(runner.__file__).parent
READ_ELSEWHERE = {
    "runner.apply.rawfolder.Manifest.fetched_at",  # by people: it is a file beside raw results
    # what a server's client may send: that it is of its type is all that is asked of it
    "runner.server.engines.requests.Chat.stream_options",
    "runner.server.engines.requests.Complete.stream_options",
    "runner.server.engines.requests.Respond.stream_options",
}


@cache
def trees() -> dict[Path, ast.Module]:
    return {path: ast.parse(path.read_text(encoding="utf-8")) for path in sorted(ROOT.rglob("*.py"))}


@cache
def loaded() -> dict[str, set[Path]]:
    """By name, the files where an attribute of that name is read, or a text is one."""
    found: dict[str, set[Path]] = {}
    for path, tree in trees().items():
        told = {id(one.value) for one in ast.walk(tree) if isinstance(one, ast.Expr)}  # docstrings
        for node in ast.walk(tree):
            match node:
                case ast.Attribute(attr=name, ctx=ast.Load()):
                    found.setdefault(name, set()).add(path)
                case ast.Constant(value=str(name)) if id(node) not in told and name.isidentifier():
                    found.setdefault(name, set()).add(path)
                case ast.MatchClass(kwd_attrs=names):
                    for name in names:
                        found.setdefault(name, set()).add(path)
                case _:
                    pass
    return found


def modules() -> Iterator[Any]:
    for about in pkgutil.walk_packages(runner.__path__, "runner."):
        if about.name != "runner.__main__":
            yield importlib.import_module(about.name)


@cache
def classes() -> tuple[type, ...]:
    found = {
        one
        for module in modules()
        for one in vars(module).values()
        if inspect.isclass(one) and one.__module__.startswith("runner.")
    }
    return tuple(sorted(found, key=lambda one: (one.__module__, one.__qualname__)))


def own_fields(kind: type) -> Iterator[str]:
    """The fields that a class declares itself."""
    return (name for name in inspect.get_annotations(kind) if not name.startswith("_"))


# -- options


def commands(group: click.Group = cli, names: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], click.Command]]:
    for name in group.list_commands(click.Context(group)):
        command = group.get_command(click.Context(group), name)
        assert command is not None
        yield (*names, name), command
        if isinstance(command, click.Group):
            yield from commands(command, (*names, name))


@cache
def read_as_arguments() -> dict[Path, set[str]]:
    """By file, the arguments of functions that their own bodies read."""
    found: dict[Path, set[str]] = {}
    for path, tree in trees().items():
        for node in ast.walk(tree):
            if isinstance(node, ast.FunctionDef):
                names = {one.arg for one in (*node.args.posonlyargs, *node.args.args, *node.args.kwonlyargs)}
                loads = {
                    one.id for part in node.body for one in ast.walk(part)
                    if isinstance(one, ast.Name) and isinstance(one.ctx, ast.Load)
                }  # fmt: skip
                found.setdefault(path, set()).update(names & loads)
    return found


def test_every_option_is_read() -> None:
    unread = []
    for words, command in [((), cli), *commands()]:
        if command.callback is None:
            continue
        callback = inspect.unwrap(command.callback)
        files = {Path(inspect.getfile(callback)), ROOT / "cli/options.py", ROOT / "cli/main.py"}
        read = set().union(*(read_as_arguments().get(file, set()) for file in files))
        taken = {one.name for one in command.params if one.expose_value}
        unread += [f"runner {' '.join(words)}: {name}" for name in sorted(filter(None, taken - read))]
    assert not unread
    assert len(list(commands())) > 20


# -- fields


def in_documents() -> set[type]:
    """What is printed as JSON: its schema is published, and whoever reads it is not here."""
    waiting: list[Any] = []
    for place in DOCUMENTS.values():
        module, _, attribute = place.partition(":")
        waiting.append(getattr(importlib.import_module(module), attribute))
    from runner.job.events import Event
    from runner.reports.diff import Diff
    from runner.reports.facts import Facts

    waiting += [Event, Diff, Facts]
    found: set[type] = set()
    while waiting:
        kind = waiting.pop()
        waiting += typing.get_args(kind)
        if inspect.isclass(kind) and issubclass(kind, msgspec.Struct) and kind not in found:
            found.add(kind)
            waiting += typing.get_type_hints(kind).values()
    return found


def unread(kinds: list[type]) -> list[str]:
    return [
        f"{kind.__module__}.{kind.__qualname__}.{name}"
        for kind in kinds
        for name in own_fields(kind)
        if not loaded().get(name.rstrip("_")) and not loaded().get(name)
    ]


def test_every_field_of_a_spec_is_read() -> None:
    """But for params and options, which are checked and passed on as they were written."""
    everything = [kind for kind in classes() if issubclass(kind, pydantic.BaseModel)]
    specs = [kind for kind in everything if kind.__module__.startswith("runner.spec.")]
    assert len(specs) > 10
    assert not unread(specs)


def test_every_field_of_a_record_is_read() -> None:
    shown = in_documents()
    records = [kind for kind in classes() if issubclass(kind, msgspec.Struct) and kind not in shown]
    assert len(records) > 50 and len(shown) > 10
    assert set(unread(records)) == READ_ELSEWHERE


@pytest.mark.parametrize("name", ["nobody_reads_this"])
def test_a_dead_field_would_be_seen(name: str) -> None:
    dead = msgspec.defstruct("Dead", [(name, int)])
    assert unread([dead]) == [f"{dead.__module__}.Dead.{name}"]
