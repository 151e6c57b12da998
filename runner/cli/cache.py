"""`runner cache`: what can be computed again."""

from __future__ import annotations

from contextlib import closing

import click

from runner.cli.saying import say


@click.group("cache")
def command() -> None:
    """Clear what can be computed again; no answer is lost by it."""


@command.command("clear")
@click.pass_context
def clear(ctx: click.Context) -> int:
    """Delete compiled shards, of all environments or of that of `--env`; the next command compiles again."""
    import shutil

    from runner.cli.voice import size
    from runner.files import size_below
    from runner.state.memory import environments_of

    freed, chosen = 0, ctx.obj.chosen.environment
    for environment in [chosen] if chosen else ["", *environments_of(ctx.obj.root)]:
        with closing(ctx.obj.memory(ctx.obj.root, writes=False, environment=environment)) as memory:
            if memory.caches.is_dir() and not memory.caches.is_symlink():
                freed += size_below(memory.caches)
                shutil.rmtree(memory.caches)
    say(f"Cleared {size(freed)}; nothing was lost")
    return 0
