"""Bodies are the JSON that their trees say, whatever a row puts into the holes."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from runner.errors import Mark
from runner.job.body import BodyPlan, Hole, Kind, Slot, planned
from runner.job.source import Form, Source, is_whole

HERE = Mark("s.yaml", 1)
TEXT = st.text(st.characters(codec="utf-8"), max_size=8)
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | TEXT,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXT, inner, max_size=3),
    max_leaves=6,
)


def source(form: Form = Form.TEXT) -> Source:
    return Source("", HERE, "it", form)


def compact(value: Any) -> str:
    return msgspec.json.encode(value).decode()


@st.composite
def asked(draw: st.DrawFn, depth: int = 3, *, in_list: bool = False) -> tuple[Any, Any, list[str]]:
    """A tree with holes, what it comes to for one row, and the texts of that row."""
    kinds = ["plain", "text", "json", *(["items"] if in_list else []), *(["mapping", "list"] if depth else [])]
    match draw(st.sampled_from(kinds)):
        case "plain":
            value = draw(JSON)
            return value, value, []
        case "text":
            said = draw(st.lists(TEXT, min_size=1, max_size=3))
            return Hole((source(),) * len(said)), "\n\n".join(said), said
        case "json":
            value = draw(JSON)
            return Hole((source(Form.VALUE),), Kind.JSON), value, [compact(value)]
        case "items":
            many = draw(st.lists(JSON, max_size=2))
            return Hole((source(Form.COLUMN),), Kind.ITEMS), many, [compact(many)]
        case "mapping":
            inner = draw(st.dictionaries(TEXT, asked(depth=depth - 1), max_size=3))
            # a hole may be any number of members, too: its own name is not written
            spread = draw(st.dictionaries(TEXT, st.dictionaries(TEXT.map("+{}".format), JSON, max_size=2), max_size=1))
            inner = {k: v for k, v in inner.items() if k not in spread and not k.startswith("+")}
            for name, members in spread.items():
                inner[name] = Hole((source(Form.COLUMN),), Kind.ITEMS), members, [compact(members)]
            inner = dict(draw(st.permutations(list(inner.items()))))
            texts = [text for _, _, of_one in inner.values() for text in of_one]
            value = {}
            for name, (_, found, _) in inner.items():
                value.update(found if name in spread else {name: found})
            return {k: v[0] for k, v in inner.items()}, value, texts
        case _:
            items = draw(st.lists(asked(depth=depth - 1, in_list=True), max_size=5))
            value = []
            for tree, found, _ in items:
                value += found if isinstance(tree, Hole) and tree.kind is Kind.ITEMS else [found]
            return [tree for tree, _, _ in items], value, [text for _, _, of_one in items for text in of_one]


@given(asked())
def test_a_body_is_the_json_of_its_tree(made: tuple[Any, Any, list[str]]) -> None:
    tree, value, texts = made
    plan = planned(tree)
    (body,) = plan.bodies([texts])
    assert json.loads(body) == json.loads(compact(value))
    assert body.decode() == compact(value)  # the order of keys, and no blanks
    assert len(plan.sources) == len(texts)


@given(asked())
def test_what_is_the_same_for_every_row_is_encoded_once(made: tuple[Any, Any, list[str]]) -> None:
    tree, _, texts = made
    plan = planned(tree)
    static = {n: text for n, text in enumerate(texts) if plan.sources[n].form is Form.TEXT}
    rest, left = plan.with_static(static)
    assert rest.bodies([[texts[n] for n in left]]) == plan.bodies([texts])
    assert len(rest.sources) == len(left)
    assert not any(slot.kind is Kind.TEXT and len(slot.texts) == 1 for slot in rest.slots)


def test_a_row_of_another_shape_is_refused() -> None:
    def listed(text: str) -> str:
        if not text.startswith("["):
            raise ValueError("it is no list")
        return text

    plan = planned({"messages": Hole((source(Form.COLUMN),), Kind.JSON, listed)})
    assert plan.bodies([["[1]"]]) == [b'{"messages":[1]}']
    with pytest.raises(ValueError, match="it is no list"):
        plan.bodies([["[1]"], ["{}"]])


def test_the_shape_makes_what_is_sent() -> None:
    plan = BodyPlan((b"[", b"]"), (Slot((0,), Kind.ITEMS, (lambda text: text.replace("1", "2"),)),))
    assert plan.bodies([["[1,1]"], ["[]"]]) == [b"[2,2]", b"[]"]


WHOLE: Sequence[str] = (
    "{{ n }}",
    "{{n}}",
    "{{- n -}}",
    "{{ row['a}}b'] }}",
    '{{ "\\"}}" }}',
    "{{ {'a': {'b': n}} }}",
    "{{ n | default(0.5) }}",
    "{{ items[0] }}",
)
TEXTS: Sequence[str] = ("", "n", "{{ n }} ", " {{ n }}", "{{ a }}{{ b }}", "{{ a }} }}", "{{ 'a }}", "{{ n", "n }}")


@pytest.mark.parametrize("text", WHOLE)
def test_one_expression_alone_is_whole(text: str) -> None:
    assert is_whole(text)


@pytest.mark.parametrize("text", TEXTS)
def test_with_anything_beside_it_it_is_text(text: str) -> None:
    assert not is_whole(text)
