"""Answers held to a schema at a remote that goes on with batches by itself: what it left, and what is none, apart."""

from __future__ import annotations

import json

from tests.journeys.fireworks.lab import FireLab

ASKING = "answer: {schema: {type: object, required: [n], properties: {n: {type: integer}}}, name: count}"


def test_what_is_none_is_sent_beside_what_is_continued(lab: FireLab) -> None:
    path = lab.root / "specs/lab.yaml"
    spec = path.read_text().replace('user: "Say {{ word }}"}', f'user: "Say {{{{ word }}}}", {ASKING}}}')
    path.write_text(spec.replace("output:", "on_invalid: retry\n    output:"))
    lab.account.fault(invalid_answer={"match": "r0- r1-", "times": 1}, expire_at=0.5)
    done = lab.apply()
    assert "10 ok, 0 error of 10" in done.stdout
    assert "answers: 2 answers are not what the schema wants, and asked for again" in done.stderr
    assert [row["answer"] for row in lab.results()] == [{"n": 0}] * 10
    assert len({row["batch"] for row in lab.results()}) == 3
    assert lab.apply().stdout == "Nothing to do\n"
    schema = {"type": "object", "required": ["n"], "properties": {"n": {"type": "integer"}}}
    asked = {"type": "json_schema", "json_schema": {"name": "count", "schema": schema}}
    line = json.loads(lab.run("render", "answers", "--rows", "1").stdout)
    assert line["body"]["response_format"] == asked
