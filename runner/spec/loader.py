"""A spec file to nodes with places.

Never `yaml.load`: the C loader ends the process on 60 kB of nested brackets, lets the last of two equal
keys win, and reads `12:30` as 750. The parser's events are walked under caps instead.
"""

from __future__ import annotations

import os
import re
from bisect import bisect_right
from pathlib import Path
from typing import Any

import yaml

from runner.errors import Mark
from runner.spec.composer import Composer, Stop
from runner.spec.files import find_files
from runner.spec.nodes import Mapping
from runner.spec.problems import LINE_BREAK, Problems
from runner.spec.secrets import KEY_HINT, literal_keys
from runner.spec.syntax import explain

__all__ = ["find_files", "parse", "read", "read_text"]

MAX_FILE_BYTES = 5_000_000

# What YAML may not hold, and the line separators that YAML 1.1 and 1.2 count differently.
# The ranges that are wrong, not those that are right: a tenth of the time to compile.
FORBIDDEN = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\u2028\u2029\ud800-\udfff\ufeff\ufffe\uffff]")
_PARSER = getattr(yaml, "CSafeLoader", yaml.SafeLoader)


def read(path: Path, name: str, problems: Problems) -> Mapping | None:
    """The top mapping of the file at `path`, shown to the user as `name`; None if empty or broken."""
    text = read_text(path, name, problems)
    return None if text is None else parse(text, name, problems)


def read_text(path: Path, name: str, problems: Problems, mark: Mark | None = None) -> str | None:
    """The text of a file a user wrote, or None after a problem. Size, encoding and characters are checked.

    mark: the place that names the file, for complaints about the file as a whole.
    """
    whole = mark or Mark(name)
    try:
        with path.open("rb") as file:
            size = os.fstat(file.fileno()).st_size
            raw = file.read(MAX_FILE_BYTES + 1) if size > MAX_FILE_BYTES else file.read()
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) else None
        problems.error(whole, f"cannot read `{name}`: {reason or 'not a usable path'}")
        return None
    if len(raw) > MAX_FILE_BYTES:
        problems.error(whole, f"`{name}` is larger than 5 MB", "split it into several files")
        return None
    text = _decoded(raw, name, problems)
    if text is None:
        return None
    problems.add_text(name, text)
    bad = FORBIDDEN.search(text)
    if bad:
        _refuse_character(text, bad, name, problems)
        return None
    # looked for in the text, not in the values: a key in a comment is as public, and one in a broken file too
    keys = literal_keys(text)
    starts = [0, *(found.end() for found in LINE_BREAK.finditer(text))] if keys else []
    for offset, _ in keys:
        line = bisect_right(starts, offset)
        place = Mark(name, line, offset - starts[line - 1] + 1)
        problems.error(place, "this looks like a literal key", KEY_HINT)
        problems.silence(place)
    return text


def parse(text: str, name: str, problems: Problems, parser: type[Any] = _PARSER) -> Mapping | None:
    """The top mapping of a YAML text; None if it is empty (a warning) or broken (problems)."""
    loader = None
    try:
        loader = parser(text)
        return Composer(name, problems).compose(loader.get_event)
    except Stop:
        return None
    except yaml.YAMLError as error:
        problems.error(*explain(error, text, name))
        return None
    finally:
        if loader is not None:
            loader.dispose()


def _decoded(raw: bytes, name: str, problems: Problems) -> str | None:
    if raw.startswith((b"\xff\xfe", b"\xfe\xff")) or b"\0" in raw[:4]:
        problems.error(Mark(name, 1, 1), "the file is not UTF-8 but UTF-16 or UTF-32", "save it as UTF-8")
        return None
    if raw.startswith(b"\xef\xbb\xbf"):
        problems.warning(Mark(name, 1, 1), "the file starts with a byte order mark, which is ignored")
        raw = raw[3:]
    try:
        return raw.decode("utf-8")
    except UnicodeDecodeError as error:
        before = raw[: error.start].decode("utf-8")
        problems.add_text(name, raw.decode("utf-8", "replace"))
        problems.error(
            _mark_after(before, name), f"byte 0x{raw[error.start]:02x} is not UTF-8", "save the file as UTF-8"
        )
        return None


def _refuse_character(text: str, bad: re.Match[str], name: str, problems: Problems) -> None:
    code = f"U+{ord(bad.group()):04X}"
    problems.error(
        _mark_after(text[: bad.start()], name),
        f"the character {code} is not allowed here",
        "remove it, or write it as an escape such as `\\x07` or `\\u2028` in double quotes",
    )


def _mark_after(before: str, name: str) -> Mark:
    lines = LINE_BREAK.split(before)
    return Mark(name, len(lines), len(lines[-1]) + 1)
