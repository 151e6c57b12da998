"""Every record comes back from the disk as it was saved, in the order it was submitted."""

from __future__ import annotations

import tempfile
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec import inspect

from runner.errors import StateError
from runner.job.recorded import NEWEST, Batch, JobRecord, ProjectRecord, Retry
from runner.state.base import NOTHING, ForkedStore
from runner.state.disk import DiskStore
from runner.state.records import PROJECT, Records

_WORDS = st.text(max_size=12)  # lone surrogates are in no text of ours: UTF-8 has none
_NUMBERS = st.integers(0, 2**60)
_TIMES = st.datetimes(datetime(2001, 1, 1), datetime(2099, 1, 1), timezones=st.just(UTC))
_JSON: st.SearchStrategy[Any] = st.recursive(
    st.none() | st.booleans() | _NUMBERS | st.floats(allow_nan=False, allow_infinity=False) | _WORDS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(_WORDS, inner, max_size=3),
    max_leaves=5,
)


def values_of(kind: inspect.Type) -> st.SearchStrategy[Any]:
    """Values of one type, as its annotation says."""
    match kind:
        case inspect.StructType():
            fields = {one.name: values_of(one.type) for one in kind.fields if one.name != "schema"}
            return st.builds(kind.cls, **fields)
        case inspect.UnionType():
            return st.one_of([values_of(one) for one in kind.types])
        case inspect.VarTupleType():
            return st.lists(values_of(kind.item_type), max_size=3).map(tuple)
        case inspect.TupleType():
            return st.tuples(*map(values_of, kind.item_types))
        case inspect.ListType():
            return st.lists(values_of(kind.item_type), max_size=3)
        case inspect.DictType():
            return st.dictionaries(values_of(kind.key_type), values_of(kind.value_type), max_size=3)
        case inspect.EnumType():
            return st.sampled_from(list(kind.cls))
    plain: dict[type, st.SearchStrategy[Any]] = {
        inspect.StrType: _WORDS,
        inspect.IntType: _NUMBERS,
        inspect.BoolType: st.booleans(),
        inspect.FloatType: st.floats(allow_nan=False, allow_infinity=False),
        inspect.DateTimeType: _TIMES,
        inspect.NoneType: st.none(),
        inspect.CustomType: _JSON,  # what `object` is here
    }
    return plain[type(kind)]


@given(st.data())
def test_every_record_comes_back_as_it_was(data: st.DataObject) -> None:
    batches = data.draw(st.lists(values_of(inspect.type_info(Batch)), max_size=3, unique_by=lambda one: one.key))
    job, project = data.draw(values_of(inspect.type_info(JobRecord))), data.draw(values_of(_PROJECT))
    retries = data.draw(st.lists(values_of(inspect.type_info(Retry)), max_size=2, unique_by=lambda one: one.generation))
    with tempfile.TemporaryDirectory() as folder:
        store = DiskStore(Path(folder) / "state")
        Records(store).save(*batches, job, *retries, project)
        store.close()
        again = DiskStore(Path(folder) / "state")
        records = Records(again)
        assert records.batches() == sorted(batches, key=lambda one: (one.sequence, one.key))
        assert [records.batch(one.key) for one in batches] == batches
        assert records.jobs() == {job.address: job}
        assert records.retries() == sorted(retries, key=lambda one: f"{one.generation:08d}")
        assert records.project() == project
        again.close()


_PROJECT = inspect.type_info(ProjectRecord)


@pytest.mark.parametrize(
    ("schema", "says"), [(NEWEST + 1, "newer runner"), (0, "no schema"), ("1", "no schema"), (None, "no schema")]
)
def test_a_record_of_another_schema_is_refused(schema: object, says: str) -> None:
    document = msgspec.to_builtins(ProjectRecord("p", datetime(2031, 1, 1, tzinfo=UTC))) | {"schema": schema}
    store = ForkedStore(NOTHING)
    store.write({PROJECT: document}, store.read().serial)
    with pytest.raises(StateError, match=says):
        Records(store).project()
