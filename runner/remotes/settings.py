"""Settings that more than one kind of remote has, as `overrides` of a provider block write them."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from runner.fields import Count, Fields, HoursOrDuration, Maybe, Share, Whole


class LimitFields(Fields):
    """What one input may hold."""

    lines: Maybe[Count] = None
    bytes: Maybe[Count] = None
    line_bytes: Maybe[Whole] = Field(default=None, description="0: no limit of its own")
    margin: Maybe[Share] = Field(default=None, description="batches are cut at this part of the bytes")


class WindowFields(Fields):
    """Completion windows: the one that is taken where a job says nothing, and those that can be asked for."""

    default: Maybe[HoursOrDuration] = None
    allowed: Maybe[Annotated[list[HoursOrDuration], Field(min_length=1)]] = None
