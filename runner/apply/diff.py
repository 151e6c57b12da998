"""Two jobs, or one at two revisions, on the rows that both were asked: from specs and results files alone."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import NamedTuple

import msgspec

from runner.apply.asfacts import number_of, same_rows
from runner.apply.evidence import Shown
from runner.apply.sides import Side
from runner.checks import gates
from runner.checks.compared import Changed, Compared, comparable
from runner.checks.program import Held, Program
from runner.checks.score import Scored
from runner.checks.tally import Form, Tally
from runner.compile.references import Index
from runner.errors import UsageError
from runner.job.project import AnyJob, AudioJob, Job, Project
from runner.job.scored import Figure
from runner.reports import diff, facts
from runner.spec.chosen import NOTHING, Chosen


class _Kept(msgspec.Struct, array_like=True):
    """A row of the second job, as it waits for that of the first."""

    content: bytes
    checks: dict[str, Scored]


class Conditions(NamedTuple):
    """What has to hold."""

    checks: Sequence[str] = ()  # empty for all
    is_not_worse: bool = False  # that no interval lies on the worse side of 0
    margin: float | None = None  # that every interval ends above -margin


_encode = msgspec.msgpack.Encoder().encode
_decode = msgspec.msgpack.Decoder(_Kept).decode


def diff_of(
    project: Project,
    words: tuple[str, str],
    paths: Sequence[str],
    folder: Path,
    wanted: Conditions,
    chosen: Chosen = NOTHING,
) -> diff.Diff:
    """What two jobs come to. folder: an empty one of our own. chosen: how specs of a revision are read.

    Raises UsageError for words that mean no job, a revision, or a check that there is not; DataError, StateError for
    files that are none of ours; OSError.
    """
    sides = []
    for number, word in enumerate(words):
        (folder / str(number)).mkdir()
        sides.append(Side(project, word, paths, folder / str(number), chosen))
    first, second = sides
    checks, left_out = _checks(first, second, wanted.checks)
    notes = [side.note for side in sides if side.note]
    reasons = [why for side in sides if checks and (why := side.score(sides, project.root))]
    unjudged = {name: (side, file) for side in sides for name, file in side.unjudged.items() if name in checks}
    checks = {name: held for name, held in checks.items() if name not in unjudged}
    notes += [
        f"check `{name}` is not compared: of `{side.word}` there is no `{file}`, where its verdicts are"
        for name, (side, file) in unjudged.items()
    ]
    compared = {name: Compared(held) for name, held in checks.items()} if not reasons else {}
    met, changed = _pair(first, second, compared)
    if compared:
        reasons = [
            f"the scores of `{side.word}` belong to other results; `runner apply` scores these at no cost"
            for side in sides
            if not side.evidence.is_scored
        ]
    if reasons:
        compared = {}
    notes += dict.fromkeys(reasons)
    notes += [f"check `{name}` is not the same in both jobs, and is not compared" for name in left_out]
    found = diff.Diff(
        first=_side(first),
        second=_side(second),
        compared=met - changed,
        only_first=first.states.total() - met,
        only_second=second.states.total() - met,
        changed=changed,
        differs=tuple(_differs(first.then, second.then)),
        checks=tuple(_check(one) for one in compared.values()),
        notes=tuple(notes),
    )
    return msgspec.structs.replace(
        found, unmet=tuple(_unmet(list(compared.values()), wanted, left_out, list(unjudged)))
    )


def _checks(first: Side, second: Side, names: Sequence[str]) -> tuple[dict[str, Held], list[str]]:
    """The checks to compare, and those that cannot be. names: the only ones that are asked for; empty for all."""
    held = [{one.name: one for one in Program(side.spec.evals).checks} for side in (first, second)]
    shared, left_out = comparable(*held)
    for name in names:
        if name not in shared and name not in left_out:
            known = [*shared, *left_out]
            listed = "checks are " + ", ".join(f"`{one}`" for one in known) if known else "neither job has checks"
            raise UsageError(f"there is no check `{name}`", hint=listed)
    return (
        {name: held[0][name] for name in shared if not names or name in names},
        [name for name in left_out if not names or name in names],
    )


def _pair(first: Side, second: Side, compared: Mapping[str, Compared]) -> tuple[int, int]:
    """Add up every row that both have: how many there are, and how many of them have another content."""
    index = Index()
    for shown in second.rows():
        kept = _Kept(_digest(second, shown), dict(shown.scored.checks) if shown.scored else {})
        index.add(shown.line.custom_id, _encode(kept))
    for _ in index.sort():
        pass  # an id that is there twice is met once
    met = changed = 0
    for shown in first.rows():
        found = index.find(shown.line.custom_id)
        if found is None:
            continue
        met += 1
        other = _decode(found)
        if other.content != _digest(first, shown):
            changed += 1
        elif shown.scored is not None and other.checks:
            mine = shown.scored
            for name, one in compared.items():
                one.add(mine.custom_id, mine.checks[name], other.checks[name], mine.cluster)
    return met, changed


def _digest(side: Side, shown: Shown) -> bytes:
    return hashlib.blake2b(side.content_of(shown.line), digest_size=16).digest()


# --- what it comes to ---------------------------------------------------------------------------------------------


def _side(side: Side) -> diff.Side:
    wanted = side.states.total()
    return diff.Side(
        address=side.spec.address,
        output=side.spec.output,
        wanted=wanted,
        ok=side.ok,
        error=wanted - side.ok - side.waiting,
        waiting=side.waiting,
        usage=side.spent.usage,
        revision=side.revision,
        commit=side.commit,
    )


def _check(one: Compared) -> diff.Check:
    return diff.Check(
        name=one.held.name,
        kind=one.held.kind.value,
        form=one.held.form.value,
        better=one.held.check.better.value,
        first=_number(one.first),
        second=_number(one.second),
        unanswered=one.unanswered,
        worse=one.worse,
        better_rows=one.better,
        worst=tuple(map(_row, one.worst)),
        best=tuple(map(_row, one.best)),
        macro_f1=_macro_f1(one),
        **same_rows(one.difference(), is_turned=True),
    )


def _macro_f1(one: Compared) -> diff.MacroF1 | None:
    found = one.macro_f1()
    if found is None:
        return None
    p = None if found.difference.value is None else found.p
    return diff.MacroF1(number_of(found.second), number_of(found.first), number_of(found.difference), p)


def _number(tally: Tally) -> facts.Number:
    return number_of(tally.numbers().figure)


def _row(one: Changed) -> diff.Row:
    return diff.Row(
        custom_id=one.custom_id,
        expected=one.first.expected,
        first=one.first.got,
        second=one.second.got,
        first_status=one.first.status.value,
        second_status=one.second.status.value,
    )


def _unmet(
    compared: Sequence[Compared], wanted: Conditions, left_out: Sequence[str], unjudged: Sequence[str]
) -> Iterator[str]:
    """What was asked for and is not so, a sentence each. What could not be compared is never taken for good.

    left_out: checks that are not the same in both. unjudged: those of which one of the two has no verdicts.
    """
    if not wanted.is_not_worse and wanted.margin is None:
        return
    if not compared:
        yield "no check could be compared"
    elif wanted.checks or unjudged:
        left_out = [*unjudged, *(left_out if wanted.checks else ())]
        yield from (f"check `{name}` could not be compared" for name in left_out)
    for one in compared:
        if one.difference().figure.value is None:
            yield f"{one.held.name}: no row was counted in both"
            continue
        if wanted.is_not_worse:
            yield from _said(one, one.is_worse, "B is worse than A")
        if wanted.margin is not None:
            margin = gates.share(wanted.margin) if one.held.form is not Form.NUMBER else f"{wanted.margin:g}"
            yield from _said(one, partial(one.may_be_worse, wanted.margin), f"B may be worse than A by {margin}")


def _said(one: Compared, is_so: Callable[[Figure], bool], words: str) -> Iterator[str]:
    """The sentence, where it is so without the rows that one of the two did not answer, or with them counted wrong."""
    without, with_them = one.both_ways()
    if is_so(without):
        yield f"{one.held.name}: {words}{'' if is_so(with_them) else '; ' + _deciding(one)}"
    elif is_so(with_them):
        yield f"{one.held.name}: {words} if unanswered rows are wrong; {_deciding(one)}"


def _deciding(one: Compared) -> str:
    rows = "1 row decides" if one.unanswered == 1 else f"{one.unanswered:,} rows decide"
    return f"{rows} that one of the two did not answer"


# --- what was asked otherwise -------------------------------------------------------------------------------------


def _differs(first: AnyJob | None, second: AnyJob | None) -> Iterator[diff.Differs]:
    if first is None or second is None:
        return
    one, two = _asked(first), _asked(second)
    for what in dict.fromkeys([*one, *two]):
        (name, content), (other, other_content) = one.get(what, ("", None)), two.get(what, ("", None))
        if content != other_content:
            is_edited = name == other
            yield diff.Differs(what, name, f"{other}, edited" if is_edited else other)


def _asked(spec: AnyJob) -> dict[str, tuple[str, object]]:
    """What a job asks, by what it is called: in a word, and all of it."""
    model = spec.model
    found: dict[str, tuple[str, object]] = {
        "model": (model.key if model.key else model.name, (model.provider, model.name, model.endpoint)),
        "params": (_told({**model.params, **model.options}), (dict(model.params), dict(model.options))),
    }
    if isinstance(spec, Job):
        prompt, data = spec.prompt, spec.dataset
        texts = [(message.role, message.shown()) for message in prompt.messages]
        found["prompt"] = (prompt.key, (texts, prompt.response_format, prompt.tools, prompt.beside_texts))
        chosen = (data.id, data.where, data.sample_rows, data.sample_seed, data.delimiter)
        of = data.files if data.chain is None else (data.chain.parents, data.chain.column)
        found["dataset"] = (data.key, (of, *chosen))
    elif isinstance(spec, AudioJob):
        found["params"] = (_told(dict(spec.fields)), (spec.fields, spec.task, spec.path))
        found["dataset"] = (", ".join(spec.patterns), (spec.patterns, spec.exclude))
    return found


def _told(params: Mapping[str, object]) -> str:
    return json.dumps(params, ensure_ascii=False, sort_keys=True, default=str)
