"""`runner schema`: what editors need to complete and check spec files, and programs to read what runner prints."""

from __future__ import annotations

import click

_WHAT = ("specs", "report", "diff")


@click.command("schema")
@click.argument("what", type=click.Choice(_WHAT), default="specs", metavar="[specs|report|diff]")
def command(what: str) -> None:
    """Print the JSON Schema of a spec file (draft-07), or of what `runner report -o json` and `runner diff -o json`
    print (2020-12).

    Save that of specs, and name it in the first line of a spec:
    `# yaml-language-server: $schema=./runner.schema.json`
    """
    import msgspec

    match what:
        case "report":
            from runner.reports.facts import schema
        case "diff":
            from runner.reports.diff import schema
        case _:
            from runner.spec.schema import schema
    click.echo(msgspec.json.format(msgspec.json.encode(schema()), indent=2).decode())
