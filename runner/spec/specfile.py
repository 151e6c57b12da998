"""A spec file as a whole: its JSON Schema, and a did-you-mean at its top. Its parts are checked one by one."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field, StringConstraints

from runner.fields import MAX_NAME_CHARS, Fields, Key, Maybe, Money, Text
from runner.spec.model import (
    DatasetSpec,
    DefaultsSpec,
    JobSpec,
    ModelSpec,
    Prompt,
    Provider,
    RetentionSpec,
    TopFields,
    VarSpec,
)

_VAR_NAME = StringConstraints(pattern="^[A-Za-z_][A-Za-z0-9_]*$", max_length=MAX_NAME_CHARS)
VarName = Annotated[str, _VAR_NAME]
EnvironmentName = Annotated[str, StringConstraints(pattern="^[A-Za-z0-9_][A-Za-z0-9_-]*$", max_length=30)]


class EnvironmentSpec(Fields):
    """What differs in one environment: merged over the specs name by name; an empty value takes something away."""

    description: Maybe[Text] = Field(default=None, description="for readers: what it is for")
    default: Maybe[bool] = Field(default=None, description="it is the one where a command names none")
    share: Maybe[bool] = Field(
        default=None, description="answers count in every environment that says so too, and theirs in this one"
    )
    vars: dict[VarName, str | bool | int | float] | None = Field(default=None, description="values of vars")
    models: dict[Key, ModelSpec | None] | None = Field(default=None, description="what differs in models")
    datasets: dict[Key, DatasetSpec | None] | None = Field(default=None, description="what differs in datasets")
    prompts: dict[Key, Prompt | None] | None = Field(default=None, description="what differs in prompts")
    jobs: dict[Key, JobSpec | None] | None = Field(default=None, description="what differs in jobs")
    providers: dict[Key, Provider | None] | None = Field(default=None, description="what differs in providers")
    defaults: DefaultsSpec | None = Field(default=None, description="what differs in the defaults of jobs")
    budget: Money | None = Field(default=None, description="USD, all that this environment may ever spend")
    retention: RetentionSpec | None = Field(default=None, description="how long providers keep what they have of it")
    repay_usd: Money | None = Field(default=None, description="USD that may be paid for again here without a yes")


class SpecFile(TopFields):
    """A spec file of runner. All files below the given paths form one namespace."""

    models: dict[Key, ModelSpec] | None = Field(default=None, description="by name: whom jobs may ask, and how")
    datasets: dict[Key, DatasetSpec] | None = Field(default=None, description="by name: rows that jobs ask about")
    prompts: dict[Key, Prompt] | None = Field(default=None, description="by name: what jobs ask about a row")
    jobs: dict[Key, JobSpec] | None = Field(default=None, description="by name: what is to be answered, and where to")
    providers: dict[Key, Provider] | None = Field(
        default=None, description="by name: remotes of your own, or what differs for built-in ones"
    )
    vars: dict[VarName, VarSpec | str | bool | int | float | None] | None = Field(
        default=None, description="values that commands and environments may give; `{{ var.NAME }}` stands for one"
    )
    environments: dict[EnvironmentName, EnvironmentSpec | None] | None = Field(
        default=None, description="what differs in each, such as `dev` and `prod`; `--env` chooses one"
    )
    defaults: DefaultsSpec | None = Field(default=None, description="what jobs have that do not say otherwise; once")
