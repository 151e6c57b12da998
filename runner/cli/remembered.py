"""The memory that a command looks into which takes no specs: that of the environment that is meant."""

from __future__ import annotations

import contextlib
from contextlib import closing
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from runner.cli.main import Settings
    from runner.state.memory import Memory


def remembered(settings: Settings, *, writes: bool = False) -> Memory:
    """Opened. Without `--env` it is that of the default environment of `specs`, where there is one."""
    environment = settings.chosen.environment or _usual(settings)
    return settings.memory(settings.root, writes=writes, environment=environment)


def _usual(settings: Settings) -> str:
    from runner.errors import RunnerError
    from runner.spec.memo import load

    # what cannot be read names no environment: the memory can be looked into all the same
    with contextlib.suppress(RunnerError, OSError), closing(settings.memory(settings.root, writes=False)) as memory:
        return load(("specs",), settings.root, memory.caches / "specs", settings.chosen, keeps=False).environment
    return ""
