"""Raw results lie packed once an apply has ended, and do all that they did: nothing is sent again for them."""

from __future__ import annotations

import json
from contextlib import closing
from pathlib import Path

import pytest

from runner import rawfile
from runner.job.recorded import NEWEST
from runner.state.disk import DiskStore
from runner.state.records import Snapshot
from tests.journeys.lab import SPEC, Lab
from tests.journeys.test_carried_memory import clone, pulled
from tests.journeys.test_online import asking

pytest.importorskip("runner.zstd")

ROWS = 60


def raw_files(lab: Lab) -> list[Path]:
    """The names of what is kept as it came, or packed."""
    return sorted(path for path in lab.root.glob(".runner/objects/*/*") if path.name.startswith(("0.jsonl", "calls.")))


def unpacked(path: Path) -> Path:
    """As an earlier release would have left it."""
    plain = path.with_suffix("")
    with rawfile.opened(plain) as file:
        content = file.read()
    plain.write_bytes(content)
    path.unlink()
    return plain


def test_what_is_packed_is_used_as_before(lab: Lab) -> None:
    lab.rows(ROWS)
    lab.apply()
    (raw,) = raw_files(lab)
    assert raw.name == "0.jsonl.zst" and raw.stat().st_mode & 0o777 == 0o600
    plain = raw.with_suffix("")
    came = lab.server.raw("GET", f"/v1/files/{lab.server.batches()[0]['output_file_id']}/content")
    assert (lab.root / lab.run("fetch", "answers").stdout.split()[0]).read_bytes() == came
    with rawfile.opened(plain) as file:
        assert file.read() == came
    assert raw.stat().st_size < len(came) / 4

    results = lab.root / "results/answers.jsonl"
    before, inode = results.read_bytes(), raw.stat().st_ino
    assert lab.apply().stdout == "Nothing to do\n" and raw.stat().st_ino == inode
    results.unlink()
    lab.apply()  # written anew of what is packed
    assert results.read_bytes() == before
    lab.spec(SPEC.replace("answers.jsonl", "answers.csv"))
    lab.apply()
    assert (lab.root / "results/answers.csv").read_bytes().count(b"echo: Say word") >= ROWS
    lab.spec()
    lab.rows({f"r{n}": f"word {n}" if n else "another" for n in range(ROWS)})
    lab.apply()
    assert lab.server.sent()[1:] == [["r0"]]
    assert [row["error"] for row in lab.results()] == [None] * ROWS

    there = clone(lab)
    there.run("state", "push", str(pulled(lab)), LAB_KEY="")
    there.apply(LAB_KEY="")
    assert there.results() == lab.results() and lab.server.creates() == 2
    assert "Deleted 4 objects" in lab.run("prune", "-y").stdout, "what is packed holds the answers as well"
    results.unlink()
    lab.apply()
    assert there.results() == lab.results() and lab.server.creates() == 2


def test_what_an_earlier_release_left_is_packed_by_and_by(lab: Lab) -> None:
    """And what a kill left: both files, or the packed one that is not the last one that was made."""
    lab.rows(ROWS)
    lab.apply()
    before = lab.results()
    (raw,) = raw_files(lab)
    packed = raw.read_bytes()
    plain = unpacked(raw)
    lab.run("plan")
    assert raw_files(lab) == [plain], "a plan packs nothing"
    lab.apply()
    assert raw_files(lab) == [raw] and raw.read_bytes() == packed
    unpacked(raw)
    raw.write_bytes(b"half of it")
    (lab.root / "results/answers.jsonl").unlink()
    lab.apply()
    assert raw_files(lab) == [raw] and raw.read_bytes() == packed and lab.results() == before
    assert lab.server.creates() == 1


def test_a_memory_with_packed_files_says_that_it_is_none_for_an_earlier_release(lab: Lab) -> None:
    lab.rows(2)
    lab.apply()
    assert schema_of(lab) == 1, "an earlier release reads on what holds no packed file"
    lab.rows(ROWS)
    lab.apply()
    assert schema_of(lab) == NEWEST == 2
    schema_of(lab, NEWEST + 1)
    done = lab.apply(code=1)
    assert "the state was written by a newer runner (schema 3 at `project`; this one knows 2)" in done.stderr
    assert "install the newer version; this one changes nothing" in done.stderr


def schema_of(lab: Lab, becomes: int = 0) -> int:
    """Of the project's own record; and what it becomes."""
    with closing(DiskStore(lab.root / ".runner" / "state")) as store:
        read = store.read()
        document = read.by_key["project"]
        if becomes:
            store.write({"project": {**document, "schema": becomes}}, read.serial)
    return int(document["schema"])


def test_sets_of_keys_go_when_nothing_speaks_of_them(lab: Lab) -> None:
    """Each edit makes a new set of all keys of a job. What was decided, and what was declared, stays on record."""
    lab.server.fault(row_error={"value": 0, "status": 400, "match": "r1-"})
    lab.rows(10)
    lab.apply(code=4)
    lab.server.calm()
    lab.run("retry", "answers")
    for edit in range(4):
        lab.rows({f"r{n}": f"word {n}" if n != 3 else f"edit {edit}" for n in range(10)})
        lab.apply()
    lab.rows(10)  # answered long ago
    lab.apply()
    assert [row["error"] for row in lab.results()] == [None] * 10
    with closing(DiskStore(lab.root / ".runner/state")) as store:
        spoken_of = Snapshot(store.read()).sets()
    left = {f"sets/{path.name}" for path in (lab.root / ".runner/objects/sets").iterdir()}
    assert spoken_of <= left and len(left) <= len(spoken_of) + 1, "the one before goes with the next apply"
    assert sorted(lab.server.sent()[1:]) == [["r1"], *[["r3"]] * 4]
    assert lab.apply().stdout == "Nothing to do\n"


def test_a_packed_file_that_was_damaged_is_said(lab: Lab) -> None:
    lab.rows(ROWS)
    lab.apply()
    (raw,) = raw_files(lab)
    content = bytearray(raw.read_bytes())
    content[len(content) // 3] ^= 1
    raw.write_bytes(content)
    (lab.root / "results/answers.jsonl").unlink()
    told = lab.apply(code=1).stderr
    assert "are damaged" in told and str(raw.with_suffix("").name) in told
    assert lab.server.creates() == 1


def test_single_calls_are_packed_too(tmp_path: Path) -> None:
    with asking(tmp_path, 120) as (lab, server):
        lab.apply()
        (raw,) = (path for path in raw_files(lab) if path.suffix == ".zst")
        before = lab.results()
        assert len(before) == 120
        (lab.root / "results/answers.jsonl").unlink()
        lab.apply()
        assert lab.results() == before and server.times.total() == 120, raw


def test_a_rehearsal_reads_what_is_packed_and_packs_nothing_of_it(lab: Lab) -> None:
    lab.rows(ROWS)
    lab.apply()
    lab.rows(ROWS + 1)
    (raw,) = raw_files(lab)
    for kept in (raw, None):
        kept = kept or unpacked(raw)
        before = lab.files()
        lab.run("apply", "specs/", "--rehearse", "-y")
        assert lab.files() == before and raw_files(lab) == [kept]
        lines = next(lab.root.glob(".runner/rehearsal/**/answers.jsonl")).read_text().splitlines()
        assert [json.loads(line)["error"] for line in lines] == [None] * (ROWS + 1)
