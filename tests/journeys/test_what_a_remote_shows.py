"""Look-alikes that drop labels, write their own over ours, hide input files, or list nothing: nothing is paid twice."""

from __future__ import annotations

import json
import shutil
from typing import Any

import pytest

from tests.journeys.gateway import Edit, Gateway, dropped
from tests.journeys.lab import Lab

NOTHING = dropped("metadata", "input_file_id")


def foreign(raw: dict[str, Any]) -> dict[str, Any]:
    """A gateway's own label over ours."""
    return {**raw, "metadata": {"team": "search"}}


def shown(lab: Lab) -> dict[str, Any]:
    """What is on record of what the remote shows."""
    from runner.state.disk import view
    from runner.state.home import home_of
    from runner.state.records import Records

    store = view(home_of(lab.root).state)
    try:
        project = Records(store).project()
    finally:
        store.close()
    assert project is not None
    [one] = project.shown.values()
    return {"lists": one.lists, "label": one.label, "upload": one.upload}


def without_memory(lab: Lab) -> None:
    lab.forget()
    shutil.rmtree(lab.root / "results", ignore_errors=True)


def test_an_unlabelled_batch_younger_than_the_intent_makes_its_outcome_unknown(lab: Lab, gateway: Gateway) -> None:
    gateway.batch = NOTHING
    gateway.lost["POST /v1/batches"] = 1
    done = lab.apply(code=5)
    assert "it is not known whether 10 requests were submitted" in done.stderr
    assert "`runner state resolve answers specs/`" in done.stdout
    assert lab.server.creates() == 1
    assert lab.apply(code=5).returncode == 5
    assert lab.server.creates() == 1, "nobody has decided"
    listed = lab.run("state", "resolve", "answers", code=5).stdout
    [theirs] = [batch["id"] for batch in lab.server.batches()]
    assert theirs in listed
    lab.run("state", "resolve", "answers", "--adopt", theirs)
    lab.apply()
    assert lab.server.creates() == 1
    assert all(row["error"] is None for row in lab.results())
    assert lab.apply().stdout == "Nothing to do\n"


@pytest.mark.parametrize(("decision", "maybe"), [("--clear", 0), ("--resubmit", 10)])
def test_a_person_may_have_it_sent_again(lab: Lab, gateway: Gateway, decision: str, maybe: int) -> None:
    gateway.batch = NOTHING
    gateway.lost["POST /v1/batches"] = 1
    lab.apply(code=5)
    lab.run("state", "resolve", "answers", decision)
    lab.apply()
    assert lab.server.creates() == 2
    assert all(row["error"] is None for row in lab.results())
    [job] = json.loads(lab.run("status", "-o", "json").stdout)["jobs"]
    assert job["possible_duplicates"] == maybe


def test_what_the_remote_shows_after_all_nobody_has_to_decide(lab: Lab, gateway: Gateway) -> None:
    gateway.batch = NOTHING
    gateway.lost["POST /v1/batches"] = 1
    lab.apply(code=5)
    gateway.batch = dropped("metadata")
    lab.apply()
    assert lab.server.creates() == 1
    assert shown(lab) == {"lists": True, "label": None, "upload": None}


@pytest.mark.parametrize("shows", [dropped("metadata"), foreign], ids=["no label", "a label of its own"])
def test_an_unanswered_create_is_known_by_its_upload(lab: Lab, gateway: Gateway, shows: Edit) -> None:
    gateway.batch = shows
    gateway.lost["POST /v1/batches"] = 1
    lab.apply()
    assert lab.server.creates() == 1
    assert lab.apply().stdout == "Nothing to do\n"


@pytest.mark.parametrize("shows", [dropped("metadata"), foreign], ids=["no label", "a label of its own"])
@pytest.mark.parametrize("files", [{}, {"GET /v1/files": 405}], ids=["listed", "not listed"])
def test_lost_state_is_found_by_the_name_of_the_uploaded_file(
    lab: Lab, gateway: Gateway, shows: Edit, files: dict[str, int]
) -> None:
    gateway.batch = shows
    gateway.refused = files
    lab.apply()
    before = lab.results()
    without_memory(lab)
    lab.apply()
    assert lab.server.creates() == 1
    assert lab.results() == before
    without_memory(lab)
    lab.rows(11)
    lab.apply()
    assert [len(ids) for ids in lab.server.sent()] == [10, 1]
    assert shown(lab) == {"lists": True, "label": False, "upload": True}


def test_where_not_even_that_is_shown_the_first_run_wants_a_word(lab: Lab, gateway: Gateway) -> None:
    gateway.batch = NOTHING
    lab.apply()
    assert shown(lab) == {"lists": True, "label": False, "upload": False}
    without_memory(lab)
    done = lab.apply(code=5)
    assert "neither a label nor the name of its input file" in done.stdout
    assert "`runner apply specs/ --first-run`" in done.stdout
    assert lab.server.creates() == 1
    lab.apply("--first-run")
    assert lab.server.creates() == 2


def test_a_remote_that_shows_nothing_holds_the_next_unanswered_create(lab: Lab, gateway: Gateway) -> None:
    """Learned from the receipts: nothing that a list might show could be told to be ours."""
    gateway.batch = NOTHING
    lab.apply()
    lab.rows(12)
    gateway.refused["POST /v1/batches"] = 500
    done = lab.apply(code=5)
    assert "cannot be searched" in done.stderr
    assert "shows neither our label nor the input file" in lab.run("plan", code=5).stdout
    assert lab.server.creates() == 1


@pytest.mark.parametrize("status", [404, 405, 501])
def test_a_remote_without_lists_is_used_as_one(lab: Lab, gateway: Gateway, status: int) -> None:
    gateway.refused = {"GET /v1/batches": status, "GET /v1/files": status}
    done = lab.apply(code=5)
    assert "`list: {style: absent}`" in done.stdout
    assert lab.server.creates() == 0
    lab.apply("--first-run")
    assert lab.server.creates() == 1
    assert lab.apply().stdout == "Nothing to do\n"
    lab.rows(11)
    gateway.lost["POST /v1/files"] = 1
    lab.apply()
    assert [len(ids) for ids in lab.server.sent()] == [10, 1]


def test_a_list_that_was_refused_for_a_while_is_asked_for_again(lab: Lab, gateway: Gateway) -> None:
    gateway.refused = {"GET /v1/batches": 405}
    assert "refuses to list its batches" in lab.apply(code=5).stdout
    gateway.refused = {}
    lab.apply()
    assert lab.server.creates() == 1
    assert shown(lab)["lists"] is True


def test_no_list_can_be_said(lab: Lab, gateway: Gateway) -> None:
    path = lab.root / "specs/lab.yaml"
    path.write_text(path.read_text().replace("overrides: {", "overrides: {list: {style: absent}, "))
    assert "cannot be asked what was sent before" in lab.apply(code=5).stdout
    lab.apply("--first-run")
    assert lab.server.creates() == 1
    assert "GET /v1/batches" not in gateway.calls
