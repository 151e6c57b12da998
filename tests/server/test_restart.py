"""The server killed anywhere goes on where it stopped; its directory has one server at a time."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx
import msgspec
import openai
import pytest

from runner.errors import EngineError, LockedError, StateError, UsageError
from runner.server import embedded, home
from runner.server.serve import Options, Service
from tests.server.conftest import begin, lines

ENVIRON = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])}


@contextmanager
def served(root: Path, *faults: str) -> Iterator[tuple[embedded.Running, openai.OpenAI]]:
    running = embedded.start(root, environ=ENVIRON, faults=faults)
    client = openai.OpenAI(base_url=f"{running.url}/v1", api_key=running.token, max_retries=0, timeout=30)
    try:
        yield running, client
    finally:
        client.close()
        running.stop()


def kill(running: embedded.Running) -> None:
    assert running.process is not None
    running.process.kill()
    running.process.wait()


def wait(client: openai.OpenAI, batch_id: str) -> openai.types.Batch:
    until = time.monotonic() + 30
    while (batch := client.batches.retrieve(batch_id)).status not in ("completed", "failed", "expired"):
        assert time.monotonic() < until, batch
        time.sleep(0.02)
    return batch


def test_a_batch_survives_kills_in_its_middle(tmp_path: Path) -> None:
    rows = 400
    with served(tmp_path, "row_delay=0.005") as (running, client):
        file = client.files.create(file=("in.jsonl", lines(rows)), purpose="batch")
        made = client.batches.create(
            input_file_id=file.id, endpoint="/v1/chat/completions", completion_window="24h", metadata={"k": "v"}
        )
        while client.batches.retrieve(made.id).request_counts.completed == 0:  # type: ignore[union-attr]
            time.sleep(0.01)
        kill(running)
    with served(tmp_path, "row_delay=0.005") as (running, client):
        seen = client.batches.retrieve(made.id)
        assert seen.status == "in_progress" and 0 < seen.request_counts.completed < rows  # type: ignore[union-attr]
        time.sleep(0.3)
        kill(running)
    with served(tmp_path) as (_, client):
        batch = wait(client, made.id)
        assert batch.status == "completed" and batch.metadata == {"k": "v"}
        assert batch.request_counts and batch.request_counts.completed == rows
        content = client.files.content(batch.output_file_id or "").content
    names = [msgspec.json.decode(line)["custom_id"] for line in content.splitlines()]
    assert sorted(names) == sorted(f"row-{n}" for n in range(rows))
    assert list((tmp_path / "work").iterdir()) == []


def test_what_was_spooled_but_not_counted_is_asked_again(tmp_path: Path) -> None:
    lab = begin(tmp_path)
    lab.faults(hold=0.5)
    made = lab.submit(lines(10))
    lab.wait_for(made.id, lambda batch: batch.request_counts.completed == 5)
    lab.stop()
    spool = tmp_path / "work" / made.id / "output.spool"
    spool.write_bytes(spool.read_bytes() + b'{"half a li')
    lab = begin(tmp_path)
    try:
        assert len(lab.rows(lab.wait(made.id).output_file_id)) == 10
    finally:
        lab.stop()


def test_what_was_counted_but_lost_is_asked_again(tmp_path: Path) -> None:
    lab = begin(tmp_path)
    lab.faults(hold=0.5)
    made = lab.submit(lines(10))
    lab.wait_for(made.id, lambda batch: batch.request_counts.completed == 5)
    lab.stop()
    spool = tmp_path / "work" / made.id / "output.spool"
    os.truncate(spool, spool.stat().st_size - 7)
    lab = begin(tmp_path)
    try:
        batch = lab.wait(made.id)
        assert batch.request_counts.completed == 10
        assert len({row["custom_id"] for row in lab.rows(batch.output_file_id)}) == 10
    finally:
        lab.stop()


def test_a_batch_whose_input_vanished_fails_and_says_so(tmp_path: Path) -> None:
    lab = begin(tmp_path)
    lab.faults(hold=0.5)
    made = lab.submit(lines(10))
    lab.wait_for(made.id, lambda batch: batch.request_counts.completed == 5)
    lab.stop()
    (tmp_path / "work" / made.id / "input.jsonl").unlink()
    lab = begin(tmp_path)
    try:
        assert lab.wait(made.id).errors.data[0].code == "server_error"
        assert lab.wait(lab.submit(lines(1)).id).status == "completed"
    finally:
        lab.stop()


def test_leftovers_of_a_killed_server_are_removed(tmp_path: Path) -> None:
    begin(tmp_path).stop()
    (tmp_path / "files" / "file-orphan").write_bytes(b"x")
    (tmp_path / "incoming" / "half").write_bytes(b"x")
    (tmp_path / "work" / "batch_gone").mkdir()
    begin(tmp_path).stop()
    assert [list((tmp_path / name).iterdir()) for name in ("files", "incoming", "work")] == [[], [], []]


def test_asking_about_a_directory_creates_nothing(tmp_path: Path) -> None:
    root = tmp_path / "none"
    assert embedded.origin_id(root) is None and embedded.live(root) is None
    assert not root.exists()


def test_the_embedded_server_is_found_reused_and_ends(tmp_path: Path) -> None:
    with served(tmp_path) as (running, client):
        assert embedded.origin_id(tmp_path) == running.id
        found = embedded.live(tmp_path)
        assert found is not None and (found.url, found.token, found.process) == (running.url, running.token, None)
        found.stop()
        assert list(client.batches.list()) == []
        second = embedded.start(tmp_path, environ=ENVIRON)
        assert second.process is None and second.url == running.url
        assert running.token not in repr(running)
    assert embedded.live(tmp_path) is None and embedded.origin_id(tmp_path) == running.id
    assert running.process is not None and running.process.returncode == 0
    assert not (tmp_path / "server.json").exists()


def test_token_and_id_stay_over_restarts(tmp_path: Path) -> None:
    with served(tmp_path) as (first, _):
        pass
    with served(tmp_path) as (second, _):
        assert (first.token, first.id) == (second.token, second.id)


def test_a_server_that_was_killed_is_not_live(tmp_path: Path) -> None:
    with served(tmp_path) as (running, _):
        kill(running)
        assert (tmp_path / "server.json").exists()
        assert embedded.live(tmp_path) is None


def test_another_server_at_the_old_address_is_not_ours(tmp_path: Path) -> None:
    with served(tmp_path / "a") as (running, _):
        (tmp_path / "b").mkdir()
        (tmp_path / "b" / "id").write_text("f" * 32)
        live = home.Live(running.url, "t", 1, "f" * 32)
        (tmp_path / "b" / "server.json").write_bytes(msgspec.json.encode(live))
        assert embedded.live(tmp_path / "b") is None


def test_a_child_that_cannot_start_says_why(tmp_path: Path) -> None:
    with pytest.raises(EngineError) as caught:
        embedded.start(tmp_path, environ=ENVIRON, faults=["nonsense"])
    assert "unknown fault `nonsense`" in caught.value.message


def test_the_child_ignores_ctrl_c_and_ends_with_its_parent(tmp_path: Path) -> None:
    code = (
        "import os, sys, time; from pathlib import Path; from runner.server import embedded\n"
        "r = embedded.start(Path(sys.argv[1]), environ=dict(os.environ)); print(r.process.pid, flush=True)\n"
        "time.sleep(60)"
    )
    parent = subprocess.Popen([sys.executable, "-c", code, str(tmp_path)], stdout=subprocess.PIPE, env=ENVIRON)
    assert parent.stdout is not None
    child = int(parent.stdout.readline())
    os.kill(child, signal.SIGINT)
    time.sleep(0.2)
    assert embedded.live(tmp_path) is not None
    parent.kill()
    parent.wait()
    parent.stdout.close()
    until = time.monotonic() + 10
    while embedded.live(tmp_path) is not None:
        assert time.monotonic() < until
        time.sleep(0.05)


def test_everything_on_disk_is_private(tmp_path: Path) -> None:
    root = tmp_path / "home"
    lab = begin(root)
    lab.wait(lab.submit(lines(2)).id)
    modes = {path: path.stat().st_mode & 0o777 for path in [root, *root.rglob("*")]}
    lab.stop()
    assert {path: oct(mode) for path, mode in modes.items() if mode & 0o077} == {}


def test_a_directory_has_one_server(tmp_path: Path) -> None:
    lab = begin(tmp_path)
    try:
        with pytest.raises(LockedError) as caught:
            Service(Options(tmp_path, tmp_path / "models"))
        assert lab.url in caught.value.message
    finally:
        lab.stop()


def test_other_hosts_than_loopback_want_a_token(tmp_path: Path) -> None:
    with pytest.raises(UsageError):
        Service(Options(tmp_path, tmp_path / "models", host="0.0.0.0"))
    assert not (tmp_path / "id").exists()


def test_stopping_is_quick_while_rows_are_slow(tmp_path: Path) -> None:
    lab = begin(tmp_path)
    lab.faults(row_delay=30)
    lab.submit(lines(3))
    time.sleep(0.3)
    began = time.monotonic()
    lab.stop()
    assert time.monotonic() - began < 5


def test_sigterm_ends_it_cleanly(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "runner", "serve", "--dir", str(tmp_path), "--port", "0", "--token", "t"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, env=ENVIRON) as process:
        assert process.stdout is not None
        first = process.stdout.readline().decode()
        url = first.split()[-1]
        with httpx.Client(trust_env=False) as http:
            assert http.get(f"{url}/models", headers={"authorization": "Bearer t"}).status_code == 200
        process.send_signal(signal.SIGTERM)
        assert process.wait(10) == 0
    assert not (tmp_path / "server.json").exists()


def test_two_starts_at_once_give_one_server(tmp_path: Path) -> None:
    got: list[embedded.Running] = []
    threads = [threading.Thread(target=lambda: got.append(embedded.start(tmp_path, environ=ENVIRON))) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len({one.url for one in got}) == 1 and sum(one.process is not None for one in got) == 1
    for one in got:
        one.stop()


def test_where_data_lies() -> None:
    assert embedded.data_dir({"RUNNER_HOME": "/x/y"}) == Path("/x/y")
    assert embedded.data_dir({"XDG_DATA_HOME": "/d", "HOME": "/h"}) == Path("/d/runner")
    assert embedded.data_dir({"HOME": "/h"}) == Path("/h/.local/share/runner")
    assert embedded.models_dir({"RUNNER_HOME": "/x"}) == Path("/x/models")


def everything_in(folder: Path) -> dict[str, tuple[int, bytes]]:
    return {
        str(path.relative_to(folder)): (path.stat().st_mode, path.read_bytes() if path.is_file() else b"")
        for path in [folder, *sorted(folder.rglob("*"))]
    }


@pytest.mark.parametrize("planted", ["incoming/scan.pdf", "notes.txt", "id", "models/../files/photo.jpg"])
def test_a_folder_of_somebody_else_is_refused_and_left_as_it_is(tmp_path: Path, planted: str) -> None:
    theirs = tmp_path / "theirs"
    (theirs / planted).parent.mkdir(parents=True, exist_ok=True)
    (theirs / "models").mkdir(exist_ok=True)
    (theirs / planted).write_text("precious")
    (theirs / "photo.jpg").write_text("precious")
    theirs.chmod(0o755)
    before = everything_in(theirs)
    words = [sys.executable, "-m", "runner", "serve", "--port", "0", "--dir", str(theirs)]
    done = subprocess.run(words, env=ENVIRON, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 1
    assert "holds files that do not belong to a server" in done.stderr
    assert "`--dir`, a new or empty one" in done.stderr
    assert everything_in(theirs) == before
    with pytest.raises(StateError, match="do not belong to a server"):
        embedded.ensure_id(theirs)
    assert everything_in(theirs) == before


def test_a_folder_that_is_new_or_empty_or_its_own_is_taken(tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    (tmp_path / "weights" / "models").mkdir(parents=True)
    (tmp_path / "weights" / "models" / "weights.gguf").write_text("large")
    embedded.ensure_id(tmp_path / "named")
    for name in ("new", "empty", "weights", "named", "new"):
        home.acquire(tmp_path / name).release()
        assert (tmp_path / name / "incoming").is_dir()
    (tmp_path / "new" / "notes.txt").write_text("put there by its owner")
    home.acquire(tmp_path / "new").release()
    assert (tmp_path / "weights" / "models" / "weights.gguf").exists()


def test_another_starts_while_one_still_ends(tmp_path: Path) -> None:
    """A command that is killed leaves a server that ends a moment later; the next command may come before that."""
    for _ in range(3):
        first = embedded.start(tmp_path, environ=ENVIRON)
        assert first.process is not None and first.process.stdin is not None
        first.process.stdin.close()
        began = time.monotonic()
        with embedded.start(tmp_path, environ=ENVIRON) as second:
            assert httpx.get(second.url).is_success and time.monotonic() - began < 15
        first.process.wait(10)


def test_nobody_is_sent_to_a_server_that_ends(tmp_path: Path) -> None:
    first = embedded.start(tmp_path, environ=ENVIRON, faults=("slow=1",))
    assert first.process is not None and first.process.stdin is not None
    answered: list[int] = []

    def ask() -> None:
        headers = {"authorization": f"Bearer {first.token}"}
        answered.append(httpx.get(f"{first.url}/v1/batches", headers=headers, timeout=20).status_code)

    asking = threading.Thread(target=ask)
    asking.start()
    time.sleep(0.2)
    first.process.stdin.close()
    until = time.monotonic() + 10
    while home.live_record(tmp_path) is not None:
        assert time.monotonic() < until
        time.sleep(0.005)
    assert not answered, "it still has this to do"
    assert embedded.live(tmp_path) is None
    asking.join()
    assert answered == [200]
    first.process.wait(10)
