"""Everything else that reads what somebody else may have written: rows, recordings, results, templates, our memory."""

from __future__ import annotations

import gzip
import hashlib
import io
import os
import struct
import zlib
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from datetime import UTC, datetime
from typing import Any, NamedTuple

import msgspec

from runner.compile.parse import parse as parse_template
from runner.data import contents, rows
from runner.errors import DataError, Mark, Problem, SpecError, StateError
from runner.job.calls import CallEntry, CallStep
from runner.job.observed import Origin
from runner.job.outcomes import Outcome
from runner.job.recorded import Batch, JobRecord, ProjectRecord, Retry
from runner.job.source import Source
from runner.job.wireid import coded
from runner.remotes.reading import lines
from runner.remotes.reading.verdict import Unreadable
from runner.results.names import RESULTS
from runner.results.ours import Ours
from runner.results.own import may_be_sent, read_own
from runner.state import commits
from runner.state.base import Document
from runner.state.base import Documents as Stored
from runner.state.disk import seal, unseal
from runner.state.journal import DiskJournal
from runner.state.records import PROJECT, Records, key_of
from tests.data import sounds
from tests.hardening.fuzz_grammar import TEMPLATES
from tests.hardening.fuzz_loader import Loader
from tests.hardening.fuzz_target import Ending, Target, Wrong, raised_by
from tests.squeeze import squeezed

_MOST_ROWS = 200_000


class _Rows(NamedTuple):
    """A dataset of one file."""

    key: str
    files: tuple[str, ...]
    mark: Mark = Mark("specs/a.yaml", 1, 1)
    skip_bad: bool = False
    delimiter: str | None = None
    is_ours: bool = False
    are_paths: bool = False


class _Dataset(Target):
    """One form of rows."""

    suffix = ""

    def run(self, data: bytes) -> Ending:
        (self.root / f"rows{self.suffix}").write_bytes(data)
        count = 0
        try:
            for row in rows.open_rows(_Rows("d", (f"rows{self.suffix}",)), self.root):
                if not all(isinstance(name, str) for name in row.row) or not row.json:
                    raise Wrong("a row without names, or without JSON")
                count += 1
                if count > _MOST_ROWS:
                    break
        except DataError as error:
            if error.mark is None or not error.mark.file:
                raise Wrong(f"no place: {error.message}") from error
            return raised_by(error)
        return Ending("rows" if count else "no rows")


class Jsonl(_Dataset):
    name = "jsonl"
    suffix = ".jsonl"
    tokens = (
        b'{"a": ',
        b'"a"',
        b'"\\ud800"',
        b"1e400",
        b"{",
        b"}",
        b'\n{"a": 1}\n',
        b"[" * 2000,
        b'{"a":' * 2000,
        b"tru",
    )

    def seeds(self) -> list[bytes]:
        return [
            b'{"a": 1, "b": "x"}\n{"a": 2.5, "b": null}\n',
            b'{"a": {"b": [1, {"c": true}]}}\r\n\r\n{"a": "\\u00e9\\n"}',
            b'{"a": 12345678901234567890123, "a": 1e300}\n{}\n',
            "\ufeff{\"é\": \"\U0001f600\"}\n".encode(),
        ]  # fmt: skip


class Csv(_Dataset):
    name = "csv"
    suffix = ".csv"
    tokens = (b",", b'"', b'""', b"\n", b"\r", b'"x\ny"', b"a,b\n", b",,,,,", b'"' * 2000)

    def seeds(self) -> list[bytes]:
        return [
            b"a,b\n1,2\n3,4\n",
            b'a,b\r\n"x, y","line\nbreak"\r\n"",""\r\n',
            "\ufeffé,ß\nü,ö\n".encode(),
            b"a\n\n1\n",
        ]


class Packed(_Dataset):
    """Rows of a compressed file."""

    name = "packed"
    suffix = ".jsonl.gz"

    def seeds(self) -> list[bytes]:
        line = b'{"a": 1, "b": "x"}\n'
        return [gzip.compress(line * count, mtime=0) for count in (0, 1, 50, 5000)]


class PackedZstd(_Dataset):
    name = "packed-zstd"
    suffix = ".jsonl.zst"

    def seeds(self) -> list[bytes]:
        line = b'{"a": 1, "b": "x"}\n'
        return [squeezed(line * count) for count in (0, 1, 50, 5000)]


class Parquet(_Dataset):
    name = "parquet"
    suffix = ".parquet"
    memory_bytes = 1 << 30  # Arrow takes what a header asks for

    def seeds(self) -> list[bytes]:
        import pyarrow as pa
        import pyarrow.parquet as pq

        columns: dict[str, list[Any]] = {
            "a": [1, None, 3], "b": ["x", "", None], "c": [1.5, None, 2.0], "d": [[1, 2], None, []],
            "e": [{"f": 1}, None, {"f": None}], "g": [datetime(2026, 1, 1, tzinfo=UTC)] * 3, "h": [True, False, None],
            "i": [b"x", None, b"y"],
        }  # fmt: skip
        found = []
        for names, compression in (("ab", "none"), ("abc", "snappy"), ("abcdegh", "zstd"), ("i", "gzip")):
            out = io.BytesIO()
            pq.write_table(pa.table({name: columns[name] for name in names}), out, compression=compression)
            found.append(out.getvalue())
        return found


class Audio(Target):
    """What a recording is, and how long it lasts."""

    name = "audio"
    tokens = (b"RIFF", b"WAVEfmt ", b"data", b"fLaC", b"OggS", b"ID3\x04", b"ftypM4A ", b"moov", b"mvhd", b"FORM",
    b"AIFF",
              b"COMM", b"\xff\xfb\x90", b"Xing", b"\xff\xff\xff\xff", b"\0\0\0\0", b"\0\0\0\x01", b"\x1aE\xdf\xa3",
              b"\0" * 5000)  # fmt: skip

    def seeds(self) -> list[bytes]:
        made = [getattr(sounds, name) for name in dir(sounds) if not name.startswith("_")]
        found = []
        for make in made:
            with suppress(TypeError):
                data = make() if callable(make) else make
                found += [data] if isinstance(data, bytes) else []
        head = b"RIFF\x24\x08\0\0WAVEfmt \x10\0\0\0\x01\0\x01\0\x40\x1f\0\0\x80\x3e\0\0\x02\0\x10\0data\0\x08\0\0"
        mp4 = b"\0\0\0\x18ftypM4A \0\0\0\0M4A mp42isom\0\0\0\x74moov\0\0\0\x6cmvhd" + b"\0" * 12
        more = [
            head + b"\0" * 2048,
            b"fLaC\0\0\0\x22" + bytes(34),
            b"ID3\x04\0\0\0\0\0\x0a" + b"\0" * 10,
            b"#!AMR\n" + b"<" * 50,
        ]
        more += [b"FORM\0\0\0\x2eAIFFCOMM\0\0\0\x12\0\x01\0\0\x04\0\0\x10\x40\x0b\xfa\0\0\0\0\0\0\0", mp4 + bytes(96)]
        more += [
            (b"\xff\xfb\x90\0" + bytes(413)) * 6,
            b"OggS\0\x02" + bytes(20) + b"\x01\x13OpusHead\x01\x01" + bytes(40) + b"OggS\0\x04" + bytes(40),
        ]
        return [*found, *more]

    def run(self, data: bytes) -> Ending:
        path = self.root / "a.wav"
        path.write_bytes(data)
        try:
            content = contents.read(os.fspath(self.root), contents.stamp_of("a.wav", path.stat()))
        except DataError as error:
            return raised_by(error)
        if content.sha256 != hashlib.sha256(data).digest():
            raise Wrong("another hash")
        if content.seconds is not None and not 0 < content.seconds < 1e7:
            raise Wrong(f"{content.seconds} s")
        return Ending(f"{content.format} {'of known length' if content.seconds else ''}".strip())


class Template(Target):
    """A template of a prompt, as far as it can be judged without a row."""

    name = "template"
    tokens = (b"{{ ", b" }}", b"{% if a %}", b"{% endif %}", b"{% for x in y %}", b"{% endfor %}", b"|upper", b"+1",
    b".b",
              b"(", b")", b"[0]", b"['x']", b"{# ", b" #}", b"{%- ", b" -%}", b"{% set a = ", b"{% macro a() %}",
              b"\\N{x}",
              b"{% raw %}", b"loop.index", b" and a", b" if b else c", b" is defined", b"\\x", b"'\\ud800'", b"**",
              b"~")  # fmt: skip

    def seeds(self) -> list[bytes]:
        sound = (
            "Hi {{ name }}",
            "{% for x in row.items() %}{{ loop.index }}{{ x | upper }}{% endfor %}",
            "{{ a | default('b') }}",
        )
        return [text.encode() for text in (*sound, *TEMPLATES)]

    def run(self, data: bytes) -> Ending:
        try:
            parse_template(Source(data.decode("utf-8", "replace"), Mark("specs/a.yaml", 1, 1), "prompt `p`"))
        except SpecError as error:
            return _problems(error.problems)
        return Ending("template")


def _problems(problems: tuple[Problem, ...]) -> Ending:
    if not problems or not all(problem.message and problem.mark.line for problem in problems):
        raise Wrong("no words or no place")
    return Ending("SpecError", tuple(problem.message for problem in problems))


class Lines(Target):
    """Lines of raw result files, and of results that we wrote, each by itself."""

    name = "lines"
    tokens = (b'"custom_id": ', b'"response": ', b'"error": ', b'"status_code": ', b'"body": ', b'"usage": ',
    b'"choices": []',
              b"NaN", b"[" * 2000, b'{"a":' * 2000, b'"\\ud800"', b"200", b'"200"', b"1e999", b"9" * 400,
              b'"digest": ')  # fmt: skip

    def seeds(self) -> list[bytes]:
        body = {"choices": [{"message": {"content": "x"}}], "usage": {"prompt_tokens": 3}}
        own = {"digest": "0" * 64, "origin": "o", "custom_id": "r1", "batch": "b", "answer": "x", "error": None}
        made: list[Any] = [
            {"custom_id": f"r{coded(bytes(16))}", "response": {"status_code": 200, "body": body}, "error": None},
            {"custom_id": "r", "response": body, "error": None},
            {"custom_id": "r", "response": {"status_code": 429, "body": {"error": {"code": "x", "message": "m"}}}},
            {"custom_id": "r", "response": None, "error": {"code": 4, "message": [1], "status": "500"}},
            {"custom_id": "r", "method": "POST", "url": "/v1/x", "body": {}},
            own,
            {**own, "error": {"code": "unknown", "status": 400, "retryable": False}, "answer": None},
        ]
        return [msgspec.json.encode(line) for line in made]

    def run(self, data: bytes) -> Ending:
        said = []
        kind = "unreadable"
        for line in data.split(b"\n")[:100]:
            for read in (lines.parse, lines.plain, read_own, lines.tree_of):
                try:
                    found: Any = read(line)
                except Unreadable as error:
                    if not str(error).isprintable():
                        raise Wrong("words that steer a terminal") from error
                    said.append(str(error))
                else:
                    kind = "read"
                    if read is read_own:
                        may_be_sent(found[0])
        return Ending(kind, tuple(said))


class Listed(Target):
    """A folder's `_results.jsonl` and the notes beside it."""

    name = "listed"
    tokens = (
        b'"transcript": ',
        b'"file": ',
        b'"sha256": ',
        b'"digest": "0"',
        b'"origin": "o"',
        b'"../../x"',
        b"[" * 2000,
        Loader.tokens[-1],
    )

    def seeds(self) -> list[bytes]:
        line = {"digest": "0" * 64, "origin": "o", "file": "a.wav", "transcript": "a.wav.txt", "sha256": "0" * 64}
        return [msgspec.json.encode(line) + b"\n" + msgspec.json.encode({**line, "transcript": None}) + b"\n", b"{}\n"]

    def run(self, data: bytes) -> Ending:
        for name in (RESULTS, "._results.written"):
            (self.root / name).write_bytes(data)
        try:
            with Ours(self.root) as ours:
                left = list(ours.left())
        except DataError as error:
            return raised_by(error)
        return Ending("listed" if left else "nothing listed")


class _OneStore:
    """A store that holds one sealed document, under every key that a record could have."""

    def __init__(self, key: str, sealed: str) -> None:
        self._key, self._sealed = key, sealed

    def read(self) -> Stored:
        document = unseal(self._key, self._sealed)
        return Stored(1, {self._key: document, PROJECT: document})

    def write(self, changes: Mapping[str, Document | None], expected: int, events: Sequence[Document] = ()) -> int:
        raise AssertionError("read only")

    def events(self) -> Iterator[Document]:
        return iter(())

    def close(self) -> None:
        pass


class Documents(Target):
    """Records of the state whose checksum is right, whatever they say."""

    name = "documents"
    tokens = (b'"schema":1', b'"schema":2', b'"key":', b'"2026-01-01T00:00:00Z"', b'"stage":"intent"', b"1e999",
    b"null", b"[]",
              b"{}", b"[" * 2000, b"-1", b"true", b'"phase":"running"', b"9" * 30)  # fmt: skip

    def seeds(self) -> list[bytes]:
        now, origin = datetime(2026, 1, 1, tzinfo=UTC), Origin("openai", "https://x/v1", "")
        batch = Batch("k-1", "p", "j", origin, "/v1/x", "m", 24, 1, 1, "0" * 64, 1, 0, 1, now)
        records = (batch, JobRecord("j", "s.yaml", "openai", "sets/0", 1), Retry(1, "j", "sets/0", 1, False, now))
        found = [*records, ProjectRecord("p", now, accepted_origins={"a": ["b"]})]
        sound = [f"{key_of(record)}\n".encode() + msgspec.json.encode(record) for record in found]
        return [*sound, b'job/j\n{"address":"j","error":' + b"[" * 3000]

    def run(self, data: bytes) -> Ending:
        key, _, text = data.decode("utf-8", "replace").partition("\n")
        sealed = f"{hashlib.sha256(text.encode()).hexdigest()[:16]} {text}"
        records = Records(_OneStore(key, sealed))
        said, kind = [], "refused"
        for read in (records.batches, records.jobs, records.retries, records.project, lambda: records.batch(key)):
            try:
                found = read()
            except StateError as error:
                said.append(error.message)
                if not error.hint:
                    raise Wrong("no way out") from error
            else:
                kind = "read" if found else kind
                with suppress(OverflowError):  # what was read can be written again
                    for record in found if isinstance(found, list) else ():
                        seal(msgspec.to_builtins(record))
        return Ending(kind, tuple(said))


class WaveJournal(Target):
    """The journal of a wave: as it is, or with its checksums put right so that its entries are read."""

    name = "journal"
    rows = 9
    tokens = (b"\xf5\xc3", b"runner-wave/1\n\0\0", b"\xff" * 8, b"\0" * 8, b"\x02", b"\x03", b"\x01\0\0\0\0")

    def seeds(self) -> list[bytes]:
        head = commits.header(self.rows)
        identity = head[16:32]
        entries = [CallEntry(0, CallStep.INTENT), CallEntry(0, CallStep.RECEIPT, "job-1", "acme")]
        entries.append(CallEntry(1, CallStep.INTENT))
        answered = [CallEntry(0, CallStep.ANSWERED, outcome=Outcome.OK, offset=0, size=7), CallEntry(1, CallStep.HELD)]
        first = commits.commit(identity, len(head), entries)
        whole = head + first + commits.commit(identity, len(head) + len(first), answered)
        return [b"." + whole, b"." + head, b"+" + first[10:], b"+" + whole[len(head) + len(first) + 10 :], b"+"]

    def run(self, data: bytes) -> Ending:
        path, raw = self.root / "journal", self.root / "raw.jsonl"
        path.write_bytes(self._sealed(data[1:]) if data[:1] == b"+" else data[1:])
        raw.write_bytes(b'{"a":1}\n' * 4)
        try:
            journal = DiskJournal(path, raw, self.rows)
        except StateError as error:
            return raised_by(error)
        try:
            steps = [journal.states[row].step.name for row in range(self.rows)]
            for step in CallStep:
                if journal.states.count(step) != len(list(journal.states.at(step))):
                    raise Wrong("another count")
        finally:
            journal.close()
        return Ending("read", tuple(sorted(set(steps))))

    def _sealed(self, body: bytes) -> bytes:
        """A journal of one sound commit that holds these bytes as its entries."""
        head = commits.header(self.rows)
        checksum = zlib.crc32(body, zlib.crc32(head[16:32] + struct.pack("<QI", len(head), len(body))))
        return head + struct.pack("<2sII", b"\xf5\xc3", len(body), checksum) + body


_ALL: tuple[type[Target], ...] = (
    Loader, Jsonl, Csv, Packed, PackedZstd, Parquet, Audio, Template, Lines, Listed, Documents, WaveJournal,
)  # fmt: skip
TARGETS: Mapping[str, type[Target]] = {kind.name: kind for kind in _ALL}
