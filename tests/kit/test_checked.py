"""What can be told of the kit without running it: shape, expressions, names; what GitHub itself calls RUNNER_."""

from __future__ import annotations

import json
import re
import tomllib
from pathlib import Path
from typing import Any

import click
import pytest
import yaml

from runner.cli.main import cli
from tests.cli.test_snapshots import commands
from tests.kit.workflow import Expression

ROOT = Path(__file__).parents[2]
GITHUB = ROOT / "runner/scaffold/ci/github/.github/workflows"
WORKFLOWS = sorted(GITHUB.glob("*.yml"))
SET_BY_GITHUB = {
    "RUNNER_NAME", "RUNNER_OS", "RUNNER_ARCH", "RUNNER_TEMP", "RUNNER_DEBUG", "RUNNER_ENVIRONMENT",
    "RUNNER_TOOL_CACHE", "RUNNER_WORKSPACE", "RUNNER_TRACKING_ID", "RUNNER_PERFLOG", "RUNNER_USER",
}  # fmt: skip


def steps_of(file: Path) -> list[dict[str, Any]]:
    told = yaml.safe_load(file.read_text())
    jobs = told["jobs"].values() if "jobs" in told else [told["runs"]]
    return [step for job in jobs for step in job["steps"]]


@pytest.mark.parametrize("file", [*WORKFLOWS, ROOT / "action.yml"], ids=lambda file: file.name)
def test_nothing_that_others_wrote_is_put_into_a_script(file: Path) -> None:
    assert len(steps_of(file)) > 5
    for step in steps_of(file):
        assert "${{" not in step.get("run", "")
        assert step.get("uses", "actions/").startswith("actions/")
    for expression in re.findall(r"\$\{\{(.*?)\}\}", file.read_text()):
        Expression(expression, {})  # each can be read


def test_the_job_that_reads_a_strangers_files_can_do_nothing_else() -> None:
    told = yaml.safe_load((GITHUB / "runner-plan.yml").read_text())
    plan, comment = told["jobs"]["plan"], told["jobs"]["comment"]
    assert plan["permissions"] == {"contents": "read"} and comment["permissions"] == {"pull-requests": "write"}
    assert "secrets." not in json.dumps(told), "the key is a comment, until somebody wants one"
    uses = [step.get("uses", "") for step in plan["steps"]]
    installs = [at for at, step in enumerate(plan["steps"]) if "pip install" in step.get("run", "")]
    checkout = next(at for at, name in enumerate(uses) if name.startswith("actions/checkout@"))
    assert installs and max(installs) < checkout, "what a pull request calls `pip` must not be there yet"
    assert plan["steps"][checkout]["with"]["persist-credentials"] is False
    after = " ".join(step.get("run", "") for step in plan["steps"][checkout:])
    assert not re.search(r"\b(python|pip|npm|make|bash|sh|source|eval|xargs)\b", after)
    assert not any(name.startswith("actions/checkout@") for step in comment["steps"] for name in [step.get("uses", "")])


def test_the_action_and_the_workflow_comment_alike() -> None:
    mine, theirs = (
        next(step["run"] for step in steps_of(file) if step.get("name") == "Comment")
        for file in (ROOT / "action.yml", GITHUB / "runner-plan.yml")
    )
    assert mine == theirs


def test_no_option_goes_by_a_name_that_githubs_machines_set() -> None:
    named = {
        name
        for _, command in commands()
        for param in command.params
        for name in ([param.envvar] if isinstance(param.envvar, str) else param.envvar or [])
    }
    assert {"RUNNER_MAX_USD", "RUNNER_PLAN_DIGEST"} <= named and not named & SET_BY_GITHUB


def test_the_hook_of_pre_commit_names_a_command_that_is_there() -> None:
    [hook] = yaml.safe_load((ROOT / ".pre-commit-hooks.yaml").read_text())
    program, command = hook["entry"].split()
    assert program in tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["scripts"]
    assert isinstance(cli.get_command(click.Context(cli), command), click.Command)
    pattern = re.compile(hook["files"])
    wanted, others = ["specs/a.yaml", "specs/deep/b.yml", "prompts/base.md.j2"], ["README.md", "data/specs/a.yaml"]
    assert all(map(pattern.search, wanted)) and not any(map(pattern.search, others))
    assert hook["language"] == "python" and hook["pass_filenames"] is False


def test_the_image_copies_what_a_build_needs_and_runs_as_nobody_in_particular() -> None:
    lines = (ROOT / "Dockerfile").read_text().replace("\\\n", " ").splitlines()
    told = [line.split(None, 1) for line in lines if line and not line.startswith("#")]
    words = {word for word, _ in told}
    assert words == {
        "FROM",
        "COPY",
        "RUN",
        "ENV",
        "USER",
        "WORKDIR",
        "VOLUME",
        "EXPOSE",
        "HEALTHCHECK",
        "ENTRYPOINT",
        "CMD",
    }
    assert [rest for word, rest in told if word == "USER"] == ["runner"]
    for word, rest in told:
        if word in ("ENTRYPOINT", "CMD"):
            assert isinstance(json.loads(rest), list)
        if word == "COPY" and not rest.startswith("--from="):
            *sources, _ = rest.split()
            assert all((ROOT / source).exists() for source in sources), sources
            ignored = (ROOT / ".dockerignore").read_text().split()
            assert all(f"!{source}" in ignored for source in sources)
