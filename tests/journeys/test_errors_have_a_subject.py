"""An error is of the batch or the job it is about: it ends nothing else, and nothing else makes it good."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path

import pytest

from tests.journeys.lab import Lab
from tests.journeys.lookalike import SPEC, LookAlike, Raw, lab_at

Started = Callable[..., Lab]


@pytest.fixture
def start(tmp_path: Path, remote: LookAlike) -> Started:
    """A project of some rows at the remote, cut into batches of two."""

    def started(rows: int = 4, spec: str = SPEC, more: str = ", limits: {lines: 2}") -> Lab:
        return lab_at(tmp_path, remote, rows, spec=spec, more=more)

    return started


def test_a_batch_that_may_not_be_seen_ends_an_apply_once_the_other_is_done(remote: LookAlike, start: Started) -> None:
    """The good news of the one must not erase the error of the other, and the error must not end the wait."""

    def life(batch: Raw, polls: int) -> Mapping[str, object]:
        return remote.completed(batch) if polls >= 4 and batch["id"] == "batch_2" else {"status": "in_progress"}

    lab = start()
    remote.life, remote.lists = life, False
    remote.on["GET /batches/batch_1"] = remote.refuse(403, "this project may not")
    done = lab.apply("-y", "--wait", "60s", code=1)
    assert "answers: `lab` answered 403" in done.stderr
    assert "this project may not" in done.stderr
    assert remote.polls["batch_2"] >= 4  # it was waited for
    assert len(remote.created) == 2
    remote.on.clear()
    remote.life = lambda batch, polls: remote.completed(batch)
    lab.apply("-y")
    assert [row["answer"] for row in lab.results()] == ["from batch_1"] * 2 + ["from batch_2"] * 2
    assert len(remote.created) == 2


def test_a_refused_create_names_its_job_and_is_not_tried_at_every_poll(remote: LookAlike, start: Started) -> None:
    """One job is refused, another runs: the refusal is said once, with its job, after the other has come home."""
    spec = SPEC.replace(
        "jobs:\n",
        "jobs:\n  others: {{dataset: rows, prompt: ask, model: n, output: results/others.jsonl}}\n",
    ).replace("models:\n", "models:\n  n: {{provider: away, name: n}}\n")
    away = "  away: {{kind: openai, base_url: {url}/v2, api_key_env: LAB_KEY}}\n"
    lab = start(2, spec + away, more="")
    remote.life = lambda batch, polls: remote.completed(batch) if polls >= 5 else {"status": "in_progress"}
    remote.lists = False
    remote.on["GET /v2/batches"] = lambda request: remote.reply(200, {"object": "list", "data": []})
    remote.on["POST /v2/files"] = remote.refuse(400, "no such model")
    done = lab.apply("-y", "--wait", "60s", code=1)
    assert done.stderr.count("others: `away` answered 400") == 1
    assert remote.asked.count("POST /v2/files") == 1
    assert [row["answer"] for row in lab.results()] == ["from batch_1"] * 2


def test_a_remote_that_is_asked_too_often_is_waited_for(remote: LookAlike, start: Started) -> None:
    """A 429 at the first call, which is the search before anything is sent, is no error while there is time."""
    left = [remote.refuse(429, "slow down", **{"retry-after": "900"})] * 3
    lab = start(2)
    remote.on["GET /batches"] = lambda request: left.pop()(request) if left else None
    remote.life = lambda batch, polls: remote.completed(batch)
    lab.apply("-y", "--wait", "60s")
    assert len(remote.created) == 1


def test_a_remote_that_is_asked_too_often_is_not_waited_for_longer(remote: LookAlike, start: Started) -> None:
    lab = start(2)
    remote.on["GET /batches"] = remote.refuse(429, "slow down", **{"retry-after": "900"})
    done = lab.apply("-y", "--no-wait", code=3)
    assert "slow down" in done.stderr
    assert not remote.created


def test_an_apply_never_says_that_it_did_not_look(remote: LookAlike, start: Started) -> None:
    """What a blocked plan prints of the batches that run is what was seen of them."""
    lab = start(4)
    lab.apply("-y", "--no-wait", code=3)
    remote.life = lambda batch, polls: {
        "status": "in_progress",
        "request_counts": {"total": 2, "completed": 1, "failed": 0},
    }
    lab.rows(5)  # and one more, which is more than may be spent
    done = lab.apply("-y", "--no-wait", "--max-usd", "0", code=5)
    assert "not looked at yet" not in done.stdout + done.stderr
