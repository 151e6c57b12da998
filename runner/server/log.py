"""What the server was asked since it started: for the fault lab, where the question is who sent what how often."""

from __future__ import annotations

import threading
from collections import Counter


class Log:
    """Counts per `METHOD route`, batch creates that were kept, and rows asked of engines."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._requests: Counter[str] = Counter()
        self._batches_created = 0
        self._files_created = 0
        self._datasets_created = 0
        self._audio_jobs_created = 0
        self._rows_asked = 0

    def request(self, route: str) -> None:
        with self._lock:
            self._requests[route] += 1

    def batch_created(self) -> None:
        with self._lock:
            self._batches_created += 1

    def file_created(self) -> None:
        with self._lock:
            self._files_created += 1

    def dataset_created(self) -> None:
        with self._lock:
            self._datasets_created += 1

    def audio_job_created(self) -> None:
        with self._lock:
            self._audio_jobs_created += 1

    def rows_asked(self, count: int) -> None:
        with self._lock:
            self._rows_asked += count

    def shown(self) -> dict[str, object]:
        with self._lock:
            return {
                "requests": dict(sorted(self._requests.items())),
                "batches_created": self._batches_created,
                "files_created": self._files_created,
                "datasets_created": self._datasets_created,
                "audio_jobs_created": self._audio_jobs_created,
                "rows_asked": self._rows_asked,
            }
