"""What a shell completes: commands, options, and the addresses of jobs, whose `:` and `=` bash takes for spaces.

`eval "$(_RUNNER_COMPLETE=bash_source runner)"`, and `zsh_source` or `fish_source` for the others.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import click
from click.shell_completion import (
    BashComplete,
    CompletionItem,
    FishComplete,
    add_completion_class,
    shell_complete,
    split_arg_string,
)

if TYPE_CHECKING:
    from runner.job.project import AnyJob
from runner.spec.chosen import Chosen, vars_in

VARIABLE = "_RUNNER_COMPLETE"

_BASH = """\
%(complete_func)s() {
    local IFS=$'\\n' line="${COMP_LINE:0:COMP_POINT}" answer kind value word
    # bash splits words at `:` and `=`; the word as a person sees it ends at the last space
    word="${line##* }"
    answer=$(env COMP_LINE="$line" %(complete_var)s=bash_complete "$1")
    COMPREPLY=()
    for one in $answer; do
        kind="${one%%%%,*}" value="${one#*,}"
        if [[ $kind == dir ]]; then compopt -o dirnames; elif [[ $kind == file ]]; then compopt -o default
        else COMPREPLY+=("${value#"${word%%"${word##*[:=]}"}"}"); fi
    done
    return 0
}
complete -o nosort -F %(complete_func)s %(prog_name)s
"""


@add_completion_class
class Bash(BashComplete):
    """Bash, asked with the line as it was typed."""

    source_template = _BASH

    @staticmethod
    def _check_version() -> None:
        """Every bash that has `compopt` will do, which 4.0 brought."""

    def get_completion_args(self) -> tuple[list[str], str]:
        line = os.environ.get("COMP_LINE")
        if line is None:  # a script of an earlier release, which gives the words alone
            return super().get_completion_args()
        words = split_arg_string(line)[1:]
        incomplete = "" if line.endswith(" ") or not words else words.pop()
        return words, incomplete


# As click's, which splits an answer at each comma: a cell has several.
_FISH = """\
function %(complete_func)s;
    set -lx COMP_WORDS (commandline -cp);
    set -lx COMP_CWORD (commandline -t);
    set -l response (env %(complete_var)s=fish_complete %(prog_name)s);

    for completion in $response;
        set -l metadata (string split -m 1 "," $completion);

        if test $metadata[1] = "dir";
            __fish_complete_directories $metadata[2];
        else if test $metadata[1] = "file";
            __fish_complete_path $metadata[2];
        else if test $metadata[1] = "plain";
            echo $metadata[2];
        end;
    end;
end;

complete --no-files --command %(prog_name)s --arguments "(%(complete_func)s)";
"""


@add_completion_class
class Fish(FishComplete):
    source_template = _FISH


def complete(cli: click.Command, instruction: str) -> int:
    """Answer a shell; the exit code."""
    return shell_complete(cli, {}, "runner", VARIABLE, instruction)


def addresses(ctx: click.Context, param: click.Parameter, incomplete: str) -> list[CompletionItem]:
    """The jobs and cells of the specs that begin with what was typed, its cells in the order it was typed in."""
    from runner.job.address import name_of, spelled

    found: list[str] = []
    for job in _jobs(ctx):
        found += [name_of(job.address), *spelled(job.address, incomplete)]
    return _beginning(found, incomplete)


def selectors(ctx: click.Context, param: click.Parameter, incomplete: str) -> list[CompletionItem]:
    """Addresses, and what is said of jobs: their tags, models, providers, files and states."""
    from runner.job.selection import State

    jobs = _jobs(ctx)
    found = [f"tag:{tag}" for job in jobs for tag in job.tags]
    found += [f"model:{job.model.key}" for job in jobs]
    found += [f"provider:{job.model.provider}" for job in jobs]
    found += [f"path:{job.mark.file}" for job in jobs]
    found += [f"state:{state}" for state in State]
    return [*addresses(ctx, param, incomplete), *_beginning(found, incomplete)]


def _jobs(ctx: click.Context) -> Sequence[AnyJob]:
    """None where the specs cannot be read: a shell is no place for errors."""
    from runner.errors import RunnerError
    from runner.spec.load import load

    with contextlib.suppress(RunnerError, OSError):
        return load(tuple(ctx.params.get("paths") or ()) or ("specs",), _root(ctx), _chosen(ctx)).jobs
    return ()


def _beginning(words: Iterable[str], incomplete: str) -> list[CompletionItem]:
    return [CompletionItem(word) for word in dict.fromkeys(words) if word.startswith(incomplete)]


def environments(ctx: click.Context, param: click.Parameter, incomplete: str) -> list[CompletionItem]:
    """The environments of the specs, whatever else is wrong with these."""
    from runner.errors import RunnerError
    from runner.spec.load import survey

    found: tuple[str, ...] = ()
    with contextlib.suppress(RunnerError, OSError):
        found = survey(tuple(ctx.params.get("paths") or ()) or ("specs",), _root(ctx)).project.environments
    return _beginning(found, incomplete)


def _root(ctx: click.Context) -> Path:
    root: Path = ctx.params.get("root_here") or ctx.find_root().params.get("root") or Path()
    return root.resolve()


def _chosen(ctx: click.Context) -> Chosen:
    """The environment and the vars of the line so far."""
    first, here = ctx.find_root().params, ctx.params
    environment = here.get("environment_here") or first.get("environment") or ""
    given = (*(first.get("given") or ()), *(tuple(word.partition("=")[::2]) for word in here.get("vars_here") or ()))
    files = (*(first.get("files") or ()), *(here.get("var_files_here") or ()))
    return Chosen(environment, given, files, vars_in(os.environ))
