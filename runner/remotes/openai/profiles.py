"""How one OpenAI look-alike differs from another, as data: a new host is a record here, or a few lines of YAML.

Facts were read on 2026-11-21: [S] a vendor's SDK source, [T] a third-party adapter, [D] the vendor's documentation,
[R] recalled and not verified. What no source says is left at OpenAI's value.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Literal
from urllib.parse import urlsplit

import msgspec
from msgspec.structs import replace

from runner.job.capabilities import Capabilities, Limits, Search, Windows
from runner.job.content import ImageTokens
from runner.job.observed import Phase
from runner.job.project import ENDPOINTS, ProviderBlock
from runner.job.stored import Kept
from runner.remotes.profile import BatchPace, InputLimits, PartFields, Tiles, overridden
from runner.remotes.written import (
    Choice,
    Count,
    Endpoints,
    Flag,
    Header,
    Hours,
    HoursList,
    JsonMap,
    Path,
    Phases,
    RawText,
    RawTexts,
    Seconds,
    Text,
    Whole,
    Words,
    told,
)

CHAT = ("/v1/chat/completions",)
_KEY_NAMES = frozenset({"key", "api-key", "apikey", "token", "access-token", "sig", "signature", "secret"})


class Auth(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """`scheme` stands before the key, `""` for a bare one. `header: ""` sends no key at all."""

    header: Annotated[Header, told("the header that the key goes into")] = "Authorization"
    scheme: Annotated[RawText, told("before the key, such as Bearer; empty for the bare key")] = "Bearer"
    env: str = ""


class Paths(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Relative to the base URL, `{id}` being the file's or the batch's. What is `""` follows from the others."""

    files: Annotated[Path, told("of the list of files")] = "/files"
    files_upload: Annotated[Path, told("that takes uploads; else `files`")] = ""
    content: Annotated[Path, told("of what is in a file; else /content below it")] = ""
    batches: Annotated[Path, told("of the list of batches, and of creates")] = "/batches"
    cancel: Annotated[Path, told("that stops a batch; else /cancel below it")] = ""

    @property
    def upload(self) -> str:
        return self.files_upload or self.files

    @property
    def file(self) -> str:
        return f"{self.files}/{{id}}"

    @property
    def file_content(self) -> str:
        return self.content or f"{self.file}/content"

    @property
    def batch(self) -> str:
        return f"{self.batches}/{{id}}"

    @property
    def batch_cancel(self) -> str:
        return self.cancel or f"{self.batch}/cancel"


class RangedWindow(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """How long a batch may take, in hours: either listed in `allowed`, or anything from `min` to `max`."""

    default: Annotated[Hours, told("where a job says nothing")] = 24
    allowed: Annotated[HoursList, told("those that a job may ask for")] = (24,)
    min: Annotated[Hours, told("instead of `allowed`: the shortest one")] = 0
    max: Annotated[Hours, told("instead of `allowed`: the longest one")] = 0
    units: Annotated[Choice[Literal["h", "d"]], told("d: whole days are sent as 2d, else as 48h")] = "h"


class FileLimits(InputLimits, frozen=True, forbid_unknown_fields=True):
    """What one input file may hold. Batches are cut at `margin` of the bytes."""


class Metadata(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What a batch keeps of the labels that are written on it."""

    supported: Annotated[Flag, told("false: batches keep no metadata, so no label of ours")] = True
    max_keys: Annotated[Whole, told("how many keys are kept")] = 16
    key_len: Annotated[Count, told("characters of a key, at most")] = 64
    value_len: Annotated[Count, told("characters of a value, at most")] = 512
    key_field: Annotated[Text, told("the one key that is kept, where others are dropped")] = ""


class Listing(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """How lists come.

    `cursor`: `after` is the last id of a page. `none`: one page, no parameters. `absent`: it cannot list.
    `token`: the answer's `token_field` goes into the query's `token_param`.
    """

    style: Annotated[
        Choice[Literal["cursor", "none", "token", "absent"]], told("none: one page; absent: the remote cannot list")
    ] = "cursor"
    limit_max: Annotated[Count, told("entries of one page")] = 100
    token_param: Annotated[Text, told("of the query, with style token")] = "page_token"  # noqa: S105  # no secret
    token_field: Annotated[Text, told("of the answer, with style token")] = "next_page_token"  # noqa: S105
    echoes_input: Annotated[Flag, told("a listed batch shows its `input_file_id`")] = True


class Progress(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Where progress stands in a batch; `path: ""` is the batch itself."""

    path: Annotated[RawText, told("of the object that holds them; empty for the top")] = "request_counts"
    total: Annotated[Text, told("the field that counts all requests")] = "total"
    ok: Annotated[Text, told("the field that counts those answered")] = "completed"
    failed: Annotated[Text, told("the field that counts those failed")] = "failed"


class ErrorRule(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Recognizes one class of whole-batch failures: by code (with one of `params`, if given), else by prefix."""

    codes: Annotated[Words, told("codes of the error, in any case of letters")] = ()
    params: Annotated[Words, told("of the error as well, where codes say too little")] = ()
    prefixes: Annotated[Words, told("what its message begins with")] = ()


class VisibilityRule(ErrorRule, frozen=True, forbid_unknown_fields=True):
    """The same for an upload that is not to be seen yet: for `window_s` after it, it may still come."""

    window_s: Annotated[Seconds, told("so long after an upload it may still come to be seen")] = 900.0


class FileContent(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """How files are downloaded."""

    range: Annotated[Flag, told("true: one that was cut may be continued")] = True


STATUS_MAP: Mapping[str, str] = {
    "validating": Phase.VALIDATING.value,
    "in_progress": Phase.RUNNING.value,
    "finalizing": Phase.FINALIZING.value,
    "completed": Phase.COMPLETED.value,
    "failed": Phase.FAILED.value,
    "expired": Phase.EXPIRED.value,
    "cancelling": Phase.CANCELLING.value,
    "cancelled": Phase.CANCELLED.value,
}

# Codes of a rejected input: OpenAI's, DashScope's and Azure's spellings [observed in public issues; Azure list].
BAD_INPUT = ErrorRule(
    codes=(
        "invalid_json_line",
        "duplicate_custom_id",
        "mismatched_model",
        "model_mismatch",
        "url_mismatch",
        "empty_file",
        "too_many_tasks",
        "model_not_found",
        "invalid_request",
    )
)
QUOTA = ErrorRule(
    codes=("token_limit_exceeded",),
    prefixes=("Enqueued token limit reached", "Enqueued request limit reached"),
)
FILE_VISIBILITY = VisibilityRule(codes=("invalid_request",), params=("file_id",), prefixes=("Cannot find file",))


class Profile(BatchPace, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """How an OpenAI look-alike differs: data, not code. What is not given stays as in the profile."""

    name: str
    base_url: str = ""  # "": the provider block has to give one
    hosts: tuple[str, ...] = ()  # where its key goes by itself; `.example.com` for every name below
    base_url_env: str = ""
    auth: Annotated[Auth, told("how the key is sent")] = Auth()
    headers_env: Mapping[str, str] = msgspec.field(default_factory=dict)  # header -> variable, sent if set
    query: Annotated[RawTexts, told("parameters of every URL, such as api-version; never a key")] = msgspec.field(
        default_factory=dict
    )
    tiers: Mapping[str, float] = msgspec.field(default_factory=dict)  # `service_tier` of a call -> of the listed price
    paths: Annotated[Paths, told("where files and batches are")] = Paths()
    upload_purpose: Annotated[Text, told("the `purpose` of an upload")] = "batch"
    wait_file_processed: Annotated[Flag, told("true: no create before its file reads `processed`")] = False
    wait_file_timeout_s: Annotated[Seconds, told("seconds that this may take")] = 300.0
    window: Annotated[RangedWindow, told("how long a batch may take")] = RangedWindow()
    limits: Annotated[FileLimits, told("of one input file")] = FileLimits()
    metadata: Annotated[Metadata, told("what a batch keeps of its labels")] = Metadata()
    create_extra: Annotated[JsonMap, told("fields of every create, beside ours")] = msgspec.field(default_factory=dict)
    list: Annotated[Listing, told("how lists come")] = Listing()
    status_map: Annotated[Phases, told("words for the state of a batch: what each means")] = msgspec.field(
        default_factory=lambda: dict(STATUS_MAP)
    )
    counts: Annotated[Progress, told("where a batch says how far it is")] = Progress()
    id_path: Annotated[Text, told("of the id in the answer to an upload, such as data.id")] = "id"
    bad_input_error: Annotated[ErrorRule, told("a batch that failed for what is in its lines")] = BAD_INPUT
    quota_error: Annotated[ErrorRule, told("a batch that was turned away for now: it is sent again later")] = QUOTA
    file_visibility_error: Annotated[
        VisibilityRule, told("a batch that failed since its upload was not to be seen")
    ] = FILE_VISIBILITY
    cancel_terminal: Annotated[Choice[Literal[200, 400, 409]], told("the status of a cancel that comes too late")] = 409
    content: Annotated[FileContent, told("how files are downloaded")] = FileContent()
    endpoints: Annotated[Endpoints, told("APIs that batches may be of")] = ENDPOINTS
    is_free: bool = False
    can_delete_files: Annotated[Flag, told("false: an upload cannot be taken back before a create is given up")] = True

    def faults(self) -> Mapping[str, bool]:
        phases = {phase.value for phase in Phase}
        odd = ", ".join(sorted(f"`{word}`" for word in self.status_map.values() if word not in phases))
        paths = self.paths
        with_ids = (paths.file_content, paths.batch_cancel)
        all_paths = (paths.files, paths.upload, paths.batches, *with_ids)
        names = {name.lower().replace("_", "-") for name in self.query}
        return {
            f"`status_map` leads to {odd}; known are {', '.join(sorted(phases))}": bool(odd),
            **super().faults(),
            **self.limits.faults(),
            "`file_visibility_error.window_s` must not be negative": self.file_visibility_error.window_s < 0,
            "`window.min` is above `window.max`": self.window.min > self.window.max,
            "`window` allows nothing": not self.window.min and not self.window.allowed,
            "`list.limit_max` must be positive": self.list.limit_max < 1,
            "`endpoints` is empty": not self.endpoints,
            "`paths` must begin with a slash": not all(path.startswith("/") for path in all_paths),
            "`paths.content` and `paths.cancel` must hold `{id}`": not all("{id}" in path for path in with_ids),
            "`query` must hold no keys; they come from the environment": not names.isdisjoint(_KEY_NAMES),
        }


# Source: OpenAI "Images and vision", tokens of pictures by tiles (gpt-4o, gpt-4.1), read 2026-11-30. Models that count
# patches of 32 pixels, and multiply them, say so in their own pages: for these it is an estimate.
_TILES = Tiles(base=85, tile=170)

_ALL = (
    # [S] openai 3.54.0: `types/batch*.py`, `resources/files.py`; discount [D].
    Profile(
        name="openai",
        base_url="https://api.openai.com/v1",
        hosts=("api.openai.com", ".api.openai.com"),
        base_url_env="OPENAI_BASE_URL",
        auth=Auth(env="OPENAI_API_KEY"),
        headers_env={"OpenAI-Organization": "OPENAI_ORG_ID", "OpenAI-Project": "OPENAI_PROJECT_ID"},
        limits=FileLimits(parts=PartFields(image_tokens=_TILES)),
        tiers={"flex": 0.5, "priority": 2.0},  # [D] flex is billed as a batch is; priority at most twice the price [R]
    ),
    # [S] groq 1.7.0: base, metadata, a list without parameters or has_more; windows "24h" to "7d" [S; T].
    # 100 MB is the SDK's figure, the guide says 200: the smaller is safe. 50,000 lines and 30 days [T].
    # "Vision" [D]: a request with a picture in base64 has 4 MB at most; 5 pictures [R].
    Profile(
        name="groq",
        base_url="https://api.groq.com/openai/v1",
        hosts=("api.groq.com",),
        auth=Auth(env="GROQ_API_KEY"),
        window=RangedWindow(allowed=(24, 48, 72, 96, 120, 144, 168), units="d"),
        limits=FileLimits(
            bytes=100_000_000,
            parts=PartFields(image_bytes=3_000_000, images=5, request_bytes=3_000_000, file_types=(), audio_types=()),
        ),
        list=Listing(style="none"),
        endpoints=CHAT,
    ),
    # [T] base, limits, one model a file; discount of 20 % [D].
    Profile(
        name="deepinfra",
        base_url="https://api.deepinfra.com/v1/openai",
        hosts=("api.deepinfra.com",),
        auth=Auth(env="DEEPINFRA_API_KEY"),
        discount=0.2,
    ),
    # [D] windows 24h..336h, lines, `ds_name` of 100 characters (other metadata unproven), polling above a minute;
    # 500 MB and 6 MB a line [R], an older page says 100 MB.
    Profile(
        name="dashscope",
        base_url="https://dashscope.aliyuncs.com/compatible-mode/v1",
        hosts=("dashscope.aliyuncs.com", "dashscope-intl.aliyuncs.com"),
        auth=Auth(env="DASHSCOPE_API_KEY"),
        window=RangedWindow(min=24, max=336),
        limits=FileLimits(bytes=500_000_000, line_bytes=6_000_000),
        metadata=Metadata(value_len=100, key_field="ds_name"),
        min_poll_s=60.0,
        max_poll_s=120.0,
        endpoints=("/v1/chat/completions", "/v1/embeddings"),
    ),
    # [D] windows, 5,000 lines, 1 GB, `in_queue`, errors as strings, no counts, chat only; nested upload id [R].
    Profile(
        name="siliconflow",
        base_url="https://api.siliconflow.cn/v1",
        hosts=("api.siliconflow.cn",),
        auth=Auth(env="SILICONFLOW_API_KEY"),
        window=RangedWindow(min=24, max=336),
        limits=FileLimits(lines=5_000, bytes=1_000_000_000),
        status_map={**STATUS_MAP, "in_queue": Phase.VALIDATING.value},
        id_path="data.id",
        endpoints=CHAT,
    ),
    # [T] control-layer: windows are the server's configuration, 1h and 24h in its sample; partial results.
    Profile(
        name="doubleword",
        base_url="https://api.doubleword.ai/v1",
        hosts=("api.doubleword.ai",),
        auth=Auth(env="DOUBLEWORD_API_KEY"),
        window=RangedWindow(allowed=(1, 24)),
        endpoints=("/v1/chat/completions", "/v1/responses", "/v1/embeddings", "/v1/completions"),
    ),
    # [D] v1 paths under the resource's own host, header `api-key`, 24h is a target and jobs do not expire;
    # a file may read `pending` [R]. `body.model` is the name of a batch deployment [T].
    Profile(
        name="azure",
        storage_hosts=(".blob.core.windows.net",),
        hosts=(".openai.azure.com",),  # a resource is its owner's, what ends its TLS is the vendor's
        auth=Auth(header="api-key", scheme="", env="AZURE_OPENAI_API_KEY"),
        wait_file_processed=True,
        limits=FileLimits(parts=PartFields(image_tokens=_TILES)),
    ),
)

PROFILES: Mapping[str, Profile] = {profile.name: profile for profile in _ALL}


def profile_of(provider: ProviderBlock) -> Profile:
    """The profile a provider block means: the named one, with its overrides merged in.

    Maps merge key by key, everything else is replaced. Raises SpecError at the block's place.
    """
    name = provider.profile or (provider.kind if provider.kind in PROFILES else "openai")
    if name not in PROFILES:
        known = ", ".join(f"`{known}`" for known in PROFILES)
        raise provider.problem(f"there is no profile `{name}`", f"known are {known}")
    if not provider.overrides:
        return PROFILES[name]
    window = provider.overrides.get("window")
    if isinstance(window, Mapping) and "allowed" in window and "min" not in window:
        listed = {**window, "min": 0, "max": 0}  # a list given instead of the profile's range
        provider = replace(provider, overrides={**provider.overrides, "window": listed})
    return overridden(PROFILES[name], provider)


def has_openais_models(block: ProviderBlock) -> bool:
    """Whether the models are OpenAI's own, whoever hosts them: they refuse what they do not know."""
    if block.profile:
        return block.profile == "azure"
    return block.base_url is None or (urlsplit(block.base_url).hostname or "").endswith("api.openai.com")


def capabilities_of(profile: Profile) -> Capabilities:
    """The card: what shared code reads instead of a vendor's name."""
    card = Capabilities(
        search=_search_of(profile),
        endpoints=profile.endpoints,
        windows=_windows_of(profile.window),
        limits=profile.limits.of_batch(),
        can_revoke=profile.can_delete_files,
        deletes=(Kept.RESULTS, Kept.UPLOAD) if profile.can_delete_files else (),
        visibility_seconds=profile.file_visibility_error.window_s,
        is_free=profile.is_free,
    )
    return profile.on_card(card)


def without_tokens(limits: Limits) -> Limits:
    """Of a remote of which nobody knows how it counts pictures."""
    return replace(limits, parts=replace(limits.parts, image_tokens=ImageTokens()))


def _search_of(profile: Profile) -> Search:
    if profile.list.style == "absent":
        return Search.NONE
    if profile.metadata.supported:
        return Search.BY_LABEL
    return Search.BY_UPLOAD if profile.list.echoes_input else Search.NONE


def _windows_of(window: RangedWindow) -> Windows:
    if window.min:
        return Windows(default=window.default, allowed=(), low=window.min, high=window.max)
    return Windows(default=window.default, allowed=window.allowed)
