"""The facts: what every form of a report is drawn from."""

from __future__ import annotations

import json

import jsonschema_rs
import msgspec
import pytest

from runner.checks.score import Status
from runner.checks.tally import Form
from runner.reports import facts
from tests.reports import making

FACTS = making.facts(making.rows(300))


def test_the_schema_describes_them() -> None:
    schema = facts.schema()
    validator = jsonschema_rs.validator_for(schema)
    told = json.loads(facts.encode(FACTS))
    validator.validate(told)
    assert told["version"] == facts.VERSION == 1
    told["groups"][0]["cells"][0]["gates"][0]["verdict"] = "perhaps"
    assert not validator.is_valid(told)


def test_what_is_printed_reads_back_and_is_the_same_each_time() -> None:
    data = facts.encode(FACTS)
    assert facts.decode(data) == FACTS
    assert facts.encode(facts.decode(data)) == data
    assert data.endswith(b"}\n")


def test_facts_of_an_earlier_version_read_on() -> None:
    """A field that came later has a default."""
    least = {"project": "p", "when": "", "made_by": "runner 0.1.0", "groups": []}
    assert facts.decode(json.dumps(least).encode()) == facts.Facts("p", "", "runner 0.1.0", ())
    with pytest.raises(msgspec.ValidationError):
        facts.decode(b'{"project": 1}')


def test_no_limit_is_infinite() -> None:
    """JSON has no such number: None is no end."""
    found = making.facts(making.rows(1))
    assert found.groups[0].cells[0].checks[3].number.high is None
    assert facts.decode(facts.encode(found)) == found


def test_the_words_are_those_of_the_checks() -> None:
    assert list(facts.STATUSES) == [status.value for status in Status]
    assert set(facts.Form.__args__) == {form.value for form in Form}  # type: ignore[attr-defined]
    assert set(facts.StatusWord.__args__) == set(facts.STATUSES)  # type: ignore[attr-defined]
