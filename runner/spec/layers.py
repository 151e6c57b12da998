"""Spec files as they are meant by one command: the environment over them, vars filled in, defaults below each job.

All of it happens before anything is checked, so that what is checked is what is meant, in its own places.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import msgspec

from runner.errors import Mark
from runner.spec.chosen import Chosen
from runner.spec.defaults import with_defaults
from runner.spec.environments import Environment, check_outputs, chosen_in, environments_in, overlaid
from runner.spec.fill import Filling, is_worth_a_look
from runner.spec.nodes import Mapping as MappingNode
from runner.spec.problems import Problems
from runner.spec.variables import vars_of


class Layers(msgspec.Struct, frozen=True):
    """The files, and what they were read by."""

    tops: Sequence[MappingNode]
    filling: Filling
    vars: Mapping[str, str]  # the value of each, as text
    environments: tuple[str, ...] = ()  # that there are
    environment: str = ""  # the chosen one; empty for the specs as they stand
    own_outputs: frozenset[Mark] = frozenset()  # where the environment names an output for itself
    pool: tuple[str, ...] = ()  # the other environments whose answers count
    needs_environment: bool = False  # some var has a value in environments alone, and none is chosen


def layered(tops: Sequence[MappingNode], chosen: Chosen, problems: Problems) -> Layers:
    """What is wrong with any layer is told."""
    found = environments_in(tops, problems)
    check_outputs(tops, found, problems)
    one = chosen_in(found, chosen.environment, problems)
    name = one.name if one else ""
    if one is not None:
        tops = overlaid(tops, one, problems)
    givers = _givers(found, one, chosen)
    values = vars_of(tops, name, one.values() if one else {}, givers, chosen, problems)
    filling = Filling(values, name, problems)
    tops = [filling.file(top) if is_worth_a_look(problems.text_of(top.file)) or one else top for top in tops]
    return Layers(
        with_defaults(tops, problems),
        filling,
        {name: value.text for name, value in sorted(values.values.items())},
        tuple(sorted(found)),
        name,
        one.outputs() if one else frozenset(),
        _pool(found, one),
        bool(givers and givers.keys() & (values.declared.keys() - values.values.keys())),
    )


def _givers(found: dict[str, Environment], one: Environment | None, chosen: Chosen) -> dict[str, list[str]] | None:
    """By var, the environments that would give it a value; None where one is meant that there is not."""
    if one is not None:
        return {}
    givers: dict[str, list[str]] = {}
    for other in found.values():
        for var in other.values():
            givers.setdefault(var, []).append(other.name)
    return None if chosen.environment else givers


def _pool(found: dict[str, Environment], one: Environment | None) -> tuple[str, ...]:
    """Answers of one environment stand for another's where both say so."""
    if one is None or not one.shares:
        return ()
    return tuple(sorted(other.name for other in found.values() if other.shares and other is not one))
