"""What specs may say about an OpenAI-style remote, its look-alikes and their models."""

from __future__ import annotations

from runner.job.capabilities import Content
from runner.job.project import ProviderBlock
from runner.remotes.openai.params import LOOK_ALIKE, OPENAI
from runner.remotes.openai.profiles import PROFILES, Profile, has_openais_models
from runner.remotes.overrides import overrides_of
from runner.remotes.params import Params
from runner.remotes.vendor import Declared

KIND = "openai"
LOOK_ALIKES = tuple(name for name in PROFILES if name != KIND)  # by profile


def _known_params(block: ProviderBlock, endpoint: str) -> Params:
    return (OPENAI if has_openais_models(block) else LOOK_ALIKE).get(endpoint, {})


DECLARED = Declared(
    has_online=True,
    content=frozenset({Content.TEXT}),
    overrides=overrides_of(Profile, "ProfileOverrides"),
    profiles=LOOK_ALIKES,
    known_params=_known_params,
    needs_schema_name=has_openais_models,
    example_urls={
        "": "https://api.example.com/v1",
        "azure": "https://RESOURCE.openai.azure.com/openai/v1",
    },
    example_models={KIND: "gpt-4.1-nano"},
)
