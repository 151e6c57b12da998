"""A vendor that no module of runner knows: a package with an entry point, in `tests/plugin`, and its own remote.

Its create carries the rows, nothing shows a label, and its lines are of another shape. A create without an answer is
known by the time and the number of rows, and proven by the results.
"""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.journeys.lab import RUNNER, SPEC, Lab
from tests.plugin.server import Pigeonhole, serving

PLUGIN = Path(__file__).parents[1] / "plugin"
MINE = (
    SPEC.replace("kind: openai", "kind: pigeonhole")
    .replace("{url}", "{url}/")
    .replace("{{settle_s: 0.4, min_poll_s: 0.05}}", "{{settle_s: 0.4, min_poll_s: 0.05, defer_s: 0.2}}")
)
WORDS = {"r0": "one", "r1": "two", "r2": "bad", "r3": "four"}


@pytest.fixture
def remote() -> Iterator[Pigeonhole]:
    with serving() as remote:
        yield remote


class Project(Lab):
    """A project whose only provider is a pigeonhole."""

    def environ(self, **more: str) -> dict[str, str]:
        return super().environ(PYTHONPATH=str(PLUGIN), **more)


@pytest.fixture
def lab(remote: Pigeonhole, tmp_path: Path) -> Project:
    lab = Project(tmp_path / "project", remote)  # type: ignore[arg-type]
    path = lab.root / "specs/lab.yaml"
    path.parent.mkdir(parents=True)
    path.write_text(MINE.format(url=remote.url).replace(f"{remote.url}//", f"{remote.url}/"))
    lab.rows(WORDS)
    return lab


def answers(lab: Lab) -> dict[str, Any]:
    return {row["custom_id"]: row["answer"] or row["error"]["code"] for row in lab.results()}


ALL = {"r0": "SAY ONE", "r1": "SAY TWO", "r2": "invalid_ask", "r3": "SAY FOUR"}


def test_it_runs_from_specs_to_results(lab: Project, remote: Pigeonhole) -> None:
    lab.apply("--wait", "30s", "--poll", "0.1", code=4)  # one row of four has an error
    assert answers(lab) == ALL
    assert [row["finish"] for row in lab.results()] == ["stop", "stop", None, "stop"]
    assert len(remote.holes) == 1
    done = lab.run("apply", "specs/", "-y", code=4)
    assert remote.creates == 1, done.stdout
    lab.rows({**WORDS, "r4": "five"})
    lab.apply("--wait", "30s", "--poll", "0.1", code=4)
    assert [len(hole.slips) for hole in remote.holes] == [1, 4], "only the new row is asked"
    assert answers(lab) == {**ALL, "r4": "SAY FIVE"}


def test_its_schema_and_its_mistakes_are_told(lab: Project) -> None:
    assert '"pigeonhole"' in lab.run("schema").stdout
    lab.run("validate", "specs/")
    path = lab.root / "specs/lab.yaml"
    path.write_text(path.read_text().replace("settle_s: 0.4", "consistency_seconds: 0.4"))
    done = lab.run("validate", "specs/", code=1)
    assert "unknown field `consistency_seconds`" in done.stderr + done.stdout


def test_without_its_package_its_kind_is_unknown(lab: Project) -> None:
    done = subprocess.run(
        [*RUNNER, "validate", "specs/"], cwd=lab.root, env=Lab.environ(lab), capture_output=True, text=True, timeout=60
    )
    assert done.returncode == 1
    assert "`kind` of provider `lab`" in done.stdout + done.stderr


def test_a_package_that_cannot_be_loaded_is_told(lab: Project, tmp_path: Path) -> None:
    points = tmp_path / "more/gone-1.0.dist-info/entry_points.txt"
    points.parent.mkdir(parents=True)
    points.write_text("[runner.vendors]\ngone = gone.away:VENDOR\n")
    (points.parent / "METADATA").write_text("Metadata-Version: 2.1\nName: gone\nVersion: 1.0\n")
    done = subprocess.run(
        [*RUNNER, "validate", "specs/"],
        cwd=lab.root,
        env={**lab.environ(), "PYTHONPATH": f"{PLUGIN}:{tmp_path / 'more'}"},
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert done.returncode != 0
    assert "Traceback" not in done.stderr
    assert "the vendor `gone` cannot be loaded from `gone.away:VENDOR`" in done.stderr


def test_a_lost_reply_is_found_and_proven_by_its_results(lab: Project, remote: Pigeonhole) -> None:
    remote.next_creates = ["lose reply"]
    done = lab.apply("--wait", "30s", "--poll", "0.1", code=4)
    assert "found the batch of an unanswered create" in done.stderr
    assert answers(lab) == ALL
    assert (remote.creates, remote.stops) == (1, [])


def test_a_lost_reply_is_taken_up_by_the_next_command(lab: Project, remote: Pigeonhole) -> None:
    remote.next_creates, remote.fills = ["lose reply"], False
    done = lab.apply("--no-wait", code=3)
    assert "its results will say" in done.stderr
    done = lab.run("cancel", "answers", code=1)
    assert remote.stops == [], "nobody knows yet whose it is"
    assert "not known yet whether" in done.stderr + done.stdout
    remote.fills = True
    lab.apply("--wait", "30s", "--poll", "0.1", code=4)
    assert answers(lab) == ALL
    assert remote.creates == 1


def test_a_create_that_had_no_effect_is_made_again(lab: Project, remote: Pigeonhole) -> None:
    remote.next_creates = ["hang up"]
    lab.apply("--wait", "30s", "--poll", "0.1", code=4)
    assert answers(lab) == ALL
    assert (remote.creates, len(remote.holes)) == (2, 1)


def of_a_stranger(number: int = 0) -> list[dict[str, Any]]:
    """As many slips as we send."""
    ask = {"messages": [{"role": "user", "content": "what is it"}]}
    return [{"slip": f"theirs-{number}-{n}", "ask": ask} for n in range(len(WORDS))]


def meanwhile(remote: Pigeonhole, strangers: int) -> None:
    """Others fill holes just when our first create arrives."""
    create = remote.create

    def with_others(body: bytes) -> tuple[int, Any] | None:
        if not remote.holes:
            for number in range(strangers):
                remote.put(of_a_stranger(number))
        return create(body)

    remote.create = with_others  # type: ignore[method-assign]


def test_a_strangers_batch_of_the_same_size_is_let_go(lab: Project, remote: Pigeonhole) -> None:
    """It appears just when our create is lost."""
    meanwhile(remote, 1)
    remote.next_creates, remote.fills = ["hang up"], False
    lab.apply("--no-wait", code=3)
    remote.fills = True
    done = lab.apply("--wait", "30s", "--poll", "0.1", code=4)
    assert "`h1` is somebody else's" in done.stderr
    assert answers(lab) == ALL
    assert (remote.creates, len(remote.holes), remote.stops) == (2, 2, [])


@pytest.mark.parametrize("how", ["lose reply", "hang up"])
def test_among_several_of_the_same_size_results_tell_ours(lab: Project, remote: Pigeonhole, how: str) -> None:
    """Until one of them ends nobody knows; then no person is asked."""
    meanwhile(remote, 2)
    remote.next_creates, remote.fills = [how], False
    done = lab.run("apply", "specs/", "-y", "--no-wait", code=5)
    assert "may have come from it" in done.stderr
    assert {row["error"]["code"] for row in lab.results()} == {"unknown"}
    remote.fills = True
    remote.get("/holes")  # they are full when they are seen next
    lab.apply("--wait", "30s", "--poll", "0.1", code=4)
    assert answers(lab) == ALL
    assert len(remote.holes) == 3 and remote.stops == []
    assert remote.creates == (1 if how == "lose reply" else 2)


def test_what_is_found_of_one_create_says_nothing_of_another(lab: Project, remote: Pigeonhole) -> None:
    """Neither of two had an answer, and the same holes may be of either: one that is still open waits for its own."""
    path = lab.root / "specs/lab.yaml"
    more = "  more: {dataset: rows, prompt: tell, model: echo, output: results/more.jsonl}\n"
    text = path.read_text().replace("jobs:\n", "  tell: {user: 'Tell {{ word }}'}\njobs:\n")
    path.write_text(text.replace("providers:\n", f"{more}providers:\n"))
    meanwhile(remote, 2)
    remote.next_creates, remote.fills = ["lose reply", "lose reply"], False
    lab.run("apply", "specs/", "-y", "--no-wait", code=5)
    done = lab.run("apply", "specs/", "-y", "--no-wait", "--first-run", code=5)
    assert "more: it is not known whether 4 requests were submitted" in done.stderr
    told = next(hole for hole in remote.holes if "Tell one" in str(hole.slips))
    told.state = "full"
    done = lab.run("apply", "specs/", "-y", "--no-wait", code=5)
    assert f"more: found the batch of an unanswered create, `{told.name}`" in done.stderr
    assert remote.creates == 2, "what the other create made is one of the rest"
    remote.fills = True
    remote.get("/holes")
    lab.apply("--wait", "30s", "--poll", "0.1", code=4)
    assert answers(lab) == ALL
    assert (remote.creates, len(remote.holes), remote.stops) == (2, 4, [])


def test_a_create_that_comes_late_is_known_by_its_results_and_counted(lab: Project, remote: Pigeonhole) -> None:
    remote.next_creates = ["hang up"]
    lab.apply("--wait", "30s", "--poll", "0.1", code=4)
    assert remote.creates == 2
    remote.put(of_a_stranger())
    late = remote.put(remote.unheard[0])
    remote.get("/holes")
    done = lab.run("apply", "specs/", "-y", code=4)
    said = f"`{late.name}` is from a create that was given up, and holds 3 of the requests of `h1` too: they are paid"
    assert said in done.stderr and "`h2`" not in done.stderr
    assert remote.creates == 2 and remote.stops == []
    assert "given up" not in lab.run("apply", "specs/", "-y", code=4).stderr, "it is said once"
    assert "3 requests" in lab.run("status").stdout


def test_lines_that_were_cut_prove_nothing(lab: Project, remote: Pigeonhole) -> None:
    """A first line that cannot be read is no stranger's."""
    remote.next_creates, remote.cuts = ["lose reply"], 3
    done = lab.apply("--wait", "30s", "--poll", "0.1", code=4)
    assert "somebody else" not in done.stderr
    assert answers(lab) == ALL and remote.creates == 1


def test_one_that_was_put_off_is_rendered_again(lab: Project, remote: Pigeonhole) -> None:
    remote.next_creates = ["busy"] * 8
    lab.apply("--wait", "30s", "--poll", "0.1", code=4)
    assert answers(lab) == ALL
    assert sorted(remote.asked()) == sorted(set(remote.asked()))
    assert len(remote.holes) == 1


def test_it_is_added_by_its_folder_and_one_line() -> None:
    """What `docs/adding-a-remote.md` walks through: nothing in runner names it."""
    files = sorted(path.relative_to(PLUGIN).as_posix() for path in PLUGIN.rglob("*") if path.is_file())
    mine = [name for name in files if "__pycache__" not in name and name.startswith("pigeonhole/")]
    assert mine == [f"pigeonhole/{name}.py" for name in ("__init__", "client", "declared", "lines")]
    points = (PLUGIN / "pigeonhole-1.0.dist-info/entry_points.txt").read_text().split("\n")
    assert [line for line in points if "=" in line] == ["pigeonhole = pigeonhole:VENDOR"]
    product = Path(__file__).parents[2] / "runner"
    assert not [path for path in product.rglob("*.py") if "pigeonhole" in path.read_text().lower()]
