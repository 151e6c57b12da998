"""Jobs and datasets go once nothing needs them; what a chain may go on from stays."""

from __future__ import annotations

import json
from typing import Any

from tests.journeys.fireworks.lab import FireLab


def pruned(lab: FireLab, *words: str, code: int | None = 0) -> dict[str, Any]:
    view = json.loads(lab.run("prune", "-o", "json", *words, code=code).stdout)
    return {one["ref"]: one["kept"] for remote in view["remotes"] for one in remote["objects"]}


def test_a_chain_stays_while_it_may_go_on_and_then_goes_whole(lab: FireLab) -> None:
    lab.account.fault(expire_at={"value": 0.5, "count": 1})
    lab.run("apply", "specs/", "-y", "--no-wait", code=None)
    while lab.account.states() != ["EXPIRED"]:
        pass
    assert set(pruned(lab, "-y").values()) == {"in flight"}  # it ended, and its answers are not here yet
    lab.apply()
    lab.whole()
    assert lab.account.states() == ["EXPIRED", "COMPLETED"]
    shown = pruned(lab, code=5)
    assert len(shown) == 5 and set(shown.values()) == {""}  # two jobs, what they gave, and what both read
    pruned(lab, "-y")
    assert lab.account.jobs() == [] and lab.account.datasets() == {}
    assert lab.run("plan").stdout == "Nothing to do\n" and lab.apply().stdout == "Nothing to do\n"
    # all is gone: the names are free, and a clone without results asks again
    lab.apply_anew()
    lab.apply()
    lab.whole()
    assert lab.account.states() == ["COMPLETED"]


def test_a_remainder_that_may_be_asked_from_there_keeps_all_it_goes_on_from(lab: FireLab) -> None:
    lab.account.fault(expire_at={"value": 0.5, "count": 1}, hold=0.0)
    lab.apply("--no-wait", code=3)
    lab.account.fault(hold=None)
    while lab.account.states() != ["EXPIRED"]:
        pass
    lab.account.fault(rate_limit={"value": 1000, "route": "POST /v1/accounts/{account}/batchInferenceJobs"})
    lab.apply("--no-wait", code=None)  # fetched, and the rest is put off
    stays = pruned(lab, "-y")
    assert len(stays) >= 3 and "" not in stays.values()
    lab.account.fault(rate_limit=None)
    lab.apply()
    lab.whole()
    assert lab.account.asked_of_jobs() == [10, 5]
