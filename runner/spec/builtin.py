"""The providers a spec can name without declaring them."""

from __future__ import annotations

from typing import get_args

from runner.job.project import Provider
from runner.spec.model import ProfileName

PROFILES: tuple[str, ...] = get_args(ProfileName)
BUILT_IN: dict[str, Provider] = {
    "embedded": Provider("embedded", "embedded"),
    "openai": Provider("openai", "openai"),
    "fireworks": Provider("fireworks", "fireworks"),
    "fireworks-audio": Provider("fireworks-audio", "fireworks-audio"),
    **{name: Provider(name, "openai", profile=name) for name in PROFILES},
}
