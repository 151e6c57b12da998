"""`90s`, `30m`, `2h`, `1d` on the command line -> seconds."""

from __future__ import annotations

import re

import click

_UNITS = {"s": 1, "m": 60, "h": 3600, "d": 86400}


class Duration(click.ParamType[float]):
    name = "duration"

    def __init__(self, least: float = 0.0) -> None:
        self._least = least

    def convert(self, value: object, param: click.Parameter | None, ctx: click.Context | None) -> float:
        found = re.fullmatch(r"(\d+(?:\.\d+)?)([smhd]?)", str(value).strip())
        if not found:
            self.fail(f"`{value}` is not a duration; write `90s`, `30m`, `2h` or `1d`", param, ctx)
        seconds = float(found[1]) * _UNITS[found[2] or "s"]
        if seconds < self._least:
            self.fail(f"`{value}` is too short; at least {self._least} s", param, ctx)
        return seconds
