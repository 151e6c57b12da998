from __future__ import annotations

import os
from pathlib import Path

from runner.files import sha256_of
from runner.results import fingerprint


def test_a_stamp_sees_what_is_ours(tmp_path: Path) -> None:
    for name in ("_results.jsonl", "a.txt", "d/b.json", "d/e/c.srt"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text("x")
    first = fingerprint.of_folder(tmp_path, sha256_of)
    assert fingerprint.files_in(first) == 4 and fingerprint.of_folder(tmp_path, sha256_of) == first
    (tmp_path / "notes.md").write_text("theirs")
    (tmp_path / ".DS_Store").write_text("theirs")
    (tmp_path / "d/_results.jsonl").write_text("theirs")
    assert fingerprint.of_folder(tmp_path, sha256_of) == first

    seen = {first}
    file = tmp_path / "d/e/c.srt"
    about = file.stat()
    os.utime(file, ns=(about.st_atime_ns, about.st_mtime_ns + 1))
    assert fingerprint.of_folder(tmp_path, sha256_of) == first  # a touch changes nothing
    file.write_text("xy")
    os.utime(file, ns=(about.st_atime_ns, about.st_mtime_ns))
    seen.add(fingerprint.of_folder(tmp_path, sha256_of))
    file.rename(tmp_path / "d/c.srt")
    seen.add(fingerprint.of_folder(tmp_path, sha256_of))
    (tmp_path / "a.txt").unlink()
    assert fingerprint.files_in(fingerprint.of_folder(tmp_path, sha256_of)) == 3
    (tmp_path / "a.txt").symlink_to(tmp_path / "_results.jsonl")
    seen.add(fingerprint.of_folder(tmp_path, sha256_of))
    assert len(seen) == 4


def test_folders_that_are_links_are_not_entered(tmp_path: Path) -> None:
    (tmp_path / "out").mkdir()
    (tmp_path / "out/again").symlink_to(tmp_path)
    assert fingerprint.files_in(fingerprint.of_folder(tmp_path / "out", sha256_of)) == 0
    assert fingerprint.of_folder(tmp_path / "nothing", sha256_of) != fingerprint.of_folder(tmp_path / "out", sha256_of)
