"""Templates that Jinja2 can read and nobody should have written: an error with its place."""

from __future__ import annotations

import pytest

from runner.compile.parse import parse
from runner.compile.tree import MAX_PROBLEMS
from runner.errors import Mark, SpecError
from runner.job.source import Source

NESTED = "prompt `p` is nested too deeply"
TOO_MUCH = {
    "sum": ("{{ 1%s }}" % ("+1" * 3000), NESTED),
    "items": ("{{ a%s }}" % (".b" * 3000), NESTED),
    "filters": ("{{ a%s }}" % ("|upper" * 3000), NESTED),
    "conditions": ("{{ a%s }}" % (" and a" * 3000), NESTED),
    "brackets": ("{{ " + "(" * 300 + "1" + ")" * 300 + " }}", NESTED),
    "statements": ("{% if a %}" * 300, NESTED),
    "number": ("{{ %s }}" % ("9" * 5000), "prompt `p` holds a number that is too long"),
}


@pytest.mark.parametrize("name", TOO_MUCH)
def test_a_template_that_is_too_much_is_a_problem_at_its_place(name: str) -> None:
    text, message = TOO_MUCH[name]
    with pytest.raises(SpecError) as raised:
        parse(Source(text, Mark("specs/a.yaml", 3, 5), "prompt `p`"))
    (problem,) = raised.value.problems
    assert problem.message == message
    assert problem.mark == Mark("specs/a.yaml", 3, 5)


def test_of_many_problems_of_a_template_the_first_are_named() -> None:
    with pytest.raises(SpecError) as raised:
        parse(Source("{{ a | uppr }}" * 2000, Mark("specs/a.yaml", 3, 5), "prompt `p`"))
    assert len(raised.value.problems) == MAX_PROBLEMS
