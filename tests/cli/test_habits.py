"""Words of other tools lead to ours, and no likeness ever leads to an option that agrees to pay."""

from __future__ import annotations

import json
import logging
from collections.abc import Iterator
from pathlib import Path

import click
import pytest

from runner.cli import habits
from runner.cli.main import COMMANDS, cli, run
from tests.journeys.lab import Lab

AGREEING = {"--plan-digest", "-y", "--yes", "--confirm-repay", "--first-run", "--replace", "--clear", "--resubmit"}


def commands(group: click.Group = cli, path: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], click.Command]]:
    context = click.Context(group)
    for name in group.list_commands(context):
        command = group.get_command(context, name)
        assert command is not None
        yield (*path, name), command
        if isinstance(command, click.Group):
            yield from commands(command, (*path, name))


def near(name: str) -> Iterator[str]:
    """A letter less, one doubled, two swapped; and the words it was met with."""
    for at in range(3, len(name)):
        yield name[:at] + name[at + 1 :]
        yield name[:at] + name[at] + name[at:]
        yield name[:at] + name[at + 1 : at + 2] + name[at] + name[at + 2 :]
    yield from ("--dry-run", "--dri-run", "--replacement", "--confirm", "--resubmits", "--first", "--ye")


def test_what_agrees_is_marked_as_such() -> None:
    marked = {
        name
        for _, command in commands()
        for one in command.params
        if isinstance(one, habits.Consent)
        for name in one.opts
    }
    assert marked == AGREEING


@pytest.mark.parametrize("path", [path for path, _ in commands()], ids=" ".join)
def test_no_likeness_leads_to_what_agrees(path: tuple[str, ...], capsys: pytest.CaptureFixture[str]) -> None:
    command = dict(commands())[path]
    known = {name for one in command.params for name in one.opts}
    for name in sorted(AGREEING & known):
        for word in near(name):
            if word in known or not word.startswith("--"):
                continue
            assert run([*path, word]) == 64
            said = capsys.readouterr().err.partition("Did you mean")[2]
            assert not any(f"'{one}'" in said for one in AGREEING), f"{word}: {said}"


@pytest.mark.parametrize(
    ("words", "ours"),
    [
        (["apply", "-auto-approve"], "`-y`"),
        (["apply", "--auto-approve"], "`-y`"),
        (["apply", "--target=capitals"], "-s JOB"),
        (["plan", "-target", "capitals"], "-s JOB"),
        (["plan", "-destroy"], "`runner cancel JOB`"),
        (["plan", "--dry-run"], "`runner apply --rehearse`"),
        (["retry", "job", "--dry-run"], "`runner apply --rehearse`"),
        (["apply", "-refresh=false"], "--offline"),
        (["plan", "--json"], "`-o json`"),
        (["destroy"], "`runner cancel JOB`"),
        (["fmt"], "none is needed"),
        (["refresh"], "none is needed"),
    ],
)
def test_words_of_other_tools_lead_to_ours(words: list[str], ours: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(words) == 64
    said = capsys.readouterr().err
    assert ours in said.partition("hint: ")[2], said
    assert "Did you mean" not in said


def test_every_command_that_a_hint_names_exists() -> None:
    import re

    for hint in (*habits.OPTIONS.values(), *habits.COMMANDS.values()):
        for named in re.findall(r"`runner (\w+)", hint):
            assert named in COMMANDS or named == "COMMAND", hint
    assert not set(habits.COMMANDS) & set(COMMANDS)


def test_dry_run_is_a_rehearsal(lab: Lab) -> None:
    done = lab.run("apply", "specs/", "--dry-run")
    assert "nothing was paid, and every answer is synthetic" in done.stdout
    assert lab.server.creates() == 0


def test_the_root_and_the_verbosity_may_come_after_the_command(lab: Lab, tmp_path: Path) -> None:
    here = lab.run("plan", "-o", "json").stdout
    lab.root, root = tmp_path, lab.root
    for words in (["-C", str(root), "plan"], ["plan", "-C", str(root)], ["-C", "/", "plan", "specs", "-C", str(root)]):
        assert json.loads(lab.run(*words, "-o", "json").stdout) == json.loads(here)
    assert lab.run("state", "list", "-C", str(root)).returncode == 0
    assert "GET" not in lab.run("status", "-C", str(root)).stderr
    (root / "specs/lab.yaml").write_text("jobs: {a: {windw: 24h}}\n")
    broken = lab.run("plan", "-C", str(root), code=1)
    assert "specs/lab.yaml:1:12" in broken.stderr and "1 | jobs:" in broken.stderr  # the line is read at the root given


def test_verbosity_after_the_command_logs_every_call(lab: Lab) -> None:
    lab.server.fault(hold=0.0)
    lab.apply("--no-wait", code=3)
    assert logging.getLevelName(logging.DEBUG) in lab.run("status", "-vv").stderr
    assert logging.getLevelName(logging.DEBUG) in lab.run("-v", "status", "-v").stderr
    assert logging.getLevelName(logging.DEBUG) not in lab.run("status", "-v").stderr
