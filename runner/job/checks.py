"""What the answers of a job are held to, as the specs want it: every default filled in, nothing rendered yet."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from decimal import Decimal
from enum import StrEnum
from typing import Any

import msgspec

from runner.errors import Mark
from runner.job.pairs import Orders, Place
from runner.job.source import Source, Value

ANSWER = "{{ answer }}"  # what is looked at, where a check says nothing else
OF_ANSWER = ("answer", "finish_reason", "usage")  # names that templates of checks see beside the columns of a row


class Kind(StrEnum):
    EQUALS = "equals"
    CONTAINS = "contains"
    REGEX = "regex"
    NUMBER = "number"
    CHOICE = "choice"
    JSON = "json"
    WER = "wer"
    CER = "cer"
    EXPRESSION = "expression"
    MEASURE = "measure"
    PREFERENCE = "preference"
    JUDGE = "judge"


# Kinds whose value is a reference: a row without one cannot be held to it.
WITH_REFERENCE = frozenset({Kind.EQUALS, Kind.CONTAINS, Kind.NUMBER, Kind.CHOICE, Kind.WER, Kind.CER})


class Ignore(StrEnum):
    """What does not matter, in the order in which it is taken away."""

    WIDTH = "width"
    CASE = "case"
    ACCENTS = "accents"
    MARKDOWN = "markdown"
    PUNCTUATION = "punctuation"
    ARTICLES = "articles"
    SPACE = "space"


class Occurrence(StrEnum):
    """Which match of `extract` counts."""

    LAST = "last"
    FIRST = "first"
    ONLY = "only"  # two matches are none


class Normalize(StrEnum):
    """What is taken to be the same before errors of a transcript are counted."""

    NONE = "none"
    BASIC = "basic"  # width, case, punctuation, space
    ENGLISH = "english"  # Whisper's rules: contractions, numbers, spellings, fillers


class Lacking(StrEnum):
    """What an answer that is not there, or cannot be read, counts as."""

    WRONG = "wrong"
    EXCLUDED = "excluded"


class Better(StrEnum):
    HIGHER = "higher"
    LOWER = "lower"


class Reference(msgspec.Struct, frozen=True):
    """What an answer is compared with: templates, any of which will do, or a column, of whose list any will do."""

    templates: tuple[Source, ...] = ()
    column: str = ""  # the value as it is; empty where there are templates
    mark: Mark = Mark("")


class Within(msgspec.Struct, frozen=True):
    """How far a number may be from its reference: so much, or so large a share of it."""

    amount: Decimal = Decimal(0)
    is_share: bool = False  # `1 %` is 0.01


class Judge(msgspec.Struct, frozen=True):
    """Who gives verdicts on the answers: a job of its own, which asks a model with a prompt that holds the answer."""

    prompt: str
    model: str
    verdicts: Mapping[str, float]  # a word -> what it is worth, from 0 to 1
    human: Source | None = None  # a template over the row: the verdict of a person, where there is one


class Check(msgspec.Struct, frozen=True, kw_only=True):
    """One check of a job. Its value is in the field its kind has: `reference`, `pattern`, `schema`, `text`, `judge`."""

    name: str
    kind: Kind
    text: Source  # a template: what is looked at, `ANSWER` where nothing is said; of expression and measure the value
    reference: Reference = Reference()  # of kinds in WITH_REFERENCE
    pattern: Source | None = None  # of regex
    schema: Mapping[str, Any] | bool | None = None  # of json: a JSON Schema; None: it only has to parse
    schema_file: str = ""  # where it was read, relative to the project root; empty where it stands in the specs
    extract: Source | None = None  # a pattern whose first group is looked at
    occurrence: Occurrence = Occurrence.LAST
    ignore: tuple[Ignore, ...] = ()  # in the order in which it is taken away
    where: Source | None = None  # a template: the rows it applies to
    is_negated: bool = False  # `not: true`
    unreadable: Lacking = Lacking.WRONG
    unanswered: Lacking | None = None  # None: excluded, and nobody said so, which leaves gates undecided
    empty_counts: bool = False  # `empty_reference: counts`
    every: bool = False  # of contains: `all: true`
    whole_words: bool = False  # of contains
    within: Within = Within()  # of number
    classes: tuple[str, ...] = ()  # of choice; empty: those that the references take
    normalize: Normalize = Normalize.BASIC  # of wer and cer
    better: Better = Better.HIGHER  # wer and cer: lower
    words: Mapping[Place, str] = {}  # of preference: what the judge calls each place; without a word for a tie, two
    orders: Orders = Orders.BOTH  # of preference: as its dataset has it
    judge: Judge | None = None  # of judge; then `text` is of the judge's answer
    mark: Mark = Mark("")

    def templates(self) -> Iterator[tuple[Source, tuple[str, ...]]]:
        """Each template, and the names of the answer it may see: what an answer is held to is not made of it."""
        yield self.text, OF_ANSWER
        if self.where is not None:  # a judge's is of rows that hold the answer, and are asked about or not
            yield self.where, OF_ANSWER if self.judge is None else OF_ANSWER[:1]
        for source in self.references:
            yield source, ()

    @property
    def references(self) -> tuple[Source, ...]:
        """Templates of what an answer is compared with; of a judge what a person says of it."""
        if self.judge is not None:
            return () if self.judge.human is None else (self.judge.human,)
        return self.reference.templates

    @property
    def takes_references(self) -> bool:
        return self.kind in WITH_REFERENCE

    @property
    def looks_at_answer(self) -> bool:
        """Whether it looks at the answer as it is, and there is nothing to render."""
        return self.text.text == ANSWER


class Slice(msgspec.Struct, frozen=True):
    """A way to part the rows: each value is looked at by itself."""

    name: str
    of: Value
    mark: Mark = Mark("")
