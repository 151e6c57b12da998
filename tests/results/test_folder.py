from __future__ import annotations

import os
import shutil
import tracemalloc
from collections.abc import Sequence
from pathlib import Path

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from runner.errors import DataError, RunnerError, StateError
from runner.files import sha256_of
from runner.job.observed import Phase
from runner.remotes.audio import Heard, Receipt, Recording, line_of
from runner.results import fingerprint
from runner.results.folder import FolderWriter, writer_for
from runner.results.locate import OutcomeSource, locate
from runner.results.merge import merge
from runner.results.names import RESULTS, Names
from runner.results.readback import read_back

from . import heard, made

PATHS = ["calls/a.wav", "calls/deep/b.flac", "calls/deep/c.wav", "calls/z.wav"]
GLOB = ("calls/**/*",)


@pytest.fixture
def root(tmp_path: Path) -> Path:
    path = tmp_path / "root"
    path.mkdir()
    return path


def spoken(tmp_path: Path, name: str = "raw", generation: int = 0, **texts: str) -> heard.OutcomeSource:
    """Answers for a, b and c; z failed."""
    given = {"a": "hello", "b": "there\n", "c": "", **texts}
    lines = [
        heard.text(path, given[path.split("/")[-1][0]]) if path[6] != "z" else made.line(path, error={"code": "failed"})
        for path in PATHS
    ]
    return heard.source(tmp_path / name, PATHS, *lines, generation=generation)


def write(root: Path, *sources: heard.OutcomeSource, paths: list[str] = PATHS, kind: str = "text") -> None:
    heard.write_folder(root / "out", root, paths, sources, patterns=GLOB, kind=kind)


def inodes(folder: Path) -> dict[str, int]:
    return {name: (folder / name).stat().st_ino for name in heard.tree(folder)}


def test_each_answered_recording_has_a_transcript_and_every_one_a_line(tmp_path: Path, root: Path) -> None:
    write(root, spoken(tmp_path), paths=[*PATHS, "calls/zz.wav"])
    found = heard.tree(root / "out")
    assert set(found) == {"a.txt", "deep/b.txt", "deep/c.txt", RESULTS}
    assert (found["a.txt"], found["deep/b.txt"], found["deep/c.txt"]) == (b"hello", b"there\n", b"")
    lines = heard.lines(root / "out" / RESULTS)
    assert [line["file"] for line in lines] == [*PATHS, "calls/zz.wav"]
    assert [line["transcript"] for line in lines] == ["a.txt", "deep/b.txt", "deep/c.txt", None, None]
    assert [line["error"] and line["error"]["code"] for line in lines] == [None, None, None, "failed", "missing"]
    assert lines[0]["response"] == {"text": "hello", "format": "text"}
    umask = os.umask(0)
    os.umask(umask)
    assert (root / "out/a.txt").stat().st_mode & 0o777 == 0o644 & ~umask


def test_only_what_differs_is_written(tmp_path: Path, root: Path) -> None:
    write(root, spoken(tmp_path))
    before, stamped = inodes(root / "out"), fingerprint.of_folder(root / "out", sha256_of)
    write(root, spoken(tmp_path))
    assert inodes(root / "out") == before and fingerprint.of_folder(root / "out", sha256_of) == stamped
    (root / "out/a.txt").unlink()
    (root / "out/deep/b.txt").unlink()
    assert fingerprint.of_folder(root / "out", sha256_of) != stamped
    assert fingerprint.files_in(fingerprint.of_folder(root / "out", sha256_of)) == 2
    write(root, spoken(tmp_path))
    after = inodes(root / "out")
    assert set(after) == set(before) and after["deep/c.txt"] == before["deep/c.txt"]
    assert (root / "out/a.txt").read_bytes() == b"hello"


def test_files_of_others_are_left_and_refused(tmp_path: Path, root: Path) -> None:
    (root / "out/deep").mkdir(parents=True)
    (root / "out/a.txt").write_text("mine")
    (root / "out/deep/c.txt").write_text("")  # what would be written: nothing is lost
    (root / "out/notes.txt").write_text("mine too")
    with pytest.raises(DataError, match=r"out/a\.txt` would be overwritten") as refused:
        write(root, spoken(tmp_path))
    assert "move it away" in refused.value.hint
    assert (root / "out/a.txt").read_text() == "mine"
    assert (root / "out/deep/b.txt").read_bytes() == b"there\n" and not (root / "out" / RESULTS).exists()
    (root / "out/a.txt").unlink()
    write(root, spoken(tmp_path, "raw2", b="another answer"))  # the other transcript is known to be ours
    assert (root / "out/deep/b.txt").read_bytes() == b"another answer"
    assert set(heard.tree(root / "out")) == {"a.txt", "deep/b.txt", "deep/c.txt", "notes.txt", RESULTS}


def test_results_of_others_are_refused(tmp_path: Path, root: Path) -> None:
    (root / "out").mkdir()
    (root / "out" / RESULTS).write_text('{"a": 1}\n')
    with pytest.raises(DataError, match="no results of ours"):
        write(root, spoken(tmp_path))
    assert set(heard.tree(root / "out")) == {RESULTS}


def told_by(root: Path, source: OutcomeSource, paths: Sequence[str] = PATHS) -> str:
    """Write a folder; what is said to stay as it is."""
    names = Names(("calls/**/*",), ".txt", lambda: iter(paths))
    rows = [heard.row(path) for path in paths]
    with writer_for(root / "out", root, names) as writer:
        merge(rows, locate(b"".join(row.digest[:16] for row in rows), [source]), [source], writer)
    assert isinstance(writer, FolderWriter)
    return writer.told


def test_a_transcript_without_an_answer_now_stays_and_is_told_of(tmp_path: Path, root: Path) -> None:
    write(root, spoken(tmp_path))
    (root / "out/deep/b.txt").write_text("edited by hand")
    failed = [made.line(path, error={"code": "failed"}) for path in PATHS]
    said = told_by(root, heard.source(tmp_path / "raw2", PATHS, *failed))
    assert said == "3 transcripts that this job no longer writes stay, such as `a.txt`"
    assert {"a.txt", "deep/b.txt", "deep/c.txt"} < set(heard.tree(root / "out"))
    assert (root / "out/deep/b.txt").read_text() == "edited by hand"


def test_what_is_not_wanted_any_more_stays_ours_and_is_told_of(tmp_path: Path, root: Path) -> None:
    write(root, spoken(tmp_path))
    for _ in range(2):
        said = told_by(root, spoken(tmp_path), paths=PATHS[:1])
        assert said == "2 transcripts that this job no longer writes stay, such as `deep/b.txt`"
    assert set(heard.tree(root / "out")) == {"a.txt", "deep/b.txt", "deep/c.txt", RESULTS, "._results.written"}
    assert len(heard.lines(root / "out" / RESULTS)) == 1
    write(root, spoken(tmp_path, "raw3", b="another answer"))  # wanted again, with another answer
    assert (root / "out/deep/b.txt").read_bytes() == b"another answer"
    assert set(heard.tree(root / "out")) == {"a.txt", "deep/b.txt", "deep/c.txt", RESULTS}


def test_a_correction_stays_where_it_is(tmp_path: Path, root: Path) -> None:
    write(root, spoken(tmp_path))
    (root / "out/a.txt").write_text("hello, corrected")
    for _ in range(2):
        said = told_by(root, spoken(tmp_path))
        assert said.startswith("the edited transcript `a.txt` stays as it is")
        assert (root / "out/a.txt").read_text() == "hello, corrected"
    (root / "out/a.txt").unlink()
    assert told_by(root, spoken(tmp_path)) == ""
    assert (root / "out/a.txt").read_bytes() == b"hello"


def test_a_correction_is_kept_beside_another_answer(tmp_path: Path, root: Path) -> None:
    write(root, spoken(tmp_path))
    for number, name in enumerate(("deep/b.txt.bak", "deep/b.txt.bak2"), 2):
        (root / "out/deep/b.txt").write_text(f"corrected {number}")
        write(root, spoken(tmp_path, f"raw{number}", b=f"another answer {number}"))
        assert (root / "out/deep/b.txt").read_text() == f"another answer {number}"
        assert (root / "out" / name).read_text() == f"corrected {number}"


def test_a_recording_that_goes_by_another_name_leaves_none_behind(tmp_path: Path, root: Path) -> None:
    paths = ["calls/a.flac", "calls/a.wav"]
    source = heard.source(tmp_path / "raw", paths, *[heard.text(path, path) for path in paths])
    write(root, source, paths=paths[1:])
    write(root, source, paths=paths)
    assert set(heard.tree(root / "out")) == {"a.flac.txt", "a.wav.txt", RESULTS}
    write(root, source, paths=paths[:1])
    assert set(heard.tree(root / "out")) == {"a.txt", "a.wav.txt", RESULTS, "._results.written"}
    assert (root / "out/a.txt").read_text() == "calls/a.flac"


def test_transcripts_of_another_format_are_left(tmp_path: Path, root: Path) -> None:
    write(root, spoken(tmp_path))
    write(root, spoken(tmp_path), kind="srt")
    assert set(heard.tree(root / "out")) == {
        f"{name}{end}" for name in ("a", "deep/b", "deep/c") for end in (".txt", ".srt")
    } | {RESULTS, "._results.written"}


def test_links_are_never_written_through(tmp_path: Path, root: Path) -> None:
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "a.txt").write_text("theirs")
    write(root, spoken(tmp_path))
    (root / "out" / RESULTS).rename(tmp_path / "good.jsonl")
    shutil.rmtree(root / "out")
    (root / "out").mkdir()
    (root / "out/a.txt").symlink_to(outside / "a.txt")
    (root / "out/deep").symlink_to(outside)
    with pytest.raises(DataError, match=r"and 2 more"):
        write(root, spoken(tmp_path))
    assert heard.tree(outside) == {"a.txt": b"theirs"}
    shutil.rmtree(root / "out")
    (root / "out").mkdir()
    for target in (outside / "r.jsonl", tmp_path / "good.jsonl"):
        (root / "out" / RESULTS).unlink(missing_ok=True)
        (root / "out" / RESULTS).symlink_to(target)
        with pytest.raises(DataError):
            write(root, spoken(tmp_path))
    shutil.rmtree(root / "out")
    (root / "out").symlink_to(outside)
    with pytest.raises(RunnerError, match="outside of the project root"):
        write(root, spoken(tmp_path))
    assert heard.tree(outside) == {"a.txt": b"theirs"}


def test_a_transcript_that_somebody_made_a_link_is_left(tmp_path: Path, root: Path) -> None:
    write(root, spoken(tmp_path))
    (root / "out/a.txt").rename(tmp_path / "annex")
    (root / "out/a.txt").symlink_to(tmp_path / "annex")
    for text in ("hello", "hello again"):
        with pytest.raises(DataError, match=r"a\.txt` would be"):
            write(root, spoken(tmp_path, a=text))
        assert (root / "out/a.txt").is_symlink() and (tmp_path / "annex").read_text() == "hello"


def test_folders_and_pipes_in_the_way_are_named(tmp_path: Path, root: Path) -> None:
    (root / "out/a.txt").mkdir(parents=True)
    (root / "out/deep").mkdir()
    os.mkfifo(root / "out/deep/b.txt")
    with pytest.raises(DataError, match=r"a\.txt` and 1 more"):
        write(root, spoken(tmp_path))
    shutil.rmtree(root / "out")
    (root / "out").write_text("a file")
    with pytest.raises(RunnerError, match="is a file"):
        write(root, spoken(tmp_path))


def test_names_in_results_never_lead_out_of_the_folder(tmp_path: Path, root: Path) -> None:
    write(root, spoken(tmp_path))
    victim = root / "a.txt"
    victim.write_bytes(b"hello")
    results = root / "out" / RESULTS
    results.write_bytes(results.read_bytes().replace(b'"transcript":"a.txt"', b'"transcript":"../a.txt"'))
    failed = [made.line(path, error={"code": "failed"}) for path in PATHS]
    write(root, heard.source(tmp_path / "raw2", PATHS, *failed))
    assert victim.exists()


def test_a_write_that_was_cut_short_is_taken_up(tmp_path: Path, root: Path) -> None:
    """Transcripts that stand without results are known to be ours, whatever they should say now."""
    broken = spoken(tmp_path)
    raw = tmp_path / "raw"
    raw.write_bytes(raw.read_bytes().replace(b'"text":""', b'"text":xx'))
    with pytest.raises(StateError):
        write(root, broken)
    assert (root / "out/a.txt").read_bytes() == b"hello" and not (root / "out" / RESULTS).exists()
    write(root, spoken(tmp_path, a="newer"))
    assert (root / "out/a.txt").read_bytes() == b"newer"
    assert not [name for name in heard.tree(root / "out") if name.startswith(".")]


def test_hostile_names_are_written_as_they_are(tmp_path: Path, root: Path) -> None:
    paths = sorted(["n\nl.wav", "c\x1b[2J.wav", "x" * 251 + ".wav", "Case.wav", "case.wav", "‮rtl.wav", "-rf .wav"])
    source = heard.source(tmp_path / "raw", paths, *[heard.said(path, {"text": path}) for path in paths])
    heard.write_folder(root / "out", root, paths, [source], kind="json")
    lines = heard.lines(root / "out" / RESULTS)
    assert [line["file"] for line in lines] == paths
    found = heard.tree(root / "out")
    assert all(found[line["transcript"]] == msgspec.json.encode({"text": line["file"]}) + b"\n" for line in lines)
    assert len(found) == len(paths) + 1
    (root / "out/n\nl.json").write_text("mine")
    (root / "out" / RESULTS).unlink()
    with pytest.raises(DataError) as refused:
        heard.write_folder(root / "out", root, paths, [source], kind="json")
    assert "n\\nl.json" in refused.value.message and "\n" not in refused.value.message


NAMES = st.sampled_from(["a.wav", "a.flac", "A.wav", "b.wav", "d/a.wav", "d/é\n.wav", "e/e.wav", "d/x"])
ANSWERS = st.sampled_from(["", "x", "=1\r\n\u2028", "failed", "nothing"])


@settings(max_examples=60)
@given(
    st.dictionaries(NAMES, ANSWERS, min_size=1),
    st.dictionaries(NAMES, ANSWERS),
    st.sampled_from(["text", "srt", "verbose_json"]),
)
def test_whatever_was_there_before_writing_adopting_and_writing_again_gives_the_same_bytes(
    tmp_path_factory: pytest.TempPathFactory, now: dict[str, str], before: dict[str, str], kind: str
) -> None:
    root = tmp_path_factory.mktemp("root")
    for number, wanted in enumerate((before, now)):
        paths = sorted(wanted)
        lines = [
            made.line(path, error={"code": "failed"})
            if answer == "failed"
            else heard.said(path, {**heard.VERBOSE, "text": answer})
            if kind == "verbose_json"
            else heard.text(path, answer, kind)
            for path, answer in wanted.items()
            if answer != "nothing"
        ]
        source = heard.source(root / f"raw{number}", paths, *lines)
        counts = heard.write_folder(root / "out", root, paths, [source], kind=kind)
    assert counts.ok + counts.error == counts.wanted == len(now)

    results = heard.lines(root / "out" / RESULTS)
    assert [line["file"] for line in results] == sorted(now)
    for line in results:
        assert (line["transcript"] is None) == (now[line["file"]] in ("failed", "nothing"))
    written = heard.tree(root / "out")
    shown = [line["transcript"] for line in results if line["transcript"]]
    assert len(set(shown)) == len(shown) and set(shown) <= set(written)

    back = read_back(root / "out", root / "objects")
    assert (back.answers + back.duplicates, back.damaged) == (counts.ok, 0)
    again = [source, *(file.source() for file in back.files)]  # the errors are asked again, and are the same
    (root / "raw1").write_bytes(b"")
    errors = [made.line(path, error={"code": "failed"}) for path, answer in now.items() if answer == "failed"]
    again[0] = heard.source(root / "raw1", sorted(now), *errors)
    heard.write_folder(root / "out2", root, sorted(now), again, kind=kind)
    fresh = heard.tree(root / "out2")
    assert {name: content for name, content in written.items() if name in fresh} == fresh
    assert set(fresh) == {*shown, RESULTS}
    heard.write_folder(root / "out", root, sorted(now), again, kind=kind)
    assert heard.tree(root / "out") == written


def test_a_folder_without_results_cannot_be_read_back(tmp_path: Path, root: Path) -> None:
    write(root, spoken(tmp_path))
    (root / "out" / RESULTS).unlink()
    with pytest.raises(StateError, match=r"`_results\.jsonl` is gone"):
        read_back(root / "out", tmp_path / "objects")


def test_memory_does_not_grow_with_what_was_said(tmp_path: Path, root: Path) -> None:
    paths = [f"{number}.wav" for number in range(60)]
    source = heard.source(tmp_path / "raw", paths, *[heard.text(path, path + "x" * 300_000) for path in paths])
    tracemalloc.start()
    heard.write_folder(root / "out", root, paths, [source])
    heard.write_folder(root / "out", root, paths, [source])
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert len(heard.tree(root / "out")) == 61
    assert peak < 6 << 20


HEARD = [
    ("json", "application/json", '{"text": "héllo\\u2028"}', b'{"text":"h\xc3\xa9llo\\u2028"}\n', "héllo\u2028"),
    ("text", "text/plain; charset=utf-8", "héllo\r\n", "héllo\r\n".encode(), "héllo\r\n"),
    ("srt", "text/plain", "1\n00:00\nx\n", b"1\n00:00\nx\n", "1\n00:00\nx\n"),
    ("vtt", "text/plain", "WEBVTT\n", b"WEBVTT\n", "WEBVTT\n"),
    (
        "verbose_json",
        "application/json",
        '{"text": "x", "n": 123456789012345678901.50}',
        b'{"text":"x","n":123456789012345678901.50}\n',
        "x",
    ),
    ("verbose_json", "text/plain", "not as asked", b'{"text":"not as asked","format":"text"}\n', "not as asked"),
]


@pytest.mark.parametrize(("kind", "content_type", "body", "written", "answer"), HEARD)
def test_what_a_remote_said_is_what_the_transcript_says(
    tmp_path: Path, root: Path, kind: str, content_type: str, body: str, written: bytes, answer: str
) -> None:
    recording = Recording(tmp_path, "a.wav", 1, "v1/audio/transcriptions", "audio-prod", {"response_format": kind})
    told = Heard(Phase.COMPLETED, "completed", body, content_type)
    line = line_of(made.wire_id("a.wav"), recording, Receipt("b-1", "acme"), told)
    source = heard.source(tmp_path / "raw", ["a.wav"], line.removesuffix(b"\n"))
    heard.write_folder(root / "out", root, ["a.wav"], [source], kind=kind)
    (result,) = heard.lines(root / "out" / RESULTS)
    assert (root / "out" / result["transcript"]).read_bytes() == written
    heard.write_table(root / "t.jsonl", root, ["a.wav"], [source])
    (row,) = heard.lines(root / "t.jsonl")
    assert (row["text"], row["error"]) == (answer, None)
