"""`runner diff`: two jobs, or one at two git revisions, row by row."""

from __future__ import annotations

import math
import sys

import click

from runner.cli.options import addresses
from runner.cli.saying import say


class _Margin(click.ParamType[float]):
    """A share or a number, zero or more: `0.01`, `1%`."""

    name = "margin"

    def convert(self, value: object, param: click.Parameter | None, ctx: click.Context | None) -> float:
        word = str(value).strip()
        try:
            found = float(word.removesuffix("%")) / (100 if word.endswith("%") else 1)
        except ValueError:
            found = math.nan
        if not 0 <= found < math.inf:
            self.fail(f"`{value}` is not a margin; write `0.01` or `1%`", param, ctx)
        return found


@click.command("diff")
@click.argument("first", metavar="A", shell_complete=addresses)
@click.argument("second", metavar="B", shell_complete=addresses)
@click.argument("paths", nargs=-1, type=click.Path())
@click.option("--check", "checks", multiple=True, metavar="NAME", help="Only this check; may be repeated.")
@click.option(
    "-o", "--output", "form", type=click.Choice(["text", "json", "markdown"]), default="text", show_default=True
)
@click.option("--fail-if-worse", "is_not_worse", is_flag=True, help="Exit 4 where B is shown to be worse than A.")
@click.option(
    "--no-worse-than", "margin", type=_Margin(), metavar="M", help="Exit 4 unless B is shown not to be worse by M."
)
@click.pass_context
def command(
    ctx: click.Context,
    first: str,
    second: str,
    paths: tuple[str, ...],
    checks: tuple[str, ...],
    form: str,
    is_not_worse: bool,
    margin: float | None,
) -> int:
    """Compare the jobs A and B of the specs below PATHS (default: specs) on the rows that both have.

    A and B are addresses, or REV:ADDRESS: the results as they were committed at a git revision. Both are held to the
    checks of today. Nothing is sent, and no state is needed.
    """
    import tempfile
    from pathlib import Path

    from runner.apply.diff import Conditions, diff_of
    from runner.reports import diff, sidebyside
    from runner.spec.load import load

    given = paths or ("specs",)
    project = load(given, ctx.obj.root, ctx.obj.chosen)
    with tempfile.TemporaryDirectory(prefix="runner-diff-") as folder:
        found = diff_of(
            project, (first, second), given, Path(folder), Conditions(checks, is_not_worse, margin), ctx.obj.chosen
        )
    match form:
        case "json":
            sys.stdout.buffer.write(diff.encode(found))
            sys.stdout.flush()
        case "markdown":
            sys.stdout.buffer.write(sidebyside.markdown(found).encode())
            sys.stdout.flush()
        case _:
            say(sidebyside.plain(found))
    return 4 if found.unmet else 0
