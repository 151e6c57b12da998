"""A create that took effect without a word, and that the list shows when all is done: it is found, stopped, counted."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from runner.state.disk import DiskStore
from tests.journeys.lab import Lab
from tests.journeys.lookalike import SPEC, LookAlike, Raw, lab_at, looking_alike, record_of
from tests.remotes.loopback import Request


@pytest.fixture
def remote() -> Iterator[LookAlike]:
    with looking_alike(lists=False) as made:
        made.life = lambda batch, polls: {} if is_late(made, batch) else made.completed(batch)
        yield made


@pytest.fixture
def lab(tmp_path: Path, remote: LookAlike) -> Lab:
    return lab_at(tmp_path, remote, 4)


def is_late(remote: LookAlike, batch: Raw) -> bool:
    """Of several it is the first whose answer was lost, and it goes on."""
    return len(remote.created) > 1 and batch["id"] == "batch_1"


def losing_the_first_reply(remote: LookAlike) -> Callable[[Request], bytes | None]:
    """The create takes effect, and its caller reads an answer of a gateway."""

    def answer(request: Request) -> bytes | None:
        if remote.created:
            return None
        remote._create(json.loads(request.body))
        return remote.reply(504, {"error": {"message": "gateway time-out"}})

    return answer


def counted(lab: Lab, what: str = "duplicates") -> int:
    [job] = json.loads(lab.run("status", "-o", "json", "--offline").stdout)["jobs"]
    return int(job[what])


@pytest.mark.parametrize("can_revoke", [True, False], ids=["its input is gone", "uploads cannot be deleted"])
def test_it_is_found_by_an_apply_that_has_nothing_to_do(remote: LookAlike, lab: Lab, can_revoke: bool) -> None:
    remote.on["POST /batches"] = losing_the_first_reply(remote)
    if not can_revoke:
        remote.on["GET /files/file-1"] = remote.on["DELETE /files/file-1"] = remote.refuse(405)
    lab.apply()
    assert len(remote.created) == 2
    assert (lab.apply().stdout, counted(lab)) == ("Nothing to do\n", 0)
    remote.lists = True
    done = lab.apply()
    assert "`batch_1` is " in done.stderr
    assert "it was cancelled (4 requests overlap)" in done.stderr
    assert remote.created["batch_1"]["status"] == "cancelling"
    assert counted(lab) == 4
    assert "4 requests may be paid for twice: a duplicate of their batch took effect" in lab.run("status").stdout
    assert "`batch_1` is a duplicate" in lab.run("show", "answers").stdout
    done = lab.apply()
    assert (done.stdout, done.stderr, counted(lab)) == ("Nothing to do\n", "", 4)


def test_it_is_looked_for_behind_pages_that_are_younger_than_its_second_try(remote: LookAlike, lab: Lab) -> None:
    """The record of the second try is written over that of the first: what is looked back to is the first."""
    lost = losing_the_first_reply(remote)

    def half_an_hour_later(request: Request) -> bytes | None:
        answer = lost(request)
        remote.skew = timedelta(minutes=30)
        return answer

    def paged(request: Request) -> bytes:
        mine = [{**remote._shown(one), "at": one["created_at"]} for one in remote.created.values()]
        theirs = [{"id": f"strange_{n}", "object": "batch", "status": "in_progress", "metadata": {"team": "search"},
                   "created_at": mine[0]["created_at"] + 60 * n} for n in (1, 2, 3)]  # fmt: skip
        shown = sorted([*mine, *theirs], key=lambda one: -one["created_at"])
        after = request.path.partition("after=")[2].partition("&")[0]
        at = [one["id"] for one in shown].index(after) + 1 if after else 0
        return remote.reply(200, {"object": "list", "data": shown[at : at + 1], "has_more": at + 1 < len(shown)})

    remote.on["POST /batches"] = half_an_hour_later
    lab.spec(SPEC, more=", can_delete_files: false")
    lab.apply()
    assert len(remote.created) == 2
    remote.on["GET /batches"] = paged
    done = lab.apply()
    assert "`batch_1` is " in done.stderr
    assert counted(lab) == 4


def test_one_that_has_ended_counts_what_it_answered(remote: LookAlike, lab: Lab) -> None:
    remote.on["POST /batches"] = losing_the_first_reply(remote)
    lab.apply()
    remote.lists = True

    def ended(batch: Raw, polls: int) -> Raw:
        counts = {"total": 4, "completed": 3, "failed": 1}
        return {"status": "completed", "completed_at": remote.now(), "request_counts": counts}

    remote.life = ended
    assert "it had ended" in lab.apply().stderr
    assert counted(lab) == 3
    assert not [route for route in remote.asked if route.endswith("/cancel")]


@pytest.mark.parametrize("runs_on", [False, True], ids=["ended", "running"])
def test_one_that_answers_what_was_refused_elsewhere_is_taken_over_and_counted(
    remote: LookAlike, lab: Lab, runs_on: bool
) -> None:
    remote.on["POST /batches"] = losing_the_first_reply(remote)
    shown: list[str] = []

    def life(batch: Raw, polls: int) -> Raw:
        if batch["id"] == "batch_1":
            shown.append("")
            return {} if runs_on and len(shown) < 5 else dict(remote.completed(batch))
        counts = {"total": 4, "completed": 3, "failed": 1}
        files = {"output_file_id": remote.answered(batch, only=3), "error_file_id": remote.failed(batch, "no", 400, 3)}
        return {"status": "completed", "completed_at": remote.now(), "request_counts": counts, **files}

    remote.life = life
    lab.apply(code=4)
    changed(lab, twins=["batch_0"], twin_rows={"batch_0": 2}, possible_duplicates=1)  # as if counted with it before
    remote.lists = True
    done = lab.apply()
    assert "`batch_1` is from a create that was given up, and holds 3 of the requests of `batch_2` too" in done.stderr
    assert "adopted `batch_1`" in done.stderr
    assert [row["answer"] for row in lab.results()] == ["from batch_2"] * 3 + ["from batch_1"]
    assert (counted(lab), counted(lab, "possible_duplicates")) == (2, 1), "its record is written over, its sums are not"
    assert counted(lab, "paid_twice") == 3
    assert lab.apply().stdout == "Nothing to do\n", "it is said and counted once"
    assert counted(lab, "paid_twice") == 3
    assert len(remote.created) == 2


def test_one_that_answers_what_a_person_was_to_decide_about_is_taken_over(remote: LookAlike, lab: Lab) -> None:
    remote.on["POST /batches"] = losing_the_first_reply(remote)

    def life(batch: Raw, polls: int) -> Raw:
        if batch["id"] == "batch_1":
            return dict(remote.completed(batch))
        return {"status": "cancelled", "cancelled_at": remote.now()}

    remote.life = life
    lab.apply(code=5)
    remote.lists = True
    lab.apply()
    assert [row["answer"] for row in lab.results()] == ["from batch_1"] * 4
    assert len(remote.created) == 2


def test_a_list_that_fails_fails_nothing_and_is_asked_again(remote: LookAlike, lab: Lab) -> None:
    remote.on["POST /batches"] = losing_the_first_reply(remote)
    lab.apply()
    remote.lists = True
    remote.on["GET /batches"] = remote.refuse(403)
    done = lab.apply()
    assert done.stdout == "Nothing to do\n"
    assert done.stderr.count("cannot be looked for now") == 1
    del remote.on["GET /batches"]
    lab.apply()
    assert counted(lab) == 4


def test_nobody_lists_where_every_create_was_answered(remote: LookAlike, lab: Lab) -> None:
    lab.apply()
    lists = remote.asked.count("GET /batches")
    lab.apply()
    assert remote.asked.count("GET /batches") == lists


@pytest.mark.parametrize("is_in_it", [False, True])
def test_a_list_after_its_window_is_the_last(remote: LookAlike, lab: Lab, is_in_it: bool) -> None:
    remote.on["POST /batches"] = losing_the_first_reply(remote)
    lab.apply()
    [at] = [one["intent_at"] for one in record_of(lab.root) if one["stage"] == "dropped"]
    changed(lab, intent_at=(datetime.fromisoformat(at) - timedelta(hours=25)).isoformat())
    remote.lists = is_in_it
    for lists in (2, 1, 0) if is_in_it else (1, 0):  # what is in it is counted, and then known
        before = remote.asked.count("GET /batches")
        assert lab.apply().stdout == "Nothing to do\n"
        assert remote.asked.count("GET /batches") - before == min(lists, 1)
    assert counted(lab) == (4 if is_in_it else 0)


def changed(lab: Lab, **fields: Any) -> None:
    """The record of the create that was given up, in its file."""
    store = DiskStore(lab.root / ".runner" / "state")
    try:
        read = store.read()
        [(key, raw)] = [(key, raw) for key, raw in read.below("batch/") if raw["stage"] == "dropped"]
        store.write({key: {**raw, **fields}}, read.serial)
    finally:
        store.close()


def test_one_whose_rows_were_edited_meanwhile_is_stopped(remote: LookAlike, lab: Lab) -> None:
    lost = losing_the_first_reply(remote)

    def answer(request: Request) -> bytes | None:
        return lost(request) or remote.reply(400, {"error": {"message": "no"}})

    remote.on["POST /batches"] = answer
    lab.apply(code=1)
    del remote.on["POST /batches"]
    lab.spec(SPEC.replace("Say ", "Tell "), more="")
    lab.apply()
    remote.lists = True
    done = lab.apply()
    assert "`batch_1` is from a create that was given up, and nobody wants its requests any more" in done.stderr
    assert remote.created["batch_1"]["status"] == "cancelling"
    done = lab.apply()
    assert (done.stdout, done.stderr) == ("Nothing to do\n", "")


@pytest.mark.parametrize("can_revoke", [True, False], ids=["its input is gone", "uploads cannot be deleted"])
def test_a_remote_that_loses_every_create_is_left_alone(remote: LookAlike, lab: Lab, can_revoke: bool) -> None:
    """An answer of a gateway to each, and nothing took effect: an apply ends by itself, and says what happened."""
    remote.lists = True
    remote.on["POST /batches"] = lambda request: remote.reply(504, {"error": {"message": "gateway time-out"}})
    if not can_revoke:
        lab.spec(SPEC, more=", can_delete_files: false")
    done = lab.apply(code=1)
    assert "the remote lost 5 creates in a row" in done.stderr
    assert remote.asked.count("POST /batches") == 5


def test_an_apply_ends_though_strangers_send_at_every_list(remote: LookAlike, lab: Lab) -> None:
    """Batches that show neither label nor input, a new one at each search: it is known of the remote that they are."""

    def listing(request: Request) -> bytes:
        number = remote.asked.count("GET /batches")
        strange = {"object": "batch", "endpoint": "/v1/chat/completions", "status": "in_progress", "metadata": None}
        strange |= {"input_file_id": None, "created_at": remote.now(), "request_counts": None, "output_file_id": None}
        mine = [remote._shown(batch) for batch in remote.created.values()]
        shown = [{**strange, "id": f"strange_{one}"} for one in range(number)] + mine
        return remote.reply(200, {"object": "list", "data": shown, "has_more": False})

    remote.on["GET /batches"] = listing
    lab.apply("--first-run")
    assert len(remote.created) == 1
    assert remote.asked.count("GET /batches") < 10
