"""The fields a user may write. Unknown ones are refused; names are resolved later, across files."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field

from runner.spec.fields import (
    ApiPath,
    Attempts,
    BaseUrl,
    Count,
    Endpoint,
    EnvName,
    Header,
    Hours,
    HoursOrDuration,
    JsonMap,
    Key,
    Maybe,
    Money,
    Name,
    NameList,
    Names,
    RawText,
    Text,
    Texts,
    Whole,
)

PhaseName = Literal["validating", "running", "finalizing", "cancelling", "completed", "failed", "expired", "cancelled"]

ProfileName = Literal["groq", "deepinfra", "dashscope", "siliconflow", "doubleword", "azure"]


class _Fields(BaseModel):
    model_config = ConfigDict(
        extra="forbid",
        strict=True,
        frozen=True,
        hide_input_in_errors=True,
        populate_by_name=False,
        defer_build=True,  # most commands need few of the models
    )


class PriceSpec(_Fields):
    """USD per 1M tokens."""

    input: Money
    output: Maybe[Money] = Field(default=None, description="may be left out for embeddings")


class ModelSpec(_Fields):
    """A model of a provider, and how it is asked."""

    provider: Name = Field(description="a built-in provider (embedded, openai, groq, ...) or one of `providers`")
    name: Text = Field(description="the provider's own name of the model")
    params: Maybe[JsonMap] = Field(default=None, description="sent with every request, such as max_tokens")
    options: Maybe[JsonMap] = Field(default=None, description="of the provider, not sent in requests")
    price: Maybe[PriceSpec] = Field(default=None, description="USD per 1M tokens")
    endpoint: Maybe[Endpoint] = None


class SampleSpec(_Fields):
    """Some rows only; the same ones every time."""

    rows: Count
    seed: Maybe[Whole] = None


class DatasetSpec(_Fields):
    """Rows of files."""

    files: Texts = Field(description="a path, a list, or globs; .jsonl .csv .parquet (.gz, .zst)")
    id: Maybe[Text] = Field(default=None, description="a column, or a template; unique")
    where: Maybe[Text] = Field(default=None, description="a template; a row stays if it renders to something true")
    sample: Maybe[SampleSpec] = None


class MessageSpec(_Fields):
    role: Literal["system", "developer", "user", "assistant"]
    content: Text


class PromptSpec(_Fields):
    """Templates of what is asked for one row: `user`, `messages` or `file`."""

    system: Maybe[Text] = None
    user: Maybe[Text] = None
    messages: Maybe[Annotated[list[MessageSpec], Field(min_length=1)]] = None
    file: Maybe[Text] = Field(default=None, description="the user message, from a file below the project root")
    response_format: Maybe[JsonMap] = Field(default=None, description="passed through")
    tools: Maybe[Annotated[list[JsonMap], Field(min_length=1)]] = Field(default=None, description="passed through")


class MatrixSpec(_Fields):
    """One job for every combination of values."""

    model: Maybe[NameList] = None
    prompt: Maybe[NameList] = None
    dataset: Maybe[NameList] = None
    replicate: Maybe[Annotated[list[Count], Field(min_length=1)]] = None
    window: Maybe[Annotated[list[Hours], Field(min_length=1)]] = None


class JobSpec(_Fields):
    """A dataset through a prompt to a model, into one file."""

    dataset: Maybe[Name] = None
    prompt: Maybe[Name] = None
    model: Maybe[Name] = None
    matrix: Maybe[MatrixSpec] = None
    window: Maybe[Hours] = Field(default=None, description="how long the remote may take, such as 24h")
    output: Text = Field(description="a path below the project root; .jsonl .csv .parquet; a template of cell keys")
    replicate: Maybe[Count] = Field(default=None, description="a number in the digest: ask again on purpose")
    max_attempts: Maybe[Attempts] = None
    on_unknown: Maybe[Literal["hold", "resubmit"]] = None
    allow_empty: Maybe[bool] = None
    budget: Maybe[Money] = Field(default=None, description="USD, all that this job may ever spend")
    protect: Maybe[bool] = None
    tags: Maybe[Names] = None


class AuthFields(_Fields):
    header: Maybe[Header] = None
    scheme: Maybe[RawText] = Field(default=None, description="before the key, such as Bearer; empty for the bare key")


class PathFields(_Fields):
    files: Maybe[ApiPath] = None
    files_upload: Maybe[ApiPath] = None
    content: Maybe[ApiPath] = None
    batches: Maybe[ApiPath] = None
    cancel: Maybe[ApiPath] = None


class WindowFields(_Fields):
    default: Maybe[HoursOrDuration] = None
    allowed: Maybe[Annotated[list[HoursOrDuration], Field(min_length=1)]] = None
    min: Maybe[HoursOrDuration] = None
    max: Maybe[HoursOrDuration] = None


class LimitFields(_Fields):
    lines: Maybe[Count] = None
    bytes: Maybe[Count] = None
    line_bytes: Maybe[Whole] = Field(default=None, description="0: no limit of its own")


class MetadataFields(_Fields):
    supported: Maybe[bool] = None
    max_keys: Maybe[Whole] = None
    key_len: Maybe[Count] = None
    value_len: Maybe[Count] = None
    key_field: Maybe[Text] = Field(default=None, description="the one key that is kept, where others are dropped")


class ListFields(_Fields):
    style: Maybe[Literal["cursor", "none", "token"]] = None
    limit_max: Maybe[Count] = None


class CountFields(_Fields):
    path: Maybe[RawText] = Field(default=None, description="of the object that holds them; empty for the top")
    total: Maybe[Text] = None
    ok: Maybe[Text] = None
    failed: Maybe[Text] = None


class QuotaErrorFields(_Fields):
    codes: Maybe[list[Text]] = None
    prefixes: Maybe[list[Text]] = None


class FileVisibilityFields(_Fields):
    codes: Maybe[list[Text]] = None
    params: Maybe[list[Text]] = None
    window_s: Maybe[Money] = None


class ContentFields(_Fields):
    range: Maybe[bool] = None


class ProfileOverrides(_Fields):
    """How an OpenAI look-alike differs: data, not code. What is not given stays as in the profile."""

    auth: Maybe[AuthFields] = None
    query: Maybe[dict[str, RawText]] = None
    paths: Maybe[PathFields] = None
    upload_purpose: Maybe[Text] = None
    wait_file_processed: Maybe[bool] = None
    window: Maybe[WindowFields] = None
    limits: Maybe[LimitFields] = None
    metadata: Maybe[MetadataFields] = None
    create_extra: Maybe[JsonMap] = None
    list_: Maybe[ListFields] = Field(default=None, alias="list")
    status_map: Maybe[dict[str, PhaseName]] = None
    time_format: Maybe[Literal["int", "iso"]] = None
    counts: Maybe[CountFields] = None
    errors_shape: Maybe[Literal["list_object", "list_str", "str"]] = None
    id_path: Maybe[Text] = None
    quota_error: Maybe[QuotaErrorFields] = None
    file_visibility_error: Maybe[FileVisibilityFields] = None
    cancel_terminal: Maybe[Literal[200, 400, 409]] = None
    content: Maybe[ContentFields] = None
    min_poll_s: Maybe[Money] = None
    discount: Maybe[Annotated[Money, Field(le=1)]] = Field(default=None, description="0.5 is half the price")
    endpoints: Maybe[Annotated[list[Endpoint], Field(min_length=1)]] = None
    settle_s: Maybe[Money] = None
    defer_s: Maybe[Money] = None


class ProviderSpec(_Fields):
    """A provider of your own, or what differs for a built-in one. Keys come from the environment."""

    kind: Maybe[Literal["embedded", "openai"]] = None
    base_url: Maybe[BaseUrl] = None
    account: Maybe[Text] = None
    api_key_env: Maybe[EnvName] = None
    profile: Maybe[ProfileName] = None
    overrides: Maybe[ProfileOverrides] = None


def _user_only(value: Any) -> Any:
    return {"user": value} if isinstance(value, str | int | float) and not isinstance(value, bool) else value


def _defaults(value: Any) -> Any:
    return {} if value is None else value


Prompt = Annotated[PromptSpec, BeforeValidator(_user_only, json_schema_input_type=Text | PromptSpec)]
Provider = Annotated[ProviderSpec, BeforeValidator(_defaults, json_schema_input_type=ProviderSpec | None)]


class SpecFile(_Fields):
    """A spec file of runner. All files below the given paths form one namespace."""

    version: Maybe[Literal[1]] = None
    project: Maybe[Name] = Field(default=None, description="namespace of everything created remotely; once")
    models: dict[Key, ModelSpec] | None = None
    datasets: dict[Key, DatasetSpec] | None = None
    prompts: dict[Key, Prompt] | None = None
    jobs: dict[Key, JobSpec] | None = None
    providers: dict[Key, Provider] | None = None
    budget: Maybe[Money] = Field(default=None, description="USD, all that this project may ever spend; once")
