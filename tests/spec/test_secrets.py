"""What is taken for a literal key, and what is not."""

from __future__ import annotations

import pytest

from runner.spec.secrets import MASK, is_secret, literal_keys, redact

KEYS = [
    "sk-proj-A1b2C3d4E5f6G7h8J9k0",
    "sk-ant-api03-A1b2C3d4E5f6G7h8J9k0",
    "fw_3ZA1b2C3d4E5f6G7h8J9k0",
    "gsk_A1b2C3d4E5f6G7h8J9k0",
    "AKIAIOSFODNN7EXAMPLE99",
    "Bearer A1b2C3d4E5f6G7h8J9k0",
]
PLAIN = [
    "sk-learn-classification-tutorial",
    "risk-1234567890123456",
    "sk-short1",
    "a fw_ prefix",
    "Bearer of bad news in the year 2031",
    "accounts/fireworks/models/llama-v3p1-8b-instruct",
]


@pytest.mark.parametrize("key", KEYS)
def test_keys_are_found_and_masked_anywhere(key: str) -> None:
    for text in (key, f"name: {key} # old", f'x: "{key}"', f"[{key}]"):
        assert literal_keys(text)
        assert key.removeprefix("Bearer ") not in redact(text)
        assert MASK in redact(text)


@pytest.mark.parametrize("text", PLAIN)
def test_plain_text_is_left_alone(text: str) -> None:
    assert not literal_keys(text)
    assert redact(f"name: {text}") == f"name: {text}"


@pytest.mark.parametrize(
    ("key", "text", "expected"),
    [
        ("api_key", "x", True),
        ("apiKey", "anything", True),
        ("api_key", "", False),
        ("password", "correct horse battery", False),
        ("password", "p4ssw0rd-A1b2C3d4E5", True),
        ("auth_token", "9f8a7b6c5d4e3f2a1b0c", True),
        ("token", "{{ token }} 1234567890123", False),
        ("secret", "$MY_SECRET_1234567890", False),
        ("max_tokens", "9f8a7b6c5d4e3f2a1b0c", False),
        ("key_field", "9f8a7b6c5d4e3f2a1b0c", False),
        ("name", "9f8a7b6c5d4e3f2a1b0c", False),
    ],
)
def test_fields_named_like_keys(key: str, text: str, expected: bool) -> None:
    assert is_secret(key, text) is expected


@pytest.mark.parametrize(
    "line",
    [
        "    api_key: hunter2",
        "{'api_key': 'hunter2', x: 1}",
        "password: hunter2hunter3hunter4x9",
        "https://me:hunter2@example.com/v1",
    ],
)
def test_lines_are_masked(line: str) -> None:
    assert "hunter" not in redact(line)
