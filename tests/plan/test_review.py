"""What is reviewed is which requests go where: nothing else changes the digest, and nothing else is ever sent."""

from __future__ import annotations

import random
from datetime import timedelta
from typing import Any

from hypothesis import assume, given
from hypothesis import strategies as st
from msgspec.structs import replace

from runner.errors import Mark
from runner.job.capabilities import Limits
from runner.job.desired import Desired
from runner.job.observed import Failure, FailureKind, Origin
from runner.job.packed import unpack
from runner.job.recorded import Stage
from runner.plan import review
from runner.plan.change import Reason
from runner.plan.guard import Guards
from runner.plan.paid import paid_by
from runner.plan.plan import Recorded, make
from runner.plan.remaining import BatchRows, RetryRows
from tests.plan.making import NOW, batch, card, job, key, packed

LETTERS = "abcdefghij"
letters = st.lists(st.sampled_from(LETTERS), max_size=8)
results = st.dictionaries(st.sampled_from(LETTERS), st.sampled_from(["ok", "final", "retry", "lost"]), max_size=6)
history = st.lists(st.one_of(results, st.lists(st.sampled_from(LETTERS), max_size=6, unique=True)), max_size=4)


ANY_COST = Guards(confirm_repay=("*",))
NOTHING = Recorded()


def reviewed(jobs: list[Desired], recorded: Recorded = NOTHING, guards: Guards = ANY_COST) -> review.Review:
    jobs = sorted(jobs, key=lambda one: one.address)
    return paid_by("p", jobs, make(jobs, recorded, {}, guards), recorded)


def told(batches: list[Any]) -> list[BatchRows]:
    return [batch(f"b{n}", one, n, submitted_at=NOW + timedelta(minutes=n)) for n, one in enumerate(batches) if one]


@given(letters, letters, history, st.randoms(use_true_random=False))
def test_only_which_requests_go_where_is_in_the_digest(
    first: list[str], second: list[str], before: list[Any], rng: random.Random
) -> None:
    recorded = Recorded(told(before))
    assume(not any(one.is_held_back for one in make([job("beta", [*first, *second])], recorded, {}, ANY_COST).jobs))
    digest = reviewed([job("alpha", first), job("beta", second)], recorded).digest
    shuffled = [*first, *first]  # rows in another order, twice, cut into other batches, of a job of another name
    rng.shuffle(shuffled)
    narrow = card(limits=Limits(lines=1, size_bytes=1000))
    other = job("zeta", shuffled, card=narrow, output="elsewhere.csv", declared_at=Mark("b.yaml"), max_attempts=3)
    assert reviewed([other, job("beta", second, usd_per_million=(1.0, 2.0))], recorded).digest == digest


@given(letters.filter(bool), st.sampled_from(["provider", "model", "window_hours", "endpoint", "origin", "options"]))
def test_where_they_go_is(wanted: list[str], field: str) -> None:
    other: dict[str, Any] = {
        "provider": "another", "model": "n", "window_hours": 48, "endpoint": "/v1/responses",
        "origin": Origin("openai", "elsewhere.example"), "options": {"precision": "FP8"},
    }  # fmt: skip
    assert reviewed([job("job", wanted)]).digest != reviewed([job("job", wanted, **{field: other[field]})]).digest


@given(letters, letters)
def test_which_requests_is(first: list[str], second: list[str]) -> None:
    same = set(first) == set(second)
    one, two = reviewed([job("job", first)]), reviewed([job("job", second)])
    assert (one.digest == two.digest) is same
    assert one.digest.startswith(f"{len(set(first))}-")
    assert review.rows_in(one.digest) == len(set(first))
    assert bool(review.differences(one, two)) is not same


@given(letters, history, st.data())
def test_what_goes_on_meanwhile_leaves_no_more_to_be_sent(
    wanted: list[str], before: list[Any], data: st.DataObject
) -> None:
    """Whoever sent it, and however it ended: from the digest, exactly what was reviewed is known again."""
    jobs = [job("job", wanted)]
    recorded = Recorded(told(before))
    then = reviewed(jobs, recorded)
    left = sorted({letter for letter in LETTERS for part in then.parts if key(letter) in set(unpack(part.keys))})
    since = list(before)
    while left and data.draw(st.booleans(), label="somebody sends some of it"):
        sent = data.draw(st.lists(st.sampled_from(left), min_size=1, unique=True))
        ended = st.one_of(st.none(), st.sampled_from(["ok", "final", "retry"]))
        outcomes = {letter: data.draw(ended) for letter in sent}
        since.append(sent if None in outcomes.values() else outcomes)
        left = [letter for letter in left if letter not in sent]
    later = Recorded(told(since))
    now = reviewed(jobs, later)
    found = review.reviewed_under(then.digest, now, jobs, later.batches)
    assert found is not None
    assert review.outside(found, now.parts) == 0
    assert not now.rows or found == then.reviewed
    assert not [one for one in review.differences(then, now) if one.more]


@given(letters, letters, history)
def test_nothing_else_is_sent_under_a_review(reviewed_rows: list[str], wanted: list[str], before: list[Any]) -> None:
    recorded = Recorded(told(before))
    then = reviewed([job("job", reviewed_rows)], recorded)
    jobs = [job("job", wanted)]
    plan = make(jobs, recorded, {}, replace(ANY_COST, reviewed=then.reviewed))
    known = {one for keys in then.reviewed.values() for one in unpack(keys)}
    sent = {key(wanted[ordinal]) for cut in plan.submissions for ordinal in cut.ordinals}
    assert sent <= known
    unbound = reviewed(jobs, recorded)
    more = review.outside(then.reviewed, unbound.parts)
    if any(part.is_held_back for part in make(jobs, recorded, {}, ANY_COST).jobs):
        assert not sent
        return
    blocked = [change for part in plan.jobs for change in part.changes if change.reason is Reason.NOT_REVIEWED]
    assert [change.rows for change in blocked] == ([more] if more else [])
    assert (review.reviewed_under(then.digest, unbound, jobs, recorded.batches) is None) is bool(
        unbound.rows and unbound.digest != then.digest and not _was_sent_since(then, unbound, recorded, jobs)
    )


def _was_sent_since(then: review.Review, now: review.Review, recorded: Recorded, jobs: list[Desired]) -> bool:
    """Whether what was reviewed is what would be sent, with the newest batches: worked out letter by letter."""
    known = {one for part in now.parts for one in unpack(part.keys)}
    target = {one for part in then.parts for one in unpack(part.keys)}
    wanted = set(unpack(jobs[0].keys))
    for entry in reversed(recorded.batches):
        if set(unpack(entry.keys)) <= wanted:
            known |= set(unpack(entry.keys))
            if known == target:
                return True
    return False


def test_of_an_answer_that_is_asked_again_the_decision_is_in_the_digest() -> None:
    """So that what was reviewed once does not pay for the same answers a second time."""
    jobs = [job("job", ["a", "b"])]
    first = reviewed(jobs)
    answered = told([{"a": "ok", "b": "ok"}])
    again = reviewed(jobs, Recorded(answered, retries=[RetryRows(1, packed("a"), replaces=True)]))
    once_more = reviewed(jobs, Recorded(answered, retries=[RetryRows(2, packed("a"), replaces=True)]))
    assert [(part.place.epoch, part.rows) for part in again.parts] == [(1, 1)]
    assert len({first.digest, again.digest, once_more.digest}) == 3
    assert review.outside(first.reviewed, again.parts) == 1


def test_what_was_put_off_is_reviewed_as_if_it_were_new() -> None:
    """Where the batch is not known, in a fresh clone, its requests are to be sent as well."""
    failure = Failure(FailureKind.QUOTA, "quota", "full")
    put_off = batch("b", ["a", "b"], stage=Stage.DEFERRED, failure=failure, remote_id="", estimated_usd=0.5)
    known = reviewed([job("job", ["a", "b", "c"])], Recorded([put_off]))
    assert known.digest == reviewed([job("job", ["a", "b", "c"])]).digest
    begun = batch("b", ["a", "b"])
    calls = BatchRows(begun.batch, begun.keys, unsent=packed("b"))
    assert reviewed([job("job", ["a", "b"])], Recorded([calls])).reviewed == reviewed([job("job", ["b"])]).reviewed


def test_an_embedded_server_is_the_same_on_every_machine() -> None:
    here, there = (job("job", ["a"], origin=Origin("openai", f"embedded:{name}")) for name in ("1f2e", "new"))
    assert reviewed([here]).digest == reviewed([there]).digest


def test_what_waits_for_a_person_is_not_reviewed() -> None:
    jobs = [job("dear", ["a"], usd_per_million=(1e6, 1e6), max_output_tokens=5), job("cheap", ["b"])]
    assert [part.address for part in reviewed(jobs).parts] == ["cheap", "dear"]
    held = reviewed([job("dear", ["a"], budget_usd=0.01, usd_per_million=(1e6, 1e6), max_output_tokens=5), jobs[1]])
    assert [part.address for part in held.parts] == ["cheap"]


def test_digests_stay_as_they_are() -> None:
    """Golden: one that was reviewed before an upgrade holds after it."""
    assert reviewed([job("job", ["a", "b"])]).digest == GOLDEN
    assert reviewed([]).digest == EMPTY
    assert [review.rows_in(one) for one in (GOLDEN, EMPTY, "", "2", "2-", "x-" + "0" * 32, GOLDEN + "0")] == [
        2, 0, None, None, None, None, None,
    ]  # fmt: skip


def test_many_requests_are_counted_as_few_are() -> None:
    many = [f"request {number}" for number in range(5000)]
    whole = job("job", many)
    recorded = Recorded([batch("b", dict.fromkeys(many[:10], "ok"))])
    left = reviewed([whole], recorded)
    assert (left.rows, left.parts[0].keys) == (4990, reviewed([job("job", many[10:])]).parts[0].keys)
    assert review.outside(left.reviewed, reviewed([whole]).parts) == 10


GOLDEN = "2-8c52b3561b8fcda9193bdec2add23cf1"
EMPTY = "0-8f3d0d39cc2a868184759dc913a5d01b"
