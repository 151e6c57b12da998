"""What of ours at a remote may go: every object has to show that nobody needs it."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from runner.job.observed import Observed, Origin, Phase
from runner.job.outcomes import Outcome, pack
from runner.job.recorded import Batch, Stage, Tally
from runner.job.stored import Inventory, Kept, Stored
from runner.plan.prune import Sides, Why, judge
from runner.plan.remaining import BatchRows

NOW = datetime(2031, 2, 3, tzinfo=UTC)
ONE, TWO = b"a" * 16, b"b" * 16
ENDED = NOW - timedelta(days=10)


def batch(**more: Any) -> Batch:
    usual: dict[str, Any] = {
        "key": "1111111111111111-1", "project": "p", "owner": "job", "origin": Origin("r", "h"), "endpoint": "",
        "model": "m", "window_hours": 24, "rows": 2, "size_bytes": 1, "keys_sha256": "1" * 64, "attempt": 1,
        "generation": 0, "sequence": 1, "intent_at": ENDED, "stage": Stage.COLLECTED, "phase": Phase.COMPLETED,
        "remote_id": "b1", "upload_ref": "f1", "ended_at": ENDED,
    }  # fmt: skip
    return Batch(**{**usual, **more})


def rows(**more: Any) -> BatchRows:
    return BatchRows(batch(**more), ONE + TWO, pack(ONE, Outcome.OK) + pack(TWO, Outcome.RETRY))


UPLOAD = Stored(Kept.UPLOAD, "f1", created_at=ENDED, batches=("b1",), key="1111111111111111-1")
RESULTS = Stored(Kept.RESULTS, "o1", created_at=ENDED, batches=("b1",))
SEEN = Observed("b1", Phase.COMPLETED, "completed", ended_at=ENDED)


def whys(
    entries: Sequence[BatchRows],
    *,
    objects: Sequence[Stored] = (UPLOAD, RESULTS),
    seen: Sequence[Observed] = (SEEN,),
    safe: bytes = ONE,
    least: timedelta | None = timedelta(),
    **more: Any,
) -> list[Why | None]:
    sides = Sides(batches=entries, safe=safe, elsewhere=more.pop("elsewhere", {}), **more)
    judged = judge(Inventory(tuple(objects), tuple(seen)), sides, NOW, lambda stored, owner: least)
    assert len(judged) == len(objects)
    return sorted({one.why for one in judged}, key=str)


def test_what_is_collected_and_here_goes_results_before_the_upload() -> None:
    assert whys([rows()]) == [None]
    sides = Sides(batches=[rows()], safe=ONE, elsewhere={})
    judged = judge(Inventory((UPLOAD, RESULTS), (SEEN,)), sides, NOW, lambda stored, owner: timedelta())
    assert [one.stored.kind for one in judged] == [Kept.RESULTS, Kept.UPLOAD]
    assert judged[0].owner == "job" and judged[0].since == ENDED


@pytest.mark.parametrize(
    ("record", "why"),
    [
        ({"stage": Stage.SUBMITTED}, Why.IN_FLIGHT),
        ({"stage": Stage.INTENT, "remote_id": "", "candidates": ("b1",)}, Why.UNDECIDED),
        ({"stage": Stage.DEFERRED, "remote_id": "", "refused": ("b1",)}, Why.IN_FLIGHT),
        ({"stage": Stage.HELD, "remote_id": ""}, Why.UNDECIDED),
        ({"stage": Stage.HELD, "candidates": ("b1",), "remote_id": ""}, Why.UNDECIDED),
        ({"is_given_up": True}, Why.LATE),
        ({"short_since": ENDED}, Why.NOT_HERE),
        ({"missed_at": ENDED}, Why.NOT_HERE),
        ({"is_unproven": True}, Why.NOT_HERE),
        ({"tally": Tally(ok=1, lost=1)}, Why.NOT_HERE),
    ],
)
def test_what_is_on_record_as_unfinished_stays(record: dict[str, Any], why: Why) -> None:
    assert why in whys([rows(**record)], elsewhere={"b1": ONE}), record
    # the upload too, though the remote lists no batch of it
    assert None not in whys([rows(**record)], objects=[UPLOAD])


def test_answers_that_are_not_here_keep_a_batch() -> None:
    assert whys([rows()], safe=b"") == [Why.NOT_HERE]
    assert whys([], elsewhere={}) == [Why.NOT_HERE]
    assert whys([], elsewhere={"b1": None}) == [Why.NOT_HERE]
    assert whys([], elsewhere={"b1": ONE + TWO}) == [Why.NOT_HERE]
    assert whys([], elsewhere={"b1": ONE}) == [None]
    soon = [Observed("b1", Phase.COMPLETED, "completed", ended_at=NOW - timedelta(days=6))]
    assert whys([], elsewhere={"b1": ONE}, seen=soon) == [Why.OF_ANOTHER]  # whoever sent it may fetch it yet


def test_what_runs_at_the_remote_stays_whatever_is_on_record() -> None:
    for phase in Phase:
        if not phase.has_ended:
            assert whys([rows()], seen=[Observed("b1", phase, "")]) == [Why.IN_FLIGHT]


def test_where_the_remote_goes_on_by_itself_the_whole_chain_stays() -> None:
    child = rows(key="2222222222222222-1", remote_id="b2", continued_from="b1", upload_ref="", phase=Phase.EXPIRED)
    third = Stored(Kept.RESULTS, "o2", created_at=ENDED, batches=("b2",))
    seen = [SEEN, Observed("b2", Phase.EXPIRED, "expired", ended_at=ENDED, continued_from="b1")]
    more: dict[str, Any] = {"objects": [UPLOAD, RESULTS, third], "seen": seen, "asked_again": {child.batch.key}}
    assert whys([rows(), child], can_resume=True, **more) == [Why.MAY_GO_ON, Why.GOES_ON] or whys(
        [rows(), child], can_resume=True, **more
    ) == [Why.GOES_ON, Why.MAY_GO_ON]
    assert whys([rows(), child], **more) == [None]  # else what it left is sent anew
    running = rows(key="2222222222222222-1", remote_id="", continued_from="b1", upload_ref="", stage=Stage.INTENT)
    assert whys([rows(), running]) == [Why.GOES_ON]


def test_an_upload_that_no_batch_was_made_of_has_its_time() -> None:
    def orphan(age: timedelta, key: str) -> Stored:
        return Stored(Kept.UPLOAD, "f9", created_at=NOW - age, key=key)

    def of(age: timedelta, key: str, *entries: BatchRows, **more: Any) -> list[Why | None]:
        return whys(entries, objects=[orphan(age, key)], **more)

    settled = rows()
    assert of(timedelta(hours=23), settled.batch.key, settled) == [Why.NOT_USED_YET]
    assert of(timedelta(hours=25), settled.batch.key, settled) == [None]
    assert of(timedelta(days=6), "3333333333333333-1") == [Why.NOT_USED_YET]
    assert of(timedelta(days=8), "3333333333333333-1") == [None]
    assert of(timedelta(days=8), "3333333333333333-1", is_surely_named=False) == [Why.NOT_SURELY_OURS]
    assert whys([], objects=[Stored(Kept.UPLOAD, "f9", key="3333333333333333-1")]) == [Why.NOT_USED_YET]  # no date


def test_age_is_that_of_the_last_end_and_what_has_none_is_never_old() -> None:
    assert whys([rows()], least=timedelta(days=11)) == [Why.YOUNG]
    assert whys([rows()], least=timedelta(days=9)) == [None]
    assert whys([rows()], least=None) == [Why.NOT_MEANT]
    undated = rows(ended_at=None)
    seen = [Observed("b1", Phase.COMPLETED, "completed")]
    assert whys([undated], seen=seen, objects=[Stored(Kept.RESULTS, "o1", batches=("b1",))], least=timedelta(1)) == [
        Why.YOUNG
    ]


@given(
    st.lists(st.tuples(st.sampled_from(["b1", "b2", "b3"]), st.sampled_from(list(Phase)), st.booleans()), max_size=3),
    st.lists(st.sets(st.sampled_from(["b1", "b2", "b3"])), min_size=1, max_size=4),
)
def test_an_object_of_several_batches_goes_only_when_each_of_them_may(
    remote: list[tuple[str, Phase, bool]], used: list[set[str]]
) -> None:
    seen = {one: Observed(one, phase, "", ended_at=ENDED) for one, phase, _ in remote}
    here = {one for one, _, is_here in remote if is_here}
    objects = [
        Stored(Kept.UPLOAD, f"f{n}", created_at=ENDED, batches=tuple(sorted(ids)), key="4444444444444444-1")
        for n, ids in enumerate(used)
    ]
    sides = Sides(batches=[], safe=ONE, elsewhere=dict.fromkeys(here, ONE))
    for one in judge(Inventory(tuple(objects), tuple(seen.values())), sides, NOW, lambda stored, owner: timedelta()):
        if one.why is None:
            assert all(name in here and seen[name].phase.has_ended for name in one.stored.batches)
