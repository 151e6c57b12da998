"""What providers keep of us goes once nothing needs it, and nothing before."""

from __future__ import annotations

import json
import re
import shutil
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from tests.journeys.audio.lab import SPEC as RECORDINGS
from tests.journeys.audio.lab import sound
from tests.journeys.lab import KEY, Lab
from tests.journeys.lookalike import LookAlike, lab_at


def pruned(lab: Lab, *words: str, code: int | None = 0, **environ: str) -> dict[str, Any]:
    return dict(json.loads(lab.run("prune", "-o", "json", *words, code=code, **environ).stdout))


def objects(view: dict[str, Any]) -> list[dict[str, Any]]:
    return [one for remote in view["remotes"] for one in remote["objects"]]


def files_of(lab: Lab) -> set[str]:
    return {one["id"] for one in lab.server.get("/v1/files")["data"]}


def clone_of(lab: Lab, *, with_results: bool) -> Lab:
    """A fresh clone of the repository, with or without results in it."""
    root = lab.root.with_name(f"clone-{with_results}")
    shutil.copytree(lab.root, root, ignore=shutil.ignore_patterns(".runner", *(() if with_results else ("results",))))
    return Lab(root, lab.server)


def test_uploads_and_results_go_and_nothing_is_asked_again(lab: Lab) -> None:
    lab.apply()
    shown = lab.run("prune", code=5)  # nobody is there to say yes
    assert (
        "answers  1 upload " in shown.stdout
        and "answers  1 result file " in shown.stdout
        and "hour old" in shown.stdout
    )
    assert "not in git" in shown.stderr and "runner prune -y" in shown.stderr
    assert len(files_of(lab)) == 2
    assert lab.run("prune", "-y").stdout.splitlines()[-1] == "Deleted 2 objects"
    assert files_of(lab) == set()
    assert lab.run("history").stdout.count("pruned       answers") == 2
    before = lab.server.asked()
    assert lab.apply().stdout == "Nothing to do\n" and lab.run("plan").stdout == "Nothing to do\n"
    assert lab.server.asked() == before  # not one call
    assert "keeps nothing of this project" in lab.run("prune", "-y").stdout
    # one row more: that one alone is sent
    lab.rows(11)
    lab.apply()
    assert lab.server.creates() == 2
    assert [row["error"] for row in lab.results()] == [None] * 11

    # a fresh clone with results sends nothing; one without says what became of the answers
    assert clone_of(lab, with_results=True).apply().stdout == "Nothing to do\n"
    assert lab.server.creates() == 2
    # without them it cannot know yet that the files were deleted, and do not only come late
    said = clone_of(lab, with_results=False).apply(code=5).stderr
    [told] = re.findall(r"before it has ended for 15 minutes, at (\d\d:\d\d) UTC", " ".join(said.split()))
    ended = max(batch["completed_at"] for batch in lab.server.batches())
    assert told == f"{datetime.fromtimestamp(ended + 15 * 60 + 59, UTC):%H:%M}"
    assert "were they deleted, as by `runner prune" in " ".join(said.split())
    assert lab.server.creates() == 2


def test_a_clone_without_results_is_told_what_became_of_the_answers(remote: LookAlike, tmp_path: Path) -> None:
    remote.life = lambda batch, polls: {**remote.completed(batch), "completed_at": remote.now() - 3600}
    lab = lab_at(tmp_path, remote)
    lab.apply()
    assert pruned(lab, "-y")["deleted"] == 2
    assert remote.kept == []
    shutil.rmtree(lab.root / "results")
    lab.forget()
    done = lab.apply("--wait", "30s")
    assert "its files were deleted there: the 2 answers it had can only be asked, and paid for, again, " in done.stderr
    # and the new one is not taken for a duplicate of the one whose answers are gone
    assert [row["answer"] for row in lab.results()] == ["from batch_2"] * 2
    assert lab.apply().stdout == "Nothing to do\n"
    assert len(remote.created) == 2


def test_what_is_not_safely_here_stays(lab: Lab) -> None:
    lab.server.fault(hold=0.5)
    lab.apply("--no-wait", code=3)
    lab.rows(0, file="data/none.csv")
    view = pruned(lab, "-y")
    assert [one["kept"] for one in objects(view)] == ["in flight"]
    # another clone, which knows nothing of it, keeps it too
    other = clone_of(lab, with_results=False)
    assert [one["kept"] for one in objects(pruned(other, "-y"))] == ["in flight"]
    lab.server.calm()
    lab.apply()
    # collected here and not there: that one has no answer, and what is another's stays for a week in any case
    assert {one["kept"] for one in objects(pruned(other, "-y"))} == {"not all of its answers are here"}
    # the answers here were changed behind our back: then nothing vouches for them
    raw = next((lab.root / ".runner/objects").glob("*/0.jsonl"))
    whole = raw.read_bytes()
    raw.chmod(0o600)
    raw.write_bytes(whole.replace(b"echo", b"ecco"))
    assert {one["kept"] for one in objects(pruned(lab, "-y"))} == {"not all of its answers are here"}
    raw.write_bytes(whole)
    assert {one["kept"] for one in objects(pruned(lab, "-y", "--older-than", "1h"))} == {"not old enough"}
    assert len(files_of(lab)) == 2
    assert pruned(lab, "-y")["deleted"] == 2


def test_others_objects_are_never_touched(lab: Lab) -> None:
    """Of another project, of a project whose name begins alike, and what nobody labelled."""
    lab.apply()
    spec = (lab.root / "specs/lab.yaml").read_text()
    near = Lab(lab.root.with_name("near"), lab.server)
    (near.root / "specs").mkdir(parents=True)
    (near.root / "specs/lab.yaml").write_text(spec.replace("project: lab", "project: lab-2").replace("Say", "Speak"))
    near.rows(3)
    near.apply()
    mine = {one["ref"] for one in objects(pruned(lab, code=5))}
    boundary = "b0undary"
    body = (
        f'--{boundary}\r\nContent-Disposition: form-data; name="purpose"\r\n\r\nbatch\r\n--{boundary}\r\n'
        f'Content-Disposition: form-data; name="file"; filename="mine.jsonl"\r\n\r\n{{}}\n\r\n--{boundary}--\r\n'
    )
    import urllib.request

    headers = {"Authorization": f"Bearer {KEY}", "Content-Type": f"multipart/form-data; boundary={boundary}"}
    urllib.request.urlopen(
        urllib.request.Request(f"{lab.server.url}/v1/files", body.encode(), headers, method="POST"), timeout=20
    ).close()
    before = files_of(lab)
    assert len(before) == 5
    assert pruned(lab, "-y")["deleted"] == 2
    assert files_of(lab) == before - mine


def test_a_lost_reply_and_a_deletion_by_somebody_else_come_to_the_same(lab: Lab) -> None:
    lab.apply()
    lab.server.fault(fail_after={"value": 1, "route": "DELETE /v1/files/{id}"})
    assert pruned(lab, "-y")["deleted"] == 2
    assert files_of(lab) == set()


def test_a_key_that_may_only_read_is_told_so(lab: Lab) -> None:
    lab.apply()
    done = lab.run("prune", "-y", code=5, RUNNER_READONLY="1")
    assert "read-only" in done.stderr
    assert len(files_of(lab)) == 2
    # what was named and not sent is no deletion: the next one finds all as it was
    assert pruned(lab, "-y")["deleted"] == 2


def test_an_environment_prunes_what_is_its_own(lab: Lab) -> None:
    """Two environments of one project, with the same rows: neither sees what the other has at the remote."""
    path = lab.root / "specs/lab.yaml"
    path.write_text(path.read_text() + "environments: {dev: {}, prod: {retention: {uploads: 30d}}}\n")
    lab.apply("--env", "dev")
    lab.apply("--env", "prod")
    assert len(files_of(lab)) == 4
    dev = {one["ref"] for one in objects(pruned(lab, "--env", "dev", code=5))}
    assert pruned(lab, "--env", "dev", "-y")["deleted"] == 2
    assert files_of(lab).isdisjoint(dev) and len(files_of(lab)) == 2
    assert pruned(lab, "--env", "prod", "-y")["deleted"] == 2


def test_where_the_files_of_the_older_of_two_are_gone_the_younger_has_the_answers(
    remote: LookAlike, tmp_path: Path
) -> None:
    """Another clone sent the same, had it home and its files deleted; ours is taken for its duplicate."""
    remote.lists = False
    theirs = lab_at(tmp_path, remote, more=", absence_s: 0.2")
    theirs.apply("--no-wait", code=3)
    ours = clone_of(theirs, with_results=False)
    ours.apply("--no-wait", code=3)
    assert list(remote.created) == ["batch_1", "batch_2"]
    remote.lists = True

    def life(batch: dict[str, Any], polls: int) -> dict[str, Any]:
        done = {**remote.completed(batch), "completed_at": remote.now() - 3600}
        remote.deleted.add("batch_1-output")
        return done

    remote.life = life
    done = ours.apply("--wait", "60s")
    assert "collected `batch_2`, a duplicate of `batch_1`, whose files are gone" in done.stderr
    assert [row["answer"] for row in ours.results()] == ["from batch_2"] * 2
    assert ours.apply().stdout == "Nothing to do\n" and len(remote.created) == 2


def test_a_project_of_recordings_has_nothing_to_delete(lab: Lab) -> None:
    lab.spec(RECORDINGS)
    (lab.root / "calls").mkdir()
    (lab.root / "calls/a.wav").write_bytes(sound("a"))
    told = lab.run("prune")
    assert told.stdout == "" and told.stderr == "Nothing to delete\n"
