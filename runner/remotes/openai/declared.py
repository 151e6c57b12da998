"""What specs may say about an OpenAI-style remote, its look-alikes and their models."""

from __future__ import annotations

from typing import Annotated, Literal
from urllib.parse import urlsplit

from pydantic import Field

from runner.fields import (
    ApiPath,
    Count,
    Endpoint,
    Fields,
    Header,
    HoursOrDuration,
    JsonMap,
    Maybe,
    RawText,
    Seconds,
    Share,
    Text,
    Texts,
    Whole,
)
from runner.job.capabilities import Content
from runner.job.project import Provider
from runner.remotes.openai.params import LOOK_ALIKE, OPENAI
from runner.remotes.params import Params
from runner.remotes.settings import LimitFields, WindowFields
from runner.remotes.vendor import Declared

KIND = "openai"
LOOK_ALIKES = ("groq", "deepinfra", "dashscope", "siliconflow", "doubleword", "azure")  # by profile
PhaseName = Literal["validating", "running", "finalizing", "cancelling", "completed", "failed", "expired", "cancelled"]


class RangedWindowFields(WindowFields):
    min: Maybe[HoursOrDuration] = None
    max: Maybe[HoursOrDuration] = None


class AuthFields(Fields):
    header: Maybe[Header] = None
    scheme: Maybe[RawText] = Field(default=None, description="before the key, such as Bearer; empty for the bare key")


class PathFields(Fields):
    files: Maybe[ApiPath] = None
    files_upload: Maybe[ApiPath] = None
    content: Maybe[ApiPath] = None
    batches: Maybe[ApiPath] = None
    cancel: Maybe[ApiPath] = None


class MetadataFields(Fields):
    supported: Maybe[bool] = None
    max_keys: Maybe[Whole] = None
    key_len: Maybe[Count] = None
    value_len: Maybe[Count] = None
    key_field: Maybe[Text] = Field(default=None, description="the one key that is kept, where others are dropped")


class ListFields(Fields):
    style: Maybe[Literal["cursor", "none", "token", "absent"]] = Field(
        default=None, description="none: one page; absent: the remote cannot list"
    )
    limit_max: Maybe[Count] = None
    token_param: Maybe[Text] = Field(default=None, description="of the query, with style token")
    token_field: Maybe[Text] = Field(default=None, description="of the answer, with style token")
    echoes_input: Maybe[bool] = Field(default=None, description="a listed batch shows its `input_file_id`")


class CountFields(Fields):
    path: Maybe[RawText] = Field(default=None, description="of the object that holds them; empty for the top")
    total: Maybe[Text] = None
    ok: Maybe[Text] = None
    failed: Maybe[Text] = None


class QuotaErrorFields(Fields):
    codes: Maybe[list[Text]] = None
    prefixes: Maybe[list[Text]] = None


class FileVisibilityFields(Fields):
    codes: Maybe[list[Text]] = None
    params: Maybe[list[Text]] = None
    window_s: Maybe[Seconds] = Field(default=None, description="so long after an upload it may still come to be seen")


class ContentFields(Fields):
    range: Maybe[bool] = None


class ProfileOverrides(Fields):
    """How an OpenAI look-alike differs: data, not code. What is not given stays as in the profile."""

    auth: Maybe[AuthFields] = None
    query: Maybe[dict[str, RawText]] = None
    paths: Maybe[PathFields] = None
    upload_purpose: Maybe[Text] = None
    wait_file_processed: Maybe[bool] = None
    window: Maybe[RangedWindowFields] = None
    limits: Maybe[LimitFields] = None
    metadata: Maybe[MetadataFields] = None
    create_extra: Maybe[JsonMap] = None
    list_: Maybe[ListFields] = Field(default=None, alias="list")
    status_map: Maybe[dict[str, PhaseName]] = None
    counts: Maybe[CountFields] = None
    id_path: Maybe[Text] = None
    quota_error: Maybe[QuotaErrorFields] = None
    file_visibility_error: Maybe[FileVisibilityFields] = None
    cancel_terminal: Maybe[Literal[200, 400, 409]] = None
    content: Maybe[ContentFields] = None
    min_poll_s: Maybe[Seconds] = None
    max_poll_s: Maybe[Seconds] = None
    discount: Maybe[Share] = Field(default=None, description="0.5 is half the price")
    endpoints: Maybe[Annotated[list[Endpoint], Field(min_length=1)]] = None
    storage_hosts: Maybe[Texts] = Field(default=None, description="that a download may lead to, beside its own host")
    can_delete_files: Maybe[bool] = Field(
        default=None, description="false: an upload cannot be taken back before a create is given up"
    )
    settle_s: Maybe[Seconds] = None
    defer_s: Maybe[Seconds] = None
    absence_s: Maybe[Seconds] = None
    late_s: Maybe[Seconds] = None


def _is_openais(block: Provider) -> bool:
    """Whether the models are OpenAI's own, whoever hosts them: they refuse what they do not know."""
    if block.profile:
        return block.profile == "azure"
    return block.base_url is None or (urlsplit(block.base_url).hostname or "").endswith("api.openai.com")


def _known_params(block: Provider, endpoint: str) -> Params:
    return (OPENAI if _is_openais(block) else LOOK_ALIKE).get(endpoint, {})


DECLARED = Declared(
    built_in=(Provider(KIND, KIND), *(Provider(name, KIND, profile=name) for name in LOOK_ALIKES)),
    content=frozenset({Content.TEXT}),
    overrides=ProfileOverrides,
    profiles=LOOK_ALIKES,
    known_params=_known_params,
    needs_schema_name=_is_openais,
    example_urls={
        "": "https://api.example.com/v1",
        "azure": "https://RESOURCE.openai.azure.com/openai/v1",
    },
)
