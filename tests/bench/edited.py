"""The floor of a pass over a dataset: decode, render, encode, write, and nothing else.

python edited.py ROWS.jsonl OUT
"""

from __future__ import annotations

import sys

import msgspec


def main(rows: str, out: str) -> None:
    decode, encode = msgspec.json.decode, msgspec.json.encode
    with open(rows, "rb") as source, open(out, "wb") as sent:
        for number, line in enumerate(source):
            row = decode(line)
            body = {
                "model": "echo",
                "max_tokens": 16,
                "messages": [{"role": "user", "content": f"Say {row['word']} of {row['topic']}"}],
            }
            sent.write(
                encode({"custom_id": f"row-{number}", "method": "POST", "url": "/v1/chat/completions", "body": body})
                + b"\n"
            )


if __name__ == "__main__":
    main(*sys.argv[1:])
