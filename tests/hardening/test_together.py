"""Many at once: one of them works, the others say so; two clones of one repository do not pay twice."""

from __future__ import annotations

import shutil
import time
from pathlib import Path

import pytest

from tests import warm
from tests.hardening.conftest import OwnLab, lab_in, sampled
from tests.journeys.fireworks.lab import Account, FireLab
from tests.journeys.lab import Server

DONE, LOCKED = 0, 6


def together(labs: list[OwnLab] | list[FireLab], *words: str) -> list[tuple[int, str, str]]:
    """One apply in each, begun at once; their exit codes and words."""
    running: list[warm.Started] = [lab.start("apply", "specs/", "-y", *words) for lab in labs]
    ended = [(process.communicate(timeout=100), process.returncode) for process in running]
    return [(code, out, err) for (out, err), code in ended]


@pytest.mark.parametrize("patience", sampled(["0", "60"], "0"))
def test_eight_at_once_in_one_folder(tmp_path: Path, server: Server, patience: str) -> None:
    lab = lab_in(tmp_path / "project", server)
    ended = together([lab] * 8, "--lock-timeout", patience, "--poll", "0.05")
    codes = [code for code, _, _ in ended]
    assert DONE in codes
    assert set(codes) <= {DONE, LOCKED}, [err for code, _, err in ended if code not in (DONE, LOCKED)]
    assert patience == "0" or codes == [DONE] * 8, codes
    for code, out, err in ended:
        assert "Traceback" not in err, err
        assert code == DONE or "another command is working on this project" in err
        assert code == LOCKED or "10 ok" in out or "Nothing to do" in out
    lab.settled()


def test_looking_never_waits(tmp_path: Path, server: Server) -> None:
    lab = lab_in(tmp_path / "project", server)
    server.fault(hold=0.3)
    applying = lab.start("apply", "specs/", "-y", "--poll", "0.05")
    while not lab.mine():
        assert applying.poll() is None
    begun = time.monotonic()
    for words in (("plan",), ("status",), ("show", "answers"), ("state", "list")):
        done = lab.run(*words, code=None)
        assert done.returncode in (0, 5), done.stderr
    assert time.monotonic() - begun < 30
    server.fault(hold=None)
    applying.communicate(timeout=60)
    lab.settled()


def test_who_has_waited_is_told_what_it_came_to(tmp_path: Path, server: Server) -> None:
    """Two wait for one batch, and whichever does not collect it says what came of it as well."""
    lab = lab_in(tmp_path / "project", server)
    server.fault(hold=0.5)
    lab.apply("--no-wait", code=3)
    both = [lab.start("apply", "specs/", "-y", "--poll", "0.05", "--lock-timeout", "60") for _ in range(2)]
    time.sleep(1.5)  # both have looked, and wait
    server.fault(hold=None)
    told = [process.communicate(timeout=60)[0] for process in both]
    assert [process.returncode for process in both] == [DONE, DONE]
    assert all(one.startswith("answers  10 ok, 0 error of 10  results/answers.jsonl") for one in told), told
    lab.settled()


def clone(lab: OwnLab, root: Path) -> OwnLab:
    """The same repository elsewhere, against the same account."""
    shutil.copytree(lab.root / "specs", root / "specs")
    shutil.copytree(lab.root / "data", root / "data")
    other = OwnLab(root, lab.server)
    other.name = lab.name
    return other


def states(lab: OwnLab) -> list[str]:
    batches = lab.server.batches()
    return [batch["status"] for batch in batches if (batch["metadata"] or {}).get("runner_project") == lab.name]


def test_two_clones_of_a_remote_that_takes_tags(tmp_path: Path, server: Server) -> None:
    """Neither sees the other's create before its own: the younger duplicate is stopped, and both have every answer."""
    one = lab_in(tmp_path / "one", server)
    other = clone(one, tmp_path / "other")
    server.fault(hold=0.3, slow={"value": 0.4, "route": "POST /v1/batches"})
    ended = together([one, other], "--no-wait", "--poll", "0.05")
    assert {code for code, _, _ in ended} == {3}, ended
    server.fault(slow=None)
    ended = together([one, other], "--no-wait", "--poll", "0.05")
    assert len(states(one)) <= 2
    server.fault(hold=None)
    said = "".join(err for _, _, err in ended)
    for lab in (one, other):
        said += lab.apply("--poll", "0.05").stderr
        lab.whole()
        assert lab.run("plan").stdout == "Nothing to do\n"
    after = states(one)
    assert after.count("completed") == 1, after
    assert len(after) <= 2
    if len(after) == 2:
        assert "cancelled" in after or "cancelling" in after, after
        assert "twice" in said or "duplicate" in said or "duplicate" in said, said


def test_two_clones_of_a_remote_that_takes_names(tmp_path: Path, server: Server) -> None:
    account = Account(server, "clones")
    labs = []
    for name in ("one", "other"):
        root = tmp_path / name
        root.mkdir()
        lab = FireLab(root, server, account)
        lab.spec()
        lab.rows(10)
        labs.append(lab)
    ended = together(labs)
    assert [code for code, _, _ in ended] == [0, 0], ended
    assert account.states() == ["COMPLETED"]
    for lab in labs:
        lab.whole()
        lab.done()


def test_a_lock_dies_with_its_holder(tmp_path: Path, server: Server) -> None:
    lab = lab_in(tmp_path / "project", server)
    server.fault(hold=0.3, slow={"value": 1.0, "route": "POST /v1/batches"})
    applying = lab.start("apply", "specs/", "-y", "--poll", "0.05")
    while not (lab.root / ".runner/lock.json").exists():
        assert applying.poll() is None
    applying.kill()
    applying.communicate()
    server.fault(hold=None, slow=None)
    lab.apply("--lock-timeout", "0")
    lab.settled(batches=lab.mine())
    assert lab.mine() == 1
