"""The parser and the one boundary that turns errors into words and an exit code."""

from __future__ import annotations

import importlib
import logging
import os
import re
import sys
from collections.abc import Sequence
from contextvars import copy_context
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

import click
from click.core import ParameterSource

from runner import __version__
from runner.cli import suggest
from runner.cli.options import environments, option
from runner.cli.saying import columns_of, say
from runner.errors import RunnerError, SpecError, printable
from runner.spec.chosen import NOTHING, Chosen, vars_in

if TYPE_CHECKING:
    from runner.state.memory import Memory

COMMANDS = {
    "apply": "make the remotes match the specs, wait, and write the results",
    "cache": "clear what can be computed again",
    "cancel": "stop batches that are in flight",
    "cost": "show what was spent: by job, model, provider or month",
    "diff": "two jobs, or one at two git revisions, row by row: what got worse, what got better",
    "doctor": "look at this machine, its keys and network, and the project: what works, what does not",
    "explain": "say what the identity of a job's requests is made of, and what of it changed",
    "export": "results and scores of jobs as one table with stable columns: .parquet, .csv or .jsonl",
    "fetch": "bring the raw result files of a job, exactly as the remote sent them",
    "history": "show what was done, by whom and when, why, and what it cost",
    "init": "write a repository that works at once: a spec, data, CI, ignore files",
    "import": "take in a batch that no search finds",
    "keys": "say which key may go to which host",
    "lock": "write what results were made of and came to into `runner.lock`",
    "models": "list and pull the models of the embedded server",
    "plan": "show what apply would do; changes nothing",
    "prune": "delete at the providers what nothing needs: uploads, result files, records of batches",
    "render": "print the requests a job would send",
    "report": "write what jobs came to, in one file: a page, Markdown, JSON or JUnit",
    "retry": "ask again what failed, or what was answered (--replace)",
    "schema": "print the JSON Schema of a spec file",
    "serve": "run the embedded batch server",
    "show": "show one job in detail: its batches, lineage and failed rows",
    "state": "look into the recorded state, accept an origin, decide about what is held",
    "status": "show jobs and batches, as recorded and as the remote shows them",
    "try": "ask a few rows of a job now, one by one, and keep what they answer",
    "validate": "check the specs, and show every problem of every file",
    "verify": "tell whether specs, data, results and scores are those of `runner.lock`",
}


_MODULES = {"import": "imports", "try": "trial"}  # no module can be called by a keyword
_OF_A_FILE = re.compile(r" *\d* \| ")


def excerpt(line: str, caret: str, columns: int | None) -> list[str]:
    """What a terminal shows of a line of a file, and of the caret below it: the part around the caret."""
    found = _OF_A_FILE.match(line)
    if columns is None or found is None or len(line) <= columns:
        return [line, caret]
    head, room, at = found.end(), columns - found.end(), len(caret)
    start = 0 if at <= columns - 10 else at - found.end() - room // 2
    body = f"…{line[head + start + 1 :]}" if start else line[head:]
    return [line[:head] + (body if len(body) <= room else f"{body[: room - 1]}…"), caret[:head] + caret[head + start :]]


class Opens(Protocol):
    """Opens what is remembered of the project at a root."""

    def __call__(self, root: Path, *, writes: bool, environment: str = "") -> Memory: ...


def _open_memory(root: Path, *, writes: bool, environment: str = "") -> Memory:
    from runner.state.memory import open_memory  # not before a command needs it

    return open_memory(root, writes=writes, environment=environment)


@dataclass(frozen=True, slots=True)
class Settings:
    """What the global options say."""

    root: Path
    verbosity: int
    memory: Opens = _open_memory  # of the project at a root, or of one of its environments
    chosen: Chosen = NOTHING  # the environment, and what is said of vars


_ROOT: dict[str, Any] = {
    "metavar": "DIR",
    "type": click.Path(exists=True, file_okay=False, path_type=Path),
    "help": "The project root: paths in specs start here.  [default: .]",
}
_ENVIRONMENT: dict[str, Any] = {
    "metavar": "NAME",
    "help": "The environment of the specs; else the one that is `default: true`, or none.",
}
_VAR: dict[str, Any] = {"metavar": "NAME=VALUE", "multiple": True, "help": "Give a var of the specs this value."}
_VAR_FILE: dict[str, Any] = {
    "metavar": "FILE",
    "multiple": True,
    "type": click.Path(dir_okay=False, path_type=Path),
    "help": "Give vars the values in this file, YAML or JSON.",
}
_VERBOSITY: dict[str, Any] = {"count": True, "help": "Log to stderr: -v what is done, -vv every remote call."}


def _meant(word: str) -> str:
    """What somebody who typed this for a command may want."""
    import difflib

    from runner.cli.habits import command_hint

    if hint := command_hint(word):
        return f"\n\nhint: {hint}"
    near = difflib.get_close_matches(word, COMMANDS, n=1)
    return f" Did you mean `{near[0]}`?" if near else ""


def _with_globals(command: click.Command) -> click.Command:
    """A command that takes the global options after its name as well."""
    if not any("-C" in option.opts for option in command.params):
        command.params += [
            click.Option(["-C", "root_here"], **_ROOT, expose_value=False, callback=_root_given),
            click.Option(["-v", "verbosity_here"], **_VERBOSITY, expose_value=False, callback=_verbosity_given),
            click.Option(
                ["--env", "environment_here"],
                **_ENVIRONMENT,
                shell_complete=environments,
                expose_value=False,
                callback=_environment_given,
            ),
            click.Option(["--var", "vars_here"], **_VAR, expose_value=False, callback=_vars_given),
            click.Option(["--var-file", "var_files_here"], **_VAR_FILE, expose_value=False, callback=_var_files_given),
        ]
        for param in (param for param in command.params if param.name == "paths"):
            param.callback = _paths_given
        for one in command.commands.values() if isinstance(command, click.Group) else ():
            _with_globals(one)
    return command


def _paths_given(ctx: click.Context, param: click.Parameter, value: tuple[str, ...]) -> tuple[str, ...]:
    suggest.given.set(value)
    return value


def _root_given(ctx: click.Context, param: click.Parameter, value: Path | None) -> None:
    if value is not None:
        _root_said(ctx, param, value)
        _settle(ctx, replace(ctx.obj, root=value.resolve()))


def _root_said(ctx: click.Context, param: click.Parameter, value: Path | None) -> Path | None:
    """Have it in the commands that are suggested, as it was written."""
    if value is not None:
        suggest.root.set("" if value.resolve() == Path().resolve() else str(value))
    return value


def _verbosity_given(ctx: click.Context, param: click.Parameter, value: int) -> None:
    if value:
        _settle(ctx, replace(ctx.obj, verbosity=ctx.obj.verbosity + value))
        _log(ctx.obj.verbosity)


def _environment_given(ctx: click.Context, param: click.Parameter, value: str | None) -> None:
    if value is not None:
        _environment_said(ctx, param, value)
        _settle(ctx, replace(ctx.obj, chosen=replace(ctx.obj.chosen, environment=value)))


def _environment_said(ctx: click.Context, param: click.Parameter, value: str | None) -> str | None:
    """Have it in the commands that are suggested; what a variable says holds for those as well."""
    if value is not None and ctx.get_parameter_source(str(param.name)) is not ParameterSource.ENVIRONMENT:
        suggest.said(environment=value)
    return value


def _vars_given(ctx: click.Context, param: click.Parameter, value: tuple[str, ...]) -> None:
    if value:
        given = (*ctx.obj.chosen.given, *_vars_said(ctx, param, value))
        _settle(ctx, replace(ctx.obj, chosen=replace(ctx.obj.chosen, given=given)))


def _vars_said(ctx: click.Context, param: click.Parameter, value: tuple[str, ...]) -> tuple[tuple[str, str], ...]:
    for word in value:
        if not word.partition("=")[0].strip() or "=" not in word:
            raise click.BadParameter("write it as `--var NAME=VALUE`", ctx, param)
        suggest.said(var=word)
    return tuple((name.strip(), text) for name, _, text in (word.partition("=") for word in value))


def _var_files_given(ctx: click.Context, param: click.Parameter, value: tuple[Path, ...]) -> None:
    if value:
        files = (*ctx.obj.chosen.files, *_var_files_said(ctx, param, value))
        _settle(ctx, replace(ctx.obj, chosen=replace(ctx.obj.chosen, files=files)))


def _var_files_said(ctx: click.Context, param: click.Parameter, value: tuple[Path, ...]) -> tuple[Path, ...]:
    if ctx.get_parameter_source(str(param.name)) is not ParameterSource.ENVIRONMENT:
        for file in value:
            suggest.said(var_file=str(file))
    return value


def _settle(ctx: click.Context, settings: Settings) -> None:
    """Have it hold for the whole command line."""
    ctx.obj = ctx.find_root().obj = settings


def _log(verbosity: int) -> None:
    logging.basicConfig(stream=sys.stderr, format="%(asctime)s %(levelname)s %(name)s %(message)s")
    logging.getLogger("runner").setLevel(logging.DEBUG if verbosity > 1 else logging.INFO)


class LazyGroup(click.Group):
    """Finds commands by name, so that only the asked one is imported."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in COMMANDS:
            return None
        module = _MODULES.get(cmd_name, cmd_name)
        command = importlib.import_module(f"runner.cli.{module}").command
        assert isinstance(command, click.Command)
        return _with_globals(command)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Commands"):
            formatter.write_dl(list(COMMANDS.items()))

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        if args and args[0] not in COMMANDS and not args[0].startswith("-"):
            raise click.UsageError(f"No such command `{args[0]}`.{_meant(args[0])}")
        return super().resolve_command(ctx, args)


@click.group(
    cls=LazyGroup,
    context_settings={"help_option_names": ["-h", "--help"]},
    epilog="A first run: `runner init shop`, then `runner plan` and `runner apply` in it",
)
@click.option("-C", "root", **_ROOT, callback=_root_said)
@click.option("-v", "verbosity", **_VERBOSITY)
@option("--env", "environment", **_ENVIRONMENT, shell_complete=environments, callback=_environment_said)
@click.option("--var", "given", **_VAR, callback=_vars_said)  # RUNNER_VAR_NAME is the variable of one var
@option("--var-file", "files", **_VAR_FILE, envvar="RUNNER_VARS_FILE", callback=_var_files_said)
@click.version_option(__version__, message="runner %(version)s")
@click.pass_context
def cli(
    ctx: click.Context,
    root: Path | None,
    verbosity: int,
    environment: str | None,
    given: tuple[tuple[str, str], ...],
    files: tuple[Path, ...],
) -> None:
    """Make remote batch inference APIs match the YAML specs in this repository."""
    chosen = Chosen(environment or "", given, files, vars_in(os.environ))
    ctx.obj = Settings((root or Path()).resolve(), verbosity, chosen=chosen)
    if verbosity:
        _log(verbosity)


def run(arguments: Sequence[str]) -> int:
    """The exit code of one invocation; never a traceback for what a user can act on.

    What it sets for itself, the PATHS and the folder of `suggest`, ends with it.
    """
    return copy_context().run(_run, arguments)


def _run(arguments: Sequence[str]) -> int:
    os.umask(0o077 & os.umask(0o022) | 0o022)
    if instruction := os.environ.get("_RUNNER_COMPLETE"):
        from runner.cli import completion

        return completion.complete(cli, instruction)
    root = Path()
    try:
        with cli.make_context("runner", list(arguments)) as context:
            try:
                code = cli.invoke(context)
            finally:
                root = context.obj.root if context.obj else root
        return code if isinstance(code, int) else 0
    except click.exceptions.Exit as stop:
        return stop.exit_code
    except click.Abort:
        say("Interrupted; what was recorded is safe, run the same command again", err=True)
        return 130
    except click.ClickException as error:
        _show(error, arguments)
        return 64
    except KeyboardInterrupt:
        say("Interrupted; what was recorded is safe, run the same command again", err=True)
        return 130
    except BrokenPipeError:
        # The reader of our stdout went away (`| head`); Python would complain again at shutdown.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except SpecError as error:
        from runner.cli.voice import lines
        from runner.spec.problems import render

        told = iter(lines(render(error.problems, root)).split("\n"))
        for line in told:
            if _OF_A_FILE.match(line):  # a line of a file, with its caret below, is cut and not broken
                click.echo("\n".join(excerpt(line, next(told, ""), columns_of(sys.stderr))), err=True)
            else:
                say(line, err=True)
        return error.exit_code
    except RunnerError as error:
        say(words_of(error), err=True)
        return error.exit_code
    except OSError as error:
        if not error.strerror:
            raise
        say(_words_of_system(error), err=True)
        return 1


def _show(error: click.ClickException, arguments: Sequence[str]) -> None:
    """What is wrong with the command line, and what we have for it."""
    from runner.cli.habits import harmless, option_hint

    hint = ""
    if isinstance(error, click.NoSuchOption):
        hint = option_hint(arguments)
        command = error.ctx.command if error.ctx else None
        error.possibilities = None if hint else harmless(error.possibilities or (), command)  # type: ignore[misc]
    error.message = suggest.carried(error.message)  # type: ignore[misc]
    error.show()
    if hint:
        say(f"\nhint: {hint}", err=True)


def _words_of_system(error: OSError) -> str:
    """The same for what the system refused."""
    place = f"`{printable(str(error.filename))}`: " if error.filename else ""
    from runner.cli.voice import lines
    from runner.files import way_out

    way = way_out(error)
    return lines(f"error: {place}{error.strerror}" + (f"\n\nhint: {way}" if way else ""))


def words_of(error: RunnerError) -> str:
    """`place: error: message`, then the hint on its own line."""
    from runner.cli.voice import lines

    place = f"{error.mark}: " if error.mark else ""
    text = "\n  ".join([f"{place}error: {error.message}", *error.details])
    return lines(f"{text}\n\nhint: {error.hint}" if error.hint else text)
