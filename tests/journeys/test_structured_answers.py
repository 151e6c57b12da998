"""Answers that have to be what a schema wants: asked for, held to it when they come, asked again where that is said."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.journeys.lab import Lab
from tests.journeys.lookalike import SPEC, LookAlike
from tests.journeys.test_answers_that_are_none import Answering, Bodies, chat

SCHEMA = {
    "type": "object",
    "properties": {
        "city": {"type": "string"},
        "people": {"type": "integer"},
        "scores": {"type": "array", "items": {"type": "number"}},
    },
    "required": ["city", "people"],
}
GOOD = chat('{"city": "Paris", "people": 3, "scores": [0.5, 1]}')
BAD = chat('{"city": "Paris", "people": "many"}')
TOLD = "not what the schema wants"

Started = Callable[..., Lab]


@pytest.fixture
def start(tmp_path: Path, remote: LookAlike) -> Started:
    """A lab whose prompt has such an answer, and whose remote answers each batch as given, `GOOD` where nothing is."""

    def started(*bodies: Bodies, job: str = "", output: str = "results/answers.jsonl", rows: int = 6) -> Lab:
        answering = Answering(remote)
        answering.bodies = [{f"r{n}": GOOD for n in range(rows)} | dict(one) for one in bodies]
        remote.life = answering.life
        lab = Lab(tmp_path / "project", remote)  # type: ignore[arg-type]  # of a server a lab needs its URL alone
        spec = SPEC.replace("output: results/answers.jsonl", f"output: {output}{job}")
        lab.spec(spec.replace('word }}}}"}}', 'word }}}}", answer: {{schema: schemas/city.json}}}}'), more="")
        wanted(lab, SCHEMA)
        lab.rows(rows)
        return lab

    return started


def wanted(lab: Lab, schema: Any) -> None:
    """What the file of the schema says."""
    path = lab.root / "schemas/city.json"
    path.parent.mkdir(exist_ok=True)
    path.write_text(json.dumps(schema, indent=2))


def bodies_of(remote: LookAlike, number: int = 0) -> list[Any]:
    """The bodies of one batch as they came."""
    batch = list(remote.created.values())[number]
    return [json.loads(line)["body"] for line in remote.files[batch["input_file_id"]].splitlines()]


def test_it_is_asked_for_and_what_is_not_it_is_kept_and_counted(remote: LookAlike, start: Started) -> None:
    lab = start({"r1": BAD, "r2": chat("Paris"), "r3": chat('["Paris"]'), "r4": chat('{"city"', "length")})
    done = lab.apply()
    told = f"6 ok, 2 of them {TOLD}, 1 cut at the token limit, 1 not the JSON asked for, 0 error of 6"
    assert told in done.stdout and "some answers are flawed" in done.stderr
    asked = {"name": "answer", "schema": SCHEMA}
    assert [body["response_format"] for body in bodies_of(remote)] == [
        {"type": "json_schema", "json_schema": asked}
    ] * 6
    assert [row["finish"] for row in lab.results()] == ["stop", "invalid", "not_json", "invalid", "length", "stop"]
    assert lab.results()[1]["answer"] == {"city": "Paris", "people": "many"}
    assert {row["error"] for row in lab.results()} == {None}
    assert told.partition(", 0 error")[0] in lab.run("status", "specs/").stdout
    shown = lab.run("show", "answers").stdout
    assert "answer  2 rows  the answer is JSON, and not what the schema wants  (r1, r3)" in shown
    assert "`on_invalid: retry` of the job asks such rows again" in shown
    assert "Nothing to do" in lab.apply().stdout
    assert len(remote.created) == 1
