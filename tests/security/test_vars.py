"""What vars and environments cannot do: run, reach out of their folder, speak to a terminal, or carry a key."""

from __future__ import annotations

import time
from pathlib import Path

import pytest

from tests.journeys.lab import SPEC, Lab, Server

SPECS = SPEC.replace("Say {{{{ word }}}}", "{{{{ var.tone }}}} {{{{ word }}}}") + "vars: {{tone: Say}}\n"
SECRET = "sk-proj-" + "a1B2c3D4" * 4


@pytest.fixture
def lab(tmp_path: Path) -> Lab:
    root = tmp_path / "project"
    root.mkdir()
    lab = Lab(root, Server("http://127.0.0.1:9", tmp_path, None))  # type: ignore[arg-type]  # nothing is asked
    lab.spec(SPECS)
    lab.rows(1)
    return lab


def test_a_key_is_no_value_and_stands_nowhere(lab: Lab) -> None:
    (lab.root / "values.yaml").write_text(f"tone: {SECRET}\n")
    for words, environ in (
        (("--var", f"tone={SECRET}"), {}),
        (("--var-file", "values.yaml"), {}),
        ((), {"RUNNER_VAR_TONE": SECRET}),
        (("-vv", "--var", f"other={SECRET}"), {}),
    ):
        done = lab.run("plan", "--offline", *words, code=1, **environ)
        assert SECRET not in done.stdout + done.stderr, words
    (lab.root / "values.yaml").unlink()
    written = [path for path in lab.root.rglob("*") if path.is_file() and SECRET.encode() in path.read_bytes()]
    assert written == []


def test_a_value_is_text_wherever_it_stands(lab: Lab) -> None:
    sent = lab.run("render", "answers", "--var", "tone={ 7*7 }% \\x7b\\x7b 7*7 }} ${LAB_KEY} '\"").stdout
    assert "{ 7*7 }% \\\\x7b\\\\x7b 7*7 }} ${LAB_KEY} '\\\" word 0" in sent
    for value in ("{{ 7*7 }}", "{% for a in 'ab' %}", "{# a #}"):
        assert "holds braces of a template" in lab.run("render", "answers", "--var", f"tone={value}", code=1).stderr


def test_no_byte_reaches_a_terminal(lab: Lab) -> None:
    evil = "\x1b]0;owned\x07\x1b[2J::error::x"
    for words in (("--var", f"tone={evil}"), ("--var", f"{evil}=1"), ("--env", evil)):
        done = lab.run("plan", "--offline", *words, code=1)
        assert "\x1b" not in done.stdout + done.stderr and "\x07" not in done.stdout + done.stderr
        assert not any(line.lstrip().startswith("::") for line in done.stderr.splitlines())


def test_an_environment_is_no_path(lab: Lab, tmp_path: Path) -> None:
    for name in ("../../outside", "..", "a/b", "/tmp", "."):
        assert "environment" in lab.run("state", "list", "--env", name, code=64).stderr
        assert "there is no environment" in lab.run("plan", "--offline", "--env", name, code=1).stderr
    lab.spec(SPECS + "environments: {{dev: {{}}}}\n")
    outside = tmp_path / "outside"
    outside.mkdir()
    (lab.root / ".runner").mkdir(exist_ok=True)
    (lab.root / ".runner/environments").symlink_to(outside)
    assert "is a link" in lab.run("apply", "-y", "--env", "dev", code=1).stderr
    (lab.root / ".runner/environments").unlink()
    (lab.root / ".runner/environments").mkdir()
    (lab.root / ".runner/environments/dev").symlink_to(outside)
    assert "is a link" in lab.run("apply", "-y", "--env", "dev", code=1).stderr
    assert list(outside.iterdir()) == []


def test_specs_read_no_variable(lab: Lab) -> None:
    lab.spec(SPEC.replace("name: echo", 'name: "${{LAB_KEY}}"'))
    assert "no variable of the shell is read" in lab.run("plan", "--offline", code=1).stderr


PIECES = ("{{", "{%", "{{ '", "{{ var", "{{ var.tone }", "{% raw %}", "{#", "{{ var.none }}", "{% set var = 1 %}")


def test_hostile_templates_are_read_once_and_grow_to_no_end(lab: Lab) -> None:
    for number, piece in enumerate(PIECES):
        (lab.root / f"{number}.md").write_text("{{ var.tone }}" + piece * 20_000)
    prompts = "".join(f"  p{number}: {{{{file: {number}.md}}}}\n" for number in range(len(PIECES)))
    lab.spec(SPECS.replace("prompts:\n", "prompts:\n" + prompts))
    began = time.monotonic()
    assert "uses the unknown var `none`" in lab.run("validate", code=1).stderr
    assert time.monotonic() - began < 60, "a scan that begins anew at each of them takes minutes"
    (lab.root / "0.md").write_text("{{ var.tone }}" * 100_000)
    lab.spec(
        SPECS.replace("prompts:\n", "prompts:\n  p0: {{file: 0.md}}\n").replace("tone: Say", "tone: " + "x" * 90_000)
    )
    assert "is over 1,000,000 characters once its vars are filled in" in lab.run("validate", code=1).stderr
