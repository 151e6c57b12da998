"""One set of specs for dev and prod: nothing of one stands for the other's, is overwritten by it, or is in its way."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from tests.journeys.gateway import Gateway, dropped
from tests.journeys.lab import SPEC, Lab

ENVIRONMENTS = """\
vars:
  rows: {{type: integer, default: 3, description: how many are asked}}
environments:
  dev:
    vars: {{rows: 2}}
    models: {{echo: {{provider: embedded}}}}
  staging: {{}}
  prod:
    models: {{echo: {{price: {{input: 1000000, output: 1000000}}}}}}
"""
SPECS = SPEC.replace("id: id}}", 'id: id, sample: {{rows: "{{{{ var.rows }}}}"}}}}') + ENVIRONMENTS


@pytest.fixture
def project(lab: Lab) -> Lab:
    lab.spec(SPECS)
    lab.rows(3)
    return lab


def clone_of(lab: Lab, name: str = "clone") -> Lab:
    """The project as it is committed, without state and without results."""
    other = Lab(lab.root.parent / name, lab.server)
    shutil.copytree(lab.root, other.root, ignore=shutil.ignore_patterns(".runner", "results"))
    return other


def planned(lab: Lab, *words: str, code: int = 0) -> tuple[int, str]:
    """How many requests a plan would send, and all that it says."""
    shown = lab.run("plan", *words, code=code)
    told = json.loads(lab.run("plan", *words, "-o", "json", code=code).stdout)
    return int(told["requests"]), shown.stdout + shown.stderr


def labels(lab: Lab) -> list[str]:
    return [batch["metadata"]["runner_project"] for batch in lab.server.batches()]


CROSSING = ("paid", "adopt", "another origin", "unwanted", "nobody wants", "blocked", "twice", "found")


def test_from_dev_to_prod(project: Lab) -> None:
    lab = project
    # dev runs on the engine of this machine; prod asks for all of its rows, and nothing is in its way
    lab.apply("--env", "dev")
    dev = (lab.root / "results/dev/answers.jsonl").read_bytes()
    assert [row["origin"].partition("@")[0] for row in lab.results("results/dev/answers.jsonl")] == ["embedded"] * 2
    rows, said = planned(lab, "--env", "prod")
    assert rows == 3 and not any(word in said for word in CROSSING), said
    assert "run `runner --env prod apply specs/`" in said

    # a rehearsal of prod leaves nothing behind but itself
    before = {name: about for name, about in lab.files().items() if "/rehearsal/" not in name}
    assert "3 ok" in lab.run("apply", "specs/", "--env", "prod", "--rehearse").stdout
    after = {name: about for name, about in lab.files().items() if "/rehearsal/" not in name}
    assert {name for name in before.keys() | after.keys() if before.get(name) != after.get(name)} <= {
        ".runner/environments/prod/.gitignore"
    }

    # while prod is in flight, dev and the bare specs know nothing of it, and cannot stop it
    lab.server.fault(hold=0.3)
    lab.apply("--env", "prod", "--no-wait", code=3)
    lab.apply("--env", "dev")
    for words in (("--env", "dev"), ()):
        rows, said = planned(lab, *words)
        assert rows == (0 if words else 3) and not any(word in said for word in CROSSING), said
        assert "no batch of `answers` is in flight" in lab.run("cancel", "answers", *words, code=64).stderr
    [status] = json.loads(lab.run("status", "--env", "dev", "-o", "json").stdout)["jobs"]
    assert (status["ok"], status["in_flight"]) == (2, 0)
    assert lab.server.creates() == 1

    # nor does a clone that has no state: prod's batch is prod's there as well
    clone = clone_of(lab)
    for words in (("--env", "staging"), ()):
        rows, said = planned(clone, *words)
        assert rows == 3 and not any(word in said for word in CROSSING), said
    assert "adopted" in clone.apply("--env", "prod", "--no-wait", code=3).stderr
    assert labels(lab) == ["lab@prod"] and lab.server.creates() == 1

    # all of it ends where it belongs
    lab.server.fault(hold=None)
    for one in (clone, lab):
        one.apply("--env", "prod")
    assert lab.server.creates() == 1
    assert len(lab.results("results/prod/answers.jsonl")) == len(clone.results("results/prod/answers.jsonl")) == 3
    assert (lab.root / "results/dev/answers.jsonl").read_bytes() == dev
    assert not (lab.root / "results/answers.jsonl").exists()

    # each has a lock of its own
    for env in ("dev", "prod"):
        assert f"runner.{env}.lock" in lab.run("lock", "--env", env).stdout
        assert "1 job as locked" in lab.run("verify", "--env", env).stdout
        assert lab.apply("--env", env, "--locked").returncode == 0
    assert not (lab.root / "runner.lock").exists()
    assert "there is no `runner.lock`" in lab.run("verify", code=64).stderr
    lab.run("verify", "--env", "prod", "--var", "rows=2", code=1)


def test_answers_of_one_are_not_those_of_another_unless_both_say_so(project: Lab) -> None:
    lab = project
    lab.apply("--env", "staging")
    assert planned(lab, "--env", "prod")[0] == 3, "the same requests, of the same remote"
    assert planned(clone_of(lab), "--env", "prod")[0] == 3

    sharing = SPECS.replace("staging: {{}}", "staging: {{share: true}}")
    lab.spec(sharing)
    assert planned(lab, "--env", "prod")[0] == 3, "one alone shares with nobody"
    lab.spec(sharing.replace("  prod:\n", "  prod:\n    share: true\n"))
    rows, said = planned(lab, "--env", "prod")
    assert rows == 0 and "blocked" not in said
    done = lab.apply("--env", "prod")
    assert "read back 3 answers from `results/staging/answers.jsonl`" in done.stderr
    assert [row["answer"] for row in lab.results("results/prod/answers.jsonl")] == [
        row["answer"] for row in lab.results("results/staging/answers.jsonl")
    ]
    assert lab.server.creates() == 1
    [job] = json.loads(lab.run("status", "--env", "prod", "-o", "json").stdout)["jobs"]
    assert not job.get("spent_usd"), "what staging paid is counted there"
    assert "read back" not in lab.apply("--env", "prod").stderr, "it is read once"
    lab.rows(4)
    lab.apply("--env", "staging", "--var", "rows=4")
    lab.apply("--env", "prod", "--var", "rows=4")
    assert [len(ids) for ids in lab.server.sent()] == [3, 1]


def test_all_that_belongs_to_a_job_is_the_environments(project: Lab) -> None:
    """Chains, cells, needs, checks, a judge's verdicts, defaults, reports: with `RUNNER_ENV`, as CI has it."""
    lab = project
    lab.spec(SPECS.replace("datasets:\n", MORE).replace("jobs:\n", CHAINED))
    done = lab.apply(RUNNER_ENV="staging")
    written = {path.relative_to(lab.root / "results").as_posix() for path in (lab.root / "results").rglob("*.*")}
    names = ("answers", "cells-1", "cells-2", "follows")
    assert written == {f"staging/{name}{of}.jsonl" for name in names for of in ("", ".scores")}
    assert "results/staging/follows.jsonl" in done.stdout
    assert lab.run("plan", "--detailed-exitcode", RUNNER_ENV="staging").returncode == 0
    report = lab.run("report", "-o", "markdown", RUNNER_ENV="staging").stdout
    assert report.startswith("## lab, staging\n")
    assert planned(lab, "--env", "prod")[0] > 0


MORE = """\
datasets:
  said: {{from: answers}}
"""
CHAINED = """\
  again: {{user: "Again {{{{ answer }}}}"}}
defaults: {{dataset: rows, model: echo, prompt: ask, checks: {{said: {{contains: "{{{{ word }}}}"}}}}}}
jobs:
  cells: {{matrix: {{replicate: [1, 2]}}, needs: answers, output: "results/cells-{{{{ replicate }}}}.jsonl"}}
  follows: {{dataset: said, prompt: again, output: results/follows.jsonl}}
"""


def test_budgets_and_history_are_each_environments_own(project: Lab) -> None:
    lab = project
    lab.spec(SPECS.replace("  prod:\n", "  prod:\n    budget: 0.001\n"))
    assert planned(lab, "--env", "prod", code=5)[0] == 0
    assert "budget" in lab.run("plan", "--env", "prod", code=5).stdout
    lab.apply("--env", "staging")
    assert lab.run("state", "list", "--env", "staging").stdout.count("\n") == 1
    assert lab.run("state", "list", "--env", "prod").stdout == lab.run("state", "list").stdout == ""


def test_a_remote_that_shows_no_names_is_told_by_what_the_others_remember(project: Lab, gateway: Gateway) -> None:
    """Nothing at the remote tells staging's batches from prod's; the memories on this machine do."""
    lab = project
    gateway.batch = dropped("metadata", "input_file_id")
    (lab.root / "specs/lab.yaml").write_text(SPECS.format(url=f"{gateway.url}/v1"))
    lab.apply("--env", "staging")
    rows, said = planned(lab, "--env", "prod")
    assert rows == 3 and "neither a label" not in said
    digest = json.loads(lab.run("plan", "--env", "prod", "-o", "json").stdout)["digest"]
    lab.run("apply", "-y", "--env", "prod", "--plan-digest", digest)  # which looks as the plan did
    assert lab.server.creates() == 2
    assert "neither a label" in clone_of(lab).run("plan", "--env", "prod", code=5).stdout, "a clone has to ask"


def test_a_plan_that_was_reviewed_is_of_its_environment(project: Lab) -> None:
    lab = project
    lab.run("plan", "--env", "prod", "--var", "rows=2", "--out", "plan.json")
    digests = {
        env: json.loads(lab.run("plan", "--env", env, "-o", "json").stdout)["digest"] for env in ("prod", "staging")
    }
    assert digests["prod"] != digests["staging"], "the same requests, for somebody else"
    lab.run("apply", "--env", "staging", "--plan-digest", digests["prod"], code=5)
    assert (
        "the plan is of the environment `prod`" in lab.run("apply", "plan.json", RUNNER_ENV="staging", code=64).stderr
    )
    assert "not what the plan was made with" in lab.run("apply", "plan.json", "--var", "rows=3", code=64).stderr
    lab.run("apply", "plan.json")
    assert len(lab.results("results/prod/answers.jsonl")) == 2
    assert labels(lab) == ["lab@prod"]


def test_values_reach_every_command(project: Lab, tmp_path: Path) -> None:
    lab = project
    (lab.root / "values.json").write_text('{"rows": 1}')
    words = {
        "-": (),
        "var": ("--var", "rows=2"),
        "file": ("--var-file", "values.json"),
        "both": ("--var-file", "values.json", "--var", "rows=2"),
    }
    asked = {name: lab.run("render", "answers", *more).stdout.count("\n") for name, more in words.items()}
    assert asked == {"-": 3, "var": 2, "file": 1, "both": 2}
    assert lab.run("render", "answers", RUNNER_VAR_ROWS="2").stdout.count("\n") == 2
    assert lab.run("render", "answers", RUNNER_VARS_FILE="values.json").stdout.count("\n") == 1
    assert lab.run("--var", "rows=1", "render", "answers").stdout.count("\n") == 1
    assert "write it as `--var NAME=VALUE`" in lab.run("plan", "--var", "rows", code=64).stderr
    offered = lab.run(
        _RUNNER_COMPLETE="bash_complete", COMP_LINE="runner plan --env ", COMP_WORDS="", COMP_CWORD="3"
    ).stdout
    assert [line.partition(",")[2] for line in offered.split()] == ["dev", "prod", "staging"]


def test_two_environments_that_write_one_file(project: Lab) -> None:
    lab = project
    for output in ("results/./prod/answers.jsonl", "results/prod/{{ job }}.jsonl", "results/prod/{{ model }}.jsonl"):
        name = "echo" if "model" in output else "answers"
        paths = {"dev": output, "prod": f"results/prod/{name}.jsonl"}
        both = "".join(f'  {one}: {{jobs: {{answers: {{output: "{path}"}}}}}}\n' for one, path in paths.items())
        (lab.root / "specs/lab.yaml").write_text(SPEC.format(url=f"{lab.server.url}/v1") + f"environments:\n{both}")
        told = lab.run("validate", code=1).stderr
        assert " error: " in told and "writes `results/" in told, output
