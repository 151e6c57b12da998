"""Bodies in the shape of chat completions, responses, embeddings and completions, which most vendors take.

The order of keys is fixed here and is part of a request's identity: golden digests in the tests hold it.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from runner.errors import Problem, SpecError
from runner.job.asking import sources_of
from runner.job.body import BodyPlan, Hole, planned
from runner.job.params import params_of
from runner.job.project import ENDPOINTS, Job
from runner.remotes.parts import content_of

CHAT, RESPONSES, EMBEDDINGS, COMPLETIONS = ENDPOINTS
_OURS = frozenset({"model", "messages", "input", "prompt"})


def body_of(job: Job, first: Mapping[str, Any]) -> BodyPlan:
    """How the bodies of a job are put together. first: what stands before everything else, such as the model.

    Raises SpecError for params that cannot be sent.
    """
    body = _static(job, first)
    messages = job.prompt.messages
    match job.model.endpoint:
        case "/v1/embeddings":
            body["input"] = Hole(sources_of(job.prompt))
        case "/v1/completions":
            body["prompt"] = Hole(sources_of(job.prompt))
        case endpoint:
            turns = [{"role": one.role, "content": content_of(one, job.prompt, endpoint)} for one in messages]
            body["input" if endpoint == RESPONSES else "messages"] = turns
    return planned(body)


def _static(job: Job, first: Mapping[str, Any]) -> dict[str, Any]:
    """Everything of a body but its messages, in the order it is sent."""
    prompt = job.prompt
    body = dict(first)
    _check_params(job)
    body.update(params_of(job))
    if prompt.response_format is not None:
        if job.model.endpoint == RESPONSES:
            body["text"] = {**body.pop("text", {}), "format": _flat_format(prompt.response_format)}
        else:
            body["response_format"] = prompt.response_format
    if prompt.tools is not None:
        body["tools"] = prompt.tools
    return body


def _check_params(job: Job) -> None:
    ours = _OURS | ({"response_format"} if job.prompt.response_format is not None else frozenset())
    ours |= {"tools"} if job.prompt.tools is not None else frozenset()
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
