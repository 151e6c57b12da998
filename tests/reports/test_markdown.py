"""A report as a pull request shows it, read by a library that others wrote."""

from __future__ import annotations

import re

import msgspec
from markdown_it import MarkdownIt

from runner.reports import markdown
from runner.reports.facts import Confused, Facts, Failure
from tests.reports import making

FACTS = making.facts(making.rows(1200))
REPLY = FACTS.groups[0]


def rendered(facts: Facts) -> str:
    return MarkdownIt("gfm-like", {"html": True, "linkify": False}).render(markdown.page(facts))


def test_gates_and_one_table_stand_in_the_first_screen() -> None:
    first, _, rest = rendered(FACTS).partition("<details>")
    assert len(re.findall("<table>", first)) == 1
    assert first.count("<li>") == 10
    assert first.index("❌") < first.index("❔") < first.index("✅") < first.index("<table>")
    assert len(re.findall(r"<tr>", first)) == 5
    assert "<strong>qwen · taught</strong> gets intent right in <strong>" in first
    assert rest.count("</details>") == rest.count("<details>") + 1
    assert rest.count("<table>") >= 9


def test_hostile_words_stay_words() -> None:
    nasty = "a|b <script>x</script> **bold** [link](http://evil.example) `code` @octocat #12 :tada: ![i](j)"
    nasty += " www.evil.example\n# head"
    cell = msgspec.structs.replace(
        REPLY.cells[0],
        label=nasty,
        failures=(Failure(nasty, nasty, 3),),
        checks=(msgspec.structs.replace(REPLY.cells[0].checks[0], confusion=(Confused(nasty, nasty, 3),)),),
    )
    group = msgspec.structs.replace(REPLY, cells=(cell,), slices=(), comparisons=())
    told = rendered(msgspec.structs.replace(FACTS, project=nasty, groups=(group,)))
    assert not re.search(r"<script|<a |<img|<strong>bold|<h1", told)
    assert not re.search(r"://|@octocat|#12|:tada:|www\.", re.sub(r"<code>.*?</code>", "", told, flags=re.S))
    cells = {row.count("<td") + row.count("<th") for row in re.findall(r"<tr>.*?</tr>", told, re.S)}
    assert len(cells) <= 4, "no bar of theirs makes a cell"


def test_it_fits_into_a_comment() -> None:
    slices = tuple(
        msgspec.structs.replace(REPLY.slices[0], value=f"customer {n}", address=cell.address)
        for n in range(500)
        for cell in REPLY.cells
    )
    long = markdown.page(msgspec.structs.replace(FACTS, groups=(msgspec.structs.replace(REPLY, slices=slices),) * 3))
    assert len(long) < markdown.MOST_CHARS
    assert "left out to fit" in long[-200:]
    assert long.count("<details>") == long.count("</details>")
    assert len(markdown.page(FACTS)) < 20_000
