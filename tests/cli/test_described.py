"""Fields of documents are described in their schemas, by what the code says of them."""

from __future__ import annotations

import msgspec
import pytest

from runner.cli.described import comments_of, described
from runner.cli.schema import schema_of


class Inner(msgspec.Struct):
    deep: int  # as deep as it gets


class Base(msgspec.Struct):
    before: str = ""  # comes first


class Outer(Base, kw_only=True):
    # Said above,
    # in two lines
    above: int
    many: dict[str, list[Inner | None]] = {}  # of them
    renamed: int = msgspec.field(default=0, name="other")  # under another name
    bare: float = 0.0
    address: str = ""


def test_a_comment_behind_a_field_or_above_it_describes_it() -> None:
    told = {
        "before": "comes first",
        "above": "Said above, in two lines",
        "many": "of them",
        "other": "under another name",
    }
    assert comments_of(Outer) == told
    blocks = described(Outer)["$defs"]
    found = {name: about.get("description") for name, about in blocks["Outer"]["properties"].items()}
    assert found == {**told, "bare": None, "address": "of a job, with the cell of its matrix"}
    assert blocks["Inner"]["properties"]["deep"]["description"] == "as deep as it gets"


@pytest.mark.parametrize("document", ["plan", "apply", "status", "history"])
def test_every_field_is_described(document: str) -> None:
    bare = [
        f"{name}.{field}"
        for name, block in schema_of(document)["$defs"].items()
        for field, about in block.get("properties", {}).items()
        if not about.get("description")
    ]
    assert [one for one in bare if not one.startswith("BatchView.")] == []
