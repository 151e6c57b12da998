"""What each kind of provider takes, as its vendor declares it: addresses, overrides, options, params, roles."""

from __future__ import annotations

import re
from collections.abc import Iterable
from functools import cache
from typing import Annotated, Any
from urllib.parse import urlsplit

from pydantic import create_model

from runner.fields import ENDPOINT_NAMES, GIVEN, Fields
from runner.job.capabilities import Content
from runner.job.content import PartKind, PartLimits
from runner.job.project import Model, Prompt, ProviderBlock
from runner.remotes.registry import declared_by
from runner.remotes.transport.origins import fault_in, without_call
from runner.remotes.vendor import WRITTEN, Declared
from runner.spec import forms
from runner.spec.declared import Entry, Part, part_of
from runner.spec.model import ModelSpec, ProviderSpec
from runner.spec.nodes import Mapping as MappingNode
from runner.spec.problems import Problems

_NEAR_ROLES = {"developer": "system"}


def of(provider: ProviderBlock) -> Declared:
    """What may be said of a provider's kind."""
    return declared_by()[provider.kind]


def takes(provider: ProviderBlock, content: Content) -> bool:
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
    # checked here and not with the other fields: what may be overridden is known once the kind is, which a profile or a
    # built-in name may give
    found = part_of(entry, _part(overrides=overrides.model_of(spec.overrides)), problems)
    return None if found is None else dict(found["overrides"])


def check_provider(entry: Entry, kind: str, problems: Problems) -> bool:
    """Whether a block holds only what means something to its kind, and an address of the right form."""
    spec: ProviderSpec = entry.spec
    declared = declared_by()[kind]
    means_nothing: tuple[str, ...] = () if declared.profiles else ("profile",)
    if not declared.has_online:
        means_nothing += ("batch", "parallelism", "rpm", "tpm")
    # one of ours: where it listens and what its key is nobody has to say
    if not declared.is_configurable:
        means_nothing = tuple(ProviderSpec.model_fields.keys() - {"kind"})
    extra = [name for name in means_nothing if getattr(spec, name) is not None]
    for name in extra:
        message = f"`{name}` has no meaning for the {kind} {entry.subject}"
        is_beside = declared.overrides is not None and name in declared.overrides
        hint = f"write `{name}` below `overrides:`" if is_beside else "remove the line"
        problems.error(entry.key_mark(name), message, hint)
    return not extra and _check_headers(entry, problems) and _check_address(entry, declared, problems)


# A header of such a name holds a secret, whatever its value looks like.
_SECRET_HEADER = re.compile(r"(?i)auth(?!or)|cookie|token|secret|passw|credential|signature|api-?key|(^|[-_])key$")


def _check_headers(entry: Entry, problems: Problems) -> bool:
    """Whether no header holds a literal key, and none is given twice."""
    spec: ProviderSpec = entry.spec
    before, plain = problems.errors, {name.lower() for name in spec.headers or {}}
    for name, value in (spec.headers or {}).items():
        if _SECRET_HEADER.search(name) or re.match(r"(?i)(bearer|basic)\s", value):
            hint = "name the variable that holds it, in `headers_env`"
            message = f"`headers` of {entry.subject} hold no keys, and `{name[:60]}` is named like one"
            problems.error(entry.value_mark("headers", name), message, hint)
            problems.silence(entry.value_mark("headers", name))
    for name in spec.headers_env or {}:
        if name.lower() in plain:
            problems.error(
                entry.value_mark("headers_env", name), f"`{name[:60]}` of {entry.subject} is in `headers` too"
            )
    return problems.errors == before


def _check_address(entry: Entry, declared: Declared, problems: Problems) -> bool:
    """Whether `base_url` is one that may be spoken to, and of the form its kind has."""
    spec: ProviderSpec = entry.spec
    if spec.base_url is None:
        return True
    found = _plain_http(spec.base_url, bool(spec.insecure_http)) or _path(spec.base_url, declared)
    if found is None:
        return True
    wrong, hint = found
    problems.error(entry.value_mark("base_url"), f"`base_url` of {entry.subject} {wrong}", hint)
    return False


def _plain_http(base_url: str, is_insecure: bool) -> tuple[str, str] | None:
    if not fault_in(base_url, is_insecure=is_insecure):
        return None
    if is_insecure:
        return "uses plain http to an address that is not private", "`insecure_http` is for hosts of a private network"
    hint = "plain http is for this machine (`localhost`), and with `insecure_http: true` for a private network"
    return "must start with `https://`", hint


def _path(base_url: str, declared: Declared) -> tuple[str, str] | None:
    parts = urlsplit(base_url)
    has_path = bool(parts.path.strip("/"))
    if declared.url_has_path:
        if (better := without_call(base_url)) is not None:
            return "ends with a call of the API", f"write `{better}`"
        if not has_path and not parts.path:
            hint = f"write `{base_url}/v1`, or `{base_url}/` where the API is at the root"
            return "must end with the path of the API", hint
    elif has_path:
        return "must be without a path", f"write `{parts.scheme}://{parts.netloc}`"
    return None


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
    # what is said wins: a model may be deployed elsewhere
    endpoint_id = options.get("endpoint_id") or known.get(spec.name)
    if endpoint_id is None:
        near = problems.nearest(spec.name, known)
        hint = "name the endpoint with `options: {endpoint_id: ...}`"
        if near:
            hint = f"did you mean `{near}`? If not, {hint}"
        problems.error(
            entry.value_mark("name"), f"no endpoint is known for `{spec.name[:60]}`, the name of {entry.subject}", hint
        )
        return None
    return {**options, "endpoint_id": endpoint_id} if is_sound else None


def check_params(entry: Entry, kind: str, problems: Problems) -> bool:
    """Whether a model leaves alone what runner itself writes. Not all of it is known before a job uses the model."""
    return check_written_by_us(entry, declared_by()[kind].written if kind else WRITTEN, problems)


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


def check_roles(prompt: Prompt, provider: ProviderBlock, problems: Problems) -> bool:
    """Whether a provider takes every message: one that it does not would fail the whole batch."""
    known = of(provider).roles
    strange = [message for message in prompt.messages if known and message.role and message.role not in known]
    for message in strange:
        words = (
            f"prompt `{prompt.key}` has a message of role `{message.role}`, which provider `{provider.name}` refuses"
        )
        problems.error(message.role_mark, words, f"write `{_NEAR_ROLES.get(message.role, 'user')}`")
    return not strange


_TAKE_PARTS = (ENDPOINT_NAMES["chat"], ENDPOINT_NAMES["responses"])
# Source: openai 3.57.0, `types/chat/chat_completion_{system,developer,assistant}_message_param.py`: texts alone.
_SAYS_MORE_THAN_TEXT = "user"


def check_parts(prompt: Prompt, model: Model, provider: ProviderBlock, limits: PartLimits, problems: Problems) -> bool:
    """Whether an endpoint takes content in parts, its provider files of each kind, and the role of their message."""
    before = problems.errors
    for message in prompt.messages:
        if message.parts and model.endpoint not in _TAKE_PARTS:
            words = f"prompt `{prompt.key}` has content in parts, and `{model.endpoint}` takes one text"
            problems.error(message.mark, words, "write one text, or ask a model of the chat endpoint")
            continue
        for part in message.parts:
            if not part.kind.is_inlined:
                continue
            what = f"the {part.kind.value} of prompt `{prompt.key}`"
            if message.role != _SAYS_MORE_THAN_TEXT:
                words = f"{what} is in a message of role `{message.role}`, which takes texts alone"
                problems.error(part.mark, words, "put it into a message of role `user`")
            elif not limits.types(part.kind):
                words = f"{what}: provider `{provider.name}` takes no such part"
                problems.error(part.mark, words, _INSTEAD.get(part.kind, "ask another provider"))
            elif part.kind is PartKind.AUDIO and model.endpoint != ENDPOINT_NAMES["chat"]:
                words = f"{what}: `{model.endpoint}` takes no recordings"
                problems.error(part.mark, words, "ask a model of the chat endpoint")
    return problems.errors == before


_INSTEAD = {
    PartKind.FILE: "send its pages as pictures, or its text as text; or ask another provider",
    PartKind.AUDIO: "write it down first, with `audio` of a job; or ask another provider",
}
