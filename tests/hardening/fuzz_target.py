"""What is fuzzed: something that reads the bytes of a stranger, and what may come of it."""

from __future__ import annotations

import random
import re
from abc import ABC, abstractmethod
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

from runner.errors import RunnerError

_QUOTED = re.compile(r"`([^`]*)`")
_NUMBER = re.compile(r"\b(?:U\+|0x)?[0-9A-Fa-f]*[0-9][0-9A-Fa-f,.]*")
_WORD = re.compile(r"[a-z][a-z_.]{1,24}")


class Wrong(Exception):
    """An ending that may not be; the message says what is wrong with it."""


class Ending(NamedTuple):
    """How one input ended: the name of a typed error or of what was read, and what was said about it."""

    kind: str
    messages: tuple[str, ...] = ()


class Target(ABC):
    """One reader. Files of its own it makes below `root`, a folder that is empty and goes away."""

    name: str
    memory_bytes = 256 << 20  # more may a process never take
    tokens: tuple[bytes, ...] = ()  # that mean something to the reader

    def __init__(self, root: Path) -> None:
        self.root = root

    @abstractmethod
    def seeds(self) -> list[bytes]:
        """Sound inputs, and known unsound ones."""

    fresh: Callable[[random.Random], bytes] | None = None  # makes an input from a grammar

    @abstractmethod
    def run(self, data: bytes) -> Ending:
        """Read it. Whatever is raised here, nobody foresaw; Wrong, too."""


def skeleton(message: str) -> str:
    """A message without what it quotes and counts: the same for all inputs that have the same thing wrong."""
    bare = _QUOTED.sub(lambda found: found[0] if _WORD.fullmatch(found[1]) else "`…`", message)
    return _NUMBER.sub("#", bare)[:160]


def raised_by(error: RunnerError) -> Ending:
    """A typed error as an ending. Raises Wrong where it does not say what is wrong."""
    if not error.message.strip():
        raise Wrong("no words")
    return Ending(type(error).__name__, (error.message,))
