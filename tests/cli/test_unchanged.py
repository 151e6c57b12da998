"""What was said before is said again only while every file it was made of has the stats that it had."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from runner.cli.unchanged import Asked, Changing, asked, read, record, stamp_of

SAID = "Nothing to do\n\nnot even here\n"
PATHS = ("specs", "specs/a.yaml", "specs/a link.yaml", "data", "none.lock", "data/rows\tof.csv", "results/ä.jsonl")
LOGS = ("log",)
Change = Callable[[Path], object]


@pytest.fixture
def root(tmp_path: Path) -> Path:
    for path in PATHS:
        if Path(path).suffix in (".yaml", ".csv", ".jsonl") and "link" not in path:
            (tmp_path / path).parent.mkdir(exist_ok=True)
            (tmp_path / path).write_text(f"what {path} holds")
    (tmp_path / "elsewhere.yaml").write_text("what a link leads to")
    (tmp_path / "specs/a link.yaml").symlink_to("../elsewhere.yaml")
    return tmp_path


def kept(root: Path) -> Asked:
    command = asked(["-C", str(root), "plan"])
    assert command is not None
    path = Path(command.path)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(record(SAID, PATHS, LOGS, str(root), before_ns=time.time_ns() + 10**9))
    now = asked(["-C", str(root), "plan"])
    assert now is not None and now.path == command.path
    return now


def _replaced(root: Path) -> None:
    """By one with the same bytes and times."""
    path, other = root / "specs/a.yaml", root / "other"
    about = path.stat()
    other.write_bytes(path.read_bytes())
    os.utime(other, ns=(about.st_atime_ns, about.st_mtime_ns))
    other.replace(path)


CHANGES: dict[str, Change] = {
    "edited": lambda root: (root / "specs/a.yaml").write_text("what specs/a.yaml hold!"),
    "touched": lambda root: (root / "results/ä.jsonl").touch(),
    "replaced": _replaced,
    "another mode": lambda root: (root / "specs/a.yaml").chmod(0o600),
    "what a link leads to": lambda root: (root / "elsewhere.yaml").write_text("edited"),
    "a link elsewhere": lambda root: (
        (root / "specs/a link.yaml").unlink(),
        (root / "specs/a link.yaml").symlink_to("a.yaml"),
    ),
    "gone": lambda root: (root / "data/rows\tof.csv").unlink(),
    "come": lambda root: (root / "none.lock").touch(),
    "one more in a folder": lambda root: (root / "data/more.csv").touch(),
    "a log": lambda root: (root / "log").write_text("x"),
}


@pytest.mark.parametrize("change", CHANGES.values(), ids=CHANGES)
def test_any_change_is_seen(root: Path, change: Change) -> None:
    command = kept(root)
    assert read(command) == SAID
    time.sleep(0.02)  # a tick of the clock that stamps files
    change(root)
    assert read(command) is None


def test_a_log_without_a_byte_is_none(root: Path) -> None:
    command = kept(root)
    (root / "log").touch()
    assert read(command) == SAID
    (root / "log").write_text("x")
    with pytest.raises(Changing):
        record(SAID, (), LOGS, str(root), before_ns=0)


def test_what_was_changed_just_now_is_not_kept(root: Path) -> None:
    since = time.time_ns() - 10**9
    with pytest.raises(Changing):
        record(SAID, PATHS, LOGS, str(root), before_ns=since)
    with pytest.raises(Changing):
        record(SAID, ["a\nname"], (), str(root), before_ns=time.time_ns() + 10**9)
    path = root / "specs/a.yaml"
    os.utime(path, ns=(0, 0))  # its time may be set, that of its change may not
    with pytest.raises(Changing):
        stamp_of(str(path), before_ns=since)


def test_what_is_forged_or_spoiled_counts_as_not_there(root: Path) -> None:
    command = kept(root)
    path = Path(command.path)
    text = path.read_text()
    made, _, rest = text.partition("\n")
    minute = 60 * 10**9
    for other in (
        f"{int(made) - minute}\n{rest}",  # came with a checkout, or was copied: made at another time than it says
        f"{int(made) + minute}\n{rest}",
        f"\n{rest}",
        f"x{text}",
        text.replace("1", "2"),
        text.encode()[: len(text) // 2].decode(errors="ignore"),
        "",
        "\0\n\n",
    ):
        path.write_text(other)
        assert read(command) is None, other[:40]
    path.unlink()
    assert read(command) is None
    path.mkdir()
    assert read(command) is None


WORDS = [
    "",
    "status",
    "plan --out x",
    "plan -v",
    "apply --rehearse",
    "apply plan.json",
    "-C",
    "plan -- -y",
    "plan -s a",
]


@pytest.mark.parametrize("words", WORDS)
def test_words_that_do_more_than_say_what_follows_are_not_remembered(words: str) -> None:
    assert asked(words.split()) is None
