"""Requests as people read them: files in a few words, never as base64."""

from __future__ import annotations

import base64
import json

import pytest

from runner.apply.requesttext import text_of

DATA = bytes(range(256)) * 3
WORDS = "768 bytes, sha256 f3a25aa93aa2…"
ENCODED = base64.b64encode(DATA).decode()
URL = f"data:image/png;base64,{ENCODED}"
OURS = "data:image/png;base64,<a/cat.png, 48,211 bytes, sha256 ab12cd34ef56…>"


@pytest.mark.parametrize(
    ("part", "line"),
    [
        ({"type": "text", "text": "What is it?"}, "What is it?"),
        ({"type": "input_text", "text": "What is it?"}, "What is it?"),
        ({"type": "image_url", "image_url": {"url": URL}}, f"image: {WORDS}"),
        ({"type": "image_url", "image_url": {"url": OURS}}, "image: a/cat.png, 48,211 bytes, sha256 ab12cd34ef56…"),
        (
            {"type": "image_url", "image_url": {"url": "https://example.com/a.png", "detail": "low"}},
            'image: https://example.com/a.png {"detail": "low"}',
        ),
        ({"type": "input_image", "image_url": URL, "detail": "low"}, f'image: {WORDS} {{"detail": "low"}}'),
        ({"type": "file", "file": {"filename": "file.pdf", "file_data": URL}}, f"file: {WORDS}"),
        ({"type": "input_file", "filename": "file.pdf", "file_data": URL}, f"file: {WORDS}"),
        ({"type": "input_audio", "input_audio": {"data": ENCODED, "format": "wav"}}, f"audio: {WORDS}"),
        ({"type": "mine", "x": [{"data": ENCODED}]}, f'{{"type": "mine", "x": [{{"data": "<{WORDS}>"}}]}}'),
    ],
)
def test_parts_are_shown_in_words(part: object, line: str) -> None:
    body = {"messages": [{"role": "user", "content": [part]}]}
    assert text_of(json.dumps({"custom_id": "a", "body": body}).encode()) == ("user:", f"  {line}")
