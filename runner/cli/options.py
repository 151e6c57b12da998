"""Options whose environment name is `RUNNER_` and their long name, and numbers that mean something."""

from __future__ import annotations

import functools
import math
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, TypeVar, cast

import click

from runner.cli import suggest
from runner.cli.habits import Consent
from runner.errors import UsageError
from runner.job.address import matches, unknown

if TYPE_CHECKING:
    from click.shell_completion import CompletionItem

    from runner.job.project import Project
    from runner.job.selection import Selection
    from runner.plan.guard import Guards

ALL = "*"  # every job

F = TypeVar("F", bound=Callable[..., Any])


def option(*names: str, envvar: str = "", **settings: Any) -> Callable[[F], F]:
    """`click.option` that also reads the environment: `--max-usd` is `RUNNER_MAX_USD`."""
    long = next(name for name in names if name.startswith("--"))
    return click.option(*names, envvar=envvar or f"RUNNER_{long[2:].replace('-', '_').upper()}", **settings)


ONCE_MORE = "--confirm-repay"
_DIFF, DIFFS = "--diff", 3  # requests that it shows of each job where no number is given
_ALL_WORDS, _NO_WORDS = ("1", "true", "yes", "on"), ("0", "false", "no", "off", "")


class Repaying(click.Command):
    """A command whose `--confirm-repay` may stand alone, before a PATH as well: a path is no job's address, nor a
    number for `--diff`."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        read, words = [], list(args)
        while words and words[0] != "--":
            word = words.pop(0)
            is_alone = not words or words[0].startswith("-") or is_path(words[0])
            if word == ONCE_MORE and is_alone:
                word = f"{ONCE_MORE}={ALL}"
            elif word == _DIFF and words and not words[0].isdecimal():
                word = f"{_DIFF}={DIFFS}"
            read.append(word)
        return super().parse_args(ctx, read + words)


def is_path(word: str) -> bool:
    return "/" in word or word in (".", "..") or word.endswith((".yaml", ".yml"))


def limited(command: F) -> F:
    """The options that say what a command may come to; it gets them as `guards`."""

    @functools.wraps(command)
    def reading(
        *args: Any,
        max_usd: float | None,
        max_requests: int | None,
        max_tokens: int | None,
        confirm_repay: tuple[str, ...],
        sample: int | None,
        **more: Any,
    ) -> Any:
        from runner.plan.guard import Guards

        suggest.keep(click.get_current_context().info_name, "--sample", [sample] if sample else [])
        guards = Guards(
            max_usd=max_usd,
            max_requests=max_requests,
            max_tokens=max_tokens,
            confirm_repay=confirm_repay,
            sample=sample,
        )
        return command(*args, guards=guards, **more)

    options = (
        option(
            "--sample",
            type=click.IntRange(1),
            metavar="N",
            help="Send only N rows of each job that is new or changed as a whole, to see their answers first.",
        ),
        option("--max-usd", type=Dollars(), metavar="N", help="Send nothing if it may cost more than N US dollars."),
        option(
            "--max-requests", type=click.IntRange(0), metavar="N", help="Send nothing if it is more than N requests."
        ),
        option(
            "--max-tokens",
            type=click.IntRange(0),
            metavar="N",
            help="Send nothing if it may be more than N tokens.",
        ),
        option(
            ONCE_MORE,
            cls=Consent,
            multiple=True,
            metavar="[JOB]",
            callback=_jobs_meant,
            help="Agree to pay again for rows that were paid for before, in one job or in all; may be repeated.",
        ),
    )
    for one in reversed(options):
        one(reading)
    return cast(F, reading)


def selecting(command: F) -> F:
    """The options that say which jobs a command is about; it gets them as `selection`."""

    @functools.wraps(command)
    def reading(*args: Any, select: tuple[str, ...], exclude: tuple[str, ...], **more: Any) -> Any:
        from runner.job.selection import Selection

        verb = click.get_current_context().info_name
        suggest.keep(verb, "--select", select)
        suggest.keep(verb, "--exclude", exclude)
        return command(*args, selection=Selection(select, exclude), **more)

    options = (
        option(
            "-s",
            "--select",
            multiple=True,
            metavar="JOBS",
            shell_complete=selectors,
            help="Only these jobs, and what they depend on: an address, a glob, tag:T, path:FILE, model:M, provider:P, "
            "or state:S (new, modified, failed, expired, running, blocked); terms with a comma between them all have "
            "to hold. May be repeated.",
        ),
        option(
            "--exclude",
            multiple=True,
            metavar="JOBS",
            shell_complete=selectors,
            help="Not these jobs, nor what depends on them; written as for --select. May be repeated.",
        ),
    )
    for one in reversed(options):
        one(reading)
    return cast(F, reading)


def words_for(
    ctx: click.Context, address: str | None, paths: Sequence[str], selection: Selection
) -> tuple[str, tuple[str, ...]]:
    """The address and the PATHS of a command whose jobs may be given by either: with a selection, all words are PATHS.

    The address is empty then. Raises a usage error without both.
    """
    if selection:
        return "", (*([address] if address else []), *paths) or ("specs",)
    if not address:
        raise click.MissingParameter(ctx=ctx, param_hint="ADDRESS or --select", param_type="argument")
    return address, tuple(paths) or ("specs",)


def watched(command: F) -> F:
    """A command with `--events FILE`: its watchers tell that file what they are told."""

    @functools.wraps(command)
    def telling(*args: Any, events: str | None, **more: Any) -> Any:
        if events is None:
            return command(*args, **more)
        from runner.cli.events import written_to
        from runner.clock import RealClock

        with written_to(events, RealClock(), click.get_current_context().command_path) as file:
            file.code = command(*args, **more)
            return file.code

    help_text = "Append what happens to FILE, one JSON object a line; `runner schema events` says what is in it."
    option("--events", metavar="FILE", help=help_text)(telling)
    return cast(F, telling)


def for_project(guards: Guards, project: Project, addresses: Sequence[str], *, is_asked: bool) -> Guards:
    """What the user allowed, and the project's specs. Raises UsageError for a job that there is not.

    is_asked: whether a person answers before anything is paid for.
    """
    from msgspec.structs import replace

    for job in guards.confirm_repay:
        left_out = (one.address for one in project.left_out)  # nothing of it is paid for: agreed to or not
        if job != ALL and not any(matches(address, job) for address in (*addresses, *left_out)):
            more = f"write `{ONCE_MORE}` behind the PATHS, or `{ONCE_MORE}=JOB`"
            error = unknown(job, addresses, more)
            raise UsageError(f"`{ONCE_MORE} {job}`: {error.message}", hint=error.hint)
    repay_usd = guards.repay_usd if project.repay_usd is None else project.repay_usd
    return replace(guards, project_budget_usd=project.budget, repay_usd=repay_usd, is_asked=is_asked)


def _jobs_meant(ctx: click.Context, param: click.Parameter, value: tuple[str, ...]) -> tuple[str, ...]:
    words = [ALL if word.lower() in _ALL_WORDS else word for word in value if word.lower() not in _NO_WORDS]
    return tuple(dict.fromkeys(words))


def addresses(ctx: click.Context, param: click.Parameter, incomplete: str) -> list[CompletionItem]:
    """What a shell completes an ADDRESS to."""
    from runner.cli import completion

    return completion.addresses(ctx, param, incomplete)


def selectors(ctx: click.Context, param: click.Parameter, incomplete: str) -> list[CompletionItem]:
    """What a shell completes a word of `--select` to."""
    from runner.cli import completion

    return completion.selectors(ctx, param, incomplete)


def environments(ctx: click.Context, param: click.Parameter, incomplete: str) -> list[CompletionItem]:
    """What a shell completes `--env` to."""
    from runner.cli import completion

    return completion.environments(ctx, param, incomplete)


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
