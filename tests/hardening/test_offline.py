"""Specs of strangers are looked at without a key and without a network; read-only lets nothing out that changes."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.hardening.conftest import OwnLab, lab_in, sampled
from tests.hardening.test_keys import AUDIO, EMBEDDED, FIREWORKS, OPENAI, project
from tests.journeys.audio.lab import AudioLab, lab_of
from tests.journeys.fireworks.lab import Account, FireLab
from tests.journeys.lab import RUNNER, Lab, Server

FORBIDDEN = """\
import os, sys

def forbid(event, arguments):
    if event in ("socket.connect", "socket.bind", "socket.getaddrinfo", "socket.gethostbyname", "socket.sendto"):
        os.write(2, ("NETWORK " + event + " " + repr(arguments[1:]) + chr(10)).encode())
        os._exit(97)
    if event == "open" and isinstance(arguments[0], str) and arguments[0].endswith("the-secret-file"):
        os.write(2, b"READ THE KEY" + bytes([10]))
        os._exit(98)

sys.addaudithook(forbid)
"""
LOOKING = [
    ("validate",),
    ("schema",),
    ("render", "j"),
    ("plan", "--offline"),
    ("plan", "--offline", "-o", "json"),
    ("status", "--offline"),
    ("show", "j"),
    ("state", "list"),
    ("plan",),  # nothing is in flight: there is nobody to ask
]


def offline(root: Path, guard: Path, *words: str, traced: Path | None = None) -> subprocess.CompletedProcess[str]:
    """A command without any key, which dies at the first look at a network; its children too."""
    guard.mkdir(exist_ok=True)
    (guard / "sitecustomize.py").write_text(FORBIDDEN)
    home = str(root.parent / "home")
    trace = ["strace", "-f", "-qq", "-e", "trace=socket,connect,bind,sendto", "-o", str(traced)] if traced else []
    return subprocess.run(
        [*trace, *RUNNER, *words],
        cwd=root,
        env={
            "PATH": os.environ["PATH"],
            "HOME": home,
            "RUNNER_HOME": home,
            "PYTHONPATH": f"{guard}:{Path(__file__).parents[2]}",
            "THE_KEY_FILE": str(root.parent / "the-secret-file"),
        },
        capture_output=True,
        text=True,
        timeout=60,
    )


def test_the_guard_guards(tmp_path: Path) -> None:
    """A command that asks a remote dies, or the tests below would prove nothing."""
    project(tmp_path / "project", OPENAI, "http://127.0.0.1:9")
    (tmp_path / "the-secret-file").write_text("key-of-somebody")
    done = offline(tmp_path / "project", tmp_path / "guard", "apply", "-y", "--no-wait")
    assert done.returncode in (97, 98), done.stderr


@pytest.mark.parametrize("spec", sampled([OPENAI, FIREWORKS, AUDIO, EMBEDDED], OPENAI, AUDIO))
def test_looking_needs_no_key_and_no_network(tmp_path: Path, spec: str) -> None:
    project(tmp_path / "project", spec, "http://10.255.255.1")
    if "10.255" in (tmp_path / "project/specs/a.yaml").read_text():  # plain http is for this machine alone
        (tmp_path / "project/specs/a.yaml").write_text(spec.replace("URL", "https://remote.example"))
    before = {path for path in tmp_path.rglob("*") if "guard" not in path.parts}
    for words in LOOKING if spec == OPENAI else LOOKING[2:4]:
        done = offline(tmp_path / "project", tmp_path / "guard", *words)
        assert done.returncode in (0, 5), (words, done.stdout, done.stderr)
        assert "NETWORK" not in done.stderr
    assert {path for path in tmp_path.rglob("*") if "guard" not in path.parts} == before  # and writes nothing


def test_no_socket_is_made_at_all(tmp_path: Path) -> None:
    """The same as the kernel sees it."""
    if shutil.which("strace") is None or sys.platform != "linux":
        pytest.skip("needs strace")
    project(tmp_path / "project", OPENAI, "https://remote.example")
    template = "{% for c in word %}{{ c }}{% endfor %}"  # rendered in a process of its own
    spec = tmp_path / "project/specs/a.yaml"
    spec.write_text(spec.read_text().replace("Say {{ word }}", template))
    for words in (("validate",), ("render", "j"), ("plan", "--offline")):
        log = tmp_path / "calls"
        done = offline(tmp_path / "project", tmp_path / "guard", *words, traced=log)
        if "Operation not permitted" in done.stderr:
            pytest.skip("may not trace here")
        assert done.returncode in (0, 5), done.stderr  # 5: nobody bound the key to that host
        calls = [line for line in log.read_text().splitlines() if "AF_" in line and "AF_UNIX" not in line]
        assert calls == []


def changing(asked: dict[str, int]) -> dict[str, int]:
    """Calls that are no looks."""
    return {route: times for route, times in asked.items() if route.startswith(("POST ", "PUT ", "DELETE ", "PATCH "))}


READ_ONLY = {"RUNNER_READONLY": "1"}


def try_to_change(lab: Lab) -> None:
    """Every command that would change a batch in flight or ended, read-only."""
    lab.run("cancel", "answers", code=None, **READ_ONLY)
    lab.rows(12)
    lab.apply("--no-wait", code=None, **READ_ONLY)
    lab.server.fault(hold=None)
    lab.apply("--no-wait", code=None, **READ_ONLY)
    lab.run("retry", "answers", "--replace", code=None, **READ_ONLY)
    lab.apply("--no-wait", "--confirm-repay", code=None, **READ_ONLY)


def test_read_only_lets_no_openai_call_out(tmp_path: Path, server: Server) -> None:
    lab = lab_in(tmp_path / "project", server)
    server.fault(hold=0.3)
    before = changing(server.asked())
    lab.apply(code=None, **READ_ONLY)
    assert lab.mine() == 0
    assert changing(server.asked()) == before
    lab.apply("--no-wait", code=3)
    before = changing(server.asked())
    try_to_change(lab)
    lab.run("fetch", "answers", "--to", "raw", code=None, **READ_ONLY)
    assert changing(server.asked()) == before
    assert lab.mine() == 1


def test_read_only_lets_no_fireworks_call_out(tmp_path: Path, server: Server) -> None:
    root = tmp_path / "project"
    root.mkdir()
    account = Account(server, "read-only")
    lab = FireLab(root, server, account)
    lab.spec()
    lab.rows(10)
    server.fault(hold=0.3)
    lab.apply(code=None, **READ_ONLY)
    assert changing(account.asked()) == {}
    lab.apply("--no-wait", code=3)
    before = changing(account.asked())
    assert before
    try_to_change(lab)
    assert changing(account.asked()) == before
    assert account.states() != ["CANCELLED"]


def test_read_only_lets_no_recording_out(tmp_path: Path, server: Server) -> None:
    lab: AudioLab = lab_of(tmp_path, server, 3)
    lab.first(code=None, **READ_ONLY)
    assert (lab.posts(), lab.kept()) == (0, 0)
    lab.first()
    posts = lab.posts()
    assert posts == 3
    lab.record(5)
    lab.first(code=None, **READ_ONLY)
    lab.run("retry", "calls", "--replace", code=None, **READ_ONLY)
    lab.first("--confirm-repay", code=None, **READ_ONLY)
    lab.run("state", "resolve", "calls", code=None, **READ_ONLY)
    lab.run("cancel", "calls", code=None, **READ_ONLY)
    assert lab.posts() == posts
    lab.first("--confirm-repay")
    lab.whole(5)


def test_read_only_wants_no_recovery(tmp_path: Path, server: Server) -> None:
    """What was refused is plainly sent by the next apply that may."""
    lab: OwnLab = lab_in(tmp_path / "project", server)
    for _ in range(3):
        done = lab.apply(code=None, **READ_ONLY)
        assert done.returncode == 5, done.stderr
        assert "RUNNER_READONLY" in done.stderr
    lab.apply()
    lab.settled()
