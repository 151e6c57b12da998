"""The process that renders templates which are more than text and names.

Run as `python -m runner.compile.worker SECONDS`, fed through stdin, ends at its end, so it never outlives its parent.
A row that takes too much processor time ends the process: the kernel does that, also inside one long C call, where a
Python signal handler would wait. Memory is limited by the kernel as well. The parent finds the row and names it.
SECONDS of processor time are for all rows together: a million of them that each keep to half a second take five days.
"""

from __future__ import annotations

import contextlib
import re
import resource
import signal
import sys
from collections.abc import Iterator
from pathlib import Path
from types import TracebackType
from typing import IO, Any

from jinja2 import Template, TemplateSyntaxError, UndefinedError
from jinja2.runtime import Context

from runner.compile.frames import (
    DROPPED,
    LENGTH,
    Chunk,
    Done,
    Failure,
    Ready,
    Setup,
    decode_request,
    framed,
)
from runner.compile.sandbox import ROW, Sandbox
from runner.compile.texts import Null

ROW_CPU_SECONDS = 0.5
MEMORY_BYTES = 256 << 20  # beyond what the process has when it starts
_UNDEFINED = re.compile(r"'(\w+)' is undefined\Z")
_CACHED = 256


class Renderer:
    """Compiled templates, kept by their text, and the ones in use."""

    def __init__(self) -> None:
        self._sandbox, self._of_filters = Sandbox(), Sandbox(takes_null=True)
        self._compiled: dict[tuple[str, bool], Template] = {}
        self._templates: list[Template] = []
        self._where = -1
        self._longest = 0

    def setup(self, setup: Setup) -> Ready:
        self._templates, self._where, self._longest = [], setup.where, setup.longest
        for index, text in enumerate(setup.templates):
            try:
                self._templates.append(self._compile(text, is_filter=index == setup.where))
            except Exception as error:  # noqa: BLE001  # whatever it is, it becomes a message
                line = error.lineno if isinstance(error, TemplateSyntaxError) else 1
                return Ready(Failure(index, line, _words(error)))
        return Ready()

    def chunk(self, chunk: Chunk) -> Done:
        results = []
        for row in chunk.rows:
            # ends the process by SIGPROF, which has no handler: see above
            signal.setitimer(signal.ITIMER_PROF, ROW_CPU_SECONDS)
            results.append(self._row(row))
        signal.setitimer(signal.ITIMER_PROF, 0)
        return Done(results)

    def _row(self, row: dict[str, Any]) -> list[str] | Failure | None:
        texts = []
        for index, template in enumerate(self._templates):
            try:
                text = _render(template, row, self._longest)
            except Exception as error:  # noqa: BLE001  # whatever it is, it becomes a message
                return _failure(index, template, error, row)
            if index == self._where:
                if text.strip() in DROPPED:
                    return None
            else:
                texts.append(text)
        return texts

    def _compile(self, text: str, *, is_filter: bool) -> Template:
        if (text, is_filter) not in self._compiled:
            if len(self._compiled) >= _CACHED:
                self._compiled.clear()
            signal.setitimer(signal.ITIMER_PROF, 2 * ROW_CPU_SECONDS)
            sandbox = self._of_filters if is_filter else self._sandbox
            self._compiled[text, is_filter] = sandbox.from_string(text)
            signal.setitimer(signal.ITIMER_PROF, 0)
        return self._compiled[text, is_filter]


class TooLong(Exception):
    """A text of so many characters, which are too many."""

    def __init__(self, length: int) -> None:
        self.length = length


def _render(template: Template, row: dict[str, Any], longest: int) -> str:
    """One text. A Context of our own takes a third of the time of `Template.render` on short ones. Raises TooLong."""
    names = {**template.globals, "row": row, **row, ROW: row}
    context = Context(template.environment, names, template.name, template.blocks)
    parts: list[str] = []
    size = 0
    for part in template.root_render_func(context):
        size += len(part)
        if size > longest:
            parts.clear()  # the rest is only counted
        else:
            parts.append(part)
    if size > longest:
        raise TooLong(size)
    text = "".join(parts)
    text.encode()  # a lone surrogate from a string literal cannot be sent
    return text


def _failure(index: int, template: Template, error: Exception, row: dict[str, Any]) -> Failure:
    if isinstance(error, TooLong):
        return Failure(index, 1, "", length=error.length)
    if isinstance(error, Null):
        # where a column is called `row`, `row.n` is none
        name = error.name if "row" not in row and error.name in row else ""
        return Failure(index, _line(template, error.__traceback__), str(Null(name)))
    missing = _UNDEFINED.search(str(error)) if isinstance(error, UndefinedError) else None
    return Failure(index, _line(template, error.__traceback__), _words(error), missing[1] if missing else "")


def _words(error: Exception) -> str:
    if isinstance(error, MemoryError):
        return "it takes too much memory"
    if isinstance(error, RecursionError):
        return "it goes in circles"
    if isinstance(error, UnicodeEncodeError):
        return "the text holds half of a surrogate pair"
    words = str(error).partition("\n")[0][:300].encode(errors="replace").decode()
    return words or type(error).__name__


def _line(template: Template, traceback: TracebackType | None) -> int:
    """The template's line where it happened: the innermost frame of its own code."""
    line = 1
    while traceback is not None:
        if traceback.tb_frame.f_globals is template.root_render_func.__globals__:
            line = template.get_corresponding_lineno(traceback.tb_lineno)
        traceback = traceback.tb_next
    return line


def _limit(cpu_seconds: int) -> None:
    """Bound memory and processor time, forbid files, children and core dumps. Each row is bounded as well."""
    pages = int(Path("/proc/self/statm").read_text().split()[0]) if sys.platform == "linux" else 0
    for kind, bound in (
        (resource.RLIMIT_AS, pages * resource.getpagesize() + MEMORY_BYTES if pages else 0),
        (resource.RLIMIT_CORE, 0),
        (resource.RLIMIT_FSIZE, 0),
        (resource.RLIMIT_NPROC, 0),
    ):
        if bound or kind != resource.RLIMIT_AS:
            with contextlib.suppress(ValueError, OSError):
                resource.setrlimit(kind, (bound, bound))
    with contextlib.suppress(ValueError, OSError):
        resource.setrlimit(resource.RLIMIT_CPU, (cpu_seconds, cpu_seconds + 5))  # SIGXCPU, then SIGKILL


def _requests(source: IO[bytes]) -> Iterator[Setup | Chunk]:
    while head := source.read(LENGTH.size):
        yield decode_request(source.read(LENGTH.unpack(head)[0]))


def main() -> None:
    _limit(int(sys.argv[1]))
    renderer = Renderer()
    out = sys.stdout.buffer
    for request in _requests(sys.stdin.buffer):
        match request:
            case Setup():
                out.write(framed(renderer.setup(request)))
            case Chunk():
                out.write(framed(renderer.chunk(request)))
        out.flush()


if __name__ == "__main__":
    main()
