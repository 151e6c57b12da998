"""What is said while a command waits: once for each cause, and since when a remote is silent."""

from __future__ import annotations

import io
from datetime import timedelta

from runner.apply.reporter import Progress
from runner.cli.progress import CAUSE_SECONDS, PlainLines
from runner.clock import FastClock
from runner.errors import NotSent, OutcomeUnknown, RateLimited, RemoteError


def plain() -> tuple[PlainLines, FastClock, io.StringIO]:
    clock, out = FastClock(), io.StringIO()
    return PlainLines(clock, out), clock, out


def test_how_long_ago_a_remote_was_seen() -> None:
    watcher, clock, out = plain()
    job = Progress("answers", "running", 3, 10, clock.now() - timedelta(minutes=2), clock.now())
    watcher.progress([job])
    clock.sleep(70)
    watcher.progress([job])
    assert out.getvalue().splitlines() == [
        "answers  running  3/10  2 min 00 s",
        "answers  running  3/10  3 min 10 s  last seen 1 min 10 s ago",
    ]


def test_what_no_look_of_this_command_showed() -> None:
    watcher, clock, out = plain()
    watcher.progress([Progress("answers", "running", 3, 10, clock.now() - timedelta(hours=2))])
    watcher.progress([Progress("others", "validating", 0, 10, clock.now())])
    assert out.getvalue().splitlines() == [
        "answers  running  3/10  2 h 00 min  not seen yet",
        "others  validating  0/10  0 s",
    ]


def test_a_remote_that_is_always_slow_is_told_once_and_again_after_a_long_while() -> None:
    watcher, clock, out = plain()
    for _ in range(100):
        watcher.silent({"vllm": clock.monotonic()})
        watcher.silent({})
        clock.sleep(60)
    watcher.silent({"vllm": clock.monotonic(), "lab": clock.monotonic()})
    assert out.getvalue().splitlines() == ["waiting for `vllm` ...", "waiting for `lab` ..."]
    clock.sleep(CAUSE_SECONDS + 1)
    watcher.silent({"vllm": clock.monotonic()})
    assert out.getvalue().count("waiting for `vllm` ...") == 2


def test_a_cause_is_warned_of_once_and_each_try_for_it_is_said_once() -> None:
    watcher, _, out = plain()
    for call in range(50):
        for number in (2, 3):
            watcher.retried("vllm", RemoteError(f"no (req_{call})", status=503), 0.5 * number, number, 5)
    watcher.retried("vllm", RateLimited("later", status=429), 30.0, 2, 5)
    watcher.retried("lab", NotSent("cannot reach `lab`"), 1.0, 2, 5)
    watcher.retried("vllm", OutcomeUnknown("cut"), 1.0, 2, 5)
    assert out.getvalue().splitlines() == [
        "warning: no (req_0); trying again in 1.0 s (try 2 of 5)",
        "`vllm`: trying again in 1.5 s (try 3 of 5)",
        "warning: later; trying again in 30 s (try 2 of 5)",
        "warning: cannot reach `lab`; trying again in 1.0 s (try 2 of 5)",
        "warning: cut; trying again in 1.0 s (try 2 of 5)",
    ]


def test_quiet_keeps_warnings_alone() -> None:
    clock, out = FastClock(), io.StringIO()
    watcher = PlainLines(clock, out, quiet=True)
    watcher.silent({"vllm": 0.0})
    watcher.retried("vllm", OutcomeUnknown("cut"), 1.0, 2, 5)
    assert out.getvalue() == "warning: cut; trying again in 1.0 s (try 2 of 5)\n"


def test_of_many_jobs_there_is_one_heartbeat() -> None:
    watcher, clock, out = plain()
    many = [Progress(f"job-{number}", "running", number, 100, clock.now(), clock.now()) for number in range(40)]
    for _ in range(6):
        watcher.progress(many)
        clock.sleep(30)
    told = out.getvalue().splitlines()
    assert [line.split("  ")[0] for line in told[:40]] == [f"job-{number}" for number in range(40)]
    assert told[40:] == [
        "40 jobs  40 running  780/4,000  0 s",
        "40 jobs  40 running  780/4,000  1 min 00 s  last seen 1 min 00 s ago",
        "40 jobs  40 running  780/4,000  2 min 00 s  last seen 2 min 00 s ago",
    ]
