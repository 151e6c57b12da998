"""The audio API of a running server, asked as its seeds ask it: the bare key, a multipart form."""

from __future__ import annotations

import io
import math
import struct
import time
import wave
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.server.conftest import TOKENS, Lab, begin

RECORDINGS = Path(__file__).parents[3] / "specs" / "data" / "recordings"
TRANSCRIPTIONS = "/v1/audio/transcriptions"
TRANSLATIONS = "/v1/audio/translations"
VERBOSE = {"response_format": "verbose_json", "timestamp_granularities": "word,segment"}


def tone(seconds: float = 1.0, rate: int = 8_000, hertz: float = 440.0) -> bytes:
    """A mono WAV file."""
    out = io.BytesIO()
    with wave.open(out, "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(rate)
        count = int(seconds * rate)
        file.writeframes(struct.pack(f"<{count}h", *(int(9_000 * math.sin(hertz * n / rate)) for n in range(count))))
    return out.getvalue()


@dataclass
class Audio:
    """One server's audio API."""

    lab: Lab
    http: httpx.Client

    def send(
        self,
        data: bytes = b"",
        *,
        path: str = TRANSCRIPTIONS,
        name: str = "a.wav",
        token: str = TOKENS[0],
        params: dict[str, str] | None = None,
        **fields: Any,
    ) -> httpx.Response:
        """Submit a recording; fields called `timestamp_granularities` and the like go into the form."""
        form = {key: value for key, value in fields.items() if value is not None}
        return self.http.post(
            path,
            params={"endpoint_id": "audio-prod"} if params is None else params,
            headers={"authorization": token},
            files={"file": (name, data or tone(), "audio/wav")},
            data=form,
        )

    def submit(self, data: bytes = b"", **more: Any) -> str:
        response = self.send(data, **more)
        assert response.status_code == 200, response.text
        return str(response.json()["batch_id"])

    def look(self, batch_id: str, account: str = "runner", token: str = TOKENS[0]) -> httpx.Response:
        return self.http.get(f"/v1/accounts/{account}/batch_job/{batch_id}", headers={"authorization": token})

    def wait(self, batch_id: str, seconds: float = 20) -> dict[str, Any]:
        until = time.monotonic() + seconds
        while True:
            response = self.look(batch_id)
            assert response.status_code == 200, response.text
            if (found := response.json())["status"] != "processing":
                return found
            assert time.monotonic() < until, found
            time.sleep(0.01)

    def result(self, data: bytes = b"", **more: Any) -> dict[str, Any]:
        return self.wait(self.submit(data, **more))


@contextmanager
def running(root: Path, **options: Any) -> Iterator[Audio]:
    """A server over `root`, from here to the end of the block."""
    lab = begin(root, **options)
    try:
        with httpx.Client(base_url=lab.url, trust_env=False, timeout=30) as http:
            yield Audio(lab, http)
    finally:
        lab.stop()


@pytest.fixture
def audio(tmp_path: Path) -> Iterator[Audio]:
    with running(tmp_path / "home", engine="echo") as audio:
        yield audio
