"""Words for people: commands with their PATHS, lines broken between words where a terminal ends."""

from __future__ import annotations

import re
import shutil
import sys
import unicodedata
from typing import TextIO

import click

from runner.cli.suggest import carried
from runner.cli.unchanged import running

_COLOUR = re.compile(r"\x1b\[[0-9;]*m")
_WORD = re.compile(r"\s*(?:`[^`]*`|\S)+")  # a command in backticks is one word: it is to be copied
_COMMAND = re.compile(r"^(\s*)::", re.MULTILINE)  # a line of a log that a CI obeys; never one of ours
_HANGING = 2
_LEAST = 20  # columns: below, nothing is worth breaking


def say(text: str = "", *, err: bool = False, nl: bool = True) -> None:
    """Write a text to stdout or stderr."""
    stream = sys.stderr if err else sys.stdout
    folded_text = folded(carried(text), columns_of(stream))
    _echo(_COMMAND.sub(r"\1\\::", folded_text), err=err, nl=nl)


def say_json(view: object) -> None:
    """Write a view to stdout as JSON, indented; `runner schema` prints what it may look like."""
    import msgspec  # not before there is one

    told = msgspec.json.format(msgspec.json.encode(view)).decode()
    if "utf" not in sys.stdout.encoding.lower() and not told.isascii():
        import json

        told = json.dumps(json.loads(told), indent=2)  # escapes are JSON in every encoding
    _echo(told.replace("##", "#\\u0023"))  # in a text, where it means the same: a CI obeys `##[` wherever it stands


def _echo(text: str, *, err: bool = False, nl: bool = True) -> None:
    """Write it, and note what may be said again while nothing changes."""
    command = running.get()
    if command is not None and command.said is not None:
        command.said = None if err else [*command.said, text + "\n" * nl]
    click.echo(text, err=err, nl=nl)


def columns_of(stream: TextIO) -> int | None:
    """The width of a terminal; None where there is none, and lines stay as long as they are."""
    return shutil.get_terminal_size().columns if stream.isatty() else None


def folded(text: str, columns: int | None) -> str:
    """The text with no line longer than `columns`, broken between words; what follows a break hangs below."""
    if columns is None or columns < _LEAST:
        return text
    return "\n".join(part for line in text.split("\n") for part in _parts(line, columns))


def _parts(line: str, columns: int) -> list[str]:
    if width(line) <= columns:
        return [line]
    shown = _COLOUR.sub("", line)
    indent = " " * min(len(shown) - len(shown.lstrip()) + _HANGING, columns // 2)
    parts = [""]
    for word in _WORD.findall(line):
        if parts[-1].strip() and width(parts[-1] + word) > columns:
            parts.append(indent + word.lstrip())
        else:
            parts[-1] += word
    return parts


def width(text: str) -> int:
    """How many columns of a terminal a text takes, colours left out: two for each letter of a wide script."""
    shown = _COLOUR.sub("", text)
    if shown.isascii():
        return len(shown)
    wide = sum(unicodedata.east_asian_width(letter) in "WF" for letter in shown)
    return len(shown) + wide - sum(map(bool, map(unicodedata.combining, shown)))


def cut(text: str, columns: int) -> str:
    """The text in so many columns, `…` where something is left out."""
    if width(text) <= columns:
        return text
    taken = ""
    for one in text:
        if width(taken + one) >= columns:
            break
        taken += one
    return f"{taken}…"
