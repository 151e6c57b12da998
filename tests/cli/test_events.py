"""`--events FILE`: one JSON object a line, as the schema says, whatever becomes of the file."""

from __future__ import annotations

import contextlib
import json
import os
import threading
from pathlib import Path
from typing import Any

import pytest
from jsonschema_rs import Draft202012Validator

from runner.cli.schema import schema_of
from tests.cli.snapshots import closed
from tests.journeys.lab import KEY, Lab, until


def lines_of(data: bytes) -> list[dict[str, Any]]:
    """Every line of it, which fits the schema."""
    fits = Draft202012Validator(closed(schema_of("events")))
    found = [json.loads(line) for line in data.split(b"\n")[:-1]]
    assert data.endswith(b"\n") and KEY.encode() not in data
    for line in found:
        assert [error.message for error in fits.iter_errors(line)] == [], line
        assert line["version"] == 1 and line["at"].endswith("Z")
    return found


def test_what_an_apply_tells(lab: Lab) -> None:
    file = lab.root / "events.jsonl"
    lab.apply("--events", "events.jsonl", "--poll", "0.05s")
    told = lines_of(file.read_bytes())
    kinds = [line["event"] for line in told]
    assert (kinds[0], kinds[-1], told[-1]["exit_code"]) == ("command.began", "command.ended", 0)
    log = [line for line in told if "serial" in line]
    history = json.loads(lab.run("history", "-o", "json").stdout)["events"]
    assert [{name: value for name, value in line.items() if name != "version"} for line in log] == history
    assert {"batch.submitted", "batch.collected", "job.written", "command.step", "job.progress"} <= set(kinds)
    progress = [line for line in told if line["event"] == "job.progress"]
    assert all((line["job"], line["total"]) == ("answers", 10) for line in progress)
    # It goes on behind what is there, and says how a command ended that did nothing, or could not
    lab.apply(RUNNER_EVENTS="events.jsonl")
    lab.spec("jobs: [")
    lab.run("apply", "specs", "--events", str(file), code=1)
    more = lines_of(file.read_bytes())[len(told) :]
    assert [(line["event"], line.get("exit_code")) for line in more] == [
        ("command.began", None),
        ("command.ended", 0),
        ("command.began", None),
        ("command.ended", 1),
    ]


def test_other_commands_tell_as_well(lab: Lab) -> None:
    lab.server.fault(hold=0.5)
    lab.apply("--no-wait", code=3)
    for words in (("cancel", "answers"), ("retry", "answers", "--replace")):
        lab.run(*words, "--events", "events.jsonl", code=None)
    told = lines_of((lab.root / "events.jsonl").read_bytes())
    kinds = [line["event"] for line in told]
    assert kinds.count("command.began") == kinds.count("command.ended") == 2
    assert "batch.cancelled" in kinds
    assert {line["command"] for line in told if line["event"] == "command.began"} == {"runner cancel", "runner retry"}


def test_a_full_disk_stops_no_apply_and_is_warned_of_once(lab: Lab) -> None:
    done = lab.apply("--events", "/dev/full")
    assert done.stderr.count("`/dev/full` cannot be written: No space left on device") == 1
    assert len(lab.results()) == 10


def test_a_reader_that_goes_away_stops_no_apply(lab: Lab) -> None:
    pipe = lab.root / "pipe"
    os.mkfifo(pipe)
    lab.run("apply", "specs", "-y", "--events", "pipe", code=64)  # nobody reads
    lab.server.fault(hold=0.5)
    reader = os.open(pipe, os.O_RDONLY | os.O_NONBLOCK)
    applying = lab.start("apply", "specs", "-y", "--events", "pipe", "--poll", "0.05s")
    heard = bytearray()

    def read() -> bool:
        with contextlib.suppress(BlockingIOError):
            heard.extend(os.read(reader, 1 << 16))
        return b"job.progress" in heard

    until(read)
    os.close(reader)
    lab.server.fault(hold=None)
    _, said = applying.communicate(timeout=60)
    assert applying.returncode == 0, said
    assert said.count("`pipe` cannot be written: Broken pipe") == 1
    assert len(lab.results()) == 10
    assert json.loads(heard.split(b"\n")[0])["event"] == "command.began"


def test_a_reader_that_does_not_read_stops_no_apply(lab: Lab) -> None:
    """The pipe is full from the first line on."""
    reader, writer = os.pipe()
    os.set_blocking(writer, False)
    with pytest.raises(BlockingIOError):
        while True:
            os.write(writer, b"x" * 4096)
    lab.apply("--events", f"/proc/{os.getpid()}/fd/{writer}")
    assert len(lab.results()) == 10
    os.close(reader)
    os.close(writer)


@pytest.mark.parametrize("file", ["-", ".", "nowhere/events.jsonl"])
def test_what_cannot_be_opened_is_said_before_anything_is_done(lab: Lab, file: str) -> None:
    done = lab.run("apply", "specs", "-y", "--events", file, code=64)
    assert f"`--events {file}`" in done.stderr
    assert lab.server.creates() == 0


def test_many_threads_write_whole_lines(tmp_path: Path) -> None:
    from runner.cli.events import EventFile, Line
    from runner.clock import FastClock
    from runner.job.events import VERSION, What

    file = EventFile(str(tmp_path / "events.jsonl"))
    at = FastClock().now()

    def write(number: int) -> None:
        for _ in range(200):
            file.write(Line(version=VERSION, event=What.STEP, at=at, text=str(number) * 300))

    threads = [threading.Thread(target=write, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    file.close()
    assert file.trouble() == ""
    assert len(lines_of((tmp_path / "events.jsonl").read_bytes())) == 800
