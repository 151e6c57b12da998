"""Two jobs' answers in pairs, and a judge who prefers one, before a remote that says what a test says."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.journeys.boundaries import crossed_by, missing_in, rig_of
from tests.journeys.rounds import at
from tests.journeys.scorelab import FAILED, REMOTE, ScoreLab, score_lab

SPEC = (
    """\
project: lab
models:
  echo: {provider: lab, name: echo, params: {max_tokens: 16}}
datasets:
  rows: {files: data/rows.jsonl, id: id}
  duels: {pairs: [one, two]}
prompts:
  ask: {user: "Say {{ word }}"}
  beg: {user: "Please say {{ word }}"}
  which: {user: "Which is the better answer to {{ word }}?\\n1: {{ first }}\\n2: {{ second }}"}
jobs:
  one: {dataset: rows, prompt: ask, model: echo, max_attempts: 1, output: results/one.jsonl}
  two: {dataset: rows, prompt: beg, model: echo, max_attempts: 1, output: results/two.jsonl}
  duel:
    dataset: duels
    prompt: which
    model: echo
    max_attempts: 1
    output: results/duel.jsonl
    checks:
      better: {preference: {first: A, second: B, tie: C}}
%s
"""
    + REMOTE
)
MOST = 160  # more boundaries than there are
ROWS = [{"id": f"r{n}", "word": f"w{n}", "group": "even" if n % 2 == 0 else "odd"} for n in range(6)]
# What a judge says in the order `ab` (the baseline first), and in `ba`
WINS, LOSES, TIE, PLACE = ("B", "A"), ("A", "B"), ("C", "C"), ("A", "A")
Judge = Callable[[str, str], Any]


def answers(item: str, prompt: str) -> Any:
    """Of the contestants."""
    return f"{prompt}: {item}"


def saying(judge: Judge, contestants: Judge = answers) -> Judge:
    """judge: by item and order."""

    def says(row: str, prompt: str) -> Any:
        item, _, order = row.rpartition("-")
        return judge(item, order) if item else contestants(row, prompt)

    return says


def by_item(*verdicts: tuple[Any, Any]) -> Judge:
    """The verdicts on r0, r1, ..."""
    return saying(lambda item, order: verdicts[int(item[1:])][order == "ba"])


@pytest.fixture
def lab(tmp_path: Path) -> Iterator[ScoreLab]:
    with score_lab(tmp_path / "p") as found:
        found.table(ROWS)
        found.job(spec=SPEC)
        yield found


def asked(lab: ScoreLab) -> list[str]:
    """Every request that was sent, by the id of its row, sorted."""
    return sorted(row for batch in lab.remote.sent for row in batch)


def judged(lab: ScoreLab) -> list[str]:
    return [row for row in asked(lab) if row.endswith(("-ab", "-ba"))]


def better(lab: ScoreLab, address: str = "duel") -> dict[str, Any]:
    [check] = lab.status_of(address)["scores"]["checks"]
    return dict(check)


def test_one_apply_asks_the_two_and_then_the_judge(lab: ScoreLab) -> None:
    lab.says = by_item(WINS, WINS, LOSES, TIE, PLACE, WINS)
    done = lab.apply()
    items = [f"r{n}" for n in range(6)]
    assert asked(lab) == sorted([*items, *items, *(f"{item}-{order}" for item in items for order in ("ab", "ba"))])
    lines = lab.results("results/duel.jsonl")
    assert [line["custom_id"] for line in lines[:4]] == ["r0-ab", "r0-ba", "r1-ab", "r1-ba"]
    assert (lines[0]["row"]["first"], lines[0]["row"]["second"]) == ("ask: r0", "beg: r0")
    assert (lines[1]["row"]["first"], lines[1]["row"]["second"]) == ("beg: r0", "ask: r0")
    assert set(lines[0]["row"]) == {"id", "word", "group", "custom_id", "first", "second"}, "nobody's name is there"
    assert lab.statuses("better", "results/duel.scores.jsonl") == "rrrrwwpppprr"
    told = better(lab)
    duel = told["duel"]
    assert (duel["wins"], duel["ties"], duel["losses"], duel["inconsistent"], duel["equal"]) == (3, 2, 1, 1, 0)
    assert (told["figure"]["value"], told["figure"]["n"]) == (pytest.approx(4 / 6), 6)
    assert told["counts"] == {"right": 3, "wrong": 1, "partly": 2}
    assert (duel["sides"]["first"], duel["sides"]["second"]) == ("one", "two")
    assert "3 won, 1 lost, 2 tied" in done.stdout
    assert "of the ties 1 where the two orders disagree" in done.stdout
    again = lab.apply()
    assert len(asked(lab)) == 24
    assert "Nothing to do" in again.stdout


def test_a_judge_that_always_says_first_gives_no_wins(lab: ScoreLab) -> None:
    lab.says = by_item(*[PLACE] * 6)
    done = lab.apply()
    told = better(lab)
    duel = told["duel"]
    assert (duel["wins"], duel["losses"], duel["ties"], duel["inconsistent"]) == (0, 0, 6, 6)
    assert (duel["consistency"]["value"], duel["place"]["value"]) == (0, 1)
    assert duel["p"] is None
    assert "both orders agree on 0.0 %" in done.stdout and "the place shown first wins 100.0 %" in done.stdout


def test_before_it_the_plan_says_what_is_known_after(lab: ScoreLab) -> None:
    plan = lab.run("plan", "specs/").stdout
    assert "? after    about 12 requests" in plan and "known after `one`, `two`" in plan
    assert asked(lab) == []


def test_only_what_changed_is_judged_again_and_a_clone_sends_nothing(lab: ScoreLab) -> None:
    lab.says = by_item(*[WINS] * 6)
    lab.apply()
    lab.table([*ROWS[:2], {**ROWS[2], "word": "other"}, *reversed(ROWS[3:])])
    lab.says = saying(lambda item, order: LOSES[order == "ba"])
    lab.apply()
    assert judged(lab)[:4] == ["r0-ab", "r0-ba", "r1-ab", "r1-ba"]
    assert sorted(lab.remote.sent[-1]) == ["r2-ab", "r2-ba"]
    assert (better(lab)["duel"]["wins"], better(lab)["duel"]["losses"]) == (5, 1)
    sent, told = len(asked(lab)), (lab.root / "results/duel.scores.jsonl").read_bytes()
    lab.forget()
    plan = lab.run("plan", "specs/").stdout
    assert "after" not in plan and "create" not in plan
    lab.apply()
    assert len(asked(lab)) == sent
    assert (lab.root / "results/duel.scores.jsonl").read_bytes() == told
    assert better(lab)["duel"]["wins"] == 5
    assert not list(lab.root.rglob("*.bak"))


def test_equal_answers_and_lone_ones_are_counted_and_not_asked_about(lab: ScoreLab) -> None:
    def contestants(row: str, prompt: str) -> Any:
        if (row, prompt) in (("r5", "beg"), ("r0", "ask"), ("r1", "ask")):
            return FAILED
        return "the same" if row == "r4" else answers(row, prompt)

    lab.says = saying(lambda item, order: WINS[order == "ba"], contestants)
    done = lab.apply(code=4)
    assert judged(lab) == ["r2-ab", "r2-ba", "r3-ab", "r3-ba"]
    told = better(lab)
    duel = told["duel"]
    assert (duel["wins"], duel["ties"], duel["losses"], duel["equal"]) == (2, 1, 0, 1)
    assert told["counts"] == {"right": 2, "partly": 1}
    assert (duel["sides"]["only_first"], duel["sides"]["only_second"]) == (1, 2)
    assert duel["consistency"]["n"] == 2, "of those that were asked about"
    assert "only `one` has answered 1 row and only `two` has answered 2 rows" in done.stderr
    assert "1 of equal answers" in done.stdout and "2 rows that only two answered" in done.stdout
    # an answer that is there at last is judged, and what was judged stays
    lab.says = saying(lambda item, order: WINS[order == "ba"])
    lab.run("retry", "two", "specs/")
    lab.apply(code=4)
    assert judged(lab) == ["r2-ab", "r2-ba", "r3-ab", "r3-ba", "r5-ab", "r5-ba"]
    assert better(lab)["duel"]["wins"] == 3


def test_an_item_that_becomes_a_tie_is_scored_anew_though_no_row_changed(lab: ScoreLab) -> None:
    def contestants(row: str, prompt: str) -> Any:
        return FAILED if (row, prompt) == ("r5", "beg") else answers(row, prompt)

    lab.says = saying(lambda item, order: WINS[order == "ba"], contestants)
    lab.apply(code=4)
    assert (better(lab)["duel"]["equal"], better(lab)["figure"]["n"]) == (0, 5)
    lab.says = saying(lambda item, order: WINS[order == "ba"], lambda row, prompt: answers(row, "ask"))
    lab.run("retry", "two", "specs/")
    lab.apply()
    assert len(judged(lab)) == 10
    assert (better(lab)["duel"]["equal"], better(lab)["figure"]["n"]) == (1, 6)


def test_a_judge_that_cannot_be_read_or_fails_is_excluded_and_counted(lab: ScoreLab) -> None:
    lab.says = by_item(WINS, ("B", "hard to say"), ("A or B", "?"), (FAILED, "A"), LOSES, TIE)
    lab.apply(code=4)
    told = better(lab)
    assert told["counts"] == {"right": 1, "wrong": 1, "partly": 1, "unreadable": 2, "unanswered": 1}
    assert (told["figure"]["value"], told["figure"]["n"]) == (0.5, 3)
    assert lab.statuses("better", "results/duel.scores.jsonl") == "rruuuummwwpp"
    assert lab.run("export", "duel", "out.csv").stdout
    report = json.loads(lab.run("report", "specs/", "-o", "json", "--out", "-").stdout)
    [check] = next(group for group in report["groups"] if group["name"] == "duel")["cells"][0]["checks"]
    assert check["statuses"] == told["counts"] and check["duel"]["first"] == "one"


def test_each_item_once_in_an_order_that_its_content_decides(lab: ScoreLab) -> None:
    lab.job(spec=SPEC.replace("{pairs: [one, two]}", "{pairs: [one, two], orders: one}"))
    lab.says = by_item(*[WINS] * 6)
    lab.apply()
    rows = judged(lab)
    assert [row[:2] for row in rows] == [f"r{n}" for n in range(6)]
    assert {row[-2:] for row in rows} == {"ab", "ba"}
    duel = better(lab)["duel"]
    assert (duel["wins"], duel["ties"], duel["consistency"]) == (6, 0, None)
    assert "orders agree" not in lab.run("status", "specs/", "--offline").stdout


GATES = """\
slices: [group, {length: "{{ first | length }}"}]
expect:
  better: [">= 0.6", {is: ">= 0.9", slice: {group: even}}]
  better.unreadable: "<= 1 %"
"""


def test_gates_hold_the_win_rate_of_items(lab: ScoreLab) -> None:
    def contestants(row: str, prompt: str) -> str:
        return "the same" if row == "r4" else answers(row, prompt)

    lab.job(GATES, spec=SPEC)
    lab.says = saying(lambda item, order: {"r1": LOSES}.get(item, WINS)[order == "ba"], contestants)
    done = lab.apply(code=4)
    assert better(lab)["figure"]["value"] == 4.5 / 6
    verdicts = [gate["verdict"] for gate in lab.status_of("duel")["scores"]["gates"]]
    assert verdicts == ["met", "unmet", "met"]
    assert "83.3 %" in done.stdout, "two wins and the tie of r4"
    [slices] = [
        {part["value"]: (part["rows"], part["number"]["value"]) for part in group["slices"] if part["name"] == "group"}
        for group in json.loads(lab.run("report", "specs/", "-o", "json", "--out", "-").stdout)["groups"]
        if group["name"] == "duel"
    ]
    assert slices == {"even": (3, pytest.approx(2.5 / 3)), "odd": (3, pytest.approx(2 / 3))}


def test_where_chooses_items_and_a_check_leaves_some_out(lab: ScoreLab) -> None:
    spec = SPEC.replace("{pairs: [one, two]}", "{pairs: [one, two], where: \"{{ id != 'r0' }}\"}")
    spec = spec.replace("tie: C}}", "tie: C}, where: \"{{ group == 'odd' }}\"}")
    lab.job(spec=spec)
    lab.says = saying(
        lambda item, order: WINS[order == "ba"],
        lambda row, prompt: "same" if row in "r0 r1 r2" else answers(row, prompt),
    )
    lab.apply()
    assert judged(lab) == ["r3-ab", "r3-ba", "r4-ab", "r4-ba", "r5-ab", "r5-ba"]
    assert better(lab)["counts"] == {"right": 2, "partly": 1, "skipped": 2}


def test_every_form_of_a_report_says_who_won(lab: ScoreLab) -> None:
    lab.says = by_item(WINS, WINS, LOSES, TIE, PLACE, WINS)
    lab.apply()
    lab.forget()  # of outputs alone
    shown = {form: lab.run("report", "specs/", "-s", "duel", "-o", form, "--out", "-").stdout
             for form in ("html", "markdown", "json", "junit")}  # fmt: skip
    for form in ("html", "markdown"):
        plain = re.sub(r"<[^>]+>|\\|\*", "", shown[form])
        assert "two is preferred to one in 66.7 %" in plain
        assert "✓ won" in plain
        assert "3 won, 2 tied, 1 lost; of the ties 1 where the two orders disagree" in plain
        assert "both orders agree on 83.3 %" in plain
    assert "½ tied" in shown["markdown"]
    [cell] = json.loads(shown["json"])["groups"][0]["cells"]
    assert (cell["checks"][0]["duel"]["wins"], cell["provenance"]["data"]) == (3, ["one", "two"])
    failing = re.findall(r'name="better (\S+)"', shown["junit"])
    assert failing == ["r2-ab", "r2-ba"], "a tie is no defeat"


def test_two_judges_are_compared_by_item(lab: ScoreLab) -> None:
    spec = SPEC.replace("    dataset: duels\n    prompt: which\n",
                        "    matrix: {prompt: [which, plainly]}\n    dataset: duels\n")  # fmt: skip
    spec = spec.replace("results/duel.jsonl", '"results/duel-{{ prompt }}.jsonl"')
    plainly = '  plainly: {user: "Please: {{ first }} or {{ second }}?"}\n'
    spec = spec.replace("  which: {", plainly + "  which: {")
    lab.job(spec=spec)

    def says(row: str, prompt: str) -> Any:
        item, _, order = row.rpartition("-")
        if not item:
            return answers(row, prompt)
        return ({"r0": LOSES, "r1": TIE} if prompt == "beg" else {}).get(item, WINS)[order == "ba"]

    lab.says = says
    lab.apply()
    told = json.loads(lab.run("diff", "duel:prompt=plainly", "duel:prompt=which", "-o", "json").stdout)
    [check] = told["checks"]
    assert (told["compared"], check["difference"]["n"]) == (12, 6)
    assert check["difference"]["value"] == pytest.approx(1.5 / 6)
    assert [row["custom_id"] for row in check["best"]] == ["r0-ab", "r1-ab"]
    [group] = [one for one in json.loads(lab.run("report", "specs/", "-o", "json", "--out", "-").stdout)["groups"]
               if one["name"] == "duel"]  # fmt: skip
    assert group["comparisons"][0]["difference"]["n"] == 6


def test_the_lock_holds_in_a_strangers_clone(lab: ScoreLab) -> None:
    lab.says = saying(lambda item, order: WINS[order == "ba"], lambda *of: "same" if of[0] == "r4" else answers(*of))
    lab.apply()
    lab.run("lock", "specs/")
    before = (lab.root / "runner.lock").read_bytes()
    assert b".runner" not in before
    lab.forget()
    assert "3 jobs as locked" in lab.run("verify").stdout
    assert "3 jobs as locked" in lab.run("verify", "--deep").stdout
    lab.apply()
    assert (lab.root / "runner.lock").read_bytes() == before
    # an answer of a contestant is another one: it is named, and not what was made of it
    output = lab.root / "results/two.jsonl"
    output.write_bytes(output.read_bytes().replace(b"beg: r0", b"beg: rO"))
    assert (
        "results/two.jsonl: error: two: these are not the results that were locked" in lab.run("verify", code=1).stderr
    )


def test_a_column_called_first_is_refused_before_anything_is_sent(lab: ScoreLab) -> None:
    lab.table([{**row, "second": "x"} for row in ROWS])
    for command in (("validate", "specs/"), ("apply", "-y", "specs/")):
        done = lab.run(*command, code=1)
        assert (
            "specs/lab.yaml:6:18: error: the rows of `one` have a column `second` already" in done.stdout + done.stderr
        )
    assert asked(lab) == []


def test_a_where_that_looks_at_an_order_is_refused(lab: ScoreLab) -> None:
    lab.job(spec=SPEC.replace("[one, two]}", '[one, two], where: "{{ first | length > 3 }}"}'))
    done = lab.run("validate", "specs/", code=1)
    words = "`where` of dataset `duels` looks at `first`, which is another one in the other order"
    assert words in done.stdout + done.stderr


CELLS = """\
project: lab
models:
  echo: {provider: lab, name: echo, params: {max_tokens: 16}, price: {input: 1000, output: 1000}}
datasets:
  rows: {files: data/rows.jsonl, id: id}
  truths: {files: data/truths.jsonl}
  duels: {pairs: ["reply:prompt=ask", "reply:prompt=beg"]}
prompts:
  ask: {user: "Say {{ word }}"}
  beg: {user: "Please say {{ word }}"}
  which: {user: "Nearer to {{ truth }}?\\n1: {{ first }}\\n2: {{ second }}"}
jobs:
  reply:
    matrix: {prompt: [ask, beg]}
    dataset: rows
    model: echo
    output: results/{{ prompt }}.jsonl
    references: {dataset: truths, on: id}
  duel:
    dataset: duels
    prompt: which
    model: echo
    output: results/duel.jsonl
    checks:
      better: {preference: {first: A, second: B, tie: C}}
%s
providers:
  lab: {kind: openai, base_url: URL/v1, api_key_env: LAB_KEY, overrides: {settle_s: 0.1, min_poll_s: 0.02}}
"""


def test_cells_of_a_matrix_with_what_is_joined_to_their_rows(lab: ScoreLab) -> None:
    lab.table([{"id": row["id"], "truth": f"truth of {row['id']}"} for row in ROWS], "data/truths.jsonl")
    lab.job("expect: {better: '>= 0.9'}", spec=CELLS)
    lab.says = by_item(*[WINS] * 6)
    plan = lab.run("plan", "specs/").stdout
    assert "known after `reply:prompt=ask`, `reply:prompt=beg`" in plan
    # in each of its 12 requests the judge sees two answers of at most 16 tokens, at $0.001 a token
    least, most = map(float, re.findall(r"after .*\$([\d.]+) to \$([\d.]+)", plan)[0])
    assert most - least == pytest.approx(12 * 2 * 16 / 1000, abs=0.02)
    lab.apply()
    row = lab.results("results/duel.jsonl")[1]["row"]
    assert (row["truth"], row["first"], row["second"]) == ("truth of r0", "beg: r0", "ask: r0")
    assert not {"prompt", "model", "job"} & set(row), "the axes of the matrix are no columns"
    asked_of = [data for name, data in lab.remote.files.items() if b"Nearer to truth of r0" in data]
    assert asked_of and b"reply" not in asked_of[0]
    assert better(lab)["duel"]["sides"] == {
        "first": "reply:prompt=ask",
        "second": "reply:prompt=beg",
        "only_first": 0,
        "only_second": 0,
    }


def test_a_judge_asked_several_times_is_one_witness_an_item(lab: ScoreLab) -> None:
    spec = SPEC.replace("    prompt: which\n", "    prompt: which\n    matrix: {replicate: [1, 2]}\n")
    lab.job(spec=spec.replace("results/duel.jsonl", '"results/duel-{{ replicate }}.jsonl"'))
    lab.says = saying(lambda item, order: WINS[order == "ba"], lambda *of: "same" if of[0] == "r4" else answers(*of))
    done = lab.apply()
    assert len(judged(lab)) == 20
    assert "better, 2 replicates" in done.stdout
    report = json.loads(lab.run("report", "specs/", "-o", "json", "--out", "-").stdout)
    [pooled] = next(group for group in report["groups"] if group["name"] == "duel")["pooled"]
    number = pooled["checks"][0]["number"]
    assert (number["value"], number["n"], number["clusters"]) == (pytest.approx(11 / 12), 12, 6)
    assert pooled["checks"][0]["duel"]["equal"] == 2


# --- killed ---------------------------------------------------------------------------------------------------------


def test_killed_between_the_two_and_their_judge(tmp_path: Path) -> None:
    with rig_of("openai-pairs", tmp_path) as rig:
        crossed = crossed_by(rig)
        assert missing_in("openai-pairs", crossed) == []
        last = len(crossed) - crossed[::-1].index("after submit")
        assert crossed.count("after submit") == 3, "a batch of each job"
        # one of the two has its results; the judge's batch is sent; it is not counted yet
        for number in (at(crossed, "renamed other.jsonl"), last, at(crossed, "renamed duel.jsonl")):
            assert rig.round(number), crossed[number - 1]


@pytest.mark.sweep
@pytest.mark.timeout(1800)
def test_killed_at_every_boundary_of_a_duel(tmp_path: Path) -> None:
    with rig_of("openai-pairs", tmp_path) as rig:
        figures = rig.sweep(range(1, MOST))
    assert 40 < figures.rounds < MOST - 1
