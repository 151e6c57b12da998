"""`skip_bad`: the good rows are sent, the bad ones are counted, named, and sent once they are put right."""

from __future__ import annotations

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
