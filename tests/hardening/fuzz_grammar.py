"""Whole specs out of the JSON Schema that the models give, sound but for a few hostile values, keys and shapes.

What is only mutated seldom gets beyond the first check: here, names resolve and fields are known, so that one wrong
thing meets the code that looks at it.
"""

from __future__ import annotations

import json
import random
from collections.abc import Callable
from functools import cache
from typing import Any

from runner.spec.schema import schema


class Raw(str):
    """YAML as it is to stand there; without line breaks."""


def _text(value: str) -> Raw:
    return Raw(json.dumps(value))


LONG = (
    "a" * 50_000 + "!", " " * 30_000 + "x", "{{" * 5000, "{{ " + " " * 20_000, "bearer " * 3000,
    "password:" + " " * 9000,
    "sk-" * 8000, "://" + "a" * 20_000, "-" * 20_000, "/" * 20_000, "a/" * 10_000, "/a" * 9000 + "!", "[" * 3000,
    "*a" * 2000, "**/" * 500 + "x.csv", "?" * 3000, "https://" + "a." * 5000, "http://[" + ":" * 5000, "\\" * 9000,
    "token: " * 2000, "e\u0301" * 3000, "1" * 4301, "." * 9000, "{{ a }}" * 3000, "=" * 9000,
    "Bearer " + "a" * 9000 + "!",
    "*/" * 3000 + "x.csv", "*" * 300 + "a.csv", "*?" * 200 + "b/", "[!a]" * 300, "**/*/" * 60, "_key: " * 3000,
)  # fmt: skip
TEMPLATES = (
    "{{ 'a' * 10**9 }}", "{% for i in range(10**9) %}{{ i }}{% endfor %}", "{{ " + "(" * 200 + "1" + ")" * 200 + " }}",
    "{{ 1" + "+1" * 3000 + " }}", "{{ a" + ".b" * 3000 + " }}", "{{ a" + "|upper" * 900 + " }}", "{% if a %}" * 300,
    "{% macro a() %}{{ a() }}{% endmacro %}{{ a() }}", "{% raw %}", "{% include 'x' %}", "{% import 'x' as y %}",
    "{{ x|attr('__class__') }}", "{{ ''.__class__.__mro__ }}", "{{ a", "a }}", "{%", "{# ", "{{ }}", "{{ model }}",
    "{{ 9" + "9" * 5000 + " }}", "{{ '\\ud800' }}", "{{ '\\N{DIGIT ONE}' }}", "{% set a = 1 %}{{ a }}", "{{ row }}",
    "{{ nosuch }}", "{{ a if b }}", "{% block x %}{% endblock %}", "{{ a.b.c }}", "{{ a['b'] }}", "{{{ a }}}",
)  # fmt: skip
VALUES: tuple[Raw, ...] = (
    *map(Raw, (
        "", "~", "null", "true", "NO", "-0", "0", "-1", "3.0", "3.10", "1e400", "-1e400", ".nan", ".inf", "-.inf",
        "0x1F",
        "0o17", "017", "1_000", "12:30:45", "2026-01-01", "2026-01-01T00:00:00Z", "9" * 300, "9" * 400, "9" * 5000,
        "0x" + "f" * 390, "1" * 19, "18446744073709551616", "-9223372036854775809", "1e-400", "+.5", "1.", "[]", "{}",
        "[~]", "{a: ~}", "[[]]", "{a: {b: {c: d}}}", "[1, x, true]", "[" * 40 + "]" * 40, "[" * 70 + "]" * 70,
        "[" * 1500, "{a: " * 1500,
        "{a: " * 40 + "}" * 40, "{a: " * 70 + "}" * 70, "!!binary aGVsbG8=", "!!python/object/apply:os.system [id]",
        "!!set {a, b}", "!!omap [a: 1]", "!!timestamp 2026-01-01", "!!float 3", "!!int x", "!!str", "!!str 3",
        "!!null x",
        "!!bool yes", "!<tag:yaml.org,2002:int> 3", "!own x", "! x", "&a x", "*a", "*nobody", "&c [*c]", "<<", "@x",
        "`x`",
        "%x", "{{ a }}", "{a, b}", "'", '"', "|", ">", "- x", "? x", "x: y", "#x", "[x", "{x", "'x' y", '"\\q"',
        '"\\ud800"', '"\\U00110000"', '"\\x00"', '"\\u2028\\x1b[2J"', '"\\xff"', "\u202e", "\ufeff", "\ud800", "\x85",
        "\x00",
        "24h", "0h", "90m", "999999999d", "24:00", "-24h", "24 h", "8761h", "365d", "openai", "nobody", "embedded",
        "http://127.1/v1", "http://0x7f000001/v1", "http://[::1]/v1", "http://[::1", "https://a:99999/v1", "https://",
        "https://u:p@host/v1", "https://host/v1?q=1#f", "https://xn--a/v1", "https://\u2177.example/v1", "ftp://x/v1",
        "http://localhost:1/v1", "https://host/%2e%2e/v1", "//host/v1", "file:///etc/passwd", "https://host", "chat",
    )),
    *map(_text, (
        "", " ", "\n", "\0", "\x1b]0;x\x07", "\u202e", "a\nb: c", "../x.jsonl", "/etc/passwd", "a\\b.csv", "CON",
        "~/x.csv",
        "x" * 300 + ".csv", "d/" * 1500 + "x.csv", "specs/fuzzed.yaml", "specs/more.yml", ".runner/x.jsonl",
        ".RUNNER/x/",
        "link/x.jsonl", "link/passwd", "link/*.csv", "data/../../x.csv", "data/rows.csv", "data", "out/folder.jsonl",
        "./",
        "prompts/latin.md", "prompts/empty.md", "prompts/deep.md", "prompts", "prompts/none.md", "data/broken.jsonl",
        "**",
        "**/*", "*.csv", "data/*", "[a", "[]", "[!]", "[z-a].csv", "x.csv.gz.zst", ".csv", "a.CSV", "\u00e9.csv",
        "a//b.csv",
        "sk-proj-a1B2c3D4e5F6g7H8i9J0", "Bearer a1B2c3D4e5F6g7H8i9J0", "https://user:pass@host/x", *TEMPLATES,
    )),
)  # fmt: skip
KEYS = (
    "<<", "? ", "~", "3", "true", "3.0", "''", '"\\0"', '"\\ud800"', "x" * 300, "x" * 2000, "[a]", "{a: b}",
    "{{ a }}", "&k k",
    "*a", "!!str k", "!x k", "x-anchors", "__class__", "constructor", "'a b'", "-", "model", "output", "user",
    "api_key",
    "jobs", "version", "\u202e", "é", "\u200b", "Models", "modles", "K" + "k" * 99, "k" * 101, "a.b", ".a", "a/b",
    "CON",
)  # fmt: skip
_NAMES = {
    "models": ("m", "m2", "ears"), "datasets": ("d", "d2"), "prompts": ("p", "p2"), "jobs": ("j", "k", "cells", "hear"),
    "providers": ("own", "fire", "openai", "azure", "phones"),
}  # fmt: skip
_FIELDS: dict[str, tuple[str, ...]] = {
    "model": ("m", "m2"), "dataset": _NAMES["datasets"], "prompt": _NAMES["prompts"],
    "provider": ("embedded", "openai", "fireworks", "fireworks-audio", "groq", "azure", *_NAMES["providers"]),
    "name": ("echo", "whisper-v3", "gpt-5"), "files": ("data/rows.csv", "data/*.jsonl", "data/rows.jsonl",
    "a/**/*.csv"),
    "audio": ("calls/*.wav", "a/b.mp3"), "exclude": ("*.tmp", "calls/old"), "file": ("prompts/question.md",
    ) * 5 + ("prompts/fuzzed.md",),
    "user": ("What is {{ a }}?", "{{ a | upper }}", "text"), "system": ("Be brief.",), "content": ("{{ a }}", "text"),
    "output": ("out/{{ model }}{{ dataset }}{{ prompt }}{{ replicate }}{{ window }}.jsonl", "out/x.csv", "heard/",
    "out/y.parquet"),
    "id": ("a", "{{ a }}-{{ b }}"), "where": ("{{ a }}", "{{ a | int > 1 }}"),
    "base_url": ("https://api.example.com/v1",
    "http://localhost:8000/v1", "https://api.example.com"), "api_key_env": ("MY_KEY",), "language": ("en", "de"),
    "path": ("v1/audio/transcriptions",), "header": ("api-key",), "default": ("24h", "48"), "project": ("fuzz",),
    "response_format": ("verbose_json", "text", "srt"), "account": ("acme",), "role": ("user", "system"),
}  # fmt: skip
_ALWAYS = {"SpecFile": ("models", "datasets", "prompts", "jobs", "providers")}
# fields of which one group is there
_ONE_OF: dict[str, tuple[tuple[str, ...], ...]] = {
    "PromptSpec": (("user",), ("messages",), ("file",), ("user", "system")),
    "PriceSpec": (("input", "output"), ("per_minute",)),
    "JobSpec": (("dataset", "prompt", "model"),),
}
# what goes with the name of an entry, and what does not
_FIT: dict[str, dict[str, tuple[Any, ...]]] = {
    "m": {"provider": ("embedded",), "price": ({"input": 1, "output": 2},)},
    "m2": {"provider": ("openai", "own", "groq", "fire", "azure")},
    "ears": {"provider": ("phones", "embedded", "fireworks-audio"), "name": ("whisper-v3", "whisper-v3-turbo")},
    "j": {"model": ("m", "m2"), "output": ("out/j.jsonl", "out/j.csv", "j.parquet")},
    "k": {"model": ("m", "m2"), "output": ("out/k.jsonl", "out/{{ model }}.csv")},
    "cells": {
        "output": ("o/{{ model }}{{ dataset }}{{ prompt }}{{ replicate }}{{ window }}.csv",),
        "matrix": (
            {"model": ["m", "m2"], "prompt": ["p"], "dataset": ["d"]},
            {"model": ["m"], "prompt": ["p", "p2"], "dataset": ["d", "d2"]},
            {"model": ["m"], "prompt": ["p"], "dataset": ["d"], "replicate": [1, 2, 3], "window": ["24h", "48h"]},
        ),
    },
    "hear": {"audio": ("calls/*.wav", ["a/b.mp3", "c/**"]), "model": ("ears",), "output": ("heard/", "heard.jsonl")},
    "own": {"kind": ("openai",), "base_url": ("https://api.example.com/v1", "http://localhost:8000/v1")},
    "fire": {"kind": ("fireworks",)}, "phones": {"kind": ("fireworks-audio",)},
    "azure": {"base_url": ("https://r.openai.azure.com/openai/v1",)},
}  # fmt: skip
_UNFIT: dict[str, tuple[str, ...]] = {
    "m": ("options", "endpoint"), "m2": ("options", "price", "endpoint"), "ears": ("endpoint", "price", "options",
    "params"),
    "j": ("audio", "exclude", "task", "matrix"), "k": ("audio", "exclude", "task", "matrix"),
    "cells": ("audio", "exclude", "task", "model", "prompt", "dataset", "replicate", "window"),
    "hear": ("dataset", "prompt", "matrix"), "own": ("profile", "overrides"), "fire": ("profile", "base_url",
    "overrides"),
    "phones": ("profile", "base_url", "overrides"), "azure": ("profile", "kind", "overrides"), "openai": ("profile",
    "kind", "base_url", "overrides"),
}  # fmt: skip
_TEXTS = ("text", "x", "x-1", "1")
_PROSE = ("user", "system", "content", "where")


@cache
def _schema() -> dict[str, Any]:
    return schema()


class _Maker:
    """One spec file. `hostility`: the share of values that are none of the expected."""

    def __init__(self, rng: random.Random, hostility: float | None = None) -> None:
        self._rng = rng
        self._hostility = rng.choice((0, 0, 0.01, 0.01, 0.03, 0.1) if hostility is None else (hostility,))
        self._definitions = _schema()["definitions"]
        self._anchors: list[str] = []

    def file(self) -> str:
        whole = self._properties(_schema()["properties"], "SpecFile", ())
        lines: list[str] = []
        self._block(whole, "", lines)
        if self._rng.random() < 0.02:
            lines.insert(
                self._rng.randrange(len(lines) + 1), self._rng.choice(("---", "...", "%YAML 1.1", "\t", "]", "- x"))
            )
        return "\n".join(lines) + self._rng.choice(("\n", "\n", "", "\r\n"))

    # -- values

    def _value(self, node: dict[str, Any], field: str) -> Any:
        rng = self._rng
        if rng.random() < self._hostility:
            return _text(rng.choice(LONG)) if rng.random() < 0.02 else rng.choice(VALUES)
        if "$ref" in node:
            name = node["$ref"].rpartition("/")[2]
            return self._object(self._definitions[name], name)
        if "allOf" in node:
            return self._value(node["allOf"][0], field)
        if "anyOf" in node:
            choices = [choice for choice in node["anyOf"] if choice != {"type": "null"} or rng.random() < 0.02]
            return self._value(rng.choice(choices), field)
        if "const" in node or "enum" in node:
            return rng.choice(node.get("enum") or [node["const"]])
        kind = node.get("type")
        return self._of_kind(rng.choice(kind) if isinstance(kind, list) and rng.random() < 0.02 else kind, node, field)

    def _of_kind(self, kind: Any, node: dict[str, Any], field: str) -> Any:
        rng = self._rng
        match kind:
            case "object":
                return self._object(node, field)
            case "array":
                return [self._value(node.get("items", {}), field) for _ in range(rng.choice((1, 1, 1, 2, 3)))]
            case "integer":
                return rng.choice(
                    (1, 2, 3, 10, node.get("maximum", 100), node.get("minimum", 0) - (rng.random() < 0.1))
                )
            case "number":
                return rng.choice((0, 0.5, 1, 2.5))
            case "boolean":
                return rng.random() < 0.5
            case "null" | None:
                return None if kind else rng.choice((1, "x", [1], {"a": "b"}, True))
        if "examples" in node:
            return rng.choice(("24h",) * 20 + ("7d", "48h"))
        return rng.choice(_FIELDS.get(field, _TEXTS))

    def _object(self, node: dict[str, Any], name: str) -> dict[str, Any]:
        if "properties" in node:
            return self._properties(node["properties"], name, node.get("required", ()))
        if "patternProperties" in node:
            (inner,) = node["patternProperties"].values()
            return self._named(inner, name)
        inner = node.get("additionalProperties")
        schema_of = inner if isinstance(inner, dict) else {}
        return {
            key: self._value(schema_of, key)
            for key in self._rng.sample(("a", "temperature", "max_tokens", "api-version"), 2)
        }

    def _named(self, inner: dict[str, Any], section: str) -> dict[str, Any]:
        """Entries of a section; what fields have to agree with others mostly do."""
        found = {}
        for name in _NAMES.get(section, ("x",)):
            value = self._value(inner, section)
            if isinstance(value, dict) and self._rng.random() < 0.97:
                value = {key: item for key, item in value.items() if key not in _UNFIT.get(name, ())}
                value |= {key: self._rng.choice(items) for key, items in _FIT.get(name, {}).items()}
            found[name] = value
        return found

    def _properties(self, properties: dict[str, Any], name: str, required: Any) -> dict[str, Any]:
        rng = self._rng
        needed, unfit = tuple(required), ()
        if name in _ONE_OF:
            needed += rng.choice(_ONE_OF[name])
            unfit = tuple(key for keys in _ONE_OF[name] for key in keys if key not in needed)
        needed += _ALWAYS.get(name, ())
        properties = {key: value for key, value in properties.items() if key not in unfit}
        share = rng.choice((0.0, 0.0, 0.05, 0.3))
        return {
            key: self._value(node, key) for key, node in properties.items() if key in needed or rng.random() < share
        }

    # -- YAML

    def _key(self, key: str) -> str:
        if self._rng.random() < self._hostility / 4:
            return self._rng.choice(KEYS)
        return key

    def _block(self, value: dict[str, Any], indent: str, lines: list[str]) -> None:
        """A mapping, a line for each key."""
        rng = self._rng
        for key, inner in value.items():
            head = f"{indent}{self._key(key)}:"
            if isinstance(inner, dict) and inner and not isinstance(inner, Raw) and rng.random() < 0.85:
                anchor = f"a{len(lines)}" if rng.random() < 0.04 else ""
                lines.append(f"{head} &{anchor}" if anchor else head)
                if self._anchors and rng.random() < self._hostility / 4:
                    lines.append(f"{indent}  <<: *{rng.choice(self._anchors)}")
                self._block(inner, indent + rng.choice(("  ", "  ", "    ", " ")), lines)
                if anchor and not self._anchors:
                    self._anchors.append(anchor)
            elif key in _PROSE and isinstance(inner, str) and not isinstance(inner, Raw) and rng.random() < 0.3:
                lines += [f"{head} {rng.choice(('|', '>', '|-', '>+', '|2'))}", f"{indent}  {inner}"]
            else:
                lines.append(f"{head} {self._flow(inner)}")

    def _flow(self, value: Any) -> str:
        rng = self._rng
        if self._anchors and rng.random() < self._hostility / 4:
            return f"*{rng.choice(self._anchors)}"
        if isinstance(value, Raw):
            return value
        if isinstance(value, dict):
            return "{" + ", ".join(f"{self._key(key)}: {self._flow(inner)}" for key, inner in value.items()) + "}"
        if isinstance(value, list):
            return "[" + ", ".join(map(self._flow, value)) + "]"
        return json.dumps(value, ensure_ascii=rng.random() < 0.5)


def _bomb(rng: random.Random) -> str:
    """Small files that mean a lot."""
    count = rng.choice((3, 3, 9, 9, 30, 30, 150))
    match rng.randrange(7):
        case 0:  # each ten of the one before
            lines = ["x-a0: &a0 [x, x, x, x, x, x, x, x, x, x]"]
            lines += [f"x-a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 10)}]" for n in range(1, min(count, 30))]
            return "\n".join(
                [*lines, f"models: {{m: {{provider: embedded, name: x, params: {{a: *a{len(lines) - 1}}}}}}}"]
            )
        case 1:  # merges of merges
            lines = ["x-a0: &a0 {a: b}"]
            lines += [f"x-a{n}: &a{n} {{<<: [*a{n - 1}, *a{n - 1}], k{n}: v}}" for n in range(1, count)]
            return "\n".join(lines)
        case 2:  # many cells
            numbers = ", ".join(map(str, range(1, count * 10)))
            windows = ", ".join(f"{n}h" for n in range(1, 9))
            return _JOB % f"matrix: {{model: [m], replicate: [{numbers}], window: [{windows}]}}, output: '{_NAMED}'"
        case 3:  # many jobs that write one file
            jobs = "\n".join(
                f"  j{n}: {{dataset: d, prompt: p, model: m, output: out/x.csv}}" for n in range(count * 5)
            )
            return _NOUNS + "jobs:\n" + jobs
        case 4:  # many unknown names among many known
            models = "\n".join(f"  model-number-{n}: {{provider: embedded, name: x}}" for n in range(count * 5))
            jobs = "\n".join(f"  j{n}: {{model: model-numbr-{n}x, output: o{n}.csv}}" for n in range(count * 5))
            return f"models:\n{models}\njobs:\n{jobs}"
        case 5:  # many globs, many outputs
            files = ", ".join(f"'**/*{n}/**/*.jsonl'" for n in range(count))
            jobs = "\n".join(
                f"  j{n}: {{dataset: d, prompt: p, model: m, output: a/b/c/d/e/f{n}.jsonl}}" for n in range(count)
            )
            return _NOUNS.replace("data/rows.csv", f"[{files}]") + "jobs:\n" + jobs
        case _:  # many keys, many of them wrong
            word = rng.choice(("unknown_field", "'{{ a }}'", "3", "? [x]\n ", "a: &a {b: *a}\nx"))
            return "models:\n  m:\n" + "\n".join(f"    {word}{n}: x" for n in range(count * 10))


_NOUNS = """models: {m: {provider: embedded, name: echo}}
datasets: {d: {files: data/rows.csv}}
prompts: {p: "{{ a }}"}
"""
_JOB = _NOUNS + "jobs: {j: {dataset: d, prompt: p, %s}}"
_NAMED = "out/{{ model }}{{ replicate }}{{ window }}.csv"


def spec(rng: random.Random, between: bytes) -> bytes:
    """One or two spec files and perhaps the text of a prompt, with `between` between them."""
    chance = rng.random()
    if chance < 0.002:
        return _bomb(rng).encode()
    parts: list[Callable[[], str]] = [_Maker(rng).file]
    if chance < 0.06:
        parts.append(_Maker(rng).file)
    if chance < 0.03:
        parts.append(lambda: rng.choice((*TEMPLATES, *LONG)))
    return between.join(part().encode("utf-8", "surrogatepass") for part in parts)
