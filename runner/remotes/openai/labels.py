"""What we write on a batch so that it can be found again, within what the remote keeps.

Most remotes keep a map of short strings. Where only one field is known to survive, the label is packed into it:
`s=<set>;a=1;p=<project>`, most telling part first, and what does not fit is left out. Such a batch is also known by
the file it was made from, whose name carries the same fingerprint.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from msgspec.structs import replace

from runner.job.observed import Observed
from runner.remotes import naming
from runner.remotes.openai.profiles import Metadata
from runner.remotes.vendor import Submission

_SHORT = {
    "runner_set": "s",
    "runner_attempt": "a",
    "runner_project": "p",
    "runner_rows": "r",
    "runner_generation": "g",
    "runner_parent": "u",
    "runner_job": "j",
}
_SUFFIX = ".jsonl"
_LONG = {short: key for key, short in _SHORT.items()}


def metadata_of(label: Mapping[str, str], rule: Metadata) -> dict[str, str]:
    """The `metadata` to send; empty where the remote keeps none. Never over the remote's limits."""
    if not rule.supported or not label:
        return {}
    if rule.key_field:
        return {rule.key_field: _packed(label, rule.value_len)}
    fitting = [(key, value) for key, value in label.items() if len(key) <= rule.key_len]
    return {key: value[: rule.value_len] for key, value in fitting[: rule.max_keys]}


def label_in(metadata: Any, rule: Metadata) -> dict[str, str]:
    """The label a batch shows; whatever else it carries under `metadata` too, as text."""
    if not isinstance(metadata, Mapping):
        return {}
    found = {str(key): value for key, value in metadata.items() if isinstance(value, str)}
    if rule.key_field in found:
        return {**found, **_unpacked(found[rule.key_field])}
    return found


def is_of(submission: Submission, upload_ref: str, seen: Observed) -> bool:
    """Whether a batch came of this submission: by the label it shows, or by the file it was made from.

    Either is enough: gateways write labels of their own over ours.
    """
    if upload_ref and seen.input_ref == upload_ref:
        return True
    marks = ("runner_project", "runner_set", "runner_attempt")
    return all(seen.label.get(mark) == submission.label.get(mark) for mark in marks)


def named(seen: Observed, filename: str) -> Observed:
    """A batch without a label of ours, with what the name of its input file says instead."""
    label = {**seen.label, "runner_file": filename}
    if mark := mark_of(filename):
        label |= {"runner_set": mark.request_set, "runner_attempt": mark.attempt}
    return replace(seen, label=label)


def is_of_project(project: str, seen: Observed) -> bool:
    """Whether a batch is of a project: by its label, else by the name of its input file."""
    if "runner_project" in seen.label:
        return seen.label["runner_project"] == project
    mark = mark_of(seen.label.get("runner_file", ""))
    return mark is not None and mark.is_of(project)


def filename_of(submission: Submission) -> str:
    return f"{submission.name}{_SUFFIX}"


def mark_of(filename: str) -> naming.OurName | None:
    """What the name of an input file of ours says."""
    return naming.read(filename.removesuffix(_SUFFIX)) if filename.endswith(_SUFFIX) else None


def _packed(label: Mapping[str, str], room: int) -> str:
    packed = ""
    for key, short in _SHORT.items():
        part = f"{short}={label.get(key, '')}"
        grown = f"{packed};{part}" if packed else part
        if label.get(key) and ";" not in part and len(grown) <= room:
            packed = grown
    return packed


def _unpacked(text: str) -> dict[str, str]:
    parts = (part.partition("=") for part in text.split(";"))
    return {_LONG[short]: value for short, sign, value in parts if sign and short in _LONG}
