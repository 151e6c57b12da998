"""Keys go into headers and appear nowhere else: not in files, words, logs, or what another process can see."""

from __future__ import annotations

import base64
import contextlib
import json
import os
import socket
import subprocess
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest

from tests import warm
from tests.hardening.conftest import OwnLab, lab_in, sampled
from tests.journeys.lab import KEY, RUNNER, Lab, Server, until

CANARY = "fw_CanaryXq7/Zt+19=DoNotShow"  # signs that change when they are encoded


def forms(key: str) -> list[bytes]:
    """A key as it might show."""
    return [
        form.encode()
        for form in (
            key,
            quote(key, safe=""),
            quote(key),
            base64.b64encode(key.encode()).decode(),
            base64.urlsafe_b64encode(key.encode()).decode(),
            json.dumps(key)[1:-1].replace("/", "\\/"),
            key[:16],
        )
    ]


def shows(data: bytes, key: str = CANARY) -> bool:
    return any(form in data for form in forms(key))


def leaks(folder: Path, key: str = CANARY) -> list[Path]:
    """Files below a folder that hold a key in any form, or are named so."""
    return [
        path
        for path in folder.rglob("*")
        if shows(str(path).encode(), key) or (path.is_file() and shows(path.read_bytes(), key))
    ]


class Echoing(BaseHTTPRequestHandler):
    """A remote that says back what it was sent, key and all, with the status in `status`."""

    status = 401
    kind = "application/json"
    asked = 0

    def _answer(self) -> None:
        type(self).asked += 1
        self.rfile.read(int(self.headers.get("Content-Length") or 0))
        sent = self.headers.get("Authorization", "")
        words = f"the key {sent} ({sent.removeprefix('Bearer ')}) is not known; tried https://x.example/?key={sent}"
        body = json.dumps({"error": {"message": words, "code": sent, "type": sent}}).encode()
        if self.kind != "application/json":
            body = f"<html><body>{words}</body></html>".encode()
        self.send_response(self.status, sent)
        self.send_header("Content-Type", self.kind)
        self.send_header("Content-Length", str(len(body)))
        self.send_header("x-request-id", sent)
        self.send_header("Location", f"https://elsewhere.example/?key={sent}")
        self.end_headers()
        self.wfile.write(body)

    do_GET = do_POST = do_PUT = do_DELETE = _answer

    def log_message(self, *words: Any) -> None:
        pass


@contextlib.contextmanager
def echoing(status: int, kind: str = "application/json") -> Iterator[tuple[str, type[Echoing]]]:
    handler = type("Handler", (Echoing,), {"status": status, "kind": kind, "asked": 0})
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}", handler
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


OPENAI = """\
models: {m: {provider: p, name: echo}}
datasets: {d: {files: rows.csv, id: id}}
prompts: {q: "Say {{ word }}"}
jobs: {j: {dataset: d, prompt: q, model: m, output: out.jsonl}}
providers: {p: {kind: openai, base_url: URL/v1, api_key_env: THE_KEY, overrides: {settle_s: 0.1}}}
"""
FIREWORKS = """\
models: {m: {provider: fireworks, name: accounts/fireworks/models/echo}}
datasets: {d: {files: rows.csv, id: id}}
prompts: {q: "Say {{ word }}"}
jobs: {j: {dataset: d, prompt: q, model: m, output: out.jsonl}}
providers: {fireworks: {base_url: URL, account: acme, api_key_env: THE_KEY, overrides: {settle_s: 0.1}}}
"""
AUDIO = """\
models: {m: {provider: fireworks-audio, name: whisper-v3}}
jobs: {j: {audio: "*.wav", model: m, output: out.jsonl}}
providers: {fireworks-audio: {base_url: URL, account: acme, api_key_env: THE_KEY}}
"""


def project(root: Path, spec: str, url: str) -> None:
    from tests.journeys.audio.lab import sound

    (root / "specs").mkdir(parents=True)
    (root / "specs/a.yaml").write_text(spec.replace("URL", url))
    (root / "rows.csv").write_text("id,word\na,apple\nb,pear\n")
    (root / "a.wav").write_bytes(sound("a"))


def said(root: Path, *words: str, **environ: str) -> tuple[int, bytes]:
    """Everything one command says."""
    home = str(root / "home")
    kept = {**warm.environ(), "HOME": home, "RUNNER_HOME": home, "THE_KEY": CANARY}
    done = warm.run("runner", *words, cwd=root, env={**kept, **environ}, timeout=60)
    assert "Traceback" not in done.stderr, done.stderr
    return done.returncode, (done.stdout + done.stderr).encode()


@pytest.mark.parametrize(
    ("spec", "status", "kind"),
    [
        (OPENAI, 401, "application/json"),
        pytest.param(OPENAI, 403, "text/html", marks=pytest.mark.sweep),
        pytest.param(OPENAI, 400, "application/json", marks=pytest.mark.sweep),
        pytest.param(OPENAI, 307, "application/json", marks=pytest.mark.sweep),
        pytest.param(OPENAI, 200, "text/html", marks=pytest.mark.sweep),
        (FIREWORKS, 403, "text/html"),
        pytest.param(FIREWORKS, 401, "application/json", marks=pytest.mark.sweep),
        pytest.param(FIREWORKS, 200, "application/json", marks=pytest.mark.sweep),
        (AUDIO, 401, "application/json"),
        pytest.param(AUDIO, 403, "text/html", marks=pytest.mark.sweep),
    ],
)
def test_a_remote_that_says_the_key_back_is_not_quoted(tmp_path: Path, spec: str, status: int, kind: str) -> None:
    with echoing(status, kind) as (url, handler):
        project(tmp_path, spec, url)
        code, words = said(tmp_path, "-vv", "apply", "-y", "--first-run", "--no-wait")
        assert handler.asked
    assert code in (1, 5)
    assert not shows(words), words.decode()
    assert leaks(tmp_path) == []


@pytest.fixture
def guarded(tmp_path: Path, server: Server) -> OwnLab:
    return lab_in(tmp_path / "project", server)


def test_a_whole_journey_leaves_no_key_behind(guarded: OwnLab) -> None:
    """Every command, at its most talkative, on a project in every state; the server's folder knows its own token."""
    lab = guarded
    lab.server.fault(row_error=0.3)
    journeys: list[tuple[str, ...]] = [
        ("render", "answers"),
        ("plan",),
        ("apply", "-y"),
        ("apply", "--rehearse"),
        ("status", "-o", "json"),
        ("show", "answers"),
        ("fetch", "answers", "--to", "raw"),
        ("retry", "answers", "--replace"),
        ("plan",),
        ("apply", "-y", "--no-wait", "--confirm-repay"),
        ("cancel", "answers"),
        ("apply", "-y"),
        ("state", "list"),
    ]
    for words in journeys:
        done = Lab.run(lab, "-vv", *words, code=None)  # a process of its own: logging is for all of one
        assert not shows((done.stdout + done.stderr).encode(), KEY)
    assert leaks(lab.root, KEY) == []
    assert leaks(lab.root.parent / "home", KEY) == []


@pytest.mark.parametrize(
    "place",
    sampled(["params", "system", "base_url", "api_key_env", "output", "model", "comment"], "params", "base_url"),
)
def test_a_key_in_a_spec_is_refused_and_not_repeated(tmp_path: Path, place: str) -> None:
    key = "sk-proj-" + "Ab3dEf6hIj9kLm2nOp5qRs8tUv1wXy4zAb3d"
    spec = OPENAI.replace("URL", "http://127.0.0.1:9")
    edits = {
        "params": ("name: echo", f"name: echo, params: {{api_key: {key}}}"),
        "system": ('prompts: {q: "Say {{ word }}"}', f'prompts: {{q: {{system: "{key}", user: "{{{{ word }}}}"}}}}'),
        "base_url": ("http://127.0.0.1:9", f"http://user:{key}@127.0.0.1:9"),
        "api_key_env": ("THE_KEY", key),
        "output": ("output: out.jsonl", f"output: {key}.jsonl"),
        "model": ("name: echo", f"name: {key}"),
        "comment": ("models:", f"# {key}\nmodels:"),
    }
    project(tmp_path, spec.replace(*edits[place], 1), "unused")
    for words in (("validate",), ("plan",), ("apply", "--no-wait", "-y")):
        code, told = said(tmp_path, *words)
        assert code == 1, (words, told.decode())
        assert not shows(told, key), told.decode()
    assert "rotate" in told.decode() or "revoke" in told.decode() or place == "api_key_env", told.decode()


EMBEDDED = """\
models: {m: {provider: embedded, name: echo}}
datasets: {d: {files: rows.csv, id: id}}
prompts: {q: "Say {{ word }}"}
jobs: {j: {dataset: d, prompt: q, model: m, output: out.jsonl}}
"""


def processes_below(pid: int) -> list[int]:
    found = []
    for entry in Path("/proc").iterdir():
        with contextlib.suppress(OSError, ValueError):
            parent = int((entry / "stat").read_text().rpartition(")")[2].split()[1])
            if parent == pid:
                found += [int(entry.name), *processes_below(int(entry.name))]
    return found


@pytest.mark.skipif(not Path("/proc/self/environ").exists(), reason="needs /proc")
@pytest.mark.parametrize("how", ["apply", "rehearse"])
def test_our_children_get_no_keys(tmp_path: Path, how: str) -> None:
    """Neither in their words nor in their environment; nor has anybody a token among their words."""
    project(tmp_path, EMBEDDED.replace("Say {{ word }}", "{% for c in word %}{{ c }}{% endfor %}"), "")
    if how == "rehearse":
        (tmp_path / "specs/a.yaml").write_text(OPENAI.replace("URL", "http://127.0.0.1:9"))
    (tmp_path / "rows.csv").write_text("id,word\n" + "".join(f"{n},word {n}\n" for n in range(6000)))
    home = str(tmp_path / "home")
    keys = dict.fromkeys(("THE_KEY", "OPENAI_API_KEY", "FIREWORKS_API_KEY", "ANTHROPIC_API_KEY", "HF_TOKEN"), CANARY)
    applying = subprocess.Popen(
        [*RUNNER, "apply", "-y", *(["--rehearse"] if how == "rehearse" else [])],
        cwd=tmp_path,
        env={"PATH": os.environ["PATH"], "HOME": home, "RUNNER_HOME": home, **keys},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
    )
    seen: dict[int, tuple[bytes, bytes]] = {}

    def looked() -> bool:
        for pid in processes_below(applying.pid):
            with contextlib.suppress(OSError):
                words = Path(f"/proc/{pid}/cmdline").read_bytes()
                if words and b"-c\0" not in words[:40]:
                    seen[pid] = words, Path(f"/proc/{pid}/environ").read_bytes()
        return applying.poll() is not None

    try:
        until(looked, 60)
    finally:
        applying.kill()
        _, told = applying.communicate()
    assert any(b"serve" in words for words, _ in seen.values()), told
    own = [path.read_bytes() for path in tmp_path.rglob("token")]
    for words, environ in seen.values():
        assert CANARY.encode() not in environ, words
        assert not shows(words)
        assert not any(token in words for token in own)


def test_nothing_listens_for_others(server: Server) -> None:
    """The server is on loopback alone, and its files say its token to nobody else."""
    port = int(server.url.rpartition(":")[2])
    with contextlib.closing(socket.socket()) as probe:
        probe.settimeout(0.5)
        with pytest.raises(OSError):
            probe.connect((_address_of_this_machine(), port))
    assert oct((server.directory / "server.json").stat().st_mode)[-3:] == "600"


def _address_of_this_machine() -> str:
    with contextlib.closing(socket.socket(socket.AF_INET, socket.SOCK_DGRAM)) as probe:
        try:
            probe.connect(("192.0.2.1", 9))
        except OSError:
            pytest.skip("this machine has no address but loopback")
        address = str(probe.getsockname()[0])
    if address.startswith("127."):
        pytest.skip("this machine has no address but loopback")
    return address
