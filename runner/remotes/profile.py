"""What the profiles of all vendors have in common: times, prices, limits, and how a block's overrides are merged in.

A profile of a vendor is a struct that inherits from these. Its facts are written once: `overrides` makes of them what
specs may say, `on_card` the capabilities that shared code reads.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, TypeVar, cast

import msgspec
from msgspec.structs import replace

from runner.job.capabilities import MESSAGE_CHARS, Capabilities, Limits
from runner.job.content import ImageTokens, PartLimits
from runner.job.project import ProviderBlock
from runner.remotes.written import Characters, Count, Seconds, Share, Texts, Whole, Words, told


class Pace(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """How often a remote is asked, and its prices."""

    min_poll_s: Annotated[Seconds, told("seconds between two looks at a batch, at first")] = 5.0
    max_poll_s: Annotated[Seconds, told("seconds between two looks at a batch, in the end")] = 60.0
    defer_s: Annotated[
        Seconds, told("seconds before a create that was put off is tried again; twice as many each time")
    ] = 60.0
    discount: Annotated[Share, told("share off the listed price: 0.5 is half of it")] = 0.5

    def on_card(self, card: Capabilities) -> Capabilities:
        """A card with what is said here."""
        return replace(
            card,
            defer_seconds=self.defer_s,
            min_poll_seconds=self.min_poll_s,
            max_poll_seconds=max(self.min_poll_s, self.max_poll_s),
            price_factor=1 - self.discount,
        )

    def faults(self) -> Mapping[str, bool]:
        """Values of the right type that still mean nothing, in words; whether it is so here."""
        times = (value for name, value in msgspec.structs.asdict(self).items() if name.endswith("_s"))
        return {
            "`discount` must be from 0 to 1": not 0 <= self.discount <= 1,
            "times must not be negative": min(times) < 0,
        }


class BatchPace(Pace, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """The same of a remote that has batches of its own, and files."""

    storage_hosts: Annotated[Texts, told("that a download may lead to, beside its own host")] = ()  # `.x` for all below
    settle_s: Annotated[Seconds, told("seconds until a new batch stands in the list")] = 10.0
    absence_s: Annotated[Seconds, told("seconds of 404s after a receipt that mean that a batch is not there")] = 300.0
    late_s: Annotated[Seconds, told("seconds that an ended batch may take to name its result files")] = 180.0

    def on_card(self, card: Capabilities) -> Capabilities:
        return replace(
            super().on_card(card),
            consistency_seconds=self.settle_s,
            absence_seconds=self.absence_s,
            late_seconds=self.late_s,
        )

    def faults(self) -> Mapping[str, bool]:
        are_hosts = all(host.strip(".") and "/" not in host and ":" not in host for host in self.storage_hosts)
        return {**super().faults(), "`storage_hosts` holds something that is not a host": not are_hosts}


class Tiles(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """How many tokens a picture is: `base`, and `tile` for each square that covers it. 0: nobody says."""

    base: Annotated[Whole, told("of every picture; 0: not known")] = 0
    tile: Annotated[Whole, told("of each square")] = 0
    tile_px: Annotated[Count, told("pixels along the side of a square")] = 512
    fit_px: Annotated[Count, told("a picture is first made to fit into a square of so many pixels")] = 2048
    short_px: Annotated[Count, told("then its shorter side is made so short")] = 768


class PartFields(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Of files inside of a request. Kinds of which no type is taken are refused; bytes are those of the files, before
    they are encoded.

    Sources: OpenAI "Images and vision" (types, 20 MB a picture, 500 pictures and 50 MB a request) and "File inputs"
    (types, 50 MB a request), read 2026-11-30; types of recordings: openai 3.57.0,
    `types/chat/chat_completion_content_part_input_audio_param.py`; bytes of a recording: not known, taken as a
    picture's.
    """

    image_types: Annotated[Words, told("media types of pictures that are taken")] = PartLimits().image_types
    image_bytes: Annotated[Count, told("bytes of one picture, at most")] = PartLimits().image_bytes
    images: Annotated[Count, told("pictures of one request, at most")] = PartLimits().images
    file_types: Annotated[Words, told("media types of documents that are taken")] = PartLimits().file_types
    file_bytes: Annotated[Count, told("bytes of one document, at most")] = PartLimits().file_bytes
    audio_types: Annotated[Words, told("media types of recordings that are taken")] = PartLimits().audio_types
    audio_bytes: Annotated[Count, told("bytes of one recording, at most")] = PartLimits().audio_bytes
    request_bytes: Annotated[Count, told("bytes of all files of one request, at most")] = PartLimits().request_bytes
    image_tokens: Annotated[Tiles, told("how many tokens a picture is taken for")] = Tiles()

    def on_card(self) -> PartLimits:
        return PartLimits(**(msgspec.structs.asdict(self) | {"image_tokens": self._tokens()}))

    def _tokens(self) -> ImageTokens:
        return ImageTokens(**msgspec.structs.asdict(self.image_tokens))


class InputLimits(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Of a file or a dataset. Batches are cut at `margin` of the bytes."""

    lines: Annotated[Count, told("requests, at most")] = 50_000
    bytes: Annotated[Count, told("bytes, at most")] = 200_000_000
    line_bytes: Annotated[Whole, told("bytes of one request, at most; 0: no limit of its own")] = 0
    message_chars: Annotated[Characters, told("characters of one message, at most")] = MESSAGE_CHARS
    margin: Annotated[Share, told("batches are cut at this part of the bytes")] = 0.95
    parts: Annotated[PartFields, told("of pictures, documents and recordings inside of a request")] = PartFields()

    def of_batch(self, output_bytes: int = 0) -> Limits:
        """The same on a card. output_bytes: of all answers together; 0: no limit."""
        return Limits(
            lines=self.lines,
            size_bytes=int(self.bytes * self.margin),
            line_bytes=self.line_bytes,
            message_chars=self.message_chars,
            output_bytes=output_bytes,
            parts=self.parts.on_card(),
        )

    def faults(self) -> Mapping[str, bool]:
        return {
            "`limits` must be positive": self.lines < 1 or self.bytes < 1,
            "`limits.margin` must be above 0 and at most 1": not 0 < self.margin <= 1,
        }


P = TypeVar("P", bound=Pace)
_known: dict[bytes, Pace] = {}  # what was merged before: cards and addresses are asked for again and again


def overridden(defaults: P, block: ProviderBlock) -> P:
    """A profile with the block's overrides merged in: maps key by key, everything else is replaced.

    Raises SpecError at the block's place.
    """
    try:
        key = msgspec.json.encode((f"{type(defaults).__module__}", defaults, block.overrides))
        if (known := _known.get(key)) is not None:
            return cast(P, known)
        merged = _merged(msgspec.to_builtins(defaults), block.overrides)
        profile = msgspec.convert(merged, type(defaults), str_keys=True)
    except (msgspec.ValidationError, TypeError) as error:
        raise block.problem(_in_words(error)) from error
    for words, is_so in profile.faults().items():
        if is_so:
            raise block.problem(words)
    _known[key] = profile
    return profile


def _merged(base: Mapping[str, Any], over: Mapping[str, Any]) -> dict[str, Any]:
    out = dict(base)
    for key, value in over.items():
        old = out.get(key)
        out[key] = _merged(old, value) if isinstance(old, Mapping) and isinstance(value, Mapping) else value
    return out


def _in_words(error: Exception) -> str:
    """msgspec's `Expected `int`, got `str` - at `$.limits.lines``, in ours."""
    text, _, place = str(error).partition(" - at `$")
    return f"field {place.strip('.`')}: {text}" if place.strip(".`") else text
