"""A folder of pictures, classified: what is on the wire, what is sent again, what is shown, and what it takes."""

from __future__ import annotations

import base64
import json
import os
import subprocess
import time
from collections.abc import Iterator
from hashlib import sha256
from pathlib import Path
from typing import Any

import pytest

from tests.data import pictures, sounds
from tests.journeys.lab import SPEC, Lab, Server

LOOK = SPEC.replace(
    'ask: {{user: "Say {{{{ word }}}}"}}',
    """ask:
    user:
      - {{text: "What is {{{{ word }}}}?"}}
      - {{image: "{{{{ path }}}}", detail: low}}""",
)


def album(lab: Lab, names: list[str]) -> None:
    """The table of the pictures, in this order."""
    path = lab.root / "data/rows.csv"
    path.parent.mkdir(exist_ok=True)
    path.write_text("id,word,path\n" + "".join(f"r{n},a thing,{name}\n" for n, name in enumerate(names)))


def sent(lab: Lab) -> list[dict[str, bytes]]:
    """By id, the bytes of the picture in each row of each batch."""
    return [dict(_pictures_of(lab.server, batch)) for batch in lab.server.batches()]


def _pictures_of(server: Server, batch: dict[str, Any]) -> Iterator[tuple[str, bytes]]:
    raw = server.raw("GET", f"/v1/files/{batch['input_file_id']}/content")
    for line in filter(None, raw.split(b"\n")):
        one = json.loads(line)
        url = one["body"]["messages"][0]["content"][1]["image_url"]["url"]
        assert url.startswith("data:image/png;base64,")
        yield one["custom_id"][:-23], base64.b64decode(url.partition(",")[2], validate=True)


def calm(folder: Path) -> None:
    """As if all of it had lain there for a while: only then stats tell."""
    before = time.time() - 100
    for path in folder.rglob("*"):
        os.utime(path, (before, before))
    time.sleep(0.08)


@pytest.fixture
def names(lab: Lab) -> list[str]:
    lab.spec(LOOK)
    (lab.root / "pictures").mkdir()
    names = [f"pictures/{n:03}.png" for n in range(200)]
    for n, name in enumerate(names):
        (lab.root / name).write_bytes(pictures.png(10, 8, seed=n))
    album(lab, names)
    calm(lab.root / "pictures")
    return names


def test_a_folder_of_pictures(lab: Lab, names: list[str]) -> None:
    lab.apply("--wait", "60s", "--poll", "0.1")
    (first,) = sent(lab)
    assert first == {f"r{n}": (lab.root / name).read_bytes() for n, name in enumerate(names)}
    assert len(lab.results()) == 200

    # renamed: nothing is sent; the rows have another column, and their answers stay
    (lab.root / "pictures/007.png").rename(lab.root / "pictures/bond.png")
    names[7] = "pictures/bond.png"
    album(lab, names)
    lab.apply("--wait", "60s", "--poll", "0.1")
    assert len(sent(lab)) == 1
    assert [row["row"]["path"] for row in lab.results()] == names

    # replaced, in place, with the time and the size it had: one is sent
    path = lab.root / names[42]
    about = path.stat()
    new = bytearray(path.read_bytes())
    new[-20] ^= 1
    path.write_bytes(new)
    os.utime(path, ns=(about.st_atime_ns, about.st_mtime_ns))
    planned = lab.run("plan", "specs/", "--diff", "1").stdout
    assert "1 request" in planned
    assert sha256(new).hexdigest()[:12] in planned
    lab.apply("--wait", "60s", "--poll", "0.1")
    assert sent(lab)[1:] == [{"r42": bytes(new)}]
    assert lab.run("plan", "specs/").stdout.startswith("Nothing to do")

    # removed: told at the row, and nothing is sent
    path.unlink()
    gone = lab.run("plan", "specs/", code=1)
    assert "data/rows.csv:44: error: there is no file `pictures/042.png`" in gone.stderr
    path.write_bytes(new)
    assert lab.run("plan", "specs/").stdout.startswith("Nothing to do")


def test_a_picture_is_never_shown_as_base64(lab: Lab) -> None:
    lab.spec(LOOK)
    (lab.root / "cat.png").write_bytes(pictures.png(60, 40))
    album(lab, ["cat.png"])
    encoded = base64.b64encode(pictures.png(60, 40)).decode()
    digest = sha256(pictures.png(60, 40)).hexdigest()
    said = [
        lab.run("render", "answers").stdout,
        lab.run("plan", "--diff", "1").stdout,
        lab.run("plan", "--diff", "1", "-o", "json").stdout,
        lab.run("plan", "--out", "plan.json").stdout + (lab.root / "plan.json").read_text(),
        lab.run("explain", "answers", "--row", "r0").stdout,
        lab.apply("--rehearse", code=None).stdout,
        lab.apply("--wait", "60s", "--poll", "0.1").stdout,
        lab.run("show", "answers", "--row", "r0", code=None).stdout,
    ]
    for text in said:
        assert encoded[100:160] not in text
    for text in (said[0], said[1], said[4]):
        assert digest[:12] in text, text
        assert "cat.png" in text


def test_a_picture_of_30_mb_is_refused_before_anything_is_sent(lab: Lab) -> None:
    lab.spec(LOOK)
    with open(lab.root / "huge.png", "wb") as file:
        file.write(pictures.png())
        file.truncate(30_000_000)
    (lab.root / "cat.png").write_bytes(pictures.png())
    album(lab, ["cat.png", "huge.png"])
    done = lab.apply(code=1)
    assert (
        "data/rows.csv:3: error: `huge.png` has 30,000,000 bytes, and its provider takes 20,000,000 of one file"
        in done.stderr
    )
    assert "make it smaller" in done.stderr
    assert not lab.server.creates()
    limits = "overrides: {{settle_s: 0.4, min_poll_s: 0.05, limits: {{parts: {{image_bytes: 40000000}}}}}}"
    lab.spec(LOOK.replace("overrides: {{settle_s: 0.4, min_poll_s: 0.05}}", limits))
    lab.run("plan")


FOLDER = LOOK.replace("{{files: data/rows.csv, id: id}}", "{{paths: 'pictures/*.png', id: stem}}").replace(
    "What is {{{{ word }}}}?", "What is it?"
)


def test_a_folder_is_a_dataset(lab: Lab) -> None:
    lab.spec(FOLDER)
    (lab.root / "pictures").mkdir()
    for n in range(3):
        (lab.root / f"pictures/{n}.png").write_bytes(pictures.png(seed=n))
    calm(lab.root / "pictures")
    lab.apply("--wait", "60s", "--poll", "0.1")
    assert lab.results()[1]["row"] == {
        "path": "pictures/1.png",
        "name": "1.png",
        "stem": "1",
        "folder": "pictures",
    }
    assert lab.run("plan").stdout.startswith("Nothing to do")
    (lab.root / "pictures/3.png").write_bytes(pictures.png(seed=3))
    (lab.root / "pictures/0.png").unlink()
    lab.apply("--wait", "60s", "--poll", "0.1")
    assert [list(one) for one in sent(lab)] == [["0", "1", "2"], ["3"]]
    assert [row["custom_id"] for row in lab.results()] == ["1", "2", "3"]
    lab.run("lock")
    lab.run("verify")


def test_a_git_revision_has_its_own_pictures(lab: Lab) -> None:
    lab.spec(FOLDER)
    (lab.root / "pictures").mkdir()
    path = lab.root / "pictures/[cat].png"
    path.write_bytes(pictures.png(seed=1))
    git(lab, "init", "-q")
    git(lab, "add", "specs", "pictures")
    git(lab, "commit", "-qm", "x")
    lab.apply("--wait", "60s", "--poll", "0.1")
    path.write_bytes(pictures.png(seed=2))
    said = lab.run("plan", "--diff", "1", "--against", "HEAD").stdout
    for seed, sign in ((1, "-"), (2, "+")):
        digest = sha256(pictures.png(seed=seed)).hexdigest()[:12]
        size = len(pictures.png(seed=seed))
        assert f'{sign}  image: pictures/[cat].png, {size} bytes, sha256 {digest}… {{"detail": "low"}}' in said


def git(lab: Lab, *words: str) -> None:
    command = ["git", "-c", "user.name=a", "-c", "user.email=a@example.com", *words]
    subprocess.run(command, cwd=lab.root, check=True, capture_output=True)


def test_pictures_are_asked_about_one_by_one(lab: Lab) -> None:
    spec = FOLDER.replace("    output:", "    transport: online\n    output:").replace(
        "max_tokens: 16", "max_tokens: 100"
    )
    lab.spec(spec.replace("    api_key_env:", "    tpm: 200000\n    api_key_env:"))
    (lab.root / "pictures").mkdir()
    names = [f"pictures/{n}.png" for n in range(3)]
    for n, name in enumerate(names):
        (lab.root / name).write_bytes(pictures.png(30, 20, seed=n))
    lab.apply("--wait", "60s", "--poll", "0.1")
    for name, row in zip(names, lab.results(), strict=True):
        assert sha256((lab.root / name).read_bytes()).hexdigest() in row["answer"]


CHAT = """[{{text: "{{{{ word }}}}"}}, {{image: a.png}}, {{file: a.pdf}}, {{file: a.docx}}, {{audio: a.wav}}]"""
RESPONSES = """[{{text: "{{{{ word }}}}"}}, {{image: a.png, detail: low}}, {{file: a.txt}},
  {{image: "https://example.com/{{{{ word }}}}.png"}}, {{file: "https://example.com/{{{{ word }}}}.pdf"}}]"""


@pytest.mark.parametrize(("endpoint", "parts"), [("chat", CHAT), ("responses", RESPONSES)], ids=["chat", "responses"])
def test_every_part_is_taken_by_a_server_that_was_written_by_others(lab: Lab, endpoint: str, parts: str) -> None:
    files = {
        "a.png": pictures.png(),
        "a.pdf": pictures.pdf(),
        "a.docx": pictures.docx(),
        "a.wav": sounds.wav(),
        "a.txt": b"hello",
    }
    for name, data in files.items():
        (lab.root / name).write_bytes(data)
    spec = SPEC.replace('{{user: "Say {{{{ word }}}}"}}', f"{{{{user: {parts}}}}}")
    spec = spec.replace("params: {{max_tokens: 16}}", f"endpoint: {endpoint}")
    lab.spec(spec)
    lab.rows({"r0": "What"})
    lab.apply("--wait", "60s", "--poll", "0.1")
    (row,) = lab.results()
    assert row["answer"].startswith("echo: What")
    for name in [name for name in files if name in parts]:
        assert sha256(files[name]).hexdigest() in row["answer"], name
    if endpoint == "responses":
        assert "https://example.com/What.png" in row["answer"]
        assert "https://example.com/What.pdf" in row["answer"]
