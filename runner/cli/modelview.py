"""What `runner models list` shows, as data: text and JSON are drawn from the same view."""

from __future__ import annotations

import msgspec

from runner.cli import voice

VERSION = 1


class Model(msgspec.Struct, frozen=True):
    name: str  # as `name:` of a model in the specs has it
    about: str  # what it is, and its licence
    extra: str = ""  # of the distribution: what it runs on; empty where it needs none
    is_installed: bool = True  # what it runs on
    is_pulled: bool = True  # its weights are here, or it has none
    size_bytes: int = 0  # of its weights

    @property
    def state(self) -> str:
        if not self.is_pulled:
            return "not pulled"
        return "ready" if self.is_installed else "no runtime"


class ModelsView(msgspec.Struct, frozen=True):
    version: int
    models: tuple[Model, ...]  # each that the embedded server knows


def text_of(view: ModelsView) -> str:
    """A line a model, in columns."""
    wide = max(len(one.name) for one in view.models)
    return "\n".join(f"{one.name:<{wide}}  {one.state:<10}  {', '.join(_told(one))}" for one in view.models)


def _told(one: Model) -> list[str]:
    size = [voice.size(one.size_bytes)] if one.size_bytes else []
    return [one.about, *size, *([f"extra `{one.extra}`"] if one.extra else [])]
