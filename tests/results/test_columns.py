"""Columns by name: chosen, ordered, typed, and joined by what a step works out."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import msgspec
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from pydantic import BaseModel, Field

from runner.errors import UsageError
from runner.job.observed import Phase
from runner.remotes.reading.verdict import Expected
from runner.results import columns, kinds
from runner.results.export import writer_for
from runner.results.index import build_index
from runner.results.locate import OutcomeSource, locate
from runner.results.merge import merge
from runner.results.readback import read_back
from runner.results.splice import Merged

from . import made

SUFFIXES = [".jsonl", ".csv", ".parquet"]


class Place(BaseModel):
    lat: float
    names: list[str] = []


class City(BaseModel):
    name: str
    home: Place = Field(description="where it lies")
    seen: list[Place]
    twin: Place | None = None


class Branch(BaseModel):
    label: str
    parts: list[Branch] = []


class Words:
    """A score that counts the words of an answer."""

    columns = (("words", kinds.WHOLE), ("shouts", kinds.FLAG))
    made_of = "words/1"

    def __init__(self) -> None:
        self.total = 0

    def value(self, line: Merged) -> Sequence[bytes]:
        text = msgspec.json.decode(line.answer) or ""
        self.total += len(text.split())
        return b"%d" % len(text.split()), b"true" if text.endswith("!") else b"false"

    def summary(self) -> str:
        return f"{self.total} words"


def source(folder: Path) -> OutcomeSource:
    file = made.raw(folder / "raw", made.ok("a", "one two!"), made.ok("b", "three"))
    return OutcomeSource(
        build_index([file], made.expected("a", "b"), ended=Phase.COMPLETED).index, 0, "b", made.ORIGIN, (file,)
    )


def written(path: Path, *, chosen: Sequence[str] = (), steps: Sequence[columns.Step] = ()) -> Path:
    rows = [made.row("a", n=1, answer="mine"), made.row("b", n=2, answer="too")]
    given = columns.input_of((row.row_json for row in rows), typed=path.suffix == ".parquet")
    table = columns.table(path.suffix, columns.About("job", "m"), given, chosen=chosen, steps=steps)
    one = source(path.parent)
    with writer_for(path, path.parent, table) as writer:
        merge(rows, locate(made.keys("a", "b"), [one]), [one], writer)
    return path


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_a_step_adds_columns_to_every_format_and_they_read_back(tmp_path: Path, suffix: str) -> None:
    step = Words()
    path = written(tmp_path / f"o{suffix}", steps=[step])
    assert step.summary() == "3 words"
    if suffix == ".parquet":
        told = [(row["words"], row["shouts"]) for row in pq.read_table(path).to_pylist()]
    elif suffix == ".csv":
        head, *rows = (line.split(",") for line in path.read_text().splitlines())
        told = [(int(row[head.index("words")]), row[head.index("shouts")] == "true") for row in rows]
    else:
        told = [(row["words"], row["shouts"]) for row in map(msgspec.json.decode, path.read_bytes().splitlines())]
    assert told == [(2, True), (1, False)]
    assert read_back(path, tmp_path / "objects").answers == 2


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_a_job_chooses_and_orders(tmp_path: Path, suffix: str) -> None:
    names = ["origin", "n", "output_tokens", "answer", "row_answer", "job", "digest"]
    path = written(tmp_path / f"o{suffix}", chosen=names)
    if suffix == ".parquet":
        assert pq.read_table(path).schema.names == names
        assert pq.read_table(path).to_pylist()[1]["row_answer"] == "too"
    elif suffix == ".csv":
        assert path.read_text().splitlines()[0] == ",".join(names)
        assert path.read_text().splitlines()[1].startswith(f"{made.ORIGIN},1,3,one two!,mine,job,")
    else:
        first = msgspec.json.decode(path.read_bytes().splitlines()[0])
        assert list(first) == names
        assert list(first.values())[:6] == [made.ORIGIN, 1, 3, "one two!", "mine", "job"]
    found = read_back(path, tmp_path / "objects")
    assert (found.answers, found.damaged) == (2, 0)


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_a_name_that_means_nothing_is_refused(tmp_path: Path, suffix: str) -> None:
    with pytest.raises(UsageError, match="`nobody`, which is not a column"):
        written(tmp_path / f"o{suffix}", chosen=["digest", "nobody"])


def test_kinds_are_as_narrow_as_all_values_allow() -> None:
    rows = [
        b'{"n":1,"f":true,"t":"x","l":[1],"o":{"a":1},"m":1,"z":null,"big":1}',
        b'{"n":2.5,"f":null,"t":"","l":[null,2.5],"o":{"b":"x"},"m":"x","z":null,"big":99999999999999999999}',
    ]
    found = columns.input_of(rows, typed=True).kinds
    assert [found[name] for name in ("n", "f", "t", "m", "z", "big")] == [
        kinds.NUMBER,
        kinds.FLAG,
        kinds.TEXT,
        kinds.JSON,
        kinds.TEXT,
        kinds.JSON,
    ]
    assert found["l"] == kinds.list_of(kinds.NUMBER)
    assert found["o"] == kinds.record_of(a=kinds.WHOLE, b=kinds.TEXT)


def test_a_schema_tells_the_kind() -> None:
    schema = {
        "type": "object",
        "properties": {
            "name": {"type": ["string", "null"]},
            "n": {"anyOf": [{"type": "integer"}, {"type": "null"}]},
            "share": {"type": "number"},
            "tags": {"type": "array", "items": {"enum": ["a", "b"]}},
            "open": {"type": "object"},
            "elsewhere": {"$ref": "#/$defs/x"},
        },
    }
    of = {"name": kinds.TEXT, "n": kinds.WHOLE, "share": kinds.NUMBER, "tags": kinds.list_of(kinds.TEXT)}
    assert kinds.of_schema(schema) == kinds.record_of(**of, open=kinds.JSON, elsewhere=kinds.JSON)
    fit = kinds.fitting(kinds.of_schema(schema))
    assert fit({"name": None, "n": 1.0, "share": 2, "tags": ["a"], "open": {"x": 1}, "more": 1}) == {
        "name": None,
        "n": 1,
        "share": 2.0,
        "tags": ["a"],
        "open": '{"x":1}',
        "elsewhere": None,
    }
    with pytest.raises(kinds.Unfit):
        fit({"n": "1"})


def test_nested_models_are_structs_in_parquet(tmp_path: Path) -> None:
    place = {"lat": 1.5, "names": ["x"]}
    answer = {"name": "Oslo", "home": place, "seen": [place, {"lat": 2.0, "names": []}], "twin": None}
    about = columns.About("job", "m", answer=kinds.of_schema(City.model_json_schema()))
    rows = [made.row("a")]
    file = made.raw(tmp_path / "raw", made.ok("a", msgspec.json.encode(answer).decode()))
    index = build_index([file], made.expected("a"), ended=Phase.COMPLETED).index
    one = OutcomeSource(index, 0, "b", made.ORIGIN, (file,))
    path = tmp_path / "o.parquet"
    given = columns.input_of((row.row_json for row in rows), typed=True)
    with writer_for(path, tmp_path, columns.table(path.suffix, about, given)) as writer:
        merge(rows, locate(made.keys("a"), [one]), [one], writer, wanted=Expected(is_json=True, is_object=True))
    found = pq.read_table(path).column("answer_json")
    struct = pa.struct([("lat", pa.float64()), ("names", pa.list_(pa.string()))])
    assert {field.name: field.type for field in found.type}["home"] == struct
    assert found.type.field("twin").type == struct
    assert found.type.field("seen").type.value_type == struct
    assert found.to_pylist() == [answer]


PLACE = {"type": "object", "properties": {"lat": {"type": "number"}}}


@pytest.mark.parametrize(
    ("part", "kind"),
    [
        ({"$ref": "#/definitions/Place", "description": "x"}, kinds.record_of(lat=kinds.NUMBER)),
        ({"allOf": [{"$ref": "#/definitions/Place"}], "title": "x"}, kinds.record_of(lat=kinds.NUMBER)),
        ({"$ref": "#/definitions/a~1b%20c"}, kinds.TEXT),
        ({"$ref": "#/definitions/Again"}, kinds.record_of(lat=kinds.NUMBER)),
        ({"$ref": "#/definitions/Nobody"}, kinds.JSON),
        ({"$ref": "https://example.com/x.json#/definitions/Place"}, kinds.JSON),
        ({"$ref": "other.json"}, kinds.JSON),
        ({"$ref": "#place"}, kinds.JSON),
        ({"$ref": "#/definitions/Ring"}, kinds.JSON),
        ({"$ref": 7}, kinds.JSON),
        ({"$ref": "#/definitions/Place", "properties": {"more": {"type": "string"}}}, kinds.JSON),
        ({"allOf": [{"$ref": "#/definitions/Place"}, {"properties": {}}]}, kinds.JSON),
    ],
)
def test_references_are_followed_inside_of_a_schema(part: object, kind: kinds.Kind) -> None:
    definitions = {
        "Place": PLACE,
        "Again": {"$ref": "#/definitions/Place"},
        "Ring": {"allOf": [{"$ref": "#/definitions/Ring"}]},
        "a/b c": {"type": "string"},
    }
    schema = {"type": "object", "properties": {"part": part}, "definitions": definitions}
    assert kinds.of_schema(schema) == kinds.record_of(part=kind)


def test_a_model_that_holds_itself_is_json_text_where_it_begins_again() -> None:
    found = kinds.of_schema(Branch.model_json_schema())
    assert found == kinds.record_of(label=kinds.TEXT, parts=kinds.list_of(kinds.JSON))


def test_definitions_that_refer_to_each_other_many_times_end() -> None:
    def named(level: int) -> dict[str, object]:
        return {"type": "object", "properties": {f"f{n}": {"$ref": f"#/$defs/d{level + 1}"} for n in range(50)}}

    schema = {"$defs": {f"d{level}": named(level) for level in range(8)}, "$ref": "#/$defs/d0"}
    assert kinds.of_schema(schema).of is kinds.Of.RECORD
