"""A folder that `datasets` loads and the Hugging Face Hub shows: a table for each job, and a card that names them."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

import yaml

from runner.apply.evidence import Evidence
from runner.apply.export import Exported, refuse_others, with_results, write
from runner.apply.lockfile import flow
from runner.errors import UsageError
from runner.files import whole
from runner.job.project import AnyJob, Project
from runner.reports import card
from runner.reports.card import Config
from runner.results.parquet import pyarrow_of

CARD = "README.md"
_DATA = "data"


def export_folder(project: Project, specs: Sequence[AnyJob], folder: Path) -> Exported:
    """Write the folder; each file appears whole or not at all, the card last.

    A card that somebody wrote into stays, if it still names just these files. Raises UsageError, before anything is
    written, where a file is in the way that is none of ours; else as `export` does.
    """
    pyarrow_of()
    there, notes = with_results(project, specs)
    taken: set[str] = set()
    configs = [_config(one, taken) for one in there]
    keeps_card = _check(project, folder, configs)
    done = []
    for one, config in zip(there, configs, strict=True):
        written = write(project, [one], folder / config.path)
        notes += written.notes
        done.append(config._replace(rows=written.rows, ok=written.ok))
    if keeps_card:
        notes.append(f"{CARD} was edited, and stays as it is")
    else:
        with whole(folder / CARD, keeps_equal=True) as out:
            out.write(card.page(project.shown, flow(project.shown), done).encode())
    notes += [f"{path} is of an earlier export, and the card does not name it" for path in _left(folder, configs)]
    return Exported(len(there), sum(one.rows for one in done), notes)


def _config(one: Evidence, taken: set[str]) -> Config:
    name = card.named(one.spec.address, taken)
    return Config(name, f"{_DATA}/{name}.parquet", one.spec.address, 0, 0, one.checks)


def _check(project: Project, folder: Path, configs: Sequence[Config]) -> bool:
    """Raise UsageError where something is in the way; whether the card that is there has to stay."""
    for place in (folder, folder / _DATA):
        if os.path.lexists(place) and (not place.is_dir() or (place.is_symlink() and place != folder)):
            raise UsageError(f"`{place}` is there already, and is no folder", hint="name another one")
    for config in configs:
        refuse_others(project, folder / config.path)
    path = folder / CARD
    if not os.path.lexists(path):
        return False
    try:
        text = "" if path.is_symlink() else path.read_text(encoding="utf-8")
    except (OSError, ValueError):
        text = ""
    if card.is_as_written(text):
        return False
    if _configs_in(text) == _configs_in(card.head("x", configs)):
        return True
    raise UsageError(
        f"`{path}` is there already, and is not as runner wrote it",
        hint="move it away, or name another folder; a card that names the same files may say what it likes",
    )


def _configs_in(text: str) -> object:
    """What a card names; None where it cannot be read."""
    try:
        found = yaml.safe_load(card.head_of(text))
    except (yaml.YAMLError, ValueError, RecursionError):
        return None
    return found.get("configs") if isinstance(found, dict) else None


def _left(folder: Path, configs: Sequence[Config]) -> list[str]:
    named = {config.path for config in configs}
    return sorted(path for one in (folder / _DATA).glob("*.parquet") if (path := f"{_DATA}/{one.name}") not in named)
