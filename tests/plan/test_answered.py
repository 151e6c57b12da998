"""A fold of the few rows that matter is a fold of all: whatever was asked, answered and edited since."""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path

from hypothesis import given, settings
from hypothesis import strategies as st

from runner.apply import noted
from runner.job.packed import common
from runner.job.recorded import JobRecord
from runner.plan import answered, remaining
from runner.plan.remaining import BatchRows, JobRows, RetryRows, Row
from tests.plan.making import THERE, batch, job, packed

MANY = [f"request {n}" for n in range(240)]
LETTERS = [*"abcdef", *MANY[:6]]
OUTCOMES = ["ok", "ok", "ok", "final", "retry", "lost", "unpaid", "late", "gave up", "rejected"]

results = st.dictionaries(st.sampled_from(LETTERS), st.sampled_from(OUTCOMES), min_size=1, max_size=5)
in_flight = st.lists(st.sampled_from(LETTERS), min_size=1, max_size=5, unique=True)
told = st.lists(st.tuples(st.one_of(results, in_flight), st.integers(0, 2), st.booleans()), max_size=4)
retried = st.lists(st.tuples(st.lists(st.sampled_from(LETTERS), min_size=1, max_size=3), st.booleans()), max_size=2)
wanted = st.lists(st.sampled_from(LETTERS), max_size=6)


def batches_of(name: str, told: list[tuple[dict[str, str] | list[str], int, bool]]) -> list[BatchRows]:
    elsewhere = {True: {"origin": THERE}, False: {}}
    return [
        batch(f"{name}{n}", rows, n, generation=generation, **elsewhere[is_elsewhere and n % 2 == 1])
        for n, (rows, generation, is_elsewhere) in enumerate(told)
    ]


def retries_of(first: int, retried: list[tuple[list[str], bool]]) -> list[RetryRows]:
    return [
        RetryRows(n, b"".join(sorted({packed([letter]) for letter in letters})), replaces)
        for n, (letters, replaces) in enumerate(retried, first)
    ]


def told_of(rows: JobRows) -> tuple[object, ...]:
    return (bytes(rows.states), rows.counts, rows.parents, rows.shared_with, rows.origins, rows.batches, rows.bad,
            rows.shown)  # fmt: skip


@settings(max_examples=settings().max_examples * 2)
@given(
    cuts=st.lists(st.integers(0, 240), max_size=3),
    before=told, since=told, asked_again=retried, again_since=retried,
    first=wanted, other=wanted, edited=wanted, gone=st.lists(st.integers(0, 239), max_size=5),
    alike=st.integers(0, 3), forgotten=st.integers(-6, 6), order=st.booleans(), has_record=st.booleans(),
)  # fmt: skip
def test_it_equals_the_fold_of_all(
    cuts: list[int], before: list[tuple[dict[str, str] | list[str], int, bool]],
    since: list[tuple[dict[str, str] | list[str], int, bool]], asked_again: list[tuple[list[str], bool]],
    again_since: list[tuple[list[str], bool]], first: list[str], other: list[str], edited: list[str], gone: list[int],
    alike: int, forgotten: int, order: bool, has_record: bool,
) -> None:  # fmt: skip
    edges = [0, *sorted(cuts), 240]
    usual = [
        batch(f"usual {n}", dict.fromkeys(MANY[start:end], "ok"), n)
        for n, (start, end) in enumerate(pairwise(edges))
        if start < end
    ]
    history = [*usual, *batches_of("before", before)]
    retries = retries_of(1, asked_again)
    jobs = [job("alpha", [*first, *MANY, *MANY[:alike]]), job("beta", other)]
    then = remaining.fold(jobs, history, retries)
    known = {
        one.address: note
        for one, rows in zip(jobs, then, strict=True)
        if (note := answered.noted(one, rows, jobs, history, retries, {})) is not None
    }
    if not has_record:
        known.pop("beta", None)

    later = [*history, *batches_of("since", since)]
    if forgotten > 0:
        del later[-forgotten:]
    if order:
        later.reverse()
    retries += retries_of(len(retries) + 1, again_since)
    rows = [letter for n, letter in enumerate([*MANY, *MANY[:alike]]) if n not in gone]
    jobs = [job("alpha", [*rows[:100], *edited, *rows[100:]]), job("beta", other[1:])]
    quick = answered.fold(jobs, later, retries, {}, known)
    plain = remaining.fold(jobs, later, retries)
    assert list(map(told_of, quick)) == list(map(told_of, plain))
    for few, every in zip(quick, plain, strict=True):
        assert all(0 < many <= every.answers[number] for number, many in few.answers.items())

    asked = answered.in_question(jobs, later, retries, {}, known)
    for one, found in zip(jobs, plain, strict=True):
        open_ = [n for n, state in enumerate(found.states) if state != Row.OK]
        keys = {bytes(one.keys[16 * n : 16 * n + 16]) for n in open_}
        assert asked is None or all(common(asked[one.address], key) for key in keys)
    for few, every in zip(quick, plain, strict=True):
        if few.looked_up is not None:
            open_ = [n for n, state in enumerate(every.states) if state != Row.OK]
            assert {*open_} <= {*few.looked_up} and [*few.looked_up] == sorted(few.looked_up)


def test_ten_edits_look_up_ten_rows() -> None:
    """And so do ten more, by what was noted after them: nothing is folded whole again."""
    history = [batch(f"usual {n}", dict.fromkeys(MANY[n::3], "ok"), n) for n in range(3)]
    wanted = list(MANY)
    jobs = [job("alpha", wanted)]
    note = answered.noted(jobs[0], remaining.fold(jobs, history)[0], jobs, history, (), {})
    for edit in range(5):
        assert note is not None
        wanted[edit * 7] = f"edit {edit}"
        jobs = [job("alpha", wanted)]
        assert answered.in_question(jobs, history, (), {}, {"alpha": note}) == {"alpha": packed([f"edit {edit}"])}
        history.append(batch(f"edit {edit}", {f"edit {edit}": "ok"}, 9 + edit))
        (rows,) = answered.fold(jobs, history, (), {}, {"alpha": note})
        assert rows.counts[Row.OK] == len(MANY) and rows.shown == set(range(1, len(history) + 1))
        note = answered.noted(jobs[0], rows, jobs, history, (), {})


def test_what_is_noted_is_read_or_not_there(tmp_path: Path) -> None:
    history = [batch("usual", dict.fromkeys(MANY, "ok"))]
    jobs = [job("alpha", MANY)]
    note = answered.noted(jobs[0], remaining.fold(jobs, history)[0], jobs, history, (), {})
    assert note is not None
    record = JobRecord("alpha", "specs/a.yaml", "openai", "sets/1", 240, "a.jsonl")
    noted.write(tmp_path, record, note)
    assert noted.read(tmp_path, record, note.keys) == note
    (path,) = (tmp_path / "answered").iterdir()
    data = path.read_bytes()
    path.write_bytes(data[:-1] + bytes([data[-1] ^ 1]))
    assert noted.read(tmp_path, record, note.keys) is None
    noted.write(tmp_path, record, note)
    other = JobRecord("alpha", "specs/a.yaml", "openai", "sets/2", 240, "a.jsonl")
    assert noted.read(tmp_path, other, note.keys) is None
    noted.write(tmp_path, record, None)
    assert noted.read(tmp_path, record, note.keys) is None
