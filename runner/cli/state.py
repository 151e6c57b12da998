"""`runner state`: look into what is recorded, and decide what only a person can."""

from __future__ import annotations

from contextlib import closing

import click

from runner.cli import resolve
from runner.cli.remembered import remembered
from runner.cli.saying import say


@click.group("state")
def command() -> None:
    """Look into the recorded state, accept an origin, and decide about recordings that are held."""


command.add_command(resolve.command)


@command.command("list")
@click.pass_context
def list_records(ctx: click.Context) -> int:
    """List every recorded batch, in order of submission, as one JSON document a line."""
    import msgspec

    with closing(remembered(ctx.obj)) as memory:
        for batch in memory.records.batches():
            click.echo(msgspec.json.encode(batch))
    return 0


@command.command("accept-origin")
@click.argument("provider")
@click.argument("paths", nargs=-1, type=click.Path())
@click.pass_context
def accept_origin(ctx: click.Context, provider: str, paths: tuple[str, ...]) -> int:
    """Count the answers of PROVIDER's earlier origins as its own: the same service under another address."""
    from msgspec.structs import replace

    from runner.apply.reporter import Silent
    from runner.cli.opening import opened
    from runner.errors import UsageError

    with (
        opened(ctx.obj, paths or ("specs",), Silent(), writes=True) as session,
        session.memory.lock("runner state accept-origin", clock=session.clock),
    ):
        if provider not in session.project.providers:
            known = ", ".join(f"`{name}`" for name in sorted(session.project.providers))
            raise UsageError(f"there is no provider `{provider}`", hint=f"the specs use {known}")
        project = session.records.project()
        current = session.remotes.origin(provider)
        seen = {str(b.origin) for b in session.records.batches() if b.origin.provider == provider} - {str(current)}
        if project is None or not seen:
            raise UsageError(f"nothing recorded came from another origin of `{provider}`")
        accepted = {**project.accepted_origins, provider: sorted(seen)}
        session.records.save(replace(project, accepted_origins=accepted))
    for origin in sorted(seen):
        say(f"Answers of {origin} count as answers of {current}")
    return 0
