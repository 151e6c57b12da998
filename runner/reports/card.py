"""The card of a folder of tables, as the Hugging Face Hub and `datasets` read it.

What is loaded stands in its YAML head under `configs`: a name, and the files of each split by their paths.
Source: huggingface.co/docs/hub/datasets-manual-configuration, and `MetadataConfigs` of datasets 5.2.0 (2026-11-30): a
path is a glob, the name of a split has no dash, the name of a config none of `<>:/\\|?*`.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Sequence
from typing import NamedTuple

from runner.reports.markdown import code, table, text

_WHAT = (
    "Requests, answers and scores of batch inference, written by `runner export`: a config for each job, a row for each"
    " row that was asked."
)
_HOW = """\
```python
from datasets import load_dataset

load_dataset("PATH OR NAME OF THIS FOLDER", "{name}", split="{split}")
```"""
_COLUMNS = (
    "`row` holds the columns of the input as JSON; `digest` is the SHA-256 of the request; `NAME` is the score of a"
    " check, and `NAME_status` what became of the row: right, wrong, partly, measured, unreadable, unanswered,"
    " no_reference or skipped."
)
SPLIT = "train"  # as `datasets` calls what has no parts
_HEAD = re.compile(r"---\n(.*?\n)---\n", re.DOTALL)
_SIGNED = re.compile(r"<!-- runner export ([0-9a-f]{64}) -->\n\Z")


class Config(NamedTuple):
    """One table of the folder."""

    name: str
    path: str  # within the folder
    job: str
    rows: int
    ok: int
    checks: Sequence[str]


def named(address: str, taken: set[str]) -> str:
    """The name of a config, and of its file: of characters that neither a glob nor any file system takes otherwise.

    taken: names that others have, in lower case; it is added to them.
    """
    plain = re.sub(r"[^A-Za-z0-9._=,-]", "-", address.replace(":", ".")).lstrip(".") or "job"
    if len(plain) > 150:
        plain = f"{plain[:130]}-{hashlib.sha256(address.encode()).hexdigest()[:12]}"
    name, number = plain, 1
    while name.lower() in taken:
        number += 1
        name = f"{plain}-{number}"
    taken.add(name.lower())
    return name


def head(title: str, configs: Sequence[Config]) -> str:
    """The YAML. title: as YAML writes it; names and paths need no more than quotes."""
    lines = ["---", f"pretty_name: {title}", "configs:"]
    for one in configs:
        lines += [f'- config_name: "{one.name}"', "  data_files:", f"  - split: {SPLIT}", f'    path: "{one.path}"']
    return "\n".join([*lines, "---", ""])


def page(project: str, title: str, configs: Sequence[Config]) -> str:
    """The whole card, signed, so that what somebody wrote into it is never written over."""
    listed = [
        [code(one.name), code(one.job), f"{one.rows:,}", f"{one.ok:,}", ", ".join(map(code, one.checks)) or "–"]
        for one in configs
    ]
    body = [f"# {text(project)}", _WHAT, table(["config", "job", "rows", "answered", "checks"], listed)]
    body += [_HOW.format(name=configs[0].name, split=SPLIT), _COLUMNS]
    return signed("\n\n".join([head(title, configs), *body, ""]))


def signed(card: str) -> str:
    return f"{card}<!-- runner export {hashlib.sha256(card.encode()).hexdigest()} -->\n"


def is_as_written(card: str) -> bool:
    """Whether a card is one of ours, and nobody wrote into it."""
    found = _SIGNED.search(card)
    return found is not None and signed(card[: found.start()]) == card


def head_of(card: str) -> str:
    """The YAML of any card; empty where there is none."""
    found = _HEAD.match(card)
    return found[1] if found else ""
