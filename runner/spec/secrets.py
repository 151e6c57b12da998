"""Literal keys in specs: found, refused, and never printed, whatever else is wrong with their line."""

from __future__ import annotations

import math
import re

MASK = "********"
MIN_SECRET = 16
KEY_HINT = "revoke it, it has been in a file; put a new one in the environment"

# Prefixes of the keys of well-known services, and a long tail. A body of plain words is no key.
_PREFIXES = (
    "sk-", "sk_live_", "sk_test_", "fw_", "gsk_", "xai-", "hf_", "pplx-", "ghp_", "gho_", "github_pat_", "glpat-",
    "csk-", "AKIA", "AIza",
)  # fmt: skip
_NAME_WORDS = ("key", "token", "secret", "password", "passwd", "authorization", "credential", "credentials")
_PREFIXED = re.compile(rf"(?<![A-Za-z0-9])(?:{'|'.join(_PREFIXES)})[A-Za-z0-9_-]{{16,}}")
_BEARER = re.compile(r"(?i)\bbearer\s+([A-Za-z0-9._~+/-]{16,}=*)")
_USERINFO = re.compile(r"(?<=://)[^/@\s\"']+@")
_KEY_NAME = re.compile(
    r"(?i)(?:^|[_-])(?:api[_-]?key|apikey|access[_-]?key|secret[_-]?key|private[_-]?key|auth[_-]?token|token"
    r"|secret|password|passwd|authorization|credentials?)$"
)
_KEY_LINE = re.compile(
    r"""(?ix) ( (?:^|[\s{,"'_-]) (?: api[_-]?key | access[_-]?key | secret[_-]?key | private[_-]?key
    | auth[_-]?token | token | secret | password | passwd | authorization | credentials? ) ["']? \s* : \s* )
    ( [^\s,}\]] [^,}\]]* )"""
)


# Found by looks (a known prefix and a body that no word has) and by names (a field called `api_key` with a value that
# was generated). Either alone would be wrong often: a prompt may speak of `sk-learn`, and a field called `token` hold a
# word.
def literal_keys(text: str) -> list[tuple[int, str]]:
    """Offset and text of everything that is a key by its own looks, comments included."""
    folded = text.lower()
    if not any(prefix in text for prefix in _PREFIXES) and "bearer" not in folded:
        return []
    found = [(m.start(), m.group()) for m in _PREFIXED.finditer(text) if _is_key_body(m.group())]
    return found + [(m.start(1), m.group(1)) for m in _BEARER.finditer(text) if _is_dense(m.group(1))]


def may_name_secrets(text: str) -> bool:
    """Whether a whole file is worth a look at the names of its fields; plain searches are cheap."""
    folded = text.lower()
    return any(word in folded and re.search(word + r"""["']?\s*:""", folded) for word in _NAME_WORDS)


def is_secret(key: str, text: str) -> bool:
    """Whether `text`, the value of a field named `key`, looks like a literal key or password."""
    return is_secret_name(key) and ((is_api_key_name(key) and bool(text)) or _is_dense(text))


def is_secret_name(name: str) -> bool:
    """Whether whatever has this name is a key or a password, by its name alone."""
    return bool(_KEY_NAME.search(name))


def is_api_key_name(key: str) -> bool:
    return re.fullmatch(r"(?i)api[_-]?key", key) is not None


def redact(text: str) -> str:
    """`text` with everything that looks like a key masked. Safe to print."""
    masked = _PREFIXED.sub(lambda m: MASK if _is_key_body(m.group()) else m.group(), text)
    masked = _USERINFO.sub(MASK + "@", _BEARER.sub(MASK, masked))
    return _KEY_LINE.sub(lambda m: m.group(1) + _hidden(m.group(1), m.group(2)), masked)


def _hidden(name: str, value: str) -> str:
    bare = value.strip().strip("\"'")
    if re.search(r"(?i)api[_-]?key", name) or _is_dense(bare):
        return MASK
    return value


def _is_key_body(found: str) -> bool:
    """Keys mix digits or cases; `sk-learn-classification-tutorial` does not."""
    return any(c.isdigit() for c in found) or (found.lower() != found and found.upper() != found)


def _is_dense(text: str) -> bool:
    """Long, without spaces or template marks, and with the entropy of something generated."""
    if len(text) < MIN_SECRET or re.search(r"[\s{}$<>]", text) or not any(c.isdigit() for c in text):
        return False
    counts = [text.count(c) / len(text) for c in set(text)]
    return -sum(share * math.log2(share) for share in counts) >= 3.0
