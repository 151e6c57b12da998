"""What files of data are called: the suffixes that are read, and what to do with others."""

from __future__ import annotations

import posixpath

FORMATS = (".jsonl", ".ndjson", ".csv", ".tsv", ".parquet")
COMPRESSIONS = (".gz", ".zst")

_EACH = "where each of them is to be a row, write `paths` instead of `files`"
_SAVE = "open it and save the sheet as `CSV UTF-8`"
_WAYS = {
    ".json": "write one object a line: `jq -c '.[]' OLD.json > NEW.jsonl`",
    ".xlsx": _SAVE,
    ".xls": _SAVE,
    ".ods": _SAVE,
    ".numbers": _SAVE,
    ".txt": "if it is a table, call it `.csv` or `.tsv`",
    ".tab": "call it `.tsv`",
    ".jl": "call it `.jsonl`",
    ".pq": "call it `.parquet`",
    ".feather": "write it as `.parquet`",
    ".arrow": "write it as `.parquet`",
    ".avro": "write it as `.parquet` or `.jsonl`",
    ".zip": "unpack it, and name the files in it",
    ".bz2": "unpack it with `bunzip2`",
    ".xz": "unpack it with `unxz`",
    **dict.fromkeys((".png", ".jpg", ".jpeg", ".gif", ".webp", ".pdf", ".wav", ".mp3"), _EACH),
}


def kind_of(path: str) -> tuple[str, str]:
    """(format, compression) by suffix, in any case; an unknown format is told as it is, and each may be empty."""
    stem, suffix = posixpath.splitext(posixpath.basename(path).lower())
    packing = suffix if suffix in COMPRESSIONS else ""
    return (posixpath.splitext(stem)[1] if packing else suffix), packing


def way_to_data(path: str) -> str:
    """What to do with a file whose suffix is of no format that is read."""
    usual = "files end in .jsonl, .ndjson, .csv, .tsv or .parquet, and may add .gz or .zst"
    way = _WAYS.get(posixpath.splitext(path.lower())[1])
    return f"{way}; {usual}" if way else usual
