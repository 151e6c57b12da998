"""What a terminal shows of an apply: drawn anew in place, nothing wider than it, and nothing to restore at its end."""

from __future__ import annotations

import fcntl
import os
import re
import struct
import termios
import time

import pytest

from tests.journeys.lab import SPEC, Lab
from tests.journeys.terminal import CTRL_C, Terminal, terminal

HIDES_CURSOR, BACK = b"\x1b[?25l", re.compile(rb"\r\x1b\[(\d+)A\x1b\[J")
JOB = """\
  {name}:
    dataset: rows
    prompt: {name}
    model: echo
    output: results/{name}.jsonl
"""


def spec(lab: Lab, *names: str) -> None:
    """A job for each name, with a prompt of its own; the fields of the lab's spec."""
    text = SPEC[: SPEC.index("prompts:")] + "prompts:\n"
    text += "".join(f'  {name}: {{{{user: "{name} {{{{{{{{ word }}}}}}}}"}}}}\n' for name in names)
    text += "jobs:\n" + "".join(JOB.format(name=name) for name in names) + SPEC[SPEC.index("providers:") :]
    lab.spec(text)


def drawings(screen: Terminal) -> list[str]:
    """What was drawn anew, each time: what follows a move of the cursor to its top."""
    return [part.decode().replace("\r\n", "\n") for part in re.split(BACK, screen.raw)[2::2]]


def resize(screen: Terminal, columns: int, lines: int = 40) -> None:
    fcntl.ioctl(screen.master, termios.TIOCSWINSZ, struct.pack("HHHH", lines, columns, 0, 0))


@pytest.mark.parametrize("columns", [80, 120])
def test_the_table_is_drawn_in_place_and_gone_at_the_end(lab: Lab, columns: int) -> None:
    spec(lab, "first", "second-with-a-rather-long-name-that-says-what-it-is-about")
    lab.server.fault(hold=0.5)
    with terminal(
        lab.root, lab.environ(NO_COLOR="1"), "apply", "specs", "-y", "--poll", "0.1s", columns=columns
    ) as screen:
        screen.wait_for("5/10")
        screen.wait_for("10/20")
        resize(screen, 60)
        time.sleep(1.5)
        lab.server.fault(hold=None)
        assert screen.end() == 0
    assert HIDES_CURSOR not in screen.raw
    assert not re.search(rb"\x1b\[\d*m", screen.raw)  # NO_COLOR
    drawn = drawings(screen)
    assert len(drawn) > 3
    assert not [line for text in drawn for line in text.split("\n") if len(line) > columns]
    assert any("done" not in text and "2 jobs" in text for text in drawn)
    last = screen.shown.rpartition("\n\n")[0]
    assert "Done" in screen.shown and last


def test_many_jobs_do_not_overflow_the_screen(lab: Lab) -> None:
    spec(lab, *(f"job-{number:02d}" for number in range(30)))
    lab.server.fault(hold=0.5)
    with terminal(lab.root, lab.environ(), "apply", "specs", "-y", "--poll", "0.2s", columns=80) as screen:
        resize(screen, 80, 14)  # half of it, and no fewer than eight lines
        screen.wait_for("150/300", 90)
        screen.type(CTRL_C)
        screen.wait_for("Stopping after the call under way")
        assert screen.end() == 130
    assert max(int(found[1]) for found in BACK.finditer(screen.raw)) <= 8
    assert "30 jobs" in screen.shown and "jobs more: " in screen.shown


@pytest.mark.parametrize("keys", [CTRL_C, CTRL_C * 2])
def test_ctrl_c_leaves_a_terminal_as_it_was(lab: Lab, keys: str) -> None:
    lab.server.fault(hold=0.5)
    with terminal(lab.root, lab.environ(), "apply", "specs", "-y", "--poll", "0.1s", columns=80) as screen:
        before = termios.tcgetattr(screen.master)
        screen.wait_for("5/10")
        for key in keys:
            screen.type(key)
            time.sleep(0.05)
        assert screen.end() in ((130,) if len(keys) == 1 else (130, -2))  # the second may meet one that has just ended
        assert termios.tcgetattr(screen.master) == before
    assert HIDES_CURSOR not in screen.raw
    assert "Stopp" in screen.shown or "Interrupted" in screen.shown


def test_a_kill_leaves_a_terminal_as_it_was(lab: Lab) -> None:
    lab.server.fault(hold=0.5)
    with terminal(lab.root, lab.environ(), "apply", "specs", "-y", "--poll", "0.1s", columns=80) as screen:
        screen.wait_for("5/10")
        os.kill(screen.pid, 9)
        assert screen.end() == -9
    assert HIDES_CURSOR not in screen.raw


def test_without_a_terminal_there_is_a_line_for_each_change(lab: Lab) -> None:
    spec(lab, *(f"job-{number}" for number in range(10)))
    lab.server.fault(hold=0.5)
    done = lab.apply("--poll", "0.1s", "--wait", "3s", code=3)
    assert "\x1b" not in done.stderr
    told = [line for line in done.stderr.splitlines() if re.match(r"(job-\d|10 jobs)  .*\d/\d", line)]
    # Each phase of each job once: no heartbeat in so short a time
    assert len(told) == len({tuple(line.split("  ")[:2]) for line in told})
    assert {line[:5] for line in told} == {f"job-{number}" for number in range(10)}
