"""Which jobs a command is about: `--select` and `--exclude`, as terraform's targets and dbt's selectors are written.

A selected job brings what it depends on: nothing of it could be sent, or judged, without. An excluded one takes along
what depends on it.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Collection, Iterator, Mapping, Sequence
from enum import StrEnum
from fnmatch import fnmatchcase

import msgspec

from runner.errors import UsageError
from runner.job.address import matches, unknown
from runner.job.project import AnyJob, AudioJob, Job, Prompt


class State(StrEnum):
    """Where a job stands before a command, as `state:` asks for it. A job may be in several."""

    NEW = "new"  # nothing of it was ever asked
    MODIFIED = "modified"  # some of its rows are asked otherwise than before, or are there since
    FAILED = "failed"  # some of its rows ended as errors, or are to be asked again
    EXPIRED = "expired"  # some of its rows are to be asked again, since a batch expired
    RUNNING = "running"
    BLOCKED = "blocked"  # a person decides first


METHODS = ("tag", "path", "model", "provider", "state")
_MOST_LISTED = 10
_GLOB = re.compile(r"[*?\[]")


class _Term(msgspec.Struct, frozen=True):
    method: str  # one of METHODS; empty for an address
    value: str
    written: str


class Selection(msgspec.Struct, frozen=True):
    """What a user typed. Each word holds terms with commas between them, all of which a job has to meet; a job is
    selected by any word, and excluded by any.
    """

    select: tuple[str, ...] = ()
    exclude: tuple[str, ...] = ()

    def __bool__(self) -> bool:
        return bool(self.select or self.exclude)

    @property
    def asks_for_states(self) -> bool:
        """Whether it can be answered only where every job was compiled and held against the records."""
        return any(term.method == "state" for word in (*self.select, *self.exclude) for term in _terms(word))

    def naming(self, addresses: Sequence[str]) -> Selection:
        """The same selection for another machine, where jobs may stand otherwise: those that it has chosen here."""
        return Selection(tuple(addresses)) if self.asks_for_states and addresses else self


ALL_JOBS = Selection()


def chosen(
    selection: Selection, jobs: Sequence[AnyJob], states: Mapping[str, Collection[State]] | None = None
) -> tuple[str, ...]:
    """The addresses of the jobs that are selected, in their order, with what they depend on, and without what depends
    on an excluded one.

    states: of every job, by address, for a selection that asks for them.
    Raises UsageError for a word that means nothing: an unknown job, tag, model, provider, path or state. A state that
    no job is in is none of these.
    """
    selected, excluded = _sides(selection, jobs, states)
    below = _with(excluded, _followers(jobs))
    wanted = _with(selected - below, _needed(jobs)) - below
    return tuple(job.address for job in jobs if job.address in wanted)


def named(
    selection: Selection, jobs: Sequence[AnyJob], states: Mapping[str, Collection[State]] | None = None
) -> tuple[str, ...]:
    """The same for a command that does something to each job by itself: those that are selected, and no others."""
    selected, excluded = _sides(selection, jobs, states)
    return tuple(job.address for job in jobs if job.address in selected - excluded)


def _sides(
    selection: Selection, jobs: Sequence[AnyJob], states: Mapping[str, Collection[State]] | None
) -> tuple[set[str], set[str]]:
    selected = _meant(selection.select, "--select", jobs, states)
    excluded = _meant(selection.exclude, "--exclude", jobs, states)
    return selected if selection.select else {job.address for job in jobs}, excluded


def _with(addresses: Collection[str], more: Mapping[str, Collection[str]]) -> set[str]:
    """These, and all that follow from them."""
    found: set[str] = set()
    waiting = list(addresses)
    while waiting:
        address = waiting.pop()
        if address not in found:
            found.add(address)
            waiting.extend(more.get(address, ()))
    return found


def _needed(jobs: Sequence[AnyJob]) -> dict[str, list[str]]:
    """By address, what a job cannot do without: whose answers it asks about, what comes first, what it is compared
    with, and the judges of its checks.
    """
    by_name = _by_name(jobs)
    found = {job.address: [*_before(job, by_name), *_compared_with(job)] for job in jobs}
    for job in jobs:
        if job.chain is not None and job.chain.is_judged:
            for parent in job.chain.parents:
                found[parent].append(job.address)
    return found


def _followers(jobs: Sequence[AnyJob]) -> dict[str, list[str]]:
    """By address, the jobs that nothing can be sent of without it."""
    found: dict[str, list[str]] = {}
    by_name = _by_name(jobs)
    for job in jobs:
        for address in _before(job, by_name):
            found.setdefault(address, []).append(job.address)
    return found


def _by_name(jobs: Sequence[AnyJob]) -> dict[str, list[str]]:
    found: dict[str, list[str]] = {}
    for job in jobs:
        found.setdefault(job.name, []).append(job.address)
    return found


def _before(job: AnyJob, by_name: Mapping[str, Sequence[str]]) -> list[str]:
    """The jobs that have to be settled before anything of this one is sent."""
    parents = job.chain.parents if job.chain else ()
    return [*parents, *(address for name in job.needs for address in by_name.get(name, ()))]


def _compared_with(job: AnyJob) -> list[str]:
    return [one.not_worse_than for one in job.evals.expect if one.not_worse_than]


def _meant(
    words: Sequence[str], option: str, jobs: Sequence[AnyJob], states: Mapping[str, Collection[State]] | None
) -> set[str]:
    found: set[str] = set()
    for word in words:
        mine = {job.address for job in jobs}
        could = set(mine)  # whatever their states
        for term in _terms(word):
            met = [job.address for job in jobs if _meets(job, term, states)]
            if not met and (term.method != "state" or term.value not in tuple(State)):
                raise _unknown(term, option, jobs)
            mine.intersection_update(met)
            could.intersection_update(met if term.method != "state" else could)
        if not could:
            raise UsageError(
                f"`{option} {word}`: no job meets all of it",
                hint=f"terms with a comma between them all have to hold; repeat `{option}` for either of two",
            )
        found |= mine
    return found


def _terms(word: str) -> Iterator[_Term]:
    """The terms of a word. The cells of an address have commas between them as well: what has a `=` is one of them."""
    parts: list[str] = []
    for part in word.split(","):
        is_cell = "=" in part and not part.startswith(tuple(f"{method}:" for method in METHODS))
        if is_cell and parts and ":" in parts[-1]:
            parts[-1] += f",{part}"
        else:
            parts.append(part)
    for part in parts:
        method, colon, value = part.partition(":")
        if colon and method in METHODS and not (method != "path" and "=" in value):
            yield _Term(method, value, part)
        else:
            yield _Term("", part, part)


def _meets(job: AnyJob, term: _Term, states: Mapping[str, Collection[State]] | None) -> bool:
    match term.method:
        case "tag":
            return any(fnmatchcase(tag, term.value) for tag in job.tags)
        case "model":
            return fnmatchcase(job.model.key, term.value) or fnmatchcase(job.model.name, term.value)
        case "provider":
            return fnmatchcase(job.model.provider, term.value)
        case "path":
            return any(_is_at(file, term.value) for file in _files_of(job))
        case "state":
            return term.value in (states or {}).get(job.address, ())
        case _:
            return _is_named(job.address, term.value)


def _is_named(address: str, pattern: str) -> bool:
    """Whether a pattern means a job, or a cell of one: globs stand for parts of its name and of values."""
    if not _GLOB.search(pattern):
        return matches(address, pattern)
    name, _, cells = address.partition(":")
    wanted, _, values = pattern.partition(":")
    has = cells.split(",")
    return fnmatchcase(name, wanted) and (
        not values or all(any(fnmatchcase(cell, value) for cell in has) for value in values.split(","))
    )


def _files_of(job: AnyJob) -> Iterator[str]:
    """The files that a job is made of, as its specs name them: of specs, prompts, schemas and rows."""
    yield job.mark.file
    yield job.model.mark.file
    yield from (check.schema_file for check in job.evals.checks if check.schema_file)
    if isinstance(job, AudioJob):
        yield from job.patterns
    elif isinstance(job, Job):
        yield job.prompt.mark.file
        yield from (message.mark.file for message in job.prompt.messages)
        yield job.dataset.mark.file
        yield from () if job.dataset.is_ours else job.dataset.files
        yield from _inlined(job.prompt)


_TEMPLATE = re.compile(r"\{[{%#].*?[}%#]\}", re.DOTALL)


def _inlined(prompt: Prompt) -> Iterator[str]:
    """Globs of the files that requests hold, as far as their templates tell where these lie."""
    parts = (part for message in prompt.messages for part in message.parts if part.kind.is_inlined)
    globs = (_TEMPLATE.sub("*", part.template).strip() for part in parts)
    yield from (glob for glob in globs if glob.strip("*./"))


def _is_at(file: str, pattern: str) -> bool:
    """Whether a file is that file, lies below that folder, or is named by that glob; or names it as a glob itself."""
    path = pattern.removeprefix("./").rstrip("/")
    if not file:
        return False
    return file == path or file.startswith(f"{path}/") or fnmatchcase(file, path) or fnmatchcase(path, file)


def _unknown(term: _Term, option: str, jobs: Sequence[AnyJob]) -> UsageError:
    known: Collection[str]
    match term.method:
        case "tag":
            known, what = {tag for job in jobs for tag in job.tags}, "no job has the tag"
        case "model":
            known, what = {job.model.key for job in jobs}, "no job has the model"
        case "provider":
            known, what = {job.model.provider for job in jobs}, "no job has the provider"
        case "state":
            known, what = tuple(State), "there is no state"
        case "path":
            known, what = {job.mark.file for job in jobs}, "no job is made of"
        case _:
            if not term.value:
                return UsageError(f"`{option}` is given a term without a word", hint="write terms as `tag:a,state:new`")
            error = unknown(term.value, [job.address for job in jobs])
            return UsageError(f"`{option} {term.written}`: {error.message}", hint=error.hint)
    listed = sorted(known) if term.method != "state" else list(known)
    near = difflib.get_close_matches(term.value, listed, n=1)
    some = ", ".join(f"`{one}`" for one in listed[:_MOST_LISTED])
    more = f" and {len(listed) - _MOST_LISTED:,} more" if len(listed) > _MOST_LISTED else ""
    hint = f"did you mean `{near[0]}`?" if near else f"there are {some}{more}" if listed else "none has one"
    return UsageError(f"`{option} {term.written}`: {what} `{term.value}`", hint=hint)
