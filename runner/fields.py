"""The types of single fields: what a user may write, and what it becomes.

A complaint is a predicate (`must be a duration such as 24h`); whoever shows it puts the field before it.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Annotated, Any, TypeVar
from urllib.parse import urlsplit

import msgspec
from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    StringConstraints,
    TypeAdapter,
    WithJsonSchema,
)
from pydantic_core import PydanticCustomError, PydanticKnownError, core_schema

from runner.job.address import NAME
from runner.job.project import ENDPOINTS

if TYPE_CHECKING:
    from pydantic import GetCoreSchemaHandler, GetJsonSchemaHandler

T = TypeVar("T")

MAX_NAME_CHARS = 100
MAX_ATTEMPTS = 100
MAX_WINDOW_HOURS = 24 * 365
ENDPOINT_NAMES = dict(zip(("chat", "responses", "embeddings", "completions", "moderations"), ENDPOINTS, strict=True))
OUTPUT_SUFFIXES = (".jsonl", ".csv", ".parquet")

_DURATION = re.compile(r"([0-9]{1,9})([mhd])\Z")
_HOURS_IN = {"h": 1, "d": 24}
_SPAN = re.compile(r"([0-9]{1,9})([smhd])")
_SECONDS_IN = {"s": 1, "m": 60, "h": 3600, "d": 86_400}


class SourceInt(int):
    """A whole number that remembers how it was written, for fields that want text."""

    source: str


class SourceFloat(float):
    """A number that remembers how it was written: `3.10` stays `3.10` where text is wanted."""

    source: str


class Fields(BaseModel):
    """A mapping a user writes: unknown fields are refused, and nothing is converted silently."""

    model_config = ConfigDict(
        extra="forbid",
        strict=True,
        frozen=True,
        hide_input_in_errors=True,
        populate_by_name=False,
        defer_build=True,  # most commands need few of the models
    )


class Before(msgspec.Struct, frozen=True):
    """What is written goes through `check` first; `form` gives the type that the JSON Schema shows for it.

    It is `BeforeValidator` with `json_schema_input_type`, but that one works the shown type out whenever a model is
    built: checks, expectations and the options of all vendors for each job. That was a sixth of a first apply.
    """

    check: Callable[[Any], Any]
    form: Callable[[], Any]

    def __get_pydantic_core_schema__(self, source: Any, handler: GetCoreSchemaHandler) -> core_schema.CoreSchema:
        return core_schema.no_info_before_validator_function(self.check, handler(source))

    def __get_pydantic_json_schema__(self, schema: core_schema.CoreSchema, handler: GetJsonSchemaHandler) -> Any:
        return handler(TypeAdapter(list[self.form()]).core_schema)["items"]  # type: ignore[arg-type,misc]


def one_of(names: Callable[[], Sequence[str]]) -> Callable[[Any], Any]:
    """For one of some words that are known later than the field; the complaint is that of a `Literal`."""

    def check(value: Any) -> Any:
        known = names()
        if value in known:
            return value
        *others, last = (repr(name) for name in known)
        raise PydanticKnownError("literal_error", {"expected": f"{', '.join(others)} or {last}" if others else last})

    return check


def complaint(message: str, hint: str = "", path: tuple[str | int, ...] = ()) -> PydanticCustomError:
    """A validation error in our words. path: the place below the field that is meant."""
    return PydanticCustomError("runner", "{message}", {"message": message, "hint": hint, "path": list(path)})


def _given(value: Any) -> Any:
    if value is None:
        raise complaint("has no value", "give it one, or remove the line")
    return value


def _text_of(value: Any) -> Any:
    return value.source if isinstance(value, SourceInt | SourceFloat) else value


def _whole(value: Any) -> Any:
    """A plain int out of `3`, never out of `3.0`; the subclass must not leak into what is sent."""
    return int(value) if isinstance(value, SourceInt) else value


def plain(value: Any, path: tuple[str | int, ...] = ()) -> Any:
    """Free-form data as it will be sent: numbers without their source text, nothing JSON cannot hold."""
    if isinstance(value, dict):
        return {key: plain(item, (*path, key)) for key, item in value.items()}
    if isinstance(value, list):
        return [plain(item, (*path, index)) for index, item in enumerate(value)]
    if isinstance(value, float):
        if not math.isfinite(value):
            raise complaint("is not a number that can be sent", "quote it if it is meant as text", path)
        return float(value)
    if isinstance(value, int) and not isinstance(value, bool):
        return int(value)
    return value


def _not_blank(value: str) -> str:
    if not value.strip():
        raise complaint("is empty")
    return value


def _name(value: str) -> str:
    if not NAME.match(value) or len(value) > MAX_NAME_CHARS:
        raise complaint(name_rule())
    return value


def name_rule() -> str:
    return f"must be at most {MAX_NAME_CHARS} letters, digits, `_`, `-` and `.`, the first no `-` or `.`"


def hours_of(value: Any) -> Any:
    """Whole hours out of `24h`, `7d`, `120m`."""
    if value is None or isinstance(value, bool | list | dict):
        raise complaint("must be a duration such as `24h` or `7d`")
    if isinstance(value, int):
        raise complaint("must be a duration with a unit", f"write `{value}h`" if value > 0 else "such as `24h`")
    if clock := re.match(r"([0-9]{1,4}):00(?::00)?\Z", str(value)):
        raise complaint("must be a duration such as `24h` or `7d`", f"write `{int(clock[1])}h`")
    found = _DURATION.match(str(value)) if isinstance(value, str) else None
    if not found:
        raise complaint("must be a duration such as `24h` or `7d`")
    number, unit = int(found[1]), found[2]
    if unit == "m" and number % 60:
        raise complaint("must be whole hours", f"write `{number // 60 + 1}h`")
    hours = number // 60 if unit == "m" else number * _HOURS_IN[unit]
    if not 1 <= hours <= MAX_WINDOW_HOURS:
        raise complaint(f"must be between `1h` and `{MAX_WINDOW_HOURS // 24}d`")
    return hours


def age_of(value: Any) -> Any:
    """Whole hours, none of them too."""
    return 0 if isinstance(value, str) and re.fullmatch(r"0+[mhd]", value) else hours_of(value)


def seconds_of(value: Any) -> Any:
    """Whole seconds out of `6h`, `90m`, `2d`, `30s`."""
    found = _SPAN.fullmatch(value) if isinstance(value, str) else None
    seconds = int(found[1]) * _SECONDS_IN[found[2]] if found else 0
    if not found or not seconds:
        raise complaint("must be a duration such as `6h` or `90m`")
    if seconds > MAX_WINDOW_HOURS * 3600:
        raise complaint(f"must be at most `{MAX_WINDOW_HOURS // 24}d`")
    return seconds


def _hours_or_duration(value: Any) -> Any:
    return int(value) if isinstance(value, int) and not isinstance(value, bool) else hours_of(value)


def _endpoint(value: Any) -> Any:
    value = _text_of(value)
    if isinstance(value, str) and value not in ENDPOINT_NAMES and value not in ENDPOINTS:
        raise complaint("must be one of " + ", ".join(f"`{name}`" for name in ENDPOINT_NAMES))
    return ENDPOINT_NAMES.get(value, value) if isinstance(value, str) else value


def _base_url(value: str) -> str:
    """An address we may send a key to: perhaps a path, and nothing else. Who may use plain http, its block says."""
    try:
        parts = urlsplit(value)
        host, _ = parts.hostname, parts.port
    except ValueError:
        raise complaint("must be a URL such as `https://api.example.com/v1`") from None
    if parts.scheme not in ("http", "https") or not host or re.search(r"[\s\\]", value):
        raise complaint("must be a URL such as `https://api.example.com/v1`")
    if "@" in parts.netloc:
        raise complaint("must not hold a user name or password", "keys come from the environment: `api_key_env`")
    if "?" in value or "#" in value:
        raise complaint("must not hold a query", "extra query parameters go to `overrides: {query: {...}}`")
    return value if parts.path == "/" else value.rstrip("/")  # a slash alone says that the API is at the root


def _delimiter(value: str) -> str:
    """One character, or `tab`; what CSV itself means something by cannot be one."""
    value = "\t" if value in ("tab", "\\t") else value
    if len(value) != 1 or value in '"\r\n\0 ' or value.isalnum() or not value.isascii():
        raise complaint("must be one character, such as `;` or `|`, or `tab`")
    return value


def _env_name(value: str) -> str:
    if not re.fullmatch(r"[A-Za-z_][A-Za-z0-9_]*", value):
        raise complaint("must be the name of an environment variable", "such as `MY_PROVIDER_API_KEY`")
    return value


def _api_path(value: str) -> str:
    if not re.fullmatch(r"/[A-Za-z0-9_.{}:/-]*", value) or ".." in value:
        raise complaint("must be a path that starts with `/`", "such as `/batches` or `/files/{id}/content`")
    return value


# What names the receiver, frames the message or belongs to the connection (RFC 9110 section 7, RFC 9112), and what the
# transport itself decides.
_OF_THE_CONNECTION = frozenset(
    [
        "host",
        "connection",
        "keep-alive",
        "te",
        "trailer",
        "transfer-encoding",
        "upgrade",
        "content-length",
        "content-type",
        "content-encoding",
        "content-range",
        "expect",
        "range",
        "if-range",
        "accept",
        "accept-encoding",
        "cookie",
        "forwarded",
        "via",
        "http2-settings",
    ]
)


def is_of_the_connection(header: str) -> bool:
    """Whether nobody but the transport may set a header."""
    name = header.lower()
    return name in _OF_THE_CONNECTION or name.startswith(("proxy-", "x-forwarded-", ":"))


def _header(value: str) -> str:
    if not re.fullmatch(r"[A-Za-z0-9!#$%&'*+.^_`|~-]+", value):
        raise complaint("must be the name of a header", "such as `api-key`")
    if is_of_the_connection(value):
        raise complaint(f"cannot be `{value[:40]}`, which belongs to the connection", "such as `api-key`")
    return value


def _header_text(value: str) -> str:
    if not value.strip() or not value.isascii() or not value.isprintable():
        raise complaint("must be one line of plain ASCII text", "remove line breaks, and write other letters as %XX")
    return value


def listed(value: Any) -> Any:
    return value if value is None or isinstance(value, list) else [value]


# Annotated types: what pydantic checks, and what the JSON Schema says.
_NUMBER_OR_TEXT = {"type": ["string", "number"]}
_DURATION_SCHEMA = {"type": "string", "pattern": "^[0-9]{1,9}[mhd]$", "examples": ["24h", "7d"]}
_NAME_PATTERN = f"^{NAME.pattern.removesuffix(chr(92) + 'Z')}$"

GIVEN = BeforeValidator(_given)  # it may be left out, but not be empty
Maybe = Annotated[T | None, GIVEN]
RawText = Annotated[str, BeforeValidator(_text_of), WithJsonSchema(_NUMBER_OR_TEXT)]
Text = Annotated[str, AfterValidator(_not_blank), BeforeValidator(_text_of), WithJsonSchema(_NUMBER_OR_TEXT)]
Name = Annotated[
    str,
    AfterValidator(_name),
    BeforeValidator(_text_of),
    WithJsonSchema({"type": ["string", "number"], "pattern": _NAME_PATTERN, "maxLength": MAX_NAME_CHARS}),
]
Key = Annotated[str, StringConstraints(pattern=_NAME_PATTERN, max_length=MAX_NAME_CHARS)]
Hours = Annotated[int, BeforeValidator(hours_of), WithJsonSchema(_DURATION_SCHEMA)]
Age = Annotated[int, BeforeValidator(age_of), WithJsonSchema({**_DURATION_SCHEMA, "examples": ["0d", "30d"]})]
Span = Annotated[
    int,
    BeforeValidator(seconds_of),
    WithJsonSchema({"type": "string", "pattern": "^[0-9]{1,9}[smhd]$", "examples": ["6h", "90m"]}),
]
HoursOrDuration = Annotated[
    int,
    Field(ge=1),
    BeforeValidator(_hours_or_duration),
    WithJsonSchema({"anyOf": [_DURATION_SCHEMA, {"type": "integer", "minimum": 1}]}),
]
Endpoint = Annotated[
    str, BeforeValidator(_endpoint), WithJsonSchema({"enum": [*ENDPOINT_NAMES, *ENDPOINTS], "default": "chat"})
]
Count = Annotated[int, Field(ge=1), BeforeValidator(_whole)]
Whole = Annotated[int, Field(ge=0), BeforeValidator(_whole)]
Integer = Annotated[int, BeforeValidator(_whole)]
Parallelism = Annotated[int, Field(ge=1, le=64), BeforeValidator(_whole)]
Attempts = Annotated[int, Field(ge=1, le=MAX_ATTEMPTS), BeforeValidator(_whole)]
Money = Annotated[float, Field(ge=0, allow_inf_nan=False)]
Seconds = Annotated[float, Field(ge=0, allow_inf_nan=False)]
Share = Annotated[float, Field(ge=0, le=1, allow_inf_nan=False)]
JsonMap = Annotated[dict[str, Any], BeforeValidator(plain)]
TextList = Annotated[list[Text], Field(min_length=1)]
NameList = Annotated[list[Name], Field(min_length=1)]
Texts = Annotated[list[Text], Field(min_length=1), Before(listed, lambda: Text | TextList)]
Names = Annotated[list[Name], Field(min_length=1), Before(listed, lambda: Name | NameList)]
HeaderText = Annotated[str, AfterValidator(_header_text)]
BaseUrl = Annotated[str, AfterValidator(_base_url)]
Delimiter = Annotated[str, AfterValidator(_delimiter)]
EnvName = Annotated[str, AfterValidator(_env_name)]
ApiPath = Annotated[str, AfterValidator(_api_path)]
Header = Annotated[str, AfterValidator(_header)]
