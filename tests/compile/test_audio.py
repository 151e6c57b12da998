"""Recordings become requests by what they hold; what their files are called decides nothing."""

from __future__ import annotations

import hashlib
import io
import os
import time
from pathlib import Path
from typing import Any

import msgspec
import pytest
from msgspec.structs import replace

from runner.compile.audio import CompiledAudio, compile_audio, preview
from runner.compile.compiled import Compiled
from runner.compile.faults import RecordingsFailed
from runner.data.contents import Contents, FileMemo
from runner.errors import DataError, Mark
from runner.job.project import AudioJob, Model
from runner.job.wireid import custom_id_of, key_of
from tests.data import sounds

MARK = Mark("s.yaml", 7, 14)
WAV, FLAC = sounds.wav(), sounds.flac()


def job_of(*patterns: str, model: dict[str, Any] | None = None, **more: Any) -> AudioJob:
    chosen = Model(**{"key": "w", "provider": "fireworks-audio", "name": "whisper-v3"} | (model or {}))
    asked = {"path": "/v1/audio/transcriptions", "endpoint_id": "audio-prod", "patterns_mark": MARK}
    common = {"address": "j", "name": "j", "cell": {}, "window_hours": 24, "output": "texts/"}
    return AudioJob(model=chosen, patterns=patterns or ("calls/**/*",), **{**common, **asked, **more})


def place(root: Path, **files: bytes) -> None:
    (root / "calls").mkdir(exist_ok=True)
    for name, data in files.items():
        (root / "calls" / name.replace("_", ".")).write_bytes(data)


def compiled(root: Path, job: AudioJob | None = None) -> CompiledAudio:
    return compile_audio(job or job_of(), root, Contents(root, FileMemo(root / "memo")))


def keys(root: Path, job: AudioJob | None = None) -> list[bytes]:
    one = compiled(root, job).wanted
    return [one.keys_at((n,)) for n in range(len(one))]


def by_hand(body: bytes) -> str:
    """The rule of identity, written a second time."""
    whole = hashlib.sha256(b"runner-request/1\n")
    for part in (b"fireworks-audio", b"/v1/audio/transcriptions", b"1", b"whisper-v3", body):
        whole.update(len(part).to_bytes(8, "big") + part)
    return whole.hexdigest()


def test_golden_digest(tmp_path: Path) -> None:
    place(tmp_path, a_wav=b"RIFF\x24\0\0\0WAVEfmt " + bytes(20))
    job = job_of(fields=(("diarize", "true"), ("prompt", "Ähm"), ("temperature", "0,0.2")))
    (row,) = compiled(tmp_path, job).rows()
    sha256 = hashlib.sha256((tmp_path / "calls/a.wav").read_bytes()).hexdigest()
    form = '"diarize":"true","prompt":"Ähm","temperature":"0,0.2"'
    body = f'{{"file_sha256":"{sha256}","endpoint_id":"audio-prod",{form}}}'
    assert (
        row.digest.hex() == by_hand(body.encode()) == "e0b7f0c006a58638e4dd0fcf76779fc770dd4df85ad1c047b4b646ec64577bc8"
    )


def test_rows_are_in_order_of_paths(tmp_path: Path) -> None:
    place(tmp_path, b_flac=FLAC, a_wav=WAV, c_amr=b"#!AMR\n" + bytes(40))
    one: Compiled = compiled(tmp_path)
    rows = list(one.rows())
    assert [row.custom_id for row in rows] == ["calls/a.wav", "calls/b.flac", "calls/c.amr"]
    assert [msgspec.json.decode(row.row_json) for row in rows] == [
        {"file": "calls/a.wav", "size_bytes": len(WAV), "duration_s": 1.5},
        {"file": "calls/b.flac", "size_bytes": len(FLAC), "duration_s": 1.5},
        {"file": "calls/c.amr", "size_bytes": 46, "duration_s": None},
    ]
    assert list(one.wanted.sizes) == [len(WAV), len(FLAC), 46]
    assert b"".join(row.digest[:16] for row in rows) == one.wanted.keys
    assert one.wanted.tokens == 0
    assert list(compiled(tmp_path).seconds) == [1.5, 1.5, -1]


def test_a_recording_is_described_without_its_name(tmp_path: Path) -> None:
    place(tmp_path, **{"Jane Doe_mp3": FLAC})  # names lie
    job = job_of(fields=(("language", "de"),))
    asked = compiled(tmp_path, job).recording(0)
    assert (asked.filename, asked.source) == ("audio.flac", tmp_path / "calls/Jane Doe.mp3")
    assert asked.sha256 == hashlib.sha256(FLAC).digest()
    assert dict(asked.fields) == {"model": "whisper-v3", "language": "de"}
    assert (asked.path, asked.endpoint_id, asked.seconds) == ("/v1/audio/transcriptions", "audio-prod", 1.5)
    assert asked.custom_id == custom_id_of("calls/Jane Doe.mp3", asked.key)
    assert key_of(asked.custom_id) == asked.key


def test_what_makes_another_request(tmp_path: Path) -> None:
    place(tmp_path, a_wav=WAV)
    jobs = [
        job_of(),
        job_of(replicate=2),
        job_of(path="/v1/audio/translations"),
        job_of(endpoint_id="audio-turbo"),
        job_of(endpoint_id=""),
        job_of(model={"name": "whisper-v3-turbo"}),
        job_of(model={"provider": "embedded"}),
        job_of(fields=(("language", "de"),)),
        job_of(fields=(("language", "en"),)),
        job_of(fields=(("prompt", "de"),)),
    ]
    found = {keys(tmp_path, job)[0] for job in jobs}
    place(tmp_path, a_wav=WAV + b"\0")
    assert len(found | set(keys(tmp_path))) == len(jobs) + 1


def test_what_does_not(tmp_path: Path) -> None:
    place(tmp_path, a_wav=WAV)
    before = keys(tmp_path)
    (tmp_path / "calls/sub").mkdir()
    (tmp_path / "calls/a.wav").rename(tmp_path / "calls/sub/renamed.mp3")
    job = job_of("calls/sub/*", "*.none", address="k", name="k", window_hours=48, output="x.csv", task="translate")
    other = replace(job, allow_empty=True, model=replace(job.model, key="v", params={"language": "de"}))
    assert keys(tmp_path, other) == before
    (tmp_path / "calls/sub/again.wav").write_bytes(WAV)
    assert keys(tmp_path, job_of("calls/sub/*")) == before * 2  # equal requests


def test_a_renamed_file_makes_other_rows(tmp_path: Path) -> None:
    place(tmp_path, a_wav=WAV)
    before = compiled(tmp_path).made_of()
    assert compiled(tmp_path).made_of() == before
    (tmp_path / "calls/a.wav").rename(tmp_path / "calls/b.wav")
    assert compiled(tmp_path).made_of() != before


def test_every_file_that_cannot_be_sent_is_named_at_once(tmp_path: Path) -> None:
    place(tmp_path, a_wav=b"", b_wav=b"no sound at all", c_wav=WAV, d_wav=WAV)
    outside = tmp_path.parent / f"{tmp_path.name}.wav"
    outside.write_bytes(WAV)
    (tmp_path / "calls/e.wav").symlink_to(outside)
    with pytest.raises(RecordingsFailed) as caught:
        compile_audio(job_of(), tmp_path, Contents(tmp_path, FileMemo(tmp_path / "memo")), largest_bytes=len(WAV) - 1)
    assert (caught.value.mark, caught.value.count) == (MARK, 5)
    lines = caught.value.message.splitlines()
    assert lines[0] == "5 recordings of job `j` cannot be sent"
    assert lines[1] == "  calls/a.wav: is empty"
    assert lines[2].startswith("  calls/b.wav: not a recording")
    assert lines[3].startswith(f"  calls/c.wav: has {len(WAV):,} bytes")
    assert lines[5] == f"  calls/e.wav: is a link that leads out of the project, to `{outside}`"


def test_one_file_that_cannot_be_sent(tmp_path: Path) -> None:
    place(tmp_path, a_wav=b"no sound at all", c_wav=WAV)
    with pytest.raises(RecordingsFailed) as caught:
        compiled(tmp_path)
    assert caught.value.message.startswith("`calls/a.wav` of job `j`: not a recording")
    assert "`exclude`" in caught.value.hint
    assert "`skip_bad: true` in the job sends the others" in caught.value.hint


@pytest.mark.parametrize("skip_bad", [False, True])
def test_skipping_is_not_offered_where_no_file_can_be_sent(tmp_path: Path, skip_bad: bool) -> None:
    place(tmp_path, a_wav=b"no sound at all", b_wav=b"")
    with pytest.raises(RecordingsFailed) as caught:
        compile_audio(replace(job_of(), skip_bad=skip_bad), tmp_path, Contents(tmp_path, FileMemo(tmp_path / "memo")))
    assert "skip_bad" not in caught.value.hint


def test_nothing_matches(tmp_path: Path) -> None:
    place(tmp_path, a_wav=WAV)
    with pytest.raises(DataError, match=r"no file matches `calls/\*\.mp3` of job `j`") as caught:
        compiled(tmp_path, job_of("calls/*.wav", "calls/*.mp3"))
    assert caught.value.mark == MARK
    empty = compiled(tmp_path, job_of("calls/*.mp3", allow_empty=True))
    assert (len(empty.wanted), list(empty.rows())) == (0, [])


def test_a_file_that_changed_is_not_sent(tmp_path: Path) -> None:
    place(tmp_path, a_wav=WAV)
    one = compiled(tmp_path)
    os.utime(tmp_path / "calls/a.wav", (1, 1))
    with pytest.raises(DataError, match="changed since"):
        one.recording(0)
    (tmp_path / "calls/a.wav").unlink()
    with pytest.raises(DataError, match="cannot read the recording"):
        list(one.lines([0]))
    assert [row.custom_id for row in one.rows()] == ["calls/a.wav"]  # answers are written all the same


def test_files_that_were_read_before_are_not_opened(tmp_path: Path) -> None:
    place(tmp_path, a_wav=WAV, b_flac=FLAC)
    for name in ("a.wav", "b.flac"):
        os.utime(tmp_path / "calls" / name, (1, 1))
    memo = FileMemo(tmp_path / "memo")
    first = compile_audio(job_of(), tmp_path, Contents(tmp_path, memo, now_ns=lambda: time.time_ns() + 10**10))
    memo.save()
    hashes = Contents(tmp_path, FileMemo(tmp_path / "memo"))
    assert all(hashes.known(file) for file in first.files)
    assert compile_audio(job_of(), tmp_path, hashes).wanted == first.wanted
    place(tmp_path, a_wav=WAV + b"\0")
    assert [hashes.known(file) is None for file in compiled(tmp_path).files] == [True, False]


def test_lines_describe_the_requests(tmp_path: Path) -> None:
    place(tmp_path, a_wav=WAV, b_flac=FLAC)
    job = job_of(fields=(("language", "de"),))
    one = compiled(tmp_path, job)
    lines = list(one.lines([1]))
    assert msgspec.json.decode(lines[0].data) == {
        "custom_id": custom_id_of("calls/b.flac", lines[0].key),
        "method": "POST",
        "url": "/v1/audio/transcriptions",
        "endpoint_id": "audio-prod",
        "file": "calls/b.flac",
        "form": {"model": "whisper-v3", "language": "de"},
    }
    out = io.BytesIO()
    assert one.write_lines([0, 1], out) == len(out.getvalue())
    assert out.getvalue().splitlines() == list(preview(job, tmp_path))
    assert len(list(preview(job, tmp_path, 1))) == 1


def test_many_files(tmp_path: Path) -> None:
    """More than are hashed at once."""
    files = {f"{number:04}_wav": WAV[:44] + number.to_bytes(4, "big") for number in range(1100)}
    place(tmp_path, **files)
    rows = list(compiled(tmp_path).rows())
    assert len({row.digest for row in rows}) == 1100
    body = f'{{"file_sha256":"{hashlib.sha256(files["0777_wav"]).hexdigest()}","endpoint_id":"audio-prod"}}'
    assert rows[777].digest.hex() == by_hand(body.encode())
