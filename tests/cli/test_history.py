"""`runner history`: what was done to a project, by whom, why and for how much, as it was recorded."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest

from tests.cli.snapshots import Shots
from tests.journeys.lab import KEY, SPEC, Lab, Server, serving, until

PRICED = SPEC.replace(
    "params: {{max_tokens: 16}}", "params: {{max_tokens: 16}}\n    price: {{input: 1.0, output: 2.0}}"
)


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Server]:
    with serving(tmp_path / "server") as server:
        yield server


@pytest.fixture
def lab(tmp_path: Path, server: Server) -> Lab:
    lab = Lab(tmp_path / "project", server)
    lab.spec(PRICED)
    lab.rows(5)
    return lab


def events(lab: Lab, *words: str) -> list[dict[str, Any]]:
    view = json.loads(lab.run("history", "-o", "json", *words).stdout)
    assert view["version"] == 1
    return list(view["events"])


def test_an_apply_and_what_follows_is_told(lab: Lab) -> None:
    assert events(lab) == []
    assert "Nothing is recorded" in lab.run("history").stdout
    subprocess.run(["git", "init", "-q"], cwd=lab.root, check=True)
    who = ["-c", "user.name=a", "-c", "user.email=a@b"]
    subprocess.run(["git", *who, "commit", "-q", "--allow-empty", "-m", "first"], cwd=lab.root, check=True)
    head = subprocess.run(["git", "rev-parse", "HEAD"], cwd=lab.root, check=True, capture_output=True, text=True)
    lab.run("apply", str(lab.root / "specs"), "-y", GITHUB_ACTIONS="true", GITHUB_ACTOR="octocat")
    told = events(lab)
    assert [one["event"] for one in told if one["event"] != "batch.ended"] == [
        "batch.submitted",
        "batch.collected",
        "job.written",
    ]
    for one in told:
        assert (one["who"], one["command"], one["revision"]) == (
            "octocat@github",
            "runner apply specs",
            head.stdout.strip(),
        )
        assert one["at"].endswith("Z")
    by_kind = {one["event"]: one for one in told}
    sent, home = by_kind["batch.submitted"], by_kind["batch.collected"]
    assert (sent["why"], sent["rows"], sent["job"], sent["model"]) == ("never asked", 5, "answers", "echo")
    assert sent["estimated_usd"] >= home["usd"] > 0
    assert (home["ok"], home["failed"]) == (5, 0)
    assert home["usd"] == pytest.approx((home["input_tokens"] + 2 * home["output_tokens"]) / 1e6)
    # Nothing to do writes nothing
    lab.apply()
    assert events(lab) == told
    lab.rows(6)
    lab.apply()
    lab.run("retry", "answers", "--replace", "--row", "r1")
    again = events(lab)[len(told) :]
    assert [one["event"] for one in again if one["event"] != "batch.ended"] == [
        "batch.submitted",
        "batch.collected",
        "job.written",
        "job.retried",
    ]
    assert (again[0]["why"], again[0]["rows"], again[-1]["rows"]) == ("rows added or edited", 1, 1)
    assert again[-1]["command"] == "runner retry answers"
    # What is shown of it
    assert len(events(lab, "-n", "2")) == 2
    assert len(events(lab, "--since", "1d")) == len(told) + len(again)
    assert events(lab, "--since", "1d", "-n", "1") == events(lab, "-n", "1") == again[-1:]
    assert events(lab, "--since", "0s") == []
    assert events(lab, "nobody") == []
    assert events(lab, "answers") == events(lab)
    text = lab.run("history").stdout
    assert "octocat@github  `runner apply specs`" in text
    assert "submitted    answers  5 rows, at most $0.01" in text
    assert ": never asked" in text
    assert "Older ones are not shown" in lab.run("history", "-n", "2").stdout


def test_nothing_in_it_speaks_of_rows_keys_or_this_machines_paths(lab: Lab) -> None:
    lab.rows({"r1": "a-word-of-a-row"})
    lab.run("apply", str(lab.root / "specs" / "lab.yaml"), "-y")
    words = lab.run("history", "-o", "json").stdout
    for one in ("a-word-of-a-row", "r1", KEY, str(lab.root), lab.root.name, lab.server.url):
        assert one not in words


def test_a_lost_state_begins_a_new_log(lab: Lab) -> None:
    lab.apply()
    lab.forget()
    (lab.root / "results" / "answers.jsonl").unlink()
    lab.apply()
    assert [one["event"] for one in events(lab) if one["event"] != "batch.ended"] == [
        "batch.adopted",
        "batch.collected",
        "job.written",
    ]
    lab.forget()
    lab.apply()
    assert events(lab)[0]["event"] == "batch.read_back"


def test_a_cancel_is_told(lab: Lab) -> None:
    lab.server.fault(stuck_validating=1)
    lab.apply("--no-wait", code=3)
    lab.run("cancel", "answers")
    stopped = events(lab)[-1]
    assert (stopped["event"], stopped["command"], stopped["rows"]) == ("batch.cancelled", "runner cancel answers", 5)


def test_words_of_a_remote_do_not_steer_the_terminal(lab: Lab) -> None:
    from runner.job.events import Event, What
    from runner.state.memory import open_memory

    memory = open_memory(lab.root, writes=True)
    evil = "\x1b]0;x\x07\u202e::error::\n::warning::"
    memory.records.tell(
        Event(event=What.DROPPED, job=evil, who=evil, command=evil, revision=evil, remote_id=evil, why=evil, path=evil)
    )
    memory.close()
    text = lab.run("history").stdout
    assert not set(text) & set("\x1b\x07\u202e")
    assert not any(line.lstrip().startswith("::") for line in text.splitlines())
    assert msgspec.json.decode(lab.run("history", "-o", "json").stdout)


def test_snapshots(lab: Lab, shots: Shots) -> None:
    who = {"GITLAB_CI": "true", "GITLAB_USER_LOGIN": "tanuki"}
    lab.apply("--no-wait", code=3, **who)
    until(lambda: lab.server.batches()[0]["status"] == "completed")
    lab.apply(**who)
    lab.run("retry", "answers", "--replace", **who)
    shots("history", lab, "history", varying=[(r"\d\d:\d\d:\d\d UTC", "03:04:05 UTC")])
