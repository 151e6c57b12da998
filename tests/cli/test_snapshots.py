"""The words of commands, as a user sees them: `snapshots.py` says how, and how the files are written anew."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path

import click
import pytest

from runner.cli.main import cli
from runner.cli.schema import DOCUMENTS, schema_of
from tests.cli.snapshots import COLUMNS, FOLDER, Shots, choices_of, closed, document_of, must_fit, shown, too_wide
from tests.data import pictures
from tests.journeys.lab import Lab
from tests.journeys.test_pictures import LOOK, album
from tests.journeys.test_repay import PRICED
from tests.journeys.test_stragglers import ASKS_ONLINE, CANCEL, stuck

TESTS = Path(__file__).parents[1]


def commands(group: click.Group = cli, names: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], click.Command]]:
    """Every command that there is, by its words."""
    for name in group.list_commands(click.Context(group)):
        command = group.get_command(click.Context(group), name)
        assert command is not None
        if isinstance(command, click.Group):
            yield from commands(command, (*names, name))
        else:
            yield (*names, name), command


def test_a_project_through_its_life(lab: Lab, shots: Shots) -> None:
    lab.spec(PRICED)
    shots("plan-new", lab, "plan", "specs/")
    lab.apply()
    shots("plan-nothing", lab, "plan", "specs/")
    shots("apply-nothing", lab, "apply", "specs/", "-y")
    shots("status-settled", lab, "status", "specs/")
    shots("show-settled", lab, "show", "answers", "specs/")
    shots("prune", lab, "prune", typed="n\n", code=5)
    lab.rows(12)
    shots("plan-rows-added", lab, "plan", "specs/")
    shots("plan-blocked", lab, "plan", "specs/", "--max-usd", "0.01", code=5)
    shots("state-resolve-nothing", lab, "state", "resolve", "answers")


def test_a_plan_that_is_applied_and_one_that_is_stale(lab: Lab, shots: Shots) -> None:
    lab.spec(PRICED)
    shots("plan-out", lab, "plan", "specs/", "--out", "plan.json", forms=())
    lab.rows({f"r{n}": f"word {n}" for n in range(8)} | {"r8": "another", "r10": "more"})
    shots("apply-stale-file", lab, "apply", "plan.json", code=5, forms=())
    shots("apply-stale-digest", lab, "apply", "--plan-digest", "10-" + "0" * 32, code=5, forms=())
    lab.spec("jobs: {{j: {{dataset: rows, promt: ask}}}}\nnobody: 1\n", name="slips.yaml")
    shots("validate-slips", lab, "validate", code=1)


def test_pictures_in_words(lab: Lab, shots: Shots) -> None:
    lab.spec(LOOK)
    (lab.root / "pictures").mkdir()
    names = [f"pictures/{name}.png" for name in ("cat", "dog", "a-picture-with-a-name-that-is-rather-long")]
    for n, name in enumerate(names):
        (lab.root / name).write_bytes(pictures.png(30, 20, seed=n))
    album(lab, names)
    shots("plan-pictures", lab, "plan", "--diff", "1", forms=())
    album(lab, [*names, "pictures/gone.png", "specs"])
    shots("plan-pictures-gone", lab, "plan", code=1, forms=())


def test_a_batch_that_takes_too_long(lab: Lab, shots: Shots) -> None:
    lab.spec(ASKS_ONLINE)
    shots("plan-may-straggle", lab, "plan", "specs/")
    stuck(lab, ASKS_ONLINE)
    shots("plan-straggler", lab, "plan", "specs/")
    lab.server.fault(fail_before={"value": 99, "route": CANCEL, "status": 400})
    lab.apply("--no-wait", code=3)
    shots("status-straggler", lab, "status", "specs/", varying=[(r"req_[0-9a-f]+", "req_" + "0" * 24)])
    shots("plan-straggler-refused", lab, "plan", "specs/", varying=[(r"req_[0-9a-f]+", "req_" + "0" * 24)])


def test_every_json_has_a_schema_and_every_schema_a_document() -> None:
    with_json = {document_of(words) for words, command in commands() if "json" in choices_of(command)}
    assert with_json == DOCUMENTS.keys() - {"specs", "events"}  # of `--events`
    for name in DOCUMENTS.keys() - {"specs"}:
        schema = schema_of(name)
        root = schema["$defs"][schema["$ref"].rpartition("/")[2]]
        assert root["properties"]["version"], name


@pytest.mark.parametrize("columns", [80, 120])
def test_no_help_is_wider_than_the_terminal(lab: Lab, columns: int) -> None:
    for words, _ in commands():
        assert not too_wide(shown(lab, (*words, "--help"), columns, code=0), columns), words


def test_every_file_is_of_a_test() -> None:
    sources = "\n".join(path.read_text() for path in TESTS.rglob("test_*.py"))
    named = set(re.findall(r'shots\(\s*"([^"]+)"', sources))
    assert {path.name.partition(".")[0] for path in FOLDER.iterdir()} <= named


def test_every_command_has_text_that_is_held() -> None:
    """A file goes by the words of its command, and by what more there is to say."""
    of_command = {"-".join(words): 0 for words, _ in commands()}
    for path in FOLDER.glob("*.txt"):
        name, columns, *colour = path.name.removesuffix(".txt").split(".")
        assert int(columns) in COLUMNS and colour in ([], ["colour"]), path.name
        meant = [one for one in of_command if name == one or name.startswith(f"{one}-")]
        assert meant, f"{path.name} is of no command"
        of_command[max(meant, key=len)] += 1
    assert not [name for name, files in of_command.items() if files < 2 * len(COLUMNS)]


def test_the_harness_sees_what_is_wrong(lab: Lab, tmp_path: Path) -> None:
    def differs(name: str, *words: str) -> str:
        held = Shots(tmp_path, renews=False)
        held(name, lab, *words)
        with pytest.raises(AssertionError) as found:
            held.end()
        return str(found.value)

    Shots(tmp_path, renews=True)("one", lab, "plan")
    (held := Shots(tmp_path, renews=False))("one", lab, "plan")
    held.end()
    lab.rows(11)
    assert differs("one", "plan").count(" differs ") == 6
    assert "none.json differs" in differs("none", "plan")
    with pytest.raises(AssertionError, match="surprise"):
        must_fit({**_plan(lab), "surprise": 1}, "plan")
    with pytest.raises(AssertionError, match="requests"):
        must_fit({**_plan(lab), "requests": "ten"}, "plan")
    assert closed({"type": "object", "properties": {}})["additionalProperties"] is False
    assert too_wide("word " * 17, 80) and not too_wide("x" * 90, 80) and not too_wide("  `runner " + "x" * 90 + "`", 80)
    assert too_wide("\N{CJK UNIFIED IDEOGRAPH-4E2D}" * 30 + " " + "\N{CJK UNIFIED IDEOGRAPH-4E2D}" * 11, 80)


def _plan(lab: Lab) -> dict[str, object]:
    found: dict[str, object] = json.loads(lab.run("plan", "-o", "json").stdout)
    return found
