"""An apply that is held to a plan: to a file, to a digest, or to both."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import msgspec

from runner.apply import planfile, reviewed
from runner.apply.session import Session
from runner.cli import suggest
from runner.cli.main import Settings
from runner.cli.opening import looking
from runner.errors import Stale, UsageError, printable
from runner.job.selection import Selection
from runner.plan.guard import Guards
from runner.plan.places import Reviewed
from runner.plan.review import rows_in
from runner.spec.chosen import Chosen


class Hold(msgspec.Struct, frozen=True):
    """What a person reviewed."""

    digest: str
    plan: planfile.PlanFile | None = None

    @classmethod
    def to(cls, paths: Sequence[str], digest: str | None) -> Hold | None:
        """From the command line; None where it names no plan. Raises RunnerError for one that cannot be read."""
        if digest is not None and rows_in(digest) is None:
            raise UsageError(
                f"`--plan-digest {printable(digest)}` is no digest of a plan",
                hint="`runner plan` prints it, such as `12-5e0c1f...`",
            )
        if not planfile.is_one(paths):
            if digest is None:
                return None
            suggest.held.set(("--plan-digest", digest))
            return cls(digest)
        suggest.given.set(())  # commands that are suggested take specs
        plan = planfile.read(Path(paths[0]))
        if digest is not None and plan.digest != digest:
            raise Stale(
                f"`{printable(paths[0])}` is not the plan that was reviewed: its digest is {plan.digest}",
                hint="nothing was sent; give the plan of that digest, or review this one",
                details=(),
            )
        suggest.given.set(plan.paths)
        suggest.held.set((paths[0],))
        return cls(plan.digest, plan)

    @property
    def paths(self) -> tuple[str, ...]:
        """Of the specs; empty where the command line names them."""
        return self.plan.paths if self.plan else ()

    def about(self, selection: Selection) -> Selection:
        """The jobs the plan is about, or those the command line selects. Raises UsageError where both name some."""
        if self.plan is None:
            return selection
        if selection:
            raise UsageError(
                "a plan names its own jobs", hint="leave `--select` and `--exclude` out, or plan with them"
            )
        suggest.keep("plan", "--select", self.plan.selection.select)
        suggest.keep("plan", "--exclude", self.plan.selection.exclude)
        return self.plan.selection

    def settings(self, settings: Settings) -> Settings:
        """With the environment and the values of the plan. Raises UsageError where the command line says other ones."""
        if self.plan is None:
            return settings
        chosen, env, values = settings.chosen, self.plan.environment, self.plan.vars
        if chosen.environment not in ("", env):
            raise UsageError(
                f"the plan is of {f'the environment `{printable(env)}`' if env else 'no environment'}, not of "
                f"`{printable(chosen.environment)}`",
                hint="leave `--env` out, or plan with it",
            )
        for name, text in chosen.given:
            if name in values and values[name] != text:
                raise UsageError(
                    f"`--var {printable(name)}` is not what the plan was made with",
                    hint="leave it out: a plan has its own values; or plan with this one",
                )
        given = (*chosen.given, *values.items())
        suggest.said(environment=env)
        for name, text in values.items():
            if name not in dict(chosen.given):
                suggest.said(var=f"{name}={text}")
        return replace(settings, chosen=Chosen(env, given, environ=chosen.environ))

    def allowed(self, guards: Guards) -> Guards:
        """What the plan allowed and the command line allows."""
        return self.plan.narrowed(guards) if self.plan else guards

    def reviewed(self, session: Session, guards: Guards) -> Reviewed:
        """What may be sent. Raises Stale where something else would be."""
        with looking(session) as seen:
            if self.plan is not None:
                return reviewed.as_in_file(seen, guards, self.plan.review)
            return reviewed.under_digest(seen, guards, self.digest)
