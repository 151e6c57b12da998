"""The facts of the audio batch API that may change, as data. A spec's `overrides` are merged in.

Source: Fireworks "Create Batch Request", "Check Batch Status", "Transcribe audio" and the Batch API notebook, which
names another host (read 2026-11-21).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Literal

from runner.job.capabilities import Capabilities, Content, Delivery, Limits, Search, Windows
from runner.job.project import ProviderBlock
from runner.remotes.profile import Pace, overridden
from runner.remotes.written import Choice, Count, Parallelism, Seconds, Share, told

TRANSCRIPTIONS = "/v1/audio/transcriptions"
TRANSLATIONS = "/v1/audio/translations"
BASE_URL = "https://audio-batch.api.fireworks.ai"
BASE_URL_ENV = "FIREWORKS_AUDIO_BASE_URL"
KEY_ENV = "FIREWORKS_API_KEY"
HOSTS = (".fireworks.ai",)  # where its key goes by itself
ACCOUNT_ENV = "FIREWORKS_ACCOUNT_ID"
_MOST_RECORDINGS = 10_000_000  # of one calls batch; the remote knows no batches and has no limit
_NO_LIMIT = 1 << 62


class Profile(Pace, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """How a remote that takes recordings differs from what is known of it."""

    auth_scheme: Annotated[Choice[Literal["raw", "bearer"]], told("raw: the bare key")] = (
        "raw"  # the documents send the bare key, without `Bearer`
    )
    max_bytes: Annotated[Count, told("bytes of one recording, at most")] = 1_000_000_000
    parallelism: Annotated[Parallelism, told("recordings sent at once")] = 8
    min_poll_s: Annotated[Seconds, told("seconds between two looks at a recording, at first")] = 10.0
    discount: Annotated[Share, told("share off the listed price: 0.5 is half of it")] = 0.4

    def faults(self) -> Mapping[str, bool]:
        return {
            **super().faults(),
            "`max_bytes` and `parallelism` must be positive": min(self.max_bytes, self.parallelism) <= 0,
            "`parallelism` must be at most 64": self.parallelism > 64,
        }


def profile_of(provider: ProviderBlock) -> Profile:
    """The defaults with the block's overrides merged in. Raises SpecError at the block's place."""
    return overridden(Profile(), provider)


def capabilities_of(profile: Profile, *, is_free: bool = False) -> Capabilities:
    """The card: what shared code reads instead of a vendor's name. A line of `limits` is a recording."""
    card = Capabilities(
        search=Search.NONE,
        content=Content.RECORDING,
        delivery=Delivery.CALLS,
        endpoints=(TRANSCRIPTIONS, TRANSLATIONS),
        windows=Windows(),
        limits=Limits(lines=_MOST_RECORDINGS, size_bytes=_NO_LIMIT, line_bytes=profile.max_bytes),
        is_free=is_free,
        consistency_seconds=0.0,
    )
    return profile.on_card(card)
