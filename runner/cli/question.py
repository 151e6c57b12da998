"""The question before anything is paid for, where there is somebody to answer it."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from collections.abc import Sequence

    from runner.apply.session import Session
    from runner.plan.guard import Guards
    from runner.plan.plan import Plan


def is_asked(*, yes: bool) -> bool:
    """Whether a person is there and has not said yes beforehand."""
    return not yes and sys.stdin.isatty()


def confirmed(session: Session, plan: Plan, asked_for: Guards) -> bool:
    """Whether the user wants a plan to be paid for; what is free is never asked about.

    asked_for: what the command line allows. A yes allows a first run as well, so the question says where it is one.
    """
    from runner.cli import views, voice
    from runner.plan.change import Action

    risks = _first_runs(session, asked_for)
    costs = [change.usd for job in plan.jobs for change in job.changes if change.action is Action.SUBMIT]
    if all(cost == 0.0 for cost in costs) and not risks:
        return True
    click.echo(views.text_of_plan(views.of_plan(plan, []), colour=voice.has_colour()), err=True)
    for risk in risks:
        click.echo(f"\nThis is a first run: {voice.plain(risk)}", err=True)
    return click.confirm(f"Send these {_nouns(plan)}?", err=True)


def _first_runs(session: Session, guards: Guards) -> Sequence[str]:
    """Why nobody can say whether some of it was paid for already, once each."""
    from runner.plan.change import Reason
    from runner.plan.plan import make

    plan = make(session.desired, session.recorded(), {}, guards, session.project.paths)
    found = (change.detail for job in plan.jobs for change in job.changes if change.reason is Reason.FIRST_RUN)
    return tuple(dict.fromkeys(found))


def _nouns(plan: Plan) -> str:
    kinds = {job.is_of_recordings for job in plan.jobs if job.submissions}
    return "recordings" if kinds == {True} else "requests"
