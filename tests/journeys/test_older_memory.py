"""A remote that shows nothing of whose its batches are, and a memory that is older than what was sent since.

It comes from a backup, or another clone has sent something. Nothing can tell, so nothing is sent without a word; and
what others on the same account send is asked about once.
"""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from tests.journeys.gateway import Gateway, dropped
from tests.journeys.lab import Lab


@pytest.fixture
def shows_nothing(gateway: Gateway) -> Gateway:
    gateway.batch = dropped("metadata", "input_file_id")
    return gateway


@pytest.fixture
def stranger(lab: Lab, shows_nothing: Gateway, tmp_path: Path) -> Lab:
    """Somebody else's project at the same remote."""
    root = tmp_path / "stranger"
    root.mkdir()
    other = Lab(root, lab.server)
    other.spec()
    path = root / "specs/lab.yaml"
    path.write_text(path.read_text().replace("project: lab", "project: other").replace("Say", "Sing"))
    other.rows(3)
    return other


def with_backup(lab: Lab, tmp_path: Path) -> Path:
    """A project of twelve rows that were all asked, and a backup of `.runner/` from when there were ten."""
    lab.apply()
    kept = tmp_path / "backup"
    shutil.copytree(lab.root / ".runner", kept)
    lab.rows(12)
    lab.apply()
    assert lab.server.creates() == 2
    return kept


def restore(lab: Lab, kept: Path) -> None:
    lab.forget()
    shutil.copytree(kept, lab.root / ".runner")
    shutil.rmtree(lab.root / "results")


def test_a_restored_memory_wants_a_word(lab: Lab, shows_nothing: Gateway, tmp_path: Path) -> None:
    kept = with_backup(lab, tmp_path)
    now = tmp_path / "now"
    shutil.copytree(lab.root / ".runner", now)
    restore(lab, kept)
    for _ in range(2):  # it is not forgotten that it was asked
        done = lab.apply(code=5)
        assert "lists a batch that shows neither a label nor the name of its input file" in done.stdout
        assert "`.runner/` is older: it may come from a backup" in done.stdout
        assert "`runner apply specs/ --first-run`" in done.stdout
    assert "--first-run" in lab.run("plan", code=None).stdout
    assert lab.server.creates() == 2
    restore(lab, now)  # as was advised
    lab.apply()
    assert [row["error"] for row in lab.results()] == [None] * 12
    assert lab.server.creates() == 2


def test_after_the_word_nothing_is_asked_again(lab: Lab, shows_nothing: Gateway, tmp_path: Path) -> None:
    restore(lab, with_backup(lab, tmp_path))
    lab.apply("--first-run")
    assert [len(ids) for ids in lab.server.sent()] == [10, 2, 2]
    lab.rows(13)
    lab.apply()
    assert [len(ids) for ids in lab.server.sent()] == [10, 2, 2, 1]


def test_strangers_are_asked_about_once(lab: Lab, shows_nothing: Gateway, stranger: Lab) -> None:
    stranger.apply()
    assert "neither `.runner/` nor the outputs know" in lab.apply(code=5).stdout
    lab.apply("--first-run")
    lab.rows(11)
    lab.apply()
    stranger.rows(4)
    stranger.apply("--first-run")
    assert lab.apply().stdout == "Nothing to do\n", "nothing is sent, so nothing is asked"
    lab.rows(12)
    done = lab.apply(code=5)
    assert "if it is somebody else's, say so" in done.stdout
    lab.apply("--first-run")
    lab.rows(13)
    lab.apply()
    assert [len(ids) for ids in lab.server.sent()] == [3, 10, 1, 1, 1, 1]


def test_a_batch_that_appears_during_the_upload_is_in_doubt(lab: Lab, shows_nothing: Gateway, stranger: Lab) -> None:
    lab.apply()
    stranger.apply("--first-run")
    lab.apply()
    lab.rows(11)
    lab.apply("--first-run")
    lab.rows(12)
    stranger.rows(4)
    shows_nothing.before["POST /v1/files"] = lambda: stranger.apply("--first-run")
    done = lab.apply(code=5)
    assert "what is left is planned again" in done.stderr
    assert "lists a batch that shows neither" in done.stdout
    assert [len(ids) for ids in lab.server.sent()] == [10, 3, 1, 1]


def test_what_was_put_off_is_not_sent_again_by_an_older_memory(
    lab: Lab, shows_nothing: Gateway, tmp_path: Path
) -> None:
    path = lab.root / "specs/lab.yaml"
    path.write_text(path.read_text().replace("min_poll_s: 0.05", "min_poll_s: 0.05, defer_s: 0.3"))
    lab.apply()
    lab.rows(12)
    shows_nothing.refused["POST /v1/batches"] = 429
    lab.apply("--no-wait", code=3)
    kept = tmp_path / "backup"
    shutil.copytree(lab.root / ".runner", kept)
    shows_nothing.refused.clear()
    lab.apply()
    assert lab.server.creates() == 2
    restore(lab, kept)
    assert "`.runner/` is older" in lab.apply(code=5).stdout
    assert lab.server.creates() == 2


def test_of_what_may_have_come_of_one_create_only_one_did(lab: Lab, shows_nothing: Gateway, tmp_path: Path) -> None:
    """The backup is from when nobody knew whether a create had taken effect; more was sent since."""
    lab.apply()
    lab.rows(11)
    shows_nothing.lost["POST /v1/batches"] = 1
    shows_nothing.before["POST /v1/batches"] = lambda: shows_nothing.refused.update({"GET /v1/batches": 503})
    lab.apply("--no-wait", code=None)
    kept = tmp_path / "backup"
    shutil.copytree(lab.root / ".runner", kept)
    shows_nothing.refused.clear()
    lab.apply(code=5)
    lab.run("state", "resolve", "answers", "--adopt", lab.server.batches()[1]["id"])
    lab.rows(14)
    lab.apply()
    assert [len(ids) for ids in lab.server.sent()] == [10, 1, 3]
    restore(lab, kept)
    done = lab.apply(code=5)
    assert "lists a batch that shows neither" in done.stdout
    assert lab.server.creates() == 3, "what the third holds is not sent again"
