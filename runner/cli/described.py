"""The JSON Schema of what a command prints, its fields described by the comments that stand beside them in the code."""

from __future__ import annotations

import inspect
import re
from collections.abc import Iterator
from typing import Any

import msgspec

_FIELD = re.compile(r" {4}(\w+): [^#]*(?:#\s*(.*))?")
_COMMENT = re.compile(r" {4}#\s*(.*)")
# Names that say the same wherever they stand, and have no comment there
_USUAL = {
    "address": "of a job, with the cell of its matrix",
    "batch": "its key on record",
    "batches": "batches that are meant, or how many",
    "cells": "what each cell of a matrix came to",
    "changed": "parts of the requests that are not what they were",
    "check": "the name of a check",
    "checks": "what became of each check",
    "command": "the command line, as it was typed",
    "declared_at": "file, line and column of the job in the specs",
    "diffs": "requests as they were asked and as they would be",
    "error": "rows with an error",
    "exit_code": "as docs/exit-codes.md has it",
    "failed": "requests with an error",
    "figure": "the number, with its interval",
    "gates": "expectations, and how they stand",
    "high": "the upper end of the interval",
    "in_flight": "rows that were sent and have no outcome yet",
    "input_tokens": "as the remote counted them",
    "is_empty": "nothing is to be done",
    "is_running": "something is awaited: the same command goes on later",
    "job": "the address of a job",
    "jobs": "each job that the command is about",
    "kind": "what sort of thing it is",
    "leftovers": "batches in flight that no job wants",
    "lines": "what is to be done about it, a line each",
    "low": "the lower end of the interval",
    "losses": "items that the baseline won",
    "model": "as the specs call it",
    "name": "what it is called",
    "needs_decision": "rows that were sent and not answered, and wait for a person",
    "not_sent": "rows that are to be sent",
    "notes": "what is said of all together",
    "ok": "rows with an answer",
    "only_first": "items that only the first side has answered",
    "only_second": "items that only the second side has answered",
    "output": "the results file or folder, from the project root; empty before anything was written",
    "output_tokens": "as the remote counted them",
    "plan": "what was planned before anything was sent",
    "project": "the namespace of the specs",
    "provider": "as the specs call it",
    "remote_id": "what the remote calls the batch",
    "rows": "rows that are meant, or how many",
    "se": "standard error",
    "second": "the other side",
    "shared": "rows that another job asks as well",
    "sides": "how many items each side has answered",
    "sign": "what a plan puts before the line",
    "since": "what it is told against",
    "size_bytes": "of what is meant, in bytes",
    "spent": "dollars, as far as they are known",
    "state": "in a word",
    "summary": "all of it in one line",
    "to_submit": "requests that are to be sent",
    "tokens": "of input, about",
    "unblock": "commands that decide about it",
    "unchanged": "jobs of which nothing is to be said",
    "unknown": "rows of which nobody knows whether the remote has them",
    "usd": "dollars; null where they are not known",
    "value": "the number; null where there is none",
    "verb": "what is to be done, in a word",
    "verdict": "whether it is met",
    "verdicts": "what judges have said so far, as a digest",
    "version": "of this document: raised when a field changes its meaning or goes",
    "wanted": "rows that the job wants",
    "warnings": "what a reader has to know",
    "what": "what it is about",
    "who": "user and machine",
    "why": "the reason, in words",
    "wins": "items that the other side won",
    "written_at": "when the results file was written, UTC",
    "event": "what happened, in a word",
    "after": "what it is now",
}


def described(kind: type) -> dict[str, Any]:
    """The schema of a struct, and of all that it holds."""
    schema = msgspec.json.schema(kind, schema_hook=_anything)
    structs = {one.__name__: one for one in _structs(msgspec.inspect.type_info(kind))}
    for name, block in schema.get("$defs", {}).items():
        told = {**_USUAL, **(comments_of(structs[name]) if name in structs else {})}
        for field, about in block.get("properties", {}).items():
            if field in told:
                about.setdefault("description", told[field])
    return schema


def _anything(kind: type) -> dict[str, Any]:
    """What a person wrote into the specs: msgspec has no schema for `object`."""
    if kind is object:
        return {"description": "any JSON value"}
    raise NotImplementedError


def comments_of(kind: type) -> dict[str, str]:
    """By field of a struct, as JSON calls it, what is said of it in the code: behind it, or in the lines above."""
    found: dict[str, str] = {}
    for one in reversed(kind.__mro__):
        if not issubclass(one, msgspec.Struct) or one is msgspec.Struct:
            continue
        above: list[str] = []
        for line in inspect.getsource(one).splitlines():
            if comment := _COMMENT.fullmatch(line):
                above.append(comment[1])
                continue
            field = _FIELD.match(line)
            if field and (words := field[2] or " ".join(above)):
                found[field[1]] = words
            above = []
    names = dict(zip(kind.__struct_fields__, kind.__struct_encode_fields__, strict=True))  # type: ignore[attr-defined]
    return {names[field]: words for field, words in found.items() if field in names}


def _structs(info: Any, seen: set[type] | None = None) -> Iterator[type]:
    """The structs in a type, each once."""
    seen = set() if seen is None else seen
    if isinstance(info, msgspec.inspect.StructType):
        if info.cls in seen:
            return
        seen.add(info.cls)
        yield info.cls
        for field in info.fields:
            yield from _structs(field.type, seen)
        return
    for part in ("item_type", "key_type", "value_type", "type"):
        if (inner := getattr(info, part, None)) is not None:
            yield from _structs(inner, seen)
    for part in ("types", "item_types"):
        for inner in getattr(info, part, None) or ():
            yield from _structs(inner, seen)
