"""The workflows that `runner init` writes, run shell by shell: each job in a clone of its own, from nothing."""

from __future__ import annotations

import re

from tests.journeys.lab import KEY, Lab, until
from tests.journeys.test_repay import EDITED, PRICED
from tests.kit.conftest import fetched, pushed
from tests.kit.workflow import BOT, Hub, Run, git

DIGEST = re.compile(r"\d+-[0-9a-f]{32}")


def planned(hub: Hub, number: int, branch: str, login: str = "acme/batch") -> str:
    """The comment on a pull request once its plan has run; there is one, however often it runs."""
    event = hub.opened(number, branch)
    event["pull_request"]["head"]["repo"]["full_name"] = login
    run = hub.run("runner-plan.yml", "pull_request_target", event)
    assert run.is_green, run.said
    assert KEY not in run.said
    ours = [one for one in hub.known()["comments"] if one["issue"] == number and one["user"]["login"] == BOT]
    assert len(ours) == 1
    return str(ours[0]["body"])


def digest_in(comment: str) -> str:
    found = DIGEST.findall(comment.rstrip().splitlines()[-1])
    assert len(found) == 1, comment
    return str(found[0])


def applied(hub: Hub, event: str = "push", *, is_green: bool = True, **inputs: str) -> Run:
    run = hub.run("runner-apply.yml", event, {}, inputs)
    assert run.is_green is is_green, run.said
    assert KEY not in run.said
    return run


def brought_home(hub: Hub, lab: Lab) -> Run:
    """The run of the next hour, when all is done."""
    until(lambda: {batch["status"] for batch in lab.server.batches()} == {"completed"})
    return applied(hub, "schedule")


def sent(lab: Lab) -> list[int]:
    return [len(ids) for ids in lab.server.sent()]


def test_what_is_reviewed_in_a_pull_request_is_sent_when_it_is_merged(hub: Hub, dev: Lab) -> None:
    dev.spec(PRICED)
    dev.rows(9)
    pushed(dev, "first", "Ask")
    assert "9 requests" in planned(hub, 1, "first")
    dev.rows(10)
    pushed(dev, "first", "Ask more")
    comment = planned(hub, 1, "first")
    assert "10 requests" in comment and "$10.00" in comment and digest_in(comment).startswith("10-")
    assert "`lab` was not asked what it holds of this project" in comment, "there is no key on a pull request"
    hub.comment(1, "mallory", comment.replace(digest_in(comment), "99-" + "0" * 32))
    # merged: exactly that; hour by hour what is done is brought home, and kept in the repository
    hub.merge(1, "first")
    run = applied(hub)
    assert f"Reviewed: `{digest_in(comment)}`" in run.summary and sent(dev) == [10]
    run = brought_home(hub, dev)
    assert git(hub.origin, "log", "-1", "--format=%s", "main") == "runner: results\n", run.said
    assert len(git(hub.origin, "show", "main:results/answers.jsonl").splitlines()) == 10
    # one word of the prompt, in a clone that has the results, and neither state nor a key
    fetched(dev)
    dev.spec(EDITED)
    pushed(dev, "word", "Be polite")
    comment = planned(hub, 2, "word")
    assert "10 requests" in comment and "10 answered requests are no longer wanted" in comment
    assert digest_in(comment).startswith("10-")
    # another edit meanwhile, past all review: what would be sent is not what was seen
    fetched(dev)
    dev.rows({f"r{n}": f"word {n}" for n in range(9)} | {"r9": "another"})
    pushed(dev, "main", "Edit a row")
    run = applied(hub, is_green=False)
    assert "Reviewed: `nothing`" in run.summary and "waits for a person" in run.said
    hub.merge(2, "word")
    run = applied(hub, is_green=False)
    assert "the plan is stale: 10 requests would be sent now, and not all of that is among the 10" in run.said
    assert sent(dev) == [10]
    # whoever has read the plan of that run says yes to it by hand
    applied(hub, "workflow_dispatch", digest=digest_in(run.summary))
    assert sent(dev) == [10, 10]
    brought_home(hub, dev)
    assert sent(dev) == [10, 10]
    files = git(hub.origin, "ls-tree", "--name-only", "main", "results/").split()
    assert files == ["results/answers.jsonl"]
    assert "another" in git(hub.origin, "show", "main:results/answers.jsonl")


def test_with_results_at_the_remote_alone_and_a_key_that_reads(hub: Hub, dev: Lab) -> None:
    hub.variables["RUNNER_COMMIT_RESULTS"] = "false"
    plan = dev.root / ".github/workflows/runner-plan.yml"
    plan.write_text(plan.read_text().replace("# LAB_KEY: ", "LAB_KEY: "))
    dev.spec(PRICED)
    dev.rows(10)
    pushed(dev, "main", "Take the key")
    dev.spec(PRICED.replace("project: lab", "project: lab  # asks"))
    pushed(dev, "first", "Ask")
    planned(hub, 1, "first")
    hub.merge(1, "first")
    applied(hub)
    run = brought_home(hub, dev)
    assert (
        sent(dev) == [10]
        and len((run.folder / "artifacts/results/results/answers.jsonl").read_bytes().splitlines()) == 10
    )
    assert "results" not in git(hub.origin, "ls-tree", "--name-only", "main").split()
    fetched(dev)
    dev.rows(11)
    pushed(dev, "row", "A row more")
    before = dev.server.asked()
    comment = planned(hub, 2, "row")
    assert "1 of 11 requests" in comment and digest_in(comment).startswith("1-")
    assert [route for route, times in dev.server.asked().items() if times != before.get(route)] and not [
        route for route, times in dev.server.asked().items() if route.startswith("POST") and times != before.get(route)
    ]
    # from a fork: no key, so all of it may have to be sent; a yes to that is one to the row that is left
    digest = digest_in(planned(hub, 3, "row", login="mallory/batch"))
    assert digest.startswith("11-")
    hub.merge(2, "row")
    applied(hub, "workflow_dispatch", digest=digest)
    assert sent(dev) == [10, 1]
    applied(hub)
    assert sent(dev) == [10, 1]


def test_a_gate_that_fails_on_merge_and_a_mended_prompt_that_meets_it(hub: Hub, dev: Lab) -> None:
    gate = "checks: {{said: {{contains: '{{{{ word }}}}'}}}}\n    expect: {{said: '>= 0.9'}}"
    asks = PRICED.replace("    output: results/answers.jsonl", f"    output: results/answers.jsonl\n    {gate}")
    dev.spec(asks.replace("Say {{{{ word }}}}", "Say something about {{{{ id }}}}"))
    dev.rows(10)
    pushed(dev, "first", "Ask")
    assert "gates: 1 not yet" in planned(hub, 1, "first")
    hub.merge(1, "first")
    applied(hub)
    until(lambda: {batch["status"] for batch in dev.server.batches()} == {"completed"})
    run = applied(hub, "schedule", is_green=False)
    assert "a gate is not met" in run.said
    assert "❌ said ≥ 90 %" in run.summary, run.summary
    fetched(dev)
    dev.spec(asks)
    pushed(dev, "mend", "Ask for the word")
    planned(hub, 2, "mend")
    hub.merge(2, "mend")
    applied(hub)
    run = brought_home(hub, dev)
    assert "✅ said ≥ 90 %" in run.summary, run.summary
    assert sent(dev) == [10, 10]
