"""A job that asks another provider now does not wait for the one it asked before, whose key may be gone."""

from __future__ import annotations

import pytest

from tests.journeys.lab import KEY, SPEC, Lab

TWO = (
    SPEC
    + """\
  next:
    kind: openai
    base_url: {url}
    api_key_env: NEXT_KEY
    overrides: {{settle_s: 0.4, min_poll_s: 0.05}}
"""
)


@pytest.mark.parametrize(
    "now, why",
    [
        (TWO.replace("provider: lab", "provider: next"), "`LAB_KEY` is not set"),
        (SPEC.replace("lab:", "next:").replace("provider: lab", "provider: next").replace("LAB_KEY", "NEXT_KEY"),
         "provider `lab` is not declared any more"),
    ],
    ids=["its key is gone", "it is not declared"],
)  # fmt: skip
def test_what_is_in_flight_where_a_job_asked_before_holds_nothing_up(lab: Lab, now: str, why: str) -> None:
    lab.server.fault(hold=0.5)
    lab.apply("--no-wait", code=3)
    lab.spec(now)
    sent = lab.apply("--no-wait", code=3, LAB_KEY="", NEXT_KEY=KEY)
    assert "in flight at another origin than its job names now" in sent.stdout
    assert why in sent.stderr and "no job of these specs waits for it" in sent.stderr
    assert [len(ids) for ids in lab.server.sent()] == [10, 10]
    lab.server.fault(hold=None)
    lab.apply(LAB_KEY="", NEXT_KEY=KEY)
    assert len(lab.results()) == 10 and all(row["error"] is None for row in lab.results())
    lab.spec()
    lab.apply()
    assert lab.server.creates() == 2, "what was asked there before counts when the job asks there again"


def test_of_the_same_origin_it_is_the_business_of_the_job(lab: Lab) -> None:
    lab.server.fault(hold=0.5)
    lab.apply("--no-wait", code=3)
    lab.spec(SPEC.replace("Say", "Sing"))
    done = lab.apply("--no-wait", code=1, LAB_KEY="wrong")
    assert "no job of these specs waits for it" not in done.stderr
    assert lab.server.creates() == 1
