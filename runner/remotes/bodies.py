"""Bodies in the shape of chat completions, responses, embeddings and completions, which most vendors take.

The order of keys is fixed here and is part of a request's identity: golden digests in the tests hold it.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from msgspec.structs import replace

from runner.errors import Problem, SpecError
from runner.job import asking
from runner.job.asking import sources_of
from runner.job.body import BodyPlan, Hole, planned
from runner.job.params import params_of
from runner.job.project import RESPONSES, Job
from runner.job.reading import Misfit
from runner.remotes import conversations
from runner.remotes.parts import content_of

_OURS = frozenset({"model", "messages", "input", "prompt"})


def body_of(job: Job, first: Mapping[str, Any]) -> BodyPlan:
    """How the bodies of a job are put together. first: what stands before everything else, such as the model.

    Raises SpecError for params that cannot be sent, and for a body that its endpoint would refuse.
    """
    if job.prompt.body is not None:
        return planned(_whole(job, first))
    body = _static(job, first)
    match job.model.endpoint:
        case "/v1/embeddings" | "/v1/moderations":
            body["input"] = Hole(sources_of(job.prompt))
        case "/v1/completions":
            body["prompt"] = Hole(sources_of(job.prompt))
        case "/v1/responses":
            body["input"] = [item for turn in _turns(job) for item in _items(turn)]
        case _:
            body["messages"] = list(_turns(job))
    return planned(body)


def _turns(job: Job) -> Iterator[Any]:
    """The messages of a prompt; where a column holds them they are checked row by row."""
    prompt, endpoint = job.prompt, job.model.endpoint
    is_alone = len(prompt.messages) == 1
    for message in prompt.messages:
        if message.column:
            shape = conversations.turns_in(message.column, job, may_be_empty=not is_alone)
            yield replace(asking.column_of(message, prompt), shape=shape)
            continue
        said = {"content": content_of(message, prompt, endpoint)} if message.content else {}
        yield {"role": message.role, **said, **asking.fields_of(message, prompt)}


def _items(turn: Any) -> Iterable[Any]:
    return [turn] if isinstance(turn, Hole) else conversations.items_of(turn, has_own_parts=True)


def _whole(job: Job, first: Mapping[str, Any]) -> Any:
    """A body that is given as a whole, with what it leaves to us."""
    given = job.prompt.body
    assert given is not None
    tree, params = asking.body_of(job.prompt), _params(job)
    if given.is_ready and isinstance(tree, Hole):
        return replace(tree, shape=conversations.ready_in(job, first))
    if isinstance(tree, Hole):
        if asking.sources_of_params(job.model):
            words = f"params of model `{job.model.key}` are templates, and `body` of {job.prompt.called} is of a column"
            raise SpecError([Problem(given.mark, words, "write them into the column")])
        return replace(tree, shape=conversations.body_in(given.column, job, first, params))
    try:
        conversations.check_body(tree, job, f"`body` of {job.prompt.called}")
    except Misfit as error:
        raise SpecError([Problem(given.mark, str(error), error.hint)]) from error
    tree = {
        name: value for name, value in tree.items() if name != "model" or "model" in first or isinstance(value, Hole)
    }
    for name, shape in (
        ("messages", conversations.turns_in("messages", job, may_be_empty=False)),
        ("model", conversations.model_in(job, f"`body` of {job.prompt.called}")),
    ):
        if isinstance(hole := tree.get(name), Hole):
            tree[name] = replace(hole, shape=shape)
    return {**{name: value for name, value in {**first, **params}.items() if name not in tree}, **tree}


def _static(job: Job, first: Mapping[str, Any]) -> dict[str, Any]:
    """Everything of a body but its messages, in the order it is sent."""
    prompt = job.prompt
    body = dict(first)
    _check_params(job)
    body.update(_params(job))
    if prompt.response_format is not None:
        if job.model.endpoint == RESPONSES:
            body["text"] = {**body.pop("text", {}), "format": _flat_format(prompt.response_format)}
        else:
            body["response_format"] = prompt.response_format
    if prompt.tools is not None:
        is_flat = job.model.endpoint == RESPONSES
        body["tools"] = [_flat_tool(tool) for tool in prompt.tools] if is_flat else prompt.tools
    if prompt.tools_column:
        shape = conversations.tools_in(prompt.tools_column, job.model.endpoint)
        body["tools"] = replace(asking.tools_of(prompt), shape=shape)
    return body


def _params(job: Job) -> dict[str, Any]:
    """The model's params, with a hole for each that is a template."""
    found: dict[str, Any] = asking.with_holes(
        params_of(job), job.model.places, f"of model `{job.model.key}`", asking.PARAMS
    )
    return found


def _check_params(job: Job) -> None:
    ours = _OURS | ({"response_format"} if job.prompt.response_format is not None else frozenset())
    ours |= {"tools"} if job.prompt.tools is not None or job.prompt.tools_column else frozenset()
    clash = sorted(ours & job.model.params.keys())
    if clash:
        hint = "set it in the prompt or in the model, not in both"
        if clash[0] in _OURS:
            hint = "the model's `name` and the prompt set it"
        words = f"`{clash[0]}` cannot be one of the params of model `{job.model.key}`"
        raise SpecError([Problem(job.model.mark, words, hint)])


def _flat_format(response_format: Mapping[str, Any]) -> Mapping[str, Any]:
    """A chat `response_format` as the Responses API has it: a json_schema's fields beside its type."""
    schema = response_format.get("json_schema")
    if response_format.get("type") != "json_schema" or not isinstance(schema, Mapping):
        return response_format
    return {"type": "json_schema", **schema}


def _flat_tool(tool: Any) -> Any:
    """A tool as the Responses API has it: what chat keeps under `function` beside its type."""
    inner = tool.get("function") if isinstance(tool, Mapping) else None
    if not isinstance(inner, Mapping) or tool.get("type") != "function":
        return tool
    return {**{name: value for name, value in tool.items() if name != "function"}, **inner}
