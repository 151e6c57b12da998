"""Nothing is paid for where nobody said yes: not in a pipe, not in cron, not after a no."""

from __future__ import annotations

import pytest

from tests.journeys.lab import SPEC, Lab
from tests.journeys.terminal import CTRL_C, CTRL_D, terminal

FREE = SPEC.replace("provider: lab", "provider: embedded")


def test_without_a_terminal_and_without_a_yes_nothing_is_sent(lab: Lab) -> None:
    done = lab.run("apply", "specs/", code=5)
    assert "`runner apply specs/ -y`" in done.stderr
    assert "10 requests in 1 batch" in done.stderr  # what would have been
    assert lab.server.creates() == 0
    assert lab.run("apply", "specs/", "--no-wait", code=5).returncode == 5
    lab.run("apply", "specs/", RUNNER_YES="1")
    assert lab.server.creates() == 1
    assert lab.run("apply", "specs/").stdout == "Nothing to do\n"  # nothing to pay for wants no yes


def test_a_yes_beforehand_shows_the_plan_before_it_is_done(lab: Lab) -> None:
    words = lab.apply().stderr
    assert words.index("+ create   10 requests in 1 batch") < words.index("submitted 10 requests")
    assert "+ create" not in lab.apply("-q").stderr


def test_what_is_free_needs_no_yes(lab: Lab) -> None:
    lab.spec(FREE)
    lab.run("apply", "specs/")
    assert len(lab.results()) == 10


def test_a_yes_for_free_work_is_none_for_what_is_paid_later(lab: Lab) -> None:
    """A batch that an earlier run paid for expires under a run that has sent free work already."""
    lab.server.fault(hold=0.5)
    lab.apply("--no-wait", code=3)
    lab.spec(FREE.replace("project: lab\n", "").replace("answers", "free").replace("rows:", "rows2:").replace(
        "dataset: rows", "dataset: rows2").replace("ask:", "ask2:").replace("prompt: ask", "prompt: ask2").replace(
        "  echo:", "  echo2:").replace("model: echo", "model: echo2").split("providers:")[0], "free.yaml")  # fmt: skip
    lab.server.fault(hold=None, expire_at=0.5)
    done = lab.run("apply", "specs/", code=None)
    assert len(lab.results("results/free.jsonl")) == 10
    assert lab.server.creates() == 1
    if lab.server.batches()[0]["status"] == "expired":
        assert done.returncode == 5 and "`runner apply specs/ -y`" in done.stderr


def test_what_the_remote_put_off_is_not_sent_later_without_a_yes(lab: Lab) -> None:
    lab.spec(SPEC.replace("min_poll_s: 0.05", "min_poll_s: 0.05, defer_s: 0.1"))
    lab.server.fault(file_invisible=1)
    lab.apply("--no-wait", code=3)
    done = lab.run("apply", "specs/", code=5)
    assert "the 10 requests left of a deferred batch" in done.stderr and "`runner apply specs/ -y`" in done.stderr
    assert lab.server.creates() == 1
    with terminal(lab.root, lab.environ(), "apply", "specs/") as screen:
        screen.wait_for("Send answers: the 10 requests left of a deferred batch (cost ?)? [y/N]:")
        screen.type("n\n")
        assert screen.end() == 0
    assert lab.server.creates() == 1
    lab.apply()
    assert [row["error"] for row in lab.results()] == [None] * 10
    assert len({batch["input_file_id"] for batch in lab.server.batches()}) == 1


@pytest.mark.parametrize("keys", ["n\n", "\n", CTRL_D, "what\nno\n"])
def test_a_no_is_no_error(lab: Lab, keys: str) -> None:
    with terminal(lab.root, lab.environ(), "apply", "specs/") as screen:
        screen.wait_for("? [y/N]:")
        screen.type(keys)
        assert screen.end() == 0
    assert "Nothing was sent" in screen.shown
    assert lab.server.creates() == 0


def test_a_yes_sends(lab: Lab) -> None:
    with terminal(lab.root, lab.environ(), "apply", "specs/") as screen:
        screen.wait_for("? [y/N]:")
        screen.type("y\n")
        assert screen.end() == 0
    assert lab.server.creates() == 1


def test_control_c_at_the_question_ends_at_once(lab: Lab) -> None:
    with terminal(lab.root, lab.environ(), "apply", "specs/") as screen:
        screen.wait_for("? [y/N]:")
        screen.type(CTRL_C)
        assert screen.end(10) == 130
    assert "press Ctrl-C again" not in screen.shown
    assert lab.server.creates() == 0
