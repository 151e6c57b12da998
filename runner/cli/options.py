"""Options whose environment name is `RUNNER_` and their long name, and numbers that mean something."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any, TypeVar

import click

F = TypeVar("F", bound=Callable[..., Any])


def option(*names: str, envvar: str = "", **settings: Any) -> Callable[[F], F]:
    """`click.option` that also reads the environment: `--max-usd` is `RUNNER_MAX_USD`."""
    long = next(name for name in names if name.startswith("--"))
    return click.option(*names, envvar=envvar or f"RUNNER_{long[2:].replace('-', '_').upper()}", **settings)


class Dollars(click.ParamType[float]):
    """USD, zero or more."""

    name = "usd"

    def convert(self, value: object, param: click.Parameter | None, ctx: click.Context | None) -> float:
        try:
            amount = float(str(value))
        except ValueError:
            amount = math.nan
        if not 0 <= amount < math.inf:
            self.fail(f"`{value}` is not an amount in USD", param, ctx)
        return amount
