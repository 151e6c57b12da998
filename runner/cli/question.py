"""The question before anything is paid for: asked of a person who is there, answered beforehand by `-y`, else a no."""

from __future__ import annotations

import contextlib
import signal
import sys
from collections.abc import Iterator
from enum import StrEnum
from types import FrameType
from typing import TYPE_CHECKING, assert_never

from runner.cli.saying import columns_of, say
from runner.job.capabilities import Content

if TYPE_CHECKING:
    from collections.abc import Sequence

    from runner.apply.purse import Rest
    from runner.apply.session import Session
    from runner.plan.plan import Plan


class YesOrNo(StrEnum):
    NOT_ASKED = "not asked"  # nothing was to be paid for
    YES = "yes"
    NO = "no"
    NOBODY = "nobody"  # is there to say yes, and none was given beforehand


def is_asked(*, yes: bool) -> bool:
    """Whether a person is there and has not said yes beforehand."""
    return not yes and sys.stdin.isatty()


class _About(StrEnum):
    """What a question is about: a yes to one is none to another."""

    PLAN = "plan"
    REST = "the rest of an earlier run"
    AGAIN = "answers that are none, asked for again, and dear"


class Question:
    """Asked once a command, at the first thing that costs; what is free is never asked about.

    Asked once more where answers that are none would be paid for again, and for more than the project lets go: how many
    they are nobody knew when the first question was asked.
    """

    def __init__(self, session: Session, *, yes: bool, quiet: bool = False) -> None:
        self._session = session
        self._yes = yes
        self._tells = not (yes and quiet)
        self._of: dict[_About, YesOrNo] = {}

    @property
    def answer(self) -> YesOrNo:
        """What was answered, a no above all."""
        given = self._of.values()
        return next((one for one in (YesOrNo.NO, YesOrNo.NOBODY, YesOrNo.YES) if one in given), YesOrNo.NOT_ASKED)

    def __call__(self, wanted: Plan | Rest) -> bool:
        from runner.apply.purse import Rest

        about = _About.REST if isinstance(wanted, Rest) else _about(wanted, self._session.project.repay_usd)
        answer = self._of.get(about, YesOrNo.NOT_ASKED)
        if answer is YesOrNo.NOT_ASKED:
            answer = self._of[about] = self._of_rest(wanted) if isinstance(wanted, Rest) else self._of_plan(wanted)
        match answer:
            case YesOrNo.YES | YesOrNo.NOT_ASKED:
                return True
            case YesOrNo.NO | YesOrNo.NOBODY:
                return False
            case _:
                assert_never(answer)

    def _of_rest(self, rest: Rest) -> YesOrNo:
        if rest.usd == 0.0:
            return YesOrNo.NOT_ASKED
        from runner.cli import voice

        what = f"{rest.batch.owner}: {rest.words} ({voice.money(rest.usd)})"
        if is_asked(yes=self._yes):
            return ask(f"Send {what}?")
        if self._yes and self._tells:
            say(f"Sending {what}", err=True)
        return self._unasked()

    def _of_plan(self, plan: Plan) -> YesOrNo:
        from runner.cli import plantext, views, voice
        from runner.cli.comparing import compared
        from runner.cli.rows import ids_in
        from runner.plan.change import Action

        asks = is_asked(yes=self._yes)
        costs = [change.usd for job in plan.jobs for change in job.changes if change.costs]
        if all(cost == 0.0 for cost in costs):
            return YesOrNo.NOT_ASKED
        if self._tells:
            told, _ = compared(self._session, plan)
            view = views.of_plan(plan, [], ids_in(self._session.compiled), compared=told)
            view = views.of_environment(view, self._session.project)
            say(plantext.text_of_plan(view, colour=voice.has_colour(), columns=columns_of(sys.stderr)), err=True)
        for words in _to_be_told(plan) if asks else ():
            say(f"\n{voice.plain(words)}", err=True)
        if not asks:
            return self._unasked()
        usd = views.at_most(plan)
        what = f"{voice.count(plan.to_submit, _noun(plan))} {_sent(plan)}"
        if plan.later:  # the question is asked once: a yes is one to all of it
            what += f", and {voice.count(sum(len(one.ordinals) for one in plan.later), _noun(plan))} later"
        if plan.ahead:
            what += f", then about {voice.count(plan.ahead, 'request')} about their answers"
        if at_worst := sum(c.rows for job in plan.jobs for c in job.changes if c.action is Action.MAY):
            what += f", and at most {voice.count(at_worst, 'request')} once more online"
        where = self._session.project.environment
        return ask(f"Send {what}{', ' if usd else ''}{usd}{f', for `{where}`' if where else ''}?")

    def _unasked(self) -> YesOrNo:
        return YesOrNo.YES if self._yes else YesOrNo.NOBODY


def _about(plan: Plan, repay_usd: float | None) -> _About:
    from runner.plan.change import Action, Reason
    from runner.plan.guard import REPAY_USD

    limit = REPAY_USD if repay_usd is None else repay_usd
    for job in plan.jobs:
        told = [one for one in job.changes if one.action is Action.CONFIRM and one.reason is Reason.REPAY]
        is_dear = any(one.usd is None or one.usd > limit for one in told)
        if is_dear and any(one.reason is Reason.INVALID for one in job.changes):
            return _About.AGAIN
    return _About.PLAN


def ask(question: str) -> YesOrNo:
    """The answer of the person at the terminal; no line at all (Ctrl-D) is a no. Ctrl-C ends the command at once."""
    with _ends_at_once(signal.SIGINT), _ends_at_once(signal.SIGTERM):
        while True:
            say(f"{question} [y/N]: ", nl=False, err=True)
            line = sys.stdin.readline()
            if not line:
                say(err=True)
            word = line.strip().lower()
            if word in ("y", "yes"):
                return YesOrNo.YES
            if word in ("", "n", "no"):
                return YesOrNo.NO


@contextlib.contextmanager
def _ends_at_once(number: signal.Signals) -> Iterator[None]:
    """No call is under way while a question stands, so there is none to finish first."""

    def interrupted(signum: int, frame: FrameType | None) -> None:
        raise KeyboardInterrupt

    before = signal.signal(number, interrupted)
    try:
        yield
    finally:
        signal.signal(number, before)


def _to_be_told(plan: Plan) -> Sequence[str]:
    """What a yes agrees to beside the plan: paying again, or paying where nobody knows of earlier requests."""
    from runner.plan.change import Action, Reason

    told = []
    for job in plan.jobs:
        for change in job.changes:
            if change.action is Action.CONFIRM and change.reason is Reason.REPAY:
                told.append(f"This pays again for what was paid for, in `{job.address}`: {change.about}")
            elif change.action is Action.CONFIRM:
                told.append(f"This is a first run: {change.detail}")
    return tuple(dict.fromkeys(told))


def _noun(plan: Plan) -> str:
    kinds = {job.content for job in plan.jobs if job.submissions}
    return "recording" if kinds == {Content.RECORDING} else "request"


def _sent(plan: Plan) -> str:
    """`in 2 batches`, `online`; of some in batches and some online, how many batches."""
    from runner.cli.nouns import ROWS, nouns_of

    kinds = {nouns_of(job.content, job.transport) for job in plan.jobs if job.submissions}
    return (kinds.pop() if len(kinds) == 1 else ROWS).sent(len(plan.submissions))
