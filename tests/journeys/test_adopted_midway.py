"""A batch that is adopted in the middle of a pass, over a record of its name: each row shows its own answer."""

from __future__ import annotations

from pathlib import Path

from tests.journeys.scorelab import TWO_PROMPTS, score_lab


def test_files_show_their_answers_when_a_batch_takes_the_place_of_one_that_was_not_sent(tmp_path: Path) -> None:
    with score_lab(tmp_path / "project") as lab, score_lab(tmp_path / "other") as other:
        for one in (lab, other):
            one.job("", TWO_PROMPTS.replace("SUFFIX", "jsonl").replace("URL", lab.remote.url))
            one.table([{"id": f"r{n}", "word": f"w{n}"} for n in range(3)])
        remote, ends = lab.remote, lab.remote.life
        remote.life = running = lambda batch, polls: {"status": "in_progress"}
        refusals = iter([remote.refuse(401, "not now")])
        remote.on["POST /batches"] = lambda request: refuse(request) if (refuse := next(refusals, None)) else None
        lab.apply("--no-wait", code=None)
        assert len(remote.sent) == 1  # the first of the two jobs is begun, and was not sent
        other.apply("--no-wait", code=3)
        assert len(remote.sent) == 2  # another clone has sent it
        remote.life = lambda batch, polls: (ends if batch["id"] == "batch_1" else running)(batch, polls)
        told = lab.apply("--no-wait", code=3).stderr
        assert "adopted `batch_2`" in told and told.count("wrote `results/answers-taught.jsonl`") == 1
        rows = lab.results("results/answers-taught.jsonl")
        assert [(row["answer"], row["error"]) for row in rows] == [("from the remote", None)] * 3
