"""Problems of spec files: collected, given the line they are about, and put into words.

All problems of all files are shown at once, so nothing here stops at the first one.
"""

from __future__ import annotations

import contextlib
import difflib
import re
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import replace
from itertools import islice
from pathlib import Path

from runner.errors import Mark, Problem, SpecError, printable
from runner.spec.secrets import redact
from runner.spec.within import first_of

MAX_PROBLEMS = 500  # of all files; nobody reads the next one before these are put right
MAX_SUGGESTIONS = 100  # looking for near names is slow; nobody reads the hundredth one
MAX_CANDIDATES = 2_000
MAX_COMPARED = 1_000_000  # characters of words times those of names: a tenth of a second
SNIPPET_CHARS = 120

LINE_BREAK = re.compile(r"\r\n|\r|\n")


class Problems:
    """Collects what is wrong. `file` texts are kept so that a problem can show its line."""

    def __init__(self) -> None:
        self.found: list[Problem] = []
        self.errors = 0
        self._texts: dict[str, str] = {}
        self._lines: dict[str, list[str]] = {}
        self._snippets: dict[tuple[str, int], str] = {}
        self._suggested = 0
        self._compared = 0
        self._unsaid: Mark | None = None  # the place of the first problem that is left out
        self._silent: set[Mark] = set()
        self._once: set[Mark] = set()
        self._whence: dict[Mark, str] = {}

    def add_text(self, file: str, text: str) -> None:
        self._texts[file] = text

    def text_of(self, file: str) -> str:
        return self._texts.get(file, "")

    def lines_of(self, file: str) -> list[str]:
        """The lines of a file that was read, without their breaks."""
        if file not in self._lines:
            self._lines[file] = LINE_BREAK.split(self._texts.get(file, ""))
        return self._lines[file]

    @property
    def leaves_out(self) -> bool:
        """Whether more is wrong than will be said, so that looking further is of no use."""
        return self._unsaid is not None

    def error(self, mark: Mark, message: str, hint: str = "") -> None:
        if mark not in self._silent:
            self.errors += 1
            self._add(mark, message, hint, "error")
            if mark in self._once:
                self._silent.add(mark)

    # A key that was found, say: that the same value is also of the wrong type would make two problems of one mistake,
    # and the second might lead away from the first.
    def silence(self, *marks: Mark) -> None:
        """Nothing more is said about these places: the problem found there is the one that counts."""
        self._silent.update(marks)

    def say_once(self, *marks: Mark) -> None:
        """Of what is wrong at these places only the first is told: many jobs have it from there."""
        self._once.update(marks)

    def explain(self, mark: Mark, whence: str) -> None:
        """Say with every problem at a place where its value comes from: it is not the text that stands there."""
        self._whence[mark] = f"{self._whence[mark]}; {whence}" if mark in self._whence else whence

    def warning(self, mark: Mark, message: str, hint: str = "") -> None:
        self._add(mark, message, hint, "warning")

    def _add(self, mark: Mark, message: str, hint: str, severity: str) -> None:
        if len(self.found) >= MAX_PROBLEMS:
            self._unsaid = self._unsaid or mark
            return
        snippet = self._snippet(mark.file, mark.line)
        if mark in self._whence:
            hint = self._whence[mark] + (f"; {hint}" if hint else "")
        # the only way in, so nothing that looks like a key can leave by a message
        self.found.append(Problem(mark, redact(message), redact(hint), snippet, severity))

    def _snippet(self, file: str, line: int) -> str:
        """Masked once per line: a line of a megabyte may hold a thousand problems."""
        if (file, line) not in self._snippets:
            lines = self.lines_of(file) if line else []
            self._snippets[file, line] = redact(lines[line - 1]) if 0 < line <= len(lines) else ""
        return self._snippets[file, line]

    def nearest(self, word: str, candidates: Collection[str]) -> str | None:
        """The candidate a user most likely meant, or None; gives up after many questions."""
        # what comparing costs, guessed before it is done: the time of difflib grows with both lengths
        compared = len(word) * sum(map(len, candidates))
        if self._suggested >= MAX_SUGGESTIONS or self._compared + compared > MAX_COMPARED:
            return None
        self._suggested += 1
        self._compared += compared
        return nearest(word, candidates)

    def raise_errors(self, more: Sequence[Problem] = ()) -> None:
        """Raises SpecError with everything found, if anything of it is an error, and with `more` that others found."""
        if self.errors or more:
            # in a dict by place and words, from behind: the first one said stays, in its order
            once = {(problem.mark, problem.message): problem for problem in reversed(self.found)}
            found = [*reversed(once.values())]
            if self._unsaid:
                words = "this and more problems are not shown"
                found.append(Problem(self._unsaid, words, "put the others right first"))
            raise SpecError([*found, *more])

    def warnings(self) -> tuple[str, ...]:
        """Each as one line, sorted by place."""
        found = sorted((p for p in self.found if p.severity == "warning"), key=lambda p: p.mark)
        return tuple(dict.fromkeys(f"{p.mark}: {p.message}" for p in found))


def nearest(word: str, candidates: Collection[str]) -> str | None:
    """The candidate closest to `word`: the same but for case first, then by similarity."""
    names = sorted(candidates)[:MAX_CANDIDATES]
    folded = word.casefold()
    for name in names:
        if name.casefold() == folded:
            return name
    close = difflib.get_close_matches(word[:80], names, n=1, cutoff=0.6)
    return close[0] if close else None


def render(problems: Sequence[Problem], root: Path) -> str:
    """All problems in words, each with its place, its line, a caret and what to do next.

    root: lines of problems that carry none are read from the files below it.
    """
    shown = problems[: MAX_PROBLEMS + 1]
    lines = _lines_at((problem.mark for problem in shown if not problem.snippet), root)
    words = [_words(problem, lines) for problem in shown]
    if len(words) < len(problems):
        words.append(f"{len(problems) - len(words):,} more problems are not shown: mend these first")
    return "\n\n".join(words)


def _lines_at(marks: Iterable[Mark], root: Path) -> dict[tuple[str, int], str]:
    """The lines of files below `root` at these places, as far as they can be read; each file is read once."""
    wanted: dict[str, set[int]] = {}
    for mark in marks:
        if mark.line:
            wanted.setdefault(mark.file, set()).add(mark.line)
    found = {}
    for name, numbers in wanted.items():
        # a problem is worth showing without its line
        with contextlib.suppress(OSError, ValueError), (root / name).open(encoding="utf-8", errors="replace") as file:
            for number, line in enumerate(islice(file, max(numbers)), 1):
                if number in numbers:
                    found[name, number] = redact(line.rstrip("\r\n"))
    return found


def _words(problem: Problem, lines: Mapping[tuple[str, int], str]) -> str:
    snippet = problem.snippet or lines.get((problem.mark.file, problem.mark.line), "")
    mark = _column_of(problem.mark, snippet)
    place = f"{printable(str(mark))}: " if mark.file else ""
    text = f"{place}{problem.severity}: {problem.message}"
    if snippet.strip():
        text += "\n" + _pointed(snippet, mark)
    return f"{text}\n\nhint: {problem.hint}" if problem.hint else text


def _column_of(mark: Mark, line: str) -> Mark:
    """A place with its column: where nothing else is known, that of the first character that is not blank."""
    if mark.column or not mark.file:
        return mark
    return replace(mark, line=mark.line or 1, column=first_of(line) if line.strip() else 1)


def _pointed(snippet: str, mark: Mark) -> str:
    """The source line with its number, and a caret below the column."""
    start = max(0, mark.column - 1 - SNIPPET_CHARS // 2) if len(snippet) > SNIPPET_CHARS else 0
    window = snippet[start : start + SNIPPET_CHARS]
    shown = "".join(c if c.isprintable() else " " if c == "\t" else "\N{REPLACEMENT CHARACTER}" for c in window)
    lead, tail = "…" if start else "", "…" if start + SNIPPET_CHARS < len(snippet) else ""
    line = f"{mark.line:>6} | {lead}{shown.rstrip()}{tail}"
    if not mark.column:
        return line
    caret = min(mark.column - 1 - start, len(shown)) + len(lead)
    return f"{line}\n{'':>6} | {' ' * max(0, caret)}^"
