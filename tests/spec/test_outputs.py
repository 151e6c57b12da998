"""Output templates."""

from __future__ import annotations

from runner.spec.outputs import rendered


def test_templates() -> None:
    assert rendered("r/{{model}}/../{{ prompt }}.csv", {"model": "m", "prompt": "p"}) == "r/p.csv"
