"""`runner keys`: which key may go to which host, and the question that asks it once."""

from __future__ import annotations

import os
import sys
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from collections.abc import Callable

    from runner.errors import NotBound
    from runner.remotes.transport.bindings import Bindings


@click.group("keys")
def command() -> None:
    """Say which key may go to which host.

    A vendor's own key goes to that vendor alone. Specs may name any other host, so a person has to allow it, once for
    each key and host: here, when `runner apply` asks on a terminal, or in `RUNNER_KEY_HOSTS`.
    """


@command.command("bind")
@click.argument("variable")
@click.argument("host")
@click.pass_context
def bind(ctx: click.Context, variable: str, host: str) -> int:
    """Let the key in VARIABLE go to HOST, for this user. `-` stands for no key at all.

    HOST is a name with its port if it has one of its own; `http://name` allows plain http, which anybody on the way
    can read.
    """
    from runner.remotes.transport.bindings import parsed

    binding = parsed(f"{variable}={host}", "the command line")
    file = _bindings(ctx).keep(binding)
    click.echo(f"{binding} is allowed, in `{file}`")
    return 0


@command.command("unbind")
@click.argument("variable")
@click.argument("host")
@click.pass_context
def unbind(ctx: click.Context, variable: str, host: str) -> int:
    """Take back what `bind` allowed."""
    from runner.errors import UsageError
    from runner.remotes.transport.bindings import parsed

    binding = parsed(f"{variable}={host}", "the command line")
    if not _bindings(ctx).forget(binding):
        raise UsageError(f"`{binding}` was never allowed", hint="`runner keys list` shows what is")
    click.echo(f"{binding} is not allowed any more")
    return 0


@command.command("list")
@click.pass_context
def list_bindings(ctx: click.Context) -> int:
    """Show every key and host that a person allowed, one a line."""
    for binding in _bindings(ctx).all():
        click.echo(str(binding))
    return 0


def _bindings(ctx: click.Context) -> Bindings:
    from runner.remotes.addresses import bindings_of

    return bindings_of(os.environ, ctx.obj.root)


def asker(*, yes: bool) -> Callable[[str, NotBound], bool] | None:
    """What asks a person whether a key may go to a host; None where nobody is there to answer.

    `-y` says yes to paying, not to this.
    """
    if yes or not (sys.stdin.isatty() and sys.stderr.isatty()):
        return None
    return _asked


def _asked(where: str, refused: NotBound) -> bool:
    from runner.cli.voice import plain
    from runner.remotes.transport.bindings import NO_KEY

    assert refused.binding is not None
    variable, host = refused.binding
    what = "Send requests, without a key," if variable == NO_KEY else f"Send the key in `{variable}`"
    return click.confirm(plain(f"{what} to `{host}`, as {where} says?"), default=False, err=True)
