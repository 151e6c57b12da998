"""The fields a user may write. Unknown ones are refused; names are resolved later, across files."""

from __future__ import annotations

import re
from functools import reduce
from operator import or_
from typing import Annotated, Any, Literal, Self

from pydantic import AfterValidator, Field, WithJsonSchema, model_validator

from runner.fields import (
    GIVEN,
    Age,
    Attempts,
    BaseUrl,
    Before,
    Count,
    Delimiter,
    Endpoint,
    EnvName,
    Fields,
    Header,
    HeaderText,
    Hours,
    JsonMap,
    Key,
    Maybe,
    Money,
    Name,
    NameList,
    Names,
    Parallelism,
    Span,
    Text,
    Texts,
    complaint,
    one_of,
    plain,
)
from runner.job.project import Retention, Stragglers, Then
from runner.remotes.registry import built_in_names, declared_by, kinds, profiles
from runner.spec.common import FileSpec, SampleSpec, as_written
from runner.spec.parts import Content

# Source: OpenAI "Chat completions", `response_format.json_schema.name`, read 2026-11-30.
_SCHEMA_NAME = re.compile(r"[A-Za-z0-9_-]{1,64}")
_BUILT_IN = ", ".join(built_in_names()[:3])


def _of_evals(name: str) -> Any:
    # few specs say how answers are checked, and its fields take as long to import as these
    from runner.spec import evalfields

    return getattr(evalfields, name)


AnyJsonSchema = Annotated[Any, Before(as_written, lambda: Text | FileSpec | dict[str, Any])]
# Read entry by entry where the job is read, so that one mistake hides none of the others.
Checks = Annotated[dict[str, Any], Before(as_written, lambda: _of_evals("AnyChecks"))]
Expect = Annotated[dict[str, Any], Before(as_written, lambda: _of_evals("AnyExpect"))]
Slices = Annotated[list[Any], Before(as_written, lambda: _of_evals("AnySlices"))]
References = Annotated[dict[str, Any], Before(as_written, lambda: _of_evals("ReferencesSpec"))]


def _any_options() -> Any:
    return reduce(or_, [declared.options for declared in declared_by().values() if declared.options])


def _any_overrides() -> Any:
    return reduce(or_, [declared.overrides.model for declared in declared_by().values() if declared.overrides])


# Made from what the vendors declare, of which only those that a spec names are imported
Kind = Annotated[str, Before(one_of(kinds), lambda: Literal[kinds()])]
ProfileName = Annotated[str, Before(one_of(profiles), lambda: Literal[profiles()])]
# Which fields they may have depends on the kind of the provider: `kinds` checks them when that is known.
Options = Annotated[dict[str, Any], Before(plain, _any_options)]
Overrides = Annotated[dict[str, Any], Before(as_written, _any_overrides)]


class PriceSpec(Fields):
    """USD per 1M tokens, or per minute of sound."""

    input: Maybe[Money] = Field(default=None, description="USD per 1M tokens that are sent")
    output: Maybe[Money] = Field(
        default=None, description="USD per 1M tokens that come back; may be left out for embeddings"
    )
    per_minute: Maybe[Money] = Field(
        default=None, description="USD per minute of a recording, instead of the other two"
    )


def _nothing(value: Any) -> Any:
    """`0` for a server of one's own, however it counts."""
    return {"input": 0, "output": 0} if value == 0 and isinstance(value, (int, float)) else value


Price = Annotated[PriceSpec, Before(_nothing, lambda: PriceSpec | Literal[0])]


class ModelSpec(Fields):
    """A model of a provider, and how it is asked."""

    provider: Name = Field(description=f"a built-in provider ({_BUILT_IN}, ...) or one of `providers`")
    name: Text = Field(description="the provider's own name of the model")
    params: Maybe[JsonMap] = Field(
        default=None,
        description='sent with every request, such as max_tokens; `"{{ column }}"` is the value of each row',
    )
    options: Maybe[Options] = Field(default=None, description="of the provider, not sent in requests")
    price: Maybe[Price] = Field(default=None, description="USD per 1M tokens, or per minute of sound; or 0")
    endpoint: Maybe[Endpoint] = Field(default=None, description="which API is asked: chat where nothing is said")


def _two(value: Any) -> Any:
    if not isinstance(value, list) or len(value) != 2:
        raise complaint("must name two jobs", "such as `[one, other]`; the first is the baseline")
    return value


_Two = Annotated[list[Text], Field(min_length=2, max_length=2)]
_Pair = Annotated[_Two, Before(_two, lambda: _Two)]


class DatasetSpec(Fields):
    """Rows of files, or what other jobs have answered."""

    files: Maybe[Texts] = Field(
        default=None, description="a path, a list, or globs; .jsonl .ndjson .csv .tsv .parquet (.gz, .zst)"
    )
    paths: Maybe[Texts] = Field(
        default=None,
        description="instead of files: globs; each file that matches is a row, with `path`, `name`, `stem`, `folder`",
    )
    from_: Maybe[Text] = Field(
        default=None, alias="from", description="instead of files: a job, or one cell of it, whose answers are the rows"
    )
    pairs: Maybe[_Pair] = Field(
        default=None,
        description="instead of files: two jobs, or cells of them, that are compared; the first is the baseline",
    )
    orders: Maybe[Literal["both", "one"]] = Field(
        default=None, description="of `pairs`: each item in both orders, or in one, half and half; both"
    )
    as_: Maybe[Key] = Field(default=None, alias="as", description="of `from`: the column of the answer; else `answer`")
    id: Maybe[Text] = Field(default=None, description="a column, or a template; unique")
    where: Maybe[Text] = Field(default=None, description="a template; a row stays if it renders to something true")
    sample: Maybe[SampleSpec] = Field(default=None, description="some of the rows only, the same ones every time")
    delimiter: Maybe[Delimiter] = Field(default=None, description="of a .csv, such as `;` or `tab`; usually a comma")
    skip_bad: Maybe[bool] = Field(default=None, description="leave out rows that cannot be sent, and count them")


def _text_or_file(value: Any) -> Any:
    """A template, or where it is read."""
    text = getattr(value, "source", value)  # a number as it is written
    file = value.get("file") if isinstance(value, dict) and value.keys() == {"file"} else text
    if not isinstance(file, str) or not file.strip():
        raise complaint("must be text, or a file such as `{file: prompts/system.md}`")
    return value if isinstance(value, dict) else text


_TextOrFile = Annotated[Any, Before(_text_or_file, lambda: Text | FileSpec)]


_Calls = Annotated[list[JsonMap], Field(min_length=1)]
_OF_TOOLS = ("name", "tool_call_id", "tool_calls")  # of a message, in the order they are sent


class FromSpec(Fields):
    """What each row has in a column, as JSON."""

    from_: Text = Field(alias="from", description="the column; in CSV its text is JSON")


class MessageSpec(Fields):
    """One message of a prompt: `role` with `content` (a text, or a list of parts) or `file`; or with `from` all that a
    column holds."""

    role: Maybe[Literal["system", "developer", "user", "assistant", "tool"]] = Field(
        default=None, description="who says it"
    )
    content: Maybe[Content] = Field(
        default=None, description="a template of what is said, or a list of texts, images, files and recordings"
    )
    file: Maybe[Text] = Field(default=None, description="the same, from a file below the project root")
    from_: Maybe[Text] = Field(
        default=None, alias="from", description="instead of all others: a column with messages, a JSON array"
    )
    name: Maybe[Text] = Field(default=None, description="a template of the name of who says it")
    tool_call_id: Maybe[Text] = Field(default=None, description="of `role: tool`: which call it answers")
    tool_calls: Maybe[_Calls] = Field(
        default=None, description="of `role: assistant`: tools that it calls, as chat completions has them"
    )

    @model_validator(mode="after")
    def _says_something(self) -> Self:
        written = self.model_fields_set
        if self.from_ is not None:
            if more := sorted(written - {"from_"}):
                raise complaint(
                    f"has `from`, and `{more[0]}` beside it", "messages of a column are written as they are"
                )
            return self
        if self.role is None:
            raise complaint("needs `role`, or `from` for messages of a column")
        if self.content is None and self.file is None and self.tool_calls is None:
            raise complaint("needs `content` or `file`")
        if self.content is not None and self.file is not None:
            raise complaint("has both `content` and `file`", "keep one of the two")
        if self.tool_calls is not None and self.role != "assistant":
            raise complaint(f"has `tool_calls`, and its role is `{self.role}`", "only an assistant calls tools")
        if self.role == "tool" and self.tool_call_id is None:
            raise complaint("needs `tool_call_id`: which call it answers")
        return self

    @property
    def of_tools(self) -> dict[str, Any]:
        """What it has beside role and content."""
        return {name: value for name in _OF_TOOLS if (value := getattr(self, name)) is not None}


def _turns(value: Any) -> Any:
    return [value] if isinstance(value, dict) else value


_TurnList = Annotated[list[MessageSpec], Field(min_length=1)]
_Turns = Annotated[_TurnList, Before(_turns, lambda: _TurnList | FromSpec)]


def _tools(value: Any) -> Any:
    """A list of tools, or the column of a row's own."""
    if isinstance(value, dict):
        column = value.get("from")
        if value.keys() != {"from"} or not isinstance(column, str) or not column.strip():
            raise complaint("must be a list of tools, or a column such as `{from: tools}`")
        return value
    if not isinstance(value, list) or not value or not all(isinstance(tool, dict) for tool in value):
        raise complaint("must be a list of mappings, or a column such as `{from: tools}`")
    return plain(value)


_Tools = Annotated[Any, Before(_tools, lambda: _Calls | FromSpec)]


def _body(value: Any) -> Any:
    if not isinstance(value, dict) or not value:
        raise complaint("must be a mapping, or a column such as `{from: body}`")
    return plain(value)


_Body = Annotated[Any, Before(_body, lambda: FromSpec | dict[str, Any])]


def _schema_name(value: str) -> str:
    if not _SCHEMA_NAME.fullmatch(value):
        raise complaint("must be at most 64 letters, digits, `_` and `-`")
    return value


class AnswerSpec(Fields):
    """What answers have to be: JSON that a schema describes. It is asked for in the provider's own way."""

    schema_: AnyJsonSchema = Field(alias="schema", description="a JSON Schema, or the path of a file that holds one")
    name: Maybe[Annotated[Text, AfterValidator(_schema_name)]] = Field(
        default=None, description="of the schema, as the model sees it; `answer` where nothing is said"
    )
    strict: Maybe[bool] = Field(
        default=None, description="true: the model can write nothing else, where the provider has that"
    )


class PromptSpec(Fields):
    """Templates of what is asked for one row: `user`, `messages` or `file`."""

    system: Maybe[_TextOrFile] = Field(
        default=None, description="a template of the system message, before `user` or `file`; or {file: path}"
    )
    user: Maybe[Content] = Field(
        default=None, description="a template of the user message, or a list of texts, images, files and recordings"
    )
    messages: Maybe[_Turns] = Field(
        default=None,
        description="instead of the others: every message of the conversation, in order; `{from: column}` for those "
        "that a row has",
    )
    file: Maybe[Text] = Field(default=None, description="the user message, from a file below the project root")
    response_format: Maybe[JsonMap] = Field(default=None, description="passed through")
    answer: Maybe[AnswerSpec] = Field(
        default=None, description="what answers have to be: makes the response_format, and is checked"
    )
    tools: Maybe[_Tools] = Field(default=None, description="passed through; or `{from: column}` for those of a row")


class MatrixSpec(Fields):
    """One job for every combination of values."""

    model: Maybe[NameList] = Field(default=None, description="names of `models`")
    prompt: Maybe[NameList] = Field(default=None, description="names of `prompts`")
    dataset: Maybe[NameList] = Field(default=None, description="names of `datasets`")
    replicate: Maybe[Annotated[list[Count], Field(min_length=1)]] = Field(
        default=None, description="numbers: each asks everything once more"
    )
    window: Maybe[Annotated[list[Hours], Field(min_length=1)]] = Field(
        default=None, description="durations, such as [24h, 7d]"
    )


class RetentionSpec(Fields):
    """How long after the end of a batch its provider keeps what it has of it. An apply deletes what is older."""

    uploads: Maybe[Age] = Field(default=None, description="input files, such as 0d: gone as soon as answers are here")
    results: Maybe[Age] = Field(default=None, description="result files and records of batches, such as 30d")

    @property
    def asked(self) -> Retention:
        return Retention(self.uploads, self.results)


class StragglersSpec(Fields):
    """Batches that take too long are stopped: their answers are kept, and something is done about the rest."""

    after: Span = Field(description="how long a batch may run, since its create, such as 6h")
    then: Literal["online", "give_up"] = Field(
        description="what becomes of its rows without an answer: online asks them one by one, at once and at the full "
        "price; give_up makes them errors, until `runner retry`"
    )

    @property
    def asked(self) -> Stragglers:
        return Stragglers(self.after, Then(self.then))


_OUTPUT = (
    "a path below the project root; .jsonl .csv .parquet, or for recordings a folder that ends in `/`; a template of "
    "cell keys, `job` and `env`"
)


class PickSpec(Fields):
    """A value out of the answer, in a column of its own."""

    from_: Text = Field(alias="from", description="where it stands: `answer.scores[0]`")
    type: Maybe[Literal["string", "integer", "number", "boolean", "array", "object"]] = Field(
        default=None, description="of JSON: what is of another type is null; else what the schema says"
    )


def _any_columns() -> Any:
    picks = dict[Key, Text | PickSpec]
    return Text | list[Text | picks] | picks


class DefaultsSpec(Fields):
    """What jobs have that do not say otherwise."""

    dataset: Maybe[Name] = Field(default=None, description="one of `datasets`: the rows that are asked about")
    prompt: Maybe[Name] = Field(default=None, description="one of `prompts`: what is asked about each row")
    audio: Maybe[Texts] = Field(default=None, description="recordings: a path, a list, or globs")
    exclude: Maybe[Texts] = Field(default=None, description="of these recordings: a path, a list, or globs")
    task: Maybe[Literal["transcribe", "translate"]] = Field(default=None, description="translate: into English")
    model: Maybe[Name] = Field(default=None, description="one of `models`: who is asked")
    matrix: Maybe[MatrixSpec] = Field(default=None, description="one job for every combination of these values")
    window: Maybe[Hours] = Field(default=None, description="how long the remote may take, such as 24h")
    output: Maybe[Text] = Field(default=None, description=_OUTPUT)
    replicate: Maybe[Count] = Field(default=None, description="a number in the digest: ask again on purpose")
    max_attempts: Maybe[Attempts] = Field(
        default=None, description="how often one row may be sent before its error stands; 3 where nothing is said"
    )
    on_unknown: Maybe[Literal["hold", "resubmit"]] = Field(
        default=None,
        description="a call that had no answer: hold waits for you, as for recordings where nothing is said; resubmit "
        "may pay twice, as for rows",
    )
    transport: Maybe[Literal["batch", "online"]] = Field(
        default=None,
        description="online: a call a request, answered at once, at the full price; batch where the provider has it",
    )
    stragglers: Maybe[StragglersSpec] = Field(
        default=None, description="which of its batches are stopped since they take too long, and what then"
    )
    answer: Maybe[AnswerSpec] = Field(default=None, description="as of a prompt, for each prompt of this job")
    on_invalid: Maybe[Literal["keep", "retry"]] = Field(
        default=None,
        description="retry: answers that are not what `answer` wants are asked for again, up to max_attempts; keep",
    )
    allow_empty: Maybe[bool] = Field(default=None, description="true: no rows, or globs without a file, are no mistake")
    skip_bad: Maybe[bool] = Field(default=None, description="leave out recordings that cannot be sent, and count them")
    budget: Maybe[Money] = Field(default=None, description="USD, all that this job may ever spend")
    protect: Maybe[bool] = Field(
        default=None, description="true: nothing that was answered is paid for again; the plan is blocked"
    )
    columns: Maybe[Annotated[Any, Before(as_written, _any_columns)]] = Field(
        default=None,
        description="of the results file, in order: ours, the input's, and {name: answer.field} for a value out of the "
        "answer; without a list such values stand beside the usual columns",
    )
    strict_answers: Maybe[bool] = Field(
        default=None, description="answers that are none (cut, refused, not the JSON asked for) are errors"
    )
    retention: Maybe[RetentionSpec] = Field(
        default=None, description="how long its provider keeps what it has; else as the provider or the project says"
    )
    csv_guard: Maybe[bool] = Field(
        default=None, description="false: no apostrophe before cells that a spreadsheet would run as a formula"
    )
    checks: Maybe[Checks] = Field(default=None, description="what every answer is held to; the first is the headline")
    expect: Maybe[Expect] = Field(default=None, description="what a metric has to reach, such as `>= 0.85`")
    slices: Maybe[Slices] = Field(default=None, description="columns, or {name: template}: numbers for each value")
    cluster: Maybe[Text] = Field(
        default=None, description="a column or a template: rows that are not independent of each other"
    )
    references: Maybe[References] = Field(default=None, description="another dataset, with columns for checks only")
    needs: Maybe[Names] = Field(
        default=None, description="jobs that have to be settled, and as good as they expect, before this one is sent"
    )
    tags: Maybe[Names] = Field(default=None, description="words to select it by: `--select tag:nightly`")


class JobSpec(DefaultsSpec):
    """A dataset through a prompt, or recordings, to a model; the answers into one file or folder."""

    requests: Maybe[Texts] = Field(
        default=None,
        description="instead of a dataset and a prompt: ready lines of batch files, sent as they stand; a path, a "
        "list, or globs",
    )
    provider: Maybe[Name] = Field(
        default=None, description="of `requests`, instead of a model: who is asked; the lines name their model"
    )
    body: Maybe[_Body] = Field(
        default=None,
        description="instead of a prompt: the request as a whole, a mapping with templates in its texts, or "
        "`{from: column}`",
    )

    output: Text = Field(description=_OUTPUT)


class ProviderSpec(Fields):
    """A provider of your own, or what differs for a built-in one. Keys come from the environment."""

    kind: Maybe[Kind] = Field(
        default=None, description="which API it speaks; else that of the built-in one of its name"
    )
    base_url: Maybe[BaseUrl] = Field(default=None, description="where it is, such as https://api.example.com/v1")
    account: Maybe[Text] = Field(default=None, description="the account id, where its API has one in every path")
    api_key_env: Maybe[EnvName] = Field(default=None, description="the environment variable that holds its key")
    profile: Maybe[ProfileName] = Field(default=None, description="the look-alike whose ways it has")
    headers: Maybe[dict[Header, HeaderText]] = Field(default=None, description="sent with every request; never a key")
    headers_env: Maybe[dict[Header, EnvName]] = Field(
        default=None, description="header: the environment variable that holds its value"
    )
    retention: Maybe[RetentionSpec] = Field(default=None, description="how long it keeps what it has of our batches")
    batch: Maybe[bool] = Field(
        default=None, description="false: it has no batch API, so it is asked a call a request (`transport: online`)"
    )
    parallelism: Maybe[Parallelism] = Field(default=None, description="calls at once, asked online")
    rpm: Maybe[Count] = Field(default=None, description="requests a minute, asked online, at most")
    tpm: Maybe[Count] = Field(default=None, description="tokens a minute, asked online, answers included, at most")
    insecure_http: Maybe[bool] = Field(default=None, description="allow plain http to a private host or address")
    overrides: Maybe[Overrides] = Field(default=None, description="of what is known about the remote, by its kind")


def _user_only(value: Any) -> Any:
    return {"user": value} if isinstance(value, str | int | float) and not isinstance(value, bool) else value


def _defaults(value: Any) -> Any:
    return {} if value is None else value


Prompt = Annotated[PromptSpec, Before(_user_only, lambda: Text | PromptSpec)]
Provider = Annotated[ProviderSpec, Before(_defaults, lambda: ProviderSpec | None)]


VarType = Literal["string", "integer", "number", "boolean"]


class VarSpec(Fields):
    """A value that commands and environments may give; `{{ var.NAME }}` stands for it."""

    type: Maybe[VarType] = Field(default=None, description="what a value has to be; else what the default is, or text")
    default: Annotated[Any, GIVEN, WithJsonSchema({"type": ["string", "number", "boolean"]})] = Field(
        default=None, description="where nobody gives a value"
    )
    description: Maybe[Text] = Field(default=None, description="for readers: what it is for")


class TopFields(Fields):
    """What a spec file says for the whole project, beside its sections."""

    version: Maybe[Literal[1]] = Field(default=None, description="of the form of spec files")
    project: Maybe[Name] = Field(default=None, description="namespace of everything created remotely; once")
    budget: Maybe[Money] = Field(default=None, description="USD, all that this project may ever spend; once")
    retention: Maybe[RetentionSpec] = Field(
        default=None, description="how long providers keep what they have of this project; once"
    )
    repay_usd: Maybe[Money] = Field(
        default=None, description="USD that may be paid for again without a yes; 5 where nothing is said; once"
    )
    moved: Maybe[dict[Text, Text]] = Field(
        default=None, description="old address of a job: the new one, which takes over what is recorded of it"
    )
