"""The facts of the remote that may change, as data: addresses, limits, windows. A spec's `overrides` are merged in.

Source: contract of datasets and batch inference jobs, sections 1, 3, 5 and 9, read 2026-11-21.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated

import msgspec

from runner.job.capabilities import Capabilities, Search, Windows
from runner.job.project import ProviderBlock
from runner.job.stored import Kept
from runner.remotes.profile import BatchPace, InputLimits, PartFields, overridden
from runner.remotes.written import Count, Hours, HoursList, Seconds, told

CHAT = "/v1/chat/completions"
BASE_URL = "https://api.fireworks.ai"
BASE_URL_ENV = "FIREWORKS_BASE_URL"
STORAGE_HOSTS = ("storage.googleapis.com", ".storage.googleapis.com", ".fireworks.ai")  # that signed URLs may name
HOSTS = (".fireworks.ai",)  # where its key goes by itself; regions and audio have names of their own below it
KEY_ENV = "FIREWORKS_API_KEY"
ACCOUNT_ENV = "FIREWORKS_ACCOUNT_ID"


# Source: Fireworks "Vision models", known limitations: types, 30 pictures, less than 10 MB of base64 in a request, no
# PDF (read 2026-11-30).
_PARTS = PartFields(
    image_types=(
        "image/png",
        "image/jpeg",
        "image/gif",
        "image/bmp",
        "image/tiff",
        "image/x-portable-pixmap",
    ),
    image_bytes=7_499_997,
    images=30,
    request_bytes=7_499_997,
    file_types=(),
    audio_types=(),
)


class Window(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """How long a batch may take, in hours."""

    default: Annotated[Hours, told("where a job says nothing")] = 24
    allowed: Annotated[HoursList, told("those that a job may ask for")] = (12, 24, 48, 72)


class DatasetLimits(InputLimits, frozen=True, forbid_unknown_fields=True):
    """Of one input dataset, and of its answers. The guides say 500 MB, 1 GB and 80 GiB, by age."""

    lines: Annotated[Count, told("requests, at most")] = 50_000_000  # the cap of an official SDK
    bytes: Annotated[Count, told("bytes, at most")] = 1_000_000_000
    parts: Annotated[PartFields, told("of pictures inside of a request")] = _PARTS
    output_bytes: Annotated[Count, told("bytes of all answers of one batch together")] = (
        8_000_000_000  # beyond it, expiry
    )


class Profile(BatchPace, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """How a remote with datasets and batch inference jobs differs from what is known of it."""

    window: Annotated[Window, told("how long a batch may take")] = Window()
    limits: Annotated[DatasetLimits, told("of one dataset, and of its answers")] = DatasetLimits()
    upload_bytes: Annotated[Count, told("bytes; larger files go in parts to signed URLs")] = (
        140_000_000  # a form takes 150 MB
    )
    part_bytes: Annotated[Count, told("bytes of one such part")] = 128_000_000
    ready_s: Annotated[Seconds, told("seconds that a dataset may take to become ready")] = 600.0  # after its last byte
    min_poll_s: Annotated[Seconds, told("seconds between two looks at a batch, at first")] = 10.0
    max_poll_s: Annotated[Seconds, told("seconds between two looks at a batch, in the end")] = 120.0
    settle_s: Annotated[Seconds, told("seconds until a new batch stands in the list")] = 5.0

    def faults(self) -> Mapping[str, bool]:
        sizes = (self.limits.output_bytes, self.upload_bytes, self.part_bytes, self.ready_s)
        return {
            **super().faults(),
            **self.limits.faults(),
            "sizes and `ready_s` must be positive": min(sizes) <= 0,
            "`window.allowed` is empty": not self.window.allowed,
        }


def profile_of(provider: ProviderBlock) -> Profile:
    """The defaults with the block's overrides merged in. Raises SpecError at the block's place."""
    return overridden(Profile(), provider)


def capabilities_of(profile: Profile) -> Capabilities:
    """The card: what shared code reads instead of a vendor's name."""
    card = Capabilities(
        search=Search.BY_NAME,
        knows_system_prompt=True,
        endpoints=(CHAT,),
        windows=Windows(default=profile.window.default, allowed=profile.window.allowed),
        limits=profile.limits.of_batch(profile.limits.output_bytes),
        can_resume=True,
        can_revoke=True,
        deletes=tuple(Kept),
    )
    return profile.on_card(card)
