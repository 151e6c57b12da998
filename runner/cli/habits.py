"""What people type out of habit from other tools, and what `runner` has for it.

Likeness is a poor guide where money is at stake: `--dry-run` is most like `--first-run`. So the well-known words have
answers of their own, and an option by which a person agrees to pay is never offered for one that it resembles.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import click

# By the words themselves, without dashes in front and `=VALUE` behind.
OPTIONS = {
    "dry-run": "`runner plan` shows what would be done, `runner apply --rehearse` tries it on stand-ins",
    "check": "`runner validate` checks the specs, `runner plan` shows what would be done",
    "auto-approve": "`-y` agrees beforehand to what is paid for",
    "assume-yes": "`-y` agrees beforehand to what is paid for",
    "non-interactive": "without a terminal nothing is asked; `-y` agrees beforehand to what is paid for",
    "target": "`-s JOB` of `plan` and `apply` selects jobs, with what they depend on",
    "select": "give the spec files as PATHS: the jobs of the others are left alone",
    "exclude": "give the spec files as PATHS: the jobs of the others are left alone",
    "destroy": "`runner cancel JOB` stops what is in flight; answers are never deleted",
    "replace": "`runner retry JOB` marks what failed to be asked again",
    "full-refresh": "`runner retry JOB` marks what failed to be asked again",
    "force": "nothing is forced: what is blocked names the command that unblocks it",
    "refresh": "`plan`, `status` and `apply` ask the remotes by themselves; `plan --offline` does not",
    "refresh-only": "`runner status` asks the remotes and changes nothing",
    "json": "`-o json`",
    "format": "`-o json`",
    "var": "`--var NAME=VALUE`, with two dashes, gives a var of the specs its value",
    "var-file": "`--var-file FILE`, with two dashes, gives vars of the specs their values",
    "vars": "`--var NAME=VALUE` gives a var of the specs its value",
    "environment": "`--env NAME` chooses an environment of the specs",
    "workspace": "`--env NAME` chooses an environment of the specs",
    "chdir": "`-C DIR`",
    "project-dir": "`-C DIR`",
    "verbose": "`-v` logs what is done, `-vv` every remote call",
    "debug": "`-v` logs what is done, `-vv` every remote call",
    "no-color": "`NO_COLOR=1` in the environment",
    "lock": "one command at a time works on a project, always; `--lock-timeout 5m` waits for the other",
    "limit": "`--sample N` of `plan` and `apply` sends some rows first; `sample: {rows: 100}` of a dataset takes some",
    "watch": "`runner apply` waits by itself; `runner status` looks once",
}
COMMANDS = {
    "workspace": "`--env NAME` chooses an environment of the specs: each has its own state and outputs",
    "env": "`--env NAME` chooses an environment of the specs: each has its own state and outputs",
    "destroy": "`runner cancel JOB` stops what is in flight; answers are never deleted",
    "delete": "`runner cancel JOB` stops what is in flight; answers are never deleted",
    "rm": "`runner cancel JOB` stops what is in flight; answers are never deleted",
    "down": "`runner cancel JOB` stops what is in flight; answers are never deleted",
    "stop": "`runner cancel JOB` stops what is in flight; answers are never deleted",
    "fmt": "none is needed: the lay-out of the YAML is yours and never changes what is asked",
    "format": "none is needed: the lay-out of the YAML is yours and never changes what is asked",
    "refresh": "none is needed: `plan`, `status` and `apply` ask the remotes by themselves",
    "output": "the results are files: each job names its `output`",
    "get": "`runner fetch JOB` brings the raw result files of a job",
    "download": "`runner fetch JOB` brings the raw result files of a job",
    "logs": "`runner show JOB` shows a job's batches and failed rows; `-v` logs what a command does",
    "log": "`runner history` shows what was done, by whom and when",
    "events": "`runner history` shows what was done, by whom and when",
    "audit": "`runner history` shows what was done, by whom and when",
    "describe": "`runner show JOB` shows one job in detail",
    "list": "`runner status` lists jobs and batches",
    "ls": "`runner status` lists jobs and batches",
    "compile": "`runner render JOB` prints the requests of a job",
    "check": "`runner validate` checks the specs",
    "lint": "`runner validate` checks the specs",
    "test": "`runner validate` checks the specs, `runner apply --rehearse` tries them on stand-ins",
    "preview": "`runner plan` shows what would be done",
    "run": "`runner apply` does it, `runner plan` shows it before",
    "build": "`runner apply` does it, `runner plan` shows it before",
    "submit": "`runner apply` does it, `runner plan` shows it before",
    "up": "`runner apply` does it, `runner plan` shows it before",
    "taint": "`runner retry JOB` marks what failed to be asked again",
    "force-unlock": "none is needed: a lock ends with the command that holds it",
    "login": "none is needed: keys come from the environment, such as `OPENAI_API_KEY`",
    "clean": "`runner cache clear` clears what can be computed again",
    "version": "`runner --version`",
    "help": "`runner --help`, `runner COMMAND --help`",
}


def option_hint(words: Sequence[str]) -> str:
    """What we have for the first word that is an option of another tool; empty where there is none."""
    for word in words:
        if word == "--":
            break
        if word.startswith("-"):
            name = word.lstrip("-").partition("=")[0].lower()
            if len(name) > 1 and name in OPTIONS:
                return f"{word.partition('=')[0]}: {OPTIONS[name]}"
    return ""


def command_hint(word: str) -> str:
    """The same for a command."""
    return COMMANDS.get(word.lower(), "")


class Consent(click.Option):
    """An option by which a person agrees to pay, or to pay again."""


def harmless(names: Iterable[str], command: click.Command | None) -> list[str]:
    """Those of the options `names` that may be suggested: none that agrees to anything."""
    agreeing = {name for one in (command.params if command else ()) if isinstance(one, Consent) for name in one.opts}
    return [name for name in names if name not in agreeing]
