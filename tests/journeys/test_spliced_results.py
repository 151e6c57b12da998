"""A results file after an edit is what it would be if every line had been written: what did not change is copied."""

from __future__ import annotations

import random
import re
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from runner import rawfile
from tests.journeys.lab import SPEC, Lab

ROWS = 700
LONG = "z" * 180  # a segment of the dataset has some 160 such rows
Edit = Callable[[list[str]], None]


def changed(lines: list[str]) -> None:
    lines[ROWS // 2] = lines[ROWS // 2].replace("text", "another text", 1)


def inserted(lines: list[str]) -> None:
    lines.insert(300, lines[300].replace("text", "one more text", 1).replace("id-", "new-", 1))


def deleted(lines: list[str]) -> None:
    del lines[100:103]


def moved(lines: list[str]) -> None:
    lines[:] = lines[400:] + lines[:400]


def project(lab: Lab, form: str, output: str, identifier: str) -> list[str]:
    spec = SPEC.replace("data/rows.csv, id: id", f"data/rows{form}{identifier}").replace(
        "answers.jsonl", f"answers{output}"
    )
    lab.spec(spec.replace("{{{{ word }}}}", "{{{{ word }}}} {{{{ long }}}}"))
    if form == ".csv":
        return [f'id-{n},"text {n}",{LONG}' for n in range(ROWS)]
    return [f'{{"id": "id-{n}", "word": "text {n}", "long": "{LONG}"}}' for n in range(ROWS)]


def put(lab: Lab, form: str, lines: list[str]) -> None:
    head = "id,word,long\n" if form == ".csv" else ""
    (lab.root / f"data/rows{form}").write_text(head + "".join(f"{line}\n" for line in lines))


def standing(lab: Lab) -> str:
    """What is said of the job, but for when its results were written."""
    return re.sub(r"[\d-]+ \d\d:\d\d UTC", "", lab.run("status", code=None).stdout)


@pytest.mark.parametrize(
    ("form", "output", "identifier"),
    [(".jsonl", ".jsonl", ", id: id"), (".csv", ".csv", ", id: id"), (".jsonl", ".csv", ""), (".csv", ".jsonl", "")],
    ids=["jsonl", "csv", "numbered csv", "numbered jsonl"],
)
def test_it_is_what_writing_every_line_gives(lab: Lab, form: str, output: str, identifier: str) -> None:
    lines = project(lab, form, output, identifier)
    put(lab, form, lines)
    path = lab.root / f"results/answers{output}"
    lab.apply()
    order = [changed, inserted, deleted, moved]
    random.Random(f"{form}{output}").shuffle(order)
    for edit in order:
        edit(lines)
        put(lab, form, lines)
        lab.apply()
        spliced, said = path.read_bytes(), standing(lab)
        path.unlink()
        shutil.rmtree(lab.root / ".runner/memo/lines")
        lab.apply()
        assert path.read_bytes() == spliced, edit.__name__
        assert standing(lab) == said and "cut" in said


def test_a_large_file_is_known_by_its_pieces(lab: Lab) -> None:
    """Whoever touches or copies it changes nothing, and whoever edits a byte is noticed."""
    lines = [line.replace(LONG, LONG * 50) for line in project(lab, ".jsonl", ".csv", ", id: id")]
    put(lab, ".jsonl", lines)
    path = lab.root / "results/answers.csv"
    lab.apply()
    assert path.stat().st_size > 1 << 22
    for edit in (inserted, moved):
        edit(lines)
        put(lab, ".jsonl", lines)
        lab.apply()
        spliced = path.read_bytes()
        _touched(path)
        assert "Nothing to do" in lab.run("plan").stdout
        shutil.rmtree(lab.root / ".runner/memo")
        (lab.root / ".runner/memo").mkdir()
        assert "Nothing to do" in lab.run("plan").stdout
        path.unlink()
        lab.apply()
        assert path.read_bytes() == spliced, edit.__name__
    at = len(spliced) // 3
    path.write_bytes(spliced[:at] + bytes([spliced[at] ^ 1]) + spliced[at + 1 :])
    changed(lines)
    put(lab, ".jsonl", lines)
    assert "was changed since it was written: kept as" in lab.apply().stderr
    whole = path.read_bytes()
    assert len(path.with_name("answers.csv.bak").read_bytes()) == len(spliced)
    shutil.rmtree(lab.root / ".runner/memo/lines")
    path.unlink()
    lab.apply()
    assert path.read_bytes() == whole


def _touched(path: Path) -> None:
    copy = path.with_name("copy")
    shutil.copyfile(path, copy)
    copy.replace(path)


def test_rows_of_many_batches_some_of_which_failed(lab: Lab) -> None:
    """Answers lie in several batches, some of which expired; some rows are errors; some are asked again."""
    lines = project(lab, ".jsonl", ".jsonl", ", id: id")
    spec = lab.root / "specs/lab.yaml"
    spec.write_text(spec.read_text().replace("min_poll_s: 0.05", "min_poll_s: 0.05, limits: {lines: 150}"))
    put(lab, ".jsonl", lines)
    path, memo = lab.root / "results/answers.jsonl", lab.root / ".runner/memo"
    lab.server.fault(expire_at={"value": 0.5, "count": 2}, row_error={"value": 0.02, "status": 400})
    lab.apply(code=4)
    assert len(lab.server.batches()) > 5
    lab.server.calm()
    for edit in (inserted, (), ("--row", "id-650", "--replace"), deleted):
        if isinstance(edit, tuple):
            lab.run("retry", "answers", *edit)
        else:
            edit(lines)
            put(lab, ".jsonl", lines)
        lab.apply(code=None)
        spliced, said = path.read_bytes(), standing(lab)
        assert spliced.count(b"\n") == len(lines)
        path.unlink()
        shutil.rmtree(memo / "lines")
        shutil.rmtree(memo / "answered", ignore_errors=True)
        lab.apply(code=None)
        assert path.read_bytes() == spliced
        assert standing(lab) == said


def test_what_did_not_change_is_not_read_again(lab: Lab) -> None:
    """Of answers that cannot be read any more only those beside what changed are missed."""
    lines = project(lab, ".jsonl", ".jsonl", ", id: id")
    put(lab, ".jsonl", lines)
    lab.apply()
    before = lab.results()
    packed = max((lab.root / ".runner/objects").glob("*/0.jsonl.zst"), key=lambda path: path.stat().st_size)
    raw = packed.with_suffix("")
    with rawfile.opened(raw) as file:
        answers = file.read().split(b"\n")
    far = [line if b"id-0-" not in line else b"#" * len(line) for line in answers]
    raw.write_bytes(b"\n".join(far))
    del lines[ROWS // 2]
    put(lab, ".jsonl", lines)
    lab.apply()
    assert lab.results() == before[: ROWS // 2] + before[ROWS // 2 + 1 :]
    shutil.rmtree(lab.root / ".runner/memo/lines")
    del lines[ROWS // 2]
    put(lab, ".jsonl", lines)
    assert "are damaged" in lab.apply(code=1).stderr


def test_a_file_that_somebody_changed_is_written_anew(lab: Lab) -> None:
    lines = project(lab, ".jsonl", ".jsonl", ", id: id")
    put(lab, ".jsonl", lines)
    lab.apply()
    path = lab.root / "results/answers.jsonl"
    path.write_bytes(path.read_bytes().replace(b"text 3", b"TEXT 3"))
    memo = next((lab.root / ".runner/memo/lines").iterdir())
    for damage in (memo.read_bytes(), memo.read_bytes()[:-1], b"x" + memo.read_bytes()[1:]):
        memo.write_bytes(damage)
        del lines[ROWS // 3]
        put(lab, ".jsonl", lines)
        lab.apply()
        assert b"TEXT" not in path.read_bytes()
        assert [row["custom_id"] for row in lab.results()] == [line.split('"')[3] for line in lines]
