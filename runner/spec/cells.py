"""One cell of a job: its references resolved, whom it asks checked against what it asks, its output rendered."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import msgspec

from runner.errors import Mark, SpecError
from runner.job.address import address_of
from runner.job.capabilities import Content, Delivery, Limits, Transport
from runner.job.project import (
    ENDPOINTS,
    AnyJob,
    AudioJob,
    Dataset,
    Evals,
    Job,
    Model,
    Prompt,
    ProviderBlock,
    Retention,
    Stragglers,
    Then,
)
from runner.job.scored import scores_path
from runner.remotes.registry import card_of, declared_by, has_online, lines_of, usual_transport
from runner.spec import answers, columns, kinds, outputs, ready, recordings
from runner.spec.answers import Answers
from runner.spec.chains import Following
from runner.spec.declared import Declared, Entry
from runner.spec.model import JobSpec
from runner.spec.nouns import body_of
from runner.spec.places import Root
from runner.spec.problems import Problems
from runner.spec.shapes import check_format, check_schema_name, warn_of_params

if TYPE_CHECKING:
    from runner.spec.expect import Wanted

DEFAULT_WINDOW_HOURS = 24
DEFAULT_ATTEMPTS = 3


class Nouns(msgspec.Struct, frozen=True):
    """What jobs refer to; None for what is declared but cannot be used."""

    datasets: Mapping[str, Dataset | None]
    prompts: Mapping[str, Prompt | None]
    models: Mapping[str, Model | None]
    providers: Mapping[str, ProviderBlock | None]
    answers: Answers


class Scope(msgspec.Struct, frozen=True):
    """Everything jobs are made of, and where their problems go."""

    declared: Declared
    nouns: Nouns
    root: Root
    problems: Problems


class Written(msgspec.Struct, frozen=True):
    """What a job says of its answers, for every cell of it."""

    job: str
    evals: Evals
    expect: tuple[Wanted, ...]

    def of_cell(self, cell: Mapping[str, str]) -> Evals:
        """What one cell is held to."""
        if not self.expect:
            return self.evals
        mine = (wanted.of_cell(self.job, cell) for wanted in self.expect)
        return msgspec.structs.replace(self.evals, expect=tuple(one for one in mine if one is not None))


def cell_of(
    entry: Entry, own: Mapping[str, str], cell: Mapping[str, str], evals: Evals, scope: Scope, following: Following
) -> AnyJob | None:
    """One job, or None when something it needs cannot be used (its own problem was reported).

    own: what a matrix of its own says of the cell, nothing where it has its cells from the job it follows.
    """
    spec: JobSpec = entry.spec
    if spec.requests:
        return _ready_cell(entry, _Cell(own, cell), evals, scope)
    model = scope.nouns.models[own.get("model") or str(spec.model)]
    provider = scope.nouns.providers[model.provider] if model else None
    if model is None or provider is None:
        return None
    if not recordings.check_provider(entry, model, provider, scope.problems):
        return None
    names = {"model": model.key, "job": entry.name}
    where = _Cell(own, cell)
    if spec.audio:
        heard = recordings.asked_of(entry, scope.declared.entries["models"][model.key], model, provider, scope.problems)
        common = _common(entry, where, evals, names, model, provider, scope) if heard is not None else None
        return AudioJob(**common, **heard) if common and heard else None
    dataset = scope.nouns.datasets[own.get("dataset") or str(spec.dataset)]
    prompt = body_of(entry) if spec.body else scope.nouns.prompts[own.get("prompt") or str(spec.prompt)]
    if prompt is not None:
        prompt = _wanting(entry, prompt, model, scope)
    if dataset is None or prompt is None or not _takes(entry, prompt, model, provider, scope):
        return None
    names |= {"dataset": dataset.key} | ({} if spec.body else {"prompt": prompt.key})
    common = _common(entry, where, evals, names, model, provider, scope)
    if common is None:
        return None
    limits = _limits(provider)
    job = Job(
        **common,
        dataset=following.of_cell(dataset, cell),
        prompt=prompt,
        message_chars=limits.message_chars,
        part_limits=limits.parts,
        roles=kinds.of(provider).roles,
    )
    if prompt.body is None:
        return job
    if prompt.body.tree:
        warn_of_params(entry, model.endpoint, provider, scope.problems, "body")
        if not check_format(
            entry, ("body", "response_format"), prompt.body.tree.get("response_format"), scope.problems
        ):
            return None
    return job if _may_be_sent(job, provider, scope.problems) else None


def _ready_cell(entry: Entry, cell: _Cell, evals: Evals, scope: Scope) -> Job | None:
    """One job of the lines of batch files."""
    spec: JobSpec = entry.spec
    dataset, named, problems = ready.dataset_of(entry), cell.own.get("model") or spec.model, scope.problems
    head: Mark | None = None
    if named:
        model = scope.nouns.models[str(named)]
        if model is None or not ready.takes_no_params(entry, model, problems):
            return None
    else:
        told = ready.model_of(entry, dataset, scope.nouns.providers, scope.root.path, problems)
        if told is None:
            return None
        model, head = told
    provider = scope.nouns.providers[model.provider]
    if provider is None or not recordings.check_provider(entry, model, provider, problems):
        return None
    names = {"model": model.key, "job": entry.name, "dataset": dataset.key}
    common = _common(entry, cell, evals, names, model, provider, scope)
    if common is None:
        return None
    limits = _limits(provider)
    return Job(
        **common,
        dataset=dataset,
        prompt=ready.prompt_of(entry, head),
        message_chars=limits.message_chars,
        roles=kinds.of(provider).roles,
    )


def _may_be_sent(job: Job, provider: ProviderBlock, problems: Problems) -> bool:
    """Whether a request that is given as a whole can be one of its endpoint, as far as it is the same for each row."""
    try:
        lines_of(provider).body(job)
    except SpecError as error:
        for problem in error.problems:
            problems.error(problem.mark, problem.message, problem.hint)
        return False
    return True


def _wanting(entry: Entry, prompt: Prompt, model: Model, scope: Scope) -> Prompt | None:
    """The prompt with what the job wants of its answers, as a model is asked for that; None after a problem."""
    problems = scope.problems
    if entry.spec.answer is None:
        if entry.spec.on_invalid is not None and prompt.answer is None:
            words = f"`on_invalid` of {entry.subject} is about its `answer`, and prompt `{prompt.key}` has none"
            problems.error(entry.key_mark("on_invalid"), words, "say what answers have to be: `answer: {schema: ...}`")
            return None
        return answers.asked_with(prompt, model, entry, problems)
    wanted = scope.nouns.answers[entry.section, entry.name]
    if wanted is None:
        return None
    if prompt.answer is not None:
        words = f"{entry.subject} and its prompt `{prompt.key}` both set `answer`"
        problems.error(entry.key_mark("answer"), words, f"remove one of them ({wanted[0].mark}, {prompt.answer.mark})")
        return None
    asking = answers.with_answer(prompt, wanted, entry, problems)
    return asking and answers.asked_with(asking, model, entry, problems)


def _takes(entry: Entry, prompt: Prompt, model: Model, provider: ProviderBlock, scope: Scope) -> bool:
    """Whether a model can be asked with a prompt."""
    model_entry = scope.declared.entries["models"][model.key]
    # all three are asked before any answers: one run of `validate` shows every problem of a cell
    takes_roles = kinds.check_roles(prompt, provider, scope.problems)
    takes_params = kinds.check_written_by_us(model_entry, ("prompt",), scope.problems)
    if takes_params and kinds.takes(provider, Content.RECORDING):
        warn_of_params(model_entry, model.endpoint, provider, scope.problems)
    has_name = check_schema_name(
        prompt.response_format, f"prompt `{prompt.key}`", prompt.mark, provider, scope.problems
    )
    takes_parts = kinds.check_parts(prompt, model, provider, _limits(provider).parts, scope.problems)
    takes_turns = _takes_turns(entry, prompt, model, scope.problems)
    return (
        _fits(entry, prompt, model, scope.problems)
        and takes_roles
        and takes_params
        and has_name
        and takes_parts
        and takes_turns
    )


def _takes_turns(entry: Entry, prompt: Prompt, model: Model, problems: Problems) -> bool:
    """Whether a model is asked with messages, where a prompt has more than texts."""
    if model.endpoint in ENDPOINTS[:2]:
        return True
    turn = next((one for one in prompt.messages if one.column or one.fields), None)
    if turn is None and not prompt.tools_column:
        return True
    mark = turn.mark if turn is not None else prompt.tools_mark
    words = f"{prompt.called} holds a conversation, and `{model.endpoint}` of model `{model.key}` takes texts only"
    problems.error(mark, words, f"for {entry.subject} use a model whose `endpoint` is `chat` or `responses`")
    return False


class _Cell(msgspec.Struct, frozen=True):
    own: Mapping[str, str]  # what its own matrix says
    axes: Mapping[str, str]  # what its address says


def _common(
    entry: Entry,
    cell: _Cell,
    evals: Evals,
    names: Mapping[str, str],
    model: Model,
    provider: ProviderBlock,
    scope: Scope,
) -> dict[str, Any] | None:
    """The fields that all kinds of jobs have, or None after a problem with the output."""
    spec: JobSpec = entry.spec
    own = cell.own
    chosen = columns.columns_of(entry, scope.problems)
    transport = _transport(entry, provider, scope.problems)
    if chosen is None or transport is None:
        return None
    replicate = int(own.get("replicate") or spec.replicate or 1)
    hours = int(own["window"][:-1]) if "window" in own else spec.window or _default_window(provider)
    values = {**names, "replicate": str(replicate), "window": f"{hours}h", **cell.axes}
    layers = scope.declared.layers
    is_own = entry.value_mark("output") in layers.own_outputs
    template = spec.output if is_own else outputs.in_environment(spec.output, layers.environment)
    output = outputs.rendered(template, {**values, outputs.ENV: layers.environment})
    wrong = outputs.complaint_about(template, output, scope.root, may_be_folder=bool(spec.audio))
    if wrong:
        scope.problems.error(entry.value_mark("output"), f"`output` of {entry.subject} {wrong[0]}", wrong[1])
        return None
    scores = scores_path(output) if evals.checks else ""
    if scores and (wrong := outputs.complaint_about(template, scores, scope.root)):
        words = f"`{scores[-120:]}`, where the scores of {entry.subject} go, {wrong[0]}"
        scope.problems.error(entry.value_mark("output"), words, "change the name of the output")
        return None
    retention = _retention(entry, provider, scope)
    stragglers = _stragglers(entry, provider, scope)
    return {
        "address": address_of(entry.name, cell.axes),
        "name": entry.name,
        "cell": cell.axes,
        "model": model,
        "window_hours": hours,
        "output": output,
        "pooled": () if is_own else tuple(_pooled(spec.output, values, layers.pool)),
        "replicate": replicate,
        "max_attempts": spec.max_attempts or DEFAULT_ATTEMPTS,
        "on_unknown": spec.on_unknown or "",
        "transport": transport,
        "stragglers": stragglers,
        "allow_empty": bool(spec.allow_empty),
        "skip_bad": bool(spec.skip_bad),
        "budget": spec.budget,
        "protect": bool(spec.protect),
        "evals": evals,
        "needs": tuple(spec.needs or ()),
        "tags": tuple(spec.tags or ()),
        "columns": chosen.names,
        "picks": chosen.picks,
        "strict_answers": bool(spec.strict_answers),
        "retention": retention,
        "retries_invalid": spec.on_invalid == "retry",
        "csv_guard": spec.csv_guard is not False,
        "mark": entry.key.mark,
        "output_mark": entry.value_mark("output"),
        "window_mark": entry.value_mark("matrix", "window") if "window" in own else entry.value_mark("window"),
    }


def _side(spec: JobSpec) -> Transport | None:
    """The side of its provider that a job names, if it does."""
    return Transport(spec.transport) if spec.transport else None


def _transport(entry: Entry, provider: ProviderBlock, problems: Problems) -> Transport | None:
    """Which side of its provider a job asks, or None after a problem."""
    spec: JobSpec = entry.spec
    content = Content.RECORDING if spec.audio else Content.TEXT
    usual = usual_transport(provider, content)
    wanted = _side(spec) or usual
    words = f"`transport: {wanted}` of {entry.subject}: `{provider.name}`"
    if wanted is Transport.ONLINE and not has_online(provider, content):
        able = " or ".join(f"`{kind}`" for kind, one in declared_by().items() if one.has_online)
        hint = f"remove the line; providers that answer a call a request are of kind {able}"
        problems.error(entry.key_mark("transport"), f"{words} takes no such requests one by one", hint)
        return None
    if wanted is Transport.BATCH and usual is Transport.ONLINE:
        hint = "remove the line, or `batch: false` of the provider if it has a batch API"
        why = "says `batch: false`"
        if content is Content.RECORDING:
            why, hint = "takes recordings one by one", "remove the line"
        problems.error(entry.key_mark("transport"), f"{words} {why}", hint)
        return None
    return wanted


def _pooled(template: str, values: Mapping[str, str], pool: Sequence[str]) -> Iterator[str]:
    """Where the same job writes in the environments whose answers count here."""
    for name in pool:
        yield outputs.rendered(outputs.in_environment(template, name), {**values, outputs.ENV: name})


def _retention(entry: Entry, provider: ProviderBlock, scope: Scope) -> Retention:
    """As the job says, else its provider, else the project. It is told where nothing can be deleted."""
    spec: JobSpec = entry.spec
    own = spec.retention.asked if spec.retention else Retention()
    asked = own.or_else(provider.retention).or_else(scope.declared.retention)
    content = Content.RECORDING if spec.audio else Content.TEXT
    try:
        deletes = card_of(provider, content, _side(spec)).deletes
    except SpecError:  # whoever looks at its windows says so
        return asked
    if asked != Retention() and not deletes:
        mark = entry.key_mark("retention")
        words = f"`retention` of {entry.subject}: `{provider.name}` has no way to delete what it keeps"
        if own != Retention():
            scope.problems.error(mark, words, "remove the line, or ask a provider that deletes")
        else:
            scope.problems.warning(mark, words)
    return asked


def _stragglers(entry: Entry, provider: ProviderBlock, scope: Scope) -> Stragglers | None:
    """As the job says; a problem where it is asked a call a request, and nobody can be told to stop, or where the rest
    cannot be asked online.
    """
    spec: JobSpec = entry.spec
    if spec.stragglers is None:
        return None
    content = Content.RECORDING if spec.audio else Content.TEXT
    try:
        card = card_of(provider, content, _side(spec))
        is_online = has_online(provider, content)
    except SpecError:  # whoever looks at its windows says so
        return None
    if card.delivery is not Delivery.CALLS:
        if spec.stragglers.asked.then is Then.ONLINE and not is_online:
            mark = entry.value_mark("stragglers", "then")
            words = f"`stragglers.then: online` of {entry.subject}: `{provider.name}` has no online side"
            scope.problems.error(mark, words, "write `then: give_up`")
            return None
        return spec.stragglers.asked
    if entry.value("stragglers") is not None:  # what the defaults say is of the jobs that have batches
        words = f"`stragglers` of {entry.subject}: it is asked a call a request, and nobody can stop a call"
        scope.problems.error(entry.key_mark("stragglers"), words, "remove the line: each call has its own end")
    return None


def _default_window(provider: ProviderBlock) -> int:
    """What the provider's block says is its default, else a day: every remote we know takes that."""
    return int(provider.overrides.get("window", {}).get("default") or DEFAULT_WINDOW_HOURS)


def _limits(provider: ProviderBlock) -> Limits:
    try:
        return card_of(provider).limits
    except SpecError:  # whoever looks at its windows says so
        return Limits()


def _fits(entry: Entry, prompt: Prompt, model: Model, problems: Problems) -> bool:
    """A key of the request is written once: by the model's params, or by the prompt."""
    key, there = answers.format_in(model)
    tools = prompt.tools if prompt.tools is not None else prompt.tools_column or None
    clashes = ((key, prompt.response_format, there), ("tools", tools, model.params.get("tools")))
    for key, mine, theirs in clashes:
        if mine is not None and theirs is not None:
            message = f"{entry.subject}: prompt `{prompt.key}` and `params` of model `{model.key}` both set `{key}`"
            problems.error(entry.key.mark, message, f"remove it from one of them ({prompt.mark}, {model.mark})")
            return False
    return True
