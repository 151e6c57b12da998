"""Result files that hold less than was counted: waited for, then decided about by a person; never paid for again."""

from __future__ import annotations

import shutil
import socket
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from runner.state.disk import DiskStore
from tests.journeys.lab import Lab
from tests.journeys.lookalike import LookAlike, Raw, lab_at, looking_alike
from tests.journeys.rounds import killed
from tests.remotes.loopback import Request, serving


def states(lab: Lab) -> Counter[str]:
    return Counter(row["error"]["code"] if row["error"] else "ok" for row in lab.results())


@pytest.fixture
def remote() -> Iterator[LookAlike]:
    with looking_alike() as made:
        made.life = lambda batch, polls: made.completed(batch)
        yield made


def project(root: Path, remote: LookAlike) -> Lab:
    return lab_at(root, remote, 8)


def shorten(remote: LookAlike, *, doubled: bool = False) -> None:
    """From now on a cache holds three of eight lines, and gives the same at each download."""

    def served(request: Request) -> bytes:
        lines = remote.files["batch_1-output"].splitlines(keepends=True)
        return remote.reply(200, b"".join(lines[:3] + (lines[:1] * 5 if doubled else [])))

    remote.on["GET /files/batch_1-output/content"] = served


@pytest.mark.parametrize("doubled", [False, True], ids=["cut", "doubled"])
def test_a_cut_file_is_waited_for(tmp_path: Path, remote: LookAlike, doubled: bool) -> None:
    shorten(remote, doubled=doubled)
    lab = project(tmp_path, remote)
    done = lab.apply("--wait", "2s", code=3)
    assert "8 rows have finished, and its files hold 3 of 8" in done.stderr
    assert len(remote.sent) == 1
    remote.on.clear()
    lab.apply()
    assert states(lab) == {"ok": 8}
    assert len(remote.sent) == 1


def test_one_that_stays_cut_needs_a_decision_and_its_answers_are_in_the_file(tmp_path: Path, remote: LookAlike) -> None:
    shorten(remote)
    lab = project(tmp_path, remote)
    lab.apply("--no-wait", code=3)
    lab.apply("--no-wait", code=3)
    _age(lab.root, timedelta(hours=1))
    done = lab.apply(code=5)
    assert "3 ok, 0 error, 5 need a decision of 8  results/answers.jsonl" in done.stdout
    assert "runner retry answers" in done.stdout
    assert states(lab) == {"ok": 3, "needs_decision": 5}
    lab.apply(code=5)
    assert len(remote.sent) == 1, "nothing is asked again by itself"
    remote.on.clear()  # the cache forgets
    done = lab.apply()
    assert "the files of `batch_1` are whole now: 8 ok" in done.stderr
    assert states(lab) == {"ok": 8}
    assert len(remote.sent) == 1


def needs_a_decision(root: Path, remote: LookAlike, **how: bool) -> Lab:
    """A project whose batch came short for so long that a person is asked."""
    shorten(remote, **how)
    lab = project(root, remote)
    lab.apply("--no-wait", code=3)
    lab.apply("--no-wait", code=3)
    _age(lab.root, timedelta(hours=1))
    lab.apply(code=5)
    return lab


def test_what_more_there_is_of_a_file_that_stays_short_comes_home(tmp_path: Path, remote: LookAlike) -> None:
    lab = needs_a_decision(tmp_path, remote)
    for rows in (6, 7):

        def served(request: Request, rows: int = rows) -> bytes:
            return remote.reply(200, b"".join(remote.files["batch_1-output"].splitlines(keepends=True)[:rows]))

        remote.on["GET /files/batch_1-output/content"] = served
        done = lab.apply(code=5)
        assert f"hold {rows} of 8 rows now" in done.stderr
        assert states(lab) == {"ok": rows, "needs_decision": 8 - rows}
    shorten(remote)
    lab.apply(code=5)
    assert states(lab) == {"ok": 7, "needs_decision": 1}, "what is here stays"
    remote.on.clear()
    lab.apply()
    assert states(lab) == {"ok": 8}
    assert len(remote.sent) == 1


def test_a_file_that_breaks_inside_its_first_line_is_fetched_again(tmp_path: Path, remote: LookAlike) -> None:
    """Nothing of it can be read, each time; that it breaks at other bytes says that there is more."""
    breaks = iter(range(10, 100))

    def served(request: Request) -> bytes:
        return remote.reply(200, remote.files["batch_1-output"][: next(breaks)])

    remote.on["GET /files/batch_1-output/content"] = served
    lab = project(tmp_path, remote)
    done = lab.apply("--wait", "2s", code=3)
    assert "in different places" in done.stderr
    remote.on.clear()
    lab.apply()
    assert states(lab) == {"ok": 8}


@pytest.mark.parametrize("boundary", ["rename index", "renamed index", "after write batch"])
def test_a_command_that_dies_while_it_mends_leaves_a_state_that_goes_on(
    tmp_path: Path, remote: LookAlike, boundary: str
) -> None:
    lab = needs_a_decision(tmp_path, remote)
    remote.on.clear()
    spare = Lab(tmp_path / "spare", remote)  # type: ignore[arg-type]
    shutil.copytree(lab.root, spare.root)
    crossed = killed(spare, 0).crossed
    assert boundary in crossed, crossed
    assert killed(lab, crossed.index(boundary) + 1).is_dead
    assert lab.run("status", "specs/", code=None).returncode != 1, "what is on record can be read"
    lab.apply()
    assert states(lab) == {"ok": 8}
    assert len(remote.sent) == 1


def test_what_a_person_decided_is_fetched_once_more_before_it_is_paid_for(tmp_path: Path, remote: LookAlike) -> None:
    lab = needs_a_decision(tmp_path, remote)
    assert "5 requests will be asked again, 5 of them maybe twice" in lab.run("retry", "answers").stdout
    remote.on.clear()
    lab.apply()
    assert states(lab) == {"ok": 8}
    assert len(remote.sent) == 1


def test_what_may_be_in_a_file_that_cannot_be_had_now_waits_for_it(tmp_path: Path, remote: LookAlike) -> None:
    lab = needs_a_decision(tmp_path, remote)
    lab.run("retry", "answers")
    remote.on["GET /files/batch_1-output/content"] = remote.refuse(503, "not now")
    done = lab.apply("--no-wait", code=3)
    assert "`batch_1` cannot be fetched now" in done.stderr
    assert "5 of its rows are not asked again before its files are read" in done.stderr
    done = lab.apply("--wait", "3s", code=3)
    assert done.stderr.count("cannot be fetched now") == 1
    assert remote.asked.count("GET /files/batch_1-output/content") > 2, "each pass asks for it"
    remote.on["GET /files/batch_1-output/content"] = remote.refuse(403, "not with this key")
    done = lab.apply("--no-wait", code=1)
    assert "not with this key" in done.stderr
    assert len(remote.sent) == 1, "nothing is paid twice for a remote that does not answer"
    remote.on.clear()
    lab.apply()
    assert states(lab) == {"ok": 8}
    assert len(remote.sent) == 1


@pytest.mark.parametrize("status", [404, 410])
def test_what_was_in_a_file_that_is_gone_is_asked_again(tmp_path: Path, remote: LookAlike, status: int) -> None:
    lab = needs_a_decision(tmp_path, remote)
    lab.run("retry", "answers")
    remote.on["GET /files/batch_1-output/content"] = remote.refuse(status)
    lab.apply()
    assert states(lab) == {"ok": 8}
    assert [len(rows) for rows in remote.sent] == [8, 5]


def test_a_retry_takes_first_what_has_come_since(tmp_path: Path, remote: LookAlike) -> None:
    lab = needs_a_decision(tmp_path, remote)
    remote.on.clear()
    done = lab.run("retry", "answers", code=None)
    assert "the files of `batch_1` are whole now: 8 ok" in done.stderr
    lab.apply()
    assert states(lab) == {"ok": 8}
    assert len(remote.sent) == 1


def _age(root: Path, by: timedelta) -> None:
    """As if files had first been seen to be short so long ago."""
    store = DiskStore(root / ".runner" / "state")
    try:
        aged = {}
        for key, document in store.read().below("batch/"):
            since = datetime.fromisoformat(str(document["short_since"])).astimezone(UTC)
            aged[key] = {**document, "short_since": (since - by).isoformat()}
        assert aged
        store.write(aged, store.read().serial)
    finally:
        store.close()


def test_rows_that_no_count_speaks_of_are_asked_again_at_once(tmp_path: Path, remote: LookAlike) -> None:
    def life(batch: Raw, polls: int) -> Mapping[str, Any]:
        whole = remote.completed(batch)
        if batch["id"] != "batch_1":
            return whole
        counts = {"total": 8, "completed": 3, "failed": 0}
        return {**whole, "output_file_id": remote.answered(batch, only=3), "request_counts": counts}

    remote.life = life
    lab = project(tmp_path, remote)
    lab.apply()
    assert [len(rows) for rows in remote.sent] == [8, 5]
    assert states(lab) == {"ok": 8}


@dataclass
class WrittenAnew(LookAlike):
    """Cuts each file half way, and has written it anew in another order when the rest is asked for."""

    cuts: int = 1

    def answer(self, sock: socket.socket, request: Request) -> bool:
        path = request.path.removeprefix("/v1")
        if not path.startswith("/files/batch_") or not path.endswith("/content"):
            return super().answer(sock, request)
        content = self.files[path.split("/")[2]]
        lines = content.splitlines(keepends=True)
        half = sum(map(len, lines[: len(lines) // 2]))
        begun = request.headers.get("range")
        self.asked.append(f"{path} {begun}")
        if begun:
            again = b"".join(reversed(lines))
            head = f"HTTP/1.1 206 X\r\ncontent-range: bytes {half}-{len(again) - 1}/{len(again)}\r\n"
            sock.sendall(f"{head}content-length: {len(again) - half}\r\n\r\n".encode() + again[half:])
            return True
        is_cut, self.cuts = self.cuts > 0, self.cuts - 1
        sock.sendall(f"HTTP/1.1 200 X\r\ncontent-length: {len(content)}\r\n\r\n".encode())
        sock.sendall(content[:half] if is_cut else content)
        return not is_cut


def test_a_file_written_anew_under_a_resumed_download_is_fetched_from_its_first_byte(tmp_path: Path) -> None:
    remote = WrittenAnew()
    remote.life = lambda batch, polls: remote.completed(batch)
    with serving(remote.answer) as server:
        remote.url = server.base_url.removesuffix("/v1")
        lab = project(tmp_path, remote)
        lab.apply()
    assert states(lab) == {"ok": 8}
    assert len({row["custom_id"] for row in lab.results()}) == 8
    assert len(remote.sent) == 1
    downloads = [one.split()[1] for one in remote.asked if one.startswith("/files/batch_")]
    assert downloads[0] == "None" and downloads[1].startswith("bytes="), "it was resumed, and came out wrong"
    assert downloads[2:] == ["None"]
