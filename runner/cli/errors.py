"""What went wrong in an apply, as a user reads it: each cause once, with the jobs it is about."""

from __future__ import annotations

from collections.abc import Collection, Sequence

from runner.apply.errors import StepError
from runner.errors import BlockedError
from runner.plan.plan import Plan

MOST_NAMED = 5  # jobs that share a cause


def by_whose(
    errors: Sequence[StepError], wanted: Collection[str], plan: Plan
) -> tuple[list[StepError], list[StepError]]:
    """Those about jobs of these specs; and those about jobs of specs that were not read, or about what a job asks
    elsewhere now.

    What waits for a yes there is nobody's business here.
    """
    here, elsewhere = {*wanted, *(batch.owner for batch, _ in plan.leftovers), ""}, plan.left_elsewhere
    ours = [one for one in errors if one.job in here and one.batch not in elsewhere]
    others = [one for one in errors if one not in ours and not isinstance(one.error, BlockedError)]
    return ours, others


def told(errors: Sequence[StepError]) -> list[str]:
    """One text a cause, which names its jobs."""
    from runner.cli.main import words_of

    jobs: dict[str, list[str]] = {}
    first: dict[str, StepError] = {}
    for one in errors:
        words = words_of(one.error)
        first.setdefault(words, one)
        if one.job not in jobs.setdefault(words, []):
            jobs[words].append(one.job)
    return [_named(words, first[words], sorted(named)) for words, named in jobs.items()]


def _named(words: str, one: StepError, jobs: Sequence[str]) -> str:
    """The words with the jobs in front, unless they begin with one, or with a place in a file."""
    if one.error.mark or one.error.message.startswith(f"{one.job}: ") or not one.job:
        return words
    more = f" and {len(jobs) - MOST_NAMED} more" if len(jobs) > MOST_NAMED else ""
    return words.replace("error: ", f"error: {', '.join(jobs[:MOST_NAMED])}{more}: ", 1)


def has_failed(errors: Sequence[StepError]) -> bool:
    """Whether something else is wrong than what a person has to decide."""
    return any(one.error.exit_code != BlockedError.exit_code for one in errors)
