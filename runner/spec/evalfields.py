"""The fields of checks, expectations, slices and references, each checked by itself where its job is read."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import ConfigDict, Field

from runner.fields import (
    Attempts,
    Before,
    Fields,
    Hours,
    Key,
    Maybe,
    Money,
    Name,
    Share,
    Text,
    TextList,
    listed,
)
from runner.job.checks import Kind
from runner.spec.common import FileSpec, SampleSpec, as_written

_IGNORED = Literal["width", "case", "accents", "markdown", "punctuation", "articles", "space"]
_IGNORED_LIST = Annotated[list[_IGNORED], Field(min_length=1)]


class ColumnSpec(Fields):
    """The value of a column as it is; of a list any item."""

    column: Text = Field(description="its name; the dataset's, or that of `references`")


_Reference = Annotated[Any, Before(as_written, lambda: Text | TextList | ColumnSpec)]
_JsonSchema = Annotated[Any, Before(as_written, lambda: Literal[True] | Text | FileSpec | dict[str, Any])]
_Within = Annotated[Any, Before(as_written, lambda: Money | str)]
_OneKind = ConfigDict(json_schema_extra={"oneOf": [{"required": [kind.value]} for kind in Kind]})


class PreferenceSpec(Fields):
    """What a judge calls the two answers of a pair."""

    first: Text = Field(description="the judge's word for the answer that is shown first")
    second: Text = Field(description="its word for the other one")
    tie: Maybe[Text] = Field(default=None, description="where it may say that neither is better")


class CheckSpec(Fields):
    """What every answer is held to: exactly one kind, and how an answer is read."""

    model_config = _OneKind

    equals: Maybe[_Reference] = Field(default=None, description="a template, a list, or {column: name}")
    contains: Maybe[_Reference] = Field(default=None, description="the reference occurs; of a list any of it")
    regex: Maybe[Text] = Field(default=None, description="a pattern that is found, line by line")
    number: Maybe[_Reference] = Field(default=None, description="the last number of the answer is the reference")
    choice: Maybe[_Reference] = Field(default=None, description="the class that the answer names is the reference")
    json_: Maybe[_JsonSchema] = Field(
        default=None, alias="json", description="true: it parses; or a JSON Schema that it keeps to, or the path of one"
    )
    wer: Maybe[_Reference] = Field(default=None, description="wrong words of a transcript")
    cer: Maybe[_Reference] = Field(default=None, description="wrong characters of a transcript")
    expression: Maybe[Text] = Field(default=None, description="a template that renders to something true")
    measure: Maybe[Text] = Field(default=None, description="a template that renders to a number")
    preference: Maybe[PreferenceSpec] = Field(
        default=None, description="the judge's words for the answers of a pair; of jobs whose dataset says `pairs`"
    )
    judge: Maybe[Name] = Field(
        default=None, description="a prompt that shows `answer` to `model`, which gives one of `verdicts`"
    )
    model: Maybe[Name] = Field(default=None, description="of `judge`: the model that judges")
    verdicts: Maybe[Annotated[dict[str, Share], Field(min_length=1)]] = Field(
        default=None, description="of `judge`: its words, and what each is worth, from 0 to 1"
    )
    human: Maybe[Text] = Field(
        default=None, description="of `judge`: a template of what a person says of the row, where anybody does"
    )
    window: Maybe[Hours] = Field(default=None, description="of `judge`: how long its model may take, such as 24h")
    sample: Maybe[SampleSpec] = Field(default=None, description="of `judge`: some of the answers only")
    budget: Maybe[Money] = Field(default=None, description="of `judge`: USD, all that it may ever spend")
    max_attempts: Maybe[Attempts] = Field(default=None, description="of `judge`: how often one answer may be judged; 3")
    text: Maybe[Text] = Field(
        default=None, description="a template: what is looked at; usually {{ answer }}, of `judge` the judge's"
    )
    extract: Maybe[Text] = Field(default=None, description="a pattern; its first group is looked at")
    occurrence: Maybe[Literal["last", "first", "only"]] = Field(default=None, description="of `extract`; last")
    ignore: Maybe[Annotated[_IGNORED_LIST, Before(listed, lambda: _IGNORED | _IGNORED_LIST)]] = Field(
        default=None, description="what does not matter when two texts are compared"
    )
    where: Maybe[Text] = Field(default=None, description="a template: the rows it applies to")
    not_: Maybe[bool] = Field(default=None, alias="not", description="turns right and wrong round")
    unreadable: Maybe[Literal["wrong", "excluded"]] = Field(
        default=None, description="an answer that nothing can be read from; wrong, of preference and judge excluded"
    )
    unanswered: Maybe[Literal["wrong", "excluded"]] = Field(default=None, description="a row without one; excluded")
    empty_reference: Maybe[Literal["excluded", "counts"]] = Field(
        default=None, description="counts: an empty text is a reference, such as silence in a recording"
    )
    all_: Maybe[bool] = Field(default=None, alias="all", description="of `contains`: all of the list, not any")
    whole_words: Maybe[bool] = Field(default=None, description="of `contains`")
    within: Maybe[_Within] = Field(default=None, description="of `number`: 0.5, or a share such as 1 %")
    classes: Maybe[TextList] = Field(default=None, description="of `choice`; else those the references take")
    normalize: Maybe[Literal["none", "basic", "english"]] = Field(default=None, description="of `wer`, `cer`; basic")
    better: Maybe[Literal["higher", "lower"]] = Field(default=None, description="of `measure`; higher")


class ExpectSpec(Fields):
    """What a metric has to reach: `is`, or `not_worse_than` another cell."""

    is_: Maybe[Text] = Field(default=None, alias="is", description="a comparison, such as `>= 0.85` or `<= 12 %`")
    by: Maybe[Literal["estimate", "interval"]] = Field(default=None, description="interval: all of it meets it")
    only: Maybe[dict[Key, Text]] = Field(default=None, description="axes of the matrix: the cells that have to")
    slice: Maybe[dict[str, Text]] = Field(default=None, description="name and value: of these rows alone")
    not_worse_than: Maybe[dict[Key, Text]] = Field(
        default=None, description="an axis: against the cell that differs in that alone"
    )
    margin: Maybe[Money] = Field(default=None, description="by how much it may be worse")


class OnSpec(Fields):
    """Templates of the keys that have to be the same."""

    row: Text = Field(description="of a row of the job")
    reference: Text = Field(description="of a row of the other dataset")


class ReferencesSpec(Fields):
    """Columns of another dataset, which checks see and the job's prompt does not."""

    dataset: Name = Field(description="one of `datasets`, of files")
    on: Annotated[Any, Before(as_written, lambda: Text | OnSpec)] = Field(
        description="a column of both, or {row: template, reference: template}"
    )


_ExpectText = Annotated[str, Field(pattern=r"^\s*(>=|<=|>|<)\s*-?[0-9.]+\s*%?\s*$")]
_Named = Annotated[dict[str, Text], Field(min_length=1)]

# What `Checks` and its neighbours in `model` may hold.
AnyChecks = dict[Key, CheckSpec]
AnyExpect = dict[str, _ExpectText | ExpectSpec | list[ExpectSpec]]
AnySlices = list[Text | _Named]
