"""No setting is accepted that nothing reads: every field of a profile, and every field of a spec, is used somewhere."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import get_args

import msgspec
import pytest

import runner
from runner.fields import Fields
from runner.remotes.embedded.declared import DECLARED as EMBEDDED
from runner.remotes.fireworks import profile as fireworks
from runner.remotes.fireworks.declared import DECLARED as FIREWORKS
from runner.remotes.fireworks_audio import profile as audio
from runner.remotes.fireworks_audio.declared import DECLARED as AUDIO
from runner.remotes.openai import profiles as openai
from runner.remotes.openai.declared import DECLARED as OPENAI
from runner.spec.specfile import SpecFile

PROFILES: tuple[type[msgspec.Struct], ...] = (openai.Profile, fireworks.Profile, audio.Profile)
ROOT = Path(str(runner.__file__)).parent


@cache
def read() -> frozenset[str]:
    """Names of attributes that are read somewhere, and words by which fields are fetched from a mapping.

    Where a record is made of another word for word (`Job(tags=spec.tags)`), that alone is no use of it: only what is
    read outside of such a hand-over counts.
    """
    names: set[str] = set()
    for file in ROOT.rglob("*.py"):
        tree = ast.parse(file.read_text())
        handed = {
            id(keyword.value)
            for node in ast.walk(tree)
            if isinstance(node, ast.Call)
            for keyword in node.keywords
            if isinstance(keyword.value, ast.Attribute) and keyword.value.attr == keyword.arg
        }
        for node in ast.walk(tree):
            if isinstance(node, ast.Attribute) and isinstance(node.ctx, ast.Load) and id(node) not in handed:
                names.add(node.attr)
    return frozenset(names)


def structs(kind: type[msgspec.Struct]) -> Iterator[tuple[str, str]]:
    """(class, field) of a profile and of everything in it."""
    for field in msgspec.structs.fields(kind):
        yield kind.__name__, field.name
        for inner in (field.type, *get_args(field.type)):
            if isinstance(inner, type) and issubclass(inner, msgspec.Struct):
                yield from structs(inner)


def models(kind: type[Fields], seen: set[type] | None = None) -> Iterator[tuple[str, str]]:
    """(class, field) of what specs may say, and of everything in it."""
    seen = set() if seen is None else seen
    if kind in seen:
        return
    seen.add(kind)
    for name, field in kind.model_fields.items():
        yield kind.__name__, name
        for inner in _types_in(field.annotation):
            if isinstance(inner, type) and issubclass(inner, Fields):
                yield from models(inner, seen)


def _types_in(annotation: object) -> Iterator[object]:
    yield annotation
    for inner in get_args(annotation):
        yield from _types_in(inner)


@pytest.mark.parametrize("profile", PROFILES, ids=lambda profile: str(profile.__module__))
def test_every_field_of_a_profile_is_read(profile: type[msgspec.Struct]) -> None:
    assert not [one for one in structs(profile) if one[1] not in read()]


def test_every_field_of_a_spec_is_read() -> None:
    assert not [one for one in models(SpecFile) if one[1].rstrip("_") not in read() and one[1] not in read()]


NOT_WRITTEN = {  # who it is, where its keys go, and what nobody may say of himself
    "Profile": {"name", "base_url", "hosts", "base_url_env", "headers_env", "is_free", "tiers"},
    "Auth": {"env"},
}


@pytest.mark.parametrize(
    ("declared", "profile"), [(OPENAI, openai.Profile), (FIREWORKS, fireworks.Profile), (AUDIO, audio.Profile)]
)
def test_every_field_of_a_profile_is_written_or_said_not_to_be(declared: object, profile: type[msgspec.Struct]) -> None:
    overrides = getattr(declared, "overrides").model  # noqa: B009
    written = {name for _, name in models(overrides)}
    assert not [
        (kind, name) for kind, name in structs(profile) if name not in written and name not in NOT_WRITTEN.get(kind, ())
    ]


@pytest.mark.parametrize(
    ("declared", "profile"), [(OPENAI, openai.Profile), (FIREWORKS, fireworks.Profile), (AUDIO, audio.Profile)]
)
def test_every_override_is_a_field_of_the_profile(declared: object, profile: type[msgspec.Struct]) -> None:
    overrides = getattr(declared, "overrides").model  # noqa: B009  # of any vendor's record
    known = {name for _, name in structs(profile)}
    assert {name.rstrip("_") for _, name in models(overrides)} <= known
    assert EMBEDDED.overrides is None


def test_a_field_that_nobody_reads_is_found() -> None:
    class Odd(msgspec.Struct):
        nobody_reads_this_one: int = 0

    assert [one for one in structs(Odd) if one[1] not in read()] == [("Odd", "nobody_reads_this_one")]
