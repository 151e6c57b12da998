"""A plan says what changed: one cause for many cells, both values, requests side by side; never what is untrue."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.cli.snapshots import Shots, must_fit
from tests.journeys.lab import Lab, serving

CELLS = """\
project: lab
models:
{models}
datasets:
  rows: {{files: data/rows.csv, id: id}}
prompts:
  ask: {{file: prompts/base.md.j2}}
  kept: {{user: "Sing {{{{ word }}}}"}}
jobs:
  compare:
    matrix: {{model: [m1, m2, m3, m4, m5, m6, m7], replicate: [1, 2]}}
    dataset: rows
    prompt: ask
    output: results/{{{{ model }}}}-{{{{ replicate }}}}.jsonl
  lone: {{dataset: rows, prompt: kept, model: m1, output: results/lone.jsonl}}
providers:
  lab: {{kind: openai, base_url: {url}, api_key_env: LAB_KEY, overrides: {{settle_s: 0.4, min_poll_s: 0.05}}}}
"""
ROWS = {f"r{n}": f"word {n}" for n in range(4)}
TEMPLATE = "You are kind.\n\nSay {{ word }} once.\n"


def git(root: Path, *words: str) -> str:
    who = ("-c", "user.name=n", "-c", "user.email=e@example.com", "-c", "commit.gpgsign=false")
    done = subprocess.run(["git", *who, *words], cwd=root, capture_output=True, text=True, check=True)
    return done.stdout.strip()


def spec(lab: Lab, temperature: str = "0") -> None:
    models = [
        f"  m{n}: {{provider: lab, name: echo-{n}, params: {{max_tokens: 16, temperature: {heat}}},"
        " price: {input: 1000, output: 10000}}"
        for n, heat in enumerate([temperature, *"000000"], 1)
    ]
    lab.spec(CELLS, models="\n".join(models))


@pytest.fixture(scope="module")
def applied(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Lab]:
    """Fifteen jobs that are settled, committed with their results."""
    folder = tmp_path_factory.mktemp("applied")
    with serving(folder / "server") as server:
        (folder / "project/prompts").mkdir(parents=True)
        lab = Lab(folder / "project", server)
        spec(lab)
        lab.rows(ROWS)
        (lab.root / "prompts/base.md.j2").write_text(TEMPLATE)
        (lab.root / ".gitignore").write_text(".runner/\n")
        lab.apply()
        git(lab.root, "init", "-q", "-b", "main")
        git(lab.root, "add", "-A")
        git(lab.root, "commit", "-q", "-m", "results")
        yield lab


@pytest.fixture
def lab(applied: Lab, tmp_path: Path) -> Lab:
    """A copy of that project, state and all."""
    root = tmp_path / "project"
    shutil.copytree(applied.root, root, symlinks=True)
    return Lab(root, applied.server)


def view_of(lab: Lab, *words: str, code: int | None = None, **environ: str) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(lab.run("plan", "specs/", "-o", "json", *words, code=code, **environ).stdout)
    return found


def say(lab: Lab, text: str) -> None:
    (lab.root / "prompts/base.md.j2").write_text(TEMPLATE.replace("Say", text))


def test_one_cause_once_for_many_jobs(lab: Lab) -> None:
    say(lab, "Tell")
    told = lab.run("plan", "specs/").stdout
    assert told.startswith(
        "14 jobs: prompts/base.md.j2:3\n      - Say {{ word }} once.\n      + Tell {{ word }} once.\n"
        "-/+ replace  56 requests"
    )
    assert told.count("prompts/base.md.j2") == 1 and "56 answered requests are no longer wanted" in told
    assert told.count("      compare:model=") == 14 and "\n1 job unchanged\n" in told
    (group,) = view_of(lab)["groups"]
    assert len(group["jobs"]) == 14 and group["since"] == "what was asked"


def test_both_values_of_a_scalar_and_each_combination_of_causes_by_itself(lab: Lab) -> None:
    say(lab, "Tell")
    spec(lab, "0.7")
    groups = view_of(lab)["groups"]
    causes = {tuple((one["what"], one["before"], one["after"]) for one in group["changed"]): group for group in groups}
    hot = ("params.temperature", "0", "0.7")
    word = ("prompt.user", "Say {{ word }} once.", "Tell {{ word }} once.")
    assert {cause: len(group["jobs"]) for cause, group in causes.items()} == {(word,): 12, (hot, word): 2, (hot,): 1}
    told = lab.run("plan", "specs/").stdout
    assert "2 jobs: params.temperature: 0 -> 0.7, prompts/base.md.j2:3\n" in told
    assert "lone  specs/lab.yaml:21:3\n    params.temperature: 0 -> 0.7  specs/lab.yaml:3\n" in told
    assert causes[(hot,)]["changed"][0]["at"] == "specs/lab.yaml:3"


def test_a_changed_row_is_named_by_its_place(lab: Lab) -> None:
    lab.rows({**ROWS, "r2": "another", "r4": "new"})
    told = lab.run("plan", "specs/").stdout
    assert told.startswith("15 jobs: data/rows.csv:4\n  ± delta    30 of 75 requests in 15 batches")
    assert "\n             r2, r4 and 28 more\n" in told
    (group,) = view_of(lab)["groups"]
    assert group["changed"] == [
        {"what": "dataset", "at": "data/rows.csv:4", "before": None, "after": None, "more": 0, "kind": "content"}
    ]


def test_requests_side_by_side_are_those_that_were_asked(lab: Lab) -> None:
    say(lab, "Tell")
    (job, *_) = [job for job in view_of(lab, "--diff", "2")["jobs"] if job["diffs"]]
    assert [(one["id"], one["before"], one["note"]) for one in job["diffs"]] == [
        ("r0", "what was asked", ""), ("r1", "what was asked", "")
    ]  # fmt: skip
    assert job["diffs"][0]["lines"][-2:] == ["-  Say word 0 once.", "+  Tell word 0 once."]
    told = lab.run("plan", "--diff", "specs/").stdout  # a PATH is no number
    assert told.count("-  Say word 0 once.") == 1 and "compare:model=m1,replicate=1 and 13 more jobs  r0" in told
    assert told.count("+  Tell word 2 once.") == 1 and "word 3" not in told


def test_the_older_row_is_found_in_the_results(lab: Lab) -> None:
    lab.rows({**ROWS, "r2": "another", "r4": "new"})
    lone = next(job for job in view_of(lab, "--diff")["jobs"] if job["address"] == "lone")
    edited, added = lone["diffs"]
    assert edited["lines"][-2:] == ["-  Sing word 2", "+  Sing another"] and edited["before"] == "what was asked"
    assert added["before"] == "" and added["note"] == "a new row"
    assert all(line.startswith("+") for line in added["lines"])


def test_a_clone_without_state_says_less_and_a_revision_says_it_all(lab: Lab) -> None:
    lab.forget()
    say(lab, "Tell")
    for key in ({}, {"LAB_KEY": ""}):  # no key at all: nothing of it hangs on the remote
        done = lab.run("plan", "specs/", **key)
        assert done.stdout.startswith("compare: 14 jobs  specs/lab.yaml:16:3\n-/+ replace  56 requests")
        assert "{{ word }}" not in done.stdout and "`runner plan specs/ --against REV`" in done.stderr
        told = lab.run("plan", "specs/", "--against", "HEAD", "--diff", "1", **key).stdout
        assert told.startswith("14 jobs: prompts/base.md.j2:3\n") and "what changed is told against" in told.lower()
        assert "-  Say word 0 once.\n    +  Tell word 0 once." in told and "nothing on record" not in told
    shutil.rmtree(lab.root / "results")
    told = lab.run("plan", "specs/", "--against", "HEAD", "--diff", "1", LAB_KEY="").stdout
    assert "(as `HEAD` (" in told and "has it; nothing on record says that it was asked)" in told


def test_results_at_the_remote_alone_say_what_was_asked(lab: Lab) -> None:
    lab.forget()
    shutil.rmtree(lab.root / "results")
    say(lab, "Tell")
    lone = next(job for job in view_of(lab, "--diff", "1")["jobs"] if job["diffs"])
    (one,) = lone["diffs"]
    assert one["before"] == "what was asked" and one["lines"][-2:] == ["-  Say word 0 once.", "+  Tell word 0 once."]


def test_a_revision_that_is_none_and_specs_that_cannot_be_read(lab: Lab) -> None:
    say(lab, "Tell")
    done = lab.run("plan", "specs/", "--against", "no-such", code=64)
    assert "git knows no revision `no-such` here" in done.stderr
    (lab.root / "specs/broken.yaml").write_text("jobs: {lone: {}}\n")
    git(lab.root, "add", "-A")
    git(lab.root, "commit", "-q", "-m", "broken")
    (lab.root / "specs/broken.yaml").unlink()
    done = lab.run("plan", "specs/", "--against", "HEAD")
    assert "cannot be read here, so what changed is not told" in done.stderr


def test_apply_says_the_same(lab: Lab) -> None:
    say(lab, "Tell")
    done = lab.apply("--confirm-repay")
    assert "14 jobs: prompts/base.md.j2:3\n" in done.stderr
    assert lab.run("plan").stdout == "Nothing to do\n"


# --- explain ------------------------------------------------------------------------------------------------------


def explained(lab: Lab, *words: str) -> dict[str, Any]:
    found = json.loads(lab.run("explain", *words, "-o", "json").stdout)
    must_fit(found, "explain")
    return dict(found["jobs"][0])


def test_explain_names_each_part_and_what_differs(lab: Lab) -> None:
    first = explained(lab, "compare:model=m1,replicate=1", "specs/")
    assert {part["what"]: part["differs"] for part in first["parts"]} == dict.fromkeys(
        ["provider", "model", "endpoint", "params.max_tokens", "params.temperature", "replicate", "prompt.user",
         "dataset"], False
    )  # fmt: skip
    assert (first["states"], first["first_new"], first["changed"]) == ({"answered": 4}, None, [])
    say(lab, "Tell")
    spec(lab, "0.7")
    told = explained(lab, "compare:model=m1,replicate=1", "--row", "r2")
    assert {part["what"] for part in told["parts"] if part["differs"]} == {"params.temperature", "prompt.user"}
    assert told["first_new"]["id"] == "r0" and told["first_new"]["at"] == "data/rows.csv:2"
    assert told["row"]["at"] == "data/rows.csv:4" and told["row"]["state"] == "not sent"
    sent = json.loads(lab.run("render", "compare:model=m1,replicate=1").stdout.splitlines()[2])
    assert told["row"]["custom_id"] == sent["custom_id"]
    assert told["row"]["request"]["lines"][-2:] == ["-  Say word 2 once.", "+  Tell word 2 once."]
    words = lab.run("explain", "compare:model=m1,replicate=1").stdout
    assert re.search(r"  ~ params.temperature  specs/lab.yaml:3:3 +0 -> 0.7\n", words)
    assert "      - Say {{ word }} once.\n      + Tell {{ word }} once.\n" in words
    assert "the first row that was not asked as it is now is r0 at data/rows.csv:2" in words


def test_explain_finds_the_first_row_that_differs(lab: Lab) -> None:
    lab.rows({**ROWS, "r2": "another"})
    told = explained(lab, "lone")
    assert told["first_new"]["at"] == "data/rows.csv:4" and told["states"] == {"answered": 3, "not sent": 1}
    assert [one["what"] for one in told["changed"]] == ["dataset"]


def test_explain_of_what_nobody_knows_says_so(lab: Lab) -> None:
    lab.forget()
    told = explained(lab, "lone")
    assert {part["differs"] for part in told["parts"]} == {None} and told["states"] == {"answered": 4}
    assert "`--against REV` compares it" in lab.run("explain", "lone").stdout
    assert {part["differs"] for part in explained(lab, "lone", "--against", "HEAD")["parts"]} == {False}
    assert "has no row `r9`" in lab.run("explain", "lone", "--row", "r9", code=64).stderr
    assert "means 14 jobs" in lab.run("explain", "compare", "--row", "r0", code=64).stderr


# --- as a user sees it --------------------------------------------------------------------------------------------


def test_snapshots(lab: Lab) -> None:
    shots = Shots()
    say(lab, "Whisper")
    spec(lab, "0.7")
    lab.rows({**ROWS, "r4": "new"})
    shots("plan-cells", lab, "plan", "specs/", "--diff", "1")
    shots("plan-cells-blocked", lab, "plan", "specs/", "--max-usd", "5", code=5)
    shots("explain", lab, "explain", "compare:model=m1,replicate=1", "specs/")
    lab.forget()
    shots("plan-cells-clone", lab, "plan", "specs/", LAB_KEY="", forms=["markdown"])
    shots("plan-cells-against", lab, "plan", "specs/", "--against", "HEAD", LAB_KEY="", forms=["markdown"],
          varying=[(r"(?<=\()[0-9a-f]{7}(?=\\?\))", "0000000")])  # fmt: skip
    shots.end()
