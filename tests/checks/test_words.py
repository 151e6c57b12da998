"""Word and character errors: published values, and jiwer on random texts."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import jiwer
import pytest
from hypothesis import given
from hypothesis import strategies as st

from runner.checks.words import Errors, character_errors, word_errors
from runner.job.checks import Normalize

FACTS = json.loads((Path(__file__).parents[1] / "stats/known_values.json").read_text())["facts"]
TEXT = st.lists(st.sampled_from(["a", "b", "cc", "ddd", "e f"]), max_size=12).map(" ".join)


@pytest.mark.parametrize(
    "fact", [fact for fact in FACTS if fact["method"] in ("wer", "cer")], ids=lambda fact: str(fact["id"])
)
def test_a_published_fact(fact: dict[str, Any]) -> None:
    count = word_errors if fact["method"] == "wer" else character_errors
    said, heard = fact["inputs"]["reference"], fact["inputs"]["hypothesis"]
    pairs = [(said, heard)] if isinstance(said, str) else list(zip(said, heard, strict=True))
    found = [count(one, other, Normalize.NONE) for one, other in pairs]
    edits, units = (sum(column) for column in zip(*found, strict=True))
    expect = fact["expect"]
    assert edits == expect.get("edits", edits)
    assert units == expect.get("words", units)
    assert edits / max(units, 1) == pytest.approx(expect["rate"], abs=fact["tolerance"])


@given(TEXT.filter(bool), TEXT)
def test_as_jiwer_counts(said: str, heard: str) -> None:
    theirs = jiwer.process_words(said, heard)
    edits = theirs.substitutions + theirs.deletions + theirs.insertions
    assert word_errors(said, heard, Normalize.NONE) == Errors(edits, len(said.split()))
    by_letter = jiwer.process_characters(said, heard)
    letters = by_letter.substitutions + by_letter.deletions + by_letter.insertions
    assert character_errors(said, heard, Normalize.NONE) == Errors(letters, len(said))


def test_what_is_taken_to_be_the_same() -> None:
    assert word_errors("It's  FINE.", "its fine", Normalize.NONE) == Errors(2, 2)
    assert word_errors("It's  FINE.", "its fine", Normalize.BASIC) == Errors(0, 2)
    assert word_errors("Um, it isn't twenty-two!", "It is not 22", Normalize.BASIC) == Errors(4, 4)
    assert word_errors("Um, it isn't twenty-two!", "It is not 22", Normalize.ENGLISH) == Errors(0, 4)
