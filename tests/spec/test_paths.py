"""Paths in specs."""

from __future__ import annotations

from runner.spec.paths import is_too_long, parents


def test_lengths() -> None:
    assert parents("a/b/c.csv") == ["a", "a/b"]
    assert not is_too_long("a/" * 60 + "x.csv")
    assert is_too_long("a/" * 70 + "x.csv")
    assert is_too_long("é" * 2001)
