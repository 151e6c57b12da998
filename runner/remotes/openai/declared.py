"""What specs may say about an OpenAI-style remote, its look-alikes and their models."""

from __future__ import annotations

from urllib.parse import urlsplit

from runner.job.capabilities import Content
from runner.job.project import ProviderBlock
from runner.remotes.openai.params import LOOK_ALIKE, OPENAI
from runner.remotes.openai.profiles import PROFILES, Profile
from runner.remotes.overrides import overrides_of
from runner.remotes.params import Params
from runner.remotes.vendor import Declared

KIND = "openai"
LOOK_ALIKES = tuple(name for name in PROFILES if name != KIND)  # by profile


def _is_openais(block: ProviderBlock) -> bool:
    """Whether the models are OpenAI's own, whoever hosts them: they refuse what they do not know."""
    if block.profile:
        return block.profile == "azure"
    return block.base_url is None or (urlsplit(block.base_url).hostname or "").endswith("api.openai.com")


def _known_params(block: ProviderBlock, endpoint: str) -> Params:
    return (OPENAI if _is_openais(block) else LOOK_ALIKE).get(endpoint, {})


DECLARED = Declared(
    content=frozenset({Content.TEXT}),
    overrides=overrides_of(Profile, "ProfileOverrides"),
    profiles=LOOK_ALIKES,
    known_params=_known_params,
    needs_schema_name=_is_openais,
    example_urls={
        "": "https://api.example.com/v1",
        "azure": "https://RESOURCE.openai.azure.com/openai/v1",
    },
    example_models={KIND: "gpt-4.1-nano"},
)
