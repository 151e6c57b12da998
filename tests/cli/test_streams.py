"""stdin, stdout and stderr as cron, daemons and old terminals have them: closed, or of another encoding."""

from __future__ import annotations

import json
import subprocess

import pytest

from tests.journeys.lab import RUNNER, Lab


def shell(lab: Lab, words: str, **environ: str) -> subprocess.CompletedProcess[bytes]:
    """`runner WORDS` as a shell starts it, with what the shell does to its streams."""
    command = ["bash", "-c", f'"$@" {words}', "bash", *RUNNER]
    return subprocess.run(command, cwd=lab.root, env=lab.environ(**environ), capture_output=True, timeout=60)


@pytest.mark.parametrize("closed", ["<&-", ">&-", "2>&-", "<&- >&-", "<&- >&- 2>&-"])
def test_streams_that_are_closed_stop_nothing(lab: Lab, closed: str) -> None:
    planned = shell(lab, f"plan specs/ {closed}")
    assert planned.returncode == 0, planned.stderr
    applied = shell(lab, f"apply specs/ -y {closed}")
    assert applied.returncode == 0, applied.stderr
    assert b"Traceback" not in planned.stderr + applied.stderr
    assert len(lab.results()) == 10
    assert lab.server.creates() == 1
    again = shell(lab, f"apply specs/ {closed}")  # from what was said before
    assert again.returncode == 0, again.stderr
    assert b"Nothing to do" in again.stdout or ">&-" in closed.split()


@pytest.mark.parametrize("encoding", ["latin-1", "cp437", "ascii"])
def test_letters_that_an_encoding_does_not_have_stop_nothing(lab: Lab, encoding: str) -> None:
    lab.rows({"日本": "gr\u00fc\u00dfe", "r1": "\U0001f600"})
    for words in ("plan specs/", "plan specs/ -o markdown", "validate", "render answers specs/", "apply specs/ -y"):
        done = shell(lab, words, PYTHONIOENCODING=encoding)
        assert done.returncode == 0, done.stderr
        assert b"Traceback" not in done.stderr
    lab.rows({"日本": "bonjour", "\U0001f600": "adieu"})
    told = shell(lab, "plan specs/ -o json", PYTHONIOENCODING=encoding)
    assert json.loads(told.stdout) == json.loads(lab.run("plan", "specs/", "-o", "json").stdout)
