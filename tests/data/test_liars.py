"""Files that are not what their name says, or not whole: each refused by what it is, with a next step.

No message quotes what a library says of its own innards, or the `repr` of anything.
"""

# ruff: noqa: E501  # one case, one line

from __future__ import annotations

import gzip
import io
import random
import re
import tarfile
import zipfile
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from runner.data.rows import columns_of, open_rows
from runner.errors import DataError
from tests.data.test_rows import Spec
from tests.data.test_wild import Write, archive, lines, muxed, raw, sheet, sounded, table
from tests.squeeze import squeezed

pa = pytest.importorskip("pyarrow")
pq = pytest.importorskip("pyarrow.parquet")

TABLE = {"id": [str(number) for number in range(500)], "word": [f"word {number}" for number in range(500)]}
AGAIN = "copy or download it again"


def parquet(**how: Any) -> bytes:
    out = io.BytesIO()
    pq.write_table(pa.table(TABLE), out, **how)
    return out.getvalue()


def of_lzo() -> bytes:
    """As if a column was packed with LZO, which pyarrow knows by name only: the codec is a number in its head."""
    whole = parquet(compression="snappy")
    at = whole.rindex(b"\x19\x18\x02id\x15\x02")
    return whole[: at + 6] + b"\x06" + whole[at + 7 :]


def named(*names: str) -> Write:
    return lambda path: pq.write_table(pa.table([pa.array(["x"])] * len(names), names=list(names)), path)


def encrypted(**how: Any) -> Write:
    def write(path: Path) -> None:
        encryption = pytest.importorskip("pyarrow.parquet.encryption")

        class Keys(encryption.KmsClient):  # type: ignore[misc, name-defined]
            def __init__(self, connection: object) -> None:
                super().__init__()

            def wrap_key(self, key: bytes, name: str) -> bytes:
                return key.hex().encode()

        factory = encryption.CryptoFactory(Keys)
        wish = encryption.EncryptionConfiguration(footer_key="f", column_keys={"c": ["word"]}, **how)
        secret = factory.file_encryption_properties(encryption.KmsConnectionConfig(), wish)
        with pq.ParquetWriter(path, pa.table(TABLE).schema, encryption_properties=secret) as out:
            out.write_table(pa.table(TABLE))

    return write


def tar(mode: str = "w") -> bytes:
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode=mode) as archived:  # type: ignore[call-overload]
        member = tarfile.TarInfo("a.jsonl")
        member.size = len(lines())
        archived.addfile(member, io.BytesIO(lines()))
    return out.getvalue()


def without_tag(path: Path) -> None:
    """An MP3 whose first bytes are its first frame."""
    muxed("mp3", "libmp3lame")(path)
    whole = path.read_bytes()
    path.write_bytes(whole[whole.index(b"\xff\xf3") :])


def document(path: Path) -> None:
    with zipfile.ZipFile(path, "w") as out:
        out.writestr("[Content_Types].xml", "<x/>")
        out.writestr("word/document.xml", "<x/>")


PACKED = gzip.compress(lines() * 300, mtime=0)


class Liar(NamedTuple):
    name: str
    write: Write
    words: str
    way: str


LIARS = [
    Liar("half.parquet", raw(parquet()[:3000]), "the Parquet file is cut short", AGAIN),
    Liar("last-bytes.parquet", raw(parquet()[:-5]), "the Parquet file is cut short", AGAIN),
    Liar("first-bytes.parquet", raw(parquet()[100:]), "the file is not Parquet", "suffix of what it is"),
    Liar("empty.parquet", raw(b""), "the Parquet file is cut short", AGAIN),
    Liar("head.parquet", raw(parquet()[:-40] + bytes(b ^ 0x55 for b in parquet()[-40:-12]) + parquet()[-12:]), "the Parquet file is damaged", AGAIN),
    Liar("pages.parquet", raw(parquet()[:60] + b"\x5a" * 300 + parquet()[360:]), "the Parquet file is damaged", AGAIN),
    Liar("twice.parquet", named("id", "word", "id"), "the column `id` is there twice", "rename one"),
    Liar("nameless.parquet", named("id", ""), "a column has no name", "name it"),
    Liar("lzo.parquet", raw(of_lzo()), "packed in a way that pyarrow cannot unpack", "compression='zstd'"),
    Liar("locked.parquet", encrypted(), "an encrypted Parquet file", "without encryption"),
    Liar("locked-column.parquet", encrypted(plaintext_footer=True), "the Parquet file is encrypted", "without encryption"),
    Liar("sheet.parquet", sheet, "an Excel workbook", "CSV UTF-8"),
    Liar("rows.parquet", raw(b"id,word\n1,x\n"), "the file is not Parquet", "suffix of what it is"),
    Liar("random.parquet", raw(random.Random(1).randbytes(900)), "the file is not Parquet", "suffix of what it is"),
    Liar("twice.csv", raw(b"id,word,word\n1,x,y\n"), "the column `word` is there twice", "rename one"),
    Liar("twice.tsv", raw(b"id\tword\tword\n1\tx\ty\n"), "the column `word` is there twice", "rename one"),
    Liar("sheet.csv", sheet, "an Excel workbook", "CSV UTF-8"),
    Liar("letter.csv", document, "an Office document", "save it as text"),
    Liar("archive.jsonl", archive("a.jsonl"), "a zip archive", "name the files in it"),
    Liar("archive.jsonl.gz", raw(tar("w:gz")), "a tar archive", "name the files in it"),
    Liar("archive.csv.gz", raw(tar("w:gz")), "a tar archive", "name the files in it"),
    Liar("archive.jsonl.zst", raw(squeezed(tar())), "a tar archive", "name the files in it"),
    Liar("archive.csv", raw(tar()), "a tar archive", "name the files in it"),
    Liar("voice.csv", sounded("WAV"), "a recording or film (wav)", "`audio` of a job"),
    Liar("voice.jsonl", sounded("WAV"), "a recording or film (wav)", "`audio` of a job"),
    Liar("song.csv", without_tag, "a recording or film (mp3)", "`audio` of a job"),
    Liar("song.jsonl", without_tag, "a recording or film (mp3)", "`audio` of a job"),
    Liar("radio.csv", muxed("adts", "aac"), "a recording or film (aac)", "`audio` of a job"),
    Liar("iphone.tsv", muxed("ipod", "aac"), "a recording or film (m4a)", "`audio` of a job"),
    Liar("browser.jsonl", muxed("webm", "libopus", 48_000), "a recording or film (webm)", "`audio` of a job"),
    Liar("photo.csv", raw(b"\0\0\0\x18ftypheic\0\0\0\0mif1heic" + bytes(99)), "an image (HEIC)", "take it out"),
    Liar("web.csv", raw(b"RIFF\x90\0\0\0WEBPVP8 " + bytes(99)), "an image (WebP)", "take it out"),
    Liar("scan.csv", raw(b"II*\0" + bytes(99)), "a TIFF image", "take it out"),
    Liar("program.csv", raw(b"\x7fELF\x02\x01" + bytes(99)), "a program", "take it out"),
    Liar("random.csv", raw(random.Random(2).randbytes(4000)), "binary data, not text", "take it out"),
    Liar("random.jsonl", raw(random.Random(3).randbytes(4000)), "binary data, not text", "take it out"),
    Liar("packed.csv", raw(b"\x04\x22\x4d\x18" + bytes(99)), "packed with LZ4", "unlz4"),
    Liar("rows.csv", raw(lines()), "JSON lines, whatever its name says", "suffix `.jsonl`"),
    Liar("array.csv", raw(b'[{"id": 1},\n{"id": 2}]\n'), "a JSON array", "jq -c '.[]'"),
    Liar("table.jsonl", raw(b"id,word\n1,x\n"), "the line is not JSON", "suffix `.csv`"),
    Liar("cut.jsonl.gz", raw(PACKED[:-20]), "it ends too early", AGAIN),
    Liar("sum.jsonl.gz", raw(PACKED[:-8] + b"12345678"), "its checksum is wrong", AGAIN),
    Liar("bytes.jsonl.gz", raw(PACKED[:40] + b"z" * 400), "not what was packed", AGAIN),
    Liar("tail.jsonl.gz", raw(PACKED + b"garbage"), "what follows its end is not gzip", AGAIN),
]  # fmt: skip


@pytest.mark.parametrize("liar", LIARS, ids=lambda liar: liar.name)
@pytest.mark.parametrize("skip_bad", [False, True], ids=["whole", "skip_bad"])
def test_what_lies_or_is_broken_is_refused_by_what_it_is(liar: Liar, skip_bad: bool, tmp_path: Path) -> None:
    if skip_bad and liar.name == "table.jsonl":
        pytest.skip("each of its lines is a bad row")
    liar.write(tmp_path / liar.name)
    with pytest.raises(DataError) as caught:
        list(open_rows(Spec((liar.name,), skip_bad=skip_bad), tmp_path))
    assert liar.words in caught.value.message
    assert liar.way in caught.value.hint
    assert caught.value.mark is not None and caught.value.mark.file == liar.name
    assert not re.search(r"Error|Errno|0x[0-9a-f]|\(b?'", caught.value.message)


@pytest.mark.parametrize("name", [liar.name for liar in LIARS if liar.name.endswith(".parquet")])
def test_the_types_of_one_that_is_broken_are_told_or_refused_alike(name: str, tmp_path: Path) -> None:
    liar = next(liar for liar in LIARS if liar.name == name)
    liar.write(tmp_path / name)
    try:
        assert columns_of(Spec((name,)), tmp_path) is not None
    except DataError as error:
        assert liar.words in error.message and liar.way in error.hint


@pytest.mark.parametrize(
    ("name", "data", "rows"),
    [
        ("colours.csv", b"id,line\n" + b"".join(b"%d,\x1b[31mred\x1b[0m\n" % n for n in range(50)), 50),
        ("brace.csv", b'{"id"},word\n1,x\n', 1),
        ("brackets.csv", b"[id],word\n1,x\n", 1),
        ("controls.csv", b"id,word\n" + b"".join(b"%d,a\x01b some more words\n" % n for n in range(90)), 90),
        ("ustar.csv", b"id,word\n1," + b"ustar " * 99 + b"\n", 1),
        ("ftyp.csv", b"id,wftypes\n1,x\n", 1),
    ],
)
def test_what_only_looks_like_it_is_read(name: str, data: bytes, rows: int, tmp_path: Path) -> None:
    (tmp_path / name).write_bytes(data)
    assert len(list(open_rows(Spec((name,)), tmp_path))) == rows


def test_a_parquet_file_is_read_by_any_packing(tmp_path: Path) -> None:
    for codec in ("snappy", "gzip", "zstd", "brotli", "lz4", "none"):
        table(compression=codec)(tmp_path / f"{codec}.parquet")
        assert len(list(open_rows(Spec((f"{codec}.parquet",)), tmp_path))) == 3
