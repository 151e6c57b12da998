"""`runner schema`: what editors need to complete and check spec files, and programs to read what runner prints."""

from __future__ import annotations

import importlib
import textwrap
from typing import Any

import click

# What can be asked for, and where it is: a function that gives a schema, or the type that a command prints. A document
# goes by the name of the command whose `-o json` it is, its words joined by `-`.
DOCUMENTS = {
    "specs": "runner.spec.schema:schema",
    "apply": "runner.cli.standing:AppliedView",
    "cost": "runner.cli.bill:CostView",
    "diff": "runner.reports.diff:schema",
    "doctor": "runner.cli.doctorview:DoctorView",
    "events": "runner.cli.events:Line",
    "explain": "runner.cli.explainview:ExplainView",
    "history": "runner.cli.past:HistoryView",
    "models-list": "runner.cli.modelview:ModelsView",
    "plan": "runner.cli.views:PlanView",
    "prune": "runner.cli.pruneview:PruneView",
    "report": "runner.reports.facts:schema",
    "show": "runner.cli.chain:ShowView",
    "state-list": "runner.cli.recordview:RecordsView",
    "state-resolve": "runner.cli.resolve:ResolveView",
    "state-show": "runner.cli.recordview:RecordsView",
    "status": "runner.cli.standing:StatusView",
    "try": "runner.cli.trial:TryView",
    "validate": "runner.cli.checkview:ValidateView",
}

_DRAFT = "https://json-schema.org/draft/2020-12/schema"


def schema_of(name: str) -> dict[str, Any]:
    """The JSON Schema of a document of `DOCUMENTS`."""
    module, _, attribute = DOCUMENTS[name].partition(":")
    found = getattr(importlib.import_module(module), attribute)
    if isinstance(found, type):
        from runner.cli.described import described

        return {"$schema": _DRAFT, "title": f"runner {name.replace('-', ' ')}", **described(found)}
    schema: dict[str, Any] = found()
    return schema


@click.command("schema")
@click.argument("name", type=click.Choice(tuple(DOCUMENTS)), default="specs", metavar="[NAME]")
def command(name: str) -> None:
    """Print the JSON Schema of a spec file (draft-07), or of what a command prints with `-o json` (2020-12).

    NAME: specs (the default), or the command: {names}

    \b
    Save that of specs, and name it in the first line of a spec:
    `# yaml-language-server: $schema=./runner.schema.json`
    """
    import msgspec

    click.echo(msgspec.json.format(msgspec.json.encode(schema_of(name)), indent=2).decode())


_names = textwrap.fill(", ".join(name for name in DOCUMENTS if name != "specs"), 72)
command.help = (command.help or "").format(names=_names.replace("\n", "\n    "))
