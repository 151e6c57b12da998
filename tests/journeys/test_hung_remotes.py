"""A remote that hangs, drips or says later: a word after two seconds, a warning with each retry, an end with `--wait`.

In every command that asks a remote, in a pipe and on a terminal.
"""

from __future__ import annotations

import signal
import socket
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.journeys.lab import Lab
from tests.journeys.lookalike import LookAlike, lab_at, record_of
from tests.journeys.terminal import terminal
from tests.remotes.loopback import Request

WORD = "waiting for `lab` ..."


@pytest.fixture
def lab(tmp_path: Path, remote: LookAlike) -> Lab:
    return lab_at(tmp_path, remote)


def late(seconds: float, times: int = 1_000) -> Callable[[Request], bytes | None]:
    """The usual answer, after a while; later ones at once."""
    left = [times]

    def answer(request: Request) -> bytes | None:
        left[0] -= 1
        if left[0] >= 0:
            time.sleep(seconds)
        return None

    return answer


def refusing(remote: LookAlike, times: int, status: int = 503, **headers: str) -> Callable[[Request], bytes | None]:
    """So many refusals, and then the usual answer."""
    left = [times]

    def answer(request: Request) -> bytes | None:
        left[0] -= 1
        return remote.reply(status, {"error": {"message": "busy"}}, **headers) if left[0] >= 0 else None

    return answer


IN_FLIGHT = "The time of `--wait` is over, with 2 requests in flight. Run the same command again to go on"
NOT_SENT = "The time of `--wait` is over, with 2 requests not sent. Run the same command again to go on"
END_SECONDS = 2.5  # of a process, on a busy machine
HANGS = 4.0


def waited(lab: Lab, remote: LookAlike, seconds: int) -> str:
    """What an apply says that may take so long and no longer, from the first that the remote hears of it."""
    before = len(remote.asked)
    running = lab.start("apply", "specs/", "-y", "--wait", f"{seconds}s")
    while len(remote.asked) == before and running.poll() is None:
        time.sleep(0.02)
    began = time.monotonic()
    _, words = running.communicate(timeout=90)
    assert time.monotonic() - began < seconds + END_SECONDS, words
    assert running.returncode == 3 and "error: " not in words, words
    return words


def begun(lab: Lab, remote: LookAlike) -> None:
    """A batch is in flight."""
    lab.apply("--no-wait", code=3)
    assert len(remote.created) == 1


@pytest.mark.parametrize("words", [("plan", "specs/"), ("apply", "specs/", "-y", "--no-wait")])
def test_before_anything_is_sent(lab: Lab, remote: LookAlike, words: tuple[str, ...]) -> None:
    remote.on["GET /batches"] = late(3.0)
    done = lab.run(*words, code=None)
    assert done.returncode in (0, 3)
    assert done.stderr.count(WORD) == 1 and WORD not in done.stdout


@pytest.mark.parametrize(
    "words", [("plan", "specs/"), ("status",), ("cancel", "answers"), ("apply", "specs/", "--no-wait")]
)
def test_while_a_batch_runs(lab: Lab, remote: LookAlike, words: tuple[str, ...]) -> None:
    begun(lab, remote)
    remote.on |= {
        "GET /batches": late(2.5),
        "GET /batches/batch_1": late(2.5),
        "POST /batches/batch_1/cancel": late(2.5),
    }
    done = lab.run(*words, code=None)
    assert done.returncode in (0, 3)
    assert done.stderr.count(WORD) == 1 and WORD not in done.stdout


def test_while_files_are_fetched(lab: Lab, remote: LookAlike) -> None:
    begun(lab, remote)
    remote.life = remote.completed
    remote.on["GET /files/batch_1-output/content"] = late(3.0)
    done = lab.run("fetch", "answers")
    assert done.stderr.count(WORD) == 1
    assert (lab.root / "answers-files").is_dir()


def test_one_warning_and_a_line_with_each_retry(lab: Lab, remote: LookAlike) -> None:
    begun(lab, remote)
    remote.on["GET /batches"] = refusing(remote, 2)
    done = lab.run("status")
    first, second = [line for line in done.stderr.splitlines() if "`lab`" in line and "trying again in" in line]
    assert first.startswith("warning: ") and "(try 2 of 5)" in first
    assert not second.startswith("warning: ") and "(try 3 of 5)" in second
    assert lab.run("status").stderr == ""


def test_a_dead_port_is_warned_of_and_ends(lab: Lab, remote: LookAlike) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    path = lab.root / "specs/lab.yaml"
    path.write_text(path.read_text().replace(remote.url, f"http://127.0.0.1:{port}"))
    done = lab.apply("--wait", "3s", code=1)
    assert "warning: cannot reach `lab`" in done.stderr and "(try 2 of 5)" in done.stderr
    assert "\nerror: answers: cannot reach `lab`" in done.stderr


@pytest.mark.parametrize("advice", ["20", "100"])
def test_a_remote_that_says_later_does_not_outlast_the_wait(lab: Lab, remote: LookAlike, advice: str) -> None:
    begun(lab, remote)
    for route in ("GET /batches", "GET /batches/batch_1"):
        remote.on[route] = remote.refuse(429, **{"retry-after": advice})
    assert IN_FLIGHT in waited(lab, remote, 2)


def test_nor_does_one_that_says_later_to_the_create(lab: Lab, remote: LookAlike) -> None:
    remote.on["POST /batches"] = remote.refuse(429, **{"retry-after": "60"})
    waited(lab, remote, 2)
    assert not remote.created


def test_nor_does_one_that_hangs(lab: Lab, remote: LookAlike) -> None:
    begun(lab, remote)
    remote.on |= {"GET /batches": late(7.0), "GET /batches/batch_1": late(7.0)}
    words = waited(lab, remote, 4)
    assert words.count(WORD) == 1 and IN_FLIGHT in words


def test_nor_a_create_that_hangs_and_what_comes_of_it_is_found(lab: Lab, remote: LookAlike) -> None:
    """Cut between send and receipt: its intent is kept, the command says so, and the next one finds the batch."""
    remote.on["POST /batches"] = late(HANGS, times=1)
    assert "1 create had no answer: the next pass looks for it before it sends anything" in waited(lab, remote, 1)
    remote.life = remote.completed
    lab.apply("--wait", "20s")
    assert len(remote.created) == 1


@pytest.mark.parametrize("route", ["POST /files", "GET /batches"])
def test_nor_an_upload_or_a_search_that_hangs(lab: Lab, remote: LookAlike, route: str) -> None:
    remote.on[route] = late(HANGS, times=1)
    assert NOT_SENT in waited(lab, remote, 1)
    with remote.lock:
        assert not remote.created


def test_nor_a_file_that_hangs(lab: Lab, remote: LookAlike) -> None:
    begun(lab, remote)
    remote.life = remote.completed
    remote.on["GET /files/batch_1-output/content"] = late(HANGS, times=1)
    assert IN_FLIGHT in waited(lab, remote, 1)
    lab.apply("--wait", "20s")
    assert len(remote.created) == 1


def test_nor_the_search_for_a_create_without_an_answer(lab: Lab, remote: LookAlike) -> None:
    """A list that does not show it yet proves nothing before the remote had its time, and that is not waited for."""
    path = lab.root / "specs/lab.yaml"
    path.write_text(path.read_text().replace("settle_s: 0.1", "settle_s: 30"))
    remote.on["POST /batches"] = refusing(remote, 1, 500)
    assert "1 create had no answer" in waited(lab, remote, 1)
    assert "1 create had no answer" in waited(lab, remote, 1)
    assert not remote.created


def test_nor_does_ctrl_c_make_a_search_of_one_that_came_too_early(lab: Lab, remote: LookAlike) -> None:
    path = lab.root / "specs/lab.yaml"
    path.write_text(path.read_text().replace("settle_s: 0.1", "settle_s: 30"))
    remote.on["POST /batches"] = refusing(remote, 1, 500)
    running = lab.start("apply", "specs/", "-y")
    until = time.monotonic() + 20
    while "POST /batches" not in remote.asked or remote.asked[-1] != "GET /batches":
        assert time.monotonic() < until
        time.sleep(0.05)
    running.send_signal(signal.SIGINT)
    _, words = running.communicate(timeout=20)
    assert running.returncode == 130 and "Stopped" in words
    assert [batch["stage"] for batch in record_of(lab.root)] == ["intent"]


def test_a_create_that_cannot_be_looked_up_later_has_its_answer_waited_for(lab: Lab, remote: LookAlike) -> None:
    path = lab.root / "specs/lab.yaml"
    path.write_text(path.read_text().replace("overrides: {", "overrides: {list: {style: absent}, "))
    remote.on["POST /batches"] = late(HANGS, times=1)
    done = lab.apply("--wait", "1s", "--first-run", code=3)
    assert IN_FLIGHT in done.stderr and len(remote.created) == 1


def test_a_later_that_lasts_is_told_once(lab: Lab, remote: LookAlike) -> None:
    remote.on["GET /batches"] = remote.refuse(429, **{"retry-after": "500"})
    done = lab.apply("--wait", "2s", code=3)
    assert done.stderr.count("not sent yet") == 1


def test_on_a_terminal_the_word_counts_and_goes(lab: Lab, remote: LookAlike) -> None:
    remote.on["GET /batches"] = late(4.5, times=1)
    with terminal(lab.root, lab.environ(), "apply", "specs/", "--no-wait") as screen:
        screen.wait_for("waiting for `lab` ... 3 s", 20)
        screen.wait_for("[y/N]", 20)
        at = screen.raw.rindex(b"waiting for `lab`")
        assert b"A\x1b[J" in screen.raw[at:], "its line is erased before the question"
        asked = len(screen.raw)
        screen.type("n\n")
        screen.end()
        assert b"waiting for" not in screen.raw[asked:]


def test_on_a_terminal_a_plan_says_it_too(lab: Lab, remote: LookAlike) -> None:
    remote.on["GET /batches"] = late(3.5, times=1)
    with terminal(lab.root, lab.environ(), "plan", "specs/") as screen:
        screen.wait_for(WORD, 20)
        assert screen.end() == 0
        assert "Plan: 2 requests to send" in screen.shown


def test_on_a_terminal_progress_says_when_it_was_last_seen(lab: Lab, remote: LookAlike) -> None:
    begun(lab, remote)
    hanging: list[bool] = []

    def hang(request: Request) -> bytes | None:
        hanging.append(True)
        if len(hanging) > 3:
            time.sleep(12.5)
        return None

    remote.on["GET /batches"] = hang
    with terminal(lab.root, lab.environ(), "apply", "specs/", "--wait", "14s") as screen:
        screen.wait_for("last seen 11 s ago", 30)
        screen.wait_for("waiting for `lab` ... 1", 30)
        assert screen.end() == 3
