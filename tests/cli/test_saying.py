"""Lines on a terminal, and the words on them."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from io import StringIO

import pytest

from runner.apply.reporter import Progress
from runner.cli.progress import PlainLines
from runner.cli.saying import folded
from runner.cli.suggest import carried
from runner.clock import RealClock
from runner.plan.change import _paid_before
from tests.journeys.lab import Lab
from tests.journeys.terminal import terminal


def test_colours_take_no_room_and_wide_letters_take_two() -> None:
    plain = "  ! blocked    over budget: " + "word " * 20
    assert folded(plain.replace("  !", "\x1b[31m  !\x1b[0m"), 60).replace("\x1b[31m", "").replace("\x1b[0m", "") == (
        folded(plain, 60)
    )
    assert folded("\N{CJK UNIFIED IDEOGRAPH-4E2D}" * 9 + " and more", 20).split("\n")[1] == "  and more"


@pytest.mark.parametrize("columns", [20, 33, 60])
def test_a_long_line_breaks_between_words(columns: int) -> None:
    text = "  ! blocked  the remote cannot be asked what was sent before, and `runner retry a` is one word"
    lines = folded(text, columns).split("\n")
    assert all(len(line) <= columns for line in lines)
    assert " ".join(" ".join(lines).split()) == " ".join(text.split())
    assert any("`runner retry a`" in line for line in lines)
    assert folded(text, None) == text


def test_a_plan_on_a_narrow_terminal(lab: Lab) -> None:
    with terminal(lab.root, lab.environ(), "plan", columns=60) as screen:
        assert screen.end() == 0
    lines = screen.shown.split("\n")
    assert max(map(len, lines)) <= 60
    assert any(line.strip() == "never asked" for line in lines)  # the reason, on a line of its own
    assert "never asked" in lab.run("plan").stdout.split("\n")[1]


def test_paths_stand_before_options_and_only_once() -> None:
    assert carried("run `runner apply -y`, `runner models list`", ["a b/"], "") == (
        "run `runner apply 'a b/' -y`, `runner models list`"
    )
    assert carried("`runner state resolve j --row R`", ["s.yaml"], "") == "`runner state resolve j s.yaml --row R`"
    assert carried("`runner plan s.yaml`", ["s.yaml"], "") == "`runner plan s.yaml`"
    assert carried("`runner plan`", [], "") == "`runner plan`"


def test_one_request_is_no_plural(lab: Lab) -> None:
    lab.rows(1)
    done = lab.apply()
    assert "submitted 1 request as" in done.stderr
    assert not re.search(r"\b1 (requests|rows|batches|recordings)", done.stdout + done.stderr)


def test_progress_tells_how_long_the_batch_runs_not_the_command() -> None:
    out = StringIO()
    began = datetime.now(UTC) - timedelta(hours=2, minutes=10)
    PlainLines(RealClock(), out).progress([Progress("job", "running", 1, 2, began, datetime.now(UTC))])
    assert out.getvalue() == "job  running  1/2  2 h 10 min\n"


def test_an_unknown_job_is_named_with_those_there_are(lab: Lab) -> None:
    (lab.root / "runner.lock").write_text("version: 1\nproject: lab\njobs: {}\n")
    commands = ("fetch JOB", "show JOB", "render JOB", "cancel JOB", "retry JOB", "state resolve JOB", "verify JOB")
    others = ("state resolve JOB --clear", "retry JOB --row a", "cancel JOB --batch b", "report -s JOB", "diff JOB JOB")
    for command in (*commands, *others, "export JOB all.csv", "apply --confirm-repay=JOB"):
        done = lab.run(*(word.replace("JOB", "anwsers") for word in command.split()), code=64)
        first, hint = [line for line in done.stderr.splitlines() if line][:2]
        assert first.endswith("there is no job `anwsers`"), command
        assert hint.startswith("hint: did you mean `answers`? jobs are `answers`"), command
    assert not list(lab.root.glob("anwsers*"))


def test_one_of_a_thing_is_one() -> None:
    assert _paid_before(1) == "1 answered request is no longer wanted"
    assert _paid_before(2) == "2 answered requests are no longer wanted"
    assert _paid_before(0) == ""
