"""The fenced blocks of the pages, as a reader copies them."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[2]
PAGES = sorted([*(ROOT / "docs").rglob("*.md"), ROOT / "README.md", ROOT / "CONTRIBUTING.md"])
_OPENS = r"^(?P<indent> *)```(?P<language>[\w+-]*)(?: +title=\"(?P<title>[^\"]+)\")?[^\n]*\n"
_FENCE = re.compile(_OPENS + r"(?P<text>.*?)^(?P=indent)```$", re.M | re.S)


@dataclass(frozen=True)
class Block:
    """One block: `language` as the fence says, `title` the file that it is the content of, if it is one."""

    page: Path
    line: int
    language: str
    title: str
    text: str

    def __str__(self) -> str:
        return f"{self.page.relative_to(ROOT)}:{self.line}"


def blocks_in(page: Path) -> Iterator[Block]:
    text = page.read_text()
    for found in _FENCE.finditer(text):
        line = text.count("\n", 0, found.start()) + 1
        body = re.sub(f"^{found['indent']}", "", found["text"], flags=re.M)
        yield Block(page, line, found["language"], found["title"] or "", body)


def all_blocks(*languages: str) -> list[Block]:
    return [block for page in PAGES for block in blocks_in(page) if block.language in languages]
