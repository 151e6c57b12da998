"""A rehearsal only reads what a real account holds: what would be continued there is sent anew here."""

from __future__ import annotations

import pytest

from tests.journeys.fireworks.lab import SPEC, FireLab
from tests.journeys.lab import until

STAGE = ".runner/rehearsal"


def test_the_rest_of_an_expired_batch_is_rehearsed_by_itself(lab: FireLab) -> None:
    priced = "    price: {{input: 1, output: 1}}\n    params:"
    lab.spec(SPEC.replace("    params:", priced))
    lab.account.fault(expire_at=0.5)
    lab.apply("--no-wait", code=3)
    until(lambda: lab.account.states() == ["EXPIRED"])
    lab.apply("--max-usd", "0", code=5)  # collected, and nothing sent again
    rows, states = lab.account.rows_asked(), lab.account.states()
    done = lab.apply("--rehearse")
    assert (lab.account.rows_asked(), lab.account.states()) == (rows, states)
    assert "5 requests in 1 batch" in done.stdout
    assert "10 ok + 0 error = 10" in done.stdout
    origins = [row["origin"] == "synthetic" for row in lab.results(f"{STAGE}/outputs/results/answers.jsonl")]
    assert origins == [False] * 5 + [True] * 5


@pytest.mark.parametrize("more", ["upload_bytes: 100", "part_bytes: 200, upload_bytes: 100"])
def test_signed_uploads_are_rehearsed_too(lab: FireLab, more: str) -> None:
    lab.spec(SPEC.replace("settle_s: 0.3", f"settle_s: 0.3, {more}"))
    assert "10 ok" in lab.apply("--rehearse").stdout
    assert lab.account.jobs() == []
