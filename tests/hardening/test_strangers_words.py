"""Words of strangers: a terminal obeys none of them."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest

from tests.hardening.conftest import OwnLab, lab_in
from tests.journeys.audio.lab import SPEC as AUDIO_SPEC
from tests.journeys.audio.lab import AudioLab, sound
from tests.journeys.lab import KEY, Server

OBEYED = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069]")
EVIL = [
    "\x1b]0;owned\x07",
    "\x1b[2J\x1b[31mred",
    "a\u202egnp.exe",
    "back\x08\x08space",
    "\x9b31m c1",
    "over\rwritten",
    "\u2066isolated",
    "del\x7f",
]


def check(done: Any) -> str:
    told = str(done.stdout + done.stderr)
    assert not OBEYED.search(told), ascii(told)
    return told


LOOKS = [("plan",), ("status",), ("show", "answers"), ("fetch", "answers", "--to", "raw")]


def test_ids_and_answers_do_not_reach_the_terminal(lab: OwnLab) -> None:
    rows = [{"id": f"{evil}{number}", "word": evil} for number, evil in enumerate(EVIL)]
    (lab.root / "data/rows.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    path = lab.root / "specs/lab.yaml"
    path.write_text(path.read_text().replace("rows.csv", "rows.jsonl"))
    lab.server.fault(row_error=1.0)
    check(lab.apply(code=None))
    for words in LOOKS:
        check(lab.run(*words, code=None))
    check(lab.run("retry", "answers", "--row", EVIL[0] + "0"))
    check(lab.run("retry", "answers", "--row", EVIL[1] + "not-there", code=None))
    check(lab.run("retry", "answers"))
    lab.server.fault(row_error=None)
    check(lab.apply(code=None))
    found = lab.results()
    assert [row["custom_id"] for row in found] == [row["id"] for row in rows]
    assert [row["answer"] for row in found] == [f"echo: Say {lab.name} {evil}" for evil in EVIL]  # data is not changed


@pytest.mark.parametrize("evil", EVIL[:3])
def test_rows_that_cannot_be_sent_do_not_reach_it_either(lab: OwnLab, evil: str) -> None:
    """Errors quote what is wrong."""
    row = json.dumps({"id": evil, "word": "x"}) + "\n"
    (lab.root / "data/rows.jsonl").write_text(row + row)
    path = lab.root / "specs/lab.yaml"
    path.write_text(path.read_text().replace("rows.csv", "rows.jsonl"))
    assert "rows.jsonl:2" in check(lab.run("plan", code=1))
    (lab.root / "data/rows.jsonl").write_text(json.dumps({evil: "x", "id": "a"}) + "\n")
    check(lab.run("plan", code=1))
    (lab.root / "data/rows.jsonl").write_text(evil + "\n")
    check(lab.run("plan", code=1))


@pytest.mark.parametrize("evil", EVIL[::3])
def test_specs_do_not_reach_it(tmp_path: Path, server: Server, evil: str) -> None:
    lab = lab_in(tmp_path / "project", server, 1)
    for text in (
        f'jobs: {{"{json.dumps(evil)[1:-1]}": {{}}}}\n',
        f"jobs: {{a: {{model: {json.dumps(evil)}, dataset: {json.dumps(evil)}}}}}\n",
        f"{evil}: 1\n",
        f"jobs: {evil}\n",
    ):
        (lab.root / "specs/evil.yaml").write_text(text)
        check(lab.run("validate", code=1))


def test_names_of_files_do_not_reach_it(tmp_path: Path, server: Server) -> None:
    root = tmp_path / "project"
    root.mkdir()
    lab = AudioLab(root, server)
    lab.spec(AUDIO_SPEC.replace("results/calls.jsonl", "out/"))
    for number, evil in enumerate([*EVIL, "new\nline", "=1+1", "tab\there"]):
        lab.put(f"calls/{evil}{number}.wav", sound(str(number)))
    lab.put("calls/broken\x1b[31m.wav", b"no sound")
    check(lab.first(code=None))
    (root / "calls/broken\x1b[31m.wav").unlink()
    check(lab.first(code=None))
    for words in (("plan",), ("status",), ("show", "calls"), ("fetch", "calls", "--to", "raw")):
        check(lab.run(*words, code=None))
    names = {path.name for path in (root / "out").iterdir()}
    assert all(re.fullmatch(r"[^/\0]+", name) for name in names)
    assert len(names) == len(EVIL) + 4


def test_the_remote_says_what_it_likes(tmp_path: Path, server: Server) -> None:
    """Statuses and error messages with signs that a terminal obeys."""
    lab = lab_in(tmp_path / "project", server)
    server.fault(unknown_status={"value": 4, "word": EVIL[1] + KEY})
    check(lab.apply("--no-wait", code=None))
    check(lab.run("status", code=None))
    check(lab.run("plan", code=None))
    check(lab.run("show", "answers", code=None))
    server.fault(unknown_status=None)
    lab.apply()
    lab.settled()
