"""The address of a job or of one cell of a matrix, and the one way to print it."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping

from runner.errors import UsageError

_LISTED = 10  # jobs, where there is none of a name
NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]*\Z")
ENVIRONMENT = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_-]{0,29}\Z")  # a folder is called so, and a part of names at remotes


def address_of(job: str, cell: Mapping[str, str] | None = None) -> str:
    """`capitals`, or `compare:model=llama,prompt=short`: sorted keys, no brackets, so no shell quoting."""
    if not cell:
        return job
    return f"{job}:" + ",".join(f"{key}={cell[key]}" for key in sorted(cell))


def name_of(address: str) -> str:
    """The job that an address is a cell of."""
    return address.partition(":")[0]


def matches(address: str, pattern: str) -> bool:
    """Whether a user who typed `pattern` means `address`: the job, all of its cells, or those of some values.

    Cells may be typed in any order: `compare:prompt=short,model=llama`, `compare:prompt=short` for each model.
    """
    job, _, cells = pattern.partition(":")
    name, _, values = address.partition(":")
    return job == name and (not cells or set(cells.split(",")) <= set(values.split(",")))


def is_one(text: str) -> bool:
    """Whether a text is written as an address is: a job's name, and cells with a key and a value each."""
    name, colon, values = text.partition(":")
    cells = [cell.partition("=") for cell in values.split(",")] if colon else []
    return bool(NAME.match(name)) and text.isprintable() and all(key and value for key, _, value in cells)


def renamed(address: str, source: str, target: str) -> str:
    """The address that `address` goes by once `source`, which means it, is called `target`.

    Of cells the values that are named give way to those of the new address, and the others stay.
    """
    if ":" not in source:
        return target + address[len(name_of(address)) :]
    name, _, values = target.partition(":")
    given = source.partition(":")[2].split(",")
    kept = [cell for cell in address.partition(":")[2].split(",") if cell not in given]
    return f"{name}:" + ",".join(sorted((*kept, *values.split(","))))


def unknown(typed: str, known: Iterable[str], more: str = "") -> UsageError:
    """What is said where a user who typed this means none of the known addresses. more: a clause of the hint."""
    from difflib import get_close_matches  # only where something is wrong

    addresses = list(dict.fromkeys(known))
    words = list(dict.fromkeys([*map(name_of, addresses), *addresses]))
    near = get_close_matches(typed[:200], words, 1)
    listed = ", ".join(f"`{one}`" for one in addresses[:_LISTED])
    if len(addresses) > _LISTED:
        listed += f" and {len(addresses) - _LISTED:,} more"
    meant = [f"did you mean `{near[0]}`?"] if near else []
    jobs = [f"jobs are {listed}"] if addresses else []
    told = "; ".join([*jobs, more] if more else jobs)
    return UsageError(f"there is no job `{typed}`", hint=" ".join([*meant, told] if told else meant))


def spelled(address: str, typed: str) -> list[str]:
    """An address as it goes on from what was typed: its cells in that order first, then the others; or nothing."""
    name, _, values = address.partition(":")
    if not values or ":" not in typed:
        return [address]
    left, first = values.split(","), []
    for cell in typed.partition(":")[2].split(",")[:-1]:
        if cell not in left:
            return []
        left.remove(cell)
        first.append(cell)
    return [f"{name}:" + ",".join([*first, cell, *(one for one in left if one != cell)]) for cell in left]
