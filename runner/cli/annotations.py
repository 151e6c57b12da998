"""Problems as a CI shows them beside the lines they are about: GitHub's workflow commands.

Source: GitHub docs, "Workflow commands for GitHub Actions", setting an error message; how values are escaped is in the
toolkit (`packages/core/src/command.ts`). Recalled, not read again.
"""

from __future__ import annotations

from runner.errors import Problem

_MESSAGE = {"%": "%25", "\r": "%0D", "\n": "%0A"}
_PROPERTY = {**_MESSAGE, ":": "%3A", ",": "%2C"}
_OF_A_MESSAGE, _OF_A_PROPERTY = str.maketrans(_MESSAGE), str.maketrans(_PROPERTY)


def annotation(problem: Problem, file: str) -> str:
    """One problem as an annotation; file: its path from the top of the repository."""
    mark = problem.mark
    where = {"file": file, "line": mark.line, "col": mark.column}
    words = problem.message + (f"\n{problem.hint}" if problem.hint else "")
    kind = "warning" if problem.severity == "warning" else "error"
    properties = ",".join(f"{name}={str(value).translate(_OF_A_PROPERTY)}" for name, value in where.items() if value)
    return f"::{kind} {properties}::{words.translate(_OF_A_MESSAGE)}"


def warning(words: str) -> str:
    """Something that is odd, and has no place."""
    return f"::warning::{words.translate(_OF_A_MESSAGE)}"
