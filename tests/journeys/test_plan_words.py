"""A plan says how much, which rows, and what to run next, so that it can be copied as it stands."""

from __future__ import annotations

import json
import re
from collections.abc import Callable

import pytest

from tests.journeys.lab import SPEC, Lab
from tests.journeys.terminal import terminal
from tests.journeys.test_repay import PRICED

OTHERS = """\
models:
  echo2: {{provider: lab2, name: echo, params: {{max_tokens: 16}}}}
datasets:
  rows2: {{files: data/others.csv, id: id}}
prompts:
  ask2: {{user: "Sing {{{{ word }}}}"}}
jobs:
  others: {{dataset: rows2, prompt: ask2, model: echo2, output: results/others.jsonl}}
providers:
  lab2: {{kind: openai, base_url: {url}, api_key_env: LAB_KEY, overrides: {{settle_s: 0.4, min_poll_s: 0.05}}}}
"""


def test_totals_in_plan_question_and_apply(lab: Lab) -> None:
    lab.spec(PRICED)
    total = "10 requests to send in 1 batch, at most $10.00"
    assert f"Plan: {total}" in lab.run("plan").stdout
    view = json.loads(lab.run("plan", "-o", "json").stdout)
    assert (view["requests"], view["batches"], round(view["usd"], 2)) == (10, 1, 10.0)
    with terminal(lab.root, lab.environ(), "apply", "specs/", columns=200) as screen:
        screen.wait_for("Send 10 requests in 1 batch, at most $10.00? [y/N]:")
        screen.type("n\n")
        assert screen.end() == 0
    assert f"Plan: {total}" in lab.apply().stderr
    assert "spent $2.50" in lab.run("status").stdout  # 4 of 16 tokens each


def test_what_is_not_known_is_no_total(lab: Lab) -> None:
    assert "10 requests to send in 1 batch, at a cost that is not known" in lab.run("plan").stdout
    assert json.loads(lab.run("plan", "-o", "json").stdout)["usd"] is None


def test_a_discount_is_shown_and_a_provider_of_ones_own_has_none_unless_it_says_so(lab: Lab) -> None:
    lab.spec(PRICED)
    assert "batch)" not in lab.run("plan").stdout
    lab.spec(PRICED.replace("settle_s: 0.4", "settle_s: 0.4, discount: 0.25"))
    words = lab.run("plan").stdout
    assert "$7.50 (25 % batch)" in words and "at most $7.50" in words
    spec = PRICED.replace("provider: lab", "provider: openai").replace("name: echo", "name: gpt-4o")
    lab.spec(spec)
    assert "$5.00 (50 % batch)" in lab.run("plan", "--offline").stdout
    lab.spec(spec + "  openai: {{overrides: {{discount: 1}}}}\n")  # no spec makes a vendor cheaper than it is
    assert "$5.00 (50 % batch)" in lab.run("plan", "--offline").stdout


def test_the_first_ids_of_what_changed(lab: Lab) -> None:
    lab.apply()
    lab.rows({f"r{n}": f"word {n}" if n % 2 else f"new {n}" for n in range(12)})
    words = lab.run("plan").stdout
    assert "6 of 12 requests" not in words and "7 of 12 requests" in words
    assert "\n             r0, r2, r4 and 4 more\n" in words
    (line,) = json.loads(lab.run("plan", "-o", "json").stdout)["jobs"][0]["lines"]
    assert line["ids"] == ["r0", "r2", "r4"]


def test_every_suggested_command_carries_the_paths(lab: Lab) -> None:
    lab.server.fault(hold=0.5)
    lab.apply("--no-wait", code=3)
    lab.run("cancel", "answers")
    for words in (("plan",), ("apply", "-y"), ("status",), ("show", "answers"), ("retry", "answers")):
        done = lab.run(*words, "specs/lab.yaml", code=None)
        suggested = re.findall(r"`(runner [^`]*)`", done.stdout + done.stderr)
        assert all("specs/lab.yaml" in one for one in suggested), suggested
        if words[0] in ("apply", "retry"):
            assert suggested
    (job,) = json.loads(lab.run("plan", "specs/lab.yaml", "-o", "json", code=None).stdout)["jobs"]
    assert all("specs/lab.yaml" in way for line in job["lines"] for way in line["unblock"])
    assert "specs" not in "".join(re.findall(r"`(runner retry[^`]*)`", lab.run("plan", code=None).stdout))


def test_a_plan_that_is_blocked_throughout_does_not_say_to_run_apply(lab: Lab) -> None:
    lab.spec(PRICED)
    done = lab.run("plan", "specs/", "--max-usd", "1", code=5)
    assert "runner apply" not in done.stderr
    assert "before you decide about what is blocked" in done.stderr


def test_work_of_other_paths_fails_nothing_here(lab: Lab) -> None:
    """Their provider is declared in their own spec file, so that here it is not even known where to ask."""
    lab.rows(3, "data/others.csv")
    lab.spec(OTHERS, "others.yaml")
    lab.server.fault(hold=0.0)
    lab.apply("--no-wait", code=3)
    lab.run("plan", "specs/lab.yaml")
    assert "others" not in lab.run("plan", "specs/lab.yaml").stdout
    lab.server.fault(hold=None)
    lab.run("apply", "specs/lab.yaml", code=0)
    assert lab.run("plan", "specs/lab.yaml", "--detailed-exitcode").stdout == "Nothing to do\n"
    assert lab.apply("--no-wait", code=0).stdout.startswith("others  3 ok")


def test_a_row_that_was_never_sent_is_no_answer_that_is_lost(lab: Lab) -> None:
    lab.apply()
    words = {f"r{n}": f"word {n}" for n in range(10)}
    lab.rows({**words, "r10": "new"})
    told = lab.run("apply", "specs/", code=5)
    assert "10 ok, 0 error, 1 not sent of 11" in told.stdout
    lab.rows({**words, "r10": "newer"})
    assert "no longer wanted" not in lab.run("plan").stdout
    lab.rows({**words, "r9": "other"})
    assert "1 answered request is no longer wanted" in lab.run("plan").stdout


def test_what_was_not_written_is_said_to_be_as_it_was(lab: Lab) -> None:
    lab.apply()
    lab.spec(PRICED.replace("Say", "Tell"))
    told = lab.run("apply", "specs/", code=5).stdout
    assert "0 ok, 0 error, 10 not sent of 10  results/answers.jsonl as it was" in told


@pytest.mark.parametrize("output", ["answers.jsonl", "answers.csv", "answers.parquet"])
def test_a_fresh_clone_with_its_outputs_has_nothing_to_do(lab: Lab, output: str) -> None:
    path = lab.root / "specs/lab.yaml"
    path.write_text(path.read_text().replace("answers.jsonl", output))
    lab.apply()
    before = (lab.root / "results" / output).stat()
    lab.forget()
    told = lab.run("plan", "--detailed-exitcode").stdout
    assert told == (
        "`lab` was not asked what it holds of this project: nothing is to be sent to it; "
        "`runner apply` asks before it sends anything\n\nNothing to do\n"
    )
    assert "would send nothing" in (rehearsal := lab.run("apply", "--rehearse", "specs/")).stdout
    assert "1 job unchanged" in rehearsal.stdout and "nothing is to be sent to it" in rehearsal.stderr
    done = lab.apply()
    assert done.stdout == "Nothing to do\n" and "wrote" not in done.stderr
    assert (lab.root / "results" / output).stat() == before
    assert lab.run("plan", "--detailed-exitcode").stdout == lab.apply().stdout == "Nothing to do\n"


@pytest.mark.parametrize(
    ("output", "spoiled", "why"),
    [
        ("answers.jsonl", lambda text: text + "{}\n", "it goes on after line 10"),
        ("answers.jsonl", lambda text: text.replace('"finish":', '"finish": ', 1), "line 1"),
        ("answers.csv", lambda text: text.replace(",stop,", ",,", 1), "line 2"),
        ("answers.csv", lambda text: text.replace("finish", "ended", 1), "it has no column `finish`"),
        ("answers.csv", lambda text: text.replace("\r\n", "\n"), "line 1"),
    ],
)
def test_a_fresh_clone_says_why_it_writes_what_is_there(
    lab: Lab, output: str, spoiled: Callable[[str], str], why: str
) -> None:
    spec, path = lab.root / "specs/lab.yaml", lab.root / "results" / output
    spec.write_text(spec.read_text().replace("answers.jsonl", output))
    lab.apply()
    before = path.read_bytes()
    lab.forget()
    path.write_bytes(spoiled(before.decode()).encode())
    is_kept = why != "line 1"  # there it says the same in other bytes
    kept = f"; the file that is there is kept as `results/{output}.bak`" if is_kept else "\n"
    line = f"~ rewrite  `results/{output}`  the file that is there differs: {why}{kept}"
    assert line in lab.run("plan", "--detailed-exitcode", code=2).stdout
    assert f"wrote `results/{output}` (the file that is there differs: {why})" in lab.apply().stderr
    assert path.read_bytes() == before
    assert path.with_name(f"{output}.bak").is_file() is is_kept


def test_other_columns_are_said_in_a_fresh_clone(lab: Lab) -> None:
    lab.apply()
    lab.forget()
    path = lab.root / "specs/lab.yaml"
    path.write_text(
        path.read_text().replace("model: echo\n", "model: echo\n    columns: [custom_id, answer, digest, origin]\n")
    )
    why = "the file that is there differs: its column `row` is no longer wanted"
    assert why in lab.run("plan", "--detailed-exitcode", code=2).stdout
    assert why in lab.apply().stderr
    assert set(lab.results()[0]) == {"custom_id", "answer", "digest", "origin"}


def test_a_row_that_an_output_lacks_is_looked_for_and_the_file_written(lab: Lab) -> None:
    lab.apply()
    before = lab.results()
    lab.forget()
    path = lab.root / "results/answers.jsonl"
    path.write_text("".join(line for line in path.read_text().splitlines(keepends=True) if '"r3"' not in line))
    assert "Plan: 1 batch to fetch" in lab.run("plan", "--detailed-exitcode", code=2).stdout
    assert "the file that is there differs: line 4" in lab.apply().stderr
    assert lab.results() == before and lab.server.creates() == 1


def test_a_results_file_that_moved_with_its_spec_is_left_as_it_is(lab: Lab) -> None:
    lab.apply()
    path = lab.root / "specs/lab.yaml"
    path.write_text(path.read_text().replace("answers.jsonl", "moved.jsonl"))
    assert "output path or format changed" in lab.run("plan").stdout
    (lab.root / "results/answers.jsonl").rename(lab.root / "results/moved.jsonl")
    assert lab.run("plan").stdout == "Nothing to do\n"
    assert lab.apply().stdout == "Nothing to do\n"


def test_answers_that_are_none_have_a_next_step(lab: Lab) -> None:
    path = lab.root / "specs/lab.yaml"
    path.write_text(path.read_text().replace("max_tokens: 16", "max_tokens: 1"))
    told = lab.apply()
    assert "10 ok, 10 of them cut at the token limit" in told.stdout
    assert told.stderr.splitlines()[-1].startswith("Done, but some answers are flawed: `runner show answers specs/`")


def test_calls_that_are_to_be_sent_are_no_reason_to_say_that_nothing_is(lab: Lab) -> None:
    """A provider with batches, whose answers are taken from the results, and calls, of which it keeps no list."""
    lab.apply()
    lab.forget()
    more = "  now: {{dataset: rows, prompt: beg, model: echo, transport: online, output: results/now.jsonl}}\n"
    spec = SPEC.replace("jobs:\n", f"jobs:\n{more}").replace(
        "prompts:\n", 'prompts:\n  beg: {{user: "Beg {{{{ word }}}}"}}\n'
    )
    lab.spec(spec)
    told = lab.run("plan").stdout
    assert "Plan: 10 requests to send" in told
    assert "`lab` was not asked what it holds of this project: nothing is to be sent that it may hold already" in told
