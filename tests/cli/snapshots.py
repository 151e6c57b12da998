"""What commands print, run as a user runs them, held to files beside this one (`shots/`).

    def test_...(lab, shots):
        shots("plan-blocked", lab, "plan", "specs/", code=5)

Text is taken from a terminal of 80 and one of 120 columns, stdout and stderr as they come, with and without colour;
JSON and Markdown, where the command has them, through a pipe. Whatever the files say, this holds of all of it: no line
is wider than its terminal (one word that cannot be broken may be), colour changes nothing but colours, JSON fits the
schema that `runner schema` prints for it and says nothing that the schema does not name.

What differs from run to run (times, ports, ids, paths) is replaced by letters of the same width. To write the files
anew after a change that is meant, and to read them in the diff:

    RENEW_SNAPSHOTS=1 .venv/bin/python -m pytest -n0 tests -k snapshot
"""

from __future__ import annotations

import fcntl
import json
import os
import pty
import re
import signal
import struct
import termios
import threading
import unicodedata
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import click
from jsonschema_rs import Draft202012Validator, meta

from runner.cli.main import cli
from runner.cli.schema import DOCUMENTS, schema_of
from tests import warm
from tests.journeys.lab import KEY, Lab, until

FOLDER = Path(__file__).with_name("shots")
COLUMNS = (80, 120)
RENEWS = bool(os.environ.get("RENEW_SNAPSHOTS"))

_ESCAPE = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]")
_VARYING = (
    (re.compile(r"\b\d{4}-\d\d-\d\d([ T]\d\d:\d\d(:\d\d(\.\d+)?)?)?"), "2026-01-02T03:04:05.000000"),
    (re.compile(r"(?<=127\.0\.0\.1:)\d+"), "00000"),
    (re.compile(r"(?<=localhost:)\d+"), "00000"),
    (re.compile(r"\b(batch_|file-|job-|proj_)[A-Za-z0-9]{8,}"), "_" * 80),
    (re.compile(r"\b[0-9a-f]{16,64}\b"), "0" * 64),
    (re.compile(r"\b\d+(\.\d+)? (ms|s)\b"), "0"),
)


class Shots:
    """Takes the snapshots of one test. `varying`: more that differs between runs, and what to show in its place."""

    def __init__(self, folder: Path = FOLDER, *, renews: bool = RENEWS) -> None:
        self._folder, self._renews = folder, renews
        self._awry: list[str] = []

    def __call__(
        self,
        name: str,
        lab: Lab,
        *words: str,
        code: int = 0,
        before: Callable[[], object] = lambda: None,
        typed: str = "",
        varying: Sequence[tuple[str, str]] = (),
        forms: Sequence[str] | None = None,
        stop_at: str = "",
        is_raw: bool = False,
        **environ: str,
    ) -> None:
        """Every form of one command. name: of its files. before: done ahead of each run, where one changes something.

        typed: what is typed on the terminal. stop_at: Ctrl-C is pressed once this is shown.
        forms: of `-o` beside text; else those of json and markdown that it has.
        is_raw: what it prints is for another program, and is broken nowhere.
        """
        for columns in COLUMNS:
            before()
            plain = shown(lab, words, columns, code=code, typed=typed, stop_at=stop_at, NO_COLOR="1", **environ)
            before()
            coloured = shown(lab, words, columns, code=code, typed=typed, stop_at=stop_at, **environ)
            assert not _ESCAPE.search(plain), f"colour, though NO_COLOR is set: {plain!r}"
            told = _same(plain, varying)
            assert told == _same(_ESCAPE.sub("", coloured), varying), f"colour changes words:\n{plain}\n{coloured}"
            assert is_raw or not (wide := too_wide(told, columns)), f"wider than {columns} columns:\n{wide}"
            self._hold(f"{name}.{columns}.txt", told)
            self._hold(
                f"{name}.{columns}.colour.txt", _same(coloured, varying).replace("\x1b", "\N{SYMBOL FOR ESCAPE}")
            )
        for form in forms_of(words) if forms is None else forms:
            before()
            told = lab.run(*words, "-o", form, code=code, **environ).stdout
            if form == "json":
                must_fit(json.loads(told), document_of(words))
            self._hold(f"{name}.{ {'markdown': 'md'}.get(form, form) }".replace(" ", ""), _same(told, varying))

    def end(self) -> None:
        """Raises AssertionError with all that differs."""
        assert not self._awry, "\n\n".join(self._awry)

    def _hold(self, file: str, told: str) -> None:
        path = self._folder / file
        if self._renews:
            path.parent.mkdir(exist_ok=True)
            path.write_text(told)
        kept = path.read_text() if path.is_file() else None
        if kept != told:
            self._awry.append(f"{file} differs (RENEW_SNAPSHOTS=1 writes it anew). It holds:\n{kept}\nShown:\n{told}")


def shown(
    lab: Lab, words: Sequence[str], columns: int, *, code: int, typed: str = "", stop_at: str = "", **environ: str
) -> str:
    """What a terminal of so many columns gets of `runner WORDS`, stdout and stderr."""
    master, slave = pty.openpty()
    fcntl.ioctl(master, termios.TIOCSWINSZ, struct.pack("HHHH", 50, columns, 0, 0))
    raw = bytearray()

    def read() -> None:
        while True:
            try:
                part = os.read(master, 1 << 16)
            except OSError:  # nobody holds the other end any more
                return
            if not part:
                return
            raw.extend(part)

    env = lab.environ(TERM="xterm", **environ)
    with open(slave, "r+b", buffering=0, closefd=False) as end:
        process = warm.start("runner", *words, cwd=lab.root, env=env, stdin=slave, stdout=end, stderr=end)
    os.close(slave)
    reader = threading.Thread(target=read, daemon=True)
    reader.start()
    if typed:
        os.write(master, typed.encode())
    if stop_at:
        until(lambda: stop_at.encode() in raw)
        process.send_signal(signal.SIGINT)
    ended = process.wait(60)
    reader.join(10)
    os.close(master)
    told = raw.decode().replace("\r\n", "\n")
    assert ended == code, f"{words}: {ended}\n{told}"
    assert "Traceback" not in told and KEY not in told, told
    return told


def width(text: str) -> int:
    """The columns of a terminal that a text takes."""
    wide = sum(unicodedata.east_asian_width(one) in "WF" for one in text)
    return len(text) + wide - sum(unicodedata.combining(one) > 0 for one in text)


def too_wide(text: str, columns: int) -> str:
    """The lines that a terminal would break by itself; not those of one word, which is to be copied as it stands."""
    lines = (line for line in _ESCAPE.sub("", text).split("\n") if width(line) > columns)
    return "\n".join(line for line in lines if not re.fullmatch(r"\s*(`[^`]*`|\S)+\s*", line))


def command_of(words: Sequence[str]) -> tuple[list[str], click.Command]:
    """The command of a command line, and its name."""
    found: click.Command = cli
    names = []
    for word in words:
        if not isinstance(found, click.Group):
            break
        context = click.Context(found)
        if (one := found.get_command(context, word)) is None:
            break
        names.append(word)
        found = one
    return names, found


def forms_of(words: Sequence[str]) -> list[str]:
    """What `-o` offers beside text: json and markdown, where it does."""
    return [form for form in ("json", "markdown") if form in choices_of(command_of(words)[1])]


def choices_of(command: click.Command) -> Sequence[str]:
    options = [one for one in command.params if "-o" in one.opts and isinstance(one.type, click.Choice)]
    return options[0].type.choices if options else ()


def document_of(words: Sequence[str]) -> str:
    """What `runner schema` calls that which a command prints."""
    name = "-".join(command_of(words)[0])
    assert name in DOCUMENTS, f"`runner schema` knows nothing of `{name}`"
    return name


def must_fit(document: Any, name: str) -> None:
    """Raises AssertionError unless a document is what its schema says, field by field."""
    schema = schema_of(name)
    meta.validate(schema)
    for found in Draft202012Validator(closed(schema)).iter_errors(document):
        raise AssertionError(f"{name}: {'.'.join(map(str, found.instance_path))}: {found.message}")
    assert isinstance(document.get("version"), int), f"{name} has no `version`"


def closed(node: Any) -> Any:
    """The schema with no property but those it names."""
    if isinstance(node, list):
        return [closed(one) for one in node]
    if not isinstance(node, dict):
        return node
    found = {key: closed(value) for key, value in node.items()}
    if "properties" in found and found.get("type") == "object":
        found.setdefault("additionalProperties", False)
    return found


def _same(text: str, varying: Sequence[tuple[str, str]]) -> str:
    """The text without what differs between runs, in the width that it had."""
    for pattern, told in varying:
        text = re.sub(pattern, told, text)
    for known, filler in _VARYING:
        text = known.sub(lambda found, filler=filler: _filled(found[0], filler), text)
    return text


def _filled(found: str, filler: str) -> str:
    number = re.fullmatch(r"(\d+)(\.\d+)? (ms|s)", found)
    if number:
        return re.sub(r"\d", "0", found)
    if found.startswith(("batch_", "file-", "job-", "proj_")):
        start = re.match(r"[a-z]+[_-]", found)[0]  # type: ignore[index]
        return start + "0" * (len(found) - len(start))
    return filler[: len(found)].replace("T", found[10:11]) if found[4:5] == "-" else filler[: len(found)]
