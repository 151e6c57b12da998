"""`moved`: the addresses that jobs went by, and those they go by now."""

from __future__ import annotations

from collections.abc import Sequence

from runner.job.address import matches
from runner.job.project import AnyJob
from runner.spec.declared import Declared
from runner.spec.problems import Problems


def moves_of(declared: Declared, jobs: Sequence[AnyJob], problems: Problems) -> tuple[tuple[str, str], ...]:
    """The old addresses, each with the one that it has in the end: those that came last first. The old one is of no job
    any more, and the new one of one that there is.
    """
    moves = {old: new.source for old, (_, new) in declared.moved.items()}
    for old, (key, new) in declared.moved.items():
        if any(matches(job.address, old) for job in jobs):
            words = f"`moved` says that `{old[:120]}` is called `{new.source[:120]}` now, and there still is such a job"
            problems.error(key.mark, words, "remove one of the two")
        last = _last(new.source, moves)
        if last is None:
            problems.error(new.mark, f"`{old[:120]}` is moved in a circle", "name what the job is called now")
        elif (":" in old) != (":" in new.source):
            hint = "move the job with all of its cells, or one cell to another"
            problems.error(new.mark, f"`{old[:120]}` and `{new.source[:120]}` are a job and a cell", hint)
        elif declared.is_whole and jobs and not any(matches(job.address, last) for job in jobs):
            near = problems.nearest(last, [job.address for job in jobs])
            hint = f"did you mean `{near}`?" if near else "remove it: there is nothing to take over"
            problems.error(new.mark, f"`{old[:120]}` is moved to the unknown job `{last[:120]}`", hint)
    ends = {old: _last(old, moves) or old for old in moves}
    return tuple(sorted(ends.items(), key=lambda move: _length(move[0], moves)))


def _length(address: str, moves: dict[str, str]) -> int:
    """How often an address was moved."""
    seen = set()
    while address in moves and address not in seen:
        seen.add(address)
        address = moves[address]
    return len(seen)


def _last(address: str, moves: dict[str, str]) -> str | None:
    """Where an address was moved to in the end; None for a circle."""
    seen = set()
    while address in moves:
        if address in seen:
            return None
        seen.add(address)
        address = moves[address]
    return address
