"""`.runner/` is gone, or a clone is fresh: what the remote and the outputs remember is not paid for again."""

from __future__ import annotations

import shutil

import pytest

from tests.journeys.lab import Lab
from tests.journeys.rounds import at, killed


@pytest.mark.parametrize("outputs", [True, False], ids=["with-outputs", "without-outputs"])
def test_after_it_was_done(lab: Lab, outputs: bool) -> None:
    lab.apply()
    before = lab.results()
    lab.forget()
    if not outputs:
        shutil.rmtree(lab.root / "results")
    lab.apply()
    assert lab.server.creates() == 1
    assert lab.results() == before
    assert lab.apply().stdout == "Nothing to do\n"


def test_while_it_runs(lab: Lab) -> None:
    lab.server.fault(hold=0.5)
    lab.apply("--no-wait", code=3)
    lab.forget()
    lab.apply("--no-wait", code=3)
    assert lab.server.creates() == 1
    lab.server.fault(hold=None)
    lab.apply()
    assert lab.server.creates() == 1
    assert all(row["error"] is None for row in lab.results())


@pytest.mark.parametrize("outputs", [True, False], ids=["with-outputs", "without-outputs"])
@pytest.mark.parametrize("running", [True, False], ids=["running", "done"])
def test_and_one_row_was_edited_meanwhile(lab: Lab, outputs: bool, running: bool) -> None:
    if running:
        lab.server.fault(hold=0.5)
        lab.apply("--no-wait", code=3)
        lab.server.fault(hold=None)
    else:
        lab.apply()
    lab.forget()
    if not outputs and not running:
        shutil.rmtree(lab.root / "results")
    lab.rows({**{f"r{n}": f"word {n}" for n in range(10)}, "r4": "edited"})
    lab.apply()
    assert lab.server.sent()[1:] == [["r4"]]
    assert [row["custom_id"] for row in lab.results()] == [f"r{n}" for n in range(10)]
    assert lab.results()[4]["answer"] == "echo: Say edited"


@pytest.mark.parametrize("suffix", ["csv", "parquet"])
def test_answers_are_read_back_from_tables(lab: Lab, suffix: str) -> None:
    path = lab.root / "specs/lab.yaml"
    path.write_text(path.read_text().replace("answers.jsonl", f"answers.{suffix}"))
    lab.apply()
    before = (lab.root / f"results/answers.{suffix}").read_bytes()
    lab.forget()
    reads = lab.server.asked()
    lab.apply()
    assert lab.server.asked() == reads  # the outputs held everything: the remote was not even asked
    assert (lab.root / f"results/answers.{suffix}").read_bytes() == before or suffix == "parquet"


def test_a_lost_lineage_is_found_whole(lab: Lab) -> None:
    lab.server.fault(expire_at={"value": 0.5, "count": 2})
    lab.apply()
    assert len(lab.server.sent()) == 3
    before = lab.results()
    lab.forget()
    shutil.rmtree(lab.root / "results")
    lab.apply()
    assert len(lab.server.sent()) == 3
    assert lab.results() == before


def test_a_missing_output_is_written_again(lab: Lab) -> None:
    lab.apply()
    before = lab.results()
    (lab.root / "results/answers.jsonl").unlink()
    assert "output file missing" in lab.run("plan").stdout
    lab.apply()
    assert lab.results() == before
    assert lab.server.creates() == 1


def test_a_search_that_was_cut_off_goes_on_before_anything_counts_as_an_outcome(lab: Lab) -> None:
    """What was refused first, and answered when it was asked again, is in two batches; only one is on record."""
    lab.server.fault(row_error={"value": 1.0, "status": 400})
    lab.apply(code=4)
    lab.server.fault(row_error=None)
    lab.run("retry", "answers")
    lab.apply()
    answers = lab.results()
    lab.apply_anew()
    crossed = killed(lab, 0).crossed
    lab.apply_anew()
    assert killed(lab, at(crossed, "after write batch,project")).is_dead
    lab.apply()
    assert lab.results() == answers
    assert [len(ids) for ids in lab.server.sent()] == [10, 10]
    assert lab.apply().stdout == "Nothing to do\n"
