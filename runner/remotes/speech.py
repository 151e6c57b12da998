"""Fields of the form that goes with a recording, for remotes that run Whisper.

Source: Fireworks "Transcribe audio" and the types of the official SDKs (read 2026-11-21).
"""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BeforeValidator, Field, WithJsonSchema

from runner.fields import Share, complaint, listed

LANGUAGES = frozenset(
    (  # noqa: SIM905  # a list of a hundred lines says no more
        "en zh de es ru ko fr ja pt tr pl ca nl ar sv it id hi fi vi he uk el ms cs ro da hu ta no th ur hr bg lt la mi"
        " ml cy sk te fa lv bn sr az sl kn et mk br eu is hy ne mn bs kk sq sw gl mr pa si km sn yo so af oc ka be tg"
        " sd gu am yi lo uz fo ht ps tk nn mt sa lb my bo tl mg as tt haw ln ha ba jw su yue zh-hant zh-hans"
    ).split()
)


def _language(value: str) -> str:
    if value not in LANGUAGES:
        near = next((code for code in (value.casefold(), value[:2].casefold()) if code in LANGUAGES), None)
        hint = f"did you mean `{near}`?" if near else "languages are written as in ISO 639-1"
        raise complaint("must be a language code such as `en`, `de` or `zh-hans`", hint)
    return value


def _at_commas(value: Any) -> Any:
    return [part.strip() for part in value.split(",")] if isinstance(value, str) else value


Granularities = Annotated[list[Literal["word", "segment"]], Field(min_length=1), BeforeValidator(_at_commas)]
Temperatures = Annotated[list[Share], Field(min_length=1), BeforeValidator(listed)]
Language = Annotated[str, AfterValidator(_language), WithJsonSchema({"enum": sorted(LANGUAGES)})]
