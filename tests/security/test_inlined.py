"""Files that a stranger's rows name, and that requests would hold: none that is not data of the project is sent."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.data import pictures
from tests.journeys.lab import Lab, serving
from tests.journeys.test_pictures import LOOK, album
from tests.security.test_table import OBEYED

SECRET = b"canary-of-a-file-0010"
PICTURE = pictures.png() + SECRET  # it would pass for a picture


@pytest.fixture
def lab(tmp_path: Path) -> Iterator[Lab]:
    (tmp_path / "project").mkdir()
    with serving(tmp_path / "server") as server:
        yield Lab(tmp_path / "project", server)


@pytest.fixture
def outside(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("outside")
    (folder / "home.png").write_bytes(PICTURE)
    return folder


def test_nothing_but_data_of_the_project_is_read(lab: Lab, outside: Path) -> None:
    root = lab.root
    lab.spec(LOOK)
    (root / ".ssh").mkdir()
    (root / "sub").mkdir()
    for name in (".env", ".ssh/key.png", "sub/.netrc", "credentials.png", "id_rsa"):
        (root / name).write_bytes(PICTURE)
    (root / "link.png").symlink_to(outside / "home.png")
    (root / "folder").symlink_to(outside)
    (root / "into.png").symlink_to(root / ".ssh/key.png")
    (root / "notes.png").write_bytes(SECRET)
    os.mkfifo(root / "pipe.png")
    names = [
        ".env",
        ".ssh/key.png",
        "sub/.netrc",
        "credentials.png",
        "id_rsa",
        "link.png",
        "folder/home.png",
        "into.png",
        "notes.png",
        "pipe.png",
        str(outside / "home.png"),
        "../outside/home.png",
        "sub/../../outside/home.png",
        "~/home.png",
        "file:///etc/passwd",
        "https://user:pass@evil.example/x.png",
        "/proc/self/environ",
    ]
    album(lab, names)
    for words in (("apply", "specs/", "-y"), ("render", "answers"), ("plan", "--diff"), ("apply", "--rehearse")):
        done = lab.run(*words, code=1)
        assert SECRET.decode() not in done.stdout + done.stderr
    done = lab.apply(code=1)
    assert f"{len(names)} rows of dataset `rows` cannot become requests" in done.stderr
    assert not lab.server.creates()
    assert not any(SECRET in path.read_bytes() for path in (root / ".runner").rglob("*") if path.is_file())


def test_names_are_shown_as_text(lab: Lab) -> None:
    """What a terminal or a CI obeys stands in a name, of a file that is there and of one that is not."""
    lab.spec(LOOK)
    names = ["::error::x.png", "##vso[task.x]y.png", "##[group]z.png"]
    for name in names:
        (lab.root / name).write_bytes(pictures.png())
    album(lab, [*names, "\x1b[2Jgone.png", "::error::gone.png", "\u202egnp.png"])
    done = lab.run("plan", code=1)
    assert not OBEYED.search(done.stdout + done.stderr), ascii(done.stderr)
    album(lab, names)
    for words in (("plan", "--diff"), ("render", "answers"), ("explain", "answers", "--row", "r0")):
        done = lab.run(*words)
        assert not OBEYED.search(done.stdout + done.stderr), ascii(done.stdout)


def test_a_url_is_not_fetched_from_here(lab: Lab) -> None:
    """It goes to the remote as it stands; the address is one that nobody listens at, and nothing is asked there."""
    lab.spec(LOOK)
    album(lab, ["https://127.0.0.1:9/x.png"])
    lab.run("plan", "--diff")
    line = lab.run("render", "answers").stdout
    assert '"url":"https://127.0.0.1:9/x.png"' in line
