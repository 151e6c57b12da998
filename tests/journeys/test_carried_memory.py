"""`state pull`, `push` and `rebuild`: a memory is carried to another machine, or made anew; nothing is paid twice."""

from __future__ import annotations

import io
import json
import shlex
import shutil
import subprocess
import tarfile
from pathlib import Path
from typing import Any

import pytest

from tests.journeys.lab import RUNNER, SPEC, Lab


def pulled(lab: Lab, name: str = "state.tar") -> Path:
    path = lab.root.parent / name
    lab.run("state", "pull", "-o", str(path))
    return path


def clone(lab: Lab, name: str = "clone", *, results: bool = False) -> Lab:
    """Another machine's checkout: without `.runner/`, and without results unless they are in git."""
    root = lab.root.parent / name / "project"
    ignored = [".runner"] if results else [".runner", "results"]
    shutil.copytree(lab.root, root, ignore=shutil.ignore_patterns(*ignored))
    return Lab(root, lab.server)


def kept(lab: Lab) -> list[Path]:
    return sorted((lab.root / ".runner/replaced").glob("*"))


def changes(lab: Lab) -> int:
    return sum(times for route, times in lab.server.asked().items() if not route.startswith("GET"))


def test_a_memory_goes_on_where_it_was_carried_to(lab: Lab) -> None:
    lab.apply()
    path = pulled(lab)
    assert pulled(lab, "again.tar").read_bytes() == path.read_bytes()
    assert path.stat().st_mode & 0o777 == 0o600
    there, before = clone(lab), lab.server.asked()
    told = there.run("state", "push", str(path), LAB_KEY="")
    assert "is what is recorded here now" in told.stdout and "kept" not in told.stderr
    assert there.run("history", LAB_KEY="").stdout == lab.run("history", LAB_KEY="").stdout
    assert recorded(there, LAB_KEY="") == recorded(lab, LAB_KEY="")
    there.apply(LAB_KEY="")  # the answers came with it
    assert there.results() == lab.results() and lab.server.asked() == before
    # it goes on there, comes back, and the way back is not open any more
    there.rows(12)
    there.apply()
    lab.run("state", "push", str(pulled(there, "back.tar")))
    assert len(kept(lab)) == 1
    lab.rows(12)
    lab.apply(LAB_KEY="")
    assert lab.server.sent()[1:] == [["r10", "r11"]]
    assert (
        lab.run("state", "push", str(pulled(lab, "mine.tar"))).stdout == "Nothing to do: it is recorded here already\n"
    )


def test_through_a_pipe(lab: Lab) -> None:
    lab.apply()
    there = clone(lab)
    words = shlex.join(RUNNER)
    script = f"{words} -C {lab.root} state pull | {words} -C {there.root} state push -"
    done = subprocess.run(["bash", "-c", script], env=lab.environ(), capture_output=True, text=True, timeout=60)
    assert done.returncode == 0 and "is what is recorded here now" in done.stdout, done.stderr
    assert there.run("plan", LAB_KEY="").stdout.endswith("Plan: 1 file to write\n")


def test_what_is_older_of_another_lineage_or_went_on_apart_is_refused(lab: Lab) -> None:
    lab.apply()
    older = pulled(lab)
    there = clone(lab)
    there.run("state", "push", str(older))
    lab.rows(11)
    lab.apply()
    for words, file in (
        ("is older: serial", older),
        ("began apart", foreign(lab)),
        ("went on apart", apart(there, lab)),
    ):
        before = recorded(lab)
        told = lab.run("state", "push", str(file), code=5).stderr
        assert words in told and "`--force` puts it there all the same" in told
        assert recorded(lab) == before and not kept(lab)
    # another project is another project
    other = clone(lab, "other")
    other.spec(SPEC.replace("project: lab", "project: other"))
    other.apply()
    assert "is of project `other`" in lab.run("state", "push", str(pulled(other, "o.tar")), "--force", code=64).stderr
    # forced: what was here is kept, and told of where nobody would know it any more
    told = lab.run("state", "push", str(older), "--force")
    assert "is older" in told.stderr and "What was recorded before is kept in `.runner/replaced/" in told.stderr
    (folder,) = kept(lab)
    assert {one.name for one in folder.iterdir()} == {"objects", "state"}
    before = lab.server.creates()
    lab.apply()  # what it does not know is found at the remote
    assert lab.server.creates() == before


def foreign(lab: Lab) -> Path:
    """A memory that a clone began by itself."""
    there = clone(lab, "foreign")
    there.apply()
    return pulled(there, "foreign.tar")


def apart(there: Lab, lab: Lab) -> Path:
    """The memory of one that went on from the same point, further than ours."""
    there.rows({f"r{n}": f"other {n}" for n in range(3)})
    there.apply()
    for _ in range(2):
        there.run("retry", "answers", "--replace")
        there.apply("--confirm-repay", "answers")
    return pulled(there, "apart.tar")


def spoiled(path: Path, how: str) -> bytes:
    data = path.read_bytes()
    match how:
        case "cut":
            return data[: len(data) // 2]
        case "empty":
            return b""
        case "text":
            return b"hello\n" * 2000
        case "changed":
            return data.replace(b'"address":"answers"', b'"address":"ansWers"', 1)
    out = io.BytesIO()
    with tarfile.open(path) as given, tarfile.open(fileobj=out, mode="w") as made:
        for member in given:
            if member.name == "end.json":
                added = tarfile.TarInfo("objects/a/link" if how == "link" else how)
                added.size = 0 if how == "link" else 2
                if how == "link":
                    added.type, added.linkname = tarfile.SYMTYPE, "/etc/passwd"
                made.addfile(added, io.BytesIO(b"hi"))
            made.addfile(member, given.extractfile(member))
    return out.getvalue()


BROKEN = ("cut", "empty", "text", "changed", "link", "objects/../../../../x", "objects/a/../../x", "objects/.x/y", "/x")


def test_a_file_that_is_broken_or_a_strangers_changes_nothing(lab: Lab) -> None:
    lab.apply()
    path, there = pulled(lab), clone(lab)
    before, given = recorded(lab), lab.root.parent / "given.tar"
    for how in BROKEN:
        given.write_bytes(spoiled(path, how))
        assert given.read_bytes() != path.read_bytes()
        for one in (lab, there):
            assert "state" in one.run("state", "push", str(given), "--force", code=1).stderr
        assert recorded(lab) == before and not kept(lab)
    assert not list(lab.root.parent.rglob("x")) and there.run("state", "list").stdout == ""
    there.run("state", "push", str(path))


@pytest.mark.parametrize("moved", [(), ("objects",), ("objects", "old state"), ("objects", "old state", "state")])
def test_a_kill_in_between_is_gone_on_from(lab: Lab, moved: tuple[str, ...]) -> None:
    """Another memory lies ready, and so much of it has taken its place."""
    lab.apply()
    wanted = recorded(lab)
    home, incoming = lab.root / ".runner", lab.root / ".runner/incoming"
    aside = home / "replaced/20310101T000000"
    incoming.mkdir()
    for part in ("objects", "state"):
        shutil.copytree(home / part, incoming / part)
    lab.rows(11)
    lab.apply()
    (incoming / "ready").write_text("20310101T000000")
    aside.mkdir(parents=True)
    if "objects" in moved:
        (home / "objects").rename(aside / "objects")
        (incoming / "objects").rename(home / "objects")
    if "old state" in moved:
        (home / "state").rename(aside / "state")
    if "state" in moved:
        (incoming / "state").rename(home / "state")
    assert "was about to take the place" in lab.run("plan", code=1).stderr
    lab.run("apply", "specs/", "--no-wait", "-y", "--max-requests", "0", code=None)
    assert batches(lab)[:1] == json.loads(wanted)["batches"]
    assert not incoming.exists() and {one.name for one in aside.iterdir()} == {"objects", "state"}
    lab.apply()
    assert lab.server.creates() == 2


def recorded(lab: Lab, **environ: str) -> str:
    """All that is recorded."""
    return lab.run("state", "list", "-o", "json", **environ).stdout


def batches(lab: Lab) -> list[Any]:
    return list(json.loads(recorded(lab))["batches"])


def test_rebuilt_from_the_remote(lab: Lab) -> None:
    lab.apply()
    before, was = changes(lab), lab.results()
    (lab.root / "results/answers.jsonl").unlink()
    lab.forget()
    done = lab.run("state", "rebuild")
    assert "`lab`  1 batch found, 10 answers\n" in done.stdout and "Nothing was sent" in done.stderr
    assert changes(lab) == before and not (lab.root / "results/answers.jsonl").exists() and not kept(lab)
    lab.apply(LAB_KEY="")
    assert lab.results() == was and changes(lab) == before


def test_rebuilt_from_results_and_what_is_in_flight(lab: Lab) -> None:
    lab.apply()
    lab.server.fault(hold=0.0)
    lab.rows(12)
    lab.run("apply", "specs/", "-y", "--no-wait", code=3)
    before = changes(lab)
    (lab.root / ".runner/state/cache.db").write_bytes(b"broken")
    assert "damaged" in (told := lab.run("plan", code=1).stderr) or "cannot be read" in told
    done = lab.run("state", "rebuild")
    assert "what was recorded cannot be read" in done.stderr and len(kept(lab)) == 1
    assert "`results/answers.jsonl`  10 answers read back" in done.stdout
    assert "`lab`  1 batch found, 1 of them in flight, 0 answers" in done.stdout
    assert changes(lab) == before
    lab.server.calm()
    lab.apply()
    assert lab.server.creates() == 2 and len(lab.results()) == 12


def test_nothing_that_is_known_here_alone_is_forgotten(lab: Lab) -> None:
    lab.apply()
    (lab.root / "results/answers.jsonl").unlink()
    wanted = recorded(lab)
    told = lab.run("state", "rebuild", LAB_KEY="", code=5)  # the remote cannot be asked
    assert "10 answers would have to be paid for again" in told.stderr and "`--force`" in told.stderr
    assert recorded(lab) == wanted and not kept(lab)
    lab.server.fault(hold=0.0)
    lab.rows({"n1": "new"})
    lab.run("apply", "specs/", "-y", "--no-wait", code=3)
    told = lab.run("state", "rebuild", LAB_KEY="", code=5)
    assert "may be in flight, and only the recorded state knows of it" in told.stderr
    assert not (lab.root / ".runner/incoming").exists()
    done = lab.run("state", "rebuild", "--force", LAB_KEY="")
    assert "Nothing of this project was found" in done.stdout and "`lab` was not asked" in done.stderr
    assert len(kept(lab)) == 1
    lab.run("state", "rebuild")
    lab.server.calm()
    lab.apply()
    assert lab.server.creates() == 2
    assert "rebuilt from what remotes and results files show" in lab.run("history").stdout


def test_each_environment_has_its_own(lab: Lab) -> None:
    lab.spec(SPEC.replace("project: lab\n", "project: lab\nenvironments: {{dev: {{}}, prod: {{}}}}\n"))
    lab.apply("--env", "dev")
    assert "nothing is recorded here" in lab.run("state", "pull", "-o", "x.tar", "--env", "prod", code=64).stderr
    lab.run("state", "pull", "-o", "x.tar", "--env", "dev")
    shutil.rmtree(lab.root / "results")
    before, home = changes(lab), lab.root / ".runner/environments/dev"
    for words in (("push", "x.tar"), ("rebuild",)):
        shutil.rmtree(home)
        lab.run("state", *words, "--env", "dev")
        assert len(lab.run("state", "list", "--env", "dev").stdout.splitlines()) == 1 and batches(lab) == []
        assert changes(lab) == before and not (home / "incoming").exists()
    lab.apply("--env", "dev", LAB_KEY="")
    assert changes(lab) == before
