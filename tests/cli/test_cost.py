"""`runner cost`: what was spent by job, model, provider and month; what has no price is counted, never taken as 0."""

from __future__ import annotations

import json
from typing import Any

import pytest

from tests.cli.snapshots import Shots, must_fit, shown, too_wide
from tests.journeys.lab import SPEC, Lab


def spec(lab: Lab, *, price: str = "{{input: 1000.0, output: 2000.0}}", more: str = "") -> None:
    """Two models at one provider; the second has no price."""
    text = SPEC.replace("params: {{max_tokens: 16}}", f"params: {{{{max_tokens: 16}}}}\n    price: {price}")
    second = "  plain:\n    provider: lab\n    name: echo-2\n    params: {{max_tokens: 8}}\ndatasets:"
    job = "providers:\n"
    text = text.replace("datasets:", second, 1).replace(
        job,
        "  unpriced:\n    dataset: rows\n    prompt: ask\n    model: plain\n    output: results/unpriced.jsonl\n" + job,
    )
    lab.spec(text + more)


def cost(lab: Lab, *words: str) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(lab.run("cost", *words, "-o", "json").stdout)
    must_fit(found, "cost")
    return found


@pytest.fixture
def spent(lab: Lab) -> Lab:
    spec(lab)
    lab.apply()
    return lab


def test_what_was_spent(spent: Lab, shots: Shots) -> None:
    lab = spent
    view = cost(lab)
    by_name = {line["name"]: line for line in view["lines"]}
    assert list(by_name) == ["answers", "unpriced"]  # the dearest first
    priced, unpriced = by_name["answers"], by_name["unpriced"]
    assert (priced["answers"], priced["untold"], priced["requests"], priced["batches"]) == (10, 0, 10, 1)
    usd = (priced["input_tokens"] * 1000 + priced["output_tokens"] * 2000) / 1e6
    assert priced["spent"]["usd"] == pytest.approx(usd)
    assert priced["estimated"] == 1 and priced["estimated_usd"] >= usd > 0
    assert (unpriced["spent"]["usd"], unpriced["spent"]["unknown"], unpriced["estimated"]) == (0.0, 10, 0)
    assert view["total"]["spent"]["usd"] == pytest.approx(usd)
    assert (view["total"]["requests"], view["total"]["spent"]["unknown"]) == (20, 10)
    # The same as `status` says
    status = json.loads(lab.run("status", "-o", "json").stdout)
    assert status["spent"] == view["total"]["spent"]
    for by, names in (("model", ["echo", "echo-2"]), ("provider", ["lab"])):
        found = cost(lab, "--by", by)
        assert ([line["name"] for line in found["lines"]], found["total"]) == (names, view["total"])
    [month] = cost(lab, "--by", "month")["lines"]
    assert len(month["name"]) == 7 and month["name"][4] == "-"
    shots("cost", lab, "cost", varying=[(r"\b\d{4}(\\?)-\d\d(?!-)", r"2026\g<1>-01")])
    shots("cost-by-month", lab, "cost", "--by", "month", varying=[(r"\b\d{4}(\\?)-\d\d(?!-)", r"2026\g<1>-01")])
    # A price that is known later holds for what was answered before
    spec(lab, price="{{input: 500.0, output: 1000.0}}")
    assert cost(lab)["total"]["spent"]["usd"] == pytest.approx(usd / 2)


def test_before_and_while_anything_is_in_flight(lab: Lab, shots: Shots) -> None:
    spec(lab)
    shots("cost-nothing", lab, "cost")
    lab.server.fault(stuck_validating=1)
    lab.apply("--no-wait", code=3)
    total = cost(lab)["total"]["spent"]
    assert (total["usd"], total["unknown"], total["in_flight_unknown"]) == (0.0, 0, 10)
    assert total["in_flight_usd"] > 0
    shots("cost-in-flight", lab, "cost")


def test_cached_tokens_are_those_that_the_answers_say(lab: Lab) -> None:
    """A remote that caches the beginning of a prompt says so in each answer, and in no other place."""
    from runner.remotes.reading.lines import SHAPES, parse
    from runner.remotes.reading.verdict import tokens_of

    details = {"prompt_tokens": 90, "completion_tokens": 5, "prompt_tokens_details": {"cached_tokens": 64}}
    other = {"input_tokens": 90, "output_tokens": 5, "input_tokens_details": {"cached_tokens": None}}
    choices = [{"message": {"role": "assistant", "content": "hello"}, "finish_reason": "stop"}]
    lines = [
        json.dumps({"custom_id": "a", "response": {"status_code": 200, "body": {"choices": choices, "usage": usage}}})
        for usage in (details, other, {"prompt_tokens": 3, "completion_tokens": 1, "prompt_tokens_details": None})
    ]
    for line, cached in zip(lines, (64, 0, 0), strict=True):
        assert parse(line.encode()).cached_tokens == cached
    shape = next(shape for shape in SHAPES if shape.successes([lines[0].encode()], is_text=True))
    seen = shape.successes([line.encode() for line in lines], is_text=True)
    assert tokens_of(map(shape.usage_of, seen)) == (183, 11, 0, 64)


@pytest.mark.parametrize("columns", [40, 60, 80, 200])
def test_no_line_is_wider_than_the_terminal(spent: Lab, columns: int) -> None:
    for by in ("job", "model"):
        assert not too_wide(shown(spent, ("cost", "--by", by), columns, code=0), columns)
