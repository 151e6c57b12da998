"""`runner schema`: what editors need to complete and check spec files."""

from __future__ import annotations

import click


@click.command("schema")
def command() -> None:
    """Print the JSON Schema (draft-07) of a spec file.

    Save it, and name it in the first line of a spec:
    `# yaml-language-server: $schema=./runner.schema.json`
    """
    import msgspec

    from runner.spec.schema import schema

    click.echo(msgspec.json.format(msgspec.json.encode(schema()), indent=2).decode())
