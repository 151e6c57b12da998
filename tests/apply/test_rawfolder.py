"""A folder of raw files: names made safe, files whole or not at all, ours to write again."""

from __future__ import annotations

from pathlib import Path

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from runner.apply.rawfolder import MANIFEST, Manifest, RawFolder, folder_at, safe
from runner.errors import RunnerError, UsageError
from tests.plan.making import NOW


def opened(root: Path, address: str = "a", wanted: str = "here") -> RawFolder:
    folder = folder_at(root, wanted, address, is_lineage=True, now=NOW)
    folder.claim()
    return folder


def add(folder: RawFolder, outer: str, inner: str, content: bytes = b"{}\n") -> str:
    return folder.add(outer, inner, lambda to: to.write_bytes(content), address="a", job="j", kind="output").path


def files_in(root: Path) -> set[str]:
    return {str(path.relative_to(root)) for path in root.rglob("*") if path.is_file()}


def manifest_of(folder: RawFolder) -> Manifest:
    return msgspec.json.decode((folder.path / MANIFEST).read_bytes(), type=Manifest)


def test_names_of_a_remote_never_leave_the_folder(tmp_path: Path) -> None:
    folder = opened(tmp_path)
    paths = [
        add(folder, outer, inner)
        for outer, inner in [
            ("..", "../../up"),
            ("/etc", "passwd"),
            ("", "."),
            ("manifest.json", "x"),
            ("é/..", "a b"),
            ("d", "same.jsonl"),
            ("d", "SAME.jsonl"),
            ("d", ".hidden"),
            ("d", "x" * 1000),
        ]
    ]
    assert paths[:4] == ["file/_.._up", "_etc/passwd", "file/file", "manifest.json_/x"]
    assert paths[4:8] == ["__../a_b", "d/same.jsonl", "d/SAME-2.jsonl", "d/hidden"]
    assert files_in(tmp_path) == {f"here/{path}" for path in [*paths, MANIFEST]}


@given(st.text())
def test_every_text_makes_a_safe_name(text: str) -> None:
    name = safe(text)
    assert name.isascii() and 0 < len(name) <= 150
    assert not name.startswith(".") and not set(name) & set("/\\\0\n ")
    assert safe(name) == name


def test_what_was_interrupted_is_ours_to_go_on_with(tmp_path: Path) -> None:
    folder = opened(tmp_path)
    add(folder, "d", "one.jsonl")

    def cut(to: Path) -> None:
        raise RunnerError("cut")

    with pytest.raises(RunnerError):
        folder.add("d", "two.jsonl", cut, address="a", job="j", kind="output")
    assert manifest_of(folder).complete is False
    assert [file.path for file in manifest_of(folder).files] == ["d/one.jsonl"]
    again = opened(tmp_path)
    assert [file.path for file in manifest_of(again).files] == ["d/one.jsonl"]
    add(again, "d", "two.jsonl", b"a\nb")
    again.finish(is_complete=False)
    assert files_in(tmp_path / "here") == {MANIFEST, "d/one.jsonl", "d/two.jsonl"}
    (last, first) = manifest_of(again).files
    assert (last.path, last.rows, last.size_bytes, first.path) == ("d/two.jsonl", 2, 3, "d/one.jsonl")
    whole = opened(tmp_path)
    add(whole, "e", "three.jsonl")
    whole.finish(is_complete=True)
    assert files_in(tmp_path / "here") == {MANIFEST, "e/three.jsonl"}
    assert not (tmp_path / "here/d").exists()
    assert manifest_of(whole).complete is True


def test_files_of_another_job_are_not_ours(tmp_path: Path) -> None:
    opened(tmp_path).finish(is_complete=True)
    with pytest.raises(UsageError, match="holds files of `a`"):
        opened(tmp_path, "b")


def test_a_manifest_of_a_newer_version_is_not_ours(tmp_path: Path) -> None:
    folder = opened(tmp_path)
    manifest = folder.path / MANIFEST
    manifest.write_bytes(manifest.read_bytes().replace(b'"version": 1', b'"version": 2'))
    with pytest.raises(UsageError, match="something else"):
        opened(tmp_path)


def test_links_planted_inside_lead_nowhere(tmp_path: Path) -> None:
    root, beside = tmp_path / "root", tmp_path / "beside"
    root.mkdir()
    beside.mkdir()
    folder = opened(root)
    (folder.path / "d").symlink_to(beside)
    with pytest.raises(RunnerError, match="outside of the project root"):
        add(folder, "d", "one.jsonl")
    assert not list(beside.iterdir())
