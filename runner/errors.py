"""Every error a user can meet, in one tree, each with an exit code and a next step.

RunnerError                     1
|- UsageError                  64   the command line is wrong
|- SpecError                    1   one or many `Problem`s, each with its place
|- DataError                    1   a dataset or a row of it
|- StateError                   1   our own memory is damaged, foreign or too new
|  `- Conflict                      somebody else wrote to it since we read it
|- LockedError                  6   another apply holds the project
|- BlockedError                 5   a person has to decide
|  |- NotConfirmed                  nobody said yes to what would be paid for
|  `- Stale                         other requests would be sent than were reviewed
|- EngineError                  1   the embedded server's model cannot run here
`- RemoteError                  1   a provider; `status`, its words, its request id
   |- NotSent                       nothing can have reached the remote: sending again is safe
   |- Refused                       a definite no (4xx): nothing was created
   |  |- AuthFailed                 401, 403, or no key at all
   |  |  `- NotBound             5   a key that nobody allowed to go to this host: nothing was sent
   |  |- NotFound                   404
   |  `- RateLimited                429 that passes, with `retry_after` seconds if the remote said so
   `- OutcomeUnknown                timeout, cut connection, 5xx, unreadable 2xx: it may have happened
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple


@dataclass(frozen=True, slots=True, order=True)
class Mark:
    """A place in a file the user wrote. Lines and columns count from 1; 0 means the whole file."""

    file: str
    line: int = 0
    column: int = 0

    def __str__(self) -> str:
        file = printable(self.file)
        if not self.line:
            return file
        return f"{file}:{self.line}" + (f":{self.column}" if self.column else "")


class Inside(NamedTuple):
    """A character of a text that was read from a file: of a template, say, which YAML folds and indents."""

    start: Mark  # where the text begins in its file
    text: str
    offset: int


@dataclass(frozen=True, slots=True)
class Problem:
    """One thing that is wrong in a file the user wrote: where, what, and what to do about it.

    What is quoted from files and names in `message` and `hint` is made printable, so that it cannot steer a terminal.
    """

    mark: Mark
    message: str
    hint: str = ""
    snippet: str = ""  # the source line, as written
    severity: str = "error"  # or "warning"
    inside: Inside | None = None  # where `mark` tells no more than a line of a text

    def __post_init__(self) -> None:
        object.__setattr__(self, "message", printable(self.message))
        object.__setattr__(self, "hint", printable(self.hint))


def printable(text: str) -> str:
    """`text` on one line, with control characters spelled out."""
    if text.isprintable():
        return defused(text)
    return defused("".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text))


# What a CI searches its logs for: GitHub's at the start of a line (blanks before it do not count), Azure's and GitHub's
# older ones anywhere (recalled from the sources of both agents, not read again).
_COMMAND = re.compile(r"^(\s*)(::)|#(#(?:vso)?\[)")


def defused(line: str) -> str:
    """One line without what a CI that reads our words would obey."""
    return _COMMAND.sub(lambda found: f"{found[1]}\\::" if found[2] else f"#\\{found[3]}", line)


class RunnerError(Exception):
    """Something a user can act on: `message` says what is wrong, `hint` what to do next.

    details: what the message counts, a line each.
    """

    exit_code = 1
    details: tuple[str, ...] = ()

    def __init__(self, message: str, *, hint: str = "", mark: Mark | None = None) -> None:
        super().__init__(message)
        self.message = printable(message)  # names of files and rows stand in it
        self.hint = printable(hint)
        self.mark = mark


class UsageError(RunnerError):
    exit_code = 64


class SpecError(RunnerError):
    """All problems of all files, sorted by place."""

    def __init__(self, problems: Sequence[Problem]) -> None:
        self.problems = tuple(sorted(problems, key=lambda p: p.mark))
        count = len(self.problems)
        super().__init__(f"{count} problem{'s' if count != 1 else ''} in the specs")


class DataError(RunnerError):
    """A dataset cannot be read, or a row of it is wrong; `mark` names file and line."""


class StateError(RunnerError):
    """What we remember is damaged, belongs to another project, or was written by a newer version."""


class Conflict(StateError):
    """Nothing was written: what we decided on is not what is recorded any more. As if this command had died here."""


class LockedError(RunnerError):
    exit_code = 6


# No remote's: what cannot be written down must not be done, so these end a command where others stop one job.
OF_OUR_MEMORY = (StateError, LockedError)


class BlockedError(RunnerError):
    exit_code = 5


class NotConfirmed(BlockedError):
    """Something is to be paid for, and nobody said yes."""


class Stale(BlockedError):
    """Other requests would be sent than a person reviewed."""

    def __init__(self, message: str, *, hint: str, details: Sequence[str]) -> None:
        super().__init__(message, hint=hint)
        self.details = tuple(map(printable, details))


class EngineError(RunnerError):
    """An engine of the embedded server is not installed, or its model cannot be loaded."""


class RemoteError(RunnerError):
    """A provider's answer, or the lack of one.

    words: the remote's own (first 256 characters), which the message quotes. is_out_of_time: it was not asked, or not
    heard to the end, since the command's time was over; nothing is wrong.
    """

    def __init__(
        self,
        message: str,
        *,
        status: int | None = None,
        code: str | None = None,
        request_id: str | None = None,
        words: str = "",
        hint: str = "",
        is_out_of_time: bool = False,
    ) -> None:
        super().__init__(message, hint=hint)
        self.is_out_of_time = is_out_of_time
        self.words = words
        self.status = status
        self.code = code
        self.request_id = request_id


class NotSent(RemoteError):
    """Connect, DNS or TLS failure: the request did not reach the remote."""


class Refused(RemoteError):
    """A definite 4xx: the remote understood and did nothing."""


class AuthFailed(Refused):
    """401 or 403."""


class NotBound(AuthFailed):
    """A host that was not asked, because nobody allowed the key to go there; `why` says so in a few words.

    binding: the variable and the host that would have to be bound; None where no binding would do.
    """

    exit_code = BlockedError.exit_code

    def __init__(self, why: str, *, hint: str, binding: tuple[str, str] | None = None) -> None:
        self.why = f"not asked: {why}"
        self.binding = binding
        super().__init__(f"{self.why}; `{self.command}` binds it" if binding else self.why, hint=hint)

    @property
    def command(self) -> str:
        """What binds it."""
        return f"runner keys bind {' '.join(self.binding)}" if self.binding else ""


class NotFound(Refused):
    """404."""


class RateLimited(Refused):
    """429, unless the account is out of money. `retry_after` is in seconds, None where the remote did not say."""

    def __init__(self, message: str, *, retry_after: float | None = None, **more: object) -> None:
        super().__init__(message, **more)  # type: ignore[arg-type]  # forwarded keyword by keyword
        self.retry_after = retry_after


class OutcomeUnknown(RemoteError):
    """The request may or may not have had its effect. Never folded into failure."""


PASSING = (NotSent, OutcomeUnknown, RateLimited)  # what a remote says, or does not, that it may not say the next time
