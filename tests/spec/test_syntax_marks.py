"""Lines as git writes them around a conflict: a prompt may mean one, and no prompt means all three in their order."""

from __future__ import annotations

import pytest

from runner.spec.syntax import has_both_sides


@pytest.mark.parametrize(
    ("text", "is_conflict"),
    [
        ("Say it:\n<<<<<<< HEAD\na\n=======\nb\n>>>>>>> a-branch\n", True),
        ("<<<<<<< HEAD\r\na\r\n=======\r\nb\r\n>>>>>>> a-branch\r\n", True),
        ("<<<<<<< ours\n||||||| base\no\n=======\n>>>>>>> theirs", True),
        (">>>>>>>\nThe text\n>>>>>>>\n", False),
        ("Title\n=======\n>>>>>>> quoted\n<<<<<<< HEAD\n", False),
        ("write `<<<<<<< HEAD`,\n=======\n>>>>>>> b\n", False),
        ("<<<<<<<< eight\n=======\n>>>>>>> b\n", False),
    ],
)
def test_both_sides(text: str, is_conflict: bool) -> None:
    assert has_both_sides(text) is is_conflict
