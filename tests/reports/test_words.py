"""Numbers as words, texts as they may be shown, and what is said in sentences."""

from __future__ import annotations

import msgspec
import pytest

from runner.reports import figures, gates, sentences, svg
from runner.reports.facts import Cell, Check, Comparison, Form, Gate, Group, Number, Usage
from runner.reports.shown import line, shown
from tests.reports import making

FACTS = making.facts(making.rows(1200))
REPLY = FACTS.groups[0]


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("plain text,\n\ttabs and lines", "plain text,\n\ttabs and lines"),
        ("Grüße, 東京, ру́сский, हिन्दी", "Grüße, 東京, ру́сский, हिन्दी"),
        ("a\r\nb\rc", "a\nb⟨U+000D⟩c"),
        ("\u202egnp.exe", "⟨U+202E⟩gnp.exe"),
        ("a\u2066b\u2069", "a⟨U+2066⟩b⟨U+2069⟩"),
        ("soft\xadhyphen, zero\u200bwidth, \ufeffmark", "soft⟨U+00AD⟩hyphen, zero⟨U+200B⟩width, ⟨U+FEFF⟩mark"),
        ("line\u2028 and\u2029 and\x00\x1b[31m", "line⟨U+2028⟩ and⟨U+2029⟩ and⟨U+0000⟩⟨U+001B⟩[31m"),
        ("half a pair \ud800", "half a pair ⟨U+D800⟩"),
        ("tags \U000e0041\U000e0042, private \ue000", "tags ⟨U+E0041⟩⟨U+E0042⟩, private ⟨U+E000⟩"),
        ("\u3164filler, selector a\ufe01 b\U000e0101", "⟨U+3164⟩filler, selector a⟨U+FE01⟩ b⟨U+E0101⟩"),
        ("👨\u200d👩\u200d👧 and ❤\ufe0f and 1\ufe0f⃣", "👨\u200d👩\u200d👧 and ❤\ufe0f and 1\ufe0f⃣"),
        ("می\u200cخواهم, but a\u200cb and \u200d.", "می\u200cخواهم, but a⟨U+200C⟩b and ⟨U+200D⟩."),
    ],
)
def test_what_cannot_be_seen_is_spelled_out(text: str, told: str) -> None:
    assert shown(text) == told


def test_one_line() -> None:
    assert line(" a\n\tb\u2028c ") == "a b⟨U+2028⟩c"


@pytest.mark.parametrize(
    ("value", "form", "told"),
    [
        (0.84086, "rate", "84.1"),
        (1.0, "rate", "100.0"),
        (0.9996, "score", "100.0"),
        (None, "rate", "–"),
        (-0.0001, "rate", "0.0"),
        (-0.016, "rate", "−1.6"),
        (1.254, "ratio", "125.4"),
        (3.2649, "number", "3.26"),
        (0.0123456, "number", "0.0123"),
        (-12345.6, "number", "−12,346"),
        (0, "number", "0"),
    ],
)
def test_figures(value: float | None, form: Form, told: str) -> None:
    assert figures.figure(value, form) == told


def test_a_number_has_the_digits_that_its_interval_bears() -> None:
    assert figures.estimate(Number(18.563, 16.93, 20.2), "number") == "18.6"
    assert figures.estimate(Number(11.1436, 11.11, 11.18), "number") == "11.14"
    assert figures.interval(Number(11.1436, 11.11, 11.18), "number") == "11.11–11.18"
    assert figures.interval(Number(1143.6, 1100, 1200), "number") == "1,100–1,200"
    assert figures.interval(Number(5, None, None), "number") == "−∞–∞"
    assert figures.interval(Number(0.0, 0.0, None), "ratio") == "0.0–∞"
    assert figures.interval(Number(None), "rate") == ""


def test_differences_are_better_by() -> None:
    found = Comparison("wer", "a", "b", difference=Number(-0.02, -0.035, -0.005, 20, 20))
    assert figures.difference(found, "ratio", better="lower") == "+2.0"
    assert figures.difference_interval(found, "ratio", better="lower") == "+0.5 to +3.5"
    assert figures.difference(found, "ratio") == "−2.0"
    assert figures.difference_interval(found, "ratio") == "−3.5 to −0.5"
    alone = Comparison("x", "a", "b", difference=Number(0.1, None, None, 1, 1))
    assert figures.difference_interval(alone, "rate") == "−∞ to +∞"


@pytest.mark.parametrize(
    ("p", "told"),
    [(0.00001, "< 0.0001"), (0.0011, "0.0011"), (0.034, "0.034"), (0.5, "0.50"), (1.0, "1.00"), (None, "–")],
)
def test_p(p: float | None, told: str) -> None:
    assert figures.p_value(p) == told


def test_what_was_used() -> None:
    assert figures.usage(Usage(2_104_000, 0, 900_499)) == "2.10 M / 900 k"
    assert figures.usage(Usage(812, None, None)) == "812 / –"
    assert (figures.usage(Usage(seconds=738.0)), figures.usage(Usage(seconds=3.84))) == ("12.3 min", "3.8 s")
    assert (figures.money(0.0004), figures.money(5.2), figures.money(None)) == ("$0.0004", "$5.20", "–")


def test_a_value_beside_its_bound_is_told_apart_from_it() -> None:
    assert figures.beside(0.99496, 0.995, "rate") == "99.496 %"
    assert figures.beside(0.841, 0.85, "rate") == "84.1 %"
    assert figures.beside(0.85, 0.85, "rate") == "85.0 %"
    assert figures.beside(2.99999, 3.0, "number") == "2.99999"


@pytest.mark.parametrize(
    ("values", "ticks"),
    [
        ([0.72, 0.85, 0.83], ("70", "75", "80", "85")),
        ([0.961, 0.97], ("96.0", "96.5", "97.0")),
        ([0.0, 1.0], ("0", "50", "100")),
        ([None, 0.5], ("46", "48", "50", "52", "54")),
        ([], ("0", "50", "100")),
    ],
)
def test_a_scale_is_round_and_holds_all(values: list[float | None], ticks: tuple[str, ...]) -> None:
    from runner.reports.html import _tick

    scale = svg.scale_of(values, least=0.0, most=1.0)
    assert tuple(_tick(tick, scale, in_percent=True) for tick in scale.ticks) == ticks
    assert all(scale.low <= value <= scale.high for value in values if value is not None)


def plain(group: Group) -> str:
    return "".join(part.text for part in sentences.answer(group))


def test_the_answer_in_a_sentence() -> None:
    told = plain(REPLY)
    number = REPLY.cells[0].checks[0].number
    assert told.startswith(
        f"qwen · taught gets intent right in {figures.measure(number, 'rate')} of {number.n:,} rows (95"
    )
    assert "llama · taught" in told


@pytest.mark.parametrize(
    ("low", "high", "words"),
    [
        (0.006, 0.025, "It is 1.6 points better than llama · taught (+0.6 to +2.5, p = 0.0011, on the same rows)."),
        (-0.004, 0.035, "Its lead over llama · taught may be chance (−0.4 to +3.5, p = 0.0011, on the same rows)."),
        (None, None, "Its lead over llama · taught may be chance (−∞ to +∞, p = 0.0011, on the same rows)."),
    ],
)
def test_a_lead_is_called_one_only_where_it_is(low: float | None, high: float | None, words: str) -> None:
    found = Comparison(
        "intent", REPLY.cells[0].address, REPLY.cells[1].address, difference=Number(0.0156, low, high, 9, 9), p=0.0011
    )
    assert plain(msgspec.structs.replace(REPLY, comparisons=(found,))).endswith(words)


def test_other_kinds_of_numbers_have_sentences_too() -> None:
    def said(**fields: object) -> str:
        check = msgspec.structs.replace(REPLY.cells[0].checks[0], **fields)
        cell = msgspec.structs.replace(REPLY.cells[0], checks=(check,))
        return plain(msgspec.structs.replace(REPLY, cells=(cell,), comparisons=()))

    number = Number(0.123, 0.1, 0.15, 20, 20)
    assert said(form="score", number=number).startswith("qwen · taught scores 12.3 % in intent, over 20 rows")
    assert said(form="ratio", number=number).startswith("qwen · taught makes errors in 12.3 % of what is said (intent)")
    assert said(form="number", number=number).startswith("qwen · taught has a mean intent of 0.123, over 20 rows")
    waits = "waits for reply.helpful"
    assert said(number=Number(None), waits_for=waits) == f"qwen · taught has no number for intent yet: {waits}."


def test_few_clusters_are_said_aloud() -> None:
    few = msgspec.structs.replace(REPLY.cells[0].checks[0], number=Number(0.8, 0.7, 0.9, 100, 12))
    group = msgspec.structs.replace(
        REPLY, cells=(msgspec.structs.replace(REPLY.cells[0], checks=(few,)),), cluster="customer"
    )
    assert sentences.cautions(group) == ["Only 12 clusters of customer: the intervals are themselves uncertain."]
    assert sentences.cautions(REPLY) == []


def test_where_an_interval_is_too_narrow_is_said() -> None:
    one = REPLY.cells[0].checks[0]
    wer = msgspec.structs.replace(one, name="heard", form="ratio", number=Number(0.1, 0.08, 0.12, 40, 40))
    rare = msgspec.structs.replace(one, statuses={"right": 1196, "wrong": 4}, number=Number(0.99, 0.98, 1.0, 1200, 600))
    group = msgspec.structs.replace(REPLY, cells=(msgspec.structs.replace(REPLY.cells[0], checks=(rare, wer)),))
    few = "heard rests on few recordings: its interval holds the truth somewhat less often than 95 %."
    assert sentences.cautions(group) == [few]
    assert sentences.cautions(msgspec.structs.replace(group, cluster="customer")) == [
        few,
        "Few rows decide intent: its interval holds the truth somewhat less often than 95 %.",
    ]


def test_one_error_of_fifty_and_f1_of_few_rows_are_said() -> None:
    one = REPLY.cells[0].checks[0]
    number = Number(0.98, 0.9, 0.996, 50, 50)
    rare = msgspec.structs.replace(one, statuses={"right": 49, "wrong": 1}, number=number, macro_f1=None)
    assert sentences.cautions(_of(rare)) == [
        "Few rows decide intent: its interval holds the truth somewhat less often than 95 %."
    ]
    usual = msgspec.structs.replace(rare, statuses={"right": 40, "wrong": 10}, macro_f1=number)
    assert sentences.cautions(_of(usual)) == [
        "intent.macro_f1 rests on few rows: its interval holds the truth somewhat less often than 95 %."
    ]


def _of(check: Check) -> Group:
    return msgspec.structs.replace(REPLY, cells=(msgspec.structs.replace(REPLY.cells[0], checks=(check,)),))


# --- gates --------------------------------------------------------------------------------------------------------


def test_unmet_first_and_what_all_meet_once() -> None:
    chips = gates.chips(FACTS)
    assert [chip.verdict for chip in chips] == ["unmet"] * 4 + ["undecided"] * 4 + ["met"] * 2
    assert (chips[0].expected, chips[0].whose) == ("intent ≥ 85 %", "qwen · taught")
    assert chips[0].words == f"is only {figures.figure(REPLY.cells[0].checks[0].number.value, 'rate')} %"
    assert (chips[-1].expected, chips[-1].whose) == ("answered ≥ 98 %", "all 4 of reply")
    assert gates.verdict(FACTS) == "Of 16 expectations: 4 not met, 4 undecided, 8 met"
    assert gates.ways_out(FACTS) == ["`runner retry reply` asks again what failed"]


@pytest.mark.parametrize(
    ("expected", "number", "told"),
    [
        (">= 50 %", Number(0.459), "is only 45.9 %"),
        (">= 50 % by interval", Number(0.588, 0.459, 0.707), "is 58.8 %, its interval 45.9 % to 70.7 %"),
        (">= 50 % by interval", Number(0.588, 0.49996, 0.707), "is 58.8 %, its interval 49.996 % to 70.7 %"),
        (">= 50 % by interval", Number(0.411, 0.3, 0.6), "is only 41.1 %, its interval 30.0 % to 60.0 %"),
        ("<= 50 %", Number(0.6, 0.5, 0.7), "is 60.0 %"),
    ],
)
def test_what_is_there_instead(expected: str, number: Number, told: str) -> None:
    assert gates.words_of(Gate("intent", expected, "unmet", "", number, 0.5), "rate") == told


def test_all_met_and_none_at_all() -> None:
    def of(*found: Gate) -> Cell:
        return msgspec.structs.replace(REPLY.cells[0], gates=found)

    met = Gate("intent", "<= 12 %", "met", "", Number(0.1), 0.12, {"language": "ja"})
    facts = msgspec.structs.replace(FACTS, groups=(msgspec.structs.replace(REPLY, cells=(of(met),)),))
    assert gates.verdict(facts) == "The expectation is met"
    (chip,) = gates.chips(facts)
    assert (chip.expected, chip.words) == ("intent ≤ 12 %, language = ja", "is 10.0 %")
    bare = msgspec.structs.replace(FACTS, groups=(msgspec.structs.replace(REPLY, cells=(of(),)),))
    assert gates.verdict(bare) == ""


def test_a_check_adds_up() -> None:
    for cell in REPLY.cells:
        assert all(figures.total(check) == cell.accounting.wanted for check in cell.checks)
    assert isinstance(REPLY.cells[0].checks[0], Check)
