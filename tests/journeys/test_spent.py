"""What `status` says was spent is what the answers cost by their own `usage`: the `usd` of the results, in sum."""

from __future__ import annotations

import csv
import json
import shutil
from pathlib import Path
from typing import Any

import pytest

from tests.journeys.audio.lab import SPEC as RECORDINGS
from tests.journeys.audio.lab import AudioLab
from tests.journeys.lab import SPEC, Lab

COLUMNS = "[custom_id, answer, finish, response, usd, digest, origin]"
PRICED = SPEC.replace(
    "    params: {{max_tokens: 16}}", "    params: {{max_tokens: 16}}\n    price: {{input: 40000, output: 62500}}"
).replace("    output: results/answers.jsonl", f"    output: results/answers.csv\n    columns: {COLUMNS}")


def spent(lab: Lab) -> dict[str, Any]:
    view = json.loads(lab.run("status", "-o", "json").stdout)
    assert view["spent"] == view["jobs"][0]["spent"]
    return dict(view["spent"])


def usd_in(path: Path) -> float:
    with path.open(newline="") as file:
        return sum(float(row["usd"]) for row in csv.DictReader(file))


def in_results(lab: Lab) -> float:
    return usd_in(lab.root / "results/answers.csv")


def test_spent_is_the_usd_of_the_results_and_what_is_in_flight_is_said_apart(lab: Lab) -> None:
    lab.spec(PRICED)
    lab.server.fault(hold=0.5)
    lab.apply("--no-wait", code=3)
    flying = spent(lab)
    assert flying["usd"] == 0.0 and flying["in_flight_usd"] > 10.0
    assert f"at most ${flying['in_flight_usd']:.2f} in flight" in lab.run("status").stdout
    lab.server.fault(hold=None)
    lab.apply()
    first = in_results(lab)
    assert 0 < first < flying["in_flight_usd"]
    assert spent(lab) == {
        "usd": pytest.approx(first),
        "unknown": 0,
        "at_most_usd": 0.0,
        "in_flight_usd": 0.0,
        "in_flight_unknown": 0,
    }
    assert lab.run("status").stdout.rstrip().endswith(f"spent ${first:.2f}")

    lab.rows({f"r{n}": f"word {n}" if n else "another word" for n in range(10)})
    lab.apply()
    assert spent(lab)["usd"] > in_results(lab) - 1e-9 > 0  # the answer that nobody wants any more was paid for too
    lab.spec(PRICED.replace("settle_s: 0.4", "settle_s: 0.4, discount: 0.25"))
    lab.apply()
    assert spent(lab)["usd"] == pytest.approx(0.75 * (first + first / 10), rel=0.1)


@pytest.mark.parametrize("outputs", ["kept", "lost", "short"])
def test_a_fresh_clone_says_what_was_spent(lab: Lab, outputs: str) -> None:
    lab.spec(PRICED)
    lab.apply()
    before, path = in_results(lab), lab.root / "results/answers.csv"
    lab.forget()
    if outputs == "lost":
        shutil.rmtree(lab.root / "results")
    elif outputs == "short":  # so that the batch is found, and what was read back is a part of it
        path.write_text("".join(path.read_text().splitlines(keepends=True)[:-1]))
    lab.apply()
    assert lab.server.creates() == 1 and in_results(lab) == before
    assert spent(lab)["usd"] == pytest.approx(before)


def test_a_price_said_later_counts_in_both(lab: Lab) -> None:
    lab.spec(PRICED.replace("    price: {{input: 40000, output: 62500}}\n", ""))
    lab.apply()
    assert (spent(lab)["usd"], spent(lab)["unknown"]) == (0.0, 10)
    assert "spent ?" in lab.run("status").stdout
    lab.spec(PRICED)
    lab.apply()
    assert spent(lab)["usd"] == pytest.approx(in_results(lab)) and spent(lab)["unknown"] == 0


def test_a_model_that_is_gone_from_the_specs_was_paid_for(lab: Lab) -> None:
    lab.spec(PRICED)
    lab.apply()
    first = in_results(lab)
    lab.spec(PRICED.replace("name: echo", "name: echo-2").replace("40000", "80000").replace("62500", "125000"))
    lab.apply("--confirm-repay", "answers")
    assert in_results(lab) == pytest.approx(2 * first)
    assert spent(lab)["usd"] == pytest.approx(3 * first)


def test_recordings_cost_their_minutes(tmp_path: Path, lab: Lab) -> None:
    root = tmp_path / "sounds"
    root.mkdir()
    audio = AudioLab(root, lab.server)
    audio.spec(RECORDINGS.replace("format: json", "format: verbose_json").replace("calls.jsonl", "calls.parquet"))
    audio.record(3, seconds=1.5)
    audio.first()
    import pyarrow.parquet as pq

    usd = sum(pq.read_table(root / "results/calls.parquet")["usd"].to_pylist())
    assert usd == pytest.approx(3 * 1.5 / 60 * 0.0015 * 0.6)  # less the discount of a batch
    assert spent(audio)["usd"] == pytest.approx(usd)
