"""What each kind of provider takes: addresses, overrides, options and params of models, roles of messages."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any
from urllib.parse import urlsplit

from runner.fields import ENDPOINT_NAMES, Maybe
from runner.job.project import Prompt
from runner.spec import forms
from runner.spec.declared import Entry, Part, part_of
from runner.spec.model import ModelSpec, ProviderSpec
from runner.spec.nodes import Mapping as MappingNode
from runner.spec.options import UNSPECIFIED, AudioOptions, FireworksOptions, FireworksParams
from runner.spec.overrides import AudioOverrides, FireworksOverrides, ProfileOverrides
from runner.spec.problems import Problems

EMBEDDED, FIREWORKS, FIREWORKS_AUDIO = "embedded", "fireworks", "fireworks-audio"
HEARING = (FIREWORKS_AUDIO, EMBEDDED)  # kinds that take recordings
ENDPOINT_IDS = {"whisper-v3": "audio-prod", "whisper-v3-turbo": "audio-turbo"}  # by model
_ORIGINS = (FIREWORKS, FIREWORKS_AUDIO)  # kinds whose `base_url` has no path
_WRITTEN_BY_US = ("model", "messages", "input", "prompt", "stream")
_WRITTEN_INTO_FORMS = ("model", "file")
_ROLES = {FIREWORKS: ("system", "user", "assistant", "tool")}
_NEAR_ROLES = {"developer": "system"}


class _OpenAIProvider(Part):
    overrides: Maybe[ProfileOverrides] = None


class _FireworksProvider(Part):
    overrides: Maybe[FireworksOverrides] = None


class _AudioProvider(Part):
    overrides: Maybe[AudioOverrides] = None


class _AudioModel(Part):
    options: Maybe[AudioOptions] = None


class _FireworksModel(Part):
    params: Maybe[FireworksParams] = None
    options: Maybe[FireworksOptions] = None


_PROVIDERS: Mapping[str, type[Part]] = {
    "openai": _OpenAIProvider,
    FIREWORKS: _FireworksProvider,
    FIREWORKS_AUDIO: _AudioProvider,
}
_MODELS: Mapping[str, type[Part]] = {FIREWORKS: _FireworksModel, FIREWORKS_AUDIO: _AudioModel}


def overrides_of(entry: Entry, kind: str, problems: Problems) -> dict[str, Any] | None:
    """What a provider's block says against its profile, or None after a problem."""
    spec: ProviderSpec = entry.spec
    if spec.overrides is None:
        return {}
    found = part_of(entry, _PROVIDERS[kind], problems)
    return None if found is None else dict(found["overrides"])


def check_provider(entry: Entry, kind: str, problems: Problems) -> bool:
    """Whether a block holds only what means something to its kind, and an address of the right form."""
    spec: ProviderSpec = entry.spec
    means_nothing = {
        EMBEDDED: tuple(ProviderSpec.model_fields.keys() - {"kind"}),
        FIREWORKS: ("profile",),
        FIREWORKS_AUDIO: ("profile",),
    }
    extra = [name for name in means_nothing.get(kind, ()) if getattr(spec, name) is not None]
    for name in extra:
        message = f"`{name}` has no meaning for the {kind} {entry.subject}"
        problems.error(entry.key_mark(name), message, "remove the line")
    return not extra and (spec.base_url is None or _check_path(entry, spec.base_url, kind, problems))


def _check_path(entry: Entry, base_url: str, kind: str, problems: Problems) -> bool:
    parts = urlsplit(base_url)
    has_path = bool(parts.path.strip("/"))
    if has_path is (kind not in _ORIGINS):
        return True
    wrong, better = "must end with the path of the API", f"{base_url}/v1"
    if has_path:
        wrong, better = "must be without a path", f"{parts.scheme}://{parts.netloc}"
    problems.error(entry.value_mark("base_url"), f"`base_url` of {entry.subject} {wrong}", f"write `{better}`")
    return False


def options_of(entry: Entry, kind: str, problems: Problems) -> dict[str, Any] | None:
    """What a model says to its provider alone, or None after a problem with it, its params or its endpoint."""
    spec: ModelSpec = entry.spec
    if kind not in _MODELS:
        if spec.options is None:
            return {}
        message = f"`options` of {entry.subject} mean nothing to provider `{spec.provider}`"
        problems.error(
            entry.key_mark("options"), message, "remove them, or put what is sent with a request in `params`"
        )
        return None
    has_batches = _check_endpoint(entry, kind, problems)
    found = part_of(entry, _MODELS[kind], problems)
    if found is None or not has_batches:
        return None
    options = dict(found.get("options", {}))
    if kind == FIREWORKS_AUDIO:
        return _audio_options(entry, options, problems)
    if options.get("precision") == UNSPECIFIED:
        del options["precision"]  # it says the same as no precision at all
    return options


def _audio_options(entry: Entry, options: dict[str, Any], problems: Problems) -> dict[str, Any] | None:
    """With the endpoint that runs the model, or None after a problem with that or with the form."""
    spec: ModelSpec = entry.spec
    is_sound = forms.form_of(entry, None, problems) is not None
    endpoint_id = options.get("endpoint_id") or ENDPOINT_IDS.get(spec.name)
    if endpoint_id is None:
        near = problems.nearest(spec.name, ENDPOINT_IDS)
        hint = "say so with `options: {endpoint_id: ...}`"
        if near:
            hint = f"did you mean `{near}`? If not, {hint}"
        problems.error(
            entry.value_mark("name"), f"no endpoint is known for `{spec.name[:60]}`, the name of {entry.subject}", hint
        )
        return None
    return {**options, "endpoint_id": endpoint_id} if is_sound else None


def check_params(entry: Entry, kind: str, problems: Problems) -> bool:
    """Whether a model leaves alone what runner itself writes. Not all of it is known before a job uses the model."""
    ours = _WRITTEN_INTO_FORMS if kind == FIREWORKS_AUDIO else _WRITTEN_BY_US
    return check_written_by_us(entry, [name for name in ours if name != "prompt" or kind != EMBEDDED], problems)


def check_written_by_us(entry: Entry, names: Iterable[str], problems: Problems) -> bool:
    params = entry.value("params")
    if not isinstance(params, MappingNode):
        return True
    found = [name for name in names if name in params.entries]
    for name in found:
        hint = "a batch cannot stream" if name == "stream" else "runner writes it into every request"
        problems.error(params.key(name).mark, f"`params` of {entry.subject} cannot set `{name}`", hint)
        problems.silence(params.key(name).mark)
    return not found


def _check_endpoint(entry: Entry, kind: str, problems: Problems) -> bool:
    spec: ModelSpec = entry.spec
    if kind == FIREWORKS_AUDIO and spec.endpoint is not None:
        message = f"`endpoint` has no meaning for {entry.subject}, which takes recordings"
        problems.error(entry.key_mark("endpoint"), message, "remove the line; `task` of a job says what is done")
        return False
    if spec.endpoint in (None, ENDPOINT_NAMES["chat"]):
        return True
    message = f"{entry.subject}: provider `{spec.provider}` has no batches for `{spec.endpoint}`"
    problems.error(entry.value_mark("endpoint"), message, "it has batches for `chat` only")
    return False


def check_roles(prompt: Prompt, provider: str, kind: str, problems: Problems) -> bool:
    """Whether a provider takes every message: one that it does not would fail the whole batch."""
    known = _ROLES.get(kind)
    strange = [message for message in prompt.messages if known and message.role not in known]
    for message in strange:
        words = f"prompt `{prompt.key}` has a message of role `{message.role}`, which provider `{provider}` refuses"
        problems.error(message.role_mark, words, f"write `{_NEAR_ROLES.get(message.role, 'user')}`")
    return not strange
