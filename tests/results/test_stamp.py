from __future__ import annotations

import os
from pathlib import Path

from runner.results import stamp


def test_a_stamp_sees_what_is_ours(tmp_path: Path) -> None:
    for name in ("_results.jsonl", "a.txt", "d/b.json", "d/e/c.srt"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text("x")
    first = stamp.of_folder(tmp_path)
    assert stamp.files_in(first) == 4 and stamp.of_folder(tmp_path) == first
    (tmp_path / "notes.md").write_text("theirs")
    (tmp_path / ".DS_Store").write_text("theirs")
    (tmp_path / "d/_results.jsonl").write_text("theirs")
    assert stamp.of_folder(tmp_path) == first

    seen = {first}
    file = tmp_path / "d/e/c.srt"
    about = file.stat()
    os.utime(file, ns=(about.st_atime_ns, about.st_mtime_ns + 1))
    seen.add(stamp.of_folder(tmp_path))
    file.write_text("xy")
    os.utime(file, ns=(about.st_atime_ns, about.st_mtime_ns))
    seen.add(stamp.of_folder(tmp_path))
    file.rename(tmp_path / "d/c.srt")
    seen.add(stamp.of_folder(tmp_path))
    (tmp_path / "a.txt").unlink()
    assert stamp.files_in(stamp.of_folder(tmp_path)) == 3
    (tmp_path / "a.txt").symlink_to(tmp_path / "_results.jsonl")
    seen.add(stamp.of_folder(tmp_path))
    assert len(seen) == 5


def test_folders_that_are_links_are_not_entered(tmp_path: Path) -> None:
    (tmp_path / "out").mkdir()
    (tmp_path / "out/again").symlink_to(tmp_path)
    assert stamp.files_in(stamp.of_folder(tmp_path / "out")) == 0
    assert stamp.of_folder(tmp_path / "nothing") != stamp.of_folder(tmp_path / "out")
