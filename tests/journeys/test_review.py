"""Review, then exactly that: a plan as a file or as a digest, applied on a machine that knows nothing of it."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

from tests.journeys.audio.lab import AudioLab
from tests.journeys.lab import KEY, Lab, serving, until
from tests.journeys.terminal import terminal
from tests.journeys.test_chains import HEARD
from tests.journeys.test_repay import EDITED, PRICED


def clone(lab: Lab, name: str) -> Lab:
    """What git has of a project, on another machine: its specs, data and plan; neither state nor a home."""
    root = lab.root.parent / name / "project"
    shutil.copytree(lab.root, root, ignore=shutil.ignore_patterns(".runner", "results"))
    return Lab(root, lab.server)


def digest_of(lab: Lab, *words: str, code: int = 0) -> str:
    return str(json.loads(lab.run("plan", "specs/", "-o", "json", *words, code=code).stdout)["digest"])


def sent(lab: Lab) -> list[int]:
    return [len(ids) for ids in lab.server.sent()]


def test_what_was_planned_in_one_clone_is_sent_by_another(lab: Lab) -> None:
    lab.spec(PRICED)
    said = lab.run("plan", "specs/", "--out", "plan.json")
    digest = digest_of(lab)
    assert f"Digest: {digest}" in said.stdout and "`runner apply plan.json`" in said.stderr
    assert KEY not in (lab.root / "plan.json").read_text() and "word" not in (lab.root / "plan.json").read_text()
    other, third = clone(lab, "other"), clone(lab, "third")
    assert digest_of(other) == digest
    # nothing else goes: one row was edited since
    other.rows({f"r{n}": f"word {n}" for n in range(9)} | {"r9": "another"})
    stale = other.run("apply", "plan.json", code=5)
    assert "error: the plan is stale: 1 job would send requests that were not reviewed" in stale.stderr
    assert "answers: 1 request more, 1 less; at most $10.00, was at most $10.00" in stale.stderr
    assert digest_of(other) in stale.stderr
    stale = other.run("apply", "specs/", "--plan-digest", digest, code=5)
    assert "10 requests would be sent now, and not all of that is among the 10" in stale.stderr
    assert "answers: 10 requests, at most $10.00" in stale.stderr
    assert sent(lab) == []
    # exactly that, without a question; again there is nothing, and that is no error
    other.rows(10)
    assert "Send" not in other.run("apply", "plan.json").stderr
    assert sent(lab) == [10] and len(other.results()) == 10
    assert other.run("apply", "plan.json").stdout == "Nothing to do\n"
    assert other.run("apply", "specs/", "--plan-digest", digest).stdout == "Nothing to do\n"
    # whoever comes later finds that it was sent
    third.run("apply", "specs/", RUNNER_PLAN_DIGEST=digest)
    assert sent(lab) == [10] and len(third.results()) == 10


def test_on_a_terminal_nothing_is_asked(lab: Lab) -> None:
    lab.spec(PRICED)
    with terminal(lab.root, lab.environ(), "plan", "specs/", "--out", "plan.json", columns=200) as screen:
        assert screen.end() == 0
    assert json.loads((lab.root / "plan.json").read_text())["digest"] == digest_of(lab)
    with terminal(lab.root, lab.environ(), "apply", "plan.json", columns=200) as screen:
        assert screen.end() == 0
    assert "[y/N]" not in screen.shown and sent(lab) == [10]


def test_what_goes_on_meanwhile_is_not_stale_and_what_would_be_sent_again_is(lab: Lab) -> None:
    lab.rows(4)
    lab.server.fault(hold=0.4)
    lab.apply("--no-wait", code=3)
    lab.rows(6)
    digest = digest_of(lab, "--out", "plan.json")
    assert digest.startswith("2-")
    lab.server.fault(hold=None)
    lab.run("apply", "plan.json", "--plan-digest", digest)  # the first batch ended since
    assert sent(lab) == [4, 2]
    # a batch expires that was sent before: its rows were in flight when the plan was made
    lab.server.fault(expire_at={"value": 0.5, "count": 1}, hold=0.25)
    lab.rows(10)
    lab.run("apply", "specs/", "--plan-digest", digest_of(lab), "--no-wait", code=3)
    lab.rows(11)
    digest = digest_of(lab, "--out", "plan.json")
    assert digest.startswith("1-")
    lab.server.fault(hold=None)
    until(lambda: "expired" in [batch["status"] for batch in lab.server.batches()])
    for words, said in ((["plan.json"], "2 requests more"), (["specs/", "--plan-digest", digest], "3 requests")):
        assert f"answers: {said}" in lab.run("apply", *words, code=5).stderr
    assert sent(lab) == [4, 2, 4]
    lab.run("apply", "specs/", "--plan-digest", digest_of(lab))
    assert sent(lab) == [4, 2, 4, 1, 2]


def test_under_one_digest_what_expires_is_sent_again_by_later_commands_too(lab: Lab) -> None:
    """And by other machines, as a schedule in a CI does it: from nothing each time."""
    lab.server.fault(expire_at={"value": 0.5, "count": 2})
    digest = digest_of(lab)
    for number in range(12):
        machine = clone(lab, f"run{number}")
        done = machine.run("apply", "specs/", "--plan-digest", digest, "--no-wait", code=None)
        assert done.returncode in (0, 3), done.stderr
        if done.returncode == 0:
            break
    assert sent(lab)[:2] == [10, 5]
    assert [row["error"] for row in machine.results()] == [None] * 10


def test_less_is_sent_where_somebody_sent_some_of_it(lab: Lab) -> None:
    digest = digest_of(lab, "--out", "plan.json")
    other = clone(lab, "other")
    other.rows(6)
    other.apply()
    third = clone(lab, "third")
    lab.run("apply", "plan.json")
    assert sent(lab) == [6, 4]
    third.run("apply", "specs/", "--plan-digest", digest)
    assert sent(lab) == [6, 4] and len(third.results()) == 10


def test_consent_that_the_plan_had_goes_with_it(lab: Lab) -> None:
    lab.spec(PRICED)
    lab.apply()
    lab.spec(EDITED)
    blocked = digest_of(lab, "--out", "blocked.json", code=5)
    assert blocked.startswith("0-")
    lab.run("apply", "blocked.json", code=5)
    lab.run("plan", "specs/", "--confirm-repay", "--out", "plan.json")
    lab.run("apply", "plan.json")
    assert sent(lab) == [10, 10]


def test_a_plan_is_of_its_environment(lab: Lab) -> None:
    lab.spec(PRICED + "environments: {{dev: {{}}, prod: {{}}}}\n")
    lab.run("plan", str(lab.root / "specs"), "--env", "prod", "--out", "plan.json")
    kept = json.loads((lab.root / "plan.json").read_text())
    assert (kept["environment"], kept["project"], kept["paths"]) == ("prod", "lab@prod", ["specs"])
    assert len({kept["digest"], digest_of(lab), digest_of(lab, "--env", "dev")}) == 3
    assert "of the environment `prod`" in lab.run("apply", "plan.json", "--env", "dev", code=64).stderr
    assert "stale" in lab.run("apply", "specs/", "--env", "dev", "--plan-digest", kept["digest"], code=5).stderr
    other = clone(lab, "other")
    other.run("apply", "plan.json")
    assert sent(lab) == [10] and len(other.results("results/prod/answers.jsonl")) == 10
    (lab.root / "plan.json").write_text(json.dumps(kept | {"environment": "nowhere"}))
    assert "nowhere" in lab.run("apply", "plan.json", code=None).stderr


def test_what_is_known_only_later_is_reviewed_later(tmp_path: Path) -> None:
    root = tmp_path / "project"
    root.mkdir()
    with serving(tmp_path / "server") as server:
        lab = AudioLab(root, server)
        lab.spec(HEARD)
        lab.record(3)
        assert digest_of(lab, code=5).startswith("0-"), "a first run of a remote that shows nothing wants a yes"
        digest = digest_of(lab, "--first-run", "--out", "plan.json")
        done = lab.run("apply", "plan.json", code=5)
        assert lab.posts() == 3 and lab.server.sent() == []
        assert "3 requests" in done.stdout and "not among what was reviewed" in done.stdout
        assert "`runner plan specs/`" in done.stdout
        lab.run("apply", "specs/", "--plan-digest", digest, code=5)
        second = digest_of(lab)
        assert second.startswith("3-")
        lab.run("apply", "specs/", "--plan-digest", second, code=5)
        lab.run("apply", "specs/", "--plan-digest", digest_of(lab))
        assert [len(ids) for ids in lab.server.sent()] == [3, 3]


def _with(**fields: Any) -> Callable[[dict[str, Any]], object]:
    return lambda plan: plan.update(fields)


def _first(**fields: Any) -> Callable[[dict[str, Any]], object]:
    return lambda plan: plan["sends"][0].update(fields)


DAMAGED: list[tuple[Callable[[dict[str, Any]], object], int, str]] = [
    (_with(kind="terraform"), 1, "was not written by `runner plan --out FILE.json`"),
    (_with(version=2), 5, "is a plan of version 2; this release reads version 1"),
    (_with(version="\x1b[2J"), 5, "is a plan of version \\x1b[2J"),
    (_with(project="another"), 1, "is damaged: it its digest"),
    (_with(digest="10-" + "0" * 32), 1, "is damaged"),
    (_with(paths=[]), 1, "does not name the specs"),
    (_with(paths=["/etc"]), 1, "does not name the specs"),
    (_with(paths=["../elsewhere"]), 64, "no such file or folder"),
    (_with(usd=-1), 1, "holds an amount that is none"),
    (_with(requests=3), 1, "another number of requests than it says"),
    (_with(sends="x"), 1, "is damaged"),
    (_first(keys="!!"), 1, "holds digests that are none"),
    (_first(rows=11), 1, "of `answers` another number of requests"),
    (_first(model="dearer"), 1, "is damaged"),
    (_first(window_hours="\x1b]0;x"), 1, "is damaged"),
]


def test_a_plan_of_a_stranger_is_held_to_what_it_says(lab: Lab) -> None:
    lab.run("plan", "specs/", "--out", "plan.json")
    good = (lab.root / "plan.json").read_bytes()
    for change, code, words in DAMAGED:
        plan = json.loads(good)
        change(plan)
        (lab.root / "bad.json").write_text(json.dumps(plan))
        done = lab.run("apply", "bad.json", code=code)
        assert words in done.stderr and "\x1b" not in done.stderr, (words, done.stderr)
    for data in (b"", b"\xff\xfe", b"[" * 100_000, good[:-40], b'{"kind": "runner plan"}', b"null"):
        (lab.root / "bad.json").write_bytes(data)
        assert "is no plan" in lab.run("apply", "bad.json", code=1).stderr
    os.mkfifo(lab.root / "pipe.json")
    (lab.root / "folder.json").mkdir()
    for name, words in (("pipe.json", "is no file"), ("folder.json", "is no file"), ("none.json", "there is no plan")):
        assert words in lab.run("apply", name, code=64).stderr
    assert "a plan names its own specs" in lab.run("apply", "plan.json", "specs/", code=64).stderr
    assert "is no digest of a plan" in lab.run("apply", "--plan-digest", "latest", code=64).stderr
    other = "10-" + "0" * 32
    assert "is not the plan that was reviewed" in lab.run("apply", "plan.json", "--plan-digest", other, code=5).stderr
    assert "give it PATHS" in lab.run("apply", "plan.json", "--rehearse", code=64).stderr
    assert "a plan is a .json file" in lab.run("plan", "--out", "plan.txt", code=64).stderr
    lab.spec(PRICED.replace("project: lab", "project: another"))
    assert "is of the project `lab`" in lab.run("apply", "plan.json", code=5).stderr
    assert sent(lab) == []


def test_a_forged_plan_makes_nothing_be_sent_that_the_specs_do_not_ask_for(lab: Lab) -> None:
    """Sound in itself, and of other requests."""
    other = clone(lab, "other")
    other.rows(30)
    other.run("plan", "specs/", "--out", "plan.json")
    shutil.copy(other.root / "plan.json", lab.root / "plan.json")
    lab.run("apply", "plan.json")
    assert sent(lab) == [10]


def test_a_fresh_clone_is_held_back_by_what_it_would_send_and_not_by_what_it_does_not_know(lab: Lab) -> None:
    """A limit, a yes that is missing and a review count what is to be sent once the remote has been searched."""
    lab.spec(PRICED)
    lab.apply()
    lab.rows(11)
    assert "at most $1.00" in clone(lab, "plans").run("plan", "specs/", "--max-usd", "5").stdout
    clone(lab, "other").apply("--max-usd", "5")
    assert sent(lab) == [10, 1]
