"""What more than one of the models holds."""

from __future__ import annotations

from typing import Any

from pydantic import Field

from runner.fields import Count, Fields, Maybe, Text, Whole


def as_written(value: Any) -> Any:
    """For what is read elsewhere, since its form is not known yet, or its place is wanted."""
    return value


class SampleSpec(Fields):
    """Some rows only; the same ones every time."""

    rows: Count = Field(description="how many, at most")
    seed: Maybe[Whole] = Field(default=None, description="another number chooses other rows; 0 where nothing is said")


class FileSpec(Fields):
    """What lies in a file below the project root."""

    file: Text = Field(description="its path")
