"""The memory that a command looks into which takes no specs: that of the environment that is meant."""

from __future__ import annotations

import contextlib
from contextlib import closing
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from runner.cli.main import Settings
    from runner.state.memory import Memory


def remembered(settings: Settings, *, writes: bool = False) -> Memory:
    """Opened. Without `--env` it is that of the default environment of `specs`, where there is one.

    Raises SpecError, UsageError for an environment that there is not and never was.
    """
    return settings.memory(settings.root, writes=writes, environment=environment_meant(settings))


def environment_meant(settings: Settings) -> str:
    """The environment whose memory it is. Raises as `remembered`."""
    environment = settings.chosen.environment
    if not environment:
        environment = _usual(settings)
    elif not _was_there(settings, environment):
        _must_be_declared(settings, environment)
    return environment


def _usual(settings: Settings) -> str:
    from runner.errors import RunnerError

    # what cannot be read names no environment: the memory can be looked into all the same
    with contextlib.suppress(RunnerError, OSError):
        return _environment_of(settings)
    return ""


def _was_there(settings: Settings, environment: str) -> bool:
    """Whether something was kept of it: it may be gone from the specs since."""
    with closing(settings.memory(settings.root, writes=False, environment=environment)) as memory:
        return memory.folder.is_dir()


def _must_be_declared(settings: Settings, environment: str) -> None:
    from runner.errors import UsageError

    try:
        _environment_of(settings)
    except UsageError as error:  # its specs lie elsewhere
        raise UsageError(f"nothing is recorded of an environment `{environment}`", hint=error.message) from error


def _environment_of(settings: Settings) -> str:
    from runner.spec.memo import load

    with closing(settings.memory(settings.root, writes=False)) as memory:
        return load(("specs",), settings.root, memory.caches / "specs", settings.chosen, keeps=False).environment
