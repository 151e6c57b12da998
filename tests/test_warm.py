"""A command that is forked is the command that is started: its streams, its end, what it knows."""

from __future__ import annotations

import os
import signal
import subprocess
from pathlib import Path

import pytest

from tests import warm
from tests.journeys.lab import RUNNER


@pytest.mark.parametrize("words", [["--version"], ["plan"], ["no-such-command"], ["schema"], ["validate", "nowhere"]])
def test_it_says_and_ends_as_a_started_one(words: list[str], tmp_path: Path) -> None:
    started = subprocess.run([*RUNNER, *words], cwd=tmp_path, env=warm.environ(), capture_output=True, text=True)
    forked = warm.run("runner", *words, cwd=tmp_path, env=warm.environ(), timeout=60)
    assert (forked.returncode, forked.stdout, forked.stderr) == (started.returncode, started.stdout, started.stderr)


def said(tmp_path: Path, code: str, **more: str) -> tuple[int, str, str]:
    (tmp_path / "said.py").write_text(code)
    done = warm.run("said", cwd=tmp_path, env={**warm.environ(), **more}, timeout=60)
    return done.returncode, done.stdout, done.stderr


def test_it_knows_its_own_folder_environment_and_nothing_of_ours(tmp_path: Path) -> None:
    code = "import os, sys; print(os.getcwd() == sys.path[0], sorted(os.environ)); print(os.listdir('/proc/self/fd'))"
    told = said(tmp_path, code, OWN="1")
    assert told == (0, f"True {sorted({**warm.environ(), 'OWN': ''})}\n{['0', '1', '2', '3']}\n", "")


def test_it_may_end_badly(tmp_path: Path) -> None:
    assert said(tmp_path, "import sys; sys.exit('over')") == (1, "", "over\n")
    code, _, err = said(tmp_path, "import warnings; warnings.warn('careful')")
    assert code == 1 and err.endswith("UserWarning: careful\n")
    code, _, _ = said(tmp_path, "import os, signal; os.kill(os.getpid(), signal.SIGKILL)")
    assert code == -signal.SIGKILL


def test_two_in_a_row_order_their_sets_differently(tmp_path: Path) -> None:
    assert len({said(tmp_path, "print(hash('word'))") for _ in range(4)}) == 2


def test_what_is_read_at_the_start_is_read(tmp_path: Path) -> None:
    code = "import sys; print(sys.flags.hash_randomization, sys.flags.utf8_mode)"
    assert said(tmp_path, code, PYTHONHASHSEED="0", PYTHONUTF8="1") == (0, "0 1\n", "")


def test_it_can_be_waited_for_and_stopped(tmp_path: Path) -> None:
    (tmp_path / "waits.py").write_text("import time; print('here', flush=True); time.sleep(60)")
    with warm.start("waits", cwd=tmp_path, env=warm.environ()) as process:
        assert process.stdout and process.stdout.readline() == "here\n"
        assert process.poll() is None
        with pytest.raises(subprocess.TimeoutExpired):
            process.wait(0.01)
        process.send_signal(signal.SIGINT)
        _, err = process.communicate(timeout=20)
        assert err.endswith("KeyboardInterrupt\n") and process.returncode in (1, -signal.SIGINT, 130)
    with pytest.raises(ProcessLookupError):
        os.kill(process.pid, 0)
