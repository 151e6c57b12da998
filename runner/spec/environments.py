"""`environments:` of the specs: which there are, which one is chosen, and what the specs are in it."""

from __future__ import annotations

import posixpath
import re
from collections.abc import Mapping as MappingType
from collections.abc import Sequence

import msgspec

from runner.errors import Mark
from runner.job.address import ENVIRONMENT
from runner.spec.declared import SECTIONS
from runner.spec.merge import is_empty, merged, with_entries
from runner.spec.nodes import Mapping, Node, Scalar, kind_of
from runner.spec.problems import Problems
from runner.spec.sections import entries_of
from runner.spec.violations import near_or_all

_SINGLE = ("budget", "repay_usd", "retention", "defaults")  # said once among all files
_FLAGS = ("default", "share")
_FIELDS = [*SECTIONS, *_SINGLE, "vars", *_FLAGS, "description"]

# What an entry needs to be one of its own: without it, an environment can only mean one that is there.
_WHOLE = {
    "models": ({"provider", "name"},),
    "datasets": ({"files"}, {"from"}, {"pairs"}),
    "prompts": ({"user"}, {"messages"}, {"file"}),
    "jobs": ({"output"},),
}


class Environment(msgspec.Struct):
    """What the specs say of one, in one file or in several."""

    name: str
    key: Scalar
    parts: list[tuple[int, Mapping]] = msgspec.field(default_factory=list)  # each with the number of its file
    is_default: bool = False
    shares: bool = False

    def values(self) -> dict[str, tuple[Scalar, Node]]:
        """What it gives vars."""
        found: dict[str, tuple[Scalar, Node]] = {}
        for _, part in self.parts:
            node = part.get("vars")
            if isinstance(node, Mapping):
                found |= node.entries
        return found

    def outputs(self) -> frozenset[Mark]:
        """Where it names the outputs of jobs: these are its own already."""
        jobs = [part.get("jobs") for _, part in self.parts]
        entries = [node for section in jobs if isinstance(section, Mapping) for _, node in section.entries.values()]
        named = [node.get("output") for node in entries if isinstance(node, Mapping)]
        return frozenset(node.mark for node in named if node is not None)


def environments_in(tops: Sequence[Mapping], problems: Problems) -> dict[str, Environment]:
    """By name. What is wrong with any of them is told, whichever is chosen."""
    found: dict[str, Environment] = {}
    for number, top in enumerate(tops):
        hint = "write a name for each, such as `environments: {dev: {...}, prod: {...}}`"
        for name, (key, value) in entries_of("environments", top, hint, problems).items():
            _note(found, name, key, value, number, problems)
    defaults = [one for one in found.values() if one.is_default]
    for one in defaults[1:]:
        words = f"environment `{one.name}` and `{defaults[0].name}` are both `default: true`"
        problems.error(one.key.mark, words, "keep one of the two")
    return found


def _note(found: dict[str, Environment], name: str, key: Scalar, value: Node, number: int, problems: Problems) -> None:
    if not ENVIRONMENT.match(name):
        words = f"the name of environment `{name[:60]}` must be up to 30 letters, digits, `-` and `_`"
        problems.error(key.mark, words, "rename it: it is the name of a folder, and stands in names at the remotes")
        return
    # folders on a Mac or Windows do not differ by case
    same = next((one for one in found.values() if one.name.casefold() == name.casefold() and one.name != name), None)
    if same is not None:
        words = f"environment `{name}` and `{same.name}` at {same.key.mark} differ only in case"
        problems.error(key.mark, words, "rename one of the two")
        return
    one = found.setdefault(name, Environment(name, key))
    if is_empty(value):
        return
    if not isinstance(value, Mapping):
        hint = "write below it what differs, such as `models: {llama: {provider: embedded, name: echo}}`"
        problems.error(value.mark, f"environment `{name}` must be a mapping, not {kind_of(value)}", hint)
        return
    _check_fields(one, value, problems)
    one.parts.append((number, value))


def _check_fields(one: Environment, part: Mapping, problems: Problems) -> None:
    for name, (key, node) in part.entries.items():
        if name not in _FIELDS:
            hint = near_or_all(name, _FIELDS, problems)
            problems.error(key.mark, f"unknown field `{name[:60]}` in environment `{one.name}`", hint)
        elif name in _FLAGS:
            if not isinstance(node, Scalar) or not isinstance(node.value, bool):
                words = f"`{name}` of environment `{one.name}` must be `true` or `false`, not {kind_of(node)}"
                problems.error(node.mark, words)
            elif name == "default":
                one.is_default |= node.value
            else:
                one.shares |= node.value
        elif (name in SECTIONS or name in ("vars", "defaults")) and not isinstance(node, Mapping):
            if not is_empty(node):
                words = f"`{name}` of environment `{one.name}` must be a mapping, not {kind_of(node)}"
                problems.error(node.mark, words, "write below it the name of each that differs")
        else:
            _check_once(one, name, key, node, problems)


def _check_once(one: Environment, name: str, key: Scalar, node: Node, problems: Problems) -> None:
    """An environment may be told of in several files, but nothing of it twice."""
    for _, part in one.parts:
        if name not in part.entries:
            continue
        there, section = part.entries[name]
        if name in _SINGLE:
            words = f"`{name}` of environment `{one.name}` is already set at {there.mark}"
            problems.error(key.mark, words, "keep one of the two")
        elif isinstance(node, Mapping) and isinstance(section, Mapping):
            for inner in node.entries.keys() & section.entries.keys():
                words = f"`{name}.{inner[:60]}` of environment `{one.name}` is already set at {section.key(inner).mark}"
                problems.error(node.key(inner).mark, words, "keep one of the two")


def chosen_in(found: MappingType[str, Environment], name: str, problems: Problems) -> Environment | None:
    """The one that is chosen, or that stands where none is; None for the specs as they stand."""
    if not name:
        return next((one for one in found.values() if one.is_default), None)
    if name in found:
        return found[name]
    near = problems.nearest(name, found)
    listed = ", ".join(f"`{one}`" for one in sorted(found))
    hint = f"did you mean `{near}`? There are {listed}" if near else f"there are {listed}"
    if not found:
        hint = "declare it in the specs under `environments`, or leave out `--env` and `RUNNER_ENV`"
    problems.error(Mark(""), f"there is no environment `{name[:60]}`", hint)
    return None


def check_outputs(tops: Sequence[Mapping], found: MappingType[str, Environment], problems: Problems) -> None:
    """No two environments name the same output for themselves, nor the one that is written without any.

    An output that the default environment names may be that one: then nothing is ever applied without an environment.
    """
    named: dict[tuple[str, str], tuple[str, Mark]] = {}
    if not any(one.is_default for one in found.values()):
        usual = next((output for top in tops if (output := _output_in(top.get("defaults"))) is not None), None)
        for top in tops:
            for job, node in _entries(top.get("jobs")):
                if (output := _output_in(node) or usual) is not None:
                    named.setdefault(_file_of(job, output), ("the specs without an environment", output.mark))
    for one in found.values():
        for _, part in one.parts:
            for job, node in _entries(part.get("jobs")):
                output = _output_in(node)
                if output is None or _ENV.search(output.source):
                    continue
                whose, mark = named.setdefault(
                    _file_of(job, output), (f"those of environment `{one.name}`", output.mark)
                )
                if mark != output.mark:
                    words = f"environment `{one.name}` writes `{output.source[:120]}`, and so do {whose} at {mark}"
                    hint = "give it another name; or leave it out: outputs lie in a folder of the environment anyway"
                    problems.error(output.mark, words, hint)


_ENV = re.compile(r"\{\{\s*env\s*\}\}")


def _file_of(job: str, output: Scalar) -> tuple[str, str]:
    """What tells one output from another before it is filled in; a template is another one for each job."""
    return (job if "{{" in output.source else "", posixpath.normpath(output.source))


def _entries(node: Node | None) -> list[tuple[str, Node]]:
    return [(name, value) for name, (_, value) in node.entries.items()] if isinstance(node, Mapping) else []


def _output_in(node: Node | None) -> Scalar | None:
    output = node.get("output") if isinstance(node, Mapping) else None
    return output if isinstance(output, Scalar) and isinstance(output.value, str) else None


# --- what the specs are in it -------------------------------------------------------------------------------------


def overlaid(tops: Sequence[Mapping], one: Environment, problems: Problems) -> list[Mapping]:
    """The files of the specs, with what the environment says over them."""
    found = list(tops)
    for number, part in one.parts:
        for name in _SINGLE:
            if name in part.entries:
                _put(found, number, (name,), part.entries[name])
        for section in SECTIONS:
            node = part.get(section)
            for name, (key, value) in node.entries.items() if isinstance(node, Mapping) else ():
                if _is_meant(found, section, name, key, value, one, problems):
                    _put(found, number, (section, name), (key, value))
    return found


def _put(tops: list[Mapping], number: int, path: tuple[str, ...], entry: tuple[Scalar, Node]) -> None:
    """Merge what an environment says at a path into the file that has something there, else add it to its own file."""
    at = next((other for other, top in enumerate(tops) if _at(top, path) is not None), number)
    tops[at] = _over(tops[at], path, entry)


def _at(top: Mapping, path: tuple[str, ...]) -> Node | None:
    node: Node | None = top
    for name in path:
        node = node.get(name) if isinstance(node, Mapping) else None
    return node


def _over(base: Mapping, path: tuple[str, ...], entry: tuple[Scalar, Node]) -> Mapping:
    name, entries = path[0], dict(base.entries)
    key, there = entries.get(name, (entry[0], None))
    if len(path) > 1:
        inner = there if isinstance(there, Mapping) else Mapping(key.file, key.line, key.column)
        entries[name] = (key, _over(inner, path[1:], entry))
    elif there is None:
        entries[name] = entry
    elif is_empty(entry[1]):
        del entries[name]
    else:
        entries[name] = (key if isinstance(there, Mapping) else entry[0], merged(_long(there, entry[1]), entry[1]))
    return with_entries(base, entries)


def _long(base: Node, over: Node) -> Node:
    """A prompt that is one text, as the mapping that it is short for."""
    if isinstance(base, Scalar) and isinstance(over, Mapping) and not is_empty(base):
        key = Scalar(base.file, base.line, base.column, "user", "user")
        return Mapping(base.file, base.line, base.column, {"user": (key, base)})
    return base


def _is_meant(
    tops: Sequence[Mapping], section: str, name: str, key: Scalar, value: Node, one: Environment, problems: Problems
) -> bool:
    """Whether there is something to change, or enough for one more: else the name is mistyped, most likely."""
    if any(_at(top, (section, name)) is not None for top in tops):
        return True
    noun = SECTIONS[section].noun
    has = set(value.entries) if isinstance(value, Mapping) else {"user"} if section == "prompts" else set()
    if section == "providers" or any(needed <= has for needed in _WHOLE[section]):
        return True
    known = {inner for top in tops if isinstance(found := top.get(section), Mapping) for inner in found.entries}
    near = problems.nearest(name, known)
    needs = " or ".join(" and ".join(f"`{field}`" for field in sorted(needed)) for needed in _WHOLE[section][:3])
    hint = f"did you mean `{near}`?" if near else f"a {noun} of its own needs {needs}"
    words = f"environment `{one.name}` changes {noun} `{name[:60]}`, and the specs have none of that name"
    problems.error(key.mark, words, hint)
    return False
