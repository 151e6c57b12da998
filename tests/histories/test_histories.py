"""Real processes, killed and paused, over a remote that errs: nothing is paid for twice uncounted, nothing is lost."""

from __future__ import annotations

import json
import random
import time
import urllib.request
from pathlib import Path

import pytest

from tests.histories.__main__ import summary_of
from tests.histories.checker import check
from tests.histories.history import Consent, Play
from tests.histories.server import KEY

SAMPLE = (0, 3, 4)


@pytest.mark.parametrize("seed", SAMPLE)
def test_a_sample_of_histories(seed: int) -> None:
    assert summary_of(seed).faults == ()


@pytest.mark.sweep
@pytest.mark.timeout(0)
def test_two_hundred_histories() -> None:
    assert [(one.seed, one.faults) for one in map(summary_of, range(1000, 1200)) if one.faults] == []


class Quiet(Play):
    """A history in which nothing goes wrong but what the test does."""

    def __init__(self, folder: Path) -> None:
        super().__init__(0, folder)
        self.rng = random.Random(2)

    def applied(self, url: str) -> None:
        self._begin(url)
        for clone in self.history.clones:
            assert self._run(clone, "apply", "specs/", "-y", "--poll", "0.05").code == 0

    def pay_again(self) -> None:
        """Somebody makes a batch of the same input, whom runner knows nothing of."""
        headers = {"Authorization": f"Bearer {KEY}"}
        with urllib.request.urlopen(urllib.request.Request(f"{self.url}/v1/batches", headers=headers)) as reply:
            first = json.loads(reply.read())["data"][-1]
        body = {name: first[name] for name in ("input_file_id", "endpoint", "completion_window")}
        urllib.request.urlopen(
            urllib.request.Request(f"{self.url}/v1/batches", json.dumps(body).encode(), headers)
        ).close()
        time.sleep(3.0)


def test_the_checker_sees_what_was_paid_twice(tmp_path: Path) -> None:
    play = Quiet(tmp_path / "play")
    with play._remote() as url:
        play.applied(url)
        check(play.history)
        assert play.history.faults == []
        began = time.time()
        play.pay_again()
        check(play.history)
    assert [fault.partition(":")[0] for fault in play.history.faults] == ["twice"]
    play.history.faults.clear()
    play.history.consents.append(Consent(began, "a", "it was wanted"))
    check(play.history)
    assert play.history.faults == []


def test_the_checker_sees_what_was_lost_and_what_is_another_rows_answer(tmp_path: Path) -> None:
    play = Quiet(tmp_path / "play")
    with play._remote() as url:
        play.applied(url)
    output = play.history.clones[0].root / play.author.wanted.jobs[0].output
    first, second, *more = output.read_text().splitlines(keepends=True)
    answers = [json.loads(line)["answer"] for line in (first, second)]
    output.write_text("".join([first.replace(json.dumps(answers[0]), "null"), second, *more]))
    check(play.history)
    output.write_text("".join([first.replace(answers[0], answers[1]), second, *more]))
    check(play.history)
    output.write_text("".join([second, *more]))
    check(play.history)
    assert [fault.partition(":")[0] for fault in play.history.faults] == ["lost", "outputs", "outputs"]
