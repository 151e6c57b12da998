"""`skip_bad`: the good rows are sent, the bad ones are counted, named, and sent once they are put right."""

from __future__ import annotations

import json

import pytest

from tests.journeys.lab import SPEC, Lab

SKIPPING = SPEC.replace("{{files: data/rows.csv, id: id}}", "{{files: data/rows.csv, id: id, skip_bad: true}}")


def test_the_others_are_sent_and_these_are_errors(lab: Lab) -> None:
    table = lab.root / "data/rows.csv"
    table.write_text("id,word\na,one\nb,two,three\nc,four\n")
    refused = lab.apply(code=1)
    assert "data/rows.csv:3: error: the row has 3 fields, the header has 2" in refused.stderr
    assert "`skip_bad: true` in dataset `rows`" in refused.stderr
    lab.spec(SKIPPING)
    lab.run("validate")
    planned = lab.run("plan")
    assert "2 requests" in planned.stdout
    assert "1 row is left out (`skip_bad`): data/rows.csv:3: the row has 3 fields" in planned.stderr
    done = lab.apply(code=4)
    assert "1 row is left out (`skip_bad`): data/rows.csv:3" in done.stderr
    assert "2 ok" in done.stdout and "1 error" in done.stdout
    assert lab.server.sent() == [["a", "c"]]
    again = lab.apply(code=4)
    assert "2 ok" in again.stdout and "1 error" in again.stdout
    table.write_text("id,word\na,one\nb,two\nc,four\n")
    lab.apply()
    assert lab.server.sent() == [["a", "c"], ["b"]]
    assert [row["custom_id"] for row in lab.results()] == ["a", "b", "c"]
    assert lab.apply().stdout == "Nothing to do\n"


@pytest.mark.parametrize("kind", ["jsonl", "csv"])
def test_what_cannot_be_sent_is_said_and_listed_and_not_to_be_asked_again(lab: Lab, kind: str) -> None:
    (lab.root / "data/rows.csv").write_text("id,word\na,one\nb,two,three\nc,four\nd\ne,five\n")
    lab.spec(SKIPPING.replace("answers.jsonl", f"answers.{kind}"))
    done = lab.apply(code=4)
    assert "3 ok, 2 error (2 of them rows that cannot be sent) of 5" in done.stdout
    assert "retry" not in done.stderr
    assert "Some rows cannot be sent: `runner show answers specs/` lists them, put them right" in done.stderr
    *_, told, hint = lab.run("show", "answers").stdout.splitlines()
    assert told.startswith("  error  2 rows  cannot be sent: data/rows.csv:3: the row has 3 fields")
    assert "; data/rows.csv:5: the row has 1 field" in told
    assert hint.strip() == "put them right: the next `runner apply` sends them"
    (job,) = json.loads(lab.run("show", "answers", "-o", "json").stdout)["jobs"]
    (reason,) = job["reasons"]
    assert (reason["rows"], job["standing"]["error"], job["standing"]["bad"], job["failures"]) == (2, 2, 2, [])
    assert "data/rows.csv:5" in reason["message"]
    assert "2 rows cannot be sent: `runner show answers` lists them" in lab.run("retry", "answers").stdout


def test_a_retry_is_offered_where_a_request_failed_too(lab: Lab) -> None:
    (lab.root / "data/rows.csv").write_text("id,word\nr1,r1-\nb,two,three\nr3,r3-\n")
    lab.spec(SKIPPING)
    lab.server.fault(row_error={"value": 0.0001, "status": 400, "match": "r3-"})
    done = lab.apply(code=4)
    assert "1 ok, 2 error (1 of them a row that cannot be sent) of 3" in done.stdout
    assert "`runner retry answers specs/` asks them again" in done.stderr
    told = lab.run("show", "answers").stdout
    assert "  error  1 row  cannot be sent: data/rows.csv:3" in told and "  (r3)" in told
