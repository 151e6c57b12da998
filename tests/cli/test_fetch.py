"""`runner fetch`: the remote's own files, byte for byte, and a manifest that says so."""

from __future__ import annotations

import hashlib
import json
import shutil
from pathlib import Path
from typing import Any

import pytest

from tests.journeys.lab import SPEC, Lab, Server, until


def manifest_in(folder: Path) -> dict[str, Any]:
    return dict(json.loads((folder / "manifest.json").read_bytes()))


def remote_files(server: Server) -> dict[tuple[str, str], bytes]:
    """(batch, kind) -> the bytes the server holds."""
    held = {}
    for batch in server.batches():
        for kind in ("output", "error"):
            if file := batch[f"{kind}_file_id"]:
                held[batch["id"], kind] = server.raw("GET", f"/v1/files/{file}/content")
    return held


def check(folder: Path, held: dict[tuple[str, str], bytes]) -> None:
    """Files, manifest and remote say the same."""
    files = manifest_in(folder)["files"]
    assert {(file["job"], file["kind"]) for file in files} == set(held)
    for file in files:
        raw = held[file["job"], file["kind"]]
        assert (folder / file["path"]).read_bytes() == raw
        assert file["sha256"] == hashlib.sha256(raw).hexdigest()
        assert (file["size_bytes"], file["rows"]) == (len(raw), raw.count(b"\n"))
    there = {str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file()}
    assert there == {file["path"] for file in files} | {"manifest.json"}


def test_an_expired_batch_and_its_successor_without_the_network(expired: Lab) -> None:
    held = remote_files(expired.server)
    before = expired.server.asked()
    done = expired.run("fetch", "answers")
    assert expired.server.asked() == before  # but for our own look at the files
    folder = expired.root / "answers-files"
    check(folder, held)
    about = manifest_in(folder)
    assert (about["version"], about["address"], about["lineage"], about["complete"]) == (1, "answers", False, True)
    first, second = (batch["id"] for batch in expired.server.batches())
    lines = done.stdout.splitlines()
    assert f"answers-files/{first}/output.jsonl  5 lines" in lines[0]
    assert any(f"answers-files/{second}/output.jsonl  5 lines" in line for line in lines)
    total = sum(raw.count(b"\n") for raw in held.values())
    assert lines[-1].startswith(f"{len(held)} files, {total} lines, ")
    again = expired.run("fetch", "answers")
    assert again.stdout == done.stdout


def test_a_lineage_comes_from_the_remote(expired: Lab) -> None:
    before = expired.server.asked()
    expired.run("fetch", "answers", "--lineage", "--to", "chains/all")
    asked = expired.server.asked()
    assert sum(asked.values()) > sum(before.values())
    assert not [route for route in asked if asked[route] > before.get(route, 0) and not route.startswith("GET ")]
    check(expired.root / "chains/all", remote_files(expired.server))
    assert manifest_in(expired.root / "chains/all")["lineage"] is True


def test_nothing_is_changed_by_it(expired: Lab) -> None:
    state = {path: path.stat().st_mtime_ns for path in (expired.root / ".runner").rglob("*") if "-shm" not in path.name}
    expired.run("fetch", "answers", "--to", "unchanged")
    after = {path: path.stat().st_mtime_ns for path in (expired.root / ".runner").rglob("*") if "-shm" not in path.name}
    assert after == state


@pytest.mark.parametrize("to", ["../beside", "/tmp/elsewhere", ".", ".runner/files", "way-out/files"])
def test_only_below_the_root(expired: Lab, to: str) -> None:
    way_out = expired.root / "way-out"
    if not way_out.is_symlink():
        way_out.symlink_to(expired.root.parent)
    done = expired.run("fetch", "answers", "--to", to, code=64)
    assert f"`{to}`" in done.stderr
    assert not (expired.root.parent / "beside").exists()
    assert not (expired.root.parent / "files").exists()


def test_a_folder_of_somebody_else_is_left_alone(expired: Lab) -> None:
    theirs = expired.root / "theirs"
    theirs.mkdir()
    (theirs / "notes.txt").write_text("mine")
    assert "holds something else" in expired.run("fetch", "answers", "--to", "theirs", code=64).stderr
    (theirs / "manifest.json").write_text('{"version": 1}')
    assert "holds something else" in expired.run("fetch", "answers", "--to", "theirs", code=64).stderr
    assert sorted(path.name for path in theirs.iterdir()) == ["manifest.json", "notes.txt"]
    assert "is a file" in expired.run("fetch", "answers", "--to", "specs/lab.yaml", code=64).stderr


def test_an_unknown_job_makes_no_folder(expired: Lab) -> None:
    done = expired.run("fetch", "anwsers", code=64)
    assert "there is no job `anwsers`" in done.stderr
    assert not (expired.root / "anwsers-files").exists()


def test_files_of_an_earlier_fetch_go_when_all_is_here(expired: Lab) -> None:
    folder = expired.root / "again"
    expired.run("fetch", "answers", "--to", "again")
    about = manifest_in(folder)
    old = {**about["files"][0], "path": "gone/output.jsonl"}
    planted = {**old, "path": "../data/rows.csv"}
    (folder / "gone").mkdir()
    (folder / "gone/output.jsonl").write_text("old")
    (folder / "notes.txt").write_text("mine")
    (folder / "manifest.json").write_text(json.dumps({**about, "files": [*about["files"], old, planted]}))
    expired.run("fetch", "answers", "--to", "again")
    assert not (folder / "gone").exists()
    assert (folder / "notes.txt").read_text() == "mine"
    assert (expired.root / "data/rows.csv").exists()
    assert len(manifest_in(folder)["files"]) == len(about["files"])


def test_damaged_objects_are_downloaded_again(expired: Lab) -> None:
    lost = expired.root / "lost"
    shutil.copytree(expired.root / ".runner", lost)
    try:
        for raw in (expired.root / ".runner/objects").rglob("*.jsonl"):
            raw.write_bytes(raw.read_bytes()[:-5])
        expired.run("fetch", "answers", "--to", "healed")
        check(expired.root / "healed", remote_files(expired.server))
    finally:
        shutil.rmtree(expired.root / ".runner")
        lost.rename(expired.root / ".runner")


def test_a_running_batch_is_3_and_an_ended_one_is_downloaded(lab: Lab) -> None:
    lab.server.fault(hold=0.5)
    lab.apply("--no-wait", code=3)
    until(lambda: lab.server.batches()[0]["request_counts"]["completed"] == 5)
    done = lab.run("fetch", "answers", code=3)
    assert "5 of 10 requests done" in done.stderr
    assert done.stdout == "0 files, 0 lines, 0 B in `answers-files`\n"
    assert manifest_in(lab.root / "answers-files")["complete"] is False
    lab.server.fault(hold=None)
    until(lambda: lab.server.batches()[0]["status"] == "completed")
    for words in ([], ["--lineage"]):
        lab.run("fetch", "answers", *words)
        check(lab.root / "answers-files", remote_files(lab.server))


def test_another_origin_falls_back_on_what_is_recorded(lab: Lab) -> None:
    lab.server.fault(row_error={"value": 0.0001, "status": 400, "match": "r3- r7-"})
    lab.apply(code=4)
    path = lab.root / "specs/lab.yaml"
    path.write_text(path.read_text().replace("127.0.0.1", "localhost"))
    before = lab.server.asked()
    done = lab.run("fetch", "answers", "--lineage")
    assert lab.server.asked() == before
    assert "taken from what is recorded here" in done.stderr
    held = remote_files(lab.server)
    assert {kind for _, kind in held} == {"output", "error"}
    check(lab.root / "answers-files", held)


def test_a_vanished_batch_needs_a_decision(lab: Lab) -> None:
    import sqlite3

    lab.server.fault(hold=0.0)
    lab.apply("--no-wait", code=3)
    with sqlite3.connect(lab.server.directory / "world.sqlite") as world:
        world.execute("UPDATE batches SET owner = 'somebody else'")
    world.close()
    assert "the remote no longer has it" in lab.run("fetch", "answers", code=5).stderr


def test_answers_read_back_from_an_output_are_not_raw(lab: Lab) -> None:
    lab.apply()
    lab.forget()
    lab.server.fault(fail_before={"value": 1000, "route": "* *"})
    lab.run("apply", "specs/", "-y", "--no-wait", code=None)
    done = lab.run("fetch", "answers", code=4)
    assert "read back from `results/answers.jsonl`" in done.stderr


def test_one_cell_or_all_cells_of_a_matrix(lab: Lab) -> None:
    cells = "matrix: {{replicate: [1, 2]}}\n    output: results/{{{{ replicate }}}}.jsonl"
    lab.spec(SPEC.replace("output: results/answers.jsonl", cells))
    lab.apply()
    held = remote_files(lab.server)
    lab.run("fetch", "answers")
    check(lab.root / "answers-files", held)
    addresses = [file["address"] for file in manifest_in(lab.root / "answers-files")["files"]]
    assert set(addresses) == {"answers:replicate=1", "answers:replicate=2"}
    lab.run("fetch", "answers:replicate=2")
    assert {file["address"] for file in manifest_in(lab.root / "answers_replicate_2-files")["files"]} == {
        "answers:replicate=2"
    }
    assert (
        "holds files of `answers`" in lab.run("fetch", "answers:replicate=1", "--to", "answers-files", code=64).stderr
    )


def test_where_there_is_nothing_no_folder_is_made(lab: Lab) -> None:
    done = lab.run("fetch", "answers")
    assert "there is nothing to fetch" in done.stdout
    assert not (lab.root / "answers-files").exists()
    lab.apply()
    lab.spec(SPEC.replace("Say", "Sing"))
    assert "there is nothing to fetch" in lab.run("fetch", "answers").stdout
    assert not (lab.root / "answers-files").exists()
