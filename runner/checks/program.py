"""The checks of a job made ready: what has to be read of every row, and what is made of that.

Pure: rows come in as texts that were worked out elsewhere (`compile.readings`), and go out as what became of them.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping, Sequence
from decimal import Decimal
from functools import cached_property
from itertools import repeat
from typing import Any, NamedTuple

import msgspec
from msgspec.structs import replace

from runner.checks import score as kinds
from runner.checks.choice import Classes
from runner.checks.preference import prefers, settled, stands_for_item
from runner.checks.score import BadReference, Given, Judge, Scored, Status
from runner.checks.sheet import Column, DuelColumn, Sheet
from runner.checks.tally import Counting, Form
from runner.checks.text import normal
from runner.checks.verdict import Said, Verdicts
from runner.compile.parse import parse
from runner.compile.readings import Read, Reading
from runner.compile.texts import DROPPED, text_of
from runner.errors import Mark, Problem
from runner.job import source
from runner.job.checks import OF_ANSWER, Check, Kind, Lacking
from runner.job.pairs import Orders
from runner.job.project import Evals
from runner.job.source import Source, Value
from runner.schemas import validator_of

VERSION = "checks/1"  # a change in how anything is counted is another one

_FORMS = {Kind.WER: Form.RATIO, Kind.CER: Form.RATIO, Kind.MEASURE: Form.NUMBER, Kind.PREFERENCE: Form.SCORE}
# Fields that came after the first release, and their defaults: with those they are in no digest, so that what was
# scored and locked before stands.
_LATER: Mapping[str, Any] = {"words": {}, "orders": Orders.BOTH, "judge": None, "form": source.Form.TEXT}
_decode_answer = msgspec.json.Decoder(dict[str, Any]).decode


class Held(NamedTuple):
    """One check, made ready. Numbers are those of its readings."""

    check: Check
    counting: Counting
    text: int | None  # None: of a judge, whose answers are not the row's
    references: tuple[int, ...] = ()  # of a judge what a person says, if anything
    where: int | None = None
    found: int | None = None  # of regex: what the pattern finds

    @property
    def name(self) -> str:
        return self.check.name

    @property
    def kind(self) -> Kind:
        return self.check.kind

    @property
    def form(self) -> Form:
        return self.counting.form

    @property
    def better(self) -> str:
        return self.check.better.value

    @property
    def compares_values(self) -> bool:
        """Whether an answer that is JSON is held to a column as JSON."""
        check = self.check
        return (
            check.kind is Kind.EQUALS and bool(check.reference.column) and check.looks_at_answer and not check.extract
        )

    @property
    def lacks_classes(self) -> bool:
        """Whether the references have to be read before anything can be scored: see `classes_in`."""
        return self.kind is Kind.CHOICE and not self.check.classes

    def is_counted_by(self, custom_id: str) -> bool:
        """Whether a row counts for itself: of the two orders of a pair, one stands for both."""
        return self.kind is not Kind.PREFERENCE or stands_for_item(custom_id, self.check.orders)

    def column(self) -> Column:
        """An empty one, for the numbers of this check."""
        if self.kind is Kind.PREFERENCE:
            return DuelColumn(self.counting, self.check.orders)
        return Column(self.kind, self.counting)

    def signature(self, n: int, cluster: str = "") -> str:
        """How the number was counted. cluster: what rows are clustered by, empty for none."""
        return "|".join([*_parts_of(self.check), f"n:{n}", f"ci:{_interval_of(self.form, cluster)}", VERSION])


class Program:
    """All checks of one job. Make one for each pass over its rows."""

    def __init__(self, evals: Evals, classes: Mapping[str, Iterable[str]] | None = None) -> None:
        """classes: of checks that do not declare theirs, as `classes_in` found them.

        Raises SpecError for a template that cannot be read.
        """
        self.evals = evals
        self.readings: list[Reading] = []
        self._numbers: dict[Any, int] = {}
        self.checks = tuple(self._held(check) for check in evals.checks)
        self.cluster = None if evals.cluster is None else self._value(evals.cluster)
        self.slices = {one.name: self._value(one.of) for one in evals.slices}
        self._classes = classes or {}
        self._judges = [self._judge(held) for held in self.checks]

    # --- what has to be read --------------------------------------------------------------------------------------

    @property
    def needs_values(self) -> bool:
        """Whether columns are looked at as they are, and not as text."""
        return any(held.check.reference.column for held in self.checks)

    @property
    def keeps_pairs(self) -> bool:
        """Whether the two orders of a pair are looked at together."""
        return any(held.kind is Kind.PREFERENCE and held.check.orders is Orders.BOTH for held in self.checks)

    @cached_property
    def mentions(self) -> frozenset[str]:
        """Names of the answer that anything here looks at."""
        templates = [reading.template for reading in self.readings if reading.template]
        return frozenset(OF_ANSWER) & {name for one in templates for name in one.mentions}

    def _held(self, check: Check) -> Held:
        text = text_reading(check)
        return Held(
            check,
            counting_of(check),
            None if check.judge is not None else self._number(text),
            tuple(self._number(Reading(parse(one))) for one in check.references),
            None if check.where is None else self._number(Reading(replace(parse(check.where), takes_null=True))),
            None if check.pattern is None else self._number(replace(text, search=check.pattern)),
        )

    def _value(self, value: Value) -> int:
        if value.template is not None:
            return self._number(Reading(parse(value.template)))
        return self._number(Reading(column=value.column))

    def _number(self, reading: Reading) -> int:
        """The number of a reading; two that are the same are one."""
        key = (
            replace(reading, template=None),
            reading.template
            and (
                reading.template.source.text,
                reading.template.takes_null,
            ),
        )
        if key not in self._numbers:
            self._numbers[key] = len(self.readings)
            self.readings.append(reading)
        return self._numbers[key]

    # --- what is made of it ---------------------------------------------------------------------------------------

    def _judge(self, held: Held) -> Judge:
        judge = judge_of(held.check, self._classes.get(held.name, ()))
        return kinds.turned(judge) if held.check.is_negated else judge

    def sheet(self) -> Sheet:
        """An empty one, with the slices that expectations ask about."""
        parts = [one.slice for one in self.evals.expect if one.slice]
        return Sheet({held.name: held.column for held in self.checks}, dict.fromkeys(parts))

    def scored(
        self, read: Read, said: Mapping[str, Sequence[Said]] | None = None
    ) -> tuple[dict[str, list[Scored]], list[tuple[int, Problem]]]:
        """What each check makes of a chunk of rows, and what is wrong with those whose reference cannot be used.

        said: by check that has a judge, what that said of each row.
        """
        problems: list[tuple[int, Problem]] = []
        found = {}
        for held, judge in zip(self.checks, self._judges, strict=True):
            if held.text is None:
                scored = self._scored(held, judge, read, problems, (said or {})[held.name])
            else:
                scored = self._usual(held, judge, read) or self._scored(held, judge, read, problems)
            if held.compares_values:
                self._compare(held, read, scored)
            if held.kind is Kind.PREFERENCE:
                scored = settled([row.custom_id for row in read.rows], scored, held.check.orders)
            found[held.name] = scored
        return found, problems

    def _usual(self, held: Held, judge: Judge, read: Read) -> list[Scored]:
        """The same where every row is answered, has a text and its reference; else nothing.

        Nearly all rows of nearly all runs: what is done for each of them here is what a million rows take.
        """
        assert held.text is not None, "a judge has its own way"
        texts = read.texts[held.text]
        if held.where is not None or held.found is not None or None in texts or read.failures:
            return []
        if None in [row.names for row in read.rows]:
            return []
        references: Iterable[tuple[str, ...]] = repeat(())
        if held.check.takes_references:
            if len(held.references) != 1:
                return []
            column = read.texts[held.references[0]]
            if None in column or not all(map(str.strip, column)):  # type: ignore[arg-type]  # none of them is None
                return []
            references = zip(column)  # type: ignore[assignment]
        try:
            return list(map(judge, texts, references))  # type: ignore[arg-type]
        except BadReference:
            return []

    def _scored(
        self,
        held: Held,
        judge: Judge,
        read: Read,
        problems: list[tuple[int, Problem]],
        said: Sequence[Said] = (),
    ) -> list[Scored]:
        takes, empty = held.check.takes_references, held.check.empty_counts or held.found is not None
        texts = [one.text for one in said] if held.text is None else read.texts[held.text]
        columns = texts, self._references(held, read), self._applies(held, read, said)
        failed = {at for at, _ in read.failures}
        found: list[Scored] = []
        for at, (row, text, references, applies) in enumerate(zip(read.rows, *columns, strict=True)):
            given = Given(row.names is not None, text, references, applies)
            try:
                found.append(kinds.score(given, judge, takes_references=takes, empty_counts=empty))
            except BadReference as error:
                if at not in failed:
                    problems.append((at, _bad(held, row.mark, error)))
                found.append(Scored(Status.SKIPPED))
        return found

    def _applies(self, held: Held, read: Read, said: Sequence[Said]) -> Iterable[bool]:
        applies = [True] * len(read.rows)
        if held.where is not None:
            # one that looks at the answer says nothing of a row without one, which stays in
            applies = [text is None or text.strip() not in DROPPED for text in read.texts[held.where]]
        # of an answer with a text its judge was not asked: a sample leaves it out
        for at, (row, one) in enumerate(zip(read.rows, said, strict=False)):
            applies[at] &= one.is_asked or not row.has_text
        return applies

    def _references(self, held: Held, read: Read) -> Iterable[tuple[str, ...]]:
        if held.found is not None:  # what was found stands for the references of a pattern
            return [() if text is None else (text,) for text in read.texts[held.found]]
        if name := held.check.reference.column:
            return [_texts_of(row.get(name)) for row in read.values]
        columns = [read.texts[number] for number in held.references]
        if len(columns) == 1:
            return [() if text is None else (text,) for text in columns[0]]
        if not columns:
            return [()] * len(read.rows)
        return [tuple([text for text in texts if text is not None]) for texts in zip(*columns, strict=True)]

    def _compare(self, held: Held, read: Read, found: list[Scored]) -> None:
        """Hold the answers that are JSON to the column as JSON, in place of what was made of their text."""
        name = held.check.reference.column
        for at, row in enumerate(read.rows):
            if row.names is None or found[at].status not in (Status.RIGHT, Status.WRONG):
                continue
            got = _decode_answer(row.names).get("answer")
            if isinstance(got, str):
                continue
            wanted = read.values[at].get(name)
            options = [wanted, *wanted] if isinstance(wanted, list) else [wanted]
            is_right = any(same(got, one, held.check.ignore) for one in options) is not held.check.is_negated
            status = Status.RIGHT if is_right else Status.WRONG
            found[at] = found[at]._replace(status=status, over=int(is_right))

    def classes_in(self, read: Read, found: dict[str, dict[str, None]]) -> None:
        """Take in the classes that a chunk's references name, for the checks that do not declare theirs."""
        for held in self.checks:
            if held.lacks_classes:
                seen = found.setdefault(held.name, {})
                for references in set(self._references(held, read)):
                    seen.update(dict.fromkeys(one for one in references if one.strip()))


def judge_of(check: Check, classes: Iterable[str] = ()) -> Judge:
    """How answers are held to a check. classes: where it does not declare any."""
    match check.kind:
        case Kind.EQUALS:
            return kinds.equals(check.ignore)
        case Kind.CONTAINS:
            return kinds.contains(check.ignore, every=check.every, whole_words=check.whole_words)
        case Kind.REGEX:
            return kinds.finds()
        case Kind.NUMBER:
            return kinds.number(check.within.amount, is_share=check.within.is_share)
        case Kind.CHOICE:
            return kinds.choice(Classes(check.classes or classes, check.ignore))
        case Kind.JSON:
            schema = check.schema
            if isinstance(schema, Mapping):
                return kinds.parses(validator_of(schema))
            return kinds.parses(lambda _: schema is not False)
        case Kind.WER | Kind.CER:
            return kinds.words(check.normalize, by_letter=check.kind is Kind.CER)
        case Kind.EXPRESSION:
            return kinds.holds(DROPPED)
        case Kind.MEASURE:
            return kinds.measure()
        case Kind.PREFERENCE:
            return prefers(check.words, check.ignore)
        case Kind.JUDGE:
            assert check.judge is not None
            return kinds.verdict(Verdicts(check.judge.verdicts, check.ignore))


def text_reading(check: Check) -> Reading:
    """What a check looks at: of the row's answer, or of its judge's."""
    return Reading(
        replace(parse(check.text), takes_null=check.kind is Kind.EXPRESSION),
        may_miss=True,
        extract=check.extract,
        occurrence=check.occurrence,
    )


def counting_of(check: Check) -> Counting:
    """What kind of number a check has, and what counts against it."""
    form, worth = _FORMS.get(check.kind, Form.RATE), dict[str, float]()
    if check.judge is not None:
        worth = dict(check.judge.verdicts)
        form = Form.RATE if set(worth.values()) <= {0, 1} else Form.SCORE
    return Counting(
        form,
        check.unreadable is Lacking.WRONG,
        check.unanswered is Lacking.WRONG,
        tuple(worth.items()) if check.judge is not None and check.judge.human is not None else (),
    )


def _bad(held: Held, mark: Mark, error: BadReference) -> Problem:
    where = held.check.mark
    return Problem(mark, f"the reference of check `{held.name}` ({where}): {error}")


def _texts_of(value: Any) -> tuple[str, ...]:
    """A column's value as references: a list is any of it, null none."""
    values = value if isinstance(value, list) else (value,)
    return tuple([one if one.__class__ is str else text_of(one) for one in values if one is not None])


def same(got: object, wanted: object, ignore: Sequence[Any]) -> bool:
    """Whether two JSON values are one: numbers by value, texts but for what is ignored.

    wanted: a text is held to a number as that is written, since tables know nothing but text.
    """
    if isinstance(wanted, str) and not isinstance(got, dict | list) and got is not None:
        return normal(text_of(got), ignore) == normal(wanted, ignore)
    if isinstance(got, dict) and isinstance(wanted, dict):
        return got.keys() == wanted.keys() and all(same(got[key], wanted[key], ignore) for key in got)
    if isinstance(got, list) and isinstance(wanted, list):
        return len(got) == len(wanted) and all(same(a, b, ignore) for a, b in zip(got, wanted, strict=True))
    return isinstance(got, bool) is isinstance(wanted, bool) and got == wanted


# --- what it was made of ------------------------------------------------------------------------------------------


def digest_of(evals: Evals) -> str:
    """Hex digest of what is counted, how, and what is expected of it; where it is written does not matter."""
    told = json.dumps([VERSION, plain(evals)], sort_keys=True, ensure_ascii=True)
    return hashlib.sha256(told.encode()).hexdigest()


def plain(value: Any) -> Any:
    """A noun of the specs as JSON, without its place in them."""
    if isinstance(value, msgspec.Struct):
        names = (name for name in value.__struct_fields__ if name != "what" and not name.endswith("mark"))
        told = {name: getattr(value, name) for name in names}
        return {name: plain(one) for name, one in told.items() if name not in _LATER or one != _LATER[name]}
    if isinstance(value, tuple | list):
        return [plain(one) for one in value]
    if isinstance(value, Mapping):
        return {key: plain(one) for key, one in value.items()}
    return str(value) if isinstance(value, Decimal) else value


def _parts_of(check: Check) -> list[str]:
    """A check as its signature has it: what is counted in another way is written in another way."""
    parts = [check.kind.value]
    if check.judge is not None:
        worth = ",".join(f"{word}={score:g}" for word, score in check.judge.verdicts.items())
        parts += [f"prompt:{check.judge.prompt}", f"model:{check.judge.model}", f"verdicts:{worth}"]
    told: list[tuple[str, Source | str | None]] = [
        ("text", None if check.looks_at_answer else check.text),
        ("pattern", check.pattern),
        ("extract", check.extract),
        ("where", check.where),
    ]
    parts += [f"{name}:{one.text if isinstance(one, Source) else one}" for name, one in told if one]
    if check.extract and check.occurrence.value != "last":
        parts.append(f"occurrence:{check.occurrence.value}")
    if check.kind in (Kind.WER, Kind.CER):
        parts.append(f"normalize:{check.normalize.value}")
    if check.ignore:
        parts.append("ignore:" + ",".join(one.value for one in check.ignore))
    if check.kind is Kind.NUMBER and check.within.amount:
        share = f"{100 * check.within.amount:f} %"
        parts.append(f"within:{share if check.within.is_share else check.within.amount}")
    if check.kind is Kind.JSON and check.schema is not None:
        parts.append("schema:" + hashlib.sha256(json.dumps(check.schema, sort_keys=True).encode()).hexdigest()[:12])
    if check.kind is Kind.PREFERENCE:
        parts.append("words:" + ",".join(f"{place}={word}" for place, word in check.words.items()))
        parts += [f"orders:{check.orders}", "ties:half"]
    flags = {"not": check.is_negated, "all": check.every, "whole_words": check.whole_words}
    parts += [name for name, holds in flags.items() if holds]
    if check.empty_counts:
        parts.append("empty_reference:counts")
    lacking = check.unanswered or Lacking.EXCLUDED
    return [*parts, f"unreadable:{check.unreadable.value}", f"unanswered:{lacking.value}"]


def _interval_of(form: Form, cluster: str) -> str:
    method = {Form.RATE: "wilson-neff" if cluster else "wilson-modified", Form.SCORE: "wilson-neff"}
    method |= {Form.RATIO: "log-t", Form.NUMBER: "t"}
    return ",".join(filter(None, (method[form], cluster, "95")))
