"""Plan, rehearsal and apply say the same: one helper that holds them to it."""

from __future__ import annotations

import json
import re
import subprocess
from collections.abc import Callable
from typing import Any

from runner.apply.preview import NOTHING_TO_SEND
from tests.journeys.audio.lab import AudioLab
from tests.journeys.fireworks.lab import FireLab
from tests.journeys.lab import Lab

_REHEARSED = re.compile(r"Rehearsed: (?:([\d,]+) requests? in|`.*` would send nothing)")


def planned(lab: Lab, *words: str, **environ: str) -> dict[str, Any]:
    """The plan, as data. Nothing on disk changes."""
    before = lab.files()
    plan = dict(json.loads(lab.run("plan", "specs/", "-o", "json", *words, code=None, **environ).stdout))
    after = lab.files()
    assert after == before, set(after.items()) ^ set(before.items())
    return plan


def rehearsed(lab: Lab, **environ: str) -> int:
    """How many requests a rehearsal says that a real apply would send."""
    done = lab.run("apply", "specs/", "--rehearse", code=None, **environ)
    found = _REHEARSED.search(done.stdout)
    assert found, done.stdout + done.stderr
    return int((found[1] or "0").replace(",", ""))


def rows_sent(lab: Lab) -> int:
    """Requests that the remote was given so far."""
    match lab:
        case AudioLab():
            return lab.posts()
        case FireLab():
            return sum(lab.account.asked_of_jobs())
        case _:
            return sum(map(len, lab.server.sent()))


def apply_as_foretold(
    lab: Lab, *words: str, code: int | None = 0, by: Callable[..., Any] | None = None, **environ: str
) -> subprocess.CompletedProcess[str]:
    """Apply, after a plan and a rehearsal that both say how many requests are sent then.

    by: how to apply, where it is not `lab.apply`.
    """
    before = rows_sent(lab)
    plan = planned(lab, **environ)
    assert set(plan["not_asked"].values()) <= {NOTHING_TO_SEND}, plan["not_asked"]
    assert rehearsed(lab, **environ) == plan["requests"], plan
    done: subprocess.CompletedProcess[str] = (by or lab.apply)(*words, code=code, **environ)
    assert rows_sent(lab) - before == plan["requests"], plan
    return done
