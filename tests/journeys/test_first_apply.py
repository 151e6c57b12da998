"""What a first apply imports: each module costs a third of a millisecond of every start, needed or not."""

from __future__ import annotations

import subprocess
import sys

from tests.journeys.lab import Lab

MOST_OF_OURS = 345  # modules; where a change needs one more, see whether another can wait until it is asked for
NOT_FOR_TEXT = {
    *("jinja2", "pyarrow", "runner.zstd", "markdown_it", "rapidfuzz", "jsonschema_rs", "starlette"),
    *("runner.spec.specfile", "runner.spec.partfields"),
    *("runner.checks", "runner.stats", "runner.reports", "runner.scaffold", "runner.compile.through"),
    *("runner.remotes.transport.calls", "runner.remotes.transport.pace", "runner.compile.pool"),
    *("runner.compile.sandbox", "runner.data.inlined", "runner.apply.scoring"),
    *("runner.remotes.openai.online", "runner.remotes.fireworks.declared", "runner.remotes.fireworks_audio.declared"),
    *("runner.remotes.embedded.declared", "runner.server.weights", "runner.server.engines", "runner.spec.evalfields"),
}


def imported(lab: Lab, *words: str) -> set[str]:
    """The modules that a command imports, and those above them."""
    command = [sys.executable, "-X", "importtime", "-m", "runner", *words]
    done = subprocess.run(command, cwd=lab.root, env=lab.environ(), capture_output=True, text=True, check=True)
    told = [line.rpartition("|")[2].strip() for line in done.stderr.splitlines() if line.startswith("import time:")]
    return set(told)


def test_a_first_apply_of_rows_imports_what_rows_need(lab: Lab) -> None:
    found = imported(lab, "apply", "-y", "-q", "--poll", "0.1")
    assert len(lab.results()) == 10
    assert "runner.apply.submit" in found
    assert found & NOT_FOR_TEXT == set()
    ours = sorted(name for name in found if name.partition(".")[0] == "runner")
    assert 150 < len(ours) <= MOST_OF_OURS
