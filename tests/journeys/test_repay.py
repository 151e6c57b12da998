"""Editing a prompt asks again for what was paid for: whoever remembers it guards it, and says how much it is."""

from __future__ import annotations

import json
import shutil

import pytest

from tests.journeys.lab import SPEC, Lab
from tests.journeys.terminal import terminal

# $10 for the ten rows: a provider of one's own has no discount
PRICED = SPEC.replace(
    "    params: {{max_tokens: 16}}", "    params: {{max_tokens: 16}}\n    price: {{input: 0, output: 62500}}"
)
EDITED = PRICED.replace("Say {{{{ word }}}}", "Please say {{{{ word }}}}")


@pytest.fixture
def paid(lab: Lab) -> Lab:
    """Ten answers that were paid for, and a prompt edited since."""
    lab.spec(PRICED)
    lab.apply()
    lab.spec(EDITED)
    return lab


def test_without_a_terminal_it_blocks_and_names_rows_and_dollars(paid: Lab) -> None:
    done = paid.apply(code=5)
    assert "10 that were answered, estimated at $10.00" in done.stdout
    assert "`runner apply" in done.stdout and "--confirm-repay answers" in done.stdout
    assert paid.server.creates() == 1
    paid.apply("--confirm-repay", "nothing", code=64)
    paid.apply("--confirm-repay", "answers")
    assert paid.server.creates() == 2


@pytest.mark.parametrize("how", [["--confirm-repay"], ["--confirm-repay", "-q"], ["--confirm-repay=answers"]])
def test_it_may_stand_alone_before_paths_too(paid: Lab, how: list[str]) -> None:
    paid.run("apply", "-y", *how, "specs/")
    assert paid.server.creates() == 2


def test_a_project_may_say_how_much_goes_without_a_yes(paid: Lab) -> None:
    paid.spec(EDITED.replace("project: lab", "project: lab\nrepay_usd: 10"))
    paid.apply()
    assert paid.server.creates() == 2


@pytest.mark.parametrize(("answer", "creates"), [("y", 2), ("n", 1)])
def test_on_a_terminal_the_question_says_it(paid: Lab, answer: str, creates: int) -> None:
    with terminal(paid.root, paid.environ(), "apply", "specs/", columns=200) as screen:
        screen.wait_for("? [y/N]:")
        screen.type(f"{answer}\n")
        assert screen.end() == 0
    assert "pays again for what was paid for, in `answers`: 10 that were answered, estimated at $10.00" in screen.shown
    assert paid.server.creates() == creates


@pytest.mark.parametrize("lost", [[".runner"], [".runner", "results"]], ids=["outputs are left", "the remote alone"])
def test_in_a_fresh_clone_the_same_edit_is_guarded_as_well(paid: Lab, lost: list[str]) -> None:
    for name in lost:
        shutil.rmtree(paid.root / name)
    for _ in range(2):  # and it stays guarded
        done = paid.apply(code=5)
        assert "10 that were answered, estimated at $10.00" in done.stdout
    assert paid.server.creates() == 1
    paid.apply("--confirm-repay")
    assert paid.server.creates() == 2


def test_answers_that_were_free_are_nothing_that_was_paid_for(lab: Lab) -> None:
    lab.spec(PRICED.replace("provider: lab", "provider: embedded"))
    lab.apply()
    lab.spec(PRICED)
    lab.apply()
    assert lab.server.creates() == 1


def test_a_price_of_nothing_is_not_believed_of_a_vendor(lab: Lab) -> None:
    spec = PRICED.replace("provider: lab", "provider: openai").replace("input: 0, output: 62500", "input: 0, output: 0")
    for name, known in (("gpt-4o-mini-2024-07-18", True), ("gpt-99", False)):
        lab.spec(spec.replace("name: echo", f"name: {name}"))
        done = lab.run("plan", "--offline", "--max-usd", "0.00001", "-o", "json", code=5)
        (job,) = json.loads(done.stdout)["jobs"]
        usd = job["lines"][0]["usd"]
        assert usd > 0.00004 if known else usd is None


def test_limits_of_requests_and_tokens(lab: Lab) -> None:
    lab.apply("--max-requests", "9", code=5)
    lab.apply("--max-tokens", "160", code=5)
    assert lab.server.creates() == 0
    lab.apply("--max-requests", "10", "--max-tokens", "1000")
    assert lab.server.creates() == 1


def test_a_limit_counts_what_the_same_apply_sent_before(lab: Lab) -> None:
    """The batch expires half way, and what it left would be five requests more."""
    lab.server.fault(expire_at=0.5)
    done = lab.apply("--max-requests", "12", code=5)
    assert "10 sent already, this plan is estimated at 5 requests" in done.stdout
    assert lab.server.creates() == 1


@pytest.mark.parametrize("price", ["", "\n    price: 0"], ids=["not known", "nothing"])
def test_a_server_of_ones_own_that_costs_nothing_blocks_nothing(lab: Lab, price: str) -> None:
    spec = SPEC.replace("project: lab", "project: lab\nrepay_usd: 0").replace("16}}", "16}}" + price)
    lab.spec(spec)
    lab.apply()
    lab.spec(spec.replace("Say {{{{", "Please say {{{{"))
    assert ("cost ?" in lab.run("plan").stdout) is (not price)
    lab.apply()
    assert lab.server.creates() == 2


def test_what_was_read_back_and_is_deleted_is_counted_once(paid: Lab) -> None:
    """The clone has the answers on record; the remote, searched before the next apply, shows the batch they are of."""
    shutil.rmtree(paid.root / ".runner")
    paid.spec(PRICED)
    paid.apply("--no-wait")
    shutil.rmtree(paid.root / "results")
    paid.spec(EDITED)
    done = paid.apply(code=5)
    assert "10 answered requests are no longer wanted" in done.stdout
    assert "10 that were answered, estimated at $10.00" in done.stdout
    shutil.rmtree(paid.root / ".runner")
    paid.spec(PRICED)
    paid.run("plan")
    paid.spec(EDITED)
    done = paid.apply(code=5)
    assert "10 that were answered, estimated at $10.00" in done.stdout
