"""What a person sees where a key is not bound to a host, and the one question."""

from __future__ import annotations

import json
import os
import pty
import subprocess
import time
from pathlib import Path

import pytest

from tests.hardening.test_keys import CANARY, said
from tests.journeys.lab import RUNNER
from tests.security.test_gittree import git

SPEC = """\
project: consent
models: {m: {provider: corp, name: echo}}
datasets: {d: {files: rows.csv, id: id}}
prompts: {q: "Say {{ word }}"}
jobs: {j: {dataset: d, prompt: q, model: m, output: out.jsonl}}
providers: {corp: {kind: openai, base_url: "https://gw.corp.example/v1", api_key_env: CORP_KEY}}
"""
WHY = "not asked: `CORP_KEY` is not bound to `gw.corp.example`"
COMMAND = "runner keys bind CORP_KEY gw.corp.example"


@pytest.fixture
def root(tmp_path: Path) -> Path:
    root = tmp_path / "project"
    (root / "specs").mkdir(parents=True)
    (root / "specs/a.yaml").write_text(SPEC)
    (root / "rows.csv").write_text("id,word\na,apple\nb,pear\n")
    return root


def run(root: Path, *words: str, **environ: str) -> tuple[int, str]:
    code, told = said(root, *words, CORP_KEY=CANARY, HOME=str(root.parent / "home"), **environ)
    return code, told.decode()


def test_plan_says_so_and_apply_blocks(root: Path) -> None:
    code, told = run(root, "plan")
    assert code == 5
    assert WHY in told and f"`{COMMAND}`" in told
    code, told = run(root, "plan", "-o", "json")
    assert any(WHY in line["why"] and line["unblock"] == [COMMAND] for line in json.loads(told)["jobs"][0]["lines"])
    for words in (("apply", "-y"), ("apply",)):
        code, told = run(root, *words)
        assert code == 5, told
        assert WHY in told and f"`{COMMAND}`" in told
    assert run(root, *COMMAND.split()[1:])[0] == 0
    code, told = run(root, "plan")
    assert code == 0 and "not bound" not in told
    assert run(root, "keys", "list") == (0, "CORP_KEY=gw.corp.example\n")
    assert run(root, "keys", "unbind", "CORP_KEY", "gw.corp.example")[0] == 0
    assert run(root, "plan")[0] == 5


def test_a_rehearsal_needs_no_binding_and_says_what_a_real_run_needs(root: Path) -> None:
    code, told = run(root, "apply", "--rehearse")
    assert code == 0, told
    assert COMMAND in told


def answered(root: Path, answers: str, *words: str) -> tuple[int, str]:
    """`runner WORDS` on a terminal of its own."""
    master, slave = pty.openpty()
    home = str(root.parent / "home")
    process = subprocess.Popen(
        [*RUNNER, *words],
        cwd=root,
        stdin=slave,
        stdout=slave,
        stderr=slave,
        close_fds=True,
        env={
            "PATH": os.environ["PATH"],
            "HOME": home,
            "RUNNER_HOME": home,
            "CORP_KEY": CANARY,
            # Whatever is sent goes nowhere
            "HTTPS_PROXY": "http://127.0.0.1:9",
            "TERM": "dumb",
        },
    )
    os.close(slave)
    told, typed = b"", False
    while True:
        try:
            data = os.read(master, 4096)
        except OSError:
            break
        if not data:
            break
        told += data
        if b"[y/N]" in told and not typed:
            os.write(master, answers.encode())
            typed = True
    os.close(master)
    return process.wait(60), " ".join(told.decode().split())  # a terminal breaks lines


def test_it_is_asked_once(root: Path) -> None:
    code, told = answered(root, "n\n", "apply", "--no-wait")
    assert (
        "Send the key in `CORP_KEY` to `gw.corp.example`, as provider `corp` at specs/a.yaml:6:13 says? [y/N]" in told
    )
    assert code == 5 and WHY in told
    assert run(root, "keys", "list") == (0, "")
    code, told = answered(root, "y\nn\n", "apply", "--no-wait")
    assert WHY not in told
    assert run(root, "keys", "list") == (0, "CORP_KEY=gw.corp.example\n")
    began = time.monotonic()
    code, told = answered(root, "n\n", "apply", "--no-wait")
    assert "Send the key" not in told
    assert time.monotonic() - began < 60


def test_yes_to_paying_is_no_yes_to_a_host(root: Path) -> None:
    code, told = answered(root, "", "apply", "-y", "--no-wait")
    assert (code, "Send the key" in told) == (5, False)


@pytest.mark.parametrize(
    "words",
    [("plan",), ("status",), ("show", "j"), ("apply", "-y"), ("apply", "--rehearse"), ("fetch", "j", "--to", "raw"),
     ("cancel", "j"), ("retry", "j"), ("render", "j"), ("state", "list"), ("state", "resolve", "j"),
     ("state", "accept-origin", "corp")],
)  # fmt: skip
def test_a_committed_folder_is_obeyed_by_no_command(root: Path, words: tuple[str, ...]) -> None:
    run(root, "apply", "-y")
    git(root, "init")
    git(root, "add", "-f", ".runner")
    code, told = run(root, *words)
    if words[0] == "render":
        assert code == 0  # it reads no memory
        return
    assert code == 5, told
    assert "git tracks" in told and "git rm -r --cached .runner" in told
    git(root, "rm", "-r", "-q", "--cached", ".runner")
    assert "git tracks" not in run(root, *words)[1]


@pytest.mark.parametrize("header", ["Host", "content-length", "Transfer-Encoding", "connection", "Proxy-Authorization"])
def test_a_key_is_no_header_of_the_connection(root: Path, header: str) -> None:
    spec = root / "specs/a.yaml"
    spec.write_text(SPEC.replace("CORP_KEY}", f"CORP_KEY, overrides: {{auth: {{header: {header}}}}}}}"))
    code, told = run(root, "validate")
    assert code == 1
    assert "specs/a.yaml:6" in told and "belongs to the connection" in told
