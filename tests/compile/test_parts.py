"""Messages in parts: what is written into a body, what is counted, what names a request, and what is refused."""

from __future__ import annotations

import base64
import json
import os
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from runner.compile.compile import compile_job, load, preview
from runner.compile.faults import RowsFailed
from runner.compile.job import CompiledJob
from runner.data.inlined import ENCODED_AT_ONCE
from runner.errors import DataError, Mark
from runner.job.content import ContentPart, ImageTokens, PartKind, PartLimits
from runner.job.project import Job, Message, Prompt
from runner.remotes.openai.lines import LINES
from tests.compile.made import job_of, write_rows
from tests.data import pictures, sounds

CAT, DOG = pictures.png(30, 20, seed=1), pictures.png(30, 20, seed=2)
IMAGE = ContentPart(PartKind.IMAGE, "{{ path }}", Mark("s.yaml", 7))
SAY = ContentPart(PartKind.TEXT, "What is it, {{ who }}?", Mark("s.yaml", 6))


def job(*parts: ContentPart, endpoint: str = "/v1/chat/completions", **more: Any) -> Job:
    prompt = Prompt("look", (Message("user", parts, Mark("s.yaml", 5)),))
    made = job_of(model={"endpoint": endpoint}, **more)
    return Job(**{name: getattr(made, name) for name in made.__struct_fields__} | {"prompt": prompt})


@pytest.fixture
def root(tmp_path: Path) -> Path:
    (tmp_path / "pictures").mkdir()
    (tmp_path / "pictures/cat.png").write_bytes(CAT)
    (tmp_path / "pictures/dog.png").write_bytes(DOG)
    rows(tmp_path, "pictures/cat.png", "pictures/dog.png")
    return tmp_path


def rows(root: Path, *paths: str) -> None:
    write_rows(root, [{"path": path, "who": "Ann"} for path in paths])


def bodies(compiled: CompiledJob) -> list[Any]:
    return [json.loads(line.data)["body"] for line in compiled.lines(range(len(compiled.wanted)))]


def data_url(kind: str, data: bytes) -> str:
    return f"data:{kind};base64,{base64.b64encode(data).decode()}"


def keys(compiled: CompiledJob) -> list[bytes]:
    return [row.digest for row in compiled.rows()]


def test_chat_has_a_data_url_of_the_very_bytes(root: Path) -> None:
    compiled = compile_job(job(SAY, ContentPart(PartKind.IMAGE, "{{ path }}", detail="low")), root, LINES)
    assert [body["messages"] for body in bodies(compiled)] == [
        [
            {
                "role": "user",
                "content": [
                    {"type": "text", "text": "What is it, Ann?"},
                    {"type": "image_url", "image_url": {"url": data_url("image/png", data), "detail": "low"}},
                ],
            }
        ]
        for data in (CAT, DOG)
    ]


def test_every_part_as_its_endpoint_has_it(root: Path) -> None:
    (root / "a.pdf").write_bytes(pictures.pdf())
    (root / "a.wav").write_bytes(sounds.wav())
    parts = (
        ContentPart(PartKind.FILE, "a.pdf"),
        ContentPart(PartKind.IMAGE, "https://example.com/{{ who }}.png"),
        ContentPart(PartKind.NATIVE, native={"type": "text", "text": "{{ who }}", "n": [1, "x"]}),
    )
    file = {"filename": "file.pdf", "file_data": data_url("application/pdf", pictures.pdf())}
    sound = ContentPart(PartKind.AUDIO, "a.wav")
    chat = bodies(compile_job(job(*parts, sound), root, LINES))[0]["messages"][0]["content"]
    assert chat == [
        {"type": "file", "file": file},
        {"type": "image_url", "image_url": {"url": "https://example.com/Ann.png"}},
        {"type": "text", "text": "Ann", "n": [1, "x"]},
        {"type": "input_audio", "input_audio": {"data": base64.b64encode(sounds.wav()).decode(), "format": "wav"}},
    ]
    compiled = compile_job(job(SAY, *parts, IMAGE, endpoint="/v1/responses"), root, LINES)
    assert bodies(compiled)[0]["input"][0]["content"] == [
        {"type": "input_text", "text": "What is it, Ann?"},
        {"type": "input_file", **file},
        {"type": "input_image", "image_url": "https://example.com/Ann.png"},
        {"type": "text", "text": "Ann", "n": [1, "x"]},
        {"type": "input_image", "image_url": data_url("image/png", CAT)},
    ]


def test_sizes_are_those_of_the_lines_that_are_sent(root: Path, tmp_path: Path) -> None:
    for extra in range(3):  # base64 fills up what is no multiple of three
        (root / f"pictures/{extra}.png").write_bytes(CAT + bytes(extra))
    (root / "pictures/large.png").write_bytes(pictures.large_png(2 * ENCODED_AT_ONCE + 1))
    rows(root, *(f"pictures/{extra}.png" for extra in range(3)), "pictures/large.png", "pictures/cat.png")
    compiled = compile_job(job(IMAGE, SAY, IMAGE), root, LINES)
    lines = [line.data for line in compiled.lines(range(5))]
    assert list(compiled.wanted.sizes) == list(map(len, lines))
    with open(tmp_path / "upload", "w+b") as out:
        assert compiled.write_lines(range(5), out) == sum(map(len, lines)) + 5
        out.seek(0)
        assert out.read() == b"".join(line + b"\n" for line in lines)


def test_a_digest_is_of_the_bytes_and_not_of_the_name(root: Path) -> None:
    before = keys(compile_job(job(IMAGE), root, LINES))
    (root / "pictures/cat.png").rename(root / "pictures/felix.png")
    rows(root, "pictures/felix.png", "pictures/dog.png")
    assert keys(compile_job(job(IMAGE), root, LINES)) == before
    (root / "pictures/felix.png").write_bytes(CAT[:-1] + b"!")
    after = keys(compile_job(job(IMAGE), root, LINES))
    assert after[0] != before[0]
    assert after[1] == before[1]
    # golden: another digest makes every answer about a picture unused
    assert before[0].hex() == "2e592f02b02d4e558b65d44d9f0bdfbdbcb524179e51a6a1d3f1bb34ea0a72ad"


def test_lines_for_people_hold_no_base64(root: Path) -> None:
    compiled = compile_job(job(IMAGE), root, LINES)
    (line,) = compiled.shown([0])
    (same,) = preview(job(IMAGE), root, LINES, 1)
    assert line == same
    url = json.loads(line.data)["body"]["messages"][0]["content"][0]["image_url"]["url"]
    assert url.startswith(f"data:image/png;base64,<pictures/cat.png, {len(CAT):,} bytes, sha256 ")
    assert base64.b64encode(CAT)[:20] not in line.data


def test_a_name_with_quotes_is_shown_as_it_is(root: Path) -> None:
    (root / 'the "cat".png').write_bytes(CAT)
    rows(root, 'the "cat".png')
    (line,) = preview(job(IMAGE), root, LINES)
    url = json.loads(line.data)["body"]["messages"][0]["content"][0]["image_url"]["url"]
    assert url.startswith('data:image/png;base64,<the "cat".png, ')


def test_a_text_cannot_pass_for_a_file(root: Path) -> None:
    """A mark of ours is two NUL bytes, which JSON never has: what a row says is escaped."""
    forged = "\0" + "a" * 64 + "\0"
    write_rows(root, [{"path": "pictures/cat.png", "who": forged}])
    (body,) = bodies(compile_job(job(SAY, IMAGE), root, LINES))
    assert body["messages"][0]["content"][0]["text"] == f"What is it, {forged}?"


def refused(root: Path, made: Job) -> RowsFailed:
    with pytest.raises(RowsFailed) as caught:
        compile_job(made, root, LINES)
    return caught.value


def test_what_cannot_be_sent_is_told_of_every_row_at_once(root: Path, tmp_path_factory: pytest.TempPathFactory) -> None:
    outside = tmp_path_factory.mktemp("outside")
    (outside / "x.png").write_bytes(CAT)
    (root / "link.png").symlink_to(outside / "x.png")
    (root / "linked").symlink_to(outside)
    (root / "loop.png").symlink_to(root / "loop.png")
    (root / "text.png").write_text("no picture at all")
    (root / "noise.png").write_bytes(bytes(range(256)) * 4)
    (root / "empty.png").write_bytes(b"")
    (root / ".hidden.png").write_bytes(CAT)
    (root / "credentials.png").write_bytes(CAT)
    os.mkfifo(root / "pipe.png")
    with open(root / "huge.png", "wb") as file:
        file.write(pictures.png())
        file.truncate(30_000_000)
    cases = {
        "gone.png": "there is no file `gone.png`",
        "pictures": "`pictures` is a folder",
        "empty.png": "`empty.png` is empty",
        "pipe.png": "`pipe.png` is not a regular file",
        "../x.png": "`../x.png` is not a path inside the project",
        str(outside / "x.png"): "is not a path inside the project",
        "link.png": "`link.png` leads out of the project",
        "linked/x.png": "`linked/x.png` leads out of the project",
        "loop.png": "`loop.png`",
        ".hidden.png": "`.hidden.png` is hidden",
        "credentials.png": "`credentials.png` has the name of a file of secrets",
        "text.png": "`text.png` holds text/plain, and its provider takes as a picture image/png",
        "noise.png": "`noise.png` holds nothing that is known",
        "huge.png": "`huge.png` has 30,000,000 bytes, and its provider takes 20,000,000 of one file",
        "http://example.com/x.png": "is no https URL",
        "https://a:b@example.com/x.png": "holds a user name or password",
        "ftp://example.com/x.png": "is no https URL",
        "data:image/png;base64,AAAA": "is a data URL",
        "": "the path is empty",
        "a\nb.png": "is no path",
        "x" * 5000: "cannot be",
    }
    rows(root, *cases)
    error = refused(root, job(IMAGE))
    assert error.count == len(cases)
    by_line = {problem.mark.line: problem for problem in error.problems}
    for line, (path, words) in list(enumerate(cases.items(), 1))[:20]:
        assert words in by_line[line].message, (path, by_line[line].message)
        assert by_line[line].mark.file == "a.jsonl"
    assert all(problem.hint for problem in error.problems if "cannot be" not in problem.message)


def test_a_row_that_cannot_be_sent_is_left_out_where_that_is_said(root: Path) -> None:
    rows(root, "pictures/cat.png", "gone.png", "pictures/dog.png")
    compiled = compile_job(job(IMAGE, dataset={"skip_bad": True}), root, LINES)
    assert len(compiled.wanted) == 2
    assert compiled.bad == 1
    assert "there is no file `gone.png`" in compiled.notes[0]


def test_a_file_nobody_may_read_is_told(root: Path) -> None:
    (root / "pictures/cat.png").chmod(0)
    if os.access(root / "pictures/cat.png", os.R_OK):
        pytest.skip("this user may read everything")
    assert "cannot be read: Permission denied" in refused(root, job(IMAGE)).message


@pytest.mark.parametrize(
    ("limits", "words"),
    [
        (PartLimits(images=1), "has 2 pictures, and its provider takes 1"),
        (PartLimits(request_bytes=len(CAT)), f"and its provider takes {len(CAT):,}"),
        (PartLimits(image_types=("image/jpeg",)), "takes as a picture image/jpeg"),
        (PartLimits(image_bytes=10), "takes 10 of one file"),
    ],
)
def test_limits_of_the_provider_are_named(root: Path, limits: PartLimits, words: str) -> None:
    rows(root, "pictures/cat.png")
    assert words in refused(root, job(IMAGE, IMAGE, part_limits=limits)).message


def test_a_media_type_that_is_said_counts_where_the_file_tells_nothing(root: Path) -> None:
    (root / "a.bin").write_bytes(b"\x01\x02\x03\x04")
    part = ContentPart(PartKind.IMAGE, "a.bin", media_type="image/x-mine")
    limits = PartLimits(image_types=("image/x-mine",))
    (body, _) = bodies(compile_job(job(part, part_limits=limits), root, LINES))
    assert body["messages"][0]["content"][0]["image_url"]["url"] == "data:image/x-mine;base64,AQIDBA=="
    lies = ContentPart(PartKind.IMAGE, "{{ path }}", media_type="image/jpeg")
    assert "holds image/png, and `media_type` says image/jpeg" in refused(root, job(lies)).message


def test_tokens_of_pictures_are_counted_by_the_rule_of_the_vendor(root: Path) -> None:
    tiles = ImageTokens(base=85, tile=170)
    assert [tiles.of(*size, "") for size in ((1024, 1024), (2048, 4096), (10, 10), (4096, 8192))] == [
        765,
        1105,
        255,
        1105,
    ]
    assert tiles.of(4096, 8192, "low") == 85
    assert ImageTokens().of(100, 100, "") is None
    known = compile_job(job(IMAGE, part_limits=PartLimits(image_tokens=tiles)), root, LINES).wanted
    assert (known.tokens, known.untold) == (2 * 255, 0)
    unknown = compile_job(job(IMAGE), root, LINES).wanted
    assert (unknown.tokens, unknown.untold) == (0, 2)


def test_a_request_is_paced_by_tokens_and_not_by_its_bytes(root: Path) -> None:
    (root / "pictures/cat.png").write_bytes(pictures.large_png(1_000_000))
    rows(root, "pictures/cat.png")
    known = PartLimits(image_tokens=ImageTokens(base=85, tile=170))
    assert compile_job(job(IMAGE, part_limits=known), root, LINES).tokens_with_files() == 85 + 4 * 170
    assert compile_job(job(IMAGE), root, LINES).tokens_with_files() == 765
    assert compile_job(job(SAY), root, LINES).tokens_with_files() is None


def old(root: Path, *names: str) -> None:
    """Written long before now, so that stats tell."""
    before = time.time() - 100
    for name in names or ("pictures/cat.png", "pictures/dog.png", "a.jsonl"):
        os.utime(root / name, (before, before))
    time.sleep(0.06)


def reread(root: Path, made: Job) -> CompiledJob | None:
    return load(root / "shard", made, root, LINES)


@pytest.mark.parametrize("change", ["replaced", "edited", "removed", "touched", "to a link"])
def test_a_compiled_job_is_not_read_back_over_other_pictures(root: Path, change: str) -> None:
    old(root)
    made = job(IMAGE)
    compiled = compile_job(made, root, LINES)
    compiled.save(root / "shard")
    again = reread(root, made)
    assert again is not None
    assert keys(again) == keys(compiled)
    assert [stamp.path for stamp in again.inlined()] == ["pictures/cat.png", "pictures/dog.png"]
    assert bodies(again) == bodies(compiled)
    path = root / "pictures/cat.png"
    about = path.stat()
    match change:
        case "replaced":  # of the same size, with the time that it had
            (root / "new").write_bytes(CAT[:-1] + b"!")
            os.utime(root / "new", ns=(about.st_atime_ns, about.st_mtime_ns))
            (root / "new").rename(path)
        case "edited":
            with path.open("r+b") as file:
                file.seek(40)
                file.write(b"!")
            os.utime(path, ns=(about.st_atime_ns, about.st_mtime_ns))
        case "removed":
            path.unlink()
        case "touched":
            path.touch()
        case "to a link":
            path.unlink()
            path.symlink_to("dog.png")
    assert reread(root, made) is None


def test_a_picture_that_changes_before_it_is_sent_stops_everything(root: Path) -> None:
    compiled = compile_job(job(IMAGE), root, LINES)
    (root / "pictures/cat.png").write_bytes(CAT[:-1] + b"!")
    with pytest.raises(DataError) as caught, open(root / "upload", "wb") as out:
        compiled.write_lines(range(2), out)
    assert caught.value.hint == "nothing was sent for it; run the command again"


def test_many_rows_may_share_one_picture(root: Path) -> None:
    rows(root, *["pictures/cat.png"] * 2_000)
    compiled = compile_job(job(SAY, IMAGE), root, LINES)
    assert len(list(compiled.inlined())) == 1
    assert len(set(keys(compiled))) == 1


def test_parts_render_in_the_other_process_too(root: Path) -> None:
    part = ContentPart(PartKind.IMAGE, "{% if who %}{{ path }}{% endif %}\n")
    (body, _) = bodies(compile_job(job(part, SAY), root, LINES))
    assert body["messages"][0]["content"][0]["image_url"]["url"] == data_url("image/png", CAT)


def test_equal_pictures_are_shown_by_their_own_names(root: Path) -> None:
    (root / "pictures/dog.png").write_bytes(CAT)
    shown = [line.data for line in preview(job(IMAGE), root, LINES)]
    assert [b"<pictures/cat.png, " in shown[0], b"<pictures/dog.png, " in shown[1]] == [True, True]


def test_one_file_of_several_places(root: Path) -> None:
    write_rows(root, [{"paths": ["pictures/cat.png", "pictures/dog.png"], "who": "Ann"}])
    both: Sequence[ContentPart] = [ContentPart(PartKind.IMAGE, f"{{{{ paths[{n}] }}}}") for n in (0, 1)]
    (body,) = bodies(compile_job(job(*both), root, LINES))
    urls = [part["image_url"]["url"] for part in body["messages"][0]["content"]]
    assert urls == [data_url("image/png", CAT), data_url("image/png", DOG)]
