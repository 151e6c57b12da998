"""Compiled templates, and rows through them: what runs in the rendering process, see `worker`."""

from __future__ import annotations

import re
import signal
from collections.abc import Mapping
from types import TracebackType
from typing import Any

from jinja2 import Template, TemplateSyntaxError, UndefinedError
from jinja2.runtime import Context

from runner.compile.direct import Direct, direct_of
from runner.compile.frames import Chunk, Done, Ready, RenderFailure, Setup
from runner.compile.sandbox import ROW, Sandbox
from runner.compile.texts import DROPPED, Null

ROW_CPU_SECONDS = 0.5
_UNDEFINED = re.compile(r"'(\w+)' is undefined\Z")
_CACHED = 256
_NOTHING: Mapping[str, Any] = {}


class Renderer:
    """Compiled templates, kept by their text, and the ones in use."""

    def __init__(self) -> None:
        self._sandbox, self._of_filters = Sandbox(), Sandbox(takes_null=True)
        self._of_values = Sandbox(gives_json=True)
        self._compiled: dict[tuple[str, bool, bool], Template] = {}
        self._directs: dict[tuple[str, bool, bool, int], Direct | None] = {}
        self._templates: list[Template] = []
        self._direct: list[Direct] = []  # of all templates, or none
        self._where = -1
        self._longest = 0

    def setup(self, setup: Setup) -> Ready:
        self._templates, self._where, self._longest = [], setup.where, setup.longest
        self._direct = []
        direct: list[Direct | None] = []
        for index, text in enumerate(setup.templates):
            try:
                is_filter, is_value = index == setup.where, index in setup.values
                self._templates.append(self.compiled(text, takes_null=is_filter, gives_json=is_value))
                direct.append(self._written(text, takes_null=is_filter, gives_json=is_value))
            except Exception as error:  # noqa: BLE001  # whatever it is, it becomes a message
                line = error.lineno if isinstance(error, TemplateSyntaxError) else 1
                return Ready(RenderFailure(index, line, words_of(error)))
        if None not in direct:
            self._direct = [one for one in direct if one is not None]
        return Ready()

    def chunk(self, chunk: Chunk) -> Done:
        results: list[list[str | None] | RenderFailure | None] = []
        direct, where = self._direct, self._where
        for row in chunk.rows:
            # ends the process by SIGPROF, which has no handler: see `worker`
            signal.setitimer(signal.ITIMER_PROF, ROW_CPU_SECONDS)
            if direct:
                try:
                    texts: list[str | None] = [text_of(row) for text_of in direct]
                except Exception:  # noqa: BLE001  # the templates themselves say what it is, or that it is nothing
                    signal.setitimer(signal.ITIMER_PROF, ROW_CPU_SECONDS)
                else:
                    if where >= 0 and (texts.pop(where) or "").strip() in DROPPED:
                        results.append(None)
                    else:
                        results.append(texts)
                    continue
            results.append(self._row(row))
        signal.setitimer(signal.ITIMER_PROF, 0)
        return Done(results)

    def _row(self, row: dict[str, Any]) -> list[str | None] | RenderFailure | None:
        names = names_of(row)
        texts: list[str | None] = []
        for index, template in enumerate(self._templates):
            try:
                text = rendered(template, names, self._longest)
            except Exception as error:  # noqa: BLE001  # whatever it is, it becomes a message
                return failure_of(index, template, error, row)
            if index == self._where:
                if text.strip() in DROPPED:
                    return None
            else:
                texts.append(text)
        return texts

    def compiled(self, text: str, *, takes_null: bool, gives_json: bool = False) -> Template:
        """takes_null: null is written as `None`; else it is an error. gives_json: values are written as JSON."""
        key = text, takes_null, gives_json
        if key not in self._compiled:
            if len(self._compiled) >= _CACHED:
                self._compiled.clear()
            signal.setitimer(signal.ITIMER_PROF, 2 * ROW_CPU_SECONDS)
            sandbox = self._of_values if gives_json else self._of_filters if takes_null else self._sandbox
            self._compiled[key] = sandbox.from_string(text)
            signal.setitimer(signal.ITIMER_PROF, 0)
        return self._compiled[key]

    def _written(self, text: str, *, takes_null: bool, gives_json: bool) -> Direct | None:
        """The same as a function, where there is one."""
        key = text, takes_null, gives_json, self._longest
        if key not in self._directs:
            if len(self._directs) >= _CACHED:
                self._directs.clear()
            signal.setitimer(signal.ITIMER_PROF, 2 * ROW_CPU_SECONDS)
            sandbox = self._of_values if gives_json else self._of_filters if takes_null else self._sandbox
            self._directs[key] = direct_of(sandbox, text, self._longest)
            signal.setitimer(signal.ITIMER_PROF, 0)
        return self._directs[key]


class TooLong(Exception):
    """A text of so many characters, which are too many."""

    def __init__(self, length: int) -> None:
        self.length = length


def names_of(row: dict[str, Any], more: Mapping[str, Any] = _NOTHING) -> dict[str, Any]:
    """What a template sees of a row. more: names that stand for something else than the column of that name."""
    return {"row": row, **row, **more, ROW: row}


def rendered(template: Template, names: dict[str, Any], longest: int) -> str:
    """One text. A Context of our own takes a third of the time of `Template.render` on short ones. Raises TooLong."""
    names = {**template.globals, **names}
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


def is_of_a_name(error: UndefinedError) -> bool:
    """Whether a name is not there, and not a part of a value."""
    return _UNDEFINED.search(str(error)) is not None


def failure_of(index: int, template: Template, error: Exception, row: dict[str, Any]) -> RenderFailure:
    if isinstance(error, TooLong):
        return RenderFailure(index, 1, "", length=error.length)
    if isinstance(error, Null):
        # where a column is called `row`, `row.n` is none
        name = error.name if "row" not in row and error.name in row else ""
        return RenderFailure(index, _line(template, error.__traceback__), str(Null(name)))
    missing = _UNDEFINED.search(str(error)) if isinstance(error, UndefinedError) else None
    return RenderFailure(index, _line(template, error.__traceback__), words_of(error), missing[1] if missing else "")


def words_of(error: Exception) -> str:
    if isinstance(error, MemoryError):
        return "it takes too much memory"
    if isinstance(error, RecursionError):
        return "it goes in circles"
    if isinstance(error, UnicodeEncodeError):
        return "the text holds half of a character (a lone surrogate)"
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
