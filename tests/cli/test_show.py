"""`runner show`: the batches of a job as a tree, and its failed rows."""

from __future__ import annotations

import csv
import json
from pathlib import Path
from typing import Any

import pytest

from runner.apply.lineage import tree
from runner.cli import chain, standing
from runner.cli.failures import MOST_ROWS, Failed, FailureReason, Failures, failures_in, lines_of
from runner.job.observed import Phase
from runner.job.recorded import REMOTE, Stage, Tally
from tests.apply.test_lineage import batch
from tests.journeys.lab import Lab


def test_the_successor_of_an_expired_batch(expired: Lab) -> None:
    first, second = (made["id"] for made in expired.server.batches())
    told = expired.run("show", "answers").stdout.splitlines()
    assert told[0].startswith("answers  specs/lab.yaml:")
    assert told[1] == "  10 wanted: 10 ok, 0 error"
    assert told[2].startswith(f"  {first}     expired    5 of 10 answered  20")
    assert told[3].startswith(f"  └─ {second}  completed  5 of 5 answered   20")
    assert told[3].endswith(f"UTC  asks again what `{first}` left")
    assert len(told) == 4


def test_the_same_as_json(expired: Lab) -> None:
    first, second = (made["id"] for made in expired.server.batches())
    view = json.loads(expired.run("show", "answers", "-o", "json").stdout)
    assert view["version"] == 2
    (job,) = view["jobs"]
    assert (job["standing"]["address"], job["standing"]["ok"], job["failures"]) == ("answers", 10, [])
    facts = [(one["depth"], one["asks_again"], one["continues"], one["batch"]["name"]) for one in job["batches"]]
    assert facts == [(0, [], "", first), (1, [first], "", second)]
    assert [one["batch"]["state"] for one in job["batches"]] == ["expired", "completed"]
    assert [(one["batch"]["answered"], one["batch"]["asked"]) for one in job["batches"]] == [(5, 10), (5, 5)]


def test_failed_rows_of_a_table(lab: Lab) -> None:
    path = lab.root / "specs/lab.yaml"
    path.write_text(path.read_text().replace("answers.jsonl", "answers.csv"))
    lab.server.fault(row_error={"value": 0.0001, "status": 400, "match": "r3- r7-"})
    lab.apply(code=4)
    told = lab.run("show", "answers").stdout
    last = told.splitlines()[-1]
    assert last.startswith("  error  2 rows  ") and last.endswith("  (r3, r7)")
    assert "8 ok, 2 error" in told
    view = json.loads(lab.run("show", "answers", "-o", "json").stdout)
    assert [failed["custom_id"] for failed in view["jobs"][0]["failures"]] == ["r3", "r7"]


def test_an_unknown_job(expired: Lab) -> None:
    assert "there is no job `x`" in expired.run("show", "x", "-o", "json", code=64).stderr


NONE = ("not_sent", "in_flight", "unknown", "needs_decision", "to_submit", "shared")


def job_view(*batches: Any, **fields: Any) -> chain.ShowView:
    usual = {"wanted": 9, "ok": 4, "error": 5, **dict.fromkeys(NONE, 0)}
    at = standing.JobStanding("a", "specs/a.yaml:1:1", **usual, output="r.jsonl", written_at=None)
    return chain.ShowView(1, (chain.ChainJob(at, chain.of_links(tree(batches)), (), fields.get("reasons", ())),))


def test_a_tree_with_everything() -> None:
    done = {"phase": Phase.COMPLETED, "index_sha256": "x", "rows": 2, "tally": Tally(ok=2)}
    view = job_view(
        batch(1, **{**done, "phase": Phase.EXPIRED, "tally": Tally(ok=1)}, duplicates=("r9",)),
        batch(2, **done, continued_from="r1", parents=("b1",)),
        batch(3, **done, parents=("b1", "b2"), found_in=REMOTE),
        batch(4, **done, parents=("b1",)),
        batch(5, **{**done, "index_sha256": ""}, found_in="r.jsonl", remote_id=""),
        batch(6, stage=Stage.DROPPED, why="the create did not\ntake \x1b[31meffect", remote_id=""),
    )
    told = chain.text_of(view).splitlines()[2:]
    at = "2031-02-03 04:05 UTC"
    assert told == [
        f"  r1        expired      1 of 2 answered  {at}",
        "  │   ! `r9` is a duplicate of it and was cancelled",
        f"  ├─ r2     completed    2 of 2 answered  {at}  continues `r1`",
        f"  │  └─ r3  completed    2 of 2 answered  {at}  asks again what `r1`, `r2` left, found on the remote",
        f"  └─ r4     completed    2 of 2 answered  {at}  asks again what `r1` left",
        f"  b5        completed    0 of 2 answered  {at}  read back from `r.jsonl`",
        f"  b6        not created  0 of 1 answered  {at}",
        "      ! the create did not take \N{REPLACEMENT CHARACTER}[31meffect",
    ]


def test_the_reasons_are_counted() -> None:
    view = job_view(reasons=(FailureReason("400", "no\nway", 3, ("r1",)), FailureReason("", "never", 2, ("r2", "r3"))))
    assert chain.text_of(view).splitlines()[2:] == [
        "  error  3 rows  400: no way  (r1, …)",
        "  error  2 rows  never  (r2, r3)",
    ]


@pytest.mark.parametrize("suffix", [".jsonl", ".csv"])
def test_a_damaged_output_is_read_as_far_as_it_goes(tmp_path: Path, suffix: str) -> None:
    output = tmp_path / f"out{suffix}"
    errors = [{"code": 500, "message": "x" * 1000}, None, {"message": None}]
    with output.open("w", newline="") as file:
        if suffix == ".csv":
            rows = csv.writer(file)
            rows.writerow(["custom_id", "batch", "error"])
            rows.writerows([n, "b", error and json.dumps(error)] for n, error in enumerate(errors))
            file.write('3,b,{"half\n')
        else:
            file.writelines(
                json.dumps({"custom_id": f"{n}", "batch": "b", "error": error}) + "\n" for n, error in enumerate(errors)
            )
            file.write('{"custom_id": "half')
    assert failures_in(output).rows == (Failed("0", "500", "x" * 160), Failed("2", "", ""))


def test_no_more_than_a_screen_of_failures(tmp_path: Path) -> None:
    output = tmp_path / "out.jsonl"
    output.write_text('{"custom_id": "a", "batch": "b", "error": {"code": "c", "message": "m"}}\n' * 100)
    found = failures_in(output)
    assert (len(found.rows), found.reasons) == (MOST_ROWS, (FailureReason("c", "m", 100, ("a", "a", "a")),))
    assert failures_in(tmp_path / "out.parquet") == Failures()


def test_reasons_are_as_many_as_there_are_and_no_more(tmp_path: Path) -> None:
    output = tmp_path / "out.jsonl"
    errors = [("a", "line 1 is bad"), ("b", "line 22 is bad"), ("c", "no"), ("d", "line 3 is bad")]
    lines = [{"custom_id": name, "error": {"code": "x", "message": message}} for name, message in errors]
    lines.append({"custom_id": "e", "error": None, "finish": "length"})
    lines.append({"custom_id": "f", "error": {"code": "not_sent", "message": "it was not sent yet"}})
    output.write_text("".join(json.dumps(line) + "\n" for line in lines))
    assert lines_of(failures_in(output)) == [
        "  error  3 rows  x: line 1 is bad  (a, b, d)",
        "  error  1 row  x: no  (c)",
        "  answer  1 row  the answer was cut at the token limit  (e)",
        "         raise `max_tokens` in the `params` of the model (that asks every row again), or ask for less",
    ]
