"""`runner doctor`: what is wrong here, and what to do about it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from runner.cli.options import option
from runner.cli.saying import say, say_json

if TYPE_CHECKING:
    from runner.apply.doctor import Finding
    from runner.apply.remotes import Remotes
    from runner.clock import RealClock
    from runner.job.project import Project


@click.command("doctor")
@click.argument("paths", nargs=-1, type=click.Path())
@option("--offline", is_flag=True, help="Ask no provider.")
@option("-o", "--output", "form", type=click.Choice(["text", "json"]), default="text", show_default=True)
@click.pass_context
def command(ctx: click.Context, paths: tuple[str, ...], offline: bool, form: str) -> int:
    """Look at this machine, its keys and network, and the project at PATHS (default: specs): what works, what does not.

    Keys are shown by the names of their variables, never by a part of a value. Each provider of the specs is asked for
    one page of what it lists. Exit code 1 when something fails.
    """
    import os
    import random

    from runner.apply import doctor
    from runner.apply.remotes import Remotes
    from runner.cli import voice
    from runner.cli.doctorview import of_findings
    from runner.cli.remembered import remembered
    from runner.spec.load import load

    def remotes(project: Project, clock: RealClock) -> Remotes:
        return Remotes(
            project, environ=os.environ, clock=clock, rng=random.SystemRandom(), may_start=False, read_only=True
        )

    found: list[Finding] = []
    for finding in doctor.examine(
        ctx.obj.root,
        lambda: load(paths or ("specs",), ctx.obj.root, ctx.obj.chosen),
        lambda: remembered(ctx.obj),
        os.environ,
        remotes,
        offline=offline,
    ):
        found.append(finding)
        if form == "text":
            _tell(finding, colour=voice.has_colour())
    view = of_findings(found)
    if form == "json":
        say_json(view)
    else:
        say(f"\n{view.summary}")
    return 0 if view.is_well else 1


_SIGNS = {"ok": ("✓", "32"), "warn": ("!", "33"), "fail": ("✗", "31")}


def _tell(finding: Finding, *, colour: bool) -> None:
    from runner.cli import voice

    sign, number = _SIGNS[finding.status]
    shown = f"\x1b[{number}m{sign}\x1b[0m" if colour else sign
    about = " ".join(part for part in (finding.check, finding.subject) if part)
    say(f"{shown} {voice.plain(about)}: {voice.plain(finding.message)}")
    if finding.hint:
        say(f"    {voice.plain(finding.hint)}")
