"""Compiled jobs on disk, so that a plan of unchanged specs and datasets renders nothing.

A file is one JSON line and the packed arrays. It is a cache: whatever does not match exactly, is cut or is damaged
counts as not there. Of a dataset that changed, what was compiled of its segments may still hold, see `blocks`.
"""

from __future__ import annotations

import hashlib
import io
import os
from array import array
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import IO, Any

import msgspec

from runner import files
from runner.compile.blocks import Before, Packed, Pieces, Share
from runner.compile.compiled import KEY_BYTES, REST_BYTES, Wanted
from runner.compile.stamps import NO_STAMPS, Stamps
from runner.data.files import content_digest, signature
from runner.data.segments import Segment
from runner.data.source import FileStamp
from runner.errors import DataError, SpecError
from runner.files import sha256_of
from runner.job.infile import InFile, Run, left_in, pieces
from runner.job.params import params_of
from runner.job.project import Job, Message
from runner.remotes.vendor import Lines

SCHEME = "runner-compiled/3"  # of the file
_IDENTITY = "runner-compiled/1"  # results files on record were made of jobs with this tag
_RACY_NS = 50_000_000  # a file written this shortly before the cache may have changed within one clock tick
_PIECE = 1 << 20
_MAX_HEADER = 1 << 20

DigestOf = Callable[[Path], bytes]  # SHA-256 of a file


class Parts(msgspec.Struct, frozen=True):
    """What a file holds. `rest` has the second halves of the digests from `rest_at` on; positions: of the wanted rows
    in the dataset, None where every row is wanted."""

    stamps: tuple[FileStamp, ...]
    wanted: Wanted
    positions: array[int] | None
    rest: IO[bytes]
    rest_at: int
    bad: int = 0  # rows that were left out
    notes: tuple[str, ...] = ()
    content: str = ""  # SHA-256 of what the dataset's files hold; empty where nobody has asked yet
    pieces: Pieces | None = None  # where it was read in segments, and nobody took them out
    inlined: Stamps = NO_STAMPS  # of the files that requests hold


class _Header(msgspec.Struct, forbid_unknown_fields=True):
    scheme: str
    identity: str
    lines: str  # how they are made
    stamps: list[FileStamp]
    content: str  # SHA-256 of what the dataset's files hold
    rows: int
    tokens: int
    distinct: int  # how many keys there are
    has_positions: bool
    has_ids: bool
    modulus: int  # of the hashes of ids
    pieces_bytes: int  # 0: there are none
    bad: int
    notes: tuple[str, ...]
    sha256: str  # of everything after the header's line
    inlined_bytes: int = 0  # of the list of files that requests hold
    inlined_sha256: str = ""  # of what these hold
    untold: int = 0
    longest_answer: int | None = None


def identity_of(job: Job, lines: Lines) -> str:
    """SHA-256 (hex) over all that a compiled job depends on besides its dataset's bytes.

    Names of jobs, datasets, prompts and files, window, output and price are not in it. Raises SpecError for params
    that cannot be sent.
    """
    dataset, prompt, model = job.dataset, job.prompt, job.model
    parts: list[Any] = [
        _IDENTITY,
        [model.provider, model.endpoint, model.name, params_of(job), job.replicate, *lines.identity(job)],
        [[message.role, _asked(message)] for message in prompt.messages],
        [prompt.response_format, prompt.tools],
        [dataset.id, dataset.where, dataset.sample_rows, dataset.sample_seed],
    ]
    if dataset.delimiter is not None or dataset.skip_bad:
        parts.append([dataset.delimiter, dataset.skip_bad])
    # what is new is added where it is there: jobs without it keep the identity that they had
    if prompt.beside_texts:
        parts.append(prompt.beside_texts)
    if model.places:
        parts.append([[place.path, place.reads] for place in model.places])
    if dataset.are_paths:
        parts.append("paths")
    # a lone surrogate in a prompt is refused by compile, with a better message than the encoder's
    text = repr(parts) if _has_surrogates(job) else msgspec.json.encode(parts).decode()
    return hashlib.sha256(text.encode()).hexdigest()


def write(path: Path, job: Job, lines: Lines, content: str, parts: Parts) -> None:
    """Write beside `path` and rename. content: digest of the dataset's files as they were compiled."""
    payload = hashlib.sha256()
    for piece in _payload(parts):
        payload.update(piece)
    header = _Header(
        scheme=SCHEME,
        identity=identity_of(job, lines),
        lines=lines.name,
        stamps=list(parts.stamps),
        content=content,
        rows=len(parts.wanted),
        tokens=parts.wanted.tokens,
        distinct=len(parts.wanted.distinct_keys()) // KEY_BYTES,
        has_positions=parts.positions is not None,
        has_ids=parts.pieces is not None and parts.pieces.ids is not None,
        modulus=parts.pieces.modulus if parts.pieces else 0,
        pieces_bytes=len(_listed(parts.pieces)),
        bad=parts.bad,
        notes=parts.notes,
        sha256=payload.hexdigest(),
        inlined_bytes=parts.inlined.size,
        inlined_sha256=parts.inlined.sha256,
        untold=parts.wanted.untold,
        longest_answer=parts.wanted.longest_answer,
    )
    with files.whole(path, mode=files.PRIVATE, is_durable=False) as out:
        out.write(msgspec.json.encode(header) + b"\n")
        out.writelines(_payload(parts))


def read(path: Path, job: Job, root: Path, lines: Lines, digest_of: DigestOf = sha256_of) -> Parts | None:
    """What `path` holds if it is sound, and of this job with its dataset as it is now; else None."""
    stamps = signature(job.dataset, root)
    try:
        with open(path, "rb") as file:
            saved_ns = os.fstat(file.fileno()).st_mtime_ns
            header = msgspec.json.decode(file.readline(_MAX_HEADER), type=_Header)
            if not _is_of(header, job, lines) or not _is_current(header, stamps, saved_ns, job, root, digest_of):
                return None
            parts = _parts(file, header, stamps)
            if parts is None or _are_current(parts.inlined, saved_ns, root):
                return parts
            parts.rest.close()
            parts.inlined.close()
            return None
    except (OSError, msgspec.MsgspecError, ValueError, RecursionError):
        return None


def _is_of(header: _Header, job: Job, lines: Lines) -> bool:
    try:
        identity = identity_of(job, lines)
    except SpecError:
        return False
    same = header.scheme == SCHEME and header.identity == identity and header.lines == lines.name
    return same and (header.rows > 0 or job.allow_empty)


def _is_current(
    header: _Header, stamps: tuple[FileStamp, ...], saved_ns: int, job: Job, root: Path, digest_of: DigestOf
) -> bool:
    # the clock of a file system ticks: a file written in the same tick as the cache may differ under equal stats
    is_racy = any(max(stamp.mtime_ns, stamp.ctime_ns) > saved_ns - _RACY_NS for stamp in stamps)
    if tuple(header.stamps) == stamps and not is_racy:
        return True
    # cheaper than hashing them, and certain
    if [stamp.size for stamp in header.stamps] != [stamp.size for stamp in stamps]:
        return False
    try:
        return content_digest(job.dataset, root, digest_of) == header.content
    except DataError:
        return False


def before_of(path: Path, job: Job, lines: Lines) -> Before | None:
    """What `path` holds of this job, whatever became of its dataset; None where it is not sound, or in one piece."""
    try:
        with open(path, "rb") as file:
            header = msgspec.json.decode(file.readline(_MAX_HEADER), type=_Header)
            if not header.pieces_bytes or not _is_of(header, job, lines):
                return None
            at = file.tell()
            parts = _parts(file, header, (), is_left_there=True)
    except (OSError, msgspec.MsgspecError, ValueError, RecursionError):
        return None
    if parts is None or parts.pieces is None:
        return None
    keys = InFile(parts.rest, at, header.rows * KEY_BYTES)
    distinct = InFile(parts.rest, at + len(keys), header.distinct * KEY_BYTES)
    ids = parts.pieces.ids
    packed = Packed(keys, parts.wanted.sizes, parts.positions, ids, parts.rest, parts.rest_at, distinct)
    return Before(packed, parts.pieces, parts.wanted.longest_answer)


def _parts(
    file: io.BufferedReader, header: _Header, stamps: tuple[FileStamp, ...], *, is_left_there: bool = False
) -> Parts | None:
    """The arrays after the header, if their digest is right. Raises ValueError when they are cut.

    is_left_there: keys are not held, only looked at, and `rest` is the file.
    """
    whole = hashlib.sha256()

    def take(size: int) -> bytes:
        data = file.read(size)
        if len(data) != size:
            raise ValueError("the file is cut short")
        whole.update(data)
        return data

    def skip(size: int) -> None:
        for start in range(0, size, _PIECE):
            take(min(_PIECE, size - start))

    def run(size: int) -> Run:
        if is_left_there:
            skip(size)
            return b""
        at = file.tell()
        skip(size)
        return left_in(open(os.dup(file.fileno()), "rb", buffering=0), size, at)

    def numbers(size: int) -> array[int]:
        found = array("Q" if size == 8 else "I")
        found.frombytes(take(rows * size))
        return found

    rows = header.rows
    keys = run(rows * KEY_BYTES)
    distinct = run(header.distinct * KEY_BYTES)
    sizes = numbers(4)
    positions = numbers(4) if header.has_positions else None
    ids = numbers(8) if header.has_ids else None
    listed = take(header.pieces_bytes)
    rest_at = file.tell()
    rest = b""
    for start in range(0, rows * REST_BYTES, _PIECE):
        rest = take(min(_PIECE, rows * REST_BYTES - start))
    inlined_at, size = file.tell(), header.inlined_bytes
    skip(size)
    if file.read(1) or whole.hexdigest() != header.sha256:
        return None
    wanted = Wanted(keys, sizes, header.tokens, header.untold, distinct, header.longest_answer)
    pieces = Pieces(*_decode_pieces(listed), ids, header.modulus) if listed else None
    # a descriptor and not the path: the cache may be cleared or renewed before the rows are asked for
    inlined = NO_STAMPS
    if size:
        copy = open(os.dup(file.fileno()), "rb")  # noqa: SIM115  # closed with the compiled job
        inlined = Stamps(copy, inlined_at, size, header.inlined_sha256)
    said = (header.bad, header.notes, header.content, pieces, inlined)
    # the last piece read is all of it
    if rows * REST_BYTES <= _PIECE and not is_left_there:
        return Parts(stamps, wanted, positions, io.BytesIO(rest), 0, *said)
    return Parts(stamps, wanted, positions, open(os.dup(file.fileno()), "rb"), rest_at, *said)


def _payload(parts: Parts) -> Iterator[bytes | array[int]]:
    yield from pieces(parts.wanted.keys)
    yield from pieces(parts.wanted.distinct_keys())
    yield parts.wanted.sizes
    if parts.positions is not None:
        yield parts.positions
    if parts.pieces is not None and parts.pieces.ids is not None:
        yield parts.pieces.ids
    yield _listed(parts.pieces)
    size = len(parts.wanted) * REST_BYTES
    for start in range(0, size, _PIECE):
        parts.rest.seek(parts.rest_at + start)
        yield parts.rest.read(min(_PIECE, size - start))
    yield from parts.inlined.pieces()


def _are_current(inlined: Stamps, saved_ns: int, root: Path) -> bool:
    """Whether the files that requests hold are as they were. What others hold now, compiling again finds out: it reads
    those alone."""
    if not inlined.size:
        return True
    from runner.data.inlined import is_as  # few jobs send files

    base = os.fspath(root)
    return all(max(one.mtime_ns, one.ctime_ns) <= saved_ns - _RACY_NS and is_as(base, one) for one in inlined)


def _asked(message: Message) -> str | list[list[Any]]:
    """The content of a message without its places."""
    if isinstance(message.content, str):
        return message.content
    return [[part.kind.value, part.template, part.detail, part.media_type, part.native] for part in message.content]


_decode_pieces = msgspec.msgpack.Decoder(tuple[list[Segment], list[Share]]).decode


def _listed(pieces: Pieces | None) -> bytes:
    """The segments as they are kept."""
    return b"" if pieces is None else msgspec.msgpack.encode((pieces.segments, pieces.shares))


def _has_surrogates(job: Job) -> bool:
    try:
        for message in job.prompt.messages:
            message.shown().encode()
    except UnicodeEncodeError:
        return True
    return False
