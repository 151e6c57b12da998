"""Files whose text specs send: prompts, and schemas of answers. None of them may be one that holds secrets."""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path

import msgspec

from runner import private
from runner.errors import Mark
from runner.spec.paths import is_below
from runner.spec.problems import Problems
from runner.spec.violations import Subject


class SentFile(msgspec.Struct, frozen=True):
    """A file that an entry names. noun: what it is to be, such as `prompt`."""

    subject: Subject
    file: str
    mark: Mark
    noun: str = "prompt"


def that_may_not(files: Iterable[SentFile], root: Path, problems: Problems) -> set[SentFile]:
    """Those of some files that are never sent, after a problem of each. git is asked once about all of them."""
    files = [one for one in files if is_below(root, one.file)]
    there = {one.file for one in files if os.path.isfile(root / one.file)}  # noqa: PTH113  # never raises
    ignored = private.ignored(there, root)
    return {one for one in files if not _may_be_sent(one, root, one.file in ignored, problems)}


def _may_be_sent(one: SentFile, root: Path, is_ignored: bool, problems: Problems) -> bool:
    file, shown, noun = one.file, one.file[:120], one.noun
    what = f"`{shown}`, the {'file' if noun == 'prompt' else noun} of {one.subject}"
    real = os.path.realpath(root / file)
    if private.is_hidden(file) or private.leads_into_hidden(real, os.path.realpath(root)):
        words = f"{what}, is hidden, or lies in a hidden folder: it is never sent"
        problems.error(one.mark, words, "copy it to a folder whose name does not begin with a dot")
    elif is_ignored:
        words = f"{what}, is one that git ignores: it is never sent"
        problems.error(one.mark, words, f"if it is a {noun}, run `git add -f {shown}`")
    elif any(map(private.is_secret_by_name, (file, real))) and not private.is_tracked(file, root):
        words = f"{what}, has the name of a file of secrets, and git does not track it"
        problems.error(one.mark, words, f"if it is a {noun}, give it another name, or `git add` it")
    else:
        return True
    return False
