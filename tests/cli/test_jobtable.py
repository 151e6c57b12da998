"""The table of running jobs: it fits its terminal, whatever the jobs are called and however many there are."""

from __future__ import annotations

from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from runner.apply.reporter import Progress
from runner.cli.jobtable import cells_of, drawn, line_of
from runner.cli.pace import WINDOW_SECONDS, Pace, Paces
from runner.cli.saying import width
from runner.clock import FastClock

NOW = FastClock().now()


def job(number: int, done: int, **fields: object) -> Progress:
    usual: dict[str, object] = {"phase": "running", "total": 1_000, "since": NOW - timedelta(minutes=2), "seen_at": NOW}
    return Progress(f"reviews/job-{number:03d}", done=done, **{**usual, **fields})  # type: ignore[arg-type]


FULL = job(1, 250, tokens=12_345, usd=0.12, most_usd=1.32)
PACE = Pace(2.5, 300.0)


def test_one_job_in_one_line() -> None:
    assert line_of(cells_of(FULL, PACE, NOW)) == (
        "reviews/job-001  running  250/1,000  2 min 00 s  2.5 rows/s  12.3 k tokens  $0.12 of at most $1.32"
        "  done in 5 min"
    )
    unseen = job(1, 250, seen_at=NOW - timedelta(minutes=1))
    assert (
        line_of(cells_of(unseen, PACE, NOW))
        == "reviews/job-001  running  250/1,000  2 min 00 s  last seen 1 min 00 s ago"
    )


@pytest.mark.parametrize(
    ("pace", "is_of_calls", "told"),
    [
        (Pace(), False, ""),
        (Pace(12.3, 8), False, "12 rows/s  done in 10 s"),
        (Pace(0.5, 7200), True, "30 calls/min  done 06:05 UTC"),
        (Pace(0.005, 200_000), True, "18 calls/h  done 2031-02-05 11h UTC"),
        (Pace(0.0001, 9e9), False, "0.4 rows/h  done in over 30 days"),
    ],
)
def test_rates_and_ends(pace: Pace, is_of_calls: bool, told: str) -> None:
    cells = cells_of(job(1, 1, is_of_calls=is_of_calls), pace, NOW)
    assert "  ".join(filter(None, (cells.rate, cells.ends))) == told


@pytest.mark.parametrize(
    ("usd", "most", "told"),
    [
        (0.0, 0.0, ""),
        (0.0, None, "cost ?"),
        (0.5, None, "$0.50 + ?"),
        (0.0, 0.001, "at most $0.01"),
        (2.0, 3.0, "$2.00 of at most $3.00"),
    ],
)
def test_what_has_no_price_is_never_nothing(usd: float, most: float | None, told: str) -> None:
    assert cells_of(job(1, 1, usd=usd, most_usd=most), Pace(), NOW).dollars == told


def test_what_is_left_out_first() -> None:
    wide = "\n".join(drawn([FULL, job(2, 0)], lambda one: PACE, NOW, columns=160, lines=10))
    assert "12.3 k tokens" in wide and "$0.12 of at most $1.32" in wide and "2 min 00 s" in wide
    narrow = drawn([FULL, job(2, 0)], lambda one: PACE, NOW, columns=66, lines=10)
    assert "2.5 rows/s" in narrow[0] and "done in 5 min" in narrow[0] and "tokens" not in narrow[0]
    assert "250/1,000" in drawn([FULL], lambda one: PACE, NOW, columns=30, lines=10)[0]


def test_a_hundred_jobs_do_not_overflow_the_screen() -> None:
    jobs = [
        job(number, 5 if number % 10 == 0 else 0, phase="running" if number < 60 else "validating")
        for number in range(100)
    ]
    told = drawn(jobs, lambda one: Pace(), NOW, columns=80, lines=12)
    assert len(told) == 12
    assert told[0].startswith("reviews/job-000") and told[1].startswith("reviews/job-010")  # those at work
    assert told[-2] == "… and 90 jobs more: 54 running, 36 validating"
    assert told[-1].startswith("100 jobs") and "50/100,000" in told[-1]
    few = drawn(jobs[:12], lambda one: Pace(), NOW, columns=80, lines=13)
    assert len(few) == 13 and "more" not in "".join(few)


_NUMBERS = st.integers(0, 10**9)
_JOBS = st.builds(Progress, st.text(max_size=90), st.text(max_size=30), _NUMBERS, _NUMBERS)


@given(
    st.lists(_JOBS, min_size=1, max_size=30, unique_by=lambda one: one.address), st.integers(1, 200), st.integers(1, 50)
)
def test_no_line_is_wider_and_no_table_longer_than_its_terminal(jobs: list[Progress], columns: int, lines: int) -> None:
    told = drawn(jobs, lambda one: PACE, NOW, columns=columns, lines=lines)
    assert all(width(line) <= columns for line in told)
    assert len(told) <= max(lines, 3)
    assert not any(set(line) & set("\x1b\n\r\t\x07") for line in told)


def test_the_pace_is_that_of_the_last_while() -> None:
    paces = Paces()
    paces.note([job(1, 0)], 0.0)
    assert paces.of(job(1, 0)) == Pace()
    paces.note([job(1, 10)], 1.0)
    assert paces.of(job(1, 10)) == Pace()  # too short a while
    paces.note([job(1, 100)], 10.0)
    assert paces.of(job(1, 100)) == Pace(10.0, 90.0)
    for second in range(11, 2_000):  # it goes on at a tenth of that
        paces.note([job(1, 100 + second // 10)], float(second))
    found = paces.of(job(1, 299))
    assert found.per_second == pytest.approx(0.1, rel=0.05)
    assert WINDOW_SECONDS < 2_000
    paces.note([job(1, 50)], 2_001.0)  # rows are asked again
    assert paces.of(job(1, 50)) == Pace()
    paces.note([], 2_002.0)
    assert paces.of(job(1, 50)) == Pace()
