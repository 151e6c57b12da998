"""Which spec files a command line means."""

from __future__ import annotations

import contextlib
import itertools
import os
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

from runner import private
from runner.errors import UsageError, printable

DEFAULT = "specs"  # where nobody says where the specs are
SUFFIXES = (".yaml", ".yml")


_MOST_LOOKED_AT = 1_000  # names behind a link that is not followed

Skipped = Callable[[str, str], None]  # a linked folder, and what is said of it


def find_files(paths: Sequence[str], root: Path, skipped: Skipped = lambda link, words: None) -> list[str]:
    """All spec files below `paths`, sorted, relative to `root`, with `/` between their parts.

    Hidden files and folders are skipped, and so are linked folders that leave the root: `skipped` is told of those
    that hold specs. A file that can be reached in two ways is listed once. Raises UsageError for a path that is
    missing, lies outside the root or is no YAML file, for a linked file that leaves the root, and when there is nothing
    to read at all.
    """
    base = Path(os.path.realpath(root))
    found: dict[str, str] = {}
    links: list[tuple[str, str]] = []
    for path in paths:
        start = base / path
        real = _checked(path, start, base)
        files = _walk(start, base, set(), links) if real.is_dir() else iter([start])
        for file in files:
            name = Path(os.path.normpath(file)).relative_to(base).as_posix()
            target = os.path.realpath(file)
            found[target] = min(name, found.get(target, name))
    if not found:
        shown = ", ".join(f"`{printable(path)}`" for path in paths)
        why = "".join(f"; `{link}` is a link {wrong}" for link, wrong in links[:1])
        hint = "put the specs themselves there" if links else "give the folder that holds the specs"
        raise UsageError(f"no .yaml or .yml files below {shown}{why}", hint=hint)
    for link, wrong in links:
        skipped(link, f"is a link {wrong}: no spec below it is read")
    return sorted(found.values())


def _checked(path: str, start: Path, base: Path) -> Path:
    shown = printable(path)
    if "\0" in path or not os.path.exists(start):  # noqa: PTH110  # never raises: it may be too long
        first = ", and `runner init DIR` begins a new one" if path == DEFAULT else ""
        hint = f"paths start at the project root; `-C DIR` changes it{first}"
        raise UsageError(f"no such file or folder: `{shown}`", hint=hint)
    real = Path(os.path.realpath(start))
    if not real.is_relative_to(base) or not Path(os.path.normpath(start)).is_relative_to(base):
        raise UsageError(
            f"`{shown}` lies outside the project root", hint="give the root with `-C DIR`, and paths below it"
        )
    if not real.is_dir() and (start.suffix not in SUFFIXES or not real.is_file()):
        raise UsageError(f"`{shown}` is not a .yaml or .yml file", hint="give a spec file, or a folder of them")
    return real


def _walk(folder: Path, base: Path, seen: set[str], links: list[tuple[str, str]]) -> Iterator[Path]:
    """Spec files below `folder`; linked folders are followed once, inside the root only: `links` gets the others."""
    real = os.path.realpath(folder)
    # linked folders may lead in a circle
    if real in seen:
        return
    seen.add(real)
    try:
        entries = sorted(os.scandir(folder), key=lambda entry: entry.name)
    except OSError as error:
        raise UsageError(f"cannot read the folder `{folder}`: {error.strerror}") from error
    for entry in entries:
        if entry.name.startswith("."):
            continue
        if entry.is_symlink() and (wrong := _wrong_link(entry.path, base)):
            shown = printable(Path(entry.path).relative_to(base).as_posix())
            if _holds_specs(entry.path):
                links.append((shown, wrong))
            elif entry.name.endswith(SUFFIXES):
                raise UsageError(
                    f"`{shown}` is a link {wrong}, and is not read",
                    hint="put the file itself there, or remove the link",
                )
            continue
        if entry.is_dir():
            yield from _walk(Path(entry.path), base, seen, links)
        elif entry.name.endswith(SUFFIXES) and entry.is_file():
            yield Path(entry.path)


def _wrong_link(path: str, base: Path) -> str:
    """Where a link leads that is not followed; empty where it is."""
    real = os.path.realpath(path)
    if not Path(real).is_relative_to(base):
        return f"that leads out of the project root, to `{printable(real)}`"
    return "into a hidden folder" if private.leads_into_hidden(real, str(base)) else ""


def _holds_specs(link: str) -> bool:
    """Whether a linked folder has spec files in it or in one of its folders, as far as a short look tells."""
    left, folders = _MOST_LOOKED_AT, [(link, True)]
    while folders and left:
        folder, goes_deeper = folders.pop()
        with contextlib.suppress(OSError), os.scandir(folder) as entries:  # no folder, or not ours to look into
            for entry in itertools.islice(entries, left):
                left -= 1
                if entry.name.endswith(SUFFIXES) and entry.is_file():
                    return True
                if goes_deeper and entry.is_dir(follow_symlinks=False):
                    folders.append((entry.path, False))
    return False
