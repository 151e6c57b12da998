"""Where the wanted rows of a job stand, in words that add up: the same in every command."""

from __future__ import annotations

from typing import Protocol

from runner.job.finish import told


class Sums(Protocol):
    """ok + error + not_sent + in_flight + unknown + needs_decision = wanted."""

    @property
    def wanted(self) -> int: ...
    @property
    def ok(self) -> int: ...
    @property
    def error(self) -> int: ...
    @property
    def bad(self) -> int: ...
    @property
    def not_sent(self) -> int: ...
    @property
    def in_flight(self) -> int: ...
    @property
    def unknown(self) -> int: ...
    @property
    def needs_decision(self) -> int: ...


def parts_of(sums: Sums) -> list[str]:
    """`40 ok`, `1 error`, then of the rows without an outcome whatever there is. Together: all that are wanted.

    Of those that are ok it is said how many answers are none: `2 of them cut at the token limit`. Of the errors it is
    said how many were never sent: `3 error (2 of them rows that cannot be sent)`.
    """
    unsettled = (
        (sums.not_sent, "not sent"),
        (sums.in_flight, "in flight"),
        (sums.unknown, "unknown"),
        (sums.needs_decision, "needs a decision" if sums.needs_decision == 1 else "need a decision"),
        (getattr(sums, "missing", 0), "missing"),
    )
    waiting = [f"{number:,} {words}" for number, words in unsettled if number]
    flaws = told(getattr(sums, "flawed_ok", {}))
    bad = f" ({sums.bad:,} of them {'a row' if sums.bad == 1 else 'rows'} that cannot be sent)" if sums.bad else ""
    return [f"{sums.ok:,} ok", *([flaws] if flaws else []), f"{sums.error:,} error{bad}", *waiting]


def line_of(address: str, output: str, sums: Sums) -> str:
    """`capitals  40 ok, 1 error, 5 in flight of 46  results/capitals.jsonl`."""
    return f"{address}  {', '.join(parts_of(sums))} of {sums.wanted:,}  {output}"
