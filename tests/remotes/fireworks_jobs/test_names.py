"""Ids of ours: legal, the same for the same name, different for different ones, and readable back."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from runner.errors import NotFound
from runner.remotes.fireworks import names
from runner.remotes.fireworks.names import ids_of

TAIL = "0123456789abcdef-1"


def test_a_plain_project_is_spelled_out() -> None:
    assert ids_of(f"runner-capitals-{TAIL}") == (
        f"runner-capitals-{TAIL}-in",
        f"runner-capitals-{TAIL}",
        f"runner-capitals-{TAIL}-out",
    )


def test_a_shortened_project_keeps_its_digest() -> None:
    ids = ids_of(f"runner-My Überlong.Project_with-many-many-words-{TAIL}")
    assert ids.job_id.endswith(TAIL)
    assert "--" in ids.job_id
    assert names.read(ids.job_id) == ("", "0123456789abcdef", "1")


ANY = st.one_of(st.text(max_size=80), st.from_regex(r"[a-zA-Z0-9_.-]{1,50}", fullmatch=True))


@given(ANY, ANY, st.integers(0, 2**64 - 1), st.integers(1, 999_999))
def test_ids_are_legal_and_do_not_collide(one: str, other: str, number: int, attempt: int) -> None:
    tail = f"{number:016x}-{attempt}"
    mine = ids_of(f"runner-{one}-{tail}")
    assert all(names.is_legal(found) for found in mine)
    assert tail in mine.job_id
    assert len(set(mine)) == 3
    assert (ids_of(f"runner-{other}-{tail}") == mine) == (one == other)


@given(ANY, ANY)
def test_other_names_get_ids_too(one: str, other: str) -> None:
    assert all(names.is_legal(found) for found in ids_of(one))
    assert (ids_of(one) == ids_of(other)) == (one == other)


def test_whose_job_it_is() -> None:
    assert names.is_project_of("My.Project", ids_of(f"runner-My.Project-{TAIL}").job_id)
    assert not names.is_project_of("my.project", ids_of(f"runner-My.Project-{TAIL}").job_id)
    assert not names.is_project_of("capitals", "nightly-run")
    assert names.read("bij-12345678") is None
    assert names.output_of("nightly-run") is None


@pytest.mark.parametrize("hostile", ["", ".", "..", "a/b", "a:b", "a%2fb", "a b", "a\n", "é", "a" * 200])
def test_an_id_is_one_segment_of_a_path(hostile: str) -> None:
    with pytest.raises(NotFound):
        names.segment(hostile)
