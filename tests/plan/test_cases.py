"""Every file in cases/ is a situation and what must be decided; anybody can add one."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import timedelta
from pathlib import Path
from typing import Any

import msgspec
import pytest
import yaml

from runner.job.capabilities import Delivery, Shown
from runner.job.desired import Ahead
from runner.job.expect import Expectation, bound
from runner.job.observed import Counts, Observed, Origin, Phase
from runner.job.packed import keys_of
from runner.job.project import Evals, Scope, Stragglers, Then
from runner.job.recorded import JobRecord, Stage, Stop
from runner.plan.change import Action, Reason
from runner.plan.decide import Observation, judged
from runner.plan.guard import Guards
from runner.plan.plan import Recorded, make
from runner.plan.remaining import RetryRows
from runner.plan.repay import LeftRows
from tests.plan.making import HERE, NOW, THERE, batch, card, job, key, packed

NOBODY = Reason.NOBODY_WANTS.value
CASES = sorted((Path(__file__).parent / "cases").glob("*.yaml"))


@pytest.mark.parametrize("path", CASES, ids=lambda path: path.stem)
def test_case(path: Path) -> None:
    case: dict[str, Any] = yaml.safe_load(path.read_text())
    more = {**case.get("with", {}), **({"card": card(can_resume=True)} if case.get("can_resume") else {})}
    if "stragglers" in more:
        more["stragglers"] = msgspec.convert(more["stragglers"], Stragglers)
        more["card"] = card(price_factor=0.5)
        more["online"] = card(delivery=Delivery.CALLS) if more["stragglers"].then is Then.ONLINE else None
    if "host" in more:
        more["origin"] = Origin("openai", more.pop("host"), "")
    jobs = [
        job(address, letters, **more, **_standing(address, case)) for address, letters in sorted(case["wanted"].items())
    ]
    recorded = _recorded(case)
    plan = make(jobs, recorded, _observed(case), _guards(case), _scope(case))
    stops = {batch.key: change.detail for batch, change in plan.batches if change.action is Action.STOP}
    assert stops == case["expect"].get("stop", {})
    waits = {batch.key: change.reason.value for batch, change in plan.batches if change.action is Action.WAIT}
    assert waits == case["expect"].get("wait", waits)
    keys = {key(letter): letter for letter in "abcdefghijklmnopqrstuvwxyz"}
    online = {part.address: [n for s in part.submissions if s.is_online for n in s.ordinals] for part in plan.jobs}
    assert {a: n for a, n in online.items() if n} == case["expect"].get("online", {})
    sent = {
        address: [keys[bytes(one.keys[16 * n : 16 * n + 16])] for s in part.submissions for n in s.ordinals]
        for address, one, part in zip(sorted(case["wanted"]), jobs, plan.jobs, strict=True)
        if part.submissions and not part.is_held_back and not part.waits
    }
    assert sent == case["expect"].get("submit", {})
    continued = {s.continues for part in plan.jobs for s in part.submissions if s.continues}
    assert sorted(continued) == case["expect"].get("continue", [])
    reasons = {
        part.address: [change.reason.value for change in part.changes if change.action is not Action.KEEP]
        for part in plan.jobs
    }
    assert {a: r for a, r in reasons.items() if r} == case["expect"].get("reasons", {})
    said = " ".join(f"{change.why} {' '.join(change.unblock)}" for part in plan.jobs for change in part.changes)
    assert [words for words in case["expect"].get("says", []) if words not in said] == [], said
    assert [one.key for one, _ in plan.leftovers] == case["expect"].get("left", [])
    assert {change.reason.value for _, change in plan.leftovers} <= {case["expect"].get("left_since", NOBODY)}
    ahead = {
        part.address: [change.rows, change.least_usd, change.usd]
        for part in plan.jobs
        for change in part.changes
        if change.reason is Reason.KNOWN_AFTER
    }
    assert ahead == case["expect"].get("ahead", ahead)
    at_worst = {
        part.address: [change.rows, round(change.usd or 0.0, 9)]
        for part in plan.jobs
        for change in part.changes
        if change.reason is Reason.MAY_STRAGGLE
    }
    assert at_worst == case["expect"].get("at_worst", at_worst)
    errors = {part.address: part.counts.error for part in plan.jobs}
    assert errors == case["expect"].get("errors", errors)


def _standing(address: str, case: dict[str, Any]) -> dict[str, Any]:
    """What comes before a job, and whether something is expected of it."""
    expected = Evals(expect=(Expectation(metric="answered", bound=bound(">= 0.9")),))
    return {
        "needs": tuple(case.get("needs", {}).get(address, ())),
        "after": tuple(case.get("after", {}).get(address, ())),
        "ahead": msgspec.convert(case.get("one_ahead", {}).get(address, {}), Ahead),
        "in_the_way": case.get("in_the_way", {}).get(address, ""),
        "evals": expected if address in case.get("expected_of", ()) else Evals(),
    }


def _recorded(case: dict[str, Any]) -> Recorded:
    batches = []
    for sequence, (name, about) in enumerate(case.get("recorded", {}).items(), 1):
        more = {
            "generation": about.get("generation", 0),
            "owner": about.get("owner", "job"),
            "origin": THERE if about.get("elsewhere") else HERE,
            "declared_in": about.get("declared_in", ""),
        }
        more |= {fact: about[fact] for fact in ("can_be_continued", "remote_id", "found_in", "reason") if fact in about}
        if "usd" in about:
            more["estimated_usd"] = float(about["usd"])
        more["phase"] = Phase(about.get("phase", "expired"))
        if "stage" in about:
            more["stage"] = Stage(about["stage"])
        more |= _told_to_stop(about)
        batches.append(batch(name, about.get("results") or about["digests"], sequence, **more))
    jobs = {
        address: (_record(address, was, case.get("before_ok", {})), keys_of(packed(was)))
        for address, was in case.get("before", {}).items()
    }
    retries = [
        RetryRows(one["generation"], keys_of(packed(one["digests"])), one.get("replaces", False))
        for one in case.get("retries", [])
    ]
    accepted = {"openai": [str(THERE)]} if case.get("accepted") else {}
    left = [LeftRows(one["address"], keys_of(packed(one["digests"])), one["answered"]) for one in case.get("left", [])]
    meets = case.get("meets", {})
    flawed = {address: keys_of(packed(letters)) for address, letters in case.get("flawed", {}).items()}
    shown = {str(HERE): Shown(**case["shown"])} if "shown" in case else {}
    return Recorded(batches, jobs, retries, accepted, left, shown, meets, flawed)


def _record(address: str, was: Sequence[str], ok: Mapping[str, int]) -> JobRecord:
    return JobRecord(address, "specs/a.yaml", "openai", "", len(was), ok=ok.get(address, len(was)))


def _told_to_stop(about: dict[str, Any]) -> dict[str, Any]:
    """That somebody had a batch stopped: `{stop: give_up, stop_hours: 7}`."""
    found: dict[str, Any] = {"stop": Stop(about["stop"])} if "stop" in about else {}
    if "stop_hours" in about:
        found["stop_at"] = NOW + timedelta(hours=about["stop_hours"])
    return found | {name: about[name] for name in ("not_stopped", "is_unproven") if name in about}


def _observed(case: dict[str, Any]) -> dict[str, Observation]:
    """What remotes show of batches in flight: `{one: {phase: running, hours: 7, done: 3}}`."""
    return {
        name: judged(
            batch(name, case["recorded"][name]["digests"]).batch,
            Observed(
                name,
                Phase(about["phase"]),
                about["phase"],
                Counts(len(case["recorded"][name]["digests"]), about.get("done", 0)),
                created_at=NOW + timedelta(hours=about.get("created", 0)),
            ),
            NOW + timedelta(hours=about["hours"]),
            card(),
        )
        for name, about in case.get("observed", {}).items()
    }


def _scope(case: dict[str, Any]) -> Scope:
    selected = frozenset(case["selected"]) if "selected" in case else None
    return Scope(tuple(case.get("paths", ())), selected)


def _guards(case: dict[str, Any]) -> Guards:
    return msgspec.convert(case.get("guards", {}), Guards)
