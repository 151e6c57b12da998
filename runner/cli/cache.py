"""`runner cache`: what can be computed again."""

from __future__ import annotations

from contextlib import closing

import click

from runner.cli.remembered import remembered
from runner.cli.saying import say


@click.group("cache")
def command() -> None:
    """Clear what can be computed again; no answer is ever in it."""


@command.command("clear")
@click.pass_context
def clear(ctx: click.Context) -> int:
    """Delete compiled shards; the next command compiles again."""
    import shutil

    from runner.cli.voice import size
    from runner.files import size_below

    freed = 0
    with closing(remembered(ctx.obj)) as memory:
        if memory.caches.is_dir() and not memory.caches.is_symlink():
            freed = size_below(memory.caches)
            shutil.rmtree(memory.caches)
    say(f"Cleared {size(freed)}; nothing was lost")
    return 0
