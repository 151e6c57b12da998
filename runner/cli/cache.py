"""`runner cache`: what can be computed again."""

from __future__ import annotations

import click


@click.group("cache")
def command() -> None:
    """Clear what can be computed again; no answer is ever in it."""


@command.command("clear")
@click.pass_context
def clear(ctx: click.Context) -> int:
    """Delete compiled shards; the next command compiles again."""
    import shutil

    from runner.state.home import home_of

    memo = home_of(ctx.obj.root).memo
    if memo.is_dir() and not memo.is_symlink():
        shutil.rmtree(memo)
    click.echo("Cleared; nothing was lost")
    return 0
