"""What each kind of provider takes, as its vendor declares it: addresses, overrides, options, params, roles."""

from __future__ import annotations

from collections.abc import Iterable
from functools import cache
from typing import Annotated, Any
from urllib.parse import urlsplit

from pydantic import create_model

from runner.fields import ENDPOINT_NAMES, GIVEN, Fields
from runner.job.project import Prompt, Provider
from runner.remotes.registry import declared_by
from runner.remotes.vendor import Content, Declared
from runner.spec import forms
from runner.spec.declared import Entry, Part, part_of
from runner.spec.model import ModelSpec, ProviderSpec
from runner.spec.nodes import Mapping as MappingNode
from runner.spec.problems import Problems

_NEAR_ROLES = {"developer": "system"}


def of(provider: Provider) -> Declared:
    """What may be said of a provider's kind."""
    return declared_by()[provider.kind]


def takes(provider: Provider, content: Content) -> bool:
    """Whether a provider's requests may be made of this."""
    return content in of(provider).content


def with_profile(profile: str) -> str:
    """The kind that has a look-alike of this name."""
    return next(kind for kind, declared in declared_by().items() if profile in declared.profiles)


@cache
def _part(**fields: type[Fields]) -> type[Part]:
    """Some fields of an entry, each a mapping that a vendor declares."""
    wanted: dict[str, Any] = {name: (Annotated[kind | None, GIVEN], None) for name, kind in fields.items()}
    return create_model("Part", __base__=Part, **wanted)


def overrides_of(entry: Entry, kind: str, problems: Problems) -> dict[str, Any] | None:
    """What a provider's block says against its profile, or None after a problem."""
    spec: ProviderSpec = entry.spec
    overrides = declared_by()[kind].overrides
    if spec.overrides is None or overrides is None:
        return {}
    found = part_of(entry, _part(overrides=overrides), problems)
    return None if found is None else dict(found["overrides"])


def check_provider(entry: Entry, kind: str, problems: Problems) -> bool:
    """Whether a block holds only what means something to its kind, and an address of the right form."""
    spec: ProviderSpec = entry.spec
    declared = declared_by()[kind]
    means_nothing: tuple[str, ...] = () if declared.profiles else ("profile",)
    if not declared.is_configurable:
        means_nothing = tuple(ProviderSpec.model_fields.keys() - {"kind"})
    extra = [name for name in means_nothing if getattr(spec, name) is not None]
    for name in extra:
        message = f"`{name}` has no meaning for the {kind} {entry.subject}"
        problems.error(entry.key_mark(name), message, "remove the line")
    return not extra and (spec.base_url is None or _check_path(entry, spec.base_url, declared, problems))


def _check_path(entry: Entry, base_url: str, declared: Declared, problems: Problems) -> bool:
    parts = urlsplit(base_url)
    has_path = bool(parts.path.strip("/"))
    if has_path is declared.url_has_path:
        return True
    wrong, better = "must end with the path of the API", f"{base_url}/v1"
    if has_path:
        wrong, better = "must be without a path", f"{parts.scheme}://{parts.netloc}"
    problems.error(entry.value_mark("base_url"), f"`base_url` of {entry.subject} {wrong}", f"write `{better}`")
    return False


def options_of(entry: Entry, kind: str, problems: Problems) -> dict[str, Any] | None:
    """What a model says to its provider alone, or None after a problem with it, its params or its endpoint."""
    spec: ModelSpec = entry.spec
    declared = declared_by()[kind]
    if declared.options is None:
        if spec.options is None:
            return {}
        message = f"`options` of {entry.subject} mean nothing to provider `{spec.provider}`"
        problems.error(
            entry.key_mark("options"), message, "remove them, or put what is sent with a request in `params`"
        )
        return None
    has_batches = _check_endpoint(entry, declared, problems)
    parts = {"options": declared.options} | ({"params": declared.params} if declared.params else {})
    found = part_of(entry, _part(**parts), problems)
    if found is None or not has_batches:
        return None
    options = dict(declared.options_of(spec.name, found.get("options", {})))
    return _of_recordings(entry, declared, options, problems) if Content.TEXT not in declared.content else options


def _of_recordings(
    entry: Entry, declared: Declared, options: dict[str, Any], problems: Problems
) -> dict[str, Any] | None:
    """With the endpoint that runs the model, or None after a problem with that or with the form."""
    spec: ModelSpec = entry.spec
    assert declared.form is not None, "what takes recordings declares their form"
    is_sound = forms.form_of(entry, declared.form, None, problems) is not None
    known = declared.form.endpoint_ids
    endpoint_id = options.get("endpoint_id") or known.get(spec.name)
    if endpoint_id is None:
        near = problems.nearest(spec.name, known)
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
    return check_written_by_us(entry, declared_by()[kind].written if kind else Declared.written, problems)


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


def _check_endpoint(entry: Entry, declared: Declared, problems: Problems) -> bool:
    spec: ModelSpec = entry.spec
    if Content.TEXT not in declared.content:
        if spec.endpoint is None:
            return True
        message = f"`endpoint` has no meaning for {entry.subject}, which takes recordings"
        problems.error(entry.key_mark("endpoint"), message, "remove the line; `task` of a job says what is done")
        return False
    if spec.endpoint is None or not declared.endpoints or spec.endpoint in declared.endpoints:
        return True
    names = ", ".join(f"`{name}`" for name, path in ENDPOINT_NAMES.items() if path in declared.endpoints)
    message = f"{entry.subject}: provider `{spec.provider}` has no batches for `{spec.endpoint}`"
    problems.error(entry.value_mark("endpoint"), message, f"it has batches for {names} only")
    return False


def check_roles(prompt: Prompt, provider: Provider, problems: Problems) -> bool:
    """Whether a provider takes every message: one that it does not would fail the whole batch."""
    known = of(provider).roles
    strange = [message for message in prompt.messages if known and message.role not in known]
    for message in strange:
        words = (
            f"prompt `{prompt.key}` has a message of role `{message.role}`, which provider `{provider.name}` refuses"
        )
        problems.error(message.role_mark, words, f"write `{_NEAR_ROLES.get(message.role, 'user')}`")
    return not strange
