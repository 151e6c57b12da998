"""`runner doctor`: each thing that is wrong is named, with the next step, and no part of a key with it."""

from __future__ import annotations

import json
import socket
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from runner.clock import RealClock
from runner.state.memory import open_memory
from tests.cli.snapshots import must_fit
from tests.journeys.lab import KEY, Lab
from tests.journeys.lookalike import LookAlike, lab_at, looking_alike


@pytest.fixture(scope="module")
def remote() -> Any:
    with looking_alike() as made:
        yield made


def found(lab: Lab, *words: str, code: int = 0, **environ: str) -> dict[str, tuple[str, str, str]]:
    """By what was looked at: how it stands, in which words, and what to do."""
    done = lab.run("doctor", "-o", "json", *words, code=code, **environ)
    view = json.loads(done.stdout)
    must_fit(view, "doctor")
    assert view["is_well"] == (code == 0)
    for one in view["findings"]:
        assert bool(one["hint"]) == (one["status"] != "ok"), one
    return {f"{one['check']} {one['subject']}".strip(): (one["status"], one["message"], one["hint"])
            for one in view["findings"]}  # fmt: skip


def test_a_machine_on_which_all_is_well(remote: LookAlike, tmp_path: Path) -> None:
    lab = lab_at(tmp_path, remote)
    remote.asked.clear()
    said = found(lab)
    assert {one[0] for name, one in said.items() if name != "git"} == {"ok"}
    assert remote.asked == ["GET /batches"], "one cheap read, and nothing else"
    assert "`LAB_KEY` is set" in said["key lab"][1]
    assert not (lab.root / ".runner").exists(), "it only looks"
    text = lab.run("doctor").stdout
    assert "✓ provider lab: reached in" in text and text.splitlines()[-1].startswith("1")
    offline = found(lab, "--offline")
    assert "--offline" in offline["provider lab"][1]


def test_what_is_wrong_at_a_provider_says_what(remote: LookAlike, tmp_path: Path) -> None:
    lab = lab_at(tmp_path, remote)
    assert found(lab, code=1, LAB_KEY="")["key lab"][2].startswith("set `LAB_KEY`")
    remote.on["GET /batches"] = remote.refuse(401, f"no such key as {KEY}")
    try:
        status, words, _ = found(lab, code=1)["provider lab"]
        assert status == "fail" and "the key is not taken" in words
        remote.on["GET /batches"] = remote.refuse(503, "busy")
        assert found(lab, code=1)["provider lab"][0] == "fail"
        del remote.on["GET /batches"]
        remote.skew = timedelta(hours=-1)
        status, words, hint = found(lab, code=1)["clock lab"]
        assert status == "fail" and "ahead of `lab`" in words and "NTP" in hint
        remote.skew = timedelta(seconds=90)
        assert found(lab)["clock lab"][0] == "warn"
    finally:
        remote.on.clear()
        remote.skew = timedelta()


def test_why_a_provider_is_not_reached(remote: LookAlike, tmp_path: Path) -> None:
    lab = lab_at(tmp_path, remote)
    path = lab.root / "specs/lab.yaml"
    usual = path.read_text()
    with socket.socket() as taken:  # bound, and nobody listens
        taken.bind(("127.0.0.1", 0))
        path.write_text(usual.replace(remote.url, f"http://127.0.0.1:{taken.getsockname()[1]}"))
        assert "refused" in found(lab, code=1)["provider lab"][1]
    path.write_text(usual.replace(remote.url, "https://nowhere.invalid"))
    status, words, hint = found(lab, code=1)["key lab"]  # bound to no such host: nothing is sent there
    assert status == "fail" and "not bound" in words and "RUNNER_KEY_HOSTS" in hint
    bound = {"RUNNER_KEY_HOSTS": "LAB_KEY=nowhere.invalid"}
    assert "cannot reach `lab` at `nowhere.invalid`" in found(lab, code=1, **bound)["provider lab"][1]
    proxy = {"HTTPS_PROXY": f"http://me:{KEY}@127.0.0.1:9", **bound}
    said = found(lab, code=1, **proxy)
    assert "through the proxy in `HTTPS_PROXY`" in said["provider lab"][1]
    assert said["proxy"][1] == "`HTTPS_PROXY`=http://***@127.0.0.1:9"  # `Lab.run` looks for the key in all of it
    assert found(lab, code=1, SSL_CERT_FILE="/nowhere.pem", **bound)["certificates"][0] == "fail"


def test_what_is_wrong_with_the_project(remote: LookAlike, tmp_path: Path) -> None:
    lab = lab_at(tmp_path, remote)
    spec = (lab.root / "specs/lab.yaml").read_text()
    (lab.root / "specs/lab.yaml").write_text(spec + "  rest: 1\n")
    status, words, hint = found(lab, code=1)["specs"]
    assert (status, words) == ("fail", "1 problem in the specs") and "validate" in hint
    (lab.root / "specs/lab.yaml").write_text(spec)
    with open_memory(lab.root, writes=True).lock("runner apply", clock=RealClock()):
        status, words, _ = found(lab)["lock"]
        assert status == "warn" and "`runner apply`, process" in words
    assert found(lab)["lock"] == ("ok", "free", "")
    assert found(lab)["state .runner/"][0] == "ok"
    import subprocess

    for words_of_git in (["init", "-q"], ["add", "-f", ".runner/lock"]):
        subprocess.run(["git", *words_of_git], cwd=lab.root, check=True)
    assert "git tracks" in found(lab, code=1)["state .runner/"][1]
    subprocess.run(["git", "rm", "-q", "--cached", ".runner/lock"], cwd=lab.root, check=True)
    assert found(lab)["git"] == ("ok", "`.runner/` is ignored", "")


def test_without_specs_there_is_something_to_begin_with(tmp_path: Path, remote: LookAlike) -> None:
    lab = Lab(tmp_path / "project", remote)  # type: ignore[arg-type]  # nothing is asked
    lab.root.mkdir()
    status, _, hint = found(lab)["specs"]
    assert status == "warn" and hint
