"""Audio jobs outlive the server; uploads never lie in its memory."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path

import httpx

from runner.server import embedded
from tests.server.audio.conftest import TRANSCRIPTIONS, tone
from tests.server.test_restart import ENVIRON, kill

ALLOWED_GROWTH = 60 << 20


def looked(server: embedded.Running, batch_id: str) -> dict[str, str]:
    url = f"{server.url}/v1/accounts/runner/batch_job/{batch_id}"
    response = httpx.get(url, headers={"authorization": server.token}, trust_env=False)
    assert response.status_code == 200
    return response.json()


def submitted(server: embedded.Running, name: str, data: bytes, model: str = "echo") -> str:
    files = {"file": (name, data)}
    response = httpx.post(
        f"{server.url}{TRANSCRIPTIONS}?endpoint_id=audio-prod",
        headers={"authorization": server.token},
        files=files,
        data={"model": model},
        trust_env=False,
    )
    assert response.status_code == 200, response.text
    return str(response.json()["batch_id"])


def settled(server: embedded.Running, ids: list[str]) -> dict[str, dict[str, str]]:
    until = time.monotonic() + 20
    while True:
        seen = {batch_id: looked(server, batch_id) for batch_id in ids}
        if all(one["status"] != "processing" for one in seen.values()):
            return seen
        assert time.monotonic() < until
        time.sleep(0.05)


def test_jobs_survive_kills_in_their_middle(tmp_path: Path) -> None:
    with embedded.start(tmp_path, environ=ENVIRON, faults=["row_delay=0.3"]) as server:
        ids = [submitted(server, f"{n}.wav", tone(0.1 + n / 100)) for n in range(8)]
        while all(looked(server, one)["status"] == "processing" for one in ids):
            time.sleep(0.01)
        kill(server)
    (tmp_path / "audio" / "b-orphan").write_bytes(b"x")
    with embedded.start(tmp_path, environ=ENVIRON, faults=["row_delay=0.3"]) as server:
        statuses = {looked(server, one)["status"] for one in ids}
        assert "processing" in statuses
        time.sleep(0.2)
        kill(server)
    with embedded.start(tmp_path, environ=ENVIRON) as server:
        seen = settled(server, ids)
        assert {one["status"] for one in seen.values()} == {"completed"}
        assert len({one["body"] for one in seen.values()}) == len(ids)
        assert list((tmp_path / "audio").iterdir()) == []


def test_what_cannot_go_on_after_a_restart_fails_and_says_so(tmp_path: Path) -> None:
    with embedded.start(tmp_path, environ=ENVIRON, faults=["row_delay=30"], stands_in_with="echo") as server:
        gone, unknown = submitted(server, "a.wav", tone()), submitted(server, "b.wav", tone(), model="whisper-v3")
        kill(server)
    (tmp_path / "audio" / gone).unlink()
    with embedded.start(tmp_path, environ=ENVIRON) as server:
        seen = settled(server, [gone, unknown, submitted(server, "c.wav", tone())])
    assert [(one["status"], one["message"]) for one in seen.values()] == [
        ("failed", "the server lost the recording"),
        ("failed", "the model does not run on this server"),
        ("completed", None),
    ]


def test_an_upload_is_never_in_memory(tmp_path: Path) -> None:
    size_mib = 300

    def body(boundary: str) -> Iterator[bytes]:
        yield f'--{boundary}\r\nContent-Disposition: form-data; name="model"\r\n\r\necho\r\n'.encode()
        yield f'--{boundary}\r\nContent-Disposition: form-data; name="file"; filename="a.mp3"\r\n\r\n'.encode()
        for _ in range(size_mib):
            yield bytes(1 << 20)
        yield f"\r\n--{boundary}--\r\n".encode()

    with embedded.start(tmp_path, environ=ENVIRON) as server:
        settled(server, [submitted(server, "a.wav", tone())])
        before = peak(server)
        headers = {"authorization": server.token, "content-type": "multipart/form-data; boundary=xyz"}
        url = f"{server.url}{TRANSCRIPTIONS}?endpoint_id=audio-prod"
        response = httpx.post(url, headers=headers, content=body("xyz"), trust_env=False, timeout=60)
        batch_id = response.json()["batch_id"]
        assert f"{size_mib << 20} bytes" in settled(server, [batch_id])[batch_id]["body"]
        assert peak(server) - before < ALLOWED_GROWTH


def peak(server: embedded.Running) -> int:
    """The most memory that the server's process ever had, in bytes."""
    assert server.process is not None
    for line in Path(f"/proc/{server.process.pid}/status").read_text().splitlines():
        if line.startswith("VmHWM:"):
            return int(line.split()[1]) * 1024
    raise AssertionError("no VmHWM")
