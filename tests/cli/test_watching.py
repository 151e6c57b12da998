"""`runner status --watch`, `-o wide`: drawn in place until nothing is in flight; what changed, without a terminal."""

from __future__ import annotations

import json
import re
import subprocess
import time
from datetime import datetime
from pathlib import Path

from tests.cli.snapshots import Shots
from tests.journeys.lab import Lab, until
from tests.journeys.terminal import CTRL_C, terminal
from tests.journeys.test_progress import resize, spec
from tests.journeys.test_repay import PRICED

DOCS = Path(__file__).parents[2] / "docs"


def in_flight(lab: Lab) -> None:
    lab.spec(PRICED)
    lab.server.fault(hold=0.5)
    lab.apply("--no-wait", code=3)
    until(lambda: lab.server.batches()[0]["request_counts"]["completed"] == 5)


def test_what_is_in_flight_and_what_is_to_be_sent(lab: Lab, shots: Shots) -> None:
    in_flight(lab)
    lab.rows(12)
    view = json.loads(lab.run("status", "-o", "json").stdout)
    assert view["to_send_usd"] == 2.0  # a dollar a row
    assert view["spent"]["in_flight_usd"] == 10.0
    [batch] = view["batches"]
    assert (view["oldest"], batch["model"], batch["estimated_usd"]) == (batch["name"], "echo", 10.0)
    left = datetime.fromisoformat(batch["window_ends_at"]) - datetime.fromisoformat(batch["asked_at"])
    assert 23.9 < left.total_seconds() / 3600 < 24.1
    varying = [
        (r"\b2\d h \d\d min", "23 h 59 min"),
        (r"\b20\d\d-\d\d-\d\d\b", "2026-01-02"),
        (r"\b\d\d:\d\d UTC", "03:04 UTC"),
    ]
    shots("status-in-flight", lab, "status", varying=varying)
    shots("status-wide", lab, "status", "-o", "wide", varying=varying, forms=())


def test_it_is_drawn_in_place_until_nothing_is_in_flight(lab: Lab) -> None:
    in_flight(lab)
    with terminal(lab.root, lab.environ(), "status", "--watch", "--poll", "0.2s", columns=80) as screen:
        screen.wait_for("5/10")
        lab.server.fault(hold=None)
        lab.apply()
        assert screen.end() == 0
    assert re.search(rb"\r\x1b\[\d+A\x1b\[J", screen.raw) and b"\x1b[?25l" not in screen.raw
    assert "10 ok, 0 error of 10" in screen.shown.rpartition("Oldest in flight")[2]


def test_a_screen_that_is_too_small_keeps_what_matters(lab: Lab) -> None:
    names = [f"job-{number}" for number in range(9)]
    spec(lab, *names)
    lab.server.fault(hold=0.5)
    lab.apply("--no-wait", code=3)
    with terminal(lab.root, lab.environ(), "status", "--watch", "--poll", "0.2s", columns=80) as screen:
        resize(screen, 80, 10)
        screen.wait_for(" lines more")
        screen.wait_for("9 jobs, 9 batches in flight")
        screen.wait_for("of its window left")
        screen.type(CTRL_C)
        assert screen.end() == 130
    assert max(map(int, re.findall(rb"\r\x1b\[(\d+)A", screen.raw))) <= 8


def test_ctrl_c_ends_it_and_leaves_what_was_shown(lab: Lab) -> None:
    in_flight(lab)
    with terminal(lab.root, lab.environ(), "status", "--watch", "--poll", "0.2s", columns=80) as screen:
        screen.wait_for("5/10")
        screen.type(CTRL_C)
        assert screen.end() == 130
    assert "5/10" in screen.shown.rpartition("^C")[2]


def test_without_a_terminal_it_prints_what_changed(lab: Lab) -> None:
    in_flight(lab)
    watching = lab.start("status", "--watch", "--poll", "0.2s")
    time.sleep(1.0)
    lab.server.fault(hold=None)
    lab.apply()
    told, said = watching.communicate(timeout=60)
    assert watching.returncode == 0, said
    lines = told.splitlines()
    assert sum("  running  5/10  " in line for line in lines) == 1
    assert "10 ok, 0 error of 10" in lines[-1]
    assert "\x1b" not in told
    assert "leave out -o json" in lab.run("status", "--watch", "-o", "json", code=64).stderr


def test_every_command_of_the_page_runs(lab: Lab) -> None:
    in_flight(lab)
    lab.server.fault(hold=None)
    page = (DOCS / "watching.md").read_text()
    commands = [line.split("#")[0].split() for line in re.findall(r"^runner .*$", page, re.MULTILINE)]
    assert len(commands) > 10
    for words in sorted(commands, key=lambda words: words[1] != "apply"):
        lab.run(*(word.replace("reviews", "answers") for word in words[1:]))
    [jq] = re.findall(r"jq -r '(.*)'$", page, re.MULTILINE)
    subprocess.run(["jq", "-r", jq, lab.root / "events.jsonl"], capture_output=True, check=True)
