"""The facts of the remote that may change, as data: addresses, limits, windows. A spec's `overrides` are merged in.

Source: contract of datasets and batch inference jobs, sections 1, 3, 5 and 9, read 2026-11-21.
"""

from __future__ import annotations

from typing import Any

import msgspec

from runner.job.capabilities import Capabilities, Limits, Search, Windows
from runner.job.project import Provider
from runner.remotes.vendor import overridden

CHAT = "/v1/chat/completions"
BASE_URL = "https://api.fireworks.ai"
BASE_URL_ENV = "FIREWORKS_BASE_URL"
STORAGE_HOSTS = ("storage.googleapis.com", ".storage.googleapis.com", ".fireworks.ai")  # that signed URLs may name
HOSTS = (".fireworks.ai",)  # where its key goes by itself; regions and audio have names of their own below it
KEY_ENV = "FIREWORKS_API_KEY"
ACCOUNT_ENV = "FIREWORKS_ACCOUNT_ID"


class Window(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Hours."""

    default: int = 24
    allowed: tuple[int, ...] = (12, 24, 48, 72)


class DatasetLimits(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Of one input dataset, and of its answers. The guides say 500 MB, 1 GB and 80 GiB, by age."""

    lines: int = 50_000_000  # the cap of an official SDK
    bytes: int = 1_000_000_000
    line_bytes: int = 0
    margin: float = 0.95
    output_bytes: int = 8_000_000_000  # beyond it a job may expire early


class Profile(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """One remote that speaks this API."""

    window: Window = Window()
    limits: DatasetLimits = DatasetLimits()
    upload_bytes: int = 140_000_000  # larger files go in parts to signed URLs; the form takes 150 MB in all
    part_bytes: int = 128_000_000
    ready_s: float = 600.0  # for a dataset to become READY after its last byte
    storage_hosts: tuple[str, ...] = ()  # more hosts that signed URLs may name; `.example.com` covers those below it
    min_poll_s: float = 10.0
    max_poll_s: float = 120.0
    settle_s: float = 5.0
    defer_s: float = 60.0
    absence_s: float = 300.0  # over which 404s after a receipt mean that a batch is not there
    late_s: float = 180.0  # after its end was first seen, until a batch has named its result files
    discount: float = 0.5  # off the synchronous price


def profile_of(provider: Provider) -> Profile:
    """The defaults with the block's overrides merged in. Raises SpecError at the block's place."""
    return overridden(Profile(), provider, _fault_in)


def capabilities_of(profile: Profile) -> Capabilities:
    """The card: what shared code reads instead of a vendor's name."""
    return Capabilities(
        search=Search.BY_NAME,
        knows_system_prompt=True,
        endpoints=(CHAT,),
        windows=Windows(default=profile.window.default, allowed=profile.window.allowed),
        limits=Limits(
            lines=profile.limits.lines,
            size_bytes=int(profile.limits.bytes * profile.limits.margin),
            line_bytes=profile.limits.line_bytes,
            output_bytes=profile.limits.output_bytes,
        ),
        can_resume=True,
        can_revoke=True,
        settle_seconds=profile.settle_s,
        defer_seconds=profile.defer_s,
        absence_seconds=profile.absence_s,
        late_seconds=profile.late_s,
        min_poll_seconds=profile.min_poll_s,
        max_poll_seconds=max(profile.min_poll_s, profile.max_poll_s),
        price_factor=1 - profile.discount,
    )


def _fault_in(profile: Profile) -> str | None:
    """Values of the right type that still mean nothing."""
    sizes: tuple[Any, ...] = (
        profile.limits.lines,
        profile.limits.bytes,
        profile.limits.output_bytes,
        profile.upload_bytes,
        profile.part_bytes,
        profile.ready_s,
    )
    times = (profile.min_poll_s, profile.settle_s, profile.defer_s, profile.absence_s, profile.late_s)
    faults = {
        "sizes and `ready_s` must be positive": min(sizes) <= 0,
        "`limits.margin` must be above 0 and at most 1": not 0 < profile.limits.margin <= 1,
        "`window.allowed` is empty": not profile.window.allowed,
        "`discount` must be from 0 to 1": not 0 <= profile.discount <= 1,
        "times must not be negative": min(times) < 0,
        "`storage_hosts` holds something that is no host": not all(
            host.strip(".") and "/" not in host and ":" not in host for host in profile.storage_hosts
        ),
    }
    return next((fault for fault, is_so in faults.items() if is_so), None)
