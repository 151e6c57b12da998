"""A model's params as they are sent: one spelling for what means the same, since it is part of a request's identity."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from runner.errors import Problem, SpecError
from runner.job.project import Job

_AUTHORS_ORDER = frozenset({"response_format", "tools", "text"})  # params that carry schemas
_NO_PARAMS = frozenset({"model", "messages", "input", "prompt"})  # of a body
_EXACT = 2**53  # integral floats below it are the integers they print as


def params_of(job: Job) -> dict[str, Any]:
    """The model's params as sent: sorted by key, integral floats as integers. Raises SpecError for NaN and infinity."""
    try:
        return {key: canonical(value, key) for key, value in sorted(job.model.params.items())}
    except ValueError as error:
        raise SpecError([Problem(job.model.mark, f"model `{job.model.key}`: {error}")]) from error


def certain_params(job: Job) -> dict[str, Any]:
    """Those that stand in every request of a job, whatever its rows say: what costs and limits may count on, and what a
    remote may be told of a batch as a whole. Raises SpecError as `params_of` does."""
    own = {place.path[0] for place in job.model.places}
    found = {name: value for name, value in params_of(job).items() if name not in own}
    body = job.prompt.body
    if body is None:
        return found
    if body.column:  # each row may say otherwise
        return {}
    open_here = {place.path[0] for place in body.places}
    found.update(body.tree)
    return {name: value for name, value in found.items() if name not in open_here and name not in _NO_PARAMS}


def canonical(value: Any, top: str) -> Any:
    """One spelling for equal params. Keys inside a schema keep the author's order, which models can see.

    top: the param. Raises ValueError for NaN and infinity.
    """
    match value:
        case float():
            if not math.isfinite(value):
                raise ValueError(f"`{top}` is {value}, which cannot be sent")
            return int(value) if value.is_integer() and abs(value) < _EXACT else value
        case Mapping():
            items = value.items() if top in _AUTHORS_ORDER else sorted(value.items())
            return {key: canonical(item, top) for key, item in items}
        case list() | tuple():
            return [canonical(item, top) for item in value]
        case _:
            return value
