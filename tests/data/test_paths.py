"""Rows that are files: which they are, what they are called, and when the list is another one."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

import pytest

from runner.data.files import content_digest
from runner.data.rows import columns_of, open_rows, signature
from runner.errors import DataError, Mark


@dataclass(frozen=True)
class Listing:
    files: tuple[str, ...]
    key: str = "album"
    mark: Mark = Mark("s.yaml", 3)
    delimiter: str | None = None
    skip_bad: bool = False
    is_ours: bool = False
    are_paths: bool = True


@pytest.fixture
def root(tmp_path: Path) -> Path:
    for name in ("b.png", "a.tar.gz", "sub/c.png", "sub/.hidden.png", ".git/d.png", "sub/deep/e.png"):
        (tmp_path / "p" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "p" / name).write_bytes(b"x")
    return tmp_path


def test_a_row_has_the_parts_of_a_name(root: Path) -> None:
    rows = [row.row for row in open_rows(Listing(("p/**/*.png", "p/*")), root)]
    assert rows == [
        {"path": "p/b.png", "name": "b.png", "stem": "b", "folder": "p"},
        {"path": "p/sub/c.png", "name": "c.png", "stem": "c", "folder": "p/sub"},
        {"path": "p/sub/deep/e.png", "name": "e.png", "stem": "e", "folder": "p/sub/deep"},
        {"path": "p/a.tar.gz", "name": "a.tar.gz", "stem": "a.tar", "folder": "p"},
    ]
    assert columns_of(Listing(("p/*",)), root) == dict.fromkeys(("path", "name", "stem", "folder"))


def test_only_the_rows_that_are_asked_for(root: Path) -> None:
    for n in range(1_200):
        (root / f"p/{n:04}.jpg").write_bytes(b"")
    listing = Listing(("p/*.jpg",))
    assert [row.number for row in open_rows(listing, root, [0, 511, 512, 1_199])] == [0, 511, 512, 1_199]
    assert [row.mark for row in open_rows(listing, root, [700])] == [Mark("p/*.jpg", 701)]
    assert len(list(open_rows(listing, root))) == 1_200


def test_the_list_is_another_one_when_a_name_is(root: Path) -> None:
    listing = Listing(("p/*.png",))
    before = signature(listing, root), content_digest(listing, root)
    (root / "p/b.png").write_bytes(b"something else")
    assert (signature(listing, root), content_digest(listing, root)) == before
    (root / "p/b.png").rename(root / "p/z.png")
    after = signature(listing, root), content_digest(listing, root)
    assert after[0] != before[0]
    assert after[1] != before[1]


@pytest.mark.parametrize(
    ("pattern", "words"),
    [
        ("q/*.png", "no file matches `q/*.png` of dataset `album`"),
        ("../*.png", "is not a path inside the project"),
        ("/etc/*", "is not a path inside the project"),
        ("out/*", "`out` of dataset `album` leads out of the project"),
    ],
)
def test_what_is_not_below_the_root_is_refused(
    root: Path, pattern: str, words: str, tmp_path_factory: pytest.TempPathFactory
) -> None:
    outside = tmp_path_factory.mktemp("outside")
    (outside / "secret-plans.png").write_bytes(b"x")
    (root / "out").symlink_to(outside)
    with pytest.raises(DataError) as caught:
        list(open_rows(Listing((pattern,)), root))
    assert words in caught.value.message
    assert caught.value.mark == Mark("s.yaml", 3)


def test_a_name_that_is_not_utf_8_is_told(root: Path) -> None:
    os.close(os.open(os.fsencode(root) + b"/p/\xff.png", os.O_CREAT | os.O_WRONLY))
    with pytest.raises(DataError, match="is not valid UTF-8"):
        list(open_rows(Listing(("p/*.png",)), root))
