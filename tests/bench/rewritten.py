"""The floor of results written again: decode each row and an answer, encode both in one line, and nothing else.

python rewritten.py ROWS.jsonl ANSWERS.jsonl OUT
"""

from __future__ import annotations

import sys

import msgspec


def main(rows: str, answers: str, out: str) -> None:
    decode, encode = msgspec.json.decode, msgspec.json.encode
    with open(rows, "rb") as source, open(answers, "rb") as got, open(out, "wb") as results:
        for line, raw in zip(source, got, strict=True):
            row, answer = decode(line), decode(raw)
            body = answer["response"]["body"]
            text = body["choices"][0]["message"]["content"]
            found = {"custom_id": answer["custom_id"], "row": row, "answer": text, "response": body, "error": None}
            results.write(encode(found) + b"\n")


if __name__ == "__main__":
    main(*sys.argv[1:])
