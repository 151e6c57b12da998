"""Readings: what checks look at in a row and its answer. Runs in the rendering process, where time is bounded.

A pattern and an answer that together never end take the process with them, as a template does, see `worker`.
"""

from __future__ import annotations

import re
import signal
from typing import Any, NamedTuple

from jinja2 import Template, TemplateSyntaxError, UndefinedError

from runner.compile.extract import extracted
from runner.compile.frames import Chunk, Done, Reading, Readings, Ready, RenderFailure
from runner.compile.renderer import ROW_CPU_SECONDS, Renderer, failure_of, is_of_a_name, names_of, rendered, words_of
from runner.compile.texts import Null
from runner.job.checks import Occurrence


class _Ready(NamedTuple):
    reading: Reading
    template: Template
    extract: re.Pattern[str] | None
    search: re.Pattern[str] | None

    def taken(self, text: str) -> str | None:
        found: str | None = text
        if self.extract is not None:
            found = extracted(self.extract, text, Occurrence(self.reading.occurrence))
        if self.search is None or found is None:
            return found
        match = self.search.search(found)
        return None if match is None else match.group()


class Reader:
    """The readings in use."""

    def __init__(self, renderer: Renderer) -> None:
        self._renderer = renderer
        self._ready: list[_Ready] = []
        self._longest = 0

    def setup(self, asked: Readings) -> Ready:
        self._ready, self._longest = [], asked.longest
        for number, reading in enumerate(asked.readings):
            try:
                self._ready.append(self._made(reading))
            except Exception as error:  # noqa: BLE001  # whatever it is, it becomes a message
                line = error.lineno if isinstance(error, TemplateSyntaxError) else 1
                return Ready(RenderFailure(number, line, words_of(error)))
        return Ready()

    def _made(self, reading: Reading) -> _Ready:
        template = self._renderer.compiled(reading.template, takes_null=reading.takes_null)
        signal.setitimer(signal.ITIMER_PROF, 2 * ROW_CPU_SECONDS)
        patterns = [None if one is None else re.compile(one, re.MULTILINE) for one in (reading.extract, reading.search)]
        signal.setitimer(signal.ITIMER_PROF, 0)
        return _Ready(reading, template, *patterns)

    def chunk(self, chunk: Chunk) -> Done:
        results: list[list[str | None] | RenderFailure | None] = []
        for row, answer in chunk.rows:
            signal.setitimer(signal.ITIMER_PROF, ROW_CPU_SECONDS)  # ends the process, see `Renderer.chunk`
            results.append(self._row(row, answer))
        signal.setitimer(signal.ITIMER_PROF, 0)
        return Done(results)

    def _row(self, row: dict[str, Any], answer: dict[str, Any] | None) -> list[str | None] | RenderFailure:
        names = names_of(row, answer or {})
        texts: list[str | None] = []
        known: dict[int, str | None] = {}  # by template: several patterns may look at one text
        for number, one in enumerate(self._ready):
            reading = one.reading
            if (answer is None and reading.is_of_answer) or (reading.looks_at_it and names.get("answer") is None):
                texts.append(None)
                continue
            if id(one.template) not in known:
                try:
                    known[id(one.template)] = _text_of(one, names, self._longest)
                except Exception as error:  # noqa: BLE001  # whatever it is, it becomes a message
                    return failure_of(number, one.template, error, row)
            text = known[id(one.template)]
            texts.append(None if text is None else one.taken(text))
        return texts


def _text_of(one: _Ready, names: dict[str, Any], longest: int) -> str | None:
    """None where a value is null, or is not there and may miss."""
    try:
        return rendered(one.template, names, longest)
    except Null:
        return None
    except UndefinedError as error:
        if one.reading.may_miss and not is_of_a_name(error):
            return None
        raise
