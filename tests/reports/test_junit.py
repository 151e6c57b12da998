"""A report as CI systems read it, read by a parser of another make."""

from __future__ import annotations

import msgspec
from junitparser import Failure, JUnitXml, Skipped, TestCase, TestSuite

from runner.reports import junit
from runner.reports.facts import Facts, Gate
from tests.reports import making

ROWS = making.rows(1200)
FACTS = making.facts(ROWS)


def suites(facts: Facts, most_rows: int = junit.MOST_ROWS) -> list[TestSuite]:
    return list(JUnitXml.fromstring(b"".join(junit.page(facts, making.source(ROWS), most_rows=most_rows))))


def cases(suite: TestSuite) -> list[TestCase]:
    return list(suite)


def test_a_suite_for_each_job_with_its_signatures() -> None:
    found = suites(FACTS)
    assert [suite.name for suite in found] == [cell.address for cell in FACTS.groups[0].cells]
    for suite, cell in zip(found, FACTS.groups[0].cells, strict=True):
        told = {one.name: one.value for one in suite.properties()}
        assert told["signature.intent"] == cell.checks[0].signature
        assert (told["ok"], told["error"]) == (str(cell.accounting.ok), str(cell.accounting.error))
        assert suite.tests == len(cases(suite))
        assert suite.failures == sum(isinstance(case.result[0], Failure) for case in cases(suite) if case.result)


def test_a_case_for_each_expectation() -> None:
    cell = FACTS.groups[0].cells[0]
    waiting = Gate("tone", ">= 50 %", "not_yet", "waits for its judge")
    group = msgspec.structs.replace(
        FACTS.groups[0], cells=(msgspec.structs.replace(cell, gates=(*cell.gates, waiting)),)
    )
    (suite,) = suites(msgspec.structs.replace(FACTS, groups=(group,)), most_rows=0)
    told = {case.name: case.result[0] if case.result else None for case in cases(suite)}
    assert told["expect answered >= 98 %"] is None
    unmet, undecided = told["expect intent >= 85 %"], told["expect tone >= 90 %"]
    assert isinstance(unmet, Failure) and isinstance(undecided, Failure)
    assert (unmet.type, undecided.type) == ("unmet", "undecided")
    assert "12 unanswered rows decide" in undecided.message
    assert undecided.message.endswith("; `runner retry reply` asks again what failed")
    assert isinstance(told["expect tone >= 50 %"], Skipped)
    assert (suite.tests, suite.failures, suite.skipped) == (5, 2, 1)


def test_failing_rows_of_each_check_and_no_more_than_asked() -> None:
    for most in (0, 3, 20):
        for at, suite in enumerate(suites(FACTS, most)):
            for number, check in enumerate(FACTS.groups[0].cells[at].checks):
                wrong = [row.custom_id for row in ROWS if _is_wrong(row.answers[at].checks[number].status)]  # type: ignore[union-attr]
                told = [case.name for case in cases(suite) if case.name.startswith(f"{check.name} ")]
                assert told == [f"{check.name} {custom_id}" for custom_id in wrong[:most]]


def _is_wrong(status: str) -> bool:
    return status in ("wrong", "partly", "unreadable", "unanswered")


def test_hostile_answers_are_text() -> None:
    texts = [case.result[0].text for suite in suites(FACTS, 1000) for case in cases(suite) if case.result]
    assert any("⟨U+202E⟩gnp.exe" in text for text in texts)
    assert any("<img src=x onerror=" in text for text in texts)


def test_a_line_is_what_xml_can_hold() -> None:
    group = msgspec.structs.replace(
        FACTS.groups[0], cells=(msgspec.structs.replace(FACTS.groups[0].cells[0], address='a"<&\x00\x0b\ufffe\ud800'),)
    )
    (suite,) = suites(msgspec.structs.replace(FACTS, groups=(group,)), most_rows=0)
    assert suite.name == 'a"<&⟨U+0000⟩⟨U+000B⟩⟨U+FFFE⟩⟨U+D800⟩'
