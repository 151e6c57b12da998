"""What all spec files declare, as one namespace: each entry checked for itself, names not yet resolved."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING, Any

import msgspec
from pydantic import BaseModel, ConfigDict, TypeAdapter, ValidationError

from runner.errors import Mark
from runner.fields import MAX_NAME_CHARS, Fields, name_rule
from runner.job.address import NAME
from runner.job.project import Place, Retention
from runner.spec.model import (
    DatasetSpec,
    JobSpec,
    ModelSpec,
    Prompt,
    PromptSpec,
    Provider,
    ProviderSpec,
    TopFields,
)
from runner.spec.nodes import Mapping, Node, Scalar, Sequence, data_of, scalars_of
from runner.spec.problems import Problems
from runner.spec.secrets import KEY_HINT, is_api_key_name, is_secret, literal_keys, may_name_secrets
from runner.spec.sections import entries_of
from runner.spec.violations import Subject, as_meant, report

if TYPE_CHECKING:
    from runner.spec.layers import Layers


class _Section(msgspec.Struct, frozen=True):
    noun: str
    model: type[BaseModel]
    checks: TypeAdapter[Any]


# Each entry is checked for itself, and one with a problem stays declared without its values: then whoever refers to it
# neither hears that there is no such name nor is judged by half of what it says.
SECTIONS = {
    "models": _Section("model", ModelSpec, TypeAdapter(ModelSpec)),
    "datasets": _Section("dataset", DatasetSpec, TypeAdapter(DatasetSpec)),
    "prompts": _Section("prompt", PromptSpec, TypeAdapter(Prompt)),
    "jobs": _Section("job", JobSpec, TypeAdapter(JobSpec)),
    "providers": _Section("provider", ProviderSpec, TypeAdapter(Provider)),
}
LAYERS = ("vars", "environments", "defaults")  # read before, and by others
_TEMPLATE = re.compile(r"\{\{.*?\}\}", re.DOTALL)
BRACES = re.compile(r"\{[{%#]")  # of a text that is always a template
_ONCE = ("project", "budget", "repay_usd", "retention")


class Entry(msgspec.Struct, frozen=True):
    """One declared name. `spec` is None when its fields are wrong: it exists, but cannot be used."""

    section: str
    name: str
    key: Scalar
    node: Node
    spec: Any = None

    @property
    def subject(self) -> Subject:
        return Subject(SECTIONS[self.section].noun, self.name)

    def checked(self) -> Entry:
        """The same with its `spec`. Raises ValidationError."""
        return msgspec.structs.replace(self, spec=SECTIONS[self.section].checks.validate_python(data_of(self.node)))

    def key_mark(self, field_name: str) -> Mark:
        """Where a field of this entry starts, or the entry itself."""
        if isinstance(self.node, Mapping) and field_name in self.node.entries:
            return self.node.key(field_name).mark
        return self.key.mark

    def value(self, *path: str) -> Node | None:
        """The node at `path`, or None where nothing is written."""
        node: Node | None = self.node
        for part in path:
            node = node.get(part) if isinstance(node, Mapping) else None
        return node

    def value_mark(self, *path: str) -> Mark:
        """Where the value at `path` starts (the text of a block), or the entry itself."""
        node = self.value(*path)
        if node is None:
            return self.key.mark
        return node.text_mark if isinstance(node, Scalar) else node.mark


class Declared(msgspec.Struct):
    """The namespace: section -> name -> entry."""

    layers: Layers
    entries: dict[str, dict[str, Entry]] = msgspec.field(default_factory=lambda: {name: {} for name in SECTIONS})
    is_whole: bool = True  # False: a file could not be read, so an unknown name proves nothing
    project: str | None = None
    budget: float | None = None
    repay_usd: float | None = None
    moved: dict[str, tuple[Scalar, Scalar]] = msgspec.field(
        default_factory=dict
    )  # by the old address: it, and the new one
    retention: Retention = Retention()
    _once: dict[str, Mark] = msgspec.field(default_factory=dict)
    _folded: dict[tuple[str, str], Entry] = msgspec.field(default_factory=dict)

    def add_file(self, top: Mapping, problems: Problems) -> None:
        """Everything one file declares."""
        self._add_top(top, problems)
        for section in SECTIONS:
            for key, node in _named_nodes(section, top, problems):
                self._add(section, key, node, problems)

    def _add_top(self, top: Mapping, problems: Problems) -> None:
        """`version`, `project`, budgets, and fields that nobody knows; `x-` holds anchors, as in compose files."""
        rest = {
            name: data_of(node)
            for name, (_, node) in top.entries.items()
            if name not in SECTIONS and name not in LAYERS and not name.startswith("x-")
        }
        if not rest:
            return
        for name in _ONCE:
            self._note_once(name, top, problems)
        try:
            spec = TopFields.model_validate(rest)
        except ValidationError as error:
            from runner.spec.specfile import SpecFile

            report(error, Subject(), None, top, SpecFile, problems)
            return
        self.project = spec.project or self.project
        self.budget = self.budget if spec.budget is None else spec.budget
        self.retention = spec.retention.asked if spec.retention else self.retention
        self.repay_usd = self.repay_usd if spec.repay_usd is None else spec.repay_usd
        if spec.moved:
            self._add_moved(top, problems)

    def _add_moved(self, top: Mapping, problems: Problems) -> None:
        node = top.get("moved")
        assert isinstance(node, Mapping), "it was read as one"
        for old, (key, new) in node.entries.items():
            assert isinstance(new, Scalar), "it was read as one"
            if old in self.moved:
                where = self.moved[old][0].mark
                problems.error(key.mark, f"`{old[:120]}` is already moved at {where}", "keep one of the two")
            self.moved.setdefault(old, (key, new))

    def _note_once(self, name: str, top: Mapping, problems: Problems) -> None:
        if name not in top.entries:
            return
        mark = top.key(name).mark
        if name in self._once:
            problems.error(mark, f"`{name}` is already set at {self._once[name]}", "keep one of the two")
        self._once.setdefault(name, mark)

    def _add(self, section: str, key: Scalar, node: Node, problems: Problems) -> None:
        name = key.source
        noun = SECTIONS[section].noun
        # names stand in paths, addresses and keys of state, so they are few characters, and differ by more than case:
        # files on a Mac or Windows do not
        if not NAME.match(name) or len(name) > MAX_NAME_CHARS:
            problems.error(key.mark, f"the name of {noun} `{name[:60]}` {name_rule()}", "rename it")
            return
        there = self._folded.get((section, name.casefold()))
        if there is None:
            entry = _checked(section, name, key, node, problems)
            self.entries[section][name] = self._folded[section, name.casefold()] = entry
        elif there.name == name:
            message = f"{noun} `{name}` is already declared at {there.key.mark}"
            problems.error(key.mark, message, "rename one of the two")
        else:
            message = f"{noun} `{name}` and `{there.name}` at {there.key.mark} differ only in case"
            problems.error(key.mark, message, "rename one of the two")


def _named_nodes(section: str, top: Mapping, problems: Problems) -> Iterator[tuple[Scalar, Node]]:
    """The entries of one section of one file."""
    hint = f"write `{section}:` and below it a name, indented, for each {SECTIONS[section].noun}"
    yield from entries_of(section, top, hint, problems).values()


def _checked(section: str, name: str, key: Scalar, node: Node, problems: Problems) -> Entry:
    """The entry with its fields checked, or one without `spec` after problems."""
    entry = Entry(section, name, key, node)
    kind = SECTIONS[section]
    try:
        return entry.checked()
    except ValidationError as error:
        meant = as_meant(error, entry.subject, key, node, kind.model, problems)
        if meant is None:
            report(error, entry.subject, key, node, kind.model, problems)
            return entry
    entry = Entry(section, name, key, meant)
    try:
        return entry.checked()
    except ValidationError as error:
        report(error, entry.subject, key, meant, kind.model, problems)
        return entry


class Part(Fields):
    """Some fields of an entry, the others being somebody else's."""

    model_config = ConfigDict(extra="ignore")


def check_no_template(entry: Entry, names: Iterable[str], problems: Problems) -> bool:
    """Whether these fields hold no `{{ ... }}`: nothing but vars is filled in there, and it would be sent."""
    before = problems.errors
    for name in names:
        node = entry.value(name)
        for _, scalar in scalars_of(node) if node is not None else ():
            found = _TEMPLATE.search(scalar.value) if isinstance(scalar.value, str) else None
            if found:
                words = f"`{name}` of {entry.subject} holds `{found[0][:40]}`, and no template is filled in there"
                hint = (
                    "write it out, or `{{ var.NAME }}`; only messages, `where`, `id` and `output` are templates of rows"
                )
                problems.error(scalar.mark, words, hint)
    return problems.errors == before


def places_in(node: Node | None, *, is_template: re.Pattern[str] = _TEMPLATE) -> tuple[Place, ...]:
    """The texts below `node` that are templates of rows."""
    return tuple(_places(node, (), is_template)) if node is not None else ()


def _places(node: Node, path: tuple[str | int, ...], is_template: re.Pattern[str]) -> Iterator[Place]:
    match node:
        case Mapping():
            for name, (_, value) in node.entries.items():
                yield from _places(value, (*path, name), is_template)
        case Sequence():
            for number, item in enumerate(node.items):
                yield from _places(item, (*path, number), is_template)
        case Scalar(value=str(text)) if is_template.search(text):
            yield Place(path, node.text_mark)


def part_of(entry: Entry, part: type[Part], problems: Problems) -> dict[str, Any] | None:
    """The fields of `part` that an entry has, checked, or None after problems."""
    try:
        found = part.model_validate(data_of(entry.node))
    except ValidationError as error:
        report(error, entry.subject, entry.key, entry.node, part, problems)
        return None
    return found.model_dump(exclude_unset=True, by_alias=True)


def refuse_secrets(top: Mapping, problems: Problems) -> None:
    """Values of fields that are named like a key, and look like one; keys by looks were found in the text."""
    if not may_name_secrets(problems.text_of(top.file)):
        return
    for key, scalar in scalars_of(top):
        if key is None or not isinstance(scalar.value, str) or not is_secret(key.source, scalar.value):
            continue
        if not literal_keys(scalar.value):
            hint = KEY_HINT + ("; name its variable with `api_key_env`" if is_api_key_name(key.source) else "")
            problems.error(scalar.mark, f"`{key.source[:60]}` holds a literal key", hint)
        problems.silence(scalar.mark, key.mark)
