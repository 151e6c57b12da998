"""The page without a browser: whatever names and messages hold, it has the same elements and attributes."""

from __future__ import annotations

from collections import Counter
from html.parser import HTMLParser

import msgspec
from hypothesis import example, given, settings
from hypothesis import strategies as st

from runner.reports import html
from runner.reports.facts import Confused, Facts, Failure
from runner.reports.shown import line
from tests.reports import making

FACTS = making.facts(making.rows(60))


class Elements(HTMLParser):
    """Counts elements and attributes, and keeps all text."""

    def __init__(self) -> None:
        super().__init__()
        self.found: Counter[tuple[str, str]] = Counter()
        self.text = ""

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.found.update((tag, name) for name in ["", *(name for name, _ in attrs)])

    def handle_data(self, data: str) -> None:
        self.text += data


def parsed(facts: Facts) -> Elements:
    found = Elements()
    found.feed(b"".join(html.page(facts)).decode())
    found.close()
    return found


def named(text: str) -> Facts:
    """The facts with this text wherever a stranger's may stand."""
    group = FACTS.groups[0]
    cells = tuple(
        msgspec.structs.replace(
            cell,
            label=text,
            failures=(Failure(text, text, 1, text),),
            checks=tuple(
                msgspec.structs.replace(
                    check, signature=text, kind="choice", confusion=(Confused(text, text, 2), Confused(text, None, 1))
                )
                for check in cell.checks
            ),
            gates=(msgspec.structs.replace(cell.gates[0], sentence=text, expected=text, slice={text: text}),),
            provenance=msgspec.structs.replace(
                cell.provenance,
                model=text,
                data=(text,),
                params={text: [text]},
                batches=(text,),
                output=text,
                prompt=text,
            ),
        )
        for cell in group.cells
    )
    slices = tuple(msgspec.structs.replace(one, value=f"{one.value}{text}") for one in group.slices)
    group = msgspec.structs.replace(group, cells=cells, slices=slices, cluster=text)
    return msgspec.structs.replace(FACTS, project=text, groups=(group,), notes=(text,), made_by=text)


USUAL = parsed(named("x"))


@example('"><script>alert(1)</script><img src=x onerror=alert(1)> {{ 7*7 }} <!--')
@example("'\"`=/ style=x onload=y ]]> &lt; &#0; \x00\u202e\ud800")
@given(st.text(min_size=1).filter(lambda text: bool(line(text))))
@settings(max_examples=40)
def test_a_strangers_words_make_no_element(text: str) -> None:
    found = parsed(named(text))
    assert found.found == USUAL.found
    assert line(text) in found.text


def test_no_style_attribute_and_nothing_that_is_fetched() -> None:
    attributes = {name for _, name in parsed(FACTS).found}
    assert attributes.isdisjoint({"style", "src", "href", "onclick", "srcset", "action"})
