"""The bare loop the client is held against: read, encode, write, upload, wait, download, decode, write.

    python floor.py ROWS.jsonl URL KEY FOLDER

The same codec and the same HTTP library as the product; no digests, no state, no order, no checks.
"""

from __future__ import annotations

import sys
import time
from itertools import islice
from pathlib import Path
from typing import Any

import httpx
import msgspec

LARGEST_BATCH = 50_000  # rows that the remote takes in one
encode = msgspec.json.encode


def main(rows: Path, url: str, key: str, folder: Path) -> None:
    decode = msgspec.json.decode
    with httpx.Client(base_url=url, headers={"Authorization": f"Bearer {key}"}, timeout=60) as client:
        batches: list[dict[str, Any]] = []
        with open(rows, "rb") as source:
            while lines := list(islice(source, LARGEST_BATCH)):
                write(lines, LARGEST_BATCH * len(batches), folder / "input.jsonl")
                batches.append(sent(client, folder / "input.jsonl"))
        with open(folder / "results.jsonl", "wb") as results, open(folder / "output.jsonl", "wb+") as kept:
            for batch in batches:
                while batch["status"] != "completed":
                    time.sleep(0.5)
                    batch = client.get(f"batches/{batch['id']}").json()
                begun = kept.tell()
                with client.stream("GET", f"files/{batch['output_file_id']}/content") as reply:
                    for chunk in reply.iter_bytes():
                        kept.write(chunk)
                kept.seek(begun)
                for line in kept:
                    answer = decode(line)
                    text = answer["response"]["body"]["choices"][0]["message"]["content"]
                    results.write(encode({"custom_id": answer["custom_id"], "answer": text}) + b"\n")


def write(lines: list[bytes], first: int, path: Path) -> None:
    decode = msgspec.json.decode
    with open(path, "wb") as out:
        for number, line in enumerate(lines, first):
            row = decode(line)
            body = {
                "model": "echo",
                "max_tokens": 16,
                "messages": [{"role": "user", "content": f"Say {row['word']} of {row['topic']}"}],
            }
            request = {"custom_id": f"row-{number}", "method": "POST", "url": "/v1/chat/completions", "body": body}
            out.write(encode(request) + b"\n")


def sent(client: httpx.Client, path: Path) -> dict[str, Any]:
    """The batch of these lines, which was just made."""
    with open(path, "rb") as upload:
        file = client.post("files", data={"purpose": "batch"}, files={"file": ("input.jsonl", upload)}).json()
    asked = {"input_file_id": file["id"], "endpoint": "/v1/chat/completions", "completion_window": "24h"}
    batch: dict[str, Any] = client.post("batches", json=asked).json()
    return batch


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2], sys.argv[3], Path(sys.argv[4]))
