"""The page in a browser: what is safe, what it shows, what can be done with it."""

from __future__ import annotations

import json
import re
import time
from pathlib import Path

import msgspec
import pytest
from playwright.sync_api import Browser

from runner.reports import figures
from runner.reports.pack import Limit
from tests.reports import making
from tests.reports.conftest import Shown, write, written

ROWS = making.rows(1200)
FACTS = making.facts(ROWS)
REPLY = FACTS.groups[0]


def statuses(cell: int, check: int = 0) -> list[str]:
    return [row.answers[cell].checks[check].status for row in ROWS if row.answers[cell]]  # type: ignore[union-attr]


# --- safety -------------------------------------------------------------------------------------------------------


def test_nothing_is_asked_for_and_nothing_said(shown: Shown) -> None:
    shown.open("#filter=all")
    for key in ("j", "k", "]", "d", "f", "t", "t"):
        shown.press(key)
    assert shown.requests == [shown.file.as_uri()]
    assert shown.messages == []


@pytest.mark.parametrize(("line", "text"), making.HOSTILE.items())
def test_a_hostile_text_is_a_text(shown: Shown, line: int, text: str) -> None:
    shown.open(f"#filter=all&row={line}")
    detail = shown.page.locator("#detail")
    told = detail.locator(".columns dd").first.inner_text()
    assert f"T-{line:05}" in detail.inner_text()
    for hidden in ("\u202e", "\u2066", "\u2028", "\x00", "\x1b", "\ud800"):
        assert hidden not in told
        if hidden in text:
            assert f"⟨U+{ord(hidden):04X}⟩" in told
    plain = re.sub("[\u202e\u2066\u2069\u2028\u2029\x00\x1b\ud800]", "", text)
    assert re.sub("⟨U\\+[0-9A-F]+⟩", "", told) == plain
    assert told in detail.locator(".said .text").first.inner_text()
    assert shown.page.title() == "helpdesk / reply"
    assert shown.page.locator("#detail img, #detail b, #detail script").count() == 0
    assert shown.messages == []


def test_what_cannot_be_seen_is_nowhere_in_the_file(report: Path) -> None:
    text = report.read_text(encoding="utf-8")
    assert not re.search("[\u202e\u2066\u2028\u2029\x00\x1b]", text)
    assert "document.title" not in text.replace("document.title = ", "")  # rows are packed, and facts hold none of it


def test_the_policy_lets_in_what_is_ours_alone(shown: Shown) -> None:
    shown.open()
    told = shown.page.locator("meta[http-equiv]").get_attribute("content") or ""
    assert re.fullmatch(
        r"default-src 'none'; script-src 'sha256-\S{44}'; style-src 'sha256-\S{44}'; "
        r"base-uri 'none'; form-action 'none'",
        told,
    )
    assert shown.page.locator("[style]:not(#list *):not(#space)").count() == 0
    shown.page.evaluate(
        "document.body.append(Object.assign(document.createElement('script'), {text: 'window.ran = 1'}))"
    )
    assert shown.page.evaluate("window.ran") is None
    assert any("Content Security Policy" in message for message in shown.messages)


def test_a_megabyte_in_one_answer(browser: Browser, tmp_path: Path) -> None:
    page = browser.new_page()
    shown = Shown(page, written(tmp_path / "long.html", 40, longest=1 << 20)).open("#filter=all&row=20")
    answer = shown.page.locator(".said .text").first
    assert len(answer.inner_text()) < 21_000
    answer.locator("button").click()
    assert "more characters are in the results file⟩" in answer.inner_text()
    assert 100_000 < len(answer.inner_text()) < 100_200
    assert shown.messages == []
    page.close()


# --- what is shown ------------------------------------------------------------------------------------------------


def test_the_figures_are_those_of_the_facts(shown: Shown) -> None:
    shown.open()
    for at, cell in enumerate(REPLY.cells):
        dots = shown.page.locator(".dots").nth(0).locator("tbody tr").nth(at).locator(".figure")
        for number, check in enumerate(cell.checks[:3]):
            assert dots.nth(number).inner_text().split() == [
                figures.estimate(check.number, check.form),
                figures.interval(check.number, check.form),
            ]
    for at, found in enumerate(one for one in REPLY.comparisons if one.check == "intent"):
        told = shown.page.locator(".differences").first.locator("tbody tr").nth(at).inner_text()
        numbers = [found.only_first, found.only_second, found.both + found.neither, found.difference.n]  # type: ignore[operator]
        assert [int(one.replace(",", "")) for one in re.findall(r"[\d,]+(?=\s)", told)[-5:-1]] == numbers or all(
            f"{number:,}" in told for number in numbers
        )
    part = next(one for one in REPLY.slices if one.value == "ja" and one.direction == "worse")
    shaded = shown.page.locator(".parts td.worse").all_inner_texts()
    assert any(figures.estimate(part.number, "rate") in text for text in shaded)
    assert len(shaded) == sum(one.direction == "worse" for one in REPLY.slices)


def test_every_line_adds_up_to_what_was_wanted(shown: Shown) -> None:
    shown.open()
    lines = shown.page.locator(".bars").first.locator("tbody tr").all()
    assert len(lines) == 4
    for line in lines:
        assert sum(int(one.replace(",", "")) for one in line.locator(".n").all_inner_texts()) == 1200


def test_all_but_the_rows_is_there_without_script(browser: Browser, report: Path) -> None:
    context = browser.new_context(java_script_enabled=False)
    page = context.new_page()
    page.goto(report.as_uri())
    text = page.locator("body").inner_text()
    for words in (
        "Comparison",
        "Is the lead real?",
        "Where it goes wrong",
        "Slices",
        "How it was made",
        "needs script",
    ):
        assert words in text
    assert page.locator("#rows").is_hidden()
    context.close()


FILTERS = ("wrong", "differ", "first", "second", "unreadable", "unanswered", "all")


def test_each_filter_shows_the_rows_that_it_names(shown: Shown) -> None:
    table = [statuses(cell) for cell in range(4)]
    shown.open()
    for name in FILTERS:
        shown.page.select_option("#filter", name)
        wanted = sum(_passes(name, [column[at] for column in table]) for at in range(1200))
        shown.has_rows(f"{wanted:,} of 1,200 rows")


def test_a_row_of_a_duel_is_won_or_lost(browser: Browser, tmp_path: Path) -> None:
    """Of a preference nobody is right: rows say what the figures above them say."""
    cells = [
        msgspec.structs.replace(
            cell, checks=(msgspec.structs.replace(cell.checks[0], kind="preference", form="score"), *cell.checks[1:])
        )
        for cell in REPLY.cells
    ]
    facts = msgspec.structs.replace(FACTS, groups=(msgspec.structs.replace(REPLY, cells=tuple(cells)),))
    page = browser.new_page()
    shown = Shown(page, write(tmp_path / "duel.html", facts, making.source(ROWS))).open("#filter=all")
    for status, word in (("right", "won"), ("wrong", "lost")):
        number = next(n for n, one in enumerate(statuses(0), 1) if one == status and statuses(0, 1)[n - 1] == "right")
        shown.open(f"#filter=all&row={number}")
        held = page.locator("#detail .said").first.locator(".held").inner_text()
        assert f"intent: {word}" in held and "order_id: right" in held
        assert page.locator("#detail .said").first.locator(f".held i.s-{status}").first.get_attribute("title") == word
    page.close()


def _passes(name: str, told: list[str]) -> bool:
    bad = ("wrong", "unreadable")
    match name:
        case "wrong":
            return any(one in (*bad, "unanswered") for one in told)
        case "differ":
            return len(set(told)) > 1
        case "first":
            return told[0] == "right" and told[1] in bad
        case "second":
            return told[1] == "right" and told[0] in bad
        case "unreadable" | "unanswered":
            return name in told
        case _:
            return True


def test_a_button_shows_as_many_rows_as_it_says(shown: Shown) -> None:
    shown.open()
    for button in shown.page.locator(".differences").first.locator("button.show").all():
        said = button.inner_text().removeprefix("the ")
        button.click()
        shown.has_rows(f"{said} of 1,200 rows")
    part = next(one for one in REPLY.slices if one.value == "ja")
    row = shown.page.locator(".parts tbody tr", has_text="language = ja")
    row.locator("button").click()
    shown.has_rows(f"{part.rows} of 1,200 rows")


def test_search_finds_columns_and_answers_in_any_case(shown: Shown) -> None:
    shown.open("#filter=all")
    of_sofia = sum(row.columns["name"] == "Sofia" or "Sofia" in row.columns["ticket"] for row in ROWS)
    assert 0 < of_sofia < 1200
    shown.page.fill("#search", "sOFIa")
    shown.has_rows(f"{of_sofia} of 1,200 rows")
    shown.page.fill("#search", '"],["')  # what stands between texts is in none of them
    shown.has_rows("0 of 1,200 rows")
    assert shown.page.locator("#detail").inner_text() == "No row is like that."


# --- keys, addresses, themes ----------------------------------------------------------------------------------------


def test_every_key(shown: Shown) -> None:
    shown.open("#filter=all")
    first = shown.selected()
    shown.press("j")
    second = shown.selected()
    assert second != first
    shown.press("k")
    assert shown.selected() == first
    assert shown.page.locator(".said.b select").input_value() == "2"
    shown.press("]")
    assert shown.page.locator(".said.b select").input_value() == "3"
    shown.press("[")
    shown.press("[")
    assert shown.page.locator(".said.b select").input_value() == "4", "the first answer is not shown twice"
    shown.press("d")
    assert shown.page.locator("#marks").get_attribute("aria-pressed") == "true"
    assert shown.page.locator(".said mark").count() > 0
    shown.press("d")
    assert shown.page.locator(".said mark").count() == 0
    shown.press("f")
    assert shown.page.locator("#filter").input_value() == "wrong"
    shown.press("t")
    assert shown.page.evaluate("document.documentElement.dataset.theme") == "dark"
    shown.press("?")
    assert shown.page.locator("#help").is_visible()
    shown.press("Escape")
    assert shown.page.locator("#help").is_hidden()
    shown.press("/")
    assert shown.page.evaluate("document.activeElement.id") == "search"
    shown.press("j")
    assert shown.page.locator("#search").input_value() == "j"


def test_the_list_is_a_listbox(shown: Shown) -> None:
    shown.open("#filter=all")
    shown.page.focus("#list")
    shown.press("End")
    chosen = shown.page.locator("[role=listbox] [role=option][aria-selected=true]")
    assert chosen.count() == 1
    assert chosen.get_attribute("aria-posinset") == chosen.get_attribute("aria-setsize") == "1200"
    assert shown.page.locator("#list").get_attribute("aria-activedescendant") == chosen.get_attribute("id")
    assert shown.page.locator(".row").count() < 40, "only what shows is drawn"


def test_a_link_shows_the_row(shown: Shown, browser: Browser) -> None:
    shown.open("#filter=all")
    shown.page.select_option("#slice", label="language = ja")
    shown.press("j")
    shown.page.select_option("#check", label="order_id")
    shown.page.locator("#list").press("ArrowDown")
    shown.page.wait_for_timeout(60)
    other = Shown(browser.new_page(), shown.file).open(shown.hash())
    assert (other.selected(), other.rows()) == (shown.selected(), shown.rows())
    assert other.page.locator("#check option:checked").inner_text() == "order_id"
    other.page.close()


@pytest.mark.parametrize(
    "address", ["#filter=x&check=y&a=99&b=-1&row=1e9&slice=z", "#row=0", "#%ff", "#job=none&q=%3Cimg%3E"]
)
def test_an_address_that_means_nothing(shown: Shown, address: str) -> None:
    shown.open(address)
    assert shown.rows().endswith("of 1,200 rows")
    assert shown.messages == []


@pytest.mark.parametrize("theme", ["light", "dark"])
@pytest.mark.parametrize("width", [1168, 420])
def test_both_themes_can_be_read_and_nothing_hangs_over(browser: Browser, report: Path, theme: str, width: int) -> None:
    page = browser.new_page(viewport={"width": width, "height": 900}, color_scheme=theme)  # type: ignore[arg-type]
    Shown(page, report).open()
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    least = page.evaluate(
        _CONTRAST, ["body", ".lead", ".made", ".said .text", ".s-wrong", ".s-right", ".gate .is", "small"]
    )
    assert min(least.values()) >= 3.0, least
    assert least["body"] >= 12
    page.close()


_CONTRAST = """names => {
  const rgb = text => text.match(/[\\d.]+/g).map(Number);
  const light = ([r, g, b]) => [r, g, b].map(v => v / 255)
    .map(v => v <= 0.03928 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4)
    .reduce((sum, v, at) => sum + v * [0.2126, 0.7152, 0.0722][at], 0);
  const behind = one => {
    for (let at = one; at; at = at.parentElement) {
      const found = getComputedStyle(at).backgroundColor;
      if (found !== 'rgba(0, 0, 0, 0)' && found !== 'transparent') return rgb(found);
    }
    return [255, 255, 255];
  };
  return Object.fromEntries(names.map(name => {
    const one = document.querySelector(name);
    const [a, b] = [light(rgb(getComputedStyle(one).color)), light(behind(one))].sort((x, y) => y - x);
    return [name, (a + 0.05) / (b + 0.05)];
  }));
}"""


def test_print_leaves_the_browser_of_rows_out(shown: Shown) -> None:
    shown.open()
    shown.page.emulate_media(media="print", color_scheme="dark")
    assert shown.page.locator("#rows").is_hidden()
    assert shown.page.locator("#theme").is_hidden()
    assert shown.page.locator(".slices").is_visible()
    assert shown.page.evaluate("getComputedStyle(document.body).color") == "rgb(0, 0, 0)"
    assert len(shown.page.pdf()) > 10_000


# --- size -----------------------------------------------------------------------------------------------------------


def test_ten_thousand_rows_are_ready_soon(browser: Browser, tmp_path: Path) -> None:
    """Against a page of one row on the same machine: seconds of one machine prove nothing."""
    many = [row._replace(custom_id=f"{row.custom_id}-{n}") for n in range(9) for row in ROWS][:10_000]
    small = write(tmp_path / "small.html", FACTS, making.source(ROWS[:1]))
    large = write(tmp_path / "large.html", FACTS, making.source(many))
    assert large.stat().st_size < 6_000_000

    def ready(path: Path) -> float:
        page = browser.new_page()
        start = time.monotonic()
        Shown(page, path).open("#filter=all")
        page.wait_for_selector(".row[aria-selected=true]")
        took = time.monotonic() - start
        page.close()
        return took

    floor = min(ready(small) for _ in range(3))
    assert min(ready(large) for _ in range(2)) < 6 * floor + 0.5


def test_what_is_left_out_is_said_and_statuses_are_whole(browser: Browser, tmp_path: Path) -> None:
    page = browser.new_page()
    shown = Shown(page, written(tmp_path / "some.html", 300, limit=Limit(rows=50))).open("#filter=all")
    assert shown.rows() == "300 of 300 rows"
    assert "250 rows of 300 without texts" in page.locator("#rows .note").inner_text()
    shown.page.focus("#list")
    shown.press("End")
    assert "is not in this page: see its line in results/reply-" in page.locator("#detail").inner_text()
    assert shown.selected().startswith("line ")
    assert shown.messages == []
    page.close()


def test_a_page_without_rows_or_checks(browser: Browser, tmp_path: Path) -> None:
    bare = tuple(msgspec.structs.replace(cell, checks=(), gates=()) for cell in REPLY.cells)
    group = msgspec.structs.replace(REPLY, cells=bare, comparisons=(), slices=())
    path = write(tmp_path / "bare.html", msgspec.structs.replace(FACTS, groups=(group,)))
    page = browser.new_page()
    shown = Shown(page, path).open()
    assert "It is held to no check." in page.locator(".answer").inner_text()
    assert page.locator("#rows").count() == 0
    shown.press("t")
    assert page.evaluate("document.documentElement.dataset.theme") == "dark"
    assert shown.messages == []
    page.close()


def test_where_nothing_is_wrong_every_row_is_shown(browser: Browser, tmp_path: Path) -> None:
    right = [row for row in ROWS if all(answer and answer.checks[0].status == "right" for answer in row.answers)]
    page = browser.new_page()
    shown = Shown(page, write(tmp_path / "right.html", FACTS, making.source(right))).open()
    shown.has_rows(f"{len(right)} of {len(right)} rows")
    assert page.locator("#filter").input_value() == "all"
    assert shown.messages == []
    page.close()


def test_the_meta_of_the_page_cannot_end_its_script(report: Path) -> None:
    text = report.read_text(encoding="utf-8")
    found = re.search(r'<script type="application/json" id="meta">(.*?)</script>', text, re.S)
    assert found
    assert "<" not in found[1]
    assert json.loads(found[1])[0]["rows"] == 1200
