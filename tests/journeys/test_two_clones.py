"""Two clones whose rows differ by a few: what one has sent, the other does not send; what both sent is counted."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from tests.journeys.gateway import Gateway
from tests.journeys.lab import SPEC, Lab
from tests.journeys.lookalike import LookAlike, Raw, lab_at, looking_alike, running


@pytest.fixture
def colleague(lab: Lab, tmp_path: Path) -> Lab:
    """Another clone of the project; its ten rows are those of the lab, which has one more."""
    root = tmp_path / "colleague"
    root.mkdir()
    other = Lab(root, lab.server)
    other.spec()
    other.rows(10)
    lab.rows(11)
    return other


def sends(lab: Lab) -> subprocess.CompletedProcess[str]:
    return lab.apply("--no-wait", code=3)


def test_what_another_clone_sent_during_the_upload_is_not_sent_again(
    lab: Lab, gateway: Gateway, colleague: Lab
) -> None:
    gateway.before["POST /v1/files"] = lambda: sends(colleague)
    done = lab.apply()
    assert "what is left is planned again" in done.stderr
    assert [len(ids) for ids in lab.server.sent()] == [10, 1]
    assert [row["error"] for row in lab.results()] == [None] * 11
    colleague.apply()
    assert [row["error"] for row in colleague.results()] == [None] * 10
    assert lab.server.creates() == 2


def test_what_both_sent_is_counted_by_requests(lab: Lab, gateway: Gateway, colleague: Lab) -> None:
    lab.server.fault(hold=0.3)
    gateway.before["POST /v1/batches"] = lambda: sends(colleague)
    sends(lab)
    done = sends(lab)
    theirs, _ = (batch["id"] for batch in lab.server.batches())
    assert f"`{theirs}`, which was not sent from here, holds 10 of the requests" in done.stderr
    assert "paid for twice" not in sends(lab).stderr, "it is told once"
    assert "holds 10 of the requests" in sends(colleague).stderr
    lab.server.fault(hold=None)
    lab.apply()
    [job] = json.loads(lab.run("status", "-o", "json").stdout)["jobs"]
    assert job["paid_twice"] == 10
    assert "10 requests paid for twice" in lab.run("status").stdout
    assert [batch["status"] for batch in lab.server.batches()] == ["completed", "completed"]


def test_other_cuts_of_the_same_rows_are_counted_too(lab: Lab, gateway: Gateway, colleague: Lab) -> None:
    lab.server.fault(hold=0.3)
    colleague.spec(SPEC.replace("min_poll_s: 0.05", "min_poll_s: 0.05, limits: {{lines: 4}}"))
    gateway.before["POST /v1/batches"] = lambda: sends(colleague)
    sends(lab)
    sends(lab)
    lab.server.fault(hold=None)
    lab.apply()
    [job] = json.loads(lab.run("status", "-o", "json").stdout)["jobs"]
    assert job["paid_twice"] == 10


class Clones:
    """Two clones at a look-alike. What `lives` does not name has answered every row the moment it was made."""

    def __init__(self, folder: Path, remote: LookAlike, rows: tuple[int, int] = (3, 4)) -> None:
        self.remote = remote
        self.lives: dict[str, Any] = {}
        remote.life = self._life
        self.one, self.other = (
            self._clone(folder / name, number) for name, number in zip(("one", "other"), rows, strict=True)
        )

    def _clone(self, folder: Path, rows: int) -> Lab:
        folder.mkdir()
        return lab_at(folder, self.remote, rows)

    def _life(self, batch: Raw, polls: int) -> Mapping[str, Any]:
        life = self.lives.get(batch["id"], self.remote.completed)
        return {**life(batch, polls), "completed_at": batch["created_at"]}

    def both_pay(self) -> str:
        """The first clone is done; nothing shows the other what there is, and it sends the same and one row more.

        Gives its batch, which runs on.
        """
        self.one.apply()
        self.remote.hidden = set(self.remote.created)
        name = f"batch_{len(self.remote.created) + 1}"
        self.lives[name] = running
        self.other.apply("--no-wait", code=3)
        self.remote.hidden = set()
        assert len(self.remote.sent[-1]) == 4
        return name

    def reads(self, name: str) -> int:
        return self.remote.asked.count(f"GET /files/{name}/content")


@pytest.fixture
def clones(tmp_path: Path) -> Iterator[Clones]:
    with looking_alike() as remote:
        yield Clones(tmp_path, remote)


def paid_twice(lab: Lab) -> int:
    [job] = json.loads(lab.run("status", "-o", "json").stdout)["jobs"]
    return int(job["paid_twice"])


def test_what_had_ended_before_the_other_was_sent_is_counted_by_its_answers(clones: Clones) -> None:
    clones.both_pay()
    before = clones.reads("batch_1-output")
    done = clones.other.apply("--no-wait", code=3)
    assert "`batch_1`, which was not sent from here, holds 3 of the requests of `batch_2` too" in done.stderr
    assert "paid for twice" not in clones.other.apply("--no-wait", code=3).stderr, "it is told once"
    del clones.lives["batch_2"]
    clones.other.apply()
    assert paid_twice(clones.other) == 3
    assert clones.reads("batch_1-output") == before + 1, "what it answered is read once"
    assert paid_twice(clones.one) == 0, "it has not looked since"
    clones.one.rows({"r0": "word 0", "r1": "word 1", "r2": "word 2", "r9": "word 9"})
    clones.one.apply()
    assert paid_twice(clones.one) == 3
    assert [len(rows) for rows in clones.remote.sent] == [3, 4, 1]


def test_what_the_first_left_unanswered_is_not_paid_for_twice(clones: Clones) -> None:
    def expired(batch: Raw, polls: int) -> Mapping[str, Any]:
        counts = {"total": 3, "completed": 1, "failed": 0}
        return {"status": "expired", "output_file_id": clones.remote.answered(batch, only=1), "request_counts": counts}

    def all_but_one(batch: Raw, polls: int) -> Mapping[str, Any]:
        counts = {"total": 4, "completed": 3, "failed": 1}
        answered, refused = clones.remote.answered(batch), clones.remote.failed(batch, "bad", 400)
        first, *rest = clones.remote.files[answered].splitlines(keepends=True)
        assert b"r0-" in first
        clones.remote.files[answered] = b"".join(rest)
        clones.remote.files[refused] = clones.remote.files[refused].splitlines(keepends=True)[0]
        return {
            "status": "completed",
            "output_file_id": answered,
            "error_file_id": refused,
            "request_counts": counts,
        }

    clones.lives["batch_1"] = expired  # its other two rows are asked again at once
    assert clones.both_pay() == "batch_3"
    done = clones.other.apply("--no-wait", code=3)
    assert "holds 1 of the requests of `batch_3` too" in done.stderr
    assert "holds 2 of the requests of `batch_3` too" in done.stderr
    clones.lives["batch_3"] = all_but_one
    done = clones.other.apply(code=4)
    assert "of what `batch_1` answered, `batch_3` answered 0 too" in done.stderr
    assert paid_twice(clones.other) == 2


def test_what_is_adopted_is_counted_with_what_was_sent_from_here(clones: Clones) -> None:
    clones.both_pay()
    del clones.lives["batch_2"]
    clones.one.rows(4)  # the row that the other has more: its batch is taken for it
    done = clones.one.apply()
    assert "adopted `batch_2`" in done.stderr
    assert "`batch_2`, which was not sent from here, holds 3 of the requests of `batch_1` too" in done.stderr
    assert paid_twice(clones.one) == 3
    assert [len(rows) for rows in clones.remote.sent] == [3, 4]


def test_what_a_person_wanted_anew_is_no_mistake(clones: Clones) -> None:
    clones.one.apply()
    clones.other.apply()
    clones.other.run("retry", "answers", "--replace")
    clones.other.apply()
    assert [len(rows) for rows in clones.remote.sent] == [3, 1, 4]
    clones.one.rows({"r0": "word 0", "r1": "word 1", "r2": "word 2", "r9": "word 9"})
    clones.one.apply()
    assert [paid_twice(clone) for clone in (clones.one, clones.other)] == [0, 0]


def test_a_few_of_many(tmp_path: Path) -> None:
    with looking_alike() as remote:
        clones = Clones(tmp_path, remote, (60, 2))
        clones.one.apply()
        remote.hidden = set(remote.created)
        clones.other.apply()
        remote.hidden = set()
        clones.one.rows(61)
        done = clones.one.apply()
        assert "`batch_2`, which was not sent from here, holds 2 of the requests of `batch_1` too" in done.stderr
        assert [len(rows) for rows in remote.sent] == [60, 2, 1] and paid_twice(clones.one) == 2
