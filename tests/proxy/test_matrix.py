"""Whatever happens on the wire, an apply converges or fails in words: one batch, every row once, no hang, no key."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.proxy.cells import Bench, Outcome, bench
from tests.proxy.columns import COLUMNS, met_by
from tests.proxy.faults import FAULTS, STORMS

# Once each: every endpoint, and every kind of fault at least at one endpoint that pays.
SAMPLE = [
    ("openai upload", "reset at body"),
    ("openai create", "close at forwarded"),
    ("openai create", "html 200 after"),
    ("openai create", "429 date"),
    ("openai look", "stale keep-alive"),
    ("openai list", "502 before"),
    ("openai list in doubt", "garbage"),
    ("openai files", "close at reply"),
    ("openai download", "cut, until close"),
    ("openai download", "gzip bomb"),
    ("openai cancel", "500 after"),
    ("fireworks create dataset", "reset at forwarded"),
    ("fireworks upload", "504 after"),
    ("fireworks getUploadEndpoint", "{} after"),
    ("fireworks signed PUT", "reset at status line"),
    ("fireworks validateUpload", "empty 200 after"),
    ("fireworks get dataset", "wrong gzip"),
    ("fireworks create job", "two lengths"),
    ("fireworks create job", "302 elsewhere"),
    ("fireworks get job", "header bomb, many"),
    ("fireworks get job in doubt", "silent, forwarded"),
    ("fireworks list jobs", "429 ms"),
    ("fireworks getDownloadEndpoint", "deep json after"),
    ("fireworks signed GET", "broken chunk"),
    ("fireworks delete job", "close at forwarded"),
    ("audio submit", "503 before"),
    ("audio submit", "close at forwarded"),
    ("audio status", "chunk cut"),
    ("openai look", "ids of others"),
    ("openai download", "206 nowhere"),
    ("fireworks get job", "times before time"),
    ("fireworks create job", "302 to no address"),
]
STORM_SAMPLE = [
    ("openai create", "500 after"),
    ("fireworks create job", "reset at unforwarded"),
    ("audio submit", "429 missing"),
    ("audio submit", "302 elsewhere"),
    ("audio status", "503 before"),
    ("audio status", "reply twice"),
    ("openai look", "reply twice"),
    ("openai download", "empty 200 after"),
]
SLICE = 30  # cells on one server: lists of batches grow with each


@pytest.fixture(scope="module")
def here(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Bench]:
    with bench(tmp_path_factory.mktemp("proxy")) as made:
        yield made


def holds(outcome: Outcome) -> None:
    assert not outcome.blames, "\n".join([*outcome.blames, outcome.words])


@pytest.mark.parametrize(("column", "fault"), SAMPLE)
def test_a_fault_is_got_over(column: str, fault: str, here: Bench) -> None:
    outcome = here.run(COLUMNS[column], FAULTS[fault])
    holds(outcome)
    assert outcome.strikes == 1


@pytest.mark.parametrize(("column", "fault"), STORM_SAMPLE)
def test_a_fault_that_goes_on_costs_little_and_is_got_over_in_the_end(column: str, fault: str, here: Bench) -> None:
    outcome = here.run(COLUMNS[column], FAULTS[fault], storm=True)
    holds(outcome)
    assert outcome.strikes > 0


@pytest.mark.parametrize(
    "column", ["audio submit", "audio status", "openai create", "openai look", "fireworks create job"]
)
def test_an_account_without_money_is_told_and_not_waited_for(column: str, here: Bench) -> None:
    outcome = here.run(COLUMNS[column], FAULTS["429 out of money"], storm=True)
    holds(outcome)
    assert outcome.codes[:2] == [1, 0]  # at once, and all is well once there is money
    assert "check its plan and billing details" in outcome.words


@pytest.mark.parametrize("column", ["openai list in doubt", "openai list"])
def test_half_a_list_never_leads_to_a_create(column: str, here: Bench) -> None:
    outcome = here.run(COLUMNS[column], FAULTS["list without end"], storm=True)
    holds(outcome)
    assert outcome.codes[-1] == 0
    assert "promises more" in outcome.words


@pytest.mark.sweep
@pytest.mark.timeout(3600)
@pytest.mark.parametrize("storm", [False, True], ids=["once", "storm"])
@pytest.mark.parametrize("column", COLUMNS)
def test_every_fault_at_every_endpoint(column: str, storm: bool, tmp_path: Path) -> None:
    meets = met_by(COLUMNS[column])
    names = [name for name in (STORMS if storm else FAULTS) if meets(FAULTS[name])]
    broken = []
    for at in range(0, len(names), SLICE):
        with bench(tmp_path / str(at)) as made:
            outcomes = [made.run(COLUMNS[column], FAULTS[name], storm=storm) for name in names[at : at + SLICE]]
        broken += [f"{one.fault}: {one.blames[0]}\n{one.words}" for one in outcomes if one.blames]
    assert not broken, "\n\n".join(broken)
