"""What `runner try` looks like."""

from __future__ import annotations

from pathlib import Path

from tests.cli.snapshots import Shots
from tests.journeys.test_online import asking
from tests.journeys.test_try import priced
from tests.online import OnlineServer, Reply


def test_snapshots_of_try(tmp_path: Path, shots: Shots) -> None:
    """A matrix stands side by side where there is room, and below each other where there is none."""

    def refuse(server: OnlineServer, prompt: str, times: int) -> Reply | None:
        return (400, {}, b'{"error":{"message":"too long","code":"too_long"}}') if prompt.endswith("word 1") else None

    with asking(tmp_path, 20) as (lab, server):
        priced(lab, server)
        same = [(r"[\d,]+ ms\) *", "0 ms)  "), (r'"ms": \d+', '"ms": 0')]
        anew = lambda: lab.apply_anew()  # noqa: E731
        shots("try", lab, "try", "answers", "specs/", "--rows", "1", before=anew, varying=same)
        shots("try-known", lab, "try", "answers", "specs/", "--rows", "1", varying=same)
        shots("try-matrix", lab, "try", "compare", "specs/", "--rows", "1", before=anew, varying=same)
        server.fault = refuse
        shots("try-failed", lab, "try", "answers", "specs/", "--row", "r1", before=anew, varying=same, code=4)
